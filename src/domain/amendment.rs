//! What people state about a meter's past: it was replaced, its dial was read, a reading is wrong, a jump was water after all.
//!
//! Readings are never changed. An [`Entry`] stands beside them, signed; what is in force of a point's entries are its [`Amendments`], and every
//! account of the point asks them. They depend on nothing but the time of a reading, so that a day says the same wherever its account begins,
//! and an entry that is undone leaves no trace in any volume.

use super::finding::Mark;
use super::time::Ts;
use super::topology::Scale;
use super::units::Amount;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One line of the ledger. Sequence numbers are dense over all points and start at 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub seq: u64,
    /// Key of the metering point.
    pub point: String,
    /// When it was written, by the gateway's clock.
    pub at: Ts,
    pub by: String,
    pub why: String,
    #[serde(flatten)]
    pub deed: Deed,
}

/// What is stated. Volumes are registers as the dial shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub enum Deed {
    /// 换表: up to and with `ts` the old meter counted, which ended at `end` (None: nobody read it, what passed since its last reading is
    /// unknown); the new one began at `start`.
    Replaced(Replaced),
    /// 校准: at `ts` the dial showed `dial`; from then on the register shows `offset` more. With `counts` the difference is water that the
    /// device has missed.
    Calibrated { ts: Ts, dial: Amount, offset: Amount, counts: bool },
    /// The reading at `ts` was this.
    Corrected { ts: Ts, register: Amount },
    /// The level that begins with the reading at `ts`, further than any flow, is water.
    Believed { ts: Ts },
    /// Readings from `from` up to and with `to` (None: until this is undone) are misreadings.
    Refused { from: Ts, to: Option<Ts> },
    /// 抄表: somebody went there and read the dial. The reading itself is stored as those of devices are; this says whose it is.
    Read { ts: Ts, register: Amount },
    /// An earlier entry does not hold.
    Undone { entry: u64 },
}

/// A meter was taken out, and another one put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    pub ts: Ts,
    /// What the old meter showed at its end.
    pub end: Option<Amount>,
    /// What the new one showed at its beginning.
    pub start: Amount,
    /// What is on the new meter's plate, on its seal, and the date on its verification mark.
    pub serial: Option<String>,
    pub seal: Option<String>,
    pub verified: Option<String>,
    /// How the old meter counted: the config tells of the new one from now on. None where nobody knew.
    #[serde(default)]
    pub old: Option<Scale>,
}

impl Deed {
    /// The stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Deed::Replaced(_) => "replaced",
            Deed::Calibrated { .. } => "calibrated",
            Deed::Corrected { .. } => "corrected",
            Deed::Believed { .. } => "believed",
            Deed::Refused { .. } => "refused",
            Deed::Read { .. } => "read",
            Deed::Undone { .. } => "undone",
        }
    }

    /// The first moment of which accounts change. None for an undoing: that of what it undoes.
    pub const fn from(&self) -> Option<Ts> {
        match self {
            Deed::Replaced(Replaced { ts, .. })
            | Deed::Calibrated { ts, .. }
            | Deed::Corrected { ts, .. }
            | Deed::Believed { ts }
            | Deed::Read { ts, .. } => Some(*ts),
            Deed::Refused { from, .. } => Some(*from),
            Deed::Undone { .. } => None,
        }
    }
}

/// The entries of a point that are in force, in the order of the times that they speak of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amendments(Vec<Deed>);

/// A meter that was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacement {
    pub ts: Ts,
    pub end: Option<Amount>,
    pub start: Amount,
}

impl Amendments {
    /// Of the entries of one point, in the order in which they were written. Of two about the same reading the later holds.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Amendments {
        let mut all: Vec<&Entry> = vec![];
        for e in entries {
            match e.deed {
                Deed::Undone { entry } => all.retain(|other| other.seq != entry),
                // It amends nothing: it is where the reading comes from.
                Deed::Read { .. } => {}
                _ => all.push(e),
            }
        }
        let mut deeds: Vec<Deed> = all.into_iter().map(|e| e.deed.clone()).collect();
        deeds.sort_by_key(Deed::from);
        Amendments(deeds)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a reading shows; None if it is a misreading.
    pub fn apply(&self, mark: Mark) -> Option<Mark> {
        if self.0.is_empty() {
            return Some(mark);
        }
        let mut corrected = None;
        for deed in &self.0 {
            match deed {
                Deed::Refused { from, to } if *from <= mark.ts && to.is_none_or(|to| mark.ts <= to) => return None,
                Deed::Corrected { ts, register } if *ts == mark.ts => corrected = Some(*register),
                _ => {}
            }
        }
        let register = corrected.unwrap_or_else(|| mark.register + self.offset(mark.ts, true) + self.offset(mark.ts, false));
        Some(Mark { register, ..mark })
    }

