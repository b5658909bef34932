//! Sealing against a sorted map: whatever was sealed when, every question gets the answer that unsealed rows would give.

use super::super::batch::{Batch, Checkpoint, EventRecord};
use super::super::commit::Committer;
use super::super::connection;
use super::super::error::CommitError;
use super::super::fold::FoldItem;
use super::super::reader::Reader;
use super::super::schema;
use super::*;
use crate::domain::reading::{Flags, Values};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

const DAY: i64 = 86_400_000;

/// As shipped, but small: chunks of 16 rows, steps of 24.
const SMALL: Rules = Rules { hot: Ms::days(2), era: (Ms::days(1), 60), bulk: u64::MAX, least: 0, step_rows: 24, full: 16, enough: 16 };

fn open(path: &Path, rules: Rules) -> Committer {
    let mut conn = connection::to_write(path).unwrap();
    schema::prepare(&mut conn, path).unwrap();
    connection::tune_writer(&conn, path).unwrap();
    Committer::new(conn, path.to_owned()).unwrap().sealing(rules)
}

struct Store {
    committer: Committer,
    reader: Reader,
    model: BTreeMap<(Ts, SourceId), Row>,
    batches: u64,
    events: u64,
    rules: Rules,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Store {
    fn new() -> Store {
        Store::with(SMALL)
    }

    fn with(rules: Rules) -> Store {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.db");
        let committer = open(&path, rules);
        Store { committer, reader: Reader::new(path.clone()), model: BTreeMap::new(), batches: 0, events: 0, rules, path, _dir: dir }
    }

    fn commit(&mut self, rows: Vec<Row>, received: i64, checkpoint: bool) -> Result<(), CommitError> {
        let id = self.batches + 1;
        let events =
            vec![EventRecord { seq: self.events + 1, at: Ts(received), incident: "i".into(), code: "c".into(), body: "{}".into() }];
        let checkpoint = checkpoint.then(|| Checkpoint { format: 1, body: vec![1] });
        self.committer.commit(&Batch { id, received: Ts(received), rows: rows.clone(), events, checkpoint, ..Batch::default() })?;
        self.batches = id;
        self.events += 1;
        self.model.extend(rows.into_iter().map(|r| ((r.ts, r.source), r)));
        Ok(())
    }

    /// Days go by in which little is said: all that there is now cools.
    fn age(&mut self) {
        let end = self.model.keys().next_back().map_or(0, |k| k.0.0).max(0) / DAY;
        for day in end + 1..end + 7 {
            self.commit(vec![row(day * DAY + 1, 9, day)], day * DAY + 1, true).unwrap();
            for _ in 0..20 {
                self.committer.tidy();
            }
        }
    }

    fn reopen(&mut self) {
        self.committer = open(&self.path, self.rules);
    }

    fn count(&self, table: &str) -> i64 {
        let conn = connection::to_read(&self.path).unwrap();
        conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0)).unwrap()
    }

    fn check(&self, asked: &[(i64, i64, u32, usize)]) {
        let mut all = Vec::new();
        self.reader
            .scan(Ts(i64::MIN), Ts(i64::MAX), &mut |r| {
                all.push(r);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(all, self.model.values().copied().collect::<Vec<_>>());
        for (a, b, source, limit) in asked {
            let (from, to, source) = (Ts(*a), Ts(*b), SourceId(*source));
            assert_eq!(self.reader.lookup(source, from).unwrap(), self.model.get(&(from, source)).map(|r| r.values));
            let mine = || self.model.values().filter(|r| r.source == source);
            let expected: Vec<Row> = mine().filter(|r| r.ts >= from && r.ts < to).take(*limit).copied().collect();
            assert_eq!(self.reader.readings(source, from, to, *limit).unwrap(), expected);
            assert_eq!(self.reader.row_before(source, from).unwrap().row(), mine().rfind(|r| r.ts < from).copied());
        }
        let stats = self.reader.stats().unwrap();
        assert_eq!(stats.rows, self.model.len() as u64);
        assert_eq!((stats.first, stats.last), (self.model.keys().next().map(|k| k.0), self.model.keys().next_back().map(|k| k.0)));
        let (mut rows, mut events) = (Vec::new(), 0);
        let mut each = |item: FoldItem| {
            match item {
                FoldItem::Row { row, .. } => rows.push(row),
                FoldItem::Event { .. } => events += 1,
                FoldItem::Commit { .. } => {}
            }
            ControlFlow::Continue(())
        };
        self.reader.refold(&mut each).unwrap();
        assert_eq!((rows, events), (self.model.values().copied().collect(), self.events));
        self.orderly();
    }

    /// Chunks of a source do not overlap, and say what is in them.
    fn orderly(&self) {
        let conn = connection::to_read(&self.path).unwrap();
        let places = sealed::in_span(&conn, Ts(i64::MIN), Ts(i64::MAX)).unwrap();
        let mut by_source = places.clone();
        by_source.sort_by_key(|p| p.key);
        for w in by_source.windows(2).filter(|w| w[0].source == w[1].source) {
            assert!(w[0].last < w[1].first, "{w:?}");
        }
        for p in places {
            let chunk = sealed::read(&conn, p, ALL).unwrap();
            assert_eq!((chunk.len(), chunk.ts(0), chunk.ts(p.n - 1)), (p.n, p.first, p.last));
            for ix in 0..8 {
                let said = sealed::Said::of((0..p.n).filter_map(|i| chunk.row(i, p.source).values.get(ix)));
                let stored: Option<(u32, i64, i64, i64, i64, Option<i64>)> = conn
                    .query_row(
                        "SELECT n, first, last, coalesce(least, first), coalesce(greatest, last), sum FROM chunk_columns WHERE chunk = ?1 AND ix = ?2",
                        (p.key, ix as i64),
                        |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?)),
                    )
                    .optional()
                    .unwrap();
                let said = said.map(|s| (u32::try_from(s.n).unwrap(), s.first, s.last, s.least, s.greatest, i64::try_from(s.sum).ok()));
                assert_eq!(stored, said, "column {ix} of {p:?}");
            }
        }
    }
}

