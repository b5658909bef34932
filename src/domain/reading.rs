//! What arrives: one message of a source, decoded, and what becomes of it.
//!
//! Every message that was received ends in exactly one of three: stored, duplicate, rejected for a [`Reject`] reason.

use super::time::Ts;
use super::topology::{FeedIx, MAX_COLUMNS};
use super::units::Quantity;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A source's small number in the store, given when it is first heard. Stable for the life of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(pub u32);

/// Up to [`MAX_COLUMNS`] integers in the smallest units of a source's columns; a column may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Values {
    mask: u8,
    v: [i64; MAX_COLUMNS],
}

impl Values {
    pub const NONE: Values = Values { mask: 0, v: [0; MAX_COLUMNS] };

    /// The values of a source with a single column.
    pub fn single(v: i64) -> Values {
        let mut out = Values::NONE;
        out.set(0, v);
        out
    }
    /// Sets column `i`; beyond [`MAX_COLUMNS`] nothing is set (the config refuses such feeds).
    pub fn set(&mut self, i: usize, v: i64) {
        if let Some(slot) = self.v.get_mut(i) {
            *slot = v;
            self.mask |= 1 << i;
        }
    }
    pub fn get(&self, i: usize) -> Option<i64> {
        if i < MAX_COLUMNS && self.mask & (1 << i) != 0 { Some(self.v[i]) } else { None }
    }
    pub fn is_empty(&self) -> bool {
        self.mask == 0
    }
    pub fn iter(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        (0..MAX_COLUMNS).filter_map(|i| self.get(i).map(|v| (i, v)))
    }
}

/// What is known about a stored row beyond its numbers. Bits, because the store keeps them as one integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flags(pub u8);

impl Flags {
    pub const NONE: Flags = Flags(0);
    /// The system clock was not synchronised when the row arrived: its time may be wrong.
    pub const CLOCK_UNSURE: Flags = Flags(1);
    /// The payload had no time of its own: the row is keyed by its arrival.
    pub const ARRIVAL_TIME: Flags = Flags(2);
    /// Its time lay far ahead of a clock that was not synchronised: kept for a person to judge, no ledger takes it on.
    pub const AHEAD: Flags = Flags(4);

    pub fn contains(self, f: Flags) -> bool {
        self.0 & f.0 == f.0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, o: Flags) -> Flags {
        Flags(self.0 | o.0)
    }
}

/// One decoded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub feed: FeedIx,
    /// The concrete topic: the key of the source.
    pub topic: Arc<str>,
    /// The payload's own time; None where it has none.
    pub ts: Option<Ts>,
    /// When the gateway received it.
    pub received: Ts,
    /// In the order of the feed's columns.
    pub values: Values,
    /// The broker kept this message and sent it because we subscribed.
    pub retained: bool,
    /// The system clock was synchronised when it arrived.
    pub clock_sure: bool,
}

/// A message that could not be decoded: counted, shown, never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The subscription that it came by; None where none matches (left over from an earlier config).
    pub feed: Option<FeedIx>,
    pub topic: Arc<str>,
    pub received: Ts,
    pub reason: Reject,
    /// The head of the payload, at most [`EXCERPT_BYTES`] bytes of it, control characters escaped.
    pub excerpt: String,
}

/// A device's own word, or its broker's, whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    pub feed: FeedIx,
    /// The source that it speaks of; None: of all sources of the feed.
    pub topic: Option<Arc<str>>,
    pub online: bool,
    pub received: Ts,
}

/// How much of a bad payload is kept to be shown.
pub const EXCERPT_BYTES: usize = 200;

/// A row of the hot table: one message of one source. (ts, source) is the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub ts: Ts,
    pub source: SourceId,
    pub values: Values,
    pub flags: Flags,
}

/// Why a message was not stored. The code is stable (metrics, API); the arguments tell place and value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reject {
    /// The payload is larger than a meter's message can be.
    Size { bytes: usize, limit: usize },
    /// Bytes that are no text; `at` is the first bad byte.
    Utf8 { at: usize },
    /// Text that is no JSON; line and column are 1-based.
    Json { line: usize, column: usize },
    /// Nothing stands at this place of the JSON, or the payload is empty.
    Missing { at: String },
    /// What stands there is no number.
    Number { at: String, found: String },
    /// The number's own unit measures something else than the config says.
    Unit { at: String, found: String, expected: Quantity },
    /// A number that no meter shows (beyond 64 bits in the smallest unit).
    Range { at: String, found: String },
    /// A time stamp that cannot be read.
    TimeSyntax { at: String, found: String },
    /// A time stamp before anything here existed.
    TimeOld { ts: Ts, since: Ts },
    /// A time stamp more than ten minutes ahead of a synchronised clock.
    TimeAhead { ts: Ts, now: Ts },
    /// A retained message without a time of its own: it may be days old.
    Retained,
    /// A frame of bytes that is broken: what stands where, and what would be right.
    Frame { what: String },
    /// Nothing is wrong with it, but it carries no reading: it tells whether the device is there, or of things that nobody asked for.
    NoReading,
    /// A topic that no subscription of this config names.
    Topic,
    /// Other values are stored for this very instant; the first wins. In smallest units, by stored column.
    Conflict { ts: Ts, stored: Vec<i64>, got: Vec<i64> },
    /// The gateway already knows as many sources as it can.
    Sources { limit: usize },
    /// The config's columns for this topic changed so often that its row has no room left.
    Columns { limit: usize },
}

