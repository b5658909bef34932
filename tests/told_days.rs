//! Told days: whatever arrives, in whatever order, under whatever calendar, and however often the process ends, they tell what the rows tell.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of the test's own")]

#[path = "support/told.rs"]
mod told;

use heyun::domain::engine::{IdentityKind, IdentityRecord};
use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::{Day, Ms, Ts};
use heyun::domain::topology::Topology;
use heyun::domain::units::Rate;
use heyun::history::{Historian, Step, settle};
use heyun::store::{Batch, Reader, Settings, Told, Volumes, Watch, Writer, open};
use proptest::prelude::*;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use told::{checked, sources, topology};

/// 2026-03-28T00:00:00Z, the day before Rome's clocks go forward.
const T0: i64 = 1_774_656_000_000;
const HOUR: i64 = 3_600_000;
const LATER: i64 = T0 + 90 * 24 * HOUR;

/// A store, and who tells its days.
struct Teller<'a> {
    writer: Writer,
    reader: Reader,
    volumes: Volumes,
    historian: Historian<'a>,
    topology: &'a Topology,
    /// On a clock that only goes forward.
    clock: Ms,
    batches: u64,
}

impl<'a> Teller<'a> {
    fn start(path: &Path, topology: &'a Topology) -> Teller<'a> {
        let (writer, reader) = open(&Settings { path: path.to_owned() }).unwrap();
        let volumes = writer.volumes().unwrap();
        settle(&reader, &volumes, topology).unwrap();
        let batches = reader.last_batch().unwrap().map_or(0, |h| h.batch);
        Teller { writer, reader, volumes, historian: Historian::new(topology), topology, clock: Ms::ZERO, batches }
    }

    fn commit(&mut self, received: i64, rows: Vec<Row>) {
        self.batches += 1;
        self.writer.commit(batch(self.batches, received, rows)).unwrap();
    }

    /// Commits rows day by day, long after.
    fn load(&mut self, rows: &[Row]) {
        rows.chunks(48).for_each(|rows| self.commit(LATER, rows.to_vec()));
    }

    /// Has told what can be after some time.
    fn tell(&mut self, later: Ms) {
        self.clock = self.clock + later;
        while let Step::More { .. } = self.historian.step(&self.reader, &self.volumes, self.clock).unwrap() {}
    }

    /// How many days are told of each point, after checking them.
    #[track_caller]
    fn told(&self) -> Vec<usize> {
        checked(&self.reader, self.topology).iter().map(Vec::len).collect()
    }
}

fn row(ts: i64, source: u32, v: i64) -> Row {
    Row { ts: Ts(ts), source: SourceId(source), values: Values::single(v), flags: Flags::NONE }
}

fn batch(id: u64, received: i64, rows: Vec<Row>) -> Arc<Batch> {
    let sources = if id == 1 { sources(3) } else { vec![] };
    Arc::new(Batch { id, received: Ts(received), rows, sources, ..Batch::default() })
}

/// Hourly rows of two sources over some days from T0.
fn hourly(days: i64) -> Vec<Row> {
    (0..days * 24).flat_map(|h| [row(T0 + h * HOUR, 0, 100_000 * h), row(T0 + h * HOUR + 7, 1, 50_000 * h)]).collect()
}

#[test]
fn a_day_is_told_when_the_readings_have_gone_on_for_two_hours() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 3));
    let mut s = Teller::start(&dir.path().join("h.db"), &t);
    s.tell(Ms::ZERO);
    s.load(&hourly(3));
    assert_eq!(s.told(), [0, 0, 0], "nothing is told on the way in");
    s.tell(Ms::ZERO);
    assert_eq!(s.told(), [2, 2, 0]);
    let midnight = T0 + 72 * HOUR;
    s.commit(LATER, vec![row(midnight + 2 * HOUR - 1, 0, 7_400_000)]);
    s.tell(Ms::ZERO);
    assert_eq!(s.told(), [2, 2, 0]);
    s.commit(LATER, vec![row(midnight + 2 * HOUR, 2, 1)]);
    s.tell(Ms::ZERO);
    // Of the second meter nobody knows yet what passed over midnight, and the third has no day before this one.
    assert_eq!(s.told(), [3, 2, 0]);
    s.commit(LATER, vec![row(midnight + 90 * HOUR, 1, 162 * 50_000), row(midnight + 90 * HOUR, 2, 9_000)]);
    s.tell(Ms::ZERO);
    assert_eq!(s.told(), [3, 2, 0], "read is what is before the day that goes on");
    s.commit(LATER, vec![row(midnight + 98 * HOUR, 0, 17_000_000)]);
    s.tell(Ms::ZERO);
    assert_eq!(s.told(), [3, 6, 3]);
}

