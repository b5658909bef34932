//! One metering point at work: its ledger and its rules.

use crate::domain::amendment::Amendments;
use crate::domain::detect::balance::Subs;
use crate::domain::detect::hourly::Hourly;
use crate::domain::detect::learned::Learned;
use crate::domain::detect::monthly::Monthly;
use crate::domain::detect::{HISTORIC_AFTER, News, Passage, Said};
use crate::domain::finding::{Finding, FindingKind, Mark, StartRange};
use crate::domain::incident::Stands;
use crate::domain::meter::{Ledger, Step, Turn, Value};
use crate::domain::time::Ts;
use crate::domain::topology::{Limits, Medium, Point, Scale};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// What is remembered of a point. Changes by readings alone; a checkpoint holds it whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointMemory {
    /// Serial number of the meter that the ledger speaks of.
    pub serial: Option<String>,
    /// How it counts, which the amounts in here rest on. Checkpoints of before this was noted have none.
    #[serde(default)]
    pub scale: Option<Scale>,
    /// What its numbers count.
    #[serde(default)]
    pub medium: Medium,
    /// The newest moment that a value speaks of, believed or not.
    pub heard: Option<Ts>,
    pub ledger: Ledger,
    pub hourly: Hourly,
    pub monthly: Monthly,
    /// Checkpoints of before these rules have none: they learn anew.
    #[serde(default)]
    pub learned: Learned,
    /// What the rules that learn have seen above the usual, rule by rule.
    #[serde(default)]
    pub stands: Vec<Stands>,
}

/// Where a value is taken in, and when.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    pub point: &'a Point,
    pub amended: &'a Amendments,
    /// The meters behind it.
    pub subs: Subs,
    pub now: Ts,
    pub tz: &'a TimeZone,
}

/// What values came to. Kept from one row to the next, so that nothing is allocated while nothing happens.
#[derive(Debug, Default)]
pub struct Came {
    pub said: Vec<Spoken>,
    /// Water that passed, for the meter upstream.
    pub passed: Vec<Passage>,
}

/// A rule's finding on its way to the incidents.
#[derive(Clone, Debug)]
pub struct Spoken {
    pub finding: Finding,
    /// Nothing new: for an incident that is open, there is nothing in it.
    pub still: bool,
    /// Of a rule that learns: since when it has seen an excess.
    pub stands: Option<Ts>,
}

impl PointMemory {
    pub fn new(point: &Point) -> PointMemory {
        let (serial, medium, scale) = (point.meter.serial.clone(), point.medium, Some(point.meter.scale()));
        PointMemory { serial, medium, scale, ..PointMemory::default() }
    }

    /// Takes on what the config now says: another serial number is another meter, whose register begins anew, unless somebody has written the
    /// replacement down. One that is written down for the first time, or no more, says nothing about the meter. Of another medium nothing
    /// goes on: watt-hours added to a month's millilitres would be neither.
    pub fn configured(&mut self, point: &Point, amended: &Amendments) {
        if self.is_of_other(point) {
            *self = PointMemory { heard: self.heard, ..PointMemory::new(point) };
        }
        (self.medium, self.scale) = (point.medium, Some(point.meter.scale()));
        let Some(serial) = &point.meter.serial else { return };
        let is_known = amended.serial() == Some(serial);
        if self.serial.as_ref().is_some_and(|before| before != serial) && !is_known {
            self.ledger.replace_meter();
        }
        self.serial = Some(serial.clone());
    }

    /// What is in here counts something else than the point does now. Cold water and hot are counted alike.
    pub fn is_of_other(&self, point: &Point) -> bool {
        self.medium != point.medium && !(self.medium.is_water() && point.medium.is_water())
    }

    /// Takes one value of the point's column.
    pub fn value(&mut self, here: &Here<'_>, v: Value, came: &mut Came) {
        let mark = self.ledger.mark(&here.point.meter, here.amended, v);
        self.heard = self.heard.max(Some(mark.ts));
        if let Some(mark) = here.amended.apply(mark) {
            self.register(here, mark, came);
        }
    }

    fn register(&mut self, here: &Here<'_>, mark: Mark, came: &mut Came) {
        let (point, amended) = (here.point, here.amended);
        if let Some(Turn { from, to, volume: Some(volume) }) = self.ledger.turn(amended, mark.ts) {
            self.passed(here, Passage { from, to, volume }, came);
        }
        let passage = match self.ledger.step(&point.meter, amended, mark) {
            Step::First | Step::Held | Step::Late => return,
            Step::Passed { from, to, volume, .. } => Passage { from, to, volume },
            Step::Restarted { fell, before, after, to, volume } => {
                let kind = if fell {
                    FindingKind::MeterReset { before, after }
                } else {
                    FindingKind::MeterJump { before, after, max_flow: point.meter.max_flow }
                };
                let start = StartRange { earliest: before.ts, latest: after.ts };
                let evidence = vec![before, after, to];
                came.said.push(spoken(point, Said { kind, start, news: News::First, evidence }, mark.ts, here.now));
                Passage { from: after, to, volume }
            }
        };
        self.passed(here, passage, came);
    }

