//! Readings that are older than they are to be kept go; everything that was told of them stays, whatever comes afterwards.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]

#[path = "support/told.rs"]
mod told;

use heyun::domain::engine::SourceRecord;
use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::{Day, Month, Ms, Ts};
use heyun::domain::topology::{Column, PointIx, Topology};
use heyun::domain::units::{Quantity, Rate};
use heyun::history::{Bucket, Historian, Period, Register, Scale, Span, Step, buckets, settle, totals};
use heyun::store::{
    Batch, Checkpoint, DayVolume, Depth, MonthVolume, Reader, Repair, Retention, Series, Settings, Volumes, Writer, backup, check, open,
    repair,
};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use told::{sources, topology};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// 2026-03-01T00:00:00Z.
const T0: i64 = 1_772_323_200_000;
/// Two years and more.
const DAYS: i64 = 800;
/// A chunk is full with 2016 rows: 84 days.
const CHUNK: i64 = 84;

const KEPT: Retention = Retention { metering: Some(Ms::days(200)), other: Some(Ms::days(150)) };

/// Two meters, a thermometer, and a register that no metering point is bound to.
const METERS: [u32; 2] = [0, 1];
const THERMOMETER: u32 = 2;
const UNBOUND: u32 = 3;

fn all_sources() -> Vec<SourceRecord> {
    let mut all = sources(4);
    all[2].columns = vec![Column { name: "supply".into(), quantity: Quantity::Temperature }];
    all
}

fn value(source: u32, hour: i64) -> i64 {
    i64::from(source + 1) * 90_000 * hour + hour * 7919 % 80_000
}

fn row(ts: i64, source: u32, v: i64) -> Row {
    Row { ts: Ts(ts), source: SourceId(source), values: Values::single(v), flags: Flags::NONE }
}

struct Store<'a> {
    path: PathBuf,
    writer: Writer,
    reader: Reader,
    volumes: Volumes,
    historian: Historian<'a>,
    topology: &'a Topology,
    clock: Ms,
    batches: u64,
    /// Days of readings that were committed.
    days: i64,
}

impl<'a> Store<'a> {
    fn start(path: &Path, topology: &'a Topology) -> Store<'a> {
        let (writer, reader) = open(&Settings { path: path.to_owned() }).unwrap();
        let volumes = writer.volumes().unwrap();
        settle(&reader, &volumes, topology).unwrap();
        let batches = reader.last_batch().unwrap().map_or(0, |h| h.batch);
        let path = path.to_owned();
        Store { path, writer, reader, volumes, historian: Historian::new(topology), topology, clock: Ms::ZERO, batches, days: 0 }
    }

    fn restart<'b>(self, topology: &'b Topology) -> Store<'b> {
        let days = self.days;
        drop(self.volumes);
        self.writer.close().unwrap();
        Store { days, ..Store::start(&self.path, topology) }
    }

    fn commit(&mut self, rows: Vec<Row>) {
        self.batches += 1;
        let sources = if self.batches == 1 { all_sources() } else { vec![] };
        // Only what a checkpoint has folded is sealed.
        let checkpoint = Some(Checkpoint { format: 1, body: vec![1] });
        let received = Ts(T0 + 2_000 * DAY);
        self.writer.commit(Arc::new(Batch { id: self.batches, received, rows, sources, checkpoint, ..Batch::default() })).unwrap();
    }

    /// Readings go on for some days; all days that are over are told.
    fn go_on(&mut self, days: i64) {
        for day in self.days..self.days + days {
            let hours = day * 24..(day + 1) * 24;
            self.commit(hours.flat_map(|h| (0..4).map(move |s| row(T0 + h * HOUR, s, value(s, h)))).collect());
        }
        self.days += days;
        self.tell();
    }

    fn tell(&mut self) {
        self.clock = self.clock + Ms::hours(2);
        while let Step::More { .. } = self.historian.step(&self.reader, &self.volumes, self.clock).unwrap() {}
    }

    fn daily(&self) -> BTreeMap<(Series, i32), (Day, DayVolume)> {
        self.reader.daily(None, 20_000..23_000).unwrap().into_iter().map(|(s, d, v)| ((s, d.number), (d, v))).collect()
    }

    fn monthly(&self) -> BTreeMap<(Series, Month), MonthVolume> {
        self.reader.monthly(None, 24_000..25_000).unwrap().into_iter().map(|(s, m, v)| ((s, m), v)).collect()
    }

    /// What is seen of the first days of a meter, as charts and totals tell it.
    fn seen(&self, meter: u32, days: i64) -> (Vec<Bucket>, Vec<Option<heyun::history::Total>>) {
        let register = Register { source: SourceId(meter), column: 0, quantity: Quantity::Volume, amended: Arc::default() };
        let span = Span { from: Ts(T0), to: Ts(T0 + days * DAY) };
        let bars = buckets(&self.reader, self.topology, PointIx(meter), Some(&register), span, Scale::Day).unwrap();
        let sums = totals(&self.reader, self.topology, &[(PointIx(meter), Some(register.clone()))], span, Period::Day).unwrap();
        (bars, sums.points.into_iter().flat_map(|p| p.totals).collect())
    }

    fn first(&self, source: u32) -> i64 {
        let rows = self.reader.readings(SourceId(source), Ts(T0), Ts(i64::MAX), 1).unwrap();
        (rows[0].ts.0 - T0) / DAY
    }

    fn until(&self, source: u32) -> Option<i64> {
        self.reader.expired().unwrap().into_iter().find(|(s, _)| s.0 == source).map(|(_, e)| e.until.0)
    }

    #[track_caller]
    fn sound(&self) {
        let report = check(&Settings { path: self.path.clone() }, Depth::Full, &mut |_| {}).unwrap();
        assert_eq!(report.findings, []);
        // Days and months by their own sums, not only by what the file says of itself.
        let mut months: BTreeMap<(Series, Month), (i64, u32)> = BTreeMap::new();
        for ((series, number), (_, v)) in self.daily() {
            let m = months.entry((series, Month::of_day(number))).or_default();
            *m = (m.0 + v.volume.map_or(0, |v| v.0), m.1 + 1);
        }
        let stored = self.monthly().into_iter().map(|(k, m)| (k, (m.volume.map_or(0, |v| v.0), m.days)));
        assert!(stored.collect::<BTreeMap<_, _>>() == months);
    }
}

