//! Which subscription a topic came by.

use super::Subscription;
use crate::ingest::decode::Spec;
use std::collections::HashMap;
use std::sync::Arc;

/// Topics are remembered so that a message costs one look-up; beyond this many they are matched anew each time.
const REMEMBERED: usize = 20_000;

/// True if `topic` matches `filter`, level by level; `+` stands for exactly one level.
pub fn matches(filter: &str, topic: &str) -> bool {
    let (mut f, mut t) = (filter.split('/'), topic.split('/'));
    loop {
        match (f.next(), t.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a == "+" || a == b => {}
            _ => return false,
        }
    }
}

/// Topics heard, with the position of their subscription.
pub struct Topics {
    subscriptions: Vec<Subscription>,
    known: HashMap<String, (Arc<str>, Option<usize>)>,
}

impl Topics {
    pub fn new(subscriptions: Vec<Subscription>) -> Topics {
        Topics { subscriptions, known: HashMap::new() }
    }

    /// The shared name of the topic and how its messages are read; None if no subscription matches.
    pub fn find(&mut self, topic: &str) -> (Arc<str>, Option<&Spec>) {
        if !self.known.contains_key(topic) {
            let found: (Arc<str>, Option<usize>) = (topic.into(), self.subscriptions.iter().position(|s| matches(&s.filter, topic)));
            if self.known.len() >= REMEMBERED {
                return (found.0, found.1.map(|i| &self.subscriptions[i].spec));
            }
            self.known.insert(topic.to_owned(), found);
        }
        match self.known.get(topic) {
            Some((name, at)) => (name.clone(), at.map(|i| &self.subscriptions[i].spec)),
            None => (topic.into(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn plus_is_one_level() {
        assert!(matches("meters/+/state", "meters/w1/state"));
        assert!(matches("meters/+/state", "meters//state"));
        assert!(!matches("meters/+/state", "meters/a/b/state"));
        assert!(!matches("meters/+/state", "meters/w1"));
        assert!(!matches("meters/+", "meters"));
        assert!(matches("a/b", "a/b"));
        assert!(!matches("a/b", "a/B"));
    }
}