    /// How much more the register shows at `ts` than the device, by calibrations of the meter that is in then: of water that was missed (`counted`), or
    /// because the two did not begin together.
    pub fn offset(&self, ts: Ts, counted: bool) -> Amount {
        let replaced = self.replacements().map(|r| r.ts).filter(|r| *r < ts).max();
        let of = |deed: &Deed| match deed {
            Deed::Calibrated { ts: at, offset, counts, .. } if *counts == counted && *at <= ts && replaced.is_none_or(|r| r < *at) => {
                *offset
            }
            _ => Amount::ZERO,
        };
        self.0.iter().map(of).sum()
    }

    /// The first replacement after one at `after` that lies at or behind `from` and before `to`.
    pub fn replacement(&self, after: Option<Ts>, from: Ts, to: Ts) -> Option<Replacement> {
        self.replacements().find(|r| after.is_none_or(|a| r.ts > a) && from <= r.ts && r.ts < to)
    }

    fn replacements(&self) -> impl Iterator<Item = Replacement> + '_ {
        self.0.iter().filter_map(|d| match d {
            Deed::Replaced(r) => Some(Replacement { ts: r.ts, end: r.end, start: r.start }),
            _ => None,
        })
    }

    /// How the meter counted that a reading at `ts` is of. `now`: how the one counts that is in today.
    pub fn scale(&self, now: Scale, ts: Ts) -> Scale {
        let old = |d: &Deed| match d {
            Deed::Replaced(r) if ts <= r.ts => r.old,
            _ => None,
        };
        self.0.iter().find_map(old).unwrap_or(now)
    }

    /// When the meter was put in that was taken out at `ts`, where that was written down.
    pub fn replaced_before(&self, ts: Ts) -> Option<Ts> {
        self.replacements().map(|r| r.ts).filter(|r| *r < ts).max()
    }

    /// What stands on the plate of the meter that was put in last, where somebody wrote it down.
    pub fn serial(&self) -> Option<&str> {
        // The newest replacement's, or nothing: an older plate is gone.
        let newest = self.0.iter().rev().find_map(|d| if let Deed::Replaced(r) = d { Some(r) } else { None });
        newest.and_then(|r| r.serial.as_deref())
    }

    /// True if somebody knows that the reading at `ts` follows the one before it by water.
    pub fn believes(&self, ts: Ts) -> bool {
        self.0.iter().any(|d| matches!(d, Deed::Believed { ts: at } if *at == ts))
    }

    /// True if somebody has explained what happened between these moments: a replacement, a correction, a decision.
    pub fn explains(&self, from: Ts, to: Ts) -> bool {
        self.0.iter().any(|d| match d {
            Deed::Replaced(r) => from <= r.ts && r.ts < to,
            Deed::Refused { from: first, to: last } => *first <= to && last.is_none_or(|last| from <= last),
            Deed::Corrected { ts, .. } | Deed::Believed { ts } => from <= *ts && *ts <= to,
            Deed::Calibrated { .. } | Deed::Read { .. } | Deed::Undone { .. } => false,
        })
    }
}

/// The ledger of all points.
#[derive(Clone, Debug, Default)]
pub struct Entries(Vec<Arc<Entry>>);