#[test]
fn a_late_row_takes_its_days_back_at_once_and_they_are_told_again_when_it_is_quiet() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 3));
    let mut s = Teller::start(&dir.path().join("h.db"), &t);
    s.load(&hourly(12));
    s.commit(LATER, vec![row(T0 + 289 * HOUR, 0, 28_900_000), row(T0 + 289 * HOUR, 1, 14_450_000), row(T0 + 290 * HOUR, 0, 29_000_000)]);
    s.tell(Ms::ZERO);
    assert_eq!(s.told(), [12, 12, 0]);
    s.commit(LATER, vec![row(T0 + 6 * 24 * HOUR + 1, 0, 14_400_030)]);
    assert_eq!(s.told(), [4, 12, 0]);
    s.tell(Ms::seconds(59));
    s.tell(Ms::seconds(59));
    assert_eq!(s.told(), [4, 12, 0], "the minute begins when somebody looks");
    s.tell(Ms::seconds(1));
    assert_eq!(s.told(), [12, 12, 0]);
    // Of the day that is not over: nothing told depends on it.
    s.commit(LATER, vec![row(T0 + 12 * 24 * HOUR + 90 * 60_000, 1, 14_470_000)]);
    assert_eq!(s.told(), [12, 12, 0]);
    // Before its beginning.
    s.commit(LATER, vec![row(T0 - 90 * HOUR, 1, 0)]);
    assert_eq!(s.told(), [12, 0, 0]);
    s.tell(Ms::ZERO);
    s.tell(Ms::minutes(1));
    assert_eq!(s.told(), [12, 16, 0]);
}

#[test]
fn without_anybody_who_tells_days_late_rows_take_them_back_all_the_same() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 3));
    let path = dir.path().join("h.db");
    let mut s = Teller::start(&path, &t);
    s.load(&hourly(6));
    s.tell(Ms::ZERO);
    s.writer.close().unwrap();
    let (writer, reader) = open(&Settings { path }).unwrap();
    writer.commit(batch(7, LATER, vec![row(T0 + 75 * HOUR + 1, 1, 3_750_000), row(T0 + 200 * HOUR, 2, 6)])).unwrap();
    assert_eq!(checked(&reader, &t).iter().map(Vec::len).collect::<Vec<_>>(), [5, 0, 0]);
}

#[test]
fn what_was_read_before_a_row_came_is_not_told() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 3));
    let mut s = Teller::start(&dir.path().join("h.db"), &t);
    s.load(&hourly(6));
    s.tell(Ms::ZERO);
    let known = s.reader.told().unwrap();
    let watch = Watch { before: Ts(T0 + 144 * HOUR), until: Ts::LATEST };
    assert_eq!(s.volumes.watch(watch).unwrap().disturbed.len(), 0);
    s.commit(LATER, vec![row(T0 + 50 * HOUR + 1, 0, 5_000_000), row(T0 + 144 * HOUR, 1, 7_200_000)]);
    // As if it had been told from rows without the new one.
    let seen = s.volumes.tell(known.into_iter().map(|series| Told { series, days: vec![] }).collect(), watch).unwrap();
    assert_eq!(seen.disturbed, BTreeSet::from([SourceId(0)]));
    assert_eq!(s.told(), [0, 5, 0]);
    assert_eq!(s.volumes.watch(watch).unwrap().disturbed.len(), 0, "it is said once");
}

#[test]
fn a_clock_that_runs_ahead_ends_no_day() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 3));
    let mut s = Teller::start(&dir.path().join("h.db"), &t);
    let ahead = Row { flags: Flags::AHEAD, ..row(T0 + 999 * 24 * HOUR, 1, 5) };
    s.commit(T0 + 20 * HOUR, vec![row(T0, 0, 1), row(T0 + 26 * HOUR, 0, 1)]);
    s.commit(T0 + 20 * HOUR, vec![ahead]);
    s.tell(Ms::ZERO);
    assert_eq!(s.told(), [0, 0, 0]);
}

