//! What can go wrong, in words for the installer's log: which file, what is wrong, what would be right.

use super::schema::VERSION;
use crate::domain::reading::Row;
use crate::domain::time::Ts;
use rusqlite::ErrorCode;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store did not open. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: the directory does not exist; create it and give it to the user that runs heyun", .path.display())]
    DirectoryMissing { path: PathBuf },
    #[error("{}: no such database; `heyun run` makes it", .path.display())]
    Missing { path: PathBuf },
    #[error("{}: cannot be written ({source}); the file and its directory must belong to the user that runs heyun, on a writable disk", .path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{}: in use by another heyun{}; stop that one first (one process writes to a database)", .path.display(), process(.holder))]
    InUse { path: PathBuf, holder: String },
    #[error("{}: not an SQLite database; name a file that heyun made, or one that does not exist yet", .path.display())]
    NotADatabase { path: PathBuf },
    #[error("{}: an SQLite database, but not of heyun (application_id {application_id:#x}); name a file that heyun made, or one that does not exist yet", .path.display())]
    Foreign { path: PathBuf, application_id: i32 },
    #[error("{}: schema version {found}, this heyun knows {VERSION}; install a newer heyun, or restore a backup of before the upgrade", .path.display())]
    Newer { path: PathBuf, found: i64 },
    #[error("{}: schema version {found}, this heyun needs {VERSION}; start `heyun run` once, it migrates the file", .path.display())]
    Older { path: PathBuf, found: i64 },
    #[error("{}: no write-ahead log on this file system (journal_mode is {mode}); put the database on a local ext4, f2fs, xfs or btrfs", .path.display())]
    NoWal { path: PathBuf, mode: String },
    #[error("{}: {source}", .path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("the store's thread did not start: {0}")]
    Thread(io::Error),
}

fn process(holder: &str) -> String {
    if holder.is_empty() { String::new() } else { format!(" (process {holder})") }
}

impl OpenError {
    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> OpenError {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                OpenError::Unwritable { path, source: io::Error::other(source) }
            }
            _ => OpenError::Sqlite { path, source },
        }
    }
}

/// Whether the same batch may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitErrorKind {
    /// The disk is full, away or busy: keep the batch and try again.
    Retry,
    /// The file is damaged, gone, or the batch contradicts what is stored (a bug): trying again cannot mend it.
    Fatal,
}

/// A batch was not stored: its transaction was rolled back wholly.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("batch {batch}: {source}")]
    Sqlite { batch: u64, source: rusqlite::Error },
    #[error("batch {batch}: rows clash at ts {} of source {}: new at pos {pos}: {new:?}; stored by batch {stored_batch} at pos {stored_pos}: {stored:?}", .new.ts.0, .new.source.0)]
    Clash { batch: u64, pos: u32, new: Box<Row>, stored_batch: u64, stored_pos: u32, stored: Box<Row> },
    #[error("batch {batch}: the newest stored batch is {newest}, so {} must come next", .newest + 1)]
    Gap { batch: u64, newest: u64 },
    #[error("batch {batch}: event {seq} where {expected} must come next")]
    EventGap { batch: u64, seq: u64, expected: u64 },
    #[error("batch {batch}: entry {seq} of the ledger where {expected} must come next")]
    LedgerGap { batch: u64, seq: u64, expected: u64 },
    #[error("batch {batch}: no key holds the row at pos {pos}: {row:?}")]
    Unholdable { batch: u64, pos: u32, row: Box<Row> },
    #[error("batch {batch} is stored already, with other content")]
    Differs { batch: u64 },
    #[error("batch {batch}: source {source_id} is stored with another id or topic, or its id or topic belongs to another source")]
    SourceDiffers { batch: u64, source_id: u32 },
    #[error("{}: the database was removed or replaced while it was open; put it back and start again", .path.display())]
    Replaced { path: PathBuf },
    #[error("batch {batch}: what is stored at the time of a late row cannot be read: {source}")]
    Settled { batch: u64, source: ReadError },
    #[error("the outbox cannot be marked: {source}")]
    Mark { source: rusqlite::Error },
    #[error("nothing can be adopted: {source}")]
    Adopt { source: rusqlite::Error },
    #[error("a picture cannot be kept: {source}")]
    Photo { source: rusqlite::Error },
    #[error("days cannot be told: {source}")]
    Tell { source: rusqlite::Error },
    #[error("closing: {source}; nothing is lost, the log is read at the next start")]
    Close { source: rusqlite::Error },
    #[error("the store's thread is gone")]
    Gone,
}

impl CommitError {
    pub fn kind(&self) -> CommitErrorKind {
        match self {
            CommitError::Sqlite { source, .. }
            | CommitError::Mark { source }
            | CommitError::Adopt { source }
            | CommitError::Photo { source }
            | CommitError::Tell { source }
            | CommitError::Close { source } => sqlite_kind(source),
            CommitError::Settled { source: ReadError::Sqlite(source), .. } => sqlite_kind(source),
            _ => CommitErrorKind::Fatal,
        }
    }
}

/// Only what waiting, freeing space or mending a mount can cure may be retried; what is not known to be such is not.
fn sqlite_kind(e: &rusqlite::Error) -> CommitErrorKind {
    use rusqlite::ffi;
    let Some(f) = e.sqlite_error() else { return CommitErrorKind::Fatal };
    match (f.code, f.extended_code) {
        (_, ffi::SQLITE_READONLY_DBMOVED | ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA) => CommitErrorKind::Fatal,
        (
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::OperationAborted,
            _,
        ) => CommitErrorKind::Retry,
        _ => CommitErrorKind::Fatal,
    }
}

/// A question that was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file contradicts itself.
    #[error("store: batch {batch} says that it has {expected} rows, {found} were found")]
    RowsMissing { batch: u64, expected: u64, found: u64 },
    /// A chunk is not what was written: its bytes changed on the disk.
    #[error("store: the readings of source {source_id} from {from} to {to} are damaged; `heyun store check` says what is affected")]
    Damaged { source_id: u32, from: Ts, to: Ts },
    /// Commits that were asked for are no longer kept one by one: their rows are sealed.
    #[error("store: what came with batch {batch} is sealed and can no longer be told batch by batch")]
    Sealed { batch: u64 },
    /// A value that this version never writes.
    #[error("store: {what} {found:?} is unknown")]
    Unknown { what: &'static str, found: String },
    #[error("store: {}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn kind(code: i32) -> CommitErrorKind {
        CommitError::Sqlite { batch: 1, source: rusqlite::Error::SqliteFailure(ffi::Error::new(code), None) }.kind()
    }

    #[test]
    fn what_a_disk_does_is_retried_and_what_a_bug_does_is_not() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_BUSY, ffi::SQLITE_READONLY, ffi::SQLITE_CANTOPEN] {
            assert_eq!(kind(code), CommitErrorKind::Retry, "{code}");
        }
        for code in [
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
            ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
            ffi::SQLITE_READONLY_DBMOVED,
            ffi::SQLITE_IOERR_CORRUPTFS,
            ffi::SQLITE_MISUSE,
        ] {
            assert_eq!(kind(code), CommitErrorKind::Fatal, "{code}");
        }
    }
}
