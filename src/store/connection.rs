//! Opening SQLite connections, and the PRAGMAs of each side. The reasons with their figures: `docs/design/03-store.md`.

use super::error::OpenError;
use rusqlite::{Connection, MAIN_DB, OpenFlags};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for a lock. In WAL mode only recovery, a closing connection or a foreign tool holds one.
const BUSY: Duration = Duration::from_secs(5);

/// What the log holds when a commit copies it into the database. A page that was written many times meanwhile is copied once: the page that
/// rows are appended to, the last page of each source's chunks, and those that rows of one day leave to the next.
const WAL_BYTES: u32 = 16 << 20;

/// To what the log is cut back after it grew beyond (a long reader): what it needs in any case.
const WAL_LIMIT_BYTES: u32 = WAL_BYTES + (4 << 20);

/// What a transaction may have changed before some of it goes into the log early, to be written again later: a sealing step of some hundred
/// sources stays below.
const SPILL_BYTES: u32 = 4 << 20;

/// The absolute name with symbolic links followed, so that one file has one lock whatever it is called.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, OpenError> {
    if let Ok(found) = fs::canonicalize(path) {
        return Ok(found);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(OpenError::Unwritable { path: path.to_owned(), source: io::Error::from(io::ErrorKind::IsADirectory) });
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    match fs::canonicalize(parent) {
        Ok(dir) => Ok(dir.join(name)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(OpenError::DirectoryMissing { path: parent.to_owned() }),
        Err(source) => Err(OpenError::Unwritable { path: parent.to_owned(), source }),
    }
}

/// A connection that may write. Nothing is written yet.
pub(super) fn to_write(path: &Path) -> Result<Connection, OpenError> {
    let e = |e| OpenError::sqlite(path, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(e)?;
    conn.busy_timeout(BUSY).map_err(e)?;
    // SQLite falls back to read-only in silence.
    if conn.is_readonly(MAIN_DB).map_err(e)? {
        return Err(OpenError::Unwritable { path: path.to_owned(), source: io::Error::from(io::ErrorKind::PermissionDenied) });
    }
    Ok(conn)
}

/// The writer's PRAGMAs, once the file is known to be ours and in WAL mode.
pub(super) fn tune_writer(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let page: u32 = conn.pragma_query_value(None, "page_size", |r| r.get(0)).map_err(|e| OpenError::sqlite(path, e))?;
    let (pages, spill) = (WAL_BYTES / page.max(512), SPILL_BYTES / page.max(512));
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = {pages};
         PRAGMA journal_size_limit = {WAL_LIMIT_BYTES};
         PRAGMA cache_size = -1024;
         PRAGMA cache_spill = {spill};
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;"
    ))
    .map_err(|e| OpenError::sqlite(path, e))?;
    // As many as there are statements in a commit.
    conn.set_prepared_statement_cache_capacity(24);
    Ok(())
}

/// Copies into the file what the log holds, and begins the log anew: what was found at opening is durable before anything is built on it.
///
/// A sync that failed may have dropped the pages that it was for, while they are still read back: a process that starts after it finds
/// batches in the log that a power cut would take away, and with them all that is appended behind them. A copy is written and synced anew.
pub(super) fn settle(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0)).map_err(|e| OpenError::sqlite(path, e))?;
    if busy {
        // It takes a failed sync, a stranger who reads all through our start, and then a power cut: no reason not to start.
        tracing::warn!("{}: another program reads it and keeps its log from being copied into it", path.display());
    }
    Ok(())
}

/// Copies the log into the file and empties it, where no reader holds it: waits for nobody. Returns whether that was so.
pub(super) fn empty_log(conn: &Connection) -> rusqlite::Result<bool> {
    conn.busy_timeout(Duration::ZERO)?;
    let busy: rusqlite::Result<bool> = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0));
    conn.busy_timeout(BUSY)?;
    busy.map(|busy| !busy)
}

/// A connection that can only read.
pub(super) fn to_read(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    tune_reader(&conn)?;
    Ok(conn)
}

/// A connection to a file that nobody can write to, on a disk where no file can be made beside it.
pub(super) fn to_read_still(path: &Path) -> rusqlite::Result<Connection> {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(uri, flags)?;
    tune_reader(&conn)?;
    Ok(conn)
}

fn tune_reader(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.execute_batch("PRAGMA cache_size = -256; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    // As many as there are questions in `query`, `hot` and `fold`.
    conn.set_prepared_statement_cache_capacity(32);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_as_safe_and_the_caches_as_small_as_promised() {
        let dir = tempfile::tempdir().unwrap();
        let path = resolve(&dir.path().join("h.db")).unwrap();
        let mut conn = to_write(&path).unwrap();
        super::super::schema::prepare(&mut conn, &path).unwrap();
        tune_writer(&conn, &path).unwrap();
        let pragma = |c: &Connection, name: &str| -> String {
            c.query_row(&format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"), [], |r| r.get(0)).unwrap()
        };
        for (name, value) in
            [("journal_mode", "wal"), ("synchronous", "2"), ("auto_vacuum", "2"), ("page_size", "1024"), ("cache_size", "-1024")]
        {
            assert_eq!(pragma(&conn, name), value, "{name}");
        }
        let pages: u32 = conn.pragma_query_value(None, "wal_autocheckpoint", |r| r.get(0)).unwrap();
        assert_eq!(pages * 1024, WAL_BYTES);
        let reader = to_read(&path).unwrap();
        assert_eq!(pragma(&reader, "cache_size"), "-256");
        assert!(reader.execute("DELETE FROM hot_0", []).is_err());
    }
}