#[test]
fn a_file_of_version_1_is_migrated_and_its_days_are_told() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("Asia/Shanghai", 2));
    let path = dir.path().join("h.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;").unwrap();
    old.execute_batch(include_str!("data/store/version-1.sql")).unwrap();
    let rows = hourly(40);
    for (pos, r) in (0i64..).zip(&rows) {
        let key = r.ts.0 << 20 | i64::from(r.source.0);
        let values = (key, pos, r.values.get(0));
        old.execute("INSERT INTO readings (key, batch, pos, flags, v0) VALUES (?1, 1, ?2, 0, ?3)", values).unwrap();
    }
    let (first, last) = (rows[0].ts.0, rows[rows.len() - 1].ts.0);
    old.execute("INSERT INTO commits VALUES (1, ?1, ?2, ?3, ?1, ?2, 0)", (last, rows.len() as i64, first)).unwrap();
    drop(old);

    let mut s = Teller::start(&path, &t);
    s.writer.commit(Arc::new(Batch { sources: sources(2), ..(*batch(2, last, vec![])).clone() })).unwrap();
    s.batches = 2;
    s.tell(Ms::ZERO);
    assert_eq!(s.told(), [40, 40], "what is stored tells how far the readings are");
    s.commit(last + 5_000, vec![row(last + 1, 0, 100_000_000)]);
    s.tell(Ms::ZERO);
    assert_eq!(s.told(), [40, 40]);
}

#[test]
fn another_time_zone_is_another_calendar() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let run = |zone: &str, rows: Vec<Row>| {
        let t = topology(zone, 3);
        let mut s = Teller::start(&path, &t);
        let before = s.told();
        s.load(&rows);
        s.tell(Ms::ZERO);
        s.tell(Ms::minutes(1));
        let days = checked(&s.reader, &t)[0].clone();
        s.writer.close().unwrap();
        (before[0], days.iter().map(|d| (d.to - d.from).0 / HOUR).collect::<Vec<_>>())
    };
    assert_eq!(run("UTC", hourly(6)), (0, vec![24; 5]));
    assert_eq!(run("Europe/Rome", vec![row(T0 + 150 * HOUR, 1, 8_000_000)]), (0, vec![24, 23, 24, 24, 24, 24]));
    assert_eq!(run("Europe/Rome", vec![row(T0 + 151 * HOUR, 1, 8_000_000)]).0, 6);
}

#[test]
fn another_meter_or_another_point_has_its_days_told_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let before = topology("UTC", 3);
    let mut s = Teller::start(&path, &before);
    s.load(&hourly(6));
    s.tell(Ms::ZERO);
    s.writer.close().unwrap();
    let mut after = before.clone();
    after.points[0].meter.max_flow = Rate::litres(60);
    let mut s = Teller::start(&path, &after);
    assert_eq!(s.told(), [0, 5, 0]);
    s.commit(LATER, vec![row(T0 + 145 * HOUR, 2, 8_000_000)]);
    s.tell(Ms::ZERO);
    assert_eq!(s.told(), [0, 5, 0], "so steep a register is never believed");
    s.writer.close().unwrap();
    after.points[1].key = "renamed".into();
    let s = Teller::start(&path, &after);
    assert_eq!(s.reader.told().unwrap().iter().filter(|t| t.series.source == SourceId(1)).count(), 0);
}

