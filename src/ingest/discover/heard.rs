//! What was heard: a table of topics that cannot grow, whatever is published. Pure: no clock, no I/O.
//!
//! It holds at most [`TOPICS`] topics and [`ANNOUNCEMENTS`] announcements with names of at most [`TOPIC_BYTES`], and [`KEPT_BYTES`] of payloads
//! in all: about 10 MB. What goes beyond is counted in [`Dropped`], by reason, and never forgotten in silence.

use crate::domain::announce;
use crate::domain::time::Ts;
use crate::ingest::decode::PAYLOAD_LIMIT;
use crate::ingest::mqtt::matches;
use std::collections::{BTreeMap, VecDeque};

/// The most topics. Full: messages of others are counted and dropped.
pub const TOPICS: usize = 2_000;
/// The most announcements. Full: others are counted and dropped.
pub const ANNOUNCEMENTS: usize = 2_000;
/// The longest topic: longer than any device's.
pub const TOPIC_BYTES: usize = 256;
/// The longest payload that is kept. A device's own are far shorter, and half of one is of no use to a decoder.
pub const PAYLOAD_BYTES: usize = 16 * 1024;
/// Different payloads that are kept of a topic, the newest: one topic may serve several devices. Full: the oldest goes.
pub const SAMPLES: usize = 8;
/// Of all payloads together. Full: older ones of the same topic go, then new ones are counted and dropped.
pub const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// All that was heard.
#[derive(Debug)]
pub struct Heard {
    /// What announcements are published under, with the slash behind it.
    prefix: String,
    /// Filters of what this gateway itself publishes.
    own: Vec<String>,
    topics: BTreeMap<String, Topic>,
    announcements: BTreeMap<String, Vec<u8>>,
    /// Bytes of payloads.
    kept: usize,
    messages: u64,
    dropped: Dropped,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub messages: u64,
    pub last: Ts,
    /// The newest message had been kept by the broker: nobody knows how old it is.
    pub retained: bool,
    /// Bytes of the newest payload, kept or not.
    pub bytes: usize,
    /// Different payloads, the oldest first.
    samples: VecDeque<Vec<u8>>,
}

impl Topic {
    /// Different payloads, the newest first.
    pub fn samples(&self) -> impl Iterator<Item = &[u8]> {
        self.samples.iter().rev().map(Vec::as_slice)
    }

    pub fn newest(&self) -> Option<&[u8]> {
        self.samples().next()
    }
}

/// Messages of which nothing, or not the payload, was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The table was full, and their topic not in it.
    pub table_full: u64,
    /// Their topic is longer than [`TOPIC_BYTES`].
    pub long_topic: u64,
    /// Their topic holds characters that do something to a terminal.
    pub unprintable_topic: u64,
    /// Their payload is too long; the topic is in the table.
    pub long_payload: u64,
    /// There was no room for their payload; the topic is in the table.
    pub no_room: u64,
}

impl Dropped {
    /// The reasons, with their numbers and with what they mean.
    pub fn by_reason(&self) -> [(&'static str, u64, &'static str); 5] {
        [
            ("table_full", self.table_full, "of topics beyond the first 2000"),
            ("long_topic", self.long_topic, "with a topic of more than 256 bytes"),
            ("unprintable_topic", self.unprintable_topic, "with a topic that holds control characters"),
            ("long_payload", self.long_payload, "too long to be looked into (more than 16 KiB; announcements: 64 KiB)"),
            ("no_room", self.no_room, "not looked into: 8 MiB of payloads were kept already"),
        ]
    }

    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, n, _)| n).sum()
    }
}

impl Heard {
    /// `prefix` is what announcements are published under, usually `homeassistant`. What `gateway` tells of itself there is passed over.
    pub fn new(prefix: &str, gateway: &str) -> Heard {
        Heard {
            prefix: format!("{prefix}/"),
            own: announce::filters(prefix, gateway).into(),
            topics: BTreeMap::new(),
            announcements: BTreeMap::new(),
            kept: 0,
            messages: 0,
            dropped: Dropped::default(),
        }
    }

