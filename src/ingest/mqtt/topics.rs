//! Which subscription a topic came by, and which source it belongs to.

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

/// The name that `pattern` gives to the device that `topic` names by `filter`: what stands for the `+`.
pub fn source_of(pattern: &str, filter: &str, topic: &str) -> String {
    let device = filter.split('/').zip(topic.split('/')).find(|(f, _)| *f == "+").map(|(_, t)| t);
    match device {
        Some(device) => pattern.split('/').map(|l| if l == "+" { device } else { l }).collect::<Vec<_>>().join("/"),
        None => pattern.to_owned(),
    }
}

/// True if every message of the first filter comes by the second as well.
fn covers(wide: &str, narrow: &str) -> bool {
    wide != narrow && matches(wide, narrow)
}

/// What is known of a topic.
#[derive(Clone)]
pub struct Known {
    pub topic: Arc<str>,
    /// None: it speaks of all devices of its feed.
    pub source: Option<Arc<str>>,
    subscription: Option<usize>,
}

/// Topics heard, with the position of their subscription.
pub struct Topics {
    subscriptions: Vec<Subscription>,
    known: HashMap<String, Known>,
}

impl Topics {
    pub fn new(subscriptions: Vec<Subscription>) -> Topics {
        Topics { subscriptions, known: HashMap::new() }
    }

    /// What to ask the broker for: a filter within another would bring each message twice.
    pub fn filters(&self) -> Vec<String> {
        let all = || self.subscriptions.iter().map(|s| s.filter.as_str());
        all().filter(|f| !all().any(|wide| covers(wide, f))).map(str::to_owned).collect()
    }

    /// The names of the topic, and how its messages are read; None if no subscription matches.
    pub fn find(&mut self, topic: &str) -> (Known, Option<&Spec>) {
        let known = match self.known.get(topic) {
            Some(known) => known.clone(),
            None => {
                let known = self.look_up(topic);
                if self.known.len() < REMEMBERED {
                    self.known.insert(topic.to_owned(), known.clone());
                }
                known
            }
        };
        let spec = known.subscription.and_then(|i| self.subscriptions.get(i)).map(|s| &s.spec);
        (known, spec)
    }

    /// A topic that is written out goes before one with a `+`.
    fn look_up(&self, topic: &str) -> Known {
        let exact = self.subscriptions.iter().position(|s| s.filter == topic);
        let subscription = exact.or_else(|| self.subscriptions.iter().position(|s| matches(&s.filter, topic)));
        let found = subscription.and_then(|i| self.subscriptions.get(i));
        let name: Arc<str> = topic.into();
        let source = match found {
            Some(s) => s.source.as_deref().map(|pattern| {
                let source = source_of(pattern, &s.filter, topic);
                if source == topic { name.clone() } else { source.into() }
            }),
            None => Some(name.clone()),
        };
        Known { topic: name, source, subscription }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::device::Profile;
    use crate::domain::topology::FeedIx;
    use jiff::tz::TimeZone;

    fn topics(filters: &[(&str, Option<&str>)]) -> Topics {
        let empty = Profile {
            name: String::new(),
            title: String::new(),
            about: String::new(),
            source: String::new(),
            wakes: None,
            columns: vec![],
            messages: vec![],
            examples: vec![],
        };
        let subscription = |(filter, source): &(&str, Option<&str>)| Subscription {
            filter: (*filter).to_owned(),
            source: source.map(str::to_owned),
            spec: Spec::whole(FeedIx(0), TimeZone::UTC, &empty),
        };
        Topics::new(filters.iter().map(subscription).collect())
    }

    fn source(t: &mut Topics, topic: &str) -> Option<String> {
        t.find(topic).0.source.as_deref().map(str::to_owned)
    }

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

    #[test]
    fn all_topics_of_a_device_are_one_source() {
        let sensor = Some("tele/+/SENSOR");
        let mut t = topics(&[("tele/+/SENSOR", sensor), ("stat/+/STATUS8", sensor), ("tele/+/LWT", sensor), ("cellar/connection", None)]);
        for topic in ["tele/b15/SENSOR", "stat/b15/STATUS8", "tele/b15/LWT"] {
            assert_eq!(source(&mut t, topic).as_deref(), Some("tele/b15/SENSOR"), "{topic}");
            assert!(t.find(topic).1.is_some());
        }
        assert_eq!(source(&mut t, "cellar/connection"), None);
        assert_eq!(source(&mut t, "unknown").as_deref(), Some("unknown"));
        assert!(t.find("unknown").1.is_none());
    }

    #[test]
    fn a_topic_written_out_goes_first_and_is_asked_for_once() {
        let mut t = topics(&[("z/+", Some("z/+")), ("z/valve", Some("z/valve")), ("z/b15/rope", Some("z/b15/rope"))]);
        assert_eq!(t.find("z/valve").0.subscription, Some(1));
        assert_eq!(t.find("z/other").0.subscription, Some(0));
        assert_eq!(t.filters(), ["z/+", "z/b15/rope"]);
    }
}