/// A file with 800 days of readings, and their volumes.
fn loaded() -> &'static [u8] {
    static LOADED: OnceLock<Vec<u8>> = OnceLock::new();
    LOADED.get_or_init(|| {
        let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 2));
        let path = dir.path().join("h.db");
        let mut s = Store::start(&path, &t);
        s.go_on(DAYS);
        assert_eq!((s.first(0), s.reader.expired().unwrap()), (0, vec![]), "without a word, everything is kept");
        drop((s.volumes, s.reader));
        s.writer.close().unwrap();
        std::fs::read(&path).unwrap()
    })
}

/// 800 days, of which readings of 200 are kept.
fn shortened<'a>(path: &Path, topology: &'a Topology) -> Store<'a> {
    std::fs::write(path, loaded()).unwrap();
    let mut s = Store { days: DAYS, ..Store::start(path, topology) };
    let (daily, monthly, seen) = (s.daily(), s.monthly(), s.seen(1, DAYS - 2));
    assert_eq!(daily.len(), 2 * usize::try_from(DAYS - 1).unwrap());
    s.writer.keep(KEPT).unwrap();
    s.go_on(3);
    let after = s.daily();
    assert!(daily.iter().all(|(k, v)| after.get(k) == Some(v)));
    let (last, now) = (Month::of_day(daily.keys().map(|k| k.1).max().unwrap()), s.monthly());
    assert!(monthly.iter().filter(|((_, m), _)| *m < last).all(|(k, v)| now.get(k) == Some(v)));
    assert!(s.seen(1, DAYS - 2) == seen);
    s.sound();
    s
}

