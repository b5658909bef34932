use super::*;
use crate::domain::finding::{FindingKind, StartRange};
use crate::domain::time::Ms;
use crate::domain::topology::{Boundary, Limits, Medium, Meter, Place, PlaceIx, PlaceKind, Point, PointKind, Responsible};
use crate::domain::units::{Amount, Rate};

/// A building with a bulk meter and two flats with sub-meters: keys `bulk`, `a`, `b`.
fn building() -> Topology {
    let place = |key: &str, kind, parent: Option<u32>| Place {
        key: key.into(),
        kind,
        name: key.into(),
        parent: parent.map(PlaceIx),
        households: None,
        residents: None,
    };
    let point = |key: &str, kind, place| Point {
        key: key.into(),
        name: key.into(),
        kind,
        place: PlaceIx(place),
        parent: None,
        medium: Medium::Water,
        boundary: Boundary::Assessment,
        responsible: Responsible::Owners,
        valve: None,
        meter: Meter {
            serial: None,
            pulse_weight: Amount::litres(1),
            rollover_at: None,
            max_flow: Rate::litres(5_000),
            mean_flow_over: None,
        },
        source: None,
        limits: Limits::default(),
        price_milliyuan_per_tonne: None,
    };
    Topology {
        gateway: "g1".into(),
        tz: jiff::tz::TimeZone::UTC,
        since: Ts(0),
        places: vec![
            place("b15", PlaceKind::Building, None),
            place("flat-a", PlaceKind::Household, Some(0)),
            place("flat-b", PlaceKind::Household, Some(0)),
        ],
        points: vec![point("bulk", PointKind::Bulk, 0), point("a", PointKind::Sub, 1), point("b", PointKind::Sub, 2)],
        heating: crate::domain::heating::Heating::default(),
        feeds: vec![],
    }
}

fn leak(point: &str, from_h: i64, to_h: i64) -> Finding {
    let (from, to) = (Ts(0) + Ms::hours(from_h), Ts(0) + Ms::hours(to_h));
    let kind = FindingKind::LeakHourlyLimit { from, to, limit: Amount(1), seen: Amount(2) };
    Finding {
        point: point.into(),
        kind,
        at: to,
        start: StartRange { earliest: from, latest: to },
        grown: false,
        historic: false,
        evidence: vec![],
    }
}

fn silent(point: &str) -> Finding {
    let kind = FindingKind::MeterSilent { last: Ts(0), limit: Ms::hours(1) };
    Finding { kind, ..leak(point, 0, 1) }
}

struct Desk(Book, Topology);

impl Desk {
    fn new() -> Desk {
        Desk(Book::default(), building())
    }
    /// Takes a finding on; the id of the incident it ended in.
    fn found(&mut self, f: Finding) -> Arc<str> {
        let events = self.events_of(f);
        self.apply(&events);
        events.last().unwrap().incident.clone()
    }
    fn events_of(&self, f: Finding) -> Vec<Event> {
        self.0.found(f.at, f, &self.1, &|key| self.1.point_by_key(key).map(|p| self.1.point(p).place))
    }
    fn apply(&mut self, events: &[Event]) {
        events.iter().for_each(|e| self.0.apply(e));
    }
    fn close(&mut self, incident: &Arc<str>) {
        let change = Change::Closed { by: Closer::Person { name: "王".into() }, reason: "修好".into(), granted: vec![] };
        self.apply(&[Event { seq: self.0.last_event() + 1, at: Ts(0), incident: incident.clone(), change }]);
    }
}

#[test]
fn a_flat_and_its_building_leak_once_two_flats_leak_twice() {
    let mut d = Desk::new();
    let first = d.found(leak("a", 0, 2));
    assert_eq!(d.found(leak("bulk", 1, 3)), first, "one path, overlapping start");
    assert_ne!(d.found(leak("b", 1, 3)), first, "b is not on a's path");
    assert_eq!(d.0.get(&first).unwrap().points, ["a", "bulk"]);
    assert_eq!(d.0.get(&first).unwrap().start, StartRange { earliest: Ts(0), latest: Ts(0) + Ms::hours(3) });
}

#[test]
fn a_leak_of_gas_joins_none_of_water() {
    let mut d = Desk::new();
    d.1.points[1].medium = Medium::Gas;
    let said = |point: &str| Finding { kind: FindingKind::LeakReported { since: Ts(0) }, ..leak(point, 0, 2) };
    let first = d.found(leak("bulk", 0, 2));
    let gas = d.found(said("a"));
    assert_ne!(gas, first);
    assert_eq!(d.found(said("a")), gas);
    assert_eq!(d.found(leak("b", 0, 2)), first);
}

#[test]
fn another_cause_or_another_time_is_another_incident() {
    let mut d = Desk::new();
    let first = d.found(leak("a", 0, 2));
    assert_ne!(d.found(silent("a")), first);
    assert_ne!(d.found(leak("bulk", 50, 51)), first);
    assert_eq!(d.found(leak("a", 60, 61)), first, "the same rule about the same point speaks in its open incident");
}

#[test]
fn a_closed_incident_takes_nothing_more() {
    let mut d = Desk::new();
    let first = d.found(leak("a", 0, 2));
    d.close(&first);
    assert_ne!(d.found(leak("a", 0, 2)), first);
}

#[test]
fn silence_closes_itself_when_every_silent_meter_has_spoken() {
    let mut d = Desk::new();
    let id = d.found(silent("bulk"));
    assert_eq!(d.found(silent("a")), id);
    let events = d.0.cleared(Ts(9), "a", "meter_silent");
    d.apply(&events);
    assert_eq!(d.0.get(&id).unwrap().state, IncidentState::Detected);
    assert!(!d.0.is_open("a", "meter_silent") && d.0.is_open("bulk", "meter_silent"));
    let events = d.0.cleared(Ts(10), "bulk", "meter_silent");
    d.apply(&events);
    let closed = d.0.get(&id).unwrap();
    assert_eq!((closed.state, closed.closed.as_ref().unwrap().1.clone()), (IncidentState::Closed, Closer::Meter));
}

#[test]
fn the_events_of_an_incident_add_up_to_it() {
    let mut d = Desk::new();
    let mut log = vec![];
    for f in [leak("a", 0, 2), silent("bulk"), leak("bulk", 1, 3)] {
        let events = d.events_of(f);
        d.apply(&events);
        log.extend(events);
    }
    for i in d.0.incidents() {
        let own: Vec<&Event> = log.iter().filter(|e| e.incident == i.id).collect();
        assert_eq!(Incident::from_events(own).as_ref(), Some(&**i));
    }
    let seqs: Vec<u64> = log.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>(), "sequence numbers are dense");
}

#[test]
fn only_so_many_closed_incidents_stay_in_memory() {
    let mut d = Desk::new();
    let open = d.found(leak("b", 0, 1));
    for n in 0..(CLOSED_KEPT as i64 + 50) {
        let id = d.found(leak("a", n * 10, n * 10 + 1));
        d.close(&id);
    }
    assert_eq!(d.0.incidents().len(), CLOSED_KEPT + 1);
    assert!(d.0.get(&open).is_some());
    d.close(&open);
    assert!(d.0.get(&open).is_some(), "the oldest by opening, but the last that was closed");
    assert_eq!(d.0.incidents().len(), CLOSED_KEPT);
}
