//! Closed days: whatever arrives, in whatever order, under whatever calendar, and however often the process dies, they tell what the rows tell.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers of the test's own")]

#[path = "support/days.rs"]
mod days;

use days::checked;
use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::{Day, Ms, Ts};
use heyun::store::{Batch, DayOf, Reader, Settings, Writer, open};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// 2026-03-28T00:00:00Z, the day before Rome's clocks go forward.
const T0: i64 = 1_774_656_000_000;
const HOUR: i64 = 3_600_000;

fn calendar(zone: &str) -> DayOf {
    let tz = TimeZone::get(zone).unwrap();
    Box::new(move |ts| Day::of(ts, &tz))
}

fn start(path: &Path, zone: &str) -> (Writer, Reader) {
    let (writer, reader) = open(&Settings { path: path.to_owned() }).unwrap();
    writer.keep_days(calendar(zone)).unwrap();
    (writer, reader)
}

fn row(ts: i64, source: u32, v: i64) -> Row {
    Row { ts: Ts(ts), source: SourceId(source), values: Values::single(v), flags: Flags::NONE }
}

fn batch(id: u64, received: i64, rows: Vec<Row>) -> Arc<Batch> {
    Arc::new(Batch { id, received: Ts(received), rows, ..Batch::default() })
}

/// Hourly rows of two sources over some days from T0.
fn hourly(days: i64) -> Vec<Row> {
    (0..days * 24).flat_map(|h| [row(T0 + h * HOUR, 0, 100 * h), row(T0 + h * HOUR + 7, 1, 50_000 - h)]).collect()
}

#[test]
fn a_day_is_closed_when_the_readings_have_gone_on_for_two_hours_and_one_per_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = start(&dir.path().join("h.db"), "UTC");
    let late = T0 + 90 * 24 * HOUR;
    writer.commit(batch(1, late, hourly(3))).unwrap();
    let first = Day::of(Ts(T0), &TimeZone::UTC);
    assert_eq!(checked(&reader, 0..3), [first]);
    // Without rows, too, and not the day that is not over.
    writer.commit(batch(2, late, vec![row(T0 + 71 * HOUR + 9, 0, 7_100)])).unwrap();
    writer.commit(batch(3, late, vec![])).unwrap();
    let second = first.next(&TimeZone::UTC);
    assert_eq!(checked(&reader, 0..3), [first, second]);
    let midnight = T0 + 72 * HOUR;
    writer.commit(batch(4, late, vec![row(midnight + 2 * HOUR - 1, 0, 9_999)])).unwrap();
    assert_eq!(checked(&reader, 0..3).len(), 2);
    writer.commit(batch(5, late, vec![row(midnight + 2 * HOUR, 0, 9_999)])).unwrap();
    assert_eq!(checked(&reader, 0..3).len(), 3);

    let (_, told) = reader.days(SourceId(1), 0, first.number, first.number + 1).unwrap()[0];
    let told = told.unwrap();
    assert_eq!((told.n, told.first, told.last), (24, (Ts(T0 + 7), 50_000), (Ts(T0 + 23 * HOUR + 7), 49_977)));
    assert_eq!((told.least, told.greatest, told.steepest), (49_977, 50_000, None));
    let (_, told) = reader.days(SourceId(0), 0, first.number, first.number + 1).unwrap()[0];
    assert_eq!(told.unwrap().steepest, Some(100));
}

#[test]
fn a_late_row_opens_its_day_at_once_and_it_is_closed_again_when_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = start(&dir.path().join("h.db"), "UTC");
    let now = T0 + 90 * 24 * HOUR;
    writer.commit(batch(1, now, hourly(3))).unwrap();
    writer.commit(batch(2, now, vec![row(T0 + 72 * HOUR, 0, 7_200)])).unwrap();
    assert_eq!(checked(&reader, 0..3).len(), 2);
    writer.commit(batch(3, now, vec![row(T0 + 30 * HOUR + 1, 2, 5)])).unwrap();
    assert_eq!(checked(&reader, 0..3).len(), 1);
    writer.commit(batch(4, now + 59_999, vec![])).unwrap();
    assert_eq!(checked(&reader, 0..3).len(), 1);
    writer.commit(batch(5, now + 60_000, vec![])).unwrap();
    assert_eq!(checked(&reader, 0..3).len(), 2);
    assert_eq!(reader.days(SourceId(2), 0, i32::MIN, i32::MAX).unwrap().iter().filter(|d| d.1.is_some()).count(), 1);
}

#[test]
fn a_writer_without_a_calendar_closes_nothing_and_still_opens_what_it_must() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let now = T0 + 90 * 24 * HOUR;
    let (writer, _) = start(&path, "UTC");
    writer.commit(batch(1, now, hourly(3))).unwrap();
    writer.commit(batch(2, now, vec![row(T0 + 72 * HOUR, 0, 7_200)])).unwrap();
    writer.close().unwrap();
    let (writer, reader) = open(&Settings { path }).unwrap();
    writer.commit(batch(3, now, vec![row(T0 + 5, 2, 5), row(T0 + 200 * HOUR, 2, 6)])).unwrap();
    assert_eq!(checked(&reader, 0..3).len(), 1);
}

#[test]
fn a_clock_that_runs_ahead_closes_no_day_that_is_not_over() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = start(&dir.path().join("h.db"), "UTC");
    let ahead = Row { flags: Flags::AHEAD, ..row(T0 + 999 * 24 * HOUR, 1, 5) };
    writer.commit(batch(1, T0 + 20 * HOUR, vec![row(T0, 0, 1)])).unwrap();
    writer.commit(batch(2, T0 + 20 * HOUR, vec![ahead])).unwrap();
    writer.commit(batch(3, T0 + 20 * HOUR, vec![])).unwrap();
    assert_eq!(checked(&reader, 0..3), []);
}

