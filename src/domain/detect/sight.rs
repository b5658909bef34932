//! What a meter can show: for the law that its rules have learned, the smallest leaks that they are sure to tell, and how soon.
//!
//! Computed from the very thresholds by which the rules speak, for a leak that begins at the worst hour and runs evenly; use that is odd on just
//! that day may hide it for longer. A promise, no more than is known: what is smaller may be told as well.

use crate::domain::time::Ms;
use crate::domain::units::Rate;

/// A leak of `rate` that never rests is told within `within`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Code of the finding.
    pub rule: &'static str,
    pub rate: Rate,
    pub within: Ms,
    /// It may take so long where it begins with the full hour, as people's work does.
    pub by_the_clock: Option<Ms>,
    /// Finer pulses would show less.
    pub by_pulse: bool,
}

/// A rule that does not know yet what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learning {
    /// Code of the finding.
    pub rule: &'static str,
    /// Days that it knows, and how many it takes.
    pub days: u32,
    pub of: u32,
    /// Until then it says nothing. Else it judges by what any such meter does.
    pub is_mute: bool,
}

impl Learning {
    /// Of a rule that says nothing yet.
    pub(super) fn mute(rule: &'static str, days: usize, of: usize) -> Learning {
        let count = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Learning { rule, days: count(days), of: count(of), is_mute: true }
    }
}

/// All that a meter can show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sights {
    /// From the smallest and slowest to the largest and soonest: none is later than a larger one, or hardly smaller.
    pub sights: Vec<Sight>,
    pub learning: Vec<Learning>,
}

impl Sights {
    /// Takes what one rule can show.
    pub(super) fn add(&mut self, seen: Result<Vec<Sight>, Learning>) {
        match seen {
            Ok(sights) => self.sights.extend(sights),
            Err(learning) => self.learning.push(learning),
        }
    }

    /// Leaves out what another rule shows better, and what is more than can flow.
    pub(super) fn sorted(mut self, max_flow: Rate) -> Sights {
        self.sights.retain(|s| s.rate <= max_flow);
        self.sights.sort_by_key(|s| (s.rate, s.within));
        let mut best = Ms(i64::MAX);
        self.sights.retain(|s| {
            let is_sooner = s.within < best;
            best = best.min(s.within);
            is_sooner
        });
        // What comes sooner for a fifth more says all.
        let rates: Vec<i64> = self.sights.iter().skip(1).map(|s| s.rate.0).chain([i64::MAX]).collect();
        let mut sooner = rates.into_iter();
        self.sights.retain(|s| sooner.next().is_none_or(|next| next / 6 > s.rate.0 / 5));
        self
    }
}

/// Marks what finer pulses would show: `fine` is the same for a pulse of a litre.
pub(super) fn by_pulse(mut sights: Vec<Sight>, fine: &[Sight]) -> Vec<Sight> {
    for (s, f) in sights.iter_mut().zip(fine) {
        s.by_pulse = s.rate.0 * 4 > f.rate.0 * 5;
    }
    sights
}

#[cfg(test)]
mod tests;
