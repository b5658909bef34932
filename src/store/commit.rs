//! One batch, one transaction.

use super::adopted::{self, AdoptedRecord};
use super::batch::{Batch, Committed};
use super::connection;
use super::error::{CommitError, OpenError, ReadError};
use super::keeper::{Ask, Keeper};
use super::key;
use super::outbox::{self, Mark};
use super::part::beside;
use super::photos::{self, Photo};
use super::query::{self, Head, count, integer, kind_text, quantity_text};
use super::retention::{Retainer, Retention};
use super::seal::{self, Behind, Sealer};
use crate::domain::engine::SourceRecord;
use crate::domain::reading::Row;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::MAX_COLUMNS;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A smaller log is left as it is: who is polled every quarter of an hour is quiet in between, too.
const LOG_LEFT: u64 = 1 << 20;

/// How long closing may make the file smaller: the daemon's stop has a limit, too.
const LAST_REST: Duration = Duration::from_secs(2);

/// A row further than this from the middle of its batch is listed in `late` instead of widening the batch's range.
const LATE_BEYOND: Ms = Ms::hours(12);

/// What a row is written with, after the name of its table.
const ROW: &str = "(key, batch, pos, flags, v0, v1, v2, v3, v4, v5, v6, v7) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// The writing connection and what it stored last.
pub(super) struct Committer {
    conn: Connection,
    path: PathBuf,
    /// Device and inode of the file that was opened.
    file: (u64, u64),
    /// None when it must be read again: at the beginning, and after an error that may have come after the deed.
    head: Option<Head>,
    /// Indexes into the batch's rows, in key order. Kept for its memory.
    order: Vec<u32>,
    volumes: Keeper,
    sealer: Sealer,
    retainer: Retainer,
    /// Rows that were removed since the file was opened.
    expired: Arc<AtomicU64>,
    /// A history was loaded, and its log is not emptied yet.
    loaded: bool,
}

impl Committer {
    pub(super) fn new(conn: Connection, path: PathBuf) -> Result<Committer, OpenError> {
        let file = file_id(&path).map_err(|source| OpenError::Unwritable { path: path.clone(), source })?;
        let (volumes, sealer, retainer) = (Keeper::default(), Sealer::default(), Retainer::default());
        Ok(Committer { conn, path, file, head: None, order: Vec::new(), volumes, sealer, retainer, expired: Arc::default(), loaded: false })
    }

    /// Counts rows that are removed because they are older than they are to be kept.
    pub(super) fn expired(&self) -> Arc<AtomicU64> {
        self.expired.clone()
    }

    #[cfg(test)]
    pub(super) fn sealing(self, rules: seal::Rules) -> Committer {
        Committer { sealer: Sealer::with(rules), ..self }
    }

    /// What whoever tells days asks.
    pub(super) fn volumes(&mut self, ask: Ask) {
        self.volumes.answer(&mut self.conn, ask);
        self.roll_back();
    }

