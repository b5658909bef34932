//! Asking the store, from any thread that may block.

use super::batch::EventRecord;
use super::connection;
use super::error::ReadError;
use super::fold::{FoldItem, Group};
use super::key;
use super::outbox::{self, Pending};
use super::query::{self, Before, Head, LOOK_BACK_ROWS, Stats, StoredCheckpoint};
use super::volumes::{self, DayVolume, MonthVolume, Series, ToldSeries};
use crate::domain::engine::{IdentityRecord, SourceRecord};
use crate::domain::reading::{Row, SourceId, Values};
use crate::domain::time::{Day, Month, Ts};
use rusqlite::Connection;
use std::fs;
use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Connections that the clones of one [`Reader`] share: each costs half a megabyte of page cache. Who finds them taken waits.
pub const READER_CONNECTIONS: usize = 2;

/// Rows fetched at once by [`Reader::scan`].
const PAGE: usize = 4096;

/// A cheap handle. Each question sees a state as of some commit, never half a batch; it neither waits for the writer nor holds it up.
#[derive(Clone, Debug)]
pub struct Reader {
    pool: Arc<Pool>,
}

impl Reader {
    pub(super) fn new(path: PathBuf) -> Reader {
        Reader::with_connections(path, READER_CONNECTIONS)
    }

    fn with_connections(path: PathBuf, limit: usize) -> Reader {
        Reader { pool: Arc::new(Pool { path, limit, state: Mutex::new(State { idle: Vec::new(), open: 0 }), returned: Condvar::new() }) }
    }

    /// A reader with one connection of its own, for a thread that must not wait for others (the engine's).
    pub fn dedicated(&self) -> Reader {
        Reader::with_connections(self.pool.path.clone(), 1)
    }

    /// Rows of one source with `from <= ts < to`, by time, at most `limit`; the next page begins after the last row's `ts`.
    /// The time it takes goes with the rows of *all* sources in the span.
    pub fn readings(&self, source: SourceId, from: Ts, to: Ts, limit: usize) -> Result<Vec<Row>, ReadError> {
        self.ask(|c| query::readings(c, source, from, to, limit))
    }

    /// The newest row of a source strictly before `ts`, within [`LOOK_BACK_ROWS`].
    pub fn row_before(&self, source: SourceId, ts: Ts) -> Result<Before, ReadError> {
        self.ask(|c| query::row_before(c, source, ts, LOOK_BACK_ROWS))
    }

    /// All series of which days are told.
    pub fn told(&self) -> Result<Vec<ToldSeries>, ReadError> {
        self.ask(|c| Ok(volumes::all(c)?))
    }

    /// Which days of a series are told.
    pub fn told_of(&self, series: Series) -> Result<Option<ToldSeries>, ReadError> {
        self.ask(|c| Ok(volumes::one(c, series)?))
    }

    /// The told days with numbers in the span, of one series or of all, by day for each series. Of other days the rows tell.
    pub fn daily(&self, series: Option<Series>, days: Range<i32>) -> Result<Vec<(Series, Day, DayVolume)>, ReadError> {
        self.ask(|c| volumes::daily(c, series, days))
    }

    /// Months with a told day, with [numbers](Month::number) in the span, of one series or of all, by month.
    pub fn monthly(&self, series: Option<Series>, months: Range<i32>) -> Result<Vec<(Series, Month, MonthVolume)>, ReadError> {
        self.ask(|c| volumes::monthly(c, series, months))
    }

    /// Every told day's bounds, by which it was told.
    pub fn calendar(&self) -> Result<Vec<Day>, ReadError> {
        self.ask(|c| Ok(volumes::calendar(c, i32::MIN..i32::MAX)?))
    }

    /// What a source said at this very instant.
    pub fn lookup(&self, source: SourceId, ts: Ts) -> Result<Option<Values>, ReadError> {
        self.ask(|c| Ok(query::stored_row(c, source, ts)?.map(|s| s.row.values)))
    }

    /// All rows of all sources with `from <= ts < to`, by time and then source, until `f` breaks off.
    ///
    /// Fetched in pages: no connection is held while `f` runs, so it may ask on; rows that are committed meanwhile are seen if they lie
    /// ahead.
    pub fn scan(&self, from: Ts, to: Ts, f: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), ReadError> {
        let mut at = key::floor(from);
        let mut rows: Vec<Row> = Vec::with_capacity(PAGE);
        loop {
            rows.clear();
            self.ask(|c| query::page(c, at, key::floor(to), PAGE, &mut rows))?;
            for row in &rows {
                if f(*row).is_break() {
                    return Ok(());
                }
            }
            match rows.last().and_then(|last| key::key(last.ts, last.source)) {
                Some(last) if rows.len() == PAGE => at = last + 1,
                _ => return Ok(()),
            }
        }
    }