    /// Takes a message.
    pub fn take(&mut self, topic: &str, payload: &[u8], retained: bool, now: Ts) {
        if self.own.iter().any(|filter| matches(filter, topic)) {
            return;
        }
        self.messages += 1;
        if topic.len() > TOPIC_BYTES {
            self.dropped.long_topic += 1;
        } else if topic.contains(moves_the_cursor) {
            self.dropped.unprintable_topic += 1;
        } else if topic.strip_prefix(&self.prefix).is_some_and(|rest| rest.ends_with("/config")) {
            self.announcement(topic, payload);
        } else {
            self.reading(topic, payload, retained, now);
        }
    }

    fn announcement(&mut self, topic: &str, payload: &[u8]) {
        let before = self.announcements.remove(topic);
        self.kept -= before.as_ref().map_or(0, Vec::len);
        if payload.is_empty() {
            // It was taken back.
        } else if payload.len() > PAYLOAD_LIMIT {
            self.dropped.long_payload += 1;
        } else if self.announcements.len() >= ANNOUNCEMENTS {
            self.dropped.table_full += 1;
        } else if self.kept + payload.len() > KEPT_BYTES {
            self.dropped.no_room += 1;
        } else {
            self.kept += payload.len();
            self.announcements.insert(topic.to_owned(), payload.to_vec());
        }
    }

    fn reading(&mut self, topic: &str, payload: &[u8], retained: bool, now: Ts) {
        if !self.topics.contains_key(topic) {
            if self.topics.len() >= TOPICS {
                self.dropped.table_full += 1;
                return;
            }
            let new = Topic { messages: 0, last: now, retained, bytes: 0, samples: VecDeque::new() };
            self.topics.insert(topic.to_owned(), new);
        }
        let Some(t) = self.topics.get_mut(topic) else { return };
        t.messages += 1;
        (t.last, t.retained, t.bytes) = (now, retained, payload.len());
        if payload.is_empty() {
            return;
        }
        if payload.len() > PAYLOAD_BYTES {
            self.dropped.long_payload += 1;
            return;
        }
        if let Some(i) = t.samples.iter().position(|s| s == payload) {
            if let Some(again) = t.samples.remove(i) {
                t.samples.push_back(again);
            }
            return;
        }
        while t.samples.len() >= SAMPLES || (self.kept + payload.len() > KEPT_BYTES && !t.samples.is_empty()) {
            self.kept -= t.samples.pop_front().map_or(0, |old| old.len());
        }
        if self.kept + payload.len() > KEPT_BYTES {
            self.dropped.no_room += 1;
            return;
        }
        self.kept += payload.len();
        t.samples.push_back(payload.to_vec());
    }

    /// By name.
    pub fn topics(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.topics.iter().map(|(name, t)| (name.as_str(), t))
    }

    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// Topics and payloads of what devices announce of themselves, by name.
    pub fn announcements(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.announcements.iter().map(|(name, payload)| (name.as_str(), payload.as_slice()))
    }

    /// The prefix of announcements.
    pub fn prefix(&self) -> &str {
        self.prefix.trim_end_matches('/')
    }

    pub fn messages(&self) -> u64 {
        self.messages
    }

    pub fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// Bytes of payloads that are kept.
    pub fn kept(&self) -> usize {
        self.kept
    }
}

