//! What is known of one point's habits, taken out of the engine to be looked at: what its meter can show takes milliseconds to work out, in which
//! readings would wait.

use super::Engine;
use crate::domain::detect::balance::Subs;
use crate::domain::detect::learned::Learned;
use crate::domain::detect::sight::Sights;
use crate::domain::incident::Grant;
use crate::domain::time::Ts;
use crate::domain::topology::{PointIx, PointKind};
use crate::domain::units::{Amount, Rate};

/// A copy of what the rules know of a point, and what a person has granted it.
#[derive(Clone, Debug)]
pub struct Study {
    learned: Learned,
    kind: PointKind,
    pulse: Amount,
    max_flow: Rate,
    subs: Subs,
    /// What counts as usual by a person's word, not over yet.
    pub granted: Vec<Grant>,
}

impl Study {
    /// What the meter can show.
    pub fn sees(&self) -> Sights {
        self.learned.sees(self.kind, self.pulse, self.subs, self.max_flow)
    }
}

impl Engine {
    /// What is known of a point at `now`; None where nothing is learned, since it measures no water.
    pub fn study(&self, p: PointIx, now: Ts) -> Option<Study> {
        let point = self.topology.points.get(p.0 as usize).filter(|point| point.measures_water())?;
        let learned = self.points[p.0 as usize].learned.clone();
        let (pulse, max_flow, subs) = (point.meter.pulse_weight, point.meter.max_flow, self.subs[p.0 as usize]);
        Some(Study { learned, kind: point.kind, pulse, max_flow, subs, granted: self.grants(p, now) })
    }
}