    /// All rows of all sources with `from <= ts < to` as they were after commit `as_of`, by time and then source, in pages, until `f` breaks
    /// off. Of each row only its first `width` values. Asked twice with the same arguments, it gives the same rows twice: a row is never
    /// changed nor removed. No connection is held while `f` runs, which may take the page's rows for itself.
    pub fn pages(
        &self,
        span: (Ts, Ts),
        as_of: u64,
        width: usize,
        f: &mut dyn FnMut(&mut Vec<Row>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let (mut at, end) = (key::floor(span.0), key::floor(span.1));
        let mut rows: Vec<Row> = Vec::with_capacity(PAGE);
        loop {
            rows.clear();
            self.ask(|c| query::page_as_of(c, at..end, as_of, width, PAGE, &mut rows))?;
            let last = rows.last().filter(|_| rows.len() == PAGE).and_then(|last| key::key(last.ts, last.source));
            if f(&mut rows).is_break() {
                return Ok(());
            }
            let Some(last) = last else { return Ok(()) };
            at = last + 1;
        }
    }

    /// Times of the first and the last row after commit `as_of`; None where there is no row.
    pub fn span_as_of(&self, as_of: u64) -> Result<Option<(Ts, Ts)>, ReadError> {
        self.ask(|c| query::span_as_of(c, as_of))
    }

    /// The newest row of a source strictly before `ts`, as it was after commit `as_of`, within [`LOOK_BACK_ROWS`].
    pub fn row_before_as_of(&self, source: SourceId, ts: Ts, as_of: u64) -> Result<Option<Row>, ReadError> {
        self.ask(|c| query::row_before_as_of(c, source, ts, LOOK_BACK_ROWS, as_of))
    }

    /// Everything that was committed after batch `after`: each commit, its rows in order of arrival, its events; until `f` breaks off.
    ///
    /// Read in groups: no connection is held while `f` runs. Commits that are made meanwhile are included.
    pub fn fold_from(&self, after: u64, f: &mut dyn FnMut(FoldItem) -> ControlFlow<()>) -> Result<(), ReadError> {
        let mut at = after;
        while let Some(group) = self.ask(|c| Group::read(c, at))? {
            at = group.last_batch();
            if !group.each(&mut |item| f(item).is_continue())? {
                break;
            }
        }
        Ok(())
    }

    /// Every source ever heard, by number.
    pub fn sources(&self) -> Result<Vec<SourceRecord>, ReadError> {
        self.ask(query::sources)
    }

    pub fn identities(&self) -> Result<Vec<IdentityRecord>, ReadError> {
        self.ask(query::identities)
    }

    /// Events with a number above `seq`, in their order, at most `limit`.
    pub fn events_after(&self, seq: u64, limit: usize) -> Result<Vec<EventRecord>, ReadError> {
        self.ask(|c| query::events_after(c, seq, limit))
    }

    /// All events of one incident, in their order.
    pub fn events_of(&self, incident: &str) -> Result<Vec<EventRecord>, ReadError> {
        self.ask(|c| query::events_of(c, incident))
    }

    /// What waits for a channel: of its entries at most `limit`, urgent ones first, then in order.
    pub fn pending(&self, channel: &str, limit: usize) -> Result<Pending, ReadError> {
        self.ask(|c| outbox::pending(c, channel, limit))
    }

    /// When a channel took messages, from `since` on, oldest first.
    pub fn taken_since(&self, channel: &str, since: Ts) -> Result<Vec<Ts>, ReadError> {
        self.ask(|c| outbox::taken_since(c, channel, since))
    }

    /// When a channel last took a message, as far as the log goes back ([`LOG_KEPT`](super::LOG_KEPT)).
    pub fn last_taken(&self, channel: &str) -> Result<Option<Ts>, ReadError> {
        self.ask(|c| outbox::last_taken(c, channel))
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Result<Option<StoredCheckpoint>, ReadError> {
        self.checkpoint_before(u64::MAX)
    }

    /// The newest checkpoint of a batch before `batch`: where the newest of all cannot be used. Two are kept.
    pub fn checkpoint_before(&self, batch: u64) -> Result<Option<StoredCheckpoint>, ReadError> {
        self.ask(|c| query::checkpoint_before(c, batch))
    }

    /// The newest commit; None in a store that has none.
    pub fn last_batch(&self) -> Result<Option<Head>, ReadError> {
        self.ask(|c| Ok(query::head(c)?))
    }

    pub fn stats(&self) -> Result<Stats, ReadError> {
        let (head, (first, last)) = self.ask(|c| Ok((query::head(c)?.unwrap_or(Head::EMPTY), query::span(c)?)))?;
        let mut wal = self.pool.path.as_os_str().to_owned();
        wal.push("-wal");
        Ok(Stats {
            file_bytes: size(&self.pool.path)?,
            wal_bytes: size(Path::new(&wal))?,
            rows: head.total_rows,
            batches: head.batch,
            events: head.last_event,
            first,
            last,
        })
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let mut lease = self.pool.lease();
        let conn = match &mut lease.conn {
            Some(conn) => conn,
            slot => slot.insert(connection::to_read(&self.pool.path)?),
        };
        question(conn)
    }
}

/// Bytes of a file; none where there is no file.
fn size(path: &Path) -> Result<u64, ReadError> {
    match fs::metadata(path) {
        Ok(m) => Ok(m.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(ReadError::File { path: path.to_owned(), source }),
    }
}

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    limit: usize,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug)]
struct State {
    idle: Vec<Connection>,
    /// Idle ones and leased ones.
    open: usize,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the two fields at odds: no code that can panic runs between their changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a connection, or for the place of one that is yet to be opened.
    fn lease(&self) -> Lease<'_> {
        let mut state = self.state();
        loop {
            if let Some(conn) = state.idle.pop() {
                return Lease { pool: self, conn: Some(conn) };
            }
            if state.open < self.limit {
                state.open += 1;
                return Lease { pool: self, conn: None };
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A connection out of the pool, or the place of one; goes back when dropped.
struct Lease<'a> {
    pool: &'a Pool,
    conn: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        match self.conn.take() {
            Some(conn) => state.idle.push(conn),
            None => state.open -= 1,
        }
        drop(state);
        self.pool.returned.notify_one();
    }
}