/// Control characters, and those that turn the direction of writing: whoever publishes decides what stands in a topic.
fn moves_the_cursor(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ts = Ts(1_795_824_000_000);

    fn heard() -> Heard {
        Heard::new("homeassistant", "g-1")
    }

    fn samples<'h>(h: &'h Heard, topic: &str) -> Vec<&'h str> {
        h.topic(topic).unwrap().samples().map(|s| std::str::from_utf8(s).unwrap()).collect()
    }

    #[test]
    fn a_hundred_thousand_topics_do_not_grow_it() {
        let mut h = heard();
        let payload = vec![b'x'; PAYLOAD_BYTES];
        for i in 0..100_000 {
            h.take(&format!("flood/{i}/{}", "y".repeat(200)), &payload, false, NOW);
        }
        assert_eq!((h.topics().count(), h.messages()), (TOPICS, 100_000));
        assert!(h.kept() <= KEPT_BYTES && h.kept() > KEPT_BYTES - PAYLOAD_BYTES, "{}", h.kept());
        let fit = u64::try_from(KEPT_BYTES / PAYLOAD_BYTES).unwrap();
        assert_eq!(*h.dropped(), Dropped { table_full: 98_000, no_room: 2_000 - fit, ..Dropped::default() });
        // Those that are in it are still heard.
        h.take(&format!("flood/7/{}", "y".repeat(200)), b"1", false, NOW);
        assert_eq!(h.dropped().table_full, 98_000);
        assert_eq!(samples(&h, &format!("flood/7/{}", "y".repeat(200))), ["1"], "older payloads of a topic make room for its newest");
    }

    #[test]
    fn announcements_have_a_table_of_their_own_that_does_not_grow_either() {
        let mut h = heard();
        for i in 0..100_000 {
            h.take(&format!("homeassistant/sensor/x{i}/config"), b"{}", true, NOW);
        }
        assert_eq!((h.announcements().count(), h.topics().count()), (ANNOUNCEMENTS, 0));
        assert_eq!(h.dropped().table_full, 98_000);
        h.take("homeassistant/sensor/x7/config", b"", true, NOW);
        assert_eq!((h.announcements().count(), h.kept()), (ANNOUNCEMENTS - 1, 2 * (ANNOUNCEMENTS - 1)));
        h.take("homeassistant/sensor/big/config", &vec![b' '; PAYLOAD_LIMIT + 1], true, NOW);
        assert_eq!(h.dropped().long_payload, 1);
        h.take("homeassistant/status", b"online", true, NOW);
        assert_eq!(h.topics().count(), 1, "what is no announcement is a topic like any other");
    }

    #[test]
    fn the_newest_different_payloads_are_kept() {
        let mut h = heard();
        for i in 0..20 {
            h.take("a", i.to_string().as_bytes(), i == 0, Ts(NOW.0 + i));
        }
        assert_eq!(samples(&h, "a"), ["19", "18", "17", "16", "15", "14", "13", "12"]);
        h.take("a", b"15", false, NOW);
        h.take("a", b"", false, NOW);
        assert_eq!(samples(&h, "a")[..2], ["15", "19"]);
        let t = h.topic("a").unwrap();
        assert_eq!((t.messages, t.bytes, t.retained, h.kept()), (22, 0, false, 16));
    }

    #[test]
    fn every_message_that_is_not_kept_has_a_reason() {
        let mut h = heard();
        h.take(&"t".repeat(TOPIC_BYTES + 1), b"1", false, NOW);
        h.take("a\u{1b}[2J", b"1", false, NOW);
        h.take("a\u{202e}b", b"1", false, NOW);
        h.take("big", &vec![b'1'; PAYLOAD_BYTES + 1], false, NOW);
        assert_eq!(*h.dropped(), Dropped { long_topic: 1, unprintable_topic: 2, long_payload: 1, ..Dropped::default() });
        assert_eq!(h.dropped().total(), 4);
        let big = h.topic("big").unwrap();
        assert_eq!((big.newest(), big.bytes), (None, PAYLOAD_BYTES + 1));
    }

    #[test]
    fn the_gateways_own_words_are_no_news() {
        let mut h = heard();
        h.take(&announce::status_topic("g-1"), b"online", true, NOW);
        h.take(&announce::state_topic("g-1", "b15"), b"{}", true, NOW);
        h.take(&announce::config_topic("homeassistant", "g-1", "b15"), b"{}", true, NOW);
        assert_eq!((h.messages(), h.topics().count(), h.announcements().count()), (0, 0, 0));
        // Another gateway's meters may be what is looked for.
        h.take(&announce::config_topic("homeassistant", "g-2", "b15"), b"{}", true, NOW);
        h.take(&announce::state_topic("g-2", "b15"), b"{}", true, NOW);
        assert_eq!((h.messages(), h.topics().count(), h.announcements().count()), (2, 1, 1));
    }

    #[test]
    fn what_the_reasons_say_is_what_holds() {
        let said: String = Dropped::default().by_reason().iter().map(|(_, _, says)| *says).collect();
        for figure in [format!("first {TOPICS}"), format!("{TOPIC_BYTES} bytes"), "16 KiB".into(), "64 KiB".into(), "8 MiB".into()] {
            assert!(said.contains(&figure), "{figure}");
        }
        assert_eq!((PAYLOAD_BYTES, PAYLOAD_LIMIT, KEPT_BYTES, TOPICS), (16 << 10, 64 << 10, 8 << 20, ANNOUNCEMENTS));
    }
}