#[test]
fn a_file_of_version_1_is_migrated_and_its_days_are_closed_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
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

    let (writer, reader) = start(&path, "Asia/Shanghai");
    assert_eq!(checked(&reader, 0..3), []);
    // The daemon's first commit may well hold no row: nothing is closed before it is known how far the readings are.
    writer.commit(batch(2, last, vec![])).unwrap();
    for (id, closed) in (3..).zip(1..=39) {
        writer.commit(batch(id, last + 5_000, vec![row(last + id as i64, 0, 1_000_000)])).unwrap();
        assert_eq!(checked(&reader, 0..3).len(), closed);
    }
}

#[test]
fn another_time_zone_is_another_calendar() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let now = T0 + 90 * 24 * HOUR;
    let mut id = 0;
    let mut run = |zone: &str, late: Option<i64>| {
        let (writer, reader) = start(&path, zone);
        let mut batches = vec![if id == 0 { hourly(5) } else { vec![] }];
        batches[0].extend(late.map(|hour| row(T0 + hour * HOUR + 1, 2, hour)));
        batches.push(vec![row(T0 + 130 * HOUR + id as i64, 2, 7)]);
        batches.resize(8, vec![]);
        let closed = batches.into_iter().map(|rows| {
            id += 1;
            writer.commit(batch(id, now + 60_000 * id as i64, rows)).unwrap();
            checked(&reader, 0..3)
        });
        let closed: Vec<_> = closed.collect();
        writer.close().unwrap();
        closed
    };
    let last = |closed: &[Vec<Day>]| closed[closed.len() - 1].clone();
    let utc = run("UTC", None);
    assert_eq!(last(&utc).len(), 5);
    let rome = run("Europe/Rome", Some(25));
    assert_eq!(rome[0].len(), 1, "days of another calendar are not believed");
    assert_eq!(last(&rome).iter().map(|d| (d.to - d.from).0 / HOUR).collect::<Vec<_>>(), [24, 23, 24, 24, 24]);
    let again = run("Europe/Rome", None);
    assert_eq!((&again[0], &last(&again)), (&last(&rome), &last(&rome)));
}

#[test]
fn people_see_days_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let (writer, _) = start(&path, "UTC");
    let source = heyun::domain::engine::SourceRecord {
        source: SourceId(0),
        id: "g.1".into(),
        topic: "water/b15".into(),
        columns: vec![heyun::domain::topology::Column { name: "register".into(), quantity: heyun::domain::units::Quantity::Volume }],
    };
    let now = T0 + 90 * 24 * HOUR;
    writer.commit(Arc::new(Batch { sources: vec![source], ..(*batch(1, now, hourly(2))).clone() })).unwrap();
    let seen: (String, String, String, i64, i64) = Connection::open(&path)
        .unwrap()
        .query_row("SELECT day, topic, name, n, last FROM v_days", [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))
        .unwrap();
    assert_eq!(seen, ("2026-03-28".into(), "water/b15".into(), "register".into(), 24, 2_300));
}

/// Hours that wander forward, with rows that come days late and clocks that are far off.
fn readings() -> impl Strategy<Value = Vec<Vec<(i64, u32, i64, u8)>>> {
    let hour = prop_oneof![6 => (0i64..6).prop_map(|h| h), 2 => -60i64..0, 1 => Just(9_000), 1 => Just(-9_000)];
    let row =
        (hour, 0u32..3, prop_oneof![Just(i64::MAX), Just(i64::MIN), -5i64..100, 0i64..100], prop_oneof![9 => Just(0u8), 1 => Just(4u8)]);
    prop::collection::vec(prop::collection::vec(row, 0..25), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn closed_days_tell_what_their_rows_tell(batches in readings(), ends in prop::collection::btree_map(0usize..40, 0usize..3, 0..4)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.db");
        let zones = ["Europe/Rome", "Asia/Shanghai", "America/Sao_Paulo"];
        let (mut writer, mut reader) = start(&path, zones[0]);
        let (mut seen, mut last) = (BTreeSet::new(), 0);
        for (i, rows) in batches.into_iter().enumerate() {
            let base = T0 + i as i64 * 7 * HOUR;
            let rows: Vec<Row> = (0i64..).zip(rows)
                .map(|(k, (hour, source, v, flags))| Row { flags: Flags(flags), ..row(base + hour * HOUR + k % 5 * 61_000, source, v) })
                .filter(|r| seen.insert((r.ts, r.source)))
                .collect();
            last = i as u64 + 1;
            writer.commit(batch(last, base + 6 * HOUR, rows)).unwrap();
            checked(&reader, 0..3);
            if let Some(zone) = ends.get(&i) {
                drop(writer);
                (writer, reader) = start(&path, zones[*zone]);
            }
        }
        // Given time, every day with rows is closed.
        let now = T0 + 5_000 * HOUR;
        for n in 1..60 {
            let rows = if n == 1 { vec![row(now, 7, 1)] } else { vec![] };
            writer.commit(batch(last + n, now + 60_000 * n as i64, rows)).unwrap();
        }
        let days = checked(&reader, 0..3);
        let over = now - Ms::hours(26).0;
        prop_assert!(seen.iter().filter(|(ts, _)| ts.0 < over).all(|(ts, _)| days.iter().any(|d| d.from <= *ts && *ts < d.to)), "{:?}", days);
    }
}