    /// After an error a transaction may outlive its own end: a COMMIT that failed may leave it open.
    fn roll_back(&self) {
        if !self.conn.is_autocommit() {
            // If this fails too, the next BEGIN says so.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
    }

    pub(super) fn commit(&mut self, batch: &Batch) -> Result<Committed, CommitError> {
        let sqlite = |source| CommitError::Sqlite { batch: batch.id, source };
        // A file that was unlinked takes commits as before, and loses them all at the end.
        let replaced = match file_id(&self.path) {
            Ok(id) => id != self.file,
            // A disk that cannot even say is the transaction's to report.
            Err(e) => e.kind() == io::ErrorKind::NotFound,
        };
        if replaced {
            return Err(CommitError::Replaced { path: self.path.clone() });
        }
        let head = match self.head {
            Some(head) => head,
            None => query::head(&self.conn).map_err(sqlite)?.unwrap_or(Head::EMPTY),
        };
        if batch.id != 0 && batch.id <= head.batch {
            self.head = Some(head);
            return self.repeated(batch);
        }
        if batch.id != head.batch + 1 {
            return Err(CommitError::Gap { batch: batch.id, newest: head.batch });
        }
        self.head = None;
        let written = self.write(batch, head);
        self.roll_back();
        if written.is_err() {
            self.volumes.forget();
            self.sealer.forget();
        }
        self.head = Some(written?);
        Ok(Committed { batch: batch.id, repeated: false })
    }

    fn write(&mut self, batch: &Batch, head: Head) -> Result<Head, CommitError> {
        let sqlite = |source| CommitError::Sqlite { batch: batch.id, source };
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        for source in &batch.sources {
            write_source(&tx, batch.id, source)?;
        }
        for i in &batch.identities {
            tx.prepare_cached("INSERT INTO identities (kind, key, id) VALUES (?1, ?2, ?3)")
                .and_then(|mut s| s.execute((kind_text(i.kind), &*i.key, &*i.id)))
                .map_err(sqlite)?;
        }
        let last_event = write_events(&tx, batch, head.last_event)?;
        outbox::write(&tx, &batch.outbox).map_err(sqlite)?;
        let (table, settled_to) = self.sealer.arrivals(&tx).map_err(sqlite)?;
        if let Some(settled_to) = settled_to {
            write_changes(&tx, batch, table, settled_to)?;
        }
        write_rows(&tx, batch, table, &mut self.order)?;
        let next = Head {
            batch: batch.id,
            received: batch.received,
            rows: batch.rows.len() as u64,
            total_rows: head.total_rows + batch.rows.len() as u64,
            last_event,
        };
        let range = main_range(&batch.rows);
        write_commit(&tx, batch, next, range).map_err(sqlite)?;
        self.volumes.rows(&tx, &batch.rows, range.map(|r| r.1), batch.received).map_err(sqlite)?;
        write_ledger(&tx, batch)?;
        for (source, from) in batch.ledger.iter().filter_map(|e| e.moves) {
            self.volumes.moved(&tx, source, from).map_err(sqlite)?;
        }
        if let Some(c) = &batch.checkpoint {
            // The free slot, or the one with the older state.
            tx.prepare_cached(
                "INSERT OR REPLACE INTO checkpoints (slot, batch, format, body)
                 VALUES (coalesce((SELECT 1 - slot FROM checkpoints ORDER BY batch DESC LIMIT 1), 0), ?1, ?2, ?3)",
            )
            .and_then(|mut s| s.execute((integer(batch.id), c.format, &c.body)))
            .map_err(sqlite)?;
        }
        tx.commit().map_err(sqlite)?;
        self.loaded |= self.sealer.committed(batch.id, next.rows, range.map(|r| r.1), batch.received, batch.checkpoint.is_some());
        Ok(next)
    }

    /// What can wait, a bounded piece of it: called when a batch is durable and nobody waits for the answer any more.
    pub(super) fn tidy(&mut self) {
        match self.sealer.step(&mut self.conn) {
            Ok(rows) => {
                if rows > 0 {
                    tracing::debug!(rows, "sealed");
                }
                self.expire();
            }
            Err(e) => {
                self.roll_back();
                self.sealer.forget();
                // Nothing is lost: the rows stay where they were, and the next commit tries again.
                tracing::warn!(error = %e, "rows could not be sealed");
            }
        }
    }

    /// Nothing was committed for a while: after a history was loaded, one step of what makes the file small. It is sealed as far as it is old, free
    /// pages go back, and so does the log, which is larger than the file. Returns whether there is more to do at once.
    pub(super) fn rest(&mut self) -> bool {
        if !self.loaded {
            return false;
        }
        match self.rest_step() {
            Ok(more) => more,
            Err(error) => {
                // All stays as durable as it is, and the next commit tells what ails the disk.
                self.roll_back();
                self.sealer.forget();
                self.loaded = false;
                tracing::warn!(%error, "the store could not be made smaller");
                false
            }
        }
    }

    fn rest_step(&mut self) -> Result<bool, ReadError> {
        let sealed = self.sealer.rest(&mut self.conn)?;
        self.expire();
        if sealed > 0 || seal::give_back(&self.conn, 0)? {
            return Ok(true);
        }
        let log = fs::metadata(beside(&self.path, "-wal")).map_or(0, |m| m.len());
        self.loaded = log > LOG_LEFT && !connection::empty_log(&self.conn)?;
        Ok(false)
    }

    /// How long readings are to be kept from now on.
    pub(super) fn keep(&mut self, kept: Retention) {
        self.retainer.keep(kept);
    }

    /// A step of what may go.
    fn expire(&mut self) {
        if self.sealer.ended() {
            self.retainer.due();
        }
        match self.retainer.step(&mut self.conn) {
            Ok(0) => {}
            Ok(rows) => {
                // Rows before what is gone are no longer late for anything.
                self.volumes.forget();
                self.expired.fetch_add(rows, Ordering::Relaxed);
                tracing::debug!(rows, "removed as older than they are to be kept");
            }
            Err(e) => {
                self.roll_back();
                self.volumes.forget();
                // They stay, and the next commit tries again.
                tracing::warn!(error = %e, "old readings could not be removed");
            }
        }
    }

    /// Marks entries of the outbox.
    pub(super) fn adopt(&mut self, records: &[AdoptedRecord]) -> Result<(), CommitError> {
        adopted::write(&mut self.conn, records).map_err(|source| CommitError::Adopt { source })
    }

    pub(super) fn photo(&mut self, photo: &Photo) -> Result<bool, CommitError> {
        photos::keep(&mut self.conn, photo).map_err(|source| CommitError::Photo { source })
    }

    pub(super) fn mark(&mut self, mark: &Mark) -> Result<(), CommitError> {
        outbox::mark(&mut self.conn, mark).map_err(|source| CommitError::Mark { source })
    }

    /// The batch is stored: is it this one?
    fn repeated(&self, batch: &Batch) -> Result<Committed, CommitError> {
        match self.holds(batch) {
            Ok(true) => Ok(Committed { batch: batch.id, repeated: true }),
            Ok(false) => Err(CommitError::Differs { batch: batch.id }),
            Err(source) => Err(CommitError::Sqlite { batch: batch.id, source }),
        }
    }

    /// True if commit, rows and events are stored as this batch has them.
    fn holds(&self, batch: &Batch) -> rusqlite::Result<bool> {
        let id = integer(batch.id);
        let commit: Option<(i64, i64)> =
            self.conn.query_row("SELECT received, rows FROM commits WHERE batch = ?1", [id], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        if commit != Some((batch.received.0, integer(batch.rows.len() as u64))) {
            return Ok(false);
        }
        for (pos, row) in batch.rows.iter().enumerate() {
            let stored = query::stored_row(&self.conn, row.source, row.ts)?;
            if !stored.is_some_and(|s| s.row == *row && s.batch == batch.id && s.pos as usize == pos) {
                return Ok(false);
            }
        }
        for e in &batch.events {
            let same: bool = self.conn.query_row(
                "SELECT count(*) FROM events WHERE seq = ?1 AND batch = ?2 AND body = ?3",
                (integer(e.seq), id, &e.body),
                |r| r.get(0),
            )?;
            if !same {
                return Ok(false);
            }
        }
        for e in &batch.ledger {
            let same: bool = self.conn.query_row(
                "SELECT count(*) FROM ledger WHERE seq = ?1 AND batch = ?2 AND body = ?3",
                (integer(e.seq), id, &e.body),
                |r| r.get(0),
            )?;
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves the log into the database and closes it.
    pub(super) fn close(mut self) -> Result<(), rusqlite::Error> {
        let began = Instant::now();
        while began.elapsed() < LAST_REST && self.rest() {}
        // A reader in the middle of a question keeps the log from being cut off; what is in it is read at the next opening.
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.conn.close().map_err(|(_, e)| e)
    }
}

/// Device and inode.
fn file_id(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|m| (m.dev(), m.ino()))
}

fn write_source(tx: &Connection, batch: u64, record: &SourceRecord) -> Result<(), CommitError> {
    let sqlite = |source| CommitError::Sqlite { batch, source };
    let new = tx
        .prepare_cached("INSERT INTO sources (source, id, topic) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")
        .and_then(|mut s| s.execute((record.source.0, &*record.id, &*record.topic)))
        .map_err(sqlite)?;
    if new == 0 {
        let same: bool = tx
            .query_row(
                "SELECT count(*) FROM sources WHERE source = ?1 AND id = ?2 AND topic = ?3",
                (record.source.0, &*record.id, &*record.topic),
                |r| r.get(0),
            )
            .map_err(sqlite)?;
        if !same {
            return Err(CommitError::SourceDiffers { batch, source_id: record.source.0 });
        }
    }
    for (ix, c) in record.columns.iter().enumerate() {
        tx.prepare_cached("INSERT OR REPLACE INTO columns (source, ix, name, quantity) VALUES (?1, ?2, ?3, ?4)")
            .and_then(|mut s| s.execute((record.source.0, ix as i64, &c.name, quantity_text(c.quantity))))
            .map_err(sqlite)?;
    }
    Ok(())
}

/// Returns the newest event's number.
fn write_events(tx: &Connection, batch: &Batch, mut last: u64) -> Result<u64, CommitError> {
    for e in &batch.events {
        if e.seq != last + 1 {
            return Err(CommitError::EventGap { batch: batch.id, seq: e.seq, expected: last + 1 });
        }
        tx.prepare_cached("INSERT INTO events (seq, batch, at, incident, code, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
            .and_then(|mut s| s.execute((integer(e.seq), integer(batch.id), e.at.0, &*e.incident, &*e.code, &e.body)))
            .map_err(|source| CommitError::Sqlite { batch: batch.id, source })?;
        last = e.seq;
    }
    Ok(last)
}

fn write_ledger(tx: &Connection, batch: &Batch) -> Result<(), CommitError> {
    let sqlite = |source| CommitError::Sqlite { batch: batch.id, source };
    if batch.ledger.is_empty() {
        return Ok(());
    }
    let next: i64 = tx.query_row("SELECT coalesce(max(seq), 0) + 1 FROM ledger", [], |r| r.get(0)).map_err(sqlite)?;
    for (expected, e) in (next..).zip(&batch.ledger) {
        if integer(e.seq) != expected {
            return Err(CommitError::LedgerGap { batch: batch.id, seq: e.seq, expected: count(expected) });
        }
        tx.prepare_cached("INSERT INTO ledger (seq, batch, at, point, body) VALUES (?1, ?2, ?3, ?4, ?5)")
            .and_then(|mut s| s.execute((integer(e.seq), integer(batch.id), e.at.0, &*e.point, &e.body)))
            .map_err(sqlite)?;
    }
    Ok(())
}

/// In key order, whatever the order of arrival: each leaf page is then filled once, and pages split at the end, not in the middle.
fn write_rows(tx: &Connection, batch: &Batch, table: &str, order: &mut Vec<u32>) -> Result<(), CommitError> {
    let sqlite = |source| CommitError::Sqlite { batch: batch.id, source };
    order.clear();
    order.extend((0..).take(batch.rows.len()));
    order.sort_unstable_by_key(|&i| (batch.rows[i as usize].ts, batch.rows[i as usize].source));
    let mut insert = tx.prepare_cached(&format!("INSERT INTO {table} {ROW}")).map_err(sqlite)?;
    for &pos in order.iter() {
        let row = &batch.rows[pos as usize];
        let key = key::key(row.ts, row.source).ok_or_else(|| CommitError::Unholdable { batch: batch.id, pos, row: Box::new(*row) })?;
        let done = (|| {
            insert.raw_bind_parameter(1, key)?;
            insert.raw_bind_parameter(2, integer(batch.id))?;
            insert.raw_bind_parameter(3, pos)?;
            insert.raw_bind_parameter(4, row.flags.0)?;
            for i in 0..MAX_COLUMNS {
                insert.raw_bind_parameter(5 + i, row.values.get(i))?;
            }
            insert.raw_execute()
        })();
        if let Err(source) = done {
            return Err(clash(tx, batch.id, pos, row, source));
        }
    }
    Ok(())
}

/// Looks at rows that are not newer than all that has settled: none may contradict it, and what comes behind sealed rows is a change.
fn write_changes(tx: &Connection, batch: &Batch, table: &str, settled_to: Ts) -> Result<(), CommitError> {
    let sqlite = |source| CommitError::Sqlite { batch: batch.id, source };
    for (pos, row) in (0..).zip(&batch.rows).filter(|(_, r)| r.ts <= settled_to) {
        match seal::behind(tx, row, table).map_err(|source| CommitError::Settled { batch: batch.id, source })? {
            Behind::Nothing => {}
            Behind::Late => {
                tx.prepare_cached("INSERT INTO changes (batch, kind, key) VALUES (?1, 'late', ?2)")
                    .and_then(|mut s| s.execute((integer(batch.id), key::key(row.ts, row.source))))
                    .map_err(sqlite)?;
            }
            Behind::Taken { batch: stored_batch, pos: stored_pos, row: stored } => {
                return Err(CommitError::Clash { batch: batch.id, pos, new: Box::new(*row), stored_batch, stored_pos, stored });
            }
        }
    }
    Ok(())
}

/// Names both rows where a key is there twice.
fn clash(tx: &Connection, batch: u64, pos: u32, new: &Row, source: rusqlite::Error) -> CommitError {
    if source.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        && let Ok(Some(stored)) = query::stored_row(tx, new.source, new.ts)
    {
        return CommitError::Clash {
            batch,
            pos,
            new: Box::new(*new),
            stored_batch: stored.batch,
            stored_pos: stored.pos,
            stored: Box::new(stored.row),
        };
    }
    CommitError::Sqlite { batch, source }
}

fn write_commit(tx: &Connection, batch: &Batch, head: Head, range: Option<(Ts, Ts)>) -> rusqlite::Result<()> {
    if let Some((min, max)) = range {
        for (pos, row) in batch.rows.iter().enumerate().filter(|(_, r)| r.ts < min || r.ts > max) {
            tx.prepare_cached("INSERT INTO late (batch, pos, key) VALUES (?1, ?2, ?3)")?.execute((
                integer(batch.id),
                pos as i64,
                key::key(row.ts, row.source),
            ))?;
        }
    }
    tx.prepare_cached(
        "INSERT INTO commits (batch, received, rows, ts_min, ts_max, total, last_event) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((
        integer(batch.id),
        batch.received.0,
        integer(head.rows),
        range.map(|r| r.0.0),
        range.map(|r| r.1.0),
        integer(head.total_rows),
        integer(head.last_event),
    ))?;
    Ok(())
}

/// First and last time of the rows near the batch's median; None for a batch without rows.
fn main_range(rows: &[Row]) -> Option<(Ts, Ts)> {
    let mut times: Vec<Ts> = rows.iter().map(|r| r.ts).collect();
    if times.is_empty() {
        return None;
    }
    let middle = times.len() / 2;
    let median = *times.select_nth_unstable(middle).1;
    let near = |t: &&Ts| **t >= median - LATE_BEYOND && **t <= median + LATE_BEYOND;
    let (min, max) = times.iter().filter(near).fold((median, median), |(lo, hi), t| (lo.min(*t), hi.max(*t)));
    Some((min, max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reading::{Flags, SourceId, Values};

    fn at(ts: i64) -> Row {
        Row { ts: Ts(ts), source: SourceId(1), values: Values::single(1), flags: Flags::NONE }
    }

    #[test]
    fn one_lost_clock_does_not_widen_a_batch() {
        let day = 86_400_000;
        assert_eq!(main_range(&[]), None);
        assert_eq!(main_range(&[at(5)]), Some((Ts(5), Ts(5))));
        assert_eq!(main_range(&[at(0), at(300 * day), at(300 * day + 1), at(300 * day + 7)]), Some((Ts(300 * day), Ts(300 * day + 7))));
    }

    #[test]
    fn the_log_of_a_history_is_emptied_once_it_is_quiet_and_nobody_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h.db");
        let mut conn = connection::to_write(&path).unwrap();
        super::super::schema::prepare(&mut conn, &path).unwrap();
        connection::tune_writer(&conn, &path).unwrap();
        let mut committer = Committer::new(conn, path.clone()).unwrap();
        let log = || fs::metadata(dir.path().join("h.db-wal")).unwrap().len();
        let commit = |c: &mut Committer, id: u64, rows: i64| {
            let rows = (0..rows).map(|i| at(1_000_000 * i64::try_from(id).unwrap() + i)).collect();
            c.commit(&Batch { id, received: Ts(1_000_000_000), rows, ..Batch::default() }).unwrap();
        };
        commit(&mut committer, 1, 20);
        committer.rest();
        assert!(log() > 0, "what comes in day by day is copied when the log is full");
        commit(&mut committer, 2, 40_000);
        let reader = connection::to_read(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM readings").unwrap();
        committer.rest();
        assert!(log() > 0);
        reader.execute_batch("COMMIT").unwrap();
        committer.rest();
        assert_eq!(log(), 0);
        commit(&mut committer, 3, 20);
        committer.rest();
        assert!(log() > 0);
        committer.close().unwrap();
    }

    #[test]
    fn times_at_the_ends_of_the_integers_are_no_trap() {
        assert_eq!(main_range(&[at(i64::MIN), at(i64::MAX)]), Some((Ts(i64::MAX), Ts(i64::MAX))));
    }
}
