//! Which metering points an export is about.

use crate::domain::topology::{PlaceIx, PointIx, PointKind, Topology};

/// What was asked for. Nothing asked is everything; meters and places add up, kinds narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Keys of metering points.
    pub meters: Vec<String>,
    /// Keys of places: all metering points at or under them.
    pub places: Vec<String>,
    pub kinds: Vec<PointKind>,
}

/// A key that the config does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    #[error("there is no meter {key:?}")]
    Meter { key: String },
    #[error("there is no place {key:?}")]
    Place { key: String },
}

/// Metering points in the order of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub points: Vec<PointIx>,
    /// Nothing was left out by any wish.
    pub everything: bool,
}

impl Selection {
    pub fn new(topology: &Topology, wanted: &Wanted) -> Result<Selection, Unknown> {
        let meters = wanted.meters.iter().map(|key| topology.point_by_key(key).ok_or_else(|| Unknown::Meter { key: key.clone() }));
        let meters = meters.collect::<Result<Vec<_>, _>>()?;
        let places = wanted.places.iter().map(|key| place(topology, key).ok_or_else(|| Unknown::Place { key: key.clone() }));
        let places = places.collect::<Result<Vec<_>, _>>()?;
        let anywhere = meters.is_empty() && places.is_empty();
        let points = topology.metered().filter(|ix| {
            let point = topology.point(*ix);
            let here = anywhere || meters.contains(ix) || topology.path(point.place).any(|p| places.contains(&p));
            here && (wanted.kinds.is_empty() || wanted.kinds.contains(&point.kind))
        });
        Ok(Selection { points: points.collect(), everything: *wanted == Wanted::default() })
    }
}

fn place(topology: &Topology, key: &str) -> Option<PlaceIx> {
    topology.places.iter().position(|p| p.key == key).and_then(|i| u32::try_from(i).ok()).map(PlaceIx)
}
