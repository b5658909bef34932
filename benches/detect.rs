//! What the rules cost: `cargo bench --bench detect`.
//!
//! A reading through each rule and through the whole engine, with what is allocated meanwhile; and a year of 150 meters, every quarter of an hour,
//! out of the store through all rules, beside SQLite's bare scan of the same rows in the same run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops where it is surprised")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of the bench's own")]

use divan::{AllocProfiler, Bencher, black_box};
use heyun::domain::detect::Passage;
use heyun::domain::detect::balance::Subs;
use heyun::domain::detect::learned::Learned;
use heyun::domain::engine::{Effects, Engine, SourceRecord};
use heyun::domain::finding::Mark;
use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::{Ms, Ts};
use heyun::domain::topology::{
    Binding, Boundary, Column, Feed, FeedIx, Limits, Medium, Meter, Place, PlaceIx, PlaceKind, Point, PointIx, PointKind, Responsible,
    Topology,
};
use heyun::domain::units::{Amount, Quantity, Rate};
use heyun::store::{Batch, Reader, Settings, open};
use jiff::tz::TimeZone;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const QUARTER: i64 = 900_000;
/// 2026-01-01T00:00:00Z
const T0: i64 = 1_767_225_600_000;
const BUILDINGS: u32 = 5;
const FLATS: u32 = 29;
const METERS: u32 = BUILDINGS * (FLATS + 1);
const YEAR: i64 = 365 * 96;

fn main() {
    divan::main();
}

/// What flat `i` draws in quarter `q`, in litres: by day mostly, at night hardly ever.
fn drawn(i: u32, q: i64) -> i64 {
    let mixed = (i64::from(i) * 1_000_003 + q + 1).wrapping_mul(0x5851_F42D_4C95_7F2D);
    let chance = (mixed ^ (mixed >> 29)).wrapping_mul(0x2545_F491_4F6C_DD1D).rem_euclid(1 << 40) / 1_000;
    let hour = q.div_euclid(4).rem_euclid(24);
    let often = if (1..6).contains(&hour) { 4 } else { 30 };
    if chance % 100 < often { 1 + chance / 100 % 30 } else { 0 }
}

/// Passages of one meter: a flat's, or a whole house's.
fn passages(kind: PointKind, days: i64) -> Vec<Passage> {
    let mut register = 0;
    (0..days * 96)
        .map(|q| {
            let litres = if kind == PointKind::Bulk { (0..FLATS).map(|i| drawn(i, q)).sum() } else { drawn(7, q) };
            let mark = |q: i64, r: i64| Mark { ts: Ts(T0 + q * QUARTER), register: Amount::litres(r) };
            let from = mark(q, register);
            register += litres;
            Passage { from, to: mark(q + 1, register), volume: Amount::litres(litres) }
        })
        .collect()
}

/// A day of readings, every quarter of an hour, through the rules of one point that have learned for forty days. Its figure over 96 is that of
/// a reading.
#[divan::bench(args = [PointKind::Sub, PointKind::Bulk])]
fn a_day_of_one_meter(bencher: Bencher<'_, '_>, kind: PointKind) {
    let (mut learned, all) = (Learned::default(), passages(kind, 41));
    let (before, day) = all.split_at(40 * 96);
    let subs = Subs::default();
    let feed =
        |learned: &mut Learned, p: &Passage| learned.passed(kind, *p, Amount::litres(1), subs, &TimeZone::UTC, |s| drop(black_box(s)));
    before.iter().for_each(|p| feed(&mut learned, p));
    bencher.with_inputs(|| learned.clone()).bench_local_refs(|learned| day.iter().for_each(|p| feed(learned, black_box(p))));
}

fn topology() -> Topology {
    let point = |i: u32| {
        let is_bulk = i < BUILDINGS;
        Point {
            key: format!("p{i}"),
            name: format!("p{i}"),
            kind: if is_bulk { PointKind::Bulk } else { PointKind::Sub },
            medium: Medium::Water,
            place: PlaceIx(0),
            parent: (!is_bulk).then_some(PointIx(i % BUILDINGS)),
            boundary: Boundary::Assessment,
            responsible: Responsible::Owners,
            valve: None,
            meter: Meter {
                serial: None,
                pulse_weight: Amount::litres(1),
                rollover_at: None,
                max_flow: Rate::litres(100_000),
                mean_flow_over: None,
            },
            source: Some(Binding { topic: format!("water/{i}"), feed: FeedIx(0), column: Some(0) }),
            limits: Limits {
                per_hour: Some(Amount::litres(9_000)),
                per_month: Some(Amount::tonnes(9_000)),
                silent_after: Some(Ms::days(1)),
            },
            price_milliyuan_per_tonne: None,
        }
    };
    Topology {
        gateway: "bench".into(),
        tz: TimeZone::UTC,
        since: Ts(T0 - 86_400_000),
        places: vec![Place {
            key: "c".into(),
            kind: PlaceKind::Compound,
            name: String::new(),
            parent: None,
            households: None,
            residents: None,
        }],
        points: (0..METERS).map(point).collect(),
        heating: heyun::domain::heating::Heating::default(),
        feeds: vec![Feed { name: "f".into(), columns: vec![column()], wakes: None }],
    }
}

