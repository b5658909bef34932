//! Hours and days from a real store: whatever the meters did and however late it came, told days tell the same as the rows, and both the
//! same as a fold that is obviously right.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]

use heyun::domain::engine::SourceRecord;
use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::{Day, Ms, Ts};
use heyun::domain::topology::{
    Binding, Boundary, Column, Feed, FeedIx, Limits, Medium, Meter, Place, PlaceIx, PlaceKind, Point, PointIx, PointKind, Responsible,
    Topology,
};
use heyun::domain::units::{Amount, Quantity, Rate};
use heyun::history::{Basis, Historian, Interval, Register, Scale, Span, Step, USUAL_DAYS, buckets, intervals, passed};
use heyun::store::{Batch, Reader, Series, Settings, Volumes, Writer, open};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// 2026-03-27T12:00:00Z: two days later Rome's clocks go forward.
const T0: Ts = Ts(1_774_612_800_000);

const REGISTER: PointIx = PointIx(0);
const PULSES: PointIx = PointIx(1);
const MEAN: PointIx = PointIx(2);

fn topology(tz: TimeZone) -> Topology {
    let point = |i: u8, mean_flow_over| Point {
        key: format!("p{i}"),
        name: String::new(),
        kind: PointKind::Bulk,
        place: PlaceIx(0),
        parent: None,
        medium: Medium::Water,
        boundary: Boundary::Assessment,
        responsible: Responsible::Owners,
        valve: None,
        meter: Meter {
            serial: None,
            pulse_weight: Amount::litres(10),
            rollover_at: Some(Amount::tonnes(100)),
            max_flow: Rate::litres(5_000),
            mean_flow_over,
        },
        source: Some(Binding { topic: format!("t{i}"), feed: FeedIx(0), column: Some(i) }),
        limits: Limits::default(),
        price_milliyuan_per_tonne: None,
    };
    let mut points = vec![point(0, None), point(1, None), point(2, Some(Ms::minutes(15)))];
    // All three are columns of one source.
    points.iter_mut().for_each(|p| p.source.iter_mut().for_each(|s| s.topic = "t".into()));
    Topology {
        gateway: "g".into(),
        tz,
        since: T0 - Ms::days(3),
        places: vec![Place {
            key: "b".into(),
            kind: PlaceKind::Building,
            name: String::new(),
            parent: None,
            households: None,
            residents: None,
        }],
        points,
        heating: heyun::domain::heating::Heating::default(),
        feeds: vec![Feed { name: "f".into(), columns: columns(), wakes: None }],
    }
}

fn columns() -> Vec<Column> {
    let column = |name: &str, quantity| Column { name: name.into(), quantity };
    vec![column("register", Quantity::Volume), column("pulses", Quantity::Pulses), column("mean", Quantity::Flow)]
}

fn register(point: PointIx) -> Register {
    let quantity = [Quantity::Volume, Quantity::Pulses, Quantity::Flow][point.0 as usize];
    Register { source: SourceId(1), column: point.0 as usize, quantity, amended: Arc::default() }
}

/// A store whose days are told, and one with the same rows where they are not.
struct Two<'a> {
    telling: (Writer, Reader),
    volumes: Volumes,
    historian: Historian<'a>,
    plain: (Writer, Reader),
    batch: u64,
    now: Ts,
    /// On a clock that only goes forward.
    clock: Ms,
}

