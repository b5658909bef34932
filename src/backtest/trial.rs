//! What is to be tried: for which meters, over which span, with which limits.

use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{Limits, PlaceIx, PointIx, Topology};
use crate::domain::units::Amount;

/// A limit that is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice<T> {
    /// As it is configured.
    #[default]
    AsNow,
    Off,
    To(T),
}

impl<T: Copy> Choice<T> {
    fn on(self, configured: Option<T>) -> Option<T> {
        match self {
            Choice::AsNow => configured,
            Choice::Off => None,
            Choice::To(v) => Some(v),
        }
    }
}

/// The limits that are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Water within an hour.
    pub per_hour: Choice<Amount>,
    /// Water within a calendar month, and its projection.
    pub per_month: Choice<Amount>,
    /// Without a reading for so long a meter is silent.
    pub silent_after: Choice<Ms>,
}

impl Tried {
    /// Nothing else than what is configured.
    pub fn is_as_now(&self) -> bool {
        *self == Tried::default()
    }

    /// Changes the limits of one point, whose config allows for those of water or not, and of silence or not.
    fn apply(&self, limits: &mut Limits, is_water: bool, can_be_silent: bool) {
        if is_water {
            limits.per_hour = self.per_hour.on(limits.per_hour);
            limits.per_month = self.per_month.on(limits.per_month);
        }
        if can_be_silent {
            limits.silent_after = self.silent_after.on(limits.silent_after);
        }
    }

    /// The same topology with these limits for the points that were chosen.
    pub(super) fn in_place(&self, topology: &mut Topology, chosen: &[PointIx]) {
        for p in chosen {
            let Some(point) = topology.points.get_mut(p.0 as usize) else { continue };
            let is_water = point.measures_water();
            // Somebody who reads it now and then is not silent in between.
            let is_sent = point.source.as_ref().is_some_and(|b| !b.is_by_hand());
            self.apply(&mut point.limits, is_water, is_sent);
        }
    }
}

/// Whose findings are told, and for whom the limits are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chosen {
    #[default]
    All,
    /// A place and all below it.
    Place(PlaceIx),
    Point(PointIx),
}

impl Chosen {
    pub(super) fn points(self, topology: &Topology) -> Vec<PointIx> {
        let is_in = |p: &PointIx| match self {
            Chosen::All => true,
            Chosen::Place(place) => topology.path(topology.point(*p).place).any(|above| above == place),
            Chosen::Point(one) => *p == one,
        };
        topology.point_ixs().filter(is_in).collect()
    }
}

/// What is to be tried over what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    pub chosen: Chosen,
    /// None: 90 days before the end.
    pub from: Option<Ts>,
    /// None: now.
    pub to: Option<Ts>,
    pub tried: Tried,
}
