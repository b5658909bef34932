//! The ledger of a metering point: register readings in, volumes out.
//!
//! A register is believed when it rises no faster than real water can. What does not fit is held, not added: it is taken on only
//! when [`CONFIRMATIONS`] later readings go on from it (the device was reset or replaced), and forgotten when the register comes
//! back (a misreading, a boot that published 0). Volume is never guessed: across a reset it is unknown, across a gap it is
//! certain but its moment is not.

use super::amendment::Amendments;
use super::finding::Mark;
use super::time::{Ms, Ts};
use super::topology::{Meter, Scale};
use super::units::{Amount, Quantity, Rate};
use serde::{Deserialize, Serialize};

/// How many readings must go on from a level that does not fit before it is believed.
pub const CONFIRMATIONS: u8 = 2;

/// Two messages closer than this may carry what flowed in all of it (a device that wakes and sends twice).
pub const SHORTEST_STEP: Ms = Ms::minutes(1);

/// A register that falls has run full only if that took less than this part of its range. After a long pause nearly any fall
/// could be one: a device that lost its memory at half its range would be taken for a flood.
const ROLLOVER_PART: i64 = 10;

/// How often the register did what, since the store began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCounts {
    pub forward: u64,
    pub equal: u64,
    /// Fell by no more than its resolution: a flicker, not water.
    pub jitter: u64,
    /// Fell for good: restarted at a lower level.
    pub reset: u64,
    /// Ran full and began at zero.
    pub rollover: u64,
    /// Rose for good, further than any real flow. Not counted as water.
    pub jump: u64,
    /// Did not fit and was not confirmed: a misreading, ignored.
    pub spike: u64,
    /// Older than the newest accepted (or held) reading: stored, changes no total.
    pub late: u64,
    /// Steps over a pause much longer than usual: the volume is certain, its moment is not.
    pub gap: u64,
    /// Meters that were taken out, by a person's word.
    #[serde(default)]
    pub replaced: u64,
}

/// One value of a meter's column, in the quantity's smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    pub quantity: Quantity,
    pub ts: Ts,
    pub value: i64,
}

/// What one reading meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first reading: nothing is known of before.
    First,
    /// Water passed (or none did): from one accepted reading to the next.
    Passed { from: Mark, to: Mark, volume: Amount, gap: bool },
    /// Does not fit; held until later readings confirm or refute it.
    Held,
    /// A held level was confirmed: between `before` and `after` the volume is unknown, from `after` to `to` it is `volume`.
    Restarted { fell: bool, before: Mark, after: Mark, to: Mark, volume: Amount },
    /// Older than the newest accepted reading, or, not fitting that, than the newest held one.
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Suspect {
    first: Mark,
    newest: Mark,
    confirmations: u8,
}

/// The running account of one register.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    last: Option<Mark>,
    suspect: Option<Suspect>,
    /// The part of the offsets that is in `last` and in `suspect` and is no water.
    #[serde(default)]
    offset: Amount,
    /// The newest replacement that was taken account of.
    #[serde(default)]
    turned: Option<Ts>,
    /// Usual pause between readings, slowly adapting upwards and at once downwards.
    usual: Ms,
    flow: Option<Rate>,
    pub steps: StepCounts,
}

/// A meter was taken out between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// From the old meter's last reading to its end (or to the moment of the replacement, where nobody read it).
    pub from: Mark,
    pub to: Mark,
    /// None where nobody read the old meter, or its end lies before its last reading.
    pub volume: Option<Amount>,
}

/// How a register at `to` follows one at `from`.
enum Fit {
    Forward(Amount),
    Rollover(Amount),
    Jitter,
    None,
}

/// `missed`: so much more may have passed than the device has seen.
fn fit(meter: &Meter, scale: Scale, (from, to): (Mark, Mark), missed: Amount) -> Fit {
    let rise = to.register - from.register;
    let pause = (to.ts - from.ts).max(SHORTEST_STEP);
    // A pulse counter rounds at both ends.
    let resolution = Amount(scale.pulse_weight.0.saturating_mul(2));
    let most = meter.max_flow.over(pause.0) + resolution + missed;
    if rise >= Amount::ZERO {
        return if rise <= most { Fit::Forward(rise) } else { Fit::None };
    }
    if rise.0 >= resolution.0.saturating_neg() {
        return Fit::Jitter;
    }
    if let Some(full) = scale.rollover_at {
        let around = full - from.register + to.register;
        let nearest = most.min(Amount(full.0 / ROLLOVER_PART));
        if around >= Amount::ZERO && around <= nearest && from.register <= full {
            return Fit::Rollover(around);
        }
    }
    Fit::None
}

