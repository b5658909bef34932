//! MQTT topics and the filters that the config may subscribe to.

use super::values::{Parsed, Wrong};
use crate::domain::topology::LONGEST_TOPIC;

/// A topic filter with at most one `+`, which stands for the device.
///
/// `#` and a second `+` are not needed to name a meter, and would let in topics that nobody wrote into the config.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter(String);

const FILTER: &str = "a topic with at most one + as a whole level for the device: \"meters/+/state\"";

impl Filter {
    /// The filter that `s` spells.
    pub(super) fn parse(s: &str) -> Parsed<Filter> {
        levels(s, FILTER)?;
        if s.contains('#') {
            return Err(Wrong::new("`#` takes in every topic below, also those that no meter has", FILTER));
        }
        let wild = s.split('/').filter(|l| l.contains('+'));
        match wild.clone().count() {
            0 => {}
            1 if wild.clone().all(|l| l == "+") => {}
            1 => return Err(Wrong::new(format!("the + in {s:?} is only a part of its level"), FILTER)),
            n => return Err(Wrong::new(format!("{s:?} has {n} levels with a +: which of them is the device?"), FILTER)),
        }
        Ok(Filter(s.to_owned()))
    }

    /// The filter that a profile's topic makes.
    pub(super) fn of(s: String) -> Filter {
        Filter(s)
    }

    /// As it is sent to the broker.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the filter has a `+`: each device that it matches is a source of its own.
    pub fn has_device(&self) -> bool {
        self.0.split('/').any(|l| l == "+")
    }

    /// The concrete topic of `device`; the filter itself where it has no `+`.
    pub fn topic_of(&self, device: &str) -> String {
        self.0.split('/').map(|l| if l == "+" { device } else { l }).collect::<Vec<_>>().join("/")
    }

    /// What stands for the `+` in a topic that it matches.
    pub fn device_in<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let mut levels = self.0.split('/').zip(topic.split('/'));
        if self.matches(topic) { levels.find(|(f, _)| *f == "+").map(|(_, t)| t) } else { None }
    }

    /// True if messages of `topic` come by this filter.
    pub fn matches(&self, topic: &str) -> bool {
        common(&self.0, topic)
    }

    /// True if some topic comes by both filters.
    pub fn overlaps(&self, other: &Filter) -> bool {
        common(&self.0, &other.0)
    }
}

fn common(a: &str, b: &str) -> bool {
    a.split('/').count() == b.split('/').count() && a.split('/').zip(b.split('/')).all(|(a, b)| a == b || a == "+" || b == "+")
}

/// A topic without wildcards.
pub(super) fn topic(s: &str) -> Parsed<String> {
    let right = "the exact topic of one device: \"meters/b15/state\"";
    levels(s, right)?;
    if s.contains(['+', '#']) { Err(Wrong::new(format!("{s:?} has a wildcard in it"), right)) } else { Ok(s.to_owned()) }
}

/// The name of a device: what stands for the `+` of a filter.
pub(super) fn device(s: &str) -> Parsed<String> {
    let right = "what stands for the + in the subscription's topic: \"b15\"; or false for a meter that is read by hand";
    if s.is_empty() {
        return Err(Wrong::new("no device is named", right));
    }
    match s.chars().find(|c| "/+#".contains(*c)) {
        Some(c) => Err(Wrong::new(format!("{s:?} has a {c} in it, but a device is one level of the topic"), right)),
        None => Ok(s.to_owned()),
    }
}

fn levels(s: &str, right: &str) -> Parsed<()> {
    if s.starts_with('$') {
        return Err(Wrong::new(format!("{s:?} begins with $: such topics belong to the broker"), right));
    }
    if s.len() > LONGEST_TOPIC {
        return Err(Wrong::new(format!("the topic is longer than {LONGEST_TOPIC} bytes"), right));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(s: &str) -> Filter {
        Filter::parse(s).unwrap()
    }

    #[test]
    fn one_plus_or_none() {
        for good in ["meters/+/state", "+/state", "+", "water/b15/main", "/leading", "a//b"] {
            assert!(Filter::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["#", "meters/#", "a/#/b", "+/+", "a/b+/c", "a/++/c", "$SYS/+", "$share/g/a"] {
            assert!(Filter::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_device_stands_for_the_plus() {
        assert_eq!(f("meters/+/state").topic_of("b15"), "meters/b15/state");
        assert_eq!(f("water/b15/main").topic_of("x"), "water/b15/main");
        assert!(f("meters/+/state").matches("meters/b15/state"));
        assert!(!f("meters/+/state").matches("meters/b15/x/state"));
        assert!(!f("meters/+/state").matches("meters/b15/stat"));
    }

    #[test]
    fn overlap_is_symmetric_and_seen() {
        let (a, b, c) = (f("meters/+/state"), f("meters/b15/+"), f("water/+/state"));
        assert!(a.overlaps(&b) && b.overlaps(&a));
        assert!(!a.overlaps(&c) && !c.overlaps(&a));
        assert!(a.overlaps(&a));
    }
}