fn column() -> Column {
    Column { name: "register".into(), quantity: Quantity::Volume }
}

fn sources() -> Vec<SourceRecord> {
    let record = |i: u32| SourceRecord {
        source: SourceId(i),
        id: format!("bench.{i}").into(),
        topic: format!("water/{i}").into(),
        columns: vec![column()],
    };
    (0..METERS).map(record).collect()
}

/// A store that holds the year, and the same rows in a plain table of a database of their own.
struct Year {
    reader: Reader,
    plain: std::sync::Mutex<rusqlite::Connection>,
    _dir: tempfile::TempDir,
}

/// Made once; takes half a minute.
fn year() -> &'static Year {
    static MADE: OnceLock<Year> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (writer, reader) = open(&Settings { path: dir.path().join("year.db") }).unwrap();
        let plain = rusqlite::Connection::open(dir.path().join("plain.db")).unwrap();
        plain
            .execute_batch("CREATE TABLE r (ts INTEGER, source INTEGER, v INTEGER, PRIMARY KEY (ts, source)) WITHOUT ROWID; BEGIN")
            .unwrap();
        let mut registers = vec![0i64; METERS as usize];
        let mut insert = plain.prepare("INSERT INTO r VALUES (?, ?, ?)").unwrap();
        let mut rows = vec![];
        for q in 0..YEAR {
            let ts = Ts(T0 + q * QUARTER);
            for i in BUILDINGS..METERS {
                let litres = drawn(i, q) * 1_000;
                registers[i as usize] += litres;
                registers[(i % BUILDINGS) as usize] += litres;
            }
            for (i, register) in (0..).zip(&registers) {
                insert.execute(rusqlite::params![ts.0, i, register]).unwrap();
                rows.push(Row { ts, source: SourceId(i), values: Values::single(*register), flags: Flags::NONE });
            }
            if q % 96 == 95 {
                let id = (q / 96 + 1) as u64;
                let sources = if id == 1 { sources() } else { vec![] };
                writer.commit(Arc::new(Batch { id, received: ts, rows: std::mem::take(&mut rows), sources, ..Batch::default() })).unwrap();
            }
        }
        drop(insert);
        plain.execute_batch("COMMIT").unwrap();
        Year { reader, plain: std::sync::Mutex::new(plain), _dir: dir }
    })
}

/// SQLite's bare scan: each row's three numbers.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn a_year_of_150_meters_scanned_by_sqlite(bencher: Bencher<'_, '_>) {
    let year = year();
    bencher.bench_local(|| {
        let plain = year.plain.lock().unwrap();
        let mut all = plain.prepare_cached("SELECT ts, source, v FROM r ORDER BY ts, source").unwrap();
        let mut rows = all.query([]).unwrap();
        let (mut n, mut sum) = (0, 0i64);
        while let Some(row) = rows.next().unwrap() {
            let (ts, source, v): (i64, i64, i64) = (row.get_unwrap(0), row.get_unwrap(1), row.get_unwrap(2));
            sum = sum.wrapping_add(ts ^ source ^ v);
            n += 1;
        }
        assert_eq!(n, YEAR * i64::from(METERS));
        black_box(sum)
    });
}

/// The same rows out of the store, through the ledgers and all rules.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn a_year_of_150_meters_through_all_rules(bencher: Bencher<'_, '_>) {
    let year = year();
    bencher.bench_local(|| {
        let mut engine = Engine::restore(Arc::new(topology()), &sources(), &[], heyun::domain::amendment::Entries::default(), None);
        let (mut out, mut n) = (Effects::default(), 0);
        engine.boot(Ts(T0), 0, &mut out);
        year.reader
            .scan_columns(Ts(T0), Ts(T0 + YEAR * QUARTER), 1, &mut |row| {
                engine.relive(row.ts, &row, &mut out);
                out.list.clear();
                n += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(n, YEAR * i64::from(METERS));
        engine
    });
}
