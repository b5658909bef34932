//! What a database file holds, whatever version of the schema it is of.

use super::backup::BackupError;
use super::key;
use super::query::{self, Head, count};
use super::schema;
use crate::domain::time::Ts;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

/// How many of the faults of a damaged file are told.
const FAULTS: u32 = 5;

/// Enough of a file's contents to tell it from another, or from one that lost something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Version of the schema.
    pub schema: i64,
    /// The newest commit; of a file without one, number 0.
    pub head: Head,
    /// The newest reading by its own time.
    pub newest: Option<Ts>,
    /// Rows of every table.
    pub tables: BTreeMap<String, u64>,
}

impl Contents {
    /// Passes over the whole file to count its rows.
    pub(super) fn read(conn: &Connection, path: &Path) -> Result<Contents, BackupError> {
        let schema = schema::version_of(conn, path).map_err(BackupError::Open)?;
        let e = |source| BackupError::sqlite(path, source);
        let head = query::head(conn).map_err(e)?.unwrap_or(Head::EMPTY);
        // Newest rows are never packed away, so this holds for every version.
        let newest: Option<i64> = conn.query_row("SELECT max(key) FROM readings", [], |r| r.get(0)).map_err(e)?;
        let mut names =
            conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'").map_err(e)?;
        let names: Vec<String> = names.query_map([], |r| r.get(0)).and_then(Iterator::collect).map_err(e)?;
        let rows = |name: &String| conn.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |r| r.get(0)).map(count);
        let tables = names.into_iter().map(|name| rows(&name).map(|n| (name, n))).collect::<rusqlite::Result<_>>().map_err(e)?;
        Ok(Contents { schema, head, newest: newest.map(|k| key::split(k).0), tables })
    }

    /// After SQLite has found nothing wrong in the file: pages, indexes, order of keys, types of values.
    pub(super) fn verified(conn: &Connection, path: &Path) -> Result<Contents, BackupError> {
        let e = |source| BackupError::sqlite(path, source);
        // Before the check: of a file that is not ours that is what should be said.
        schema::version_of(conn, path).map_err(BackupError::Open)?;
        conn.execute_batch("PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -512;").map_err(e)?;
        let mut check = conn.prepare(&format!("PRAGMA integrity_check({FAULTS})")).map_err(e)?;
        let faults: Vec<String> = check.query_map([], |r| r.get(0)).and_then(Iterator::collect).map_err(e)?;
        if faults != ["ok"] {
            return Err(BackupError::Damaged { path: path.to_owned(), faults: faults.join("; ") });
        }
        Contents::read(conn, path)
    }

    /// What of it another does not hold in the same way.
    pub(super) fn difference(&self, other: &Contents) -> Option<String> {
        if self.schema != other.schema {
            return Some(format!("schema version {} and {}", self.schema, other.schema));
        }
        if (self.head, self.newest) != (other.head, other.newest) {
            return Some(format!("commit {} and {}", self.head.batch, other.head.batch));
        }
        let names = self.tables.keys().chain(other.tables.keys());
        let differs = |name: &&String| self.tables.get(*name) != other.tables.get(*name);
        names.into_iter().find(differs).map(|name| {
            let rows = |c: &Contents| c.tables.get(name).map_or("no".to_owned(), u64::to_string);
            format!("{} and {} rows of {name}", rows(self), rows(other))
        })
    }
}