impl Reject {
    /// Every code, in the order of the metric's label values.
    pub const CODES: &[&str] = &[
        "size",
        "utf8",
        "json",
        "missing",
        "number",
        "unit",
        "range",
        "time_syntax",
        "time_old",
        "time_ahead",
        "retained",
        "topic",
        "conflict",
        "sources",
        "columns",
        "frame",
        "no_reading",
    ];

    pub fn code(&self) -> &'static str {
        Reject::CODES[self.index()]
    }

    /// Position of this reason in [`Reject::CODES`].
    pub fn index(&self) -> usize {
        match self {
            Reject::Size { .. } => 0,
            Reject::Utf8 { .. } => 1,
            Reject::Json { .. } => 2,
            Reject::Missing { .. } => 3,
            Reject::Number { .. } => 4,
            Reject::Unit { .. } => 5,
            Reject::Range { .. } => 6,
            Reject::TimeSyntax { .. } => 7,
            Reject::TimeOld { .. } => 8,
            Reject::TimeAhead { .. } => 9,
            Reject::Retained => 10,
            Reject::Topic => 11,
            Reject::Conflict { .. } => 12,
            Reject::Sources { .. } => 13,
            Reject::Columns { .. } => 14,
            Reject::Frame { .. } => 15,
            Reject::NoReading => 16,
        }
    }
}

/// For the log, in English; people read the edge's own texts.
impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reject::Size { bytes, limit } => write!(f, "payload of {bytes} bytes, at most {limit} are taken"),
            Reject::Utf8 { at } => write!(f, "payload is not UTF-8 text: bad byte at {at}"),
            Reject::Json { line, column } => write!(f, "payload is not JSON: error at line {line}, column {column}"),
            Reject::Missing { at } => write!(f, "nothing at {at:?}"),
            Reject::Number { at, found } => write!(f, "{found:?} at {at:?} is not a number"),
            Reject::Unit { at, found, expected } => write!(f, "unit {found:?} at {at:?} does not measure {expected:?}"),
            Reject::Range { at, found } => write!(f, "{found:?} at {at:?} is too large for any meter"),
            Reject::TimeSyntax { at, found } => write!(f, "{found:?} at {at:?} is not a time stamp"),
            Reject::TimeOld { ts, since } => write!(f, "time stamp {ts} lies before {since}"),
            Reject::TimeAhead { ts, now } => write!(f, "time stamp {ts} lies more than 10 minutes ahead of {now}"),
            Reject::Retained => write!(f, "retained message without a time of its own: it may be days old"),
            Reject::Frame { what } => write!(f, "broken frame: {what}"),
            Reject::NoReading => write!(f, "it carries no reading"),
            Reject::Topic => write!(f, "no subscription of the config names this topic"),
            Reject::Conflict { ts, stored, got } => write!(f, "{got:?} for {ts}, where {stored:?} is already stored: the first wins"),
            Reject::Sources { limit } => write!(f, "more than {limit} sources"),
            Reject::Columns { limit } => write!(f, "more than {limit} different columns for this topic since the store began"),
        }
    }
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Stored,
    Duplicate,
    Rejected(Reject),
}

/// received = stored + duplicate + rejected + in flight, since the process started.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub received: u64,
    pub stored: u64,
    pub duplicate: u64,
    /// By position in [`Reject::CODES`].
    pub rejected: [u64; 17],
}

impl Counts {
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }
    /// Received, but not yet known to be durable.
    pub fn in_flight(&self) -> u64 {
        self.received.saturating_sub(self.stored + self.duplicate + self.rejected_total())
    }
}

/// The head of a payload as it can be shown: at most [`EXCERPT_BYTES`] bytes, bytes that are no text as `\xNN`, control characters escaped.
pub fn excerpt(payload: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = &payload[..payload.len().min(EXCERPT_BYTES)];
    let cut = payload.len() > rest.len();
    while !rest.is_empty() {
        let (good, bad) = match std::str::from_utf8(rest) {
            Ok(_) => (rest.len(), 0),
            Err(e) => (e.valid_up_to(), e.error_len().unwrap_or(rest.len() - e.valid_up_to())),
        };
        // The prefix was just proven to be text; lossy conversion changes nothing.
        for c in String::from_utf8_lossy(&rest[..good]).chars() {
            if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
        }
        for b in &rest[good..good + bad] {
            out.push_str(&format!("\\x{b:02x}"));
        }
        rest = &rest[good + bad..];
    }
    if cut {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_code() {
        let mut codes = Reject::CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Counts::default().rejected.len());
        let r = Reject::Conflict { ts: Ts(1), stored: vec![1], got: vec![2] };
        assert_eq!(serde_json::to_value(&r).unwrap()["code"], r.code());
    }

    #[test]
    fn an_excerpt_is_bounded_and_harmless() {
        assert_eq!(excerpt(b"{\"v\":1}\x1b[31m\n"), "{\"v\":1}\\u{1b}[31m\\n");
        assert_eq!(excerpt(b"ab\xff\xfe\xe5\x92"), "ab\\xff\\xfe\\xe5\\x92");
        assert_eq!(excerpt(&vec![b'x'; 1_000_000]).len(), EXCERPT_BYTES + '…'.len_utf8());
        assert_eq!(excerpt("和韵".as_bytes()), "和韵");
    }
}
