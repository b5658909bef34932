//! The half of the engine that waits. What it knows of the silence of its points: when each was heard, what was said about it, when the next is due.

use super::{Effects, Engine, IdentityKind, SILENT};
use crate::domain::detect::silence;
use crate::domain::id::id_time;
use crate::domain::time::Ts;
use crate::domain::topology::PointIx;

/// What was said about the silence of a point and is not cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    None,
    Open,
    /// A person closed it: not said again until the point was heard after `last`.
    Closed {
        last: Ts,
    },
}

impl Engine {
    /// What was said about the silence of a point; found again after one was ended, which is rare.
    pub(super) fn silence(&mut self, p: PointIx) -> Silence {
        if self.silences.is_empty() {
            self.silences.resize(self.points.len(), Silence::None);
            for (key, last, open) in self.book.silences() {
                let Some(said) = self.point_of_key.get(key).and_then(|p| self.silences.get_mut(p.0 as usize)) else { continue };
                *said = match said {
                    Silence::Open => Silence::Open,
                    _ if open => Silence::Open,
                    _ => Silence::Closed { last },
                };
            }
        }
        self.silences.get(p.0 as usize).copied().unwrap_or(Silence::None)
    }

    /// The points that read this source have been heard: a silence of theirs is over.
    pub(super) fn end_silences(&mut self, now: Ts, at: usize, out: &mut Effects) {
        for i in 0..self.sources[at].points.len() {
            let p = self.sources[at].points[i];
            let Some(limit) = self.topology.point(p).limits.silent_after else { continue };
            match self.silence(p) {
                Silence::Open if self.last_heard(p) + limit > now => {
                    let events = self.book.cleared(now, &self.topology.point(p).key, SILENT);
                    self.emit(events, out);
                    self.silence_due = None;
                }
                Silence::Closed { last } if self.last_heard(p) > last => {
                    self.silences[p.0 as usize] = Silence::None;
                    self.silence_due = None;
                }
                _ => {}
            }
        }
    }

    pub(super) fn silence_deadline(&mut self, p: PointIx, listening: Ts) -> Option<Ts> {
        let limit = self.topology.point(p).limits.silent_after?;
        self.topology.point(p).source.as_ref()?;
        let heard = self.last_heard(p);
        match self.silence(p) {
            Silence::Open => None,
            Silence::Closed { last } if heard <= last => None,
            _ => Some(silence::deadline(heard, listening, limit)),
        }
    }

    /// The newest reading's time; before the first one, when the config first named the point.
    pub(super) fn last_heard(&self, p: PointIx) -> Ts {
        self.points[p.0 as usize]
            .heard
            .or_else(|| id_time(&self.identity(IdentityKind::Point, &self.topology.point(p).key)?))
            .unwrap_or_default()
    }
}