impl<'a> Two<'a> {
    fn new(dir: &Path, t: &'a Topology) -> Two<'a> {
        let open = |name| open(&Settings { path: dir.join(name) }).unwrap();
        let telling = open("telling.db");
        let volumes = telling.0.volumes().unwrap();
        Two { telling, volumes, historian: Historian::new(t), plain: open("plain.db"), batch: 0, now: T0, clock: Ms::ZERO }
    }

    fn commit(&mut self, rows: &[Row]) {
        self.batch += 1;
        self.now = rows.iter().map(|r| r.ts).fold(self.now + Ms::minutes(1), Ts::max);
        let sources = if self.batch > 1 {
            vec![]
        } else {
            vec![SourceRecord { source: SourceId(1), id: "g.1".into(), topic: "t".into(), columns: columns() }]
        };
        let batch = Arc::new(Batch { id: self.batch, received: self.now, rows: rows.to_vec(), sources, ..Batch::default() });
        self.telling.0.commit(batch.clone()).unwrap();
        self.plain.0.commit(batch).unwrap();
    }

    /// Has days told, some time later, until nothing is left that could be.
    fn tell(&mut self, later: Ms) {
        self.clock = self.clock + later;
        while let Step::More { .. } = self.historian.step(&self.telling.1, &self.volumes, self.clock).unwrap() {}
    }
}

/// A row of all three points, and of a neighbour whose rows lie between.
fn row(ts: Ts, litres: i64, flow: i64, flags: Flags) -> Row {
    let mut values = Values::NONE;
    values.set(0, litres * 1_000);
    values.set(1, litres / 10);
    values.set(2, flow);
    Row { ts, source: SourceId(1), values, flags }
}

/// What the register does next: minutes later, litres, mean flow, and how many batches late.
#[derive(Clone, Debug)]
struct Move {
    minutes: i64,
    register: Change,
    flow: i64,
    late: usize,
    flags: u8,
}

#[derive(Clone, Debug)]
enum Change {
    By(i64),
    To(i64),
    /// Once, and back.
    Spike(i64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let minutes = prop_oneof![20 => Just(60i64), 6 => 1i64..240, 1 => 600i64..4_000];
    let change = prop_oneof![
        30 => (0i64..400).prop_map(Change::By),
        6 => Just(Change::By(0)),
        2 => (-19i64..0).prop_map(Change::By),
        1 => (0i64..90_000).prop_map(Change::To),
        1 => Just(Change::To(99_900)),
        1 => (0i64..90_000).prop_map(Change::Spike),
    ];
    let late = prop_oneof![12 => Just(0usize), 1 => 1usize..8];
    let flags = prop_oneof![30 => Just(0u8), 1 => Just(4u8)];
    let one = (minutes, change, 0i64..2_000_000, late, flags).prop_map(|(minutes, register, flow, late, flags)| Move {
        minutes,
        register,
        flow,
        late,
        flags,
    });
    prop::collection::vec(one, 20..250)
}

/// Batches of rows in order of arrival.
fn batches(moves: &[Move], size: usize) -> Vec<Vec<Row>> {
    let (mut ts, mut litres) = (T0, 50_000i64);
    let mut out: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    for (i, m) in moves.iter().enumerate() {
        ts = ts + Ms::minutes(m.minutes);
        let shown = match m.register {
            Change::By(l) => {
                litres = (litres + l).rem_euclid(100_000);
                litres
            }
            Change::To(l) => {
                litres = l;
                l
            }
            Change::Spike(l) => l,
        };
        let rows = out.entry(i / size + m.late).or_default();
        rows.push(row(ts, shown, m.flow, Flags(m.flags)));
        rows.push(Row { ts, source: SourceId(0), values: Values::single(1), flags: Flags::NONE });
    }
    out.into_values().collect()
}

/// All that flowed, reading by reading.
fn all(reader: &Reader, t: &Topology, point: PointIx) -> Vec<Interval> {
    since(reader, t, point, T0 - Ms::days(9))
}

fn since(reader: &Reader, t: &Topology, point: PointIx, from: Ts) -> Vec<Interval> {
    intervals(reader, t, point, &register(point), Span { from, to: T0 + Ms::days(900) }, 1_000_000).unwrap().intervals
}

/// The part of each interval in a bucket, summed; and the time that is known.
fn reference(all: &[Interval], span: Span) -> (i128, i64) {
    let (mut sum, mut known) = (0i128, 0i64);
    for i in all {
        let (Some(volume), long) = (i.volume, i128::from((i.to - i.from).0)) else { continue };
        let until = |at: Ts| i128::from(volume.0) * i128::from((at.clamp(i.from, i.to) - i.from).0) / long;
        sum += until(span.to) - until(span.from);
        known += (i.to.min(span.to) - i.from.max(span.from)).0.max(0);
    }
    (sum, known)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn told_days_tell_the_same_as_their_rows(
        moves in moves(), size in 3usize..60, zone in prop::sample::select(vec!["Europe/Rome", "Asia/Shanghai", "America/St_Johns"]),
        asked in prop::collection::vec((-30i64..900, 1i64..900), 2),
        // What is done after a batch: nothing, a look with days told in the middle of things, or all told after some quiet.
        looks in prop::collection::vec(prop_oneof![2 => Just(None), 1 => Just(Some(Ms::ZERO)), 1 => Just(Some(Ms::minutes(1)))], 80),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let t = topology(TimeZone::get(zone).unwrap());
        let mut two = Two::new(dir.path(), &t);
        for (n, rows) in batches(&moves, size).iter().enumerate() {
            two.commit(rows);
            if let Some(later) = looks[n % looks.len()] {
                two.tell(later);
            }
            if n % 3 > 0 {
                continue;
            }
            for point in [REGISTER, PULSES, MEAN] {
                for (from, hours) in &asked {
                    let from = T0 + Ms::hours(*from);
                    let span = Span { from, to: from + Ms::hours(*hours) };
                    let ask = |r: &Reader, scale| buckets(r, &t, point, Some(&register(point)), span, scale).unwrap();
                    prop_assert_eq!(&ask(&two.telling.1, Scale::Day), &ask(&two.plain.1, Scale::Day));
                    prop_assert_eq!(&ask(&two.telling.1, Scale::Hour), &ask(&two.plain.1, Scale::Hour));
                    let told = |r: &Reader| passed(r, &t, point, &register(point), span).unwrap();
                    let (a, b) = (told(&two.telling.1), told(&two.plain.1));
                    prop_assert_eq!(a, b);
                }
            }
        }
        // Once it is quiet, all is told that can be: up to the last reading's day, or the one before.
        two.commit(&[Row { ts: two.now + Ms::hours(30), source: SourceId(0), values: Values::single(1), flags: Flags::NONE }]);
        two.tell(Ms::ZERO);
        two.tell(Ms::minutes(1));
        let end = T0 + Ms::minutes(moves.iter().map(|m| m.minutes).sum::<i64>() + 16);
        for point in [REGISTER, PULSES, MEAN] {
            let all = all(&two.plain.1, &t, point);
            for scale in [Scale::Day, Scale::Hour] {
                let span = Span { from: T0, to: end };
                let found = buckets(&two.telling.1, &t, point, Some(&register(point)), span, scale).unwrap();
                for b in &found {
                    // By a fold of one's own: of all that there is, or of the day with the few readings before it that every day begins with.
                    let of_the_day = (scale == Scale::Day && point != MEAN).then(|| since(&two.plain.1, &t, point, b.span.from));
                    let (sum, known) = reference(of_the_day.as_ref().unwrap_or(&all), b.span);
                    prop_assert_eq!((i128::from(b.volume.unwrap_or_default().0), b.known.0), (sum, known), "{:?}", b);
                    prop_assert_eq!(b.volume.is_some(), known > 0);
                    prop_assert!(!b.complete || Ms(known) == b.span.to - b.span.from);
                }
                if scale == Scale::Hour {
                    let sum: i64 = found.iter().filter_map(|b| b.volume).map(|v| v.0).sum();
                    prop_assert_eq!(sum, all.iter().filter_map(|i| i.volume).map(|v| v.0).sum::<i64>(), "the buckets sum to the intervals");
                }
            }
            let told = two.telling.1.told_of(register(point).series().unwrap()).unwrap();
            let last = all.iter().map(|i| i.to).max();
            let next = told.map_or(i32::MIN, |t| t.next);
            prop_assert!(last.is_none_or(|ts| next >= Day::of(ts, &t.tz).number), "{:?} {:?}", next, last);
        }
    }
}

#[test]
fn told_days_need_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let t = topology(TimeZone::get("Asia/Shanghai").unwrap());
    let mut two = Two::new(dir.path(), &t);
    let rows: Vec<Row> = (0..24 * 30).map(|h| row(T0 + Ms::hours(h), 100 * h, 100_000, Flags::NONE)).collect();
    for day in rows.chunks(24) {
        two.commit(day);
    }
    two.tell(Ms::ZERO);
    // A store that has lost its rows, but not its days.
    drop(two.telling.0);
    let path = dir.path().join("telling.db");
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("DELETE FROM hot_0; DELETE FROM hot_1; DELETE FROM hot_2; DELETE FROM hot_3; DELETE FROM chunks;")
        .unwrap();
    let reader = heyun::store::open_reader(&Settings { path }).unwrap();
    let span = Span { from: T0, to: T0 + Ms::days(20) };
    let found = buckets(&reader, &t, REGISTER, Some(&register(REGISTER)), span, Scale::Day).unwrap();
    let litres: Vec<Option<i64>> = found.iter().map(|b| b.volume.map(|v| v.0 / 1_000)).collect();
    // From noon on, and then whole days.
    assert_eq!(litres[0], Some(400));
    assert_eq!(litres[1..], vec![Some(2_400); litres.len() - 1][..]);
    assert!(!found[0].complete && found[1..].iter().all(|b| b.complete));
    let months = reader.monthly(Some(Series { source: SourceId(1), column: 0 }), 24_000..25_000).unwrap();
    assert_eq!(
        months.iter().map(|(_, m, v)| (m.to_string(), v.days, v.complete)).collect::<Vec<_>>(),
        [("2026-03".into(), 5, 4), ("2026-04".into(), 25, 25)]
    );
}

#[test]
fn today_and_a_usual_day_until_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let tz = TimeZone::get("Europe/Rome").unwrap();
    let t = topology(tz.clone());
    let mut two = Two::new(dir.path(), &t);
    // Nine days at 100 L/h, read at a quarter past; the fourth is silent for most of its morning, and the clocks go forward on the second.
    let midnight = Day::of(T0, &tz).next(&tz).from;
    let at = |day: i64, minutes: i64| midnight + Ms::days(day) - Ms::hours(i64::from(day >= 2)) + Ms::minutes(minutes);
    let register_at = |ts: Ts| (ts - midnight).0 / 36_000 + 1_000;
    for day in 0..9 {
        let hours = (0..24).filter(|h| day != 4 || !(1..8).contains(h)).filter(|h| [day != 8 || *h < 10, day != 1 || *h < 23] == [true; 2]);
        let rows: Vec<Row> = hours.map(|h| at(day, 60 * h + 15)).map(|ts| row(ts, register_at(ts), 100_000, Flags::NONE)).collect();
        two.commit(&rows);
    }
    let heads = [(REGISTER, register(REGISTER)), (MEAN, register(MEAN))];
    let now = at(8, 9 * 60 + 20);
    let basis = Basis::of(&two.telling.1, &t, &heads, now).unwrap();
    let [register_water, mean_water] = basis.water(&two.telling.1, &t, now).unwrap()[..] else { panic!("one each") };
    let litres = |w: Option<Amount>| w.map(|v| v.0 / 1_000);
    assert_eq!(litres(register_water.today), Some(925), "until 09:15 it was read");
    let before: Vec<Option<i64>> = register_water.before.iter().map(|w| litres(*w)).collect();
    assert_eq!(before, [933, 933, 933, 933, 933, 933, 933].map(Some), "a pause within the day hides no water");
    // A mean flow that nobody told is not known: a quarter of each hour is.
    assert_eq!((litres(mean_water.today), mean_water.before), (Some(233), [None; USUAL_DAYS]));

    assert!(basis.holds(&heads, now + Ms::minutes(9)) && !basis.holds(&heads, now + Ms::minutes(10)) && !basis.holds(&heads[..1], now));
    let early = at(8, 0);
    let basis = Basis::of(&two.telling.1, &t, &heads[..1], early).unwrap();
    let w = basis.water(&two.telling.1, &t, early).unwrap()[0];
    assert_eq!((w.today, w.before), (Some(Amount::ZERO), [Some(Amount::ZERO); USUAL_DAYS]));
    assert_eq!(Basis::of(&two.telling.1, &t, &[], now).unwrap().water(&two.telling.1, &t, now).unwrap(), []);
}