impl Entries {
    /// In order of their numbers.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Entries {
        Entries(entries.into_iter().map(Arc::new).collect())
    }

    pub fn list(&self) -> &[Arc<Entry>] {
        &self.0
    }

    pub fn push(&mut self, e: Arc<Entry>) {
        self.0.push(e);
    }

    pub fn next_seq(&self) -> u64 {
        self.0.last().map_or(1, |e| e.seq + 1)
    }

    pub fn of_point<'a>(&'a self, point: &'a str) -> impl Iterator<Item = &'a Entry> + 'a {
        self.0.iter().map(|e| &**e).filter(move |e| e.point == point)
    }

    pub fn amendments(&self, point: &str) -> Amendments {
        Amendments::of(self.of_point(point))
    }

    /// The entry of this number, if it holds.
    pub fn in_force(&self, seq: u64) -> Option<&Entry> {
        let undone = self.0.iter().any(|e| e.deed == Deed::Undone { entry: seq });
        // A reading stays a reading: one that is wrong is corrected.
        let is_final = |e: &Entry| matches!(e.deed, Deed::Undone { .. } | Deed::Read { .. });
        self.0.iter().find(|e| e.seq == seq && !undone && !is_final(e)).map(|e| &**e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, deed: Deed) -> Entry {
        Entry { seq, point: "a".into(), at: Ts(0), by: "x".into(), why: "y".into(), deed }
    }

    fn l(n: i64) -> Amount {
        Amount::litres(n)
    }

    fn replaced(ts: i64, end: Option<Amount>, old: Option<Scale>) -> Replaced {
        Replaced { ts: Ts(ts), end, start: l(0), serial: None, seal: None, verified: None, old }
    }

    #[test]
    fn a_reading_is_of_the_meter_that_was_in_then() {
        let scale = |litres| Scale { pulse_weight: l(litres), rollover_at: None };
        let plate = |ts, old, serial: &str| Deed::Replaced(Replaced { serial: Some(serial.into()), ..replaced(ts, None, old) });
        let all = [
            entry(1, Deed::Replaced(replaced(10, None, None))),
            entry(2, plate(20, Some(scale(100)), "B")),
            entry(3, plate(30, Some(scale(10)), "C")),
        ];
        let a = Amendments::of(&all);
        // Up to and with the moment it is the old one's. Of the first nobody knew how it counted: as the one behind it, rather than as today's.
        let at = [5, 10, 11, 20, 21, 30, 31].map(|ts| a.scale(scale(1), Ts(ts)).pulse_weight.0 / 1_000);
        assert_eq!(at, [100, 100, 100, 100, 10, 10, 1]);
        assert_eq!(a.serial(), Some("C"));
        assert_eq!((Amendments::of(&all[..1]).serial(), Amendments::of(&all[..2]).serial()), (None, Some("B")));
    }

    fn shown(a: &Amendments, ts: i64, litres: i64) -> Option<i64> {
        a.apply(Mark { ts: Ts(ts), register: l(litres) }).map(|m| m.register.0 / 1_000)
    }

    #[test]
    fn an_entry_that_is_undone_leaves_no_trace() {
        let correct = entry(1, Deed::Corrected { ts: Ts(10), register: l(7) });
        let refuse = entry(2, Deed::Refused { from: Ts(20), to: None });
        let all = [correct, refuse, entry(3, Deed::Undone { entry: 2 }), entry(4, Deed::Undone { entry: 1 })];
        assert_eq!(Amendments::of(&all), Amendments::default());
        assert_eq!(shown(&Amendments::of(&all[..2]), 10, 5), Some(7));
        assert_eq!(shown(&Amendments::of(&all[..2]), 20, 5), None);
        assert_eq!(shown(&Amendments::of(&all[..3]), 20, 5), Some(5));
    }

    #[test]
    fn a_calibration_holds_for_the_meter_that_it_was_made_for() {
        let a = Amendments::of(&[
            entry(1, Deed::Calibrated { ts: Ts(10), dial: l(338), offset: l(300), counts: false }),
            entry(2, Deed::Calibrated { ts: Ts(20), dial: l(345), offset: l(2), counts: true }),
            entry(3, Deed::Replaced(replaced(30, Some(l(400)), None))),
        ]);
        assert_eq!([9, 10, 20, 30, 31].map(|ts| shown(&a, ts, 38)), [Some(38), Some(338), Some(340), Some(340), Some(38)]);
        assert_eq!(a.offset(Ts(25), true), l(2));
        assert_eq!(a.replacement(None, Ts(30), Ts(31)).map(|r| r.start), Some(l(0)));
        assert_eq!(a.replacement(None, Ts(20), Ts(30)), None, "a reading at the very moment is the old meter's");
        assert_eq!(a.replacement(Some(Ts(30)), Ts(30), Ts(40)), None);
    }

    #[test]
    fn of_two_corrections_the_later_holds() {
        let two = [1, 2].map(|n| entry(n, Deed::Corrected { ts: Ts(5), register: l(n as i64) }));
        assert_eq!(shown(&Amendments::of(&two), 5, 9), Some(2));
    }

    #[test]
    fn numbers_are_dense_and_what_holds_can_be_found() {
        let mut all = Entries::new([entry(1, Deed::Believed { ts: Ts(1) })]);
        assert!(all.in_force(1).is_some() && all.in_force(2).is_none());
        all.push(Arc::new(entry(all.next_seq(), Deed::Undone { entry: 1 })));
        assert!(all.in_force(1).is_none() && all.in_force(2).is_none());
        assert_eq!(all.next_seq(), 3);
        assert!(all.amendments("a").is_empty());
    }

    #[test]
    fn entries_are_written_as_what_they_are() {
        let e = entry(7, Deed::Refused { from: Ts(1), to: None });
        let json = serde_json::to_value(&e).unwrap();
        assert_eq!((json["deed"].as_str(), json["from"].as_i64(), json["point"].as_str()), (Some("refused"), Some(1), Some("a")));
        assert_eq!(serde_json::from_value::<Entry>(json).unwrap(), e);
    }
}
