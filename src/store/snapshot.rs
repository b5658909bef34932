//! The store as it was at one moment, for as long as somebody needs it.

use super::connection;
use super::error::ReadError;
use super::key;
use super::merge;
use super::query::{self, Head, LOOK_BACK_ROWS};
use crate::domain::engine::SourceRecord;
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::Ts;
use rusqlite::Connection;
use std::ops::ControlFlow;
use std::path::Path;

/// Rows handed out at once by [`Snapshot::pages`].
const PAGE: usize = 4096;

/// A read transaction with a connection of its own (half a megabyte): whatever is committed or sealed meanwhile is not seen. While it
/// lives, the log beside the file cannot be cut: it grows by what is written.
#[derive(Debug)]
pub struct Snapshot {
    conn: Connection,
    head: Option<Head>,
}

impl Snapshot {
    pub(super) fn take(path: &Path) -> Result<Snapshot, ReadError> {
        let conn = connection::to_read(path)?;
        // Never ended by a statement: the connection's end is its end.
        conn.execute_batch("BEGIN")?;
        let head = query::head(&conn)?;
        Ok(Snapshot { conn, head })
    }

    /// The newest commit that is seen; None in a store that has none.
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// Times of the first and the last row; None where there is no row.
    pub fn span(&self) -> Result<Option<(Ts, Ts)>, ReadError> {
        query::span(&self.conn)
    }

    /// Every source ever heard, by number.
    pub fn sources(&self) -> Result<Vec<SourceRecord>, ReadError> {
        query::sources(&self.conn)
    }

    /// The bodies of all entries of the ledger, in their order.
    pub fn ledger(&self) -> Result<Vec<String>, ReadError> {
        query::ledger(&self.conn)
    }

    /// The newest row of a source strictly before `ts`, within [`LOOK_BACK_ROWS`].
    pub fn row_before(&self, source: SourceId, ts: Ts) -> Result<Option<Row>, ReadError> {
        Ok(query::row_before(&self.conn, source, ts, LOOK_BACK_ROWS)?.row())
    }

    /// All rows of all sources with `from <= ts < to`, by time and then source, in pages, until `f` breaks off. Of each row only its first
    /// `width` values. `f` may take the page's rows for itself.
    pub fn pages(&self, (from, to): (Ts, Ts), width: usize, f: &mut dyn FnMut(&mut Vec<Row>) -> ControlFlow<()>) -> Result<(), ReadError> {
        let mut page: Vec<Row> = Vec::with_capacity(PAGE);
        let mut on = ControlFlow::Continue(());
        merge::each(&self.conn, key::floor(from)..key::floor(to), width, &mut |row, _| {
            page.push(*row);
            if page.len() >= PAGE {
                on = f(&mut page);
                page.clear();
            }
            on
        })?;
        // The last page goes out also when it is empty: whoever waits is told that this was all.
        if on.is_continue() && f(&mut page).is_break() {
            return Ok(());
        }
        Ok(())
    }
}