fn row(ts: i64, source: u32, v: i64) -> Row {
    Row { ts: Ts(ts), source: SourceId(source), values: Values::single(v), flags: Flags::NONE }
}

#[test]
fn what_is_cold_and_folded_is_sealed_and_nothing_else() {
    let mut s = Store::new();
    for day in 0..10 {
        let rows = (0..8).flat_map(|i| [row(day * DAY + i * 3_600_000, 1, i), row(day * DAY + i * 3_600_000, 2, -i)]).collect();
        s.commit(rows, day * DAY + DAY, false).unwrap();
        s.committer.tidy();
    }
    assert_eq!(s.count("chunks"), 0, "nothing is folded yet");
    s.commit(vec![], 10 * DAY, true).unwrap();
    for _ in 0..20 {
        s.committer.tidy();
    }
    // Four days are over and cold; the fourth table had to take all the rest, whose newest day is not.
    assert_eq!((s.count("readings"), s.count("chunks")), (2 * 8 * 6, 2 * 2));
    s.age();
    let hot = s.count("readings");
    assert!((1..8).contains(&hot), "{hot}");
    assert_eq!(s.count("hot_0") + s.count("hot_1") + s.count("hot_2") + s.count("hot_3"), hot);
    assert_eq!(s.count("chunks"), 2 * 5 + 2, "80 rows each, in chunks of 16, and two small ones of the days after");
    assert!(s.count("commits") <= 6);
    assert!(s.reader.folds_from(s.batches).unwrap() && !s.reader.folds_from(1).unwrap());
    s.check(&[(0, 3 * DAY, 1, 9), (i64::MIN, i64::MAX, 2, 1000), (5 * DAY, 6 * DAY, 3, 5)]);
}

#[test]
fn a_history_that_was_loaded_is_sealed_whole_when_nothing_comes_any_more() {
    let mut s = Store::with(Rules { bulk: 10, least: 30, ..SMALL });
    let now = 100 * DAY;
    for day in 0..6 {
        let rows = (0..8).flat_map(|i| [row(day * DAY + i * 3_600_000, 1, i), row(day * DAY + i * 3_600_000, 2, -i)]).collect();
        s.commit(rows, now, false).unwrap();
        s.committer.tidy();
    }
    assert_eq!(s.count("chunks"), 0, "nothing is folded yet");
    s.commit(vec![], now, true).unwrap();
    while s.committer.rest() {}
    assert_eq!(s.count("readings"), 0);
    // Of the newest days it stays as it is.
    s.commit((0..90).map(|i| row(7 * DAY + i, 3, i)).chain([row(now - DAY, 1, 9)]).collect(), now, true).unwrap();
    while s.committer.rest() {}
    assert_eq!(s.count("readings"), 1);
    s.check(&[(i64::MIN, i64::MAX, 1, 1000), (3 * DAY, now, 2, 1000), (7 * DAY, 8 * DAY, 3, 100)]);
}