#[test]
fn what_is_old_goes_and_what_it_told_stays() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 2));
    let mut s = shortened(&dir.path().join("h.db"), &t);
    for (source, kept) in [(0, 200), (1, 200), (THERMOMETER, 150)] {
        let first = s.first(source);
        assert!(first > DAYS - kept - CHUNK - 3 && first <= DAYS - kept, "{source} begins on day {first}");
        // To the unit, what is kept.
        let hours = s.until(source).map_or(0, |u| (u - T0) / HOUR + 1)..s.days * 24;
        let expected: Vec<Row> = hours.map(|h| row(T0 + h * HOUR, source, value(source, h))).collect();
        assert!(s.reader.readings(SourceId(source), Ts(i64::MIN), Ts(i64::MAX), 100_000).unwrap() == expected);
    }
    assert_eq!(s.first(UNBOUND), 0, "nobody has told its days");
    let stats = s.reader.stats().unwrap();
    let expired: u64 = s.reader.expired().unwrap().iter().map(|(_, e)| e.rows).sum();
    assert_eq!((s.writer.expired(), stats.expired, stats.rows + expired), (expired, expired, u64::try_from(s.days * 96).unwrap()));
    let conn = Connection::open(&s.path).unwrap();
    let one = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(one("SELECT count(*) FROM v_expired WHERE topic LIKE 'water/%' AND until LIKE '202%Z'"), 3);
    assert_eq!(one("SELECT count(*) FROM chunk_columns WHERE chunk NOT IN (SELECT key FROM chunks)"), 0);
    assert_eq!(one("SELECT sum(rows) FROM v_expired"), i64::try_from(expired).unwrap());
    drop(conn);
    // A copy holds it, too.
    let copy = dir.path().join("copy.db");
    backup(&Settings { path: s.path.clone() }, &copy, false, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(check(&Settings { path: copy }, Depth::Full, &mut |_| {}).unwrap().findings, []);
    // And so it goes on after a start.
    let before = (s.first(0), s.seen(0, DAYS));
    s = s.restart(&t);
    s.writer.keep(KEPT).unwrap();
    s.go_on(CHUNK + 4);
    assert!((s.first(0), s.seen(0, DAYS)) == (before.0 + CHUNK, before.1));
    s.sound();
}

#[test]
fn late_rows_move_no_day_whose_rows_are_gone() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 2));
    let mut s = shortened(&dir.path().join("h.db"), &t);
    let (daily, first) = (s.daily(), s.first(0));
    // Behind what is gone, alone and with one that is only late.
    s.commit(vec![row(T0 + 40 * DAY + 1, 0, value(0, 960) + 1)]);
    assert!(s.daily() == daily);
    let (old, late) = (row(T0 + 300 * DAY + 1, 0, value(0, 7200) + 1), row(T0 + (DAYS - 20) * DAY + 1, 0, value(0, (DAYS - 20) * 24) + 9));
    s.commit(vec![old, late]);
    let left = s.daily();
    assert!(left.iter().all(|(k, v)| daily.get(k) == Some(v)));
    assert_eq!(daily.len() - left.len(), 24, "from two days before the late one");
    assert_eq!(s.reader.lookup(SourceId(0), old.ts).unwrap(), Some(old.values));
    s.sound();
    s.tell();
    s.tell();
    assert_eq!(s.daily().len(), daily.len());
    assert_eq!(s.daily().iter().filter(|(k, v)| daily.get(k) != Some(v)).count(), 0, "it fits between its neighbours");
    // One in the first days that are there.
    let until = s.until(0).unwrap();
    s.commit(vec![row(until + HOUR / 2, 0, value(0, (until - T0) / HOUR) + 1)]);
    let left = s.daily();
    let gone: Vec<i32> = daily.keys().filter(|k| !left.contains_key(k)).map(|k| k.1).collect();
    let behind = i32::try_from(until.div_euclid(DAY)).unwrap() + 1;
    assert_eq!(gone.first(), Some(&behind));
    assert!(gone.len() > 100);
    s.tell();
    s.tell();
    assert!(s.daily().keys().eq(daily.keys()));
    s.sound();
    // The stray rows go as they came to be old.
    s.writer.keep(KEPT).unwrap();
    s.go_on(CHUNK + 4);
    assert!(s.first(0) > first);
    assert!(daily.iter().filter(|((_, day), _)| *day < behind).all(|(k, v)| s.daily().get(k) == Some(v)));
    s.sound();
}

