//! Which metering points an export is about.

use crate::domain::topology::{Medium, PlaceIx, PointIx, PointKind, Topology};

/// What was asked for. Nothing asked is everything; meters and places add up, kinds and mediums narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Keys of metering points.
    pub meters: Vec<String>,
    /// Keys of places: all metering points at or under them.
    pub places: Vec<String>,
    pub kinds: Vec<PointKind>,
    pub mediums: Vec<Medium>,
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
    /// Some of them measure other things than plain water: their rows say what, and in which unit.
    pub mixed: bool,
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
            let kind = wanted.kinds.is_empty() || wanted.kinds.contains(&point.kind);
            let medium = wanted.mediums.is_empty() || wanted.mediums.contains(&point.medium);
            here && kind && medium
        });
        let points: Vec<PointIx> = points.collect();
        let mixed = points.iter().any(|ix| topology.point(*ix).medium != Medium::Water);
        Ok(Selection { points, everything: *wanted == Wanted::default(), mixed })
    }
}

fn place(topology: &Topology, key: &str) -> Option<PlaceIx> {
    topology.places.iter().position(|p| p.key == key).and_then(|i| u32::try_from(i).ok()).map(PlaceIx)
}