#[test]
fn a_late_row_is_merged_and_stands_among_the_changes() {
    let mut s = Store::new();
    for day in 0..10 {
        s.commit((0..4).map(|i| row(day * DAY + i * DAY / 4, 1, day * 4 + i)).collect(), day * DAY + DAY, true).unwrap();
    }
    s.age();
    assert!(s.count("chunks") > 1);
    // In the midst of a chunk, where one is already, and of a source that was silent so far.
    s.commit(vec![row(DAY + 5, 1, 7)], 10 * DAY, false).unwrap();
    let taken = s.commit(vec![row(DAY, 1, 99)], 10 * DAY, false).unwrap_err();
    assert!(matches!(&taken, CommitError::Clash { stored, .. } if stored.values == Values::single(4)), "{taken}");
    s.commit(vec![row(DAY + 5, 2, 7)], 10 * DAY, true).unwrap();
    assert_eq!(s.count("changes"), 1);
    s.age();
    assert!(s.count("readings") < 8);
    s.check(&[(DAY, 2 * DAY, 1, 9), (DAY + 6, 0, 1, 1), (DAY + 5, 0, 1, 1), (DAY + 5, 0, 2, 1)]);
}

#[test]
fn a_damaged_chunk_is_named_and_does_not_stop_the_others() {
    let mut s = Store::new();
    for day in 0..15 {
        s.commit((0..4).map(|i| row(day * DAY + i * DAY / 4, if i % 2 == 0 { 1 } else { 2 }, i)).collect(), day * DAY + DAY, true).unwrap();
    }
    s.age();
    let conn = connection::to_write(&s.path).unwrap();
    conn.execute("UPDATE chunks SET body = CAST(substr(body, 1, 9) || x'ff' || substr(body, 11) AS BLOB) WHERE key = (SELECT min(key) FROM chunks WHERE key >> 43 = 1)", []).unwrap();
    let e = s.reader.readings(SourceId(1), Ts(0), Ts(DAY), 9).unwrap_err();
    assert!(e.to_string().contains("source 1") && e.to_string().contains("damaged"), "{e}");
    assert_eq!(s.reader.readings(SourceId(2), Ts(0), Ts(DAY), 9).unwrap().len(), 2);
    // A late row is taken nevertheless; the chunk that it would belong to is put aside, not overwritten.
    s.commit(vec![row(DAY + 5, 1, 7)], 15 * DAY, true).unwrap();
    s.age();
    assert_eq!(s.count("damaged_chunks"), 1);
    assert_eq!(s.reader.lookup(SourceId(1), Ts(DAY + 5)).unwrap(), Some(Values::single(7)));
}

type Day = (Vec<(i64, u32, [Option<i64>; 3])>, bool, bool);

/// Rows of a few weeks, with what else happens on a day (a checkpoint, a restart): most a little later than those before, some from anywhere.
fn weeks() -> impl Strategy<Value = Vec<Day>> {
    let ts = prop_oneof![6 => (0i64..DAY).prop_map(|t| t / 900_000 * 900_000), 2 => 0..DAY, 1 => -20 * DAY..DAY];
    let value = prop::option::weighted(0.9, prop_oneof![4 => 0i64..1_000_000, 1 => any::<i64>()]);
    let rows = prop::collection::vec((ts, 0u32..4, prop::array::uniform3(value)), 0..40);
    prop::collection::vec((rows, prop::bool::weighted(0.6), prop::bool::weighted(0.1)), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sealed_rows_answer_as_rows_do(weeks in weeks(), asked in prop::collection::vec((-25i64..45, -25i64..45, 0u32..5, 0usize..50), 8), enough in prop::sample::select(vec![4usize, 16])) {
        let mut s = Store::with(Rules { enough, ..SMALL });
        let mut seen = BTreeSet::new();
        for (day, (rows, checkpoint, reopen)) in (0i64..).zip(weeks) {
            let rows = rows
                .into_iter()
                .map(|(ts, source, v)| {
                    let mut values = Values::NONE;
                    v.iter().enumerate().for_each(|(i, v)| if let Some(v) = v { values.set(i, *v) });
                    Row { ts: Ts(ts + day * DAY), source: SourceId(source), values, flags: Flags::NONE }
                })
                .filter(|r| seen.insert((r.ts, r.source)))
                .collect();
            s.commit(rows, (day + 1) * DAY, checkpoint).unwrap();
            s.committer.tidy();
            if reopen {
                s.reopen();
            }
        }
        let asked: Vec<_> = asked.into_iter().map(|(a, b, source, limit)| (a * DAY, b * DAY, source, limit)).collect();
        s.check(&asked);
        // Once more, with all sealed that can be.
        s.age();
        assert!(s.count("readings") < 8);
        s.check(&asked);
    }
}
