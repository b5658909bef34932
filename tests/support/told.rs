//! Meters whose days are told, and what told days must be: exactly what the rows say.
#![allow(dead_code, reason = "every test binary uses its own part")]

use heyun::domain::engine::SourceRecord;
use heyun::domain::reading::SourceId;
use heyun::domain::time::{Day, Month, Ms, Ts};
use heyun::domain::topology::{
    Binding, Boundary, Column, Feed, FeedIx, Limits, Medium, Meter, Place, PlaceIx, PlaceKind, Point, PointIx, PointKind, Responsible,
    Topology,
};
use heyun::domain::units::{Amount, Quantity, Rate};
use heyun::history::{Register, Scale, Span, buckets};
use heyun::store::{DayVolume, MonthVolume, Reader, Series};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;

fn column() -> Column {
    Column { name: "register".into(), quantity: Quantity::Volume }
}

/// Points `p0`, `p1` … each the only column of a source with its number.
pub fn topology(zone: &str, points: u32) -> Topology {
    let point = |i: u32| Point {
        key: format!("p{i}"),
        name: format!("表{i}"),
        kind: PointKind::Sub,
        place: PlaceIx(0),
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
        source: Some(Binding { topic: format!("water/{i}"), feed: FeedIx(0), column: Some(0) }),
        limits: Limits::default(),
        price_milliyuan_per_tonne: None,
    };
    let place = Place { key: "c".into(), kind: PlaceKind::Compound, name: String::new(), parent: None, households: None, residents: None };
    Topology {
        gateway: "g".into(),
        tz: TimeZone::get(zone).unwrap(),
        since: Ts("2010-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond()),
        places: vec![place],
        points: (0..points).map(point).collect(),
        heating: heyun::domain::heating::Heating::default(),
        feeds: vec![Feed { name: "f".into(), columns: vec![column()], wakes: None }],
    }
}

/// The sources of that topology.
pub fn sources(points: u32) -> Vec<SourceRecord> {
    (0..points)
        .map(|i| SourceRecord {
            source: SourceId(i),
            id: format!("g.{i}").into(),
            topic: format!("water/{i}").into(),
            columns: vec![column()],
        })
        .collect()
}

/// The days that are told of each point, after comparing them with their rows, and the months with the days.
#[track_caller]
pub fn checked(reader: &Reader, t: &Topology) -> Vec<Vec<Day>> {
    // To a meter with other settings no day is told.
    let untold = Topology { since: t.since - Ms(1), ..t.clone() };
    let points: Vec<PointIx> = t.point_ixs().collect();
    points.iter().map(|point| one(reader, t, &untold, *point)).collect()
}

fn one(reader: &Reader, t: &Topology, untold: &Topology, point: PointIx) -> Vec<Day> {
    let register = Register { source: SourceId(point.0), column: 0, quantity: Quantity::Volume, amended: Arc::default() };
    let series = Series { source: register.source, column: 0 };
    let known = reader.told_of(series).unwrap();
    let around = known.as_ref().map_or(20_000..21_000, |k| k.begins - 99..k.next + 99);
    let told = reader.daily(Some(series), around).unwrap();
    let numbers: Vec<i32> = told.iter().map(|(_, d, _)| d.number).collect();
    let stretch = known.map_or(0..0, |k| k.begins..k.next);
    assert_eq!(numbers, stretch.collect::<Vec<_>>(), "{point:?}");
    let mut months: BTreeMap<Month, MonthVolume> = BTreeMap::new();
    for (_, day, volume) in &told {
        let m = months.entry(Month::of_day(day.number)).or_insert(MonthVolume { volume: None, known: Ms::ZERO, days: 0, complete: 0 });
        if let Some(v) = volume.volume {
            m.volume = Some(m.volume.unwrap_or_default() + v);
        }
        (m.known, m.days, m.complete) = (m.known + volume.known, m.days + 1, m.complete + u32::from(volume.complete));
    }
    let stored = reader.monthly(Some(series), 24_000..24_600).unwrap();
    assert_eq!(stored.into_iter().map(|(_, m, v)| (m, v)).collect::<BTreeMap<_, _>>(), months, "{point:?}");
    let (Some(first), Some(last)) = (told.first(), told.last()) else { return vec![] };
    // All in one, and some for themselves.
    let from_rows = |span| buckets(reader, untold, point, Some(&register), span, Scale::Day).unwrap();
    let all = from_rows(Span { from: first.1.from, to: last.1.to });
    for (i, (_, day, volume)) in told.iter().enumerate() {
        let mut found = vec![all[i]];
        if i % 7 == 0 {
            found.extend(from_rows(Span { from: day.from, to: day.to }));
        }
        for b in found {
            assert_eq!(b.span, Span { from: day.from, to: day.to });
            assert_eq!(*volume, DayVolume { volume: b.volume, known: b.known, complete: b.complete }, "{point:?} {day:?}");
        }
    }
    // And by the way that everybody asks.
    let asked = buckets(reader, t, point, Some(&register), Span { from: first.1.from, to: last.1.to }, Scale::Day).unwrap();
    assert_eq!(asked, all);
    told.into_iter().map(|(_, d, _)| d).collect()
}
