//! One source at work: its place in the store, its columns, its counters, what it sent last.

use super::message::SourceRecord;
use super::snapshot::BadPayload;
use crate::domain::flag::FlagSet;
use crate::domain::reading::{Counts, SourceId, Values};
use crate::domain::time::Ts;
use crate::domain::topology::{Column, Feed, FeedIx, MAX_COLUMNS, PointIx, Topology};
use crate::domain::units::Quantity;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What the store knows of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub source: SourceId,
    pub id: Arc<str>,
}

/// A source of messages.
#[derive(Clone, Debug)]
pub struct Source {
    pub topic: Arc<str>,
    /// None until its first message was taken on.
    pub known: Option<Known>,
    pub feed: Option<FeedIx>,
    /// As they stand in the store: a config may have named others before.
    pub columns: Arc<[Column]>,
    /// Stored column of each of the feed's columns; None until the first message of this process.
    map: Option<Vec<u8>>,
    /// (stored column, point that reads it)
    pub readers: Vec<(usize, PointIx)>,
    /// Points that hear of it at all, in the order of the config; its flags speak of the first.
    pub points: Vec<PointIx>,
    pub raised: Raised,
    /// What the device or its broker says, since the process started: it is there or not, and since when.
    pub presence: Option<(bool, Ts)>,
    /// Newest row.
    pub last: Option<(Ts, Values)>,
    /// For payloads without a time of their own.
    pub recent: Recent,
    pub counts: Counts,
    pub last_bad: Option<BadPayload>,
    /// Its record must be written (again) with its next row.
    pub record_due: bool,
}

impl Source {
    pub fn new(topic: Arc<str>) -> Source {
        Source {
            topic,
            known: None,
            feed: None,
            columns: Arc::from([]),
            map: None,
            readers: vec![],
            points: vec![],
            raised: Raised::default(),
            presence: None,
            last: None,
            recent: Recent::default(),
            counts: Counts::default(),
            last_bad: None,
            record_due: false,
        }
    }

    pub fn from_record(r: &SourceRecord) -> Source {
        let mut s = Source::new(r.topic.clone());
        s.known = Some(Known { source: r.source, id: r.id.clone() });
        s.columns = r.columns.as_slice().into();
        s
    }

    /// True if [`Source::bind`] must be asked before the next row of `feed`.
    pub fn is_unbound(&self, feed: FeedIx) -> bool {
        self.map.is_none() || self.feed != Some(feed)
    }

    /// Finds the stored column of each of the feed's columns, adding those that are new. True if columns were added. None,
    /// changing nothing, if there is no room for them.
    pub fn bind(&mut self, ix: FeedIx, feed: &Feed) -> Option<bool> {
        let mut columns = self.columns.to_vec();
        let mut map = vec![];
        for c in &feed.columns {
            let at = columns.iter().position(|known| known == c).unwrap_or_else(|| {
                columns.push(c.clone());
                columns.len() - 1
            });
            map.push(u8::try_from(at).ok()?);
        }
        if columns.len() > MAX_COLUMNS {
            return None;
        }
        let added = columns.len() > self.columns.len();
        self.columns = columns.into();
        self.feed = Some(ix);
        self.map = Some(map);
        Some(added)
    }

    /// Finds the stored columns that `points` read. Needs no message: the config says which feed serves the topic.
    pub fn find_readers(&mut self, points: &[PointIx], topology: &Topology) {
        self.points = points.to_vec();
        self.readers = points
            .iter()
            .filter_map(|p| topology.point(*p).source.as_ref().map(|b| (*p, b)))
            .filter_map(|(p, b)| {
                let wanted = topology.feed(b.feed).columns.get(usize::from(b.column?))?;
                let at = self.columns.iter().position(|c| c == wanted)?;
                Some((at, p))
            })
            .collect();
    }

    /// The flags that stand in a stored row; None where it says nothing of them.
    pub fn flags(&self, values: &Values) -> Option<FlagSet> {
        let column = self.columns.iter().position(|c| c.quantity == Quantity::Flags)?;
        values.get(column).map(FlagSet::of_column)
    }

    /// The feed's values at their stored columns.
    pub fn stored_values(&self, values: &Values) -> Values {
        let Some(map) = &self.map else { return *values };
        let mut out = Values::NONE;
        for (i, v) in values.iter() {
            if let Some(at) = map.get(i) {
                out.set(usize::from(*at), v);
            }
        }
        out
    }
}

/// The flags of a source, by the row that arrived last: a device tells how things are now, whatever its clock says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    pub flags: FlagSet,
    /// Since when one of them was last told anew, by the row's time.
    pub told: Option<Ts>,
}

/// What a source without time stamps sent in its last batch, and in the one directly before, so that what the broker sends again
/// after a reconnect can be told from new readings: by equality with what had perhaps not been acknowledged. It is the source's own
/// last batch, however long ago: while the broker is away, others (a pin, a person) go on committing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    sent: Vec<(u64, Values)>,
    /// After a reconnect: not yet seen again.
    #[serde(skip)]
    awaited: Vec<Values>,
}

impl Recent {
    /// Remembers a row of batch `batch`; rows of batches before the last are forgotten.
    pub fn push(&mut self, batch: u64, values: Values) {
        self.sent.retain(|(b, _)| b + 1 >= batch);
        self.sent.push((batch, values));
    }

    /// A connection was made.
    pub fn reconnected(&mut self) {
        self.awaited = self.sent.iter().map(|(_, v)| *v).collect();
    }

    /// True if these values are one of those that may come again. The broker keeps the order: the first that is none of them
    /// ends the repetition.
    pub fn is_repetition(&mut self, values: &Values) -> bool {
        match self.awaited.iter().position(|v| v == values) {
            Some(i) => {
                self.awaited.drain(..=i);
                true
            }
            None => {
                self.awaited.clear();
                false
            }
        }
    }
}
