//! What the law of a home can show: the rule run forward over the hours of a day with a leak of each size.

use super::super::sight::{Learning, Sight};
use super::{BINS, Demand, EDGES, Home, LIVED_IN, LOSS, Law, Leak, ONE, STEADY, any_home, drawn_by_any, unit};
use crate::domain::time::Ms;
use crate::domain::units::{Amount, Rate};

/// Days of a home's own that make its law; before that it is mostly what any home does.
const DAYS: u32 = 7;
/// What takes longer is not promised.
const LONGEST: i64 = 10 * 24;
/// The smallest leak at all, and the smallest within so many hours.
const WITHIN: [i64; 4] = [LONGEST, 48, 24, 6];
/// Sums rise by chance as well: what would take so many hours in the mean takes half as many again.
const MARGIN: (i64, i64) = (3, 2);

/// What an hour of each hour of the day adds to the two sums in the mean, in nats.
type Gains = [(f64, f64); 24];

impl Home {
    /// What it can show, at what it knows now. A first hour is not needed: any home's law is known.
    pub fn sees(&self, pulse: Amount) -> Vec<Sight> {
        let sizes: Vec<(f64, i64)> = STEADY.into_iter().filter_map(|l| Some((l, self.worst(Leak::Steady(l), l, pulse)?))).collect();
        // Below a pulse in an hour nothing is promised: whether it never rests cannot be seen.
        let smallest = unit(pulse) as f64 / 1_000.0;
        let seen = || sizes.iter().filter(|(l, _)| *l >= smallest);
        let mut sights: Vec<Sight> = vec![];
        for limit in WITHIN {
            let Some((l, hours)) = seen().find(|(_, hours)| *hours <= limit) else { continue };
            let rate = Rate(i64::from(super::thousandths(*l)));
            if sights.iter().all(|s| s.rate != rate) {
                // One or two pulses an hour: with finer ones it could be less.
                let by_pulse = pulse.0 > 1_000 && *l <= 2.0 * smallest;
                sights.push(Sight { rule: "leak_steady", rate, within: Ms::hours(*hours), by_the_clock: None, by_pulse });
            }
        }
        sights
    }

    /// How far it is with learning, if that matters still.
    pub fn learning(&self) -> Option<Learning> {
        let hours: u32 = self.histograms.iter().flatten().map(|n| u32::from(*n)).sum();
        let days = hours / u32::from(ONE) / 24;
        (days < DAYS).then_some(Learning { rule: "leak_steady", days, of: DAYS, is_mute: false })
    }

    /// Hours until a leak is told that begins at the worst hour of the day.
    fn worst(&self, leak: Leak, litres: f64, pulse: Amount) -> Option<i64> {
        let (gains, demand) = (self.gains(leak, litres, pulse), leak.demand());
        (0..24).map(|begins| told(&gains, &demand, begins)).try_fold(0, |worst, hours| Some(worst.max(hours?)))
    }

    fn gains(&self, leak: Leak, litres: f64, pulse: Amount) -> Gains {
        let unit = unit(pulse) as f64 / 1_000.0;
        let demand = leak.demand();
        let drawn = drawn_by_any(unit);
        let mut out = [(0.0, 0.0); 24];
        for (k, out) in out.iter_mut().enumerate() {
            let any = any_home(LIVED_IN[k], &drawn);
            let mass = if self.histograms.is_empty() { any } else { self.own(k, &any) };
            let (own_law, any_law) = (Law::of(&mass), Law::of(&any));
            let counts = (0..BINS).map(|b| if b == 0 { 0.0 } else { (f64::from(EDGES[b - 1]) + 1.0 + f64::from(EDGES[b])) / 2.0 });
            for (used, mass) in counts.zip(mass) {
                // Pulses are whole: what a leak lets out is now one less, now one more.
                let all = used + litres / unit;
                for (count, part) in [(all.floor(), 1.0 - all.fract()), (all.floor() + 1.0, all.fract())] {
                    let gain = |law: &Law, allowance: f64| (leak.ratio(law, count, unit) - allowance).clamp(LOSS, demand.gain);
                    out.0 += mass * part * gain(&own_law, demand.own_allowance);
                    out.1 += mass * part * gain(&any_law, demand.any_allowance);
                }
            }
        }
        out
    }
}

/// Hours from `begins` on until both sums come to what is demanded; None where that takes too long. The hour in which it begins tells nothing.
fn told(gains: &Gains, demand: &Demand, begins: usize) -> Option<i64> {
    let (mut own, mut any) = (0.0f64, 0.0f64);
    for (hour, (more_own, more_any)) in (1..=LONGEST).zip(gains.iter().cycle().skip(begins)) {
        (own, any) = ((own + more_own).max(0.0), (any + more_any).max(0.0));
        if own >= demand.own && any >= demand.any {
            let hours = (hour.max(demand.hours) * MARGIN.0 + MARGIN.1 - 1) / MARGIN.1 + 1;
            return (hours <= LONGEST).then_some(hours);
        }
    }
    None
}
