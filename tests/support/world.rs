//! A building with a bulk meter and two flats, and a topic that no meter reads: the world of the property tests.

use heyun::domain::time::{Ms, Ts};
use heyun::domain::topology::{
    Binding, Boundary, Column, Feed, FeedIx, Limits, Medium, Meter, Place, PlaceIx, PlaceKind, Point, PointKind, Responsible, Topology,
};
use heyun::domain::units::{Amount, Quantity, Rate};
use jiff::tz::TimeZone;

/// 2026-10-20T00:00 in Shanghai.
pub const START: Ts = Ts(1_792_425_600_000);

/// The last one belongs to no meter.
pub const TOPICS: [&str; 4] = ["w/bulk", "w/a", "w/b", "w/other"];

/// Limits are low, so that rules speak often; one register is small, so that it runs full.
pub fn topology() -> Topology {
    let place = |key: &str, kind, parent: Option<u32>| Place {
        key: key.into(),
        kind,
        name: key.into(),
        parent: parent.map(PlaceIx),
        households: None,
        residents: None,
    };
    let point = |key: &str, kind, place, topic: usize, limits| Point {
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
            rollover_at: (topic == 1).then(|| Amount::litres(1_000)),
            max_flow: Rate::litres(if topic == 0 { 100_000 } else { 2_000 }),
            mean_flow_over: None,
        },
        source: Some(Binding { topic: TOPICS[topic].into(), feed: FeedIx(0), column: Some(0) }),
        limits,
        price_milliyuan_per_tonne: None,
    };
    let limits = |hour, month, silent: Option<i64>| Limits {
        per_hour: Some(Amount::litres(hour)),
        per_month: Some(Amount::tonnes(month)),
        silent_after: silent.map(Ms::hours),
    };
    Topology {
        gateway: "g1".into(),
        tz: TimeZone::get("Asia/Shanghai").unwrap(),
        since: Ts(1_262_304_000_000),
        places: vec![
            place("b", PlaceKind::Building, None),
            place("b-a", PlaceKind::Household, Some(0)),
            place("b-b", PlaceKind::Household, Some(0)),
        ],
        points: vec![
            point("bulk", PointKind::Bulk, 0, 0, limits(500, 5, Some(12))),
            point("a", PointKind::Sub, 1, 1, limits(100, 1, Some(5))),
            point("b", PointKind::Sub, 2, 2, limits(100, 1, None)),
        ],
        heating: heyun::domain::heating::Heating::default(),
        feeds: vec![Feed { name: "w".into(), columns: vec![Column { name: "value".into(), quantity: Quantity::Volume }], wakes: None }],
    }
}
