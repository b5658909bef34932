//! Asking the store, from any thread that may block.

use super::adopted::{self, AdoptedRecord};
use super::batch::EventRecord;
use super::connection;
use super::error::ReadError;
use super::fold::{self, FoldItem, Group};
use super::key;
use super::merge;
use super::outbox::{self, Pending};
use super::photos;
use super::query::{self, Before, Head, LOOK_BACK_ROWS, Stats, StoredCheckpoint};
use super::retention::{self, Expired};
use super::size::{self, Growth, TableSize};
use super::snapshot::Snapshot;
use super::volumes::{self, DayVolume, MonthVolume, Series, ToldSeries};
use crate::domain::engine::{IdentityRecord, SourceRecord};
use crate::domain::reading::{Row, SourceId, Values};
use crate::domain::time::{Day, Month, Ms, Ts};
use crate::domain::topology::MAX_COLUMNS;
use rusqlite::Connection;
use std::fs;
use std::io;
use std::ops::{ControlFlow, Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Connections that the clones of one [`Reader`] share: each costs half a megabyte of page cache. Who finds them taken waits.
pub const READER_CONNECTIONS: usize = 2;

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
    /// The time it takes goes with its own sealed rows in the span, and with the hot rows of *all* sources there.
    pub fn readings(&self, source: SourceId, from: Ts, to: Ts, limit: usize) -> Result<Vec<Row>, ReadError> {
        self.readings_columns(source, MAX_COLUMNS, (from, to), limit)
    }

    /// Like [`Reader::readings`], but of each row only its first `width` values.
    pub fn readings_columns(&self, source: SourceId, width: usize, span: (Ts, Ts), limit: usize) -> Result<Vec<Row>, ReadError> {
        self.ask(|c| query::readings(c, source, width, span, limit))
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

    /// Sources of which rows were removed because they were older than they are to be kept.
    pub fn expired(&self) -> Result<Vec<(SourceId, Expired)>, ReadError> {
        self.ask(|c| Ok(retention::all(c)?))
    }

    /// Every told day's bounds, by which it was told.
    pub fn calendar(&self) -> Result<Vec<Day>, ReadError> {
        self.ask(|c| Ok(volumes::calendar(c, i32::MIN..i32::MAX)?))
    }

    /// What a source said at this very instant.
    pub fn lookup(&self, source: SourceId, ts: Ts) -> Result<Option<Values>, ReadError> {
        self.ask(|c| Ok(query::row_at(c, source, ts)?.map(|row| row.values)))
    }

    /// All rows of all sources with `from <= ts < to`, by time and then source, until `f` breaks off. A connection is held meanwhile:
    /// `f` must neither wait nor ask.
    pub fn scan(&self, from: Ts, to: Ts, f: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), ReadError> {
        self.scan_columns(from, to, MAX_COLUMNS, f)
    }

    /// Like [`Reader::scan`], but of each row only its first `width` values: what is not asked for is not unpacked.
    pub fn scan_columns(&self, from: Ts, to: Ts, width: usize, f: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), ReadError> {
        self.ask(|c| merge::each(c, key::floor(from)..key::floor(to), width, &mut |row, _| f(*row)))
    }

    /// The store as it is now, for questions that take long and must agree with each other.
    pub fn snapshot(&self) -> Result<Snapshot, ReadError> {
        Snapshot::take(&self.pool.path)
    }

    /// True if [`Reader::fold_from`] can begin after batch `after`: nothing that came later is sealed yet.
    pub fn folds_from(&self, after: u64) -> Result<bool, ReadError> {
        self.ask(|c| Ok(fold::unsealed_after(c, after)?))
    }

    /// Everything that is stored, in order of time where [`Reader::fold_from`] gives the order of arrival: each row as a commit of its own,
    /// each event before the first row that is later. For a state that no checkpoint tells any more; a connection is held meanwhile.
    pub fn refold(&self, f: &mut dyn FnMut(FoldItem) -> ControlFlow<()>) -> Result<(), ReadError> {
        self.ask(|c| fold::everything(c, f))
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

    /// What was adopted and not dropped since, with the numbers of the rows, in their order.
    pub fn adopted(&self) -> Result<Vec<(u64, AdoptedRecord)>, ReadError> {
        self.ask(|c| Ok(adopted::all(c)?))
    }

    /// The picture of an entry of the ledger, a JPEG.
    pub fn photo(&self, entry: u64) -> Result<Option<Vec<u8>>, ReadError> {
        self.ask(|c| Ok(photos::body(c, entry)?))
    }

    /// Which entries in the range have a picture.
    pub fn photo_entries(&self, among: RangeInclusive<u64>) -> Result<Vec<u64>, ReadError> {
        self.ask(|c| Ok(photos::entries(c, &among)?))
    }

    /// The bodies of all entries of the ledger, in their order.
    pub fn ledger(&self) -> Result<Vec<String>, ReadError> {
        self.ask(query::ledger)
    }

    /// The commit of the newest entry of the ledger that amends something; 0 before the first. A state of before it was not made with it.
    pub fn ledger_batch(&self) -> Result<u64, ReadError> {
        self.ask(query::ledger_batch)
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
        let (head, span, expired) = self.ask(|c| Ok((query::head(c)?.unwrap_or(Head::EMPTY), query::span(c)?, retention::rows(c)?)))?;
        let mut wal = self.pool.path.as_os_str().to_owned();
        wal.push("-wal");
        Ok(Stats {
            file_bytes: bytes(&self.pool.path)?,
            wal_bytes: bytes(Path::new(&wal))?,
            rows: head.total_rows.saturating_sub(expired),
            expired,
            batches: head.batch,
            events: head.last_event,
            first: span.map(|s| s.0),
            last: span.map(|s| s.1),
        })
    }

    /// Tables and indexes with their bytes, the largest first. Reads the whole file.
    pub fn table_sizes(&self) -> Result<Vec<TableSize>, ReadError> {
        self.ask(size::tables)
    }

    /// What a day adds, by the newest days; None where there is no reading. Passes over their rows.
    pub fn growth(&self) -> Result<Option<Growth>, ReadError> {
        let stats = self.stats()?;
        let (Some(since), Some(last)) = (size::since(&stats), stats.last) else { return Ok(None) };
        let mut readings = 0;
        self.scan(since + Ms(1), last + Ms(1), &mut |_| {
            readings += 1;
            ControlFlow::Continue(())
        })?;
        Ok(size::growth(&stats, readings))
    }

    fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let mut lease = self.pool.lease();
        let conn = match &mut lease.conn {
            Some(conn) => conn,
            slot => slot.insert(connection::to_read(&self.pool.path)?),
        };
        // One state for all statements of a question: sealing moves rows from one table to another.
        let state = conn.unchecked_transaction()?;
        let answer = question(&state)?;
        state.finish()?;
        Ok(answer)
    }
}

/// Bytes of a file; none where there is no file.
fn bytes(path: &Path) -> Result<u64, ReadError> {
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
