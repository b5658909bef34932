//! The durable part of the engine's state as one value: a fold's shortcut, never the truth.

use super::heat::HeatMemory;
use super::point::PointMemory;
use super::source::Raised;
use super::source::Recent;
use crate::domain::incident::Book;
use crate::domain::reading::{SourceId, Values};
use crate::domain::time::Ts;
use crate::domain::topology::{Point, Topology};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Form of [`Checkpoint`]. A checkpoint of another form is not read: the state is folded from the readings instead.
pub const CHECKPOINT_FORM: u32 = 1;

/// All that a fold over every commit up to `batch` would give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub form: u32,
    /// The last batch that is in it.
    pub batch: u64,
    /// By key; also of points that the config no longer names, should they come back.
    pub points: BTreeMap<String, PointMemory>,
    pub sources: BTreeMap<SourceId, SourceMemory>,
    /// By a point's key. Checkpoints of before the heating was watched have none.
    #[serde(default)]
    pub heat: BTreeMap<String, HeatMemory>,
    pub book: Book,
}

impl Checkpoint {
    /// False where the config now says that a meter counts otherwise: then the amounts in here are none, and the readings tell them anew.
    pub fn fits(&self, topology: &Topology) -> bool {
        // One that measures something else begins anew anyway.
        let of = |p: &Point| self.points.get(&p.key).filter(|m| !m.is_of_other(p)).and_then(|m| m.scale);
        let counts_so = |p: &Point| of(p).is_none_or(|scale| scale == p.meter.scale());
        topology.points.iter().all(counts_so)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceMemory {
    pub last: Option<(Ts, Values)>,
    pub recent: Recent,
    /// Checkpoints of before there were flags have none.
    #[serde(default)]
    pub raised: Raised,
}