impl Ledger {
    /// The newest accepted reading.
    pub fn last(&self) -> Option<Mark> {
        self.last
    }

    /// Mean flow between the two newest accepted readings.
    pub fn flow(&self) -> Option<Rate> {
        self.flow
    }

    /// The meter was replaced: its register begins anew with the next reading. What was counted stays.
    pub fn replace_meter(&mut self) {
        self.last = None;
        self.suspect = None;
        self.flow = None;
    }

    /// The register that a value stands for, to be taken by [`Ledger::step`]. Pulses are weighed, by the meter that was in then.
    ///
    /// A mean flow over the span that begins at the value's time is known at its end: as a register that rose by that much. What passed in
    /// spans that nobody told is unknown: the made-up register stands still over them.
    pub fn mark(&mut self, meter: &Meter, amended: &Amendments, v: Value) -> Mark {
        match (v.quantity, meter.mean_flow_over) {
            (Quantity::Flow, Some(span)) => {
                let before = self.last.map_or(Amount::ZERO, |m| m.register);
                if self.last.is_none_or(|m| m.ts < v.ts) {
                    self.last = Some(Mark { ts: v.ts, register: before });
                }
                Mark { ts: v.ts + span, register: before + Rate(v.value).over(span.0) }
            }
            (Quantity::Pulses, _) => {
                let weight = amended.scale(meter.scale(), v.ts).pulse_weight;
                Mark { ts: v.ts, register: Amount(v.value.saturating_mul(weight.0)) }
            }
            _ => Mark { ts: v.ts, register: Amount(v.value) },
        }
    }

    /// If a meter was taken out before a reading at `ts` that comes next: the register goes on with the new one's start. Before
    /// [`Ledger::step`].
    pub fn turn(&mut self, amended: &Amendments, ts: Ts) -> Option<Turn> {
        if amended.is_empty() {
            return None;
        }
        let from = self.last?;
        let mut turn: Option<Turn> = None;
        // Two between two readings: the first one's part is told as well, the second meter's is its end minus its start.
        while let Some(r) = self.last.and_then(|last| amended.replacement(self.turned, last.ts, ts)) {
            let last = self.last.unwrap_or(from);
            let volume = r.end.map(|end| end - last.register).filter(|v| *v >= Amount::ZERO);
            let volume = match turn {
                Some(before) => before.volume.zip(volume).map(|(a, b)| a + b),
                None => volume,
            };
            turn = Some(Turn { from, to: Mark { ts: r.ts, register: r.end.unwrap_or(last.register) }, volume });
            self.last = Some(Mark { ts: r.ts, register: r.start });
            (self.turned, self.suspect, self.flow, self.offset) = (Some(r.ts), None, None, Amount::ZERO);
            self.steps.replaced += 1;
        }
        turn
    }

    /// What was learned by calibrations between the newest reading and `ts` and is no water moves what is compared.
    fn calibrate(&mut self, amended: &Amendments, ts: Ts) {
        let offset = amended.offset(ts, false);
        let by = offset - self.offset;
        if by == Amount::ZERO {
            return;
        }
        self.offset = offset;
        let moved = |m: Mark| Mark { register: m.register + by, ..m };
        self.last = self.last.map(moved);
        self.suspect = self.suspect.map(|s| Suspect { first: moved(s.first), newest: moved(s.newest), ..s });
    }

    /// Takes the next reading in order of arrival, as [`Amendments::apply`] gave it.
    pub fn step(&mut self, meter: &Meter, amended: &Amendments, mark: Mark) -> Step {
        if self.last.is_some_and(|last| mark.ts > last.ts) && !amended.is_empty() {
            self.calibrate(amended, mark.ts);
        }
        let Some(last) = self.last else {
            self.last = Some(mark);
            self.offset = amended.offset(mark.ts, false);
            return Step::First;
        };
        if mark.ts <= last.ts {
            self.steps.late += 1;
            return Step::Late;
        }
        let missed = if amended.is_empty() { Amount::ZERO } else { amended.offset(mark.ts, true) - amended.offset(last.ts, true) };
        if !amended.is_empty() && amended.believes(mark.ts) && mark.register >= last.register {
            self.steps.forward += 1;
            return self.pass(last, mark, mark.register - last.register);
        }
        let scale = amended.scale(meter.scale(), mark.ts);
        match fit(meter, scale, (last, mark), missed) {
            Fit::Forward(volume) => {
                if volume == Amount::ZERO {
                    self.steps.equal += 1;
                } else {
                    self.steps.forward += 1;
                }
                self.pass(last, mark, volume)
            }
            Fit::Rollover(volume) => {
                self.steps.rollover += 1;
                self.pass(last, mark, volume)
            }
            Fit::Jitter => {
                self.steps.jitter += 1;
                // The higher reading stays: the flicker's way back up is not water.
                self.pass(last, Mark { ts: mark.ts, register: last.register }, Amount::ZERO)
            }
            Fit::None => self.hold(meter, scale, last, mark),
        }
    }