#[test]
fn people_see_days_and_months_by_name() {
    let (dir, t) = (tempfile::tempdir().unwrap(), topology("UTC", 3));
    let path = dir.path().join("h.db");
    let mut s = Teller::start(&path, &t);
    let identity = IdentityRecord { kind: IdentityKind::Point, key: "p0".into(), id: "g.7".into() };
    s.load(&hourly(40));
    s.writer.commit(Arc::new(Batch { identities: vec![identity], ..(*batch(41, LATER, vec![])).clone() })).unwrap();
    s.tell(Ms::ZERO);
    let file = Connection::open(&path).unwrap();
    type Seen = (String, String, Option<String>, String, String, i64, f64, bool, i64);
    let ask = |sql: &str| -> Vec<Seen> {
        let mut q = file.prepare(sql).unwrap();
        let rows =
            q.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?, r.get(8)?)));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    };
    let daily = ask(
        "SELECT date, point, point_id, topic, name, volume_ml, litres, complete, known_ms FROM v_daily WHERE date = '2026-03-29' ORDER BY point",
    );
    let seen = |point: &str, id: Option<&str>, topic: &str, ml: i64| {
        (
            "2026-03-29".to_owned(),
            point.to_owned(),
            id.map(str::to_owned),
            topic.to_owned(),
            "register".to_owned(),
            ml,
            ml as f64 / 1e3,
            true,
            24 * HOUR,
        )
    };
    assert_eq!(daily, [seen("p0", Some("g.7"), "water/0", 2_400_000), seen("p1", None, "water/1", 1_200_000)]);
    let monthly = ask(
        "SELECT month, point, point_id, topic, name, volume_ml, litres, complete, days FROM v_monthly WHERE point = 'p0' ORDER BY month",
    );
    let told: Vec<_> = monthly.iter().map(|m| (m.0.as_str(), m.5, m.7, m.8)).collect();
    assert_eq!(told, [("2026-03", 4 * 2_400_000, false, 4), ("2026-04", 30 * 2_400_000, true, 30), ("2026-05", 5 * 2_400_000, false, 5)]);
}

/// Hours that wander forward, with rows that come days late and clocks that are far off.
fn readings() -> impl Strategy<Value = Vec<Vec<(i64, u32, i64, u8)>>> {
    let hour = prop_oneof![6 => (0i64..6).prop_map(|h| h), 2 => -60i64..0, 1 => Just(9_000), 1 => Just(-9_000)];
    let value = prop_oneof![1 => Just(i64::MAX), 1 => Just(i64::MIN), 6 => -5i64..100_000, 30 => Just(0i64)];
    let row = (hour, 0u32..3, value, prop_oneof![19 => Just(0u8), 1 => Just(4u8)]);
    prop::collection::vec(prop::collection::vec(row, 0..25), 1..25)
}

/// What happens after a batch.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Tell,
    Quiet,
    /// The process ends and starts again, perhaps under another calendar.
    Restart(usize),
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![4 => Just(Then::Nothing), 3 => Just(Then::Tell), 3 => Just(Then::Quiet), 1 => (0usize..3).prop_map(Then::Restart)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn told_days_tell_what_their_rows_tell(batches in readings(), then in prop::collection::vec(then(), 40)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.db");
        let zones = ["Europe/Rome", "Asia/Shanghai", "America/Sao_Paulo"].map(|z| topology(z, 3));
        let mut s = Teller::start(&path, &zones[0]);
        let mut seen = BTreeSet::new();
        for (i, rows) in batches.into_iter().enumerate() {
            let base = T0 + i as i64 * 7 * HOUR;
            let rows: Vec<Row> = (0i64..).zip(rows)
                .map(|(k, (hour, source, v, flags))| {
                    let ts = base + hour * HOUR + k % 5 * 61_000;
                    // Mostly a register that goes on with time.
                    let v = if v == 0 { (ts - T0) / 1_000 } else { v };
                    Row { flags: Flags(flags), ..row(ts, source, v) }
                })
                .filter(|r| seen.insert((r.ts, r.source)))
                .collect();
            s.commit(base + 6 * HOUR, rows);
            s.told();
            match then[i] {
                Then::Nothing => {}
                Then::Tell => s.tell(Ms::ZERO),
                Then::Quiet => {
                    s.tell(Ms::ZERO);
                    s.tell(Ms::minutes(1));
                }
                Then::Restart(zone) => {
                    drop(s);
                    s = Teller::start(&path, &zones[zone]);
                }
            }
            s.told();
        }
        // Given time and a last reading that goes on, all before it is told.
        let now = T0 + 12_000 * HOUR;
        let rows = (0..8).flat_map(|k| (0..3).map(move |source| row(now + k * HOUR, source, k))).collect();
        s.commit(now + 30 * HOUR, rows);
        s.commit(now + 30 * HOUR, vec![row(now + 28 * HOUR, 7, 1)]);
        s.tell(Ms::ZERO);
        s.tell(Ms::minutes(1));
        s.told();
        let day = Day::of(Ts(now), &s.topology.tz).number;
        for t in s.reader.told().unwrap() {
            prop_assert!(t.next >= day, "{:?}", t);
        }
    }
}