    fn passed(&mut self, here: &Here<'_>, passage: Passage, came: &mut Came) {
        let Here { point, subs, now, tz, .. } = *here;
        // Only water leaks. The month is summed for all.
        let is_water = point.measures_water();
        let limits = if is_water { point.limits } else { Limits::default() };
        let spoken = |s| spoken(point, s, passage.to.ts, now);
        came.said.extend(self.hourly.passed(passage, limits.per_hour).map(spoken));
        came.said.extend(self.monthly.passed(passage, limits.per_month, tz).into_iter().map(spoken));
        if is_water {
            let stands = &mut self.stands;
            self.learned.passed(point.kind, passage, point.meter.pulse_weight, subs, tz, |s| {
                let since = Stands::note(stands, &s.kind, passage.to.ts);
                came.said.push(Spoken { stands: Some(since), ..spoken(s) });
            });
            came.passed.push(passage);
        }
    }
}

fn spoken(point: &Point, said: Said, at: Ts, now: Ts) -> Spoken {
    let finding = Finding {
        point: point.key.clone(),
        kind: said.kind,
        at,
        start: said.start,
        grown: said.news == News::Grown,
        historic: now - at > HISTORIC_AFTER,
        evidence: said.evidence,
    };
    Spoken { finding, still: said.news == News::Still, stands: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Ms;
    use crate::domain::topology::{Boundary, Meter, PlaceIx, PointKind, Responsible};
    use crate::domain::units::{Amount, Quantity, Rate};

    /// With a limit of 50 an hour and 100 a month.
    fn point(medium: Medium) -> Point {
        let meter =
            Meter { serial: None, pulse_weight: Amount(1), rollover_at: None, max_flow: Rate::litres(100_000), mean_flow_over: None };
        let limits = Limits { per_hour: Some(Amount::litres(50)), per_month: Some(Amount::litres(100)), silent_after: None };
        Point {
            key: "p".into(),
            name: "p".into(),
            kind: PointKind::Bulk,
            medium,
            place: PlaceIx(0),
            parent: None,
            boundary: Boundary::Settlement,
            responsible: Responsible::Owners,
            valve: None,
            meter,
            source: None,
            limits,
            price_milliyuan_per_tonne: None,
        }
    }

    /// After 90 units an hour.
    fn remembered(medium: Medium) -> (PointMemory, Vec<Spoken>) {
        let point = point(medium);
        let (mut memory, mut came, amended) = (PointMemory::new(&point), Came::default(), Amendments::default());
        for hour in 0..4 {
            let v = Value { quantity: medium.quantity(), ts: Ts(0) + Ms::hours(hour), value: 90_000 * hour };
            let here = Here { point: &point, amended: &amended, subs: Subs::default(), now: v.ts, tz: &TimeZone::UTC };
            memory.value(&here, v, &mut came);
        }
        (memory, came.said)
    }

    #[test]
    fn only_water_leaks_and_every_month_is_summed() {
        assert!(Medium::ALL.iter().all(|m| matches!(m.quantity(), Quantity::Volume | Quantity::Energy)));
        for medium in Medium::ALL {
            let (memory, said) = remembered(medium);
            assert_eq!(said.is_empty(), !medium.is_water(), "{medium:?}: {said:?}");
            assert_eq!(memory.monthly.used().map(|(_, used)| used), Some(Amount::litres(270)), "{medium:?}");
        }
    }

    #[test]
    fn of_another_medium_nothing_goes_on_and_hot_water_is_water() {
        let (mut memory, _) = remembered(Medium::Water);
        memory.configured(&point(Medium::HotWater), &Amendments::default());
        assert!(memory.monthly.used().is_some() && memory.ledger.last().is_some());
        memory.configured(&point(Medium::Heat), &Amendments::default());
        assert_eq!((memory.monthly.used(), memory.ledger.last(), memory.medium), (None, None, Medium::Heat));
        assert!(memory.heard.is_some(), "it is not silent for that");
        // What was written before there were media is of water.
        let old: PointMemory = serde_json::from_value(serde_json::json!({
            "serial": null, "heard": 5, "ledger": PointMemory::default().ledger, "hourly": PointMemory::default().hourly,
            "monthly": PointMemory::default().monthly,
        }))
        .unwrap();
        assert_eq!(old.medium, Medium::Water);
    }
}