    fn pass(&mut self, from: Mark, to: Mark, volume: Amount) -> Step {
        if self.suspect.take().is_some() {
            self.steps.spike += 1;
        }
        let pause = to.ts - from.ts;
        let gap = self.usual > Ms::ZERO && pause.0 > self.usual.0.saturating_mul(4) && pause > Ms::minutes(5);
        self.steps.gap += u64::from(gap);
        self.usual = if self.usual == Ms::ZERO || pause < self.usual { pause } else { Ms(self.usual.0 + (pause.0 - self.usual.0) / 8) };
        self.flow = Some(volume.per(pause.0));
        self.last = Some(to);
        Step::Passed { from, to, volume, gap }
    }

    fn hold(&mut self, meter: &Meter, scale: Scale, before: Mark, mark: Mark) -> Step {
        let Some(s) = self.suspect else {
            self.suspect = Some(Suspect { first: mark, newest: mark, confirmations: 0 });
            return Step::Held;
        };
        if mark.ts <= s.newest.ts {
            // It fits neither level's end; taken as a confirmation it would turn time back.
            self.steps.late += 1;
            return Step::Late;
        }
        if !matches!(fit(meter, scale, (s.newest, mark), Amount::ZERO), Fit::Forward(_) | Fit::Jitter) {
            self.steps.spike += 1;
            self.suspect = Some(Suspect { first: mark, newest: mark, confirmations: 0 });
            return Step::Held;
        }
        let newest = Mark { ts: mark.ts, register: mark.register.max(s.newest.register) };
        let confirmations = s.confirmations + 1;
        if confirmations < CONFIRMATIONS {
            self.suspect = Some(Suspect { newest, confirmations, ..s });
            return Step::Held;
        }
        let fell = s.first.register < before.register;
        if fell {
            self.steps.reset += 1;
        } else {
            self.steps.jump += 1;
        }
        let volume = newest.register - s.first.register;
        self.flow = Some(volume.per((newest.ts - s.first.ts).0));
        self.suspect = None;
        self.last = Some(newest);
        Step::Restarted { fell, before, after: s.first, to: newest, volume }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Ts;

    fn meter() -> Meter {
        Meter {
            serial: None,
            pulse_weight: Amount::litres(1),
            rollover_at: Some(Amount::litres(100_000)),
            max_flow: Rate::litres(5_000),
            mean_flow_over: None,
        }
    }

    /// Steps through (minute, litres) pairs; the volumes that passed, in litres, and the counts.
    fn run(readings: &[(i64, i64)]) -> (Vec<i64>, StepCounts) {
        let mut l = Ledger::default();
        let mut passed = vec![];
        for (min, litres) in readings {
            match l.step(&meter(), &Amendments::default(), Mark { ts: Ts(min * 60_000), register: Amount::litres(*litres) }) {
                Step::Passed { volume, .. } | Step::Restarted { volume, .. } => passed.push(volume.0 / 1_000),
                Step::First | Step::Held | Step::Late => {}
            }
        }
        (passed, l.steps)
    }

    #[test]
    fn forward_and_equal() {
        let (v, s) = run(&[(0, 100), (15, 110), (30, 110), (45, 111)]);
        assert_eq!(v, [10, 0, 1]);
        assert_eq!(s, StepCounts { forward: 2, equal: 1, ..StepCounts::default() });
    }

    #[test]
    fn a_flicker_of_the_last_digit_is_not_water() {
        let (v, s) = run(&[(0, 100), (15, 110), (30, 109), (45, 110), (60, 112)]);
        assert_eq!(v.iter().sum::<i64>(), 12);
        assert_eq!((s.jitter, s.reset), (1, 0));
    }

    #[test]
    fn a_register_that_runs_full_goes_on_at_zero() {
        let (v, s) = run(&[(0, 99_990), (15, 99_998), (30, 5), (45, 6)]);
        assert_eq!(v, [8, 7, 1]);
        assert_eq!((s.rollover, s.reset), (1, 0));
    }

    #[test]
    fn a_fall_from_half_the_range_is_a_reset_however_long_the_pause() {
        let (v, s) = run(&[(0, 50_000), (15, 50_010), (900, 3), (915, 5), (930, 9)]);
        assert_eq!(v, [10, 6], "15 hours at the highest flow could fill the rest, but nobody saw it");
        assert_eq!((s.rollover, s.reset), (0, 1));
        let (v, s) = run(&[(0, 95_000), (15, 95_010), (900, 1_000)]);
        assert_eq!(v, [10, 5_990]);
        assert_eq!((s.rollover, s.reset), (1, 0));
    }

    #[test]
    fn a_reset_is_believed_after_two_more_readings_and_adds_only_what_was_seen() {
        let (v, s) = run(&[(0, 50_000), (15, 50_010), (30, 3), (45, 5), (60, 9), (75, 10)]);
        assert_eq!(v, [10, 6, 1], "3 → 9 is seen, 50 010 → 3 is unknown");
        assert_eq!((s.reset, s.spike), (1, 0));
    }

    #[test]
    fn a_late_reading_confirms_no_new_level_and_turns_no_time_back() {
        let (v, s) = run(&[(0, 50_000), (15, 50_010), (60, 30), (45, 20), (30, 10), (75, 40), (90, 50)]);
        assert_eq!(v, [10, 20]);
        assert_eq!((s.reset, s.late, s.spike), (1, 2, 0));
    }

    #[test]
    fn a_boot_that_publishes_zero_once_changes_nothing() {
        let (v, s) = run(&[(0, 50_000), (15, 50_010), (30, 0), (45, 50_020)]);
        assert_eq!(v, [10, 10]);
        assert_eq!((s.reset, s.spike), (0, 1));
    }

    #[test]
    fn a_misread_digit_is_a_spike_and_a_lasting_jump_is_no_water() {
        let (v, s) = run(&[(0, 100), (15, 90_100), (30, 120), (45, 121)]);
        assert_eq!(v, [20, 1]);
        assert_eq!((s.spike, s.jump), (1, 0));
        let (v, s) = run(&[(0, 100), (15, 70_000), (30, 70_002), (45, 70_003), (60, 70_004)]);
        assert_eq!(v, [3, 1]);
        assert_eq!((s.spike, s.jump), (0, 1));
    }

    #[test]
    fn late_readings_move_no_total_and_a_long_pause_is_counted() {
        let (v, s) = run(&[(0, 100), (15, 110), (30, 120), (20, 112), (240, 400)]);
        assert_eq!(v, [10, 10, 280]);
        assert_eq!((s.late, s.gap), (1, 1));
    }

    #[test]
    fn values_become_registers_by_what_they_measure() {
        let at = |quantity, value| Value { quantity, ts: Ts(60_000), value };
        let mut l = Ledger::default();
        assert_eq!(l.mark(&meter(), &Amendments::default(), at(Quantity::Volume, 7)), Mark { ts: Ts(60_000), register: Amount(7) });
        assert_eq!(l.mark(&meter(), &Amendments::default(), at(Quantity::Pulses, 7)), Mark { ts: Ts(60_000), register: Amount::litres(7) });
        assert_eq!(l.last(), None);
        let mean = Meter { mean_flow_over: Some(Ms::minutes(15)), ..meter() };
        let mark = l.mark(&mean, &Amendments::default(), at(Quantity::Flow, 40_000));
        assert_eq!(mark, Mark { ts: Ts(960_000), register: Amount::litres(10) });
        let from = Mark { ts: Ts(60_000), register: Amount::ZERO };
        let none = Amendments::default();
        assert_eq!(l.step(&mean, &none, mark), Step::Passed { from, to: mark, volume: Amount::litres(10), gap: false });
        // Three hours that nobody told of, then a span of 4 L/h: the made-up register stood still in between.
        let mark = l.mark(&mean, &Amendments::default(), Value { ts: Ts(10_800_000), ..at(Quantity::Flow, 4_000) });
        let from = Mark { ts: Ts(10_800_000), register: Amount::litres(10) };
        assert_eq!(l.step(&mean, &none, mark), Step::Passed { from, to: mark, volume: Amount::litres(1), gap: false });
    }

    #[test]
    fn totals_do_not_wrap_on_absurd_registers() {
        let mut l = Ledger::default();
        for (i, r) in [i64::MAX, i64::MIN, 0, i64::MAX, i64::MIN, -1].into_iter().enumerate() {
            l.step(&meter(), &Amendments::default(), Mark { ts: Ts(i as i64 * 60_000), register: Amount(r) });
        }
        assert_eq!(l.steps.forward, 0);
    }
}