#[test]
fn another_meter_tells_anew_what_there_are_rows_of() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 2));
    let s = shortened(&dir.path().join("h.db"), &t);
    let (daily, monthly, seen) = (s.daily(), s.monthly(), s.seen(0, 400));
    let until = s.until(0).unwrap();
    let behind = i32::try_from(until.div_euclid(DAY)).unwrap() + 1;
    let mut other = t.clone();
    other.points[0].meter.max_flow = Rate::litres(4_000);
    let mut s = s.restart(&other);
    assert_eq!(s.daily().len(), daily.len() - daily.keys().filter(|k| k.0.source.0 == 0 && k.1 >= behind).count());
    assert!(s.seen(0, 400) == seen, "before anything is told anew");
    s.sound();
    s.go_on(1);
    // The interval into the first of them began with a reading that is gone.
    let changed: Vec<i32> = s.daily().into_iter().filter(|(k, v)| daily.get(k).is_some_and(|d| d != v)).map(|(k, _)| k.1).collect();
    assert!(changed.is_empty() || changed == [behind], "{changed:?} and {behind}");
    assert!(daily.keys().all(|k| s.daily().contains_key(k)));
    let (first, last) = (Month::of_day(behind), Month::of_day(daily.keys().map(|k| k.1).max().unwrap()));
    assert!(s.monthly().iter().filter(|(k, _)| k.1 != first && k.1 < last).all(|(k, v)| monthly.get(k) == Some(v)));
    assert!(s.seen(0, 400) == seen);
    s.sound();
    // Back again, and once more: days that are gone are not told less with each change.
    let mut s = s.restart(&t);
    s.go_on(1);
    let mut s = s.restart(&other);
    s.go_on(1);
    assert!(daily.keys().all(|k| s.daily().contains_key(k)));
    assert!(s.seen(0, 400) == seen);
    s.sound();
}

#[test]
fn another_calendar_leaves_the_days_whose_rows_are_gone() {
    for zone in ["Asia/Shanghai", "America/New_York"] {
        let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 2));
        let s = shortened(&dir.path().join("h.db"), &t);
        let (daily, seen) = (s.daily(), s.seen(0, 400));
        let until = METERS.iter().filter_map(|m| s.until(*m)).max().unwrap();
        let behind = i32::try_from(until.div_euclid(DAY)).unwrap() + 1;
        let other = topology(zone, 2);
        let mut s = s.restart(&other);
        s.sound();
        s.go_on(1);
        let now = s.daily();
        assert!(daily.iter().filter(|(k, _)| k.1 < behind).all(|(k, v)| now.get(k) == Some(v)));
        let anew: Vec<_> = now.iter().filter(|(k, _)| k.1 >= behind).collect();
        assert!(anew.len() > 2 * 200 && anew.iter().all(|(_, (day, _))| Day::numbered(day.number, &other.tz) == Some(*day)));
        assert!(anew.iter().skip(4).all(|(_, (_, v))| v.complete));
        // There the span begins in the evening before.
        let (bars, sums) = s.seen(0, 400);
        let at = usize::from(zone == "America/New_York");
        assert!(sums[at..][..399] == seen.1[..399], "totals by date");
        assert!((1..399).all(|i| bars[at + i].volume == seen.0[i].volume), "charts by date");
        s.sound();
        // It is settled.
        let s = s.restart(&other);
        assert!(s.daily() == now);
    }
}

#[test]
fn a_repair_keeps_days_whose_rows_are_gone() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 2));
    let s = shortened(&dir.path().join("h.db"), &t);
    let (daily, expired, path) = (s.daily(), s.reader.expired().unwrap(), s.path.clone());
    drop(s.volumes);
    s.writer.close().unwrap();
    let conn = Connection::open(&path).unwrap();
    // A day of long ago, one that can be told again, and a chunk.
    let (old, young) = (daily.keys().nth(50).unwrap(), daily.keys().rfind(|k| k.0.source.0 == 0).unwrap());
    for (series, day) in [old, young] {
        let key = i64::from(day >> 5) << 28 | i64::from(series.source.0) << 8 | i64::from(day & 31);
        assert_eq!(conn.execute("DELETE FROM daily WHERE key = ?1", [key]).unwrap(), 1);
    }
    conn.execute("DELETE FROM chunks WHERE key = (SELECT min(key) FROM chunks WHERE key >> 43 = 3)", []).unwrap();
    conn.close().unwrap();
    let Repair::Done(done) = repair(&Settings { path: path.clone() }, Ts(T0), &mut |_| {}).unwrap() else { panic!("nothing found") };
    assert_eq!(done.after.findings, []);
    let mut s = Store { days: DAYS + 3, ..Store::start(&path, &t) };
    s.go_on(1);
    assert_eq!(s.reader.expired().unwrap(), expired);
    let left = s.daily();
    let missing: Vec<_> = daily.iter().filter(|(k, v)| left.get(k) != Some(v)).map(|(k, _)| k).collect();
    assert!(missing == [old], "{missing:?}");
    s.sound();
}
