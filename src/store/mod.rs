//! All that outlives the process: one SQLite file, one thread that writes, connections of their own for those who read.
//!
//! [`open`] gives a [`Writer`] (one per file and machine: a lock file sees to it) and a [`Reader`] (clone it freely). What goes in is a
//! [`Batch`]: rows, new sources and identities, events and at times a checkpoint, stored in one transaction or not at all. When
//! [`Writer::commit`] has returned, the batch survives a power cut; nobody may be told of it earlier.
//!
//! The store knows ids, times and integers. What an event means or what a checkpoint holds is text and bytes to it.
//!
//! Who calls: the engine's thread writes and looks up, the web, the mirror and the exports read from blocking threads, the daemon opens and
//! closes. Everything here blocks; nothing here may be awaited. The file is drawn in `docs/design/03-store.md`.

mod adopted;
mod backup;
mod batch;
mod btree;
mod check;
mod chunk;
mod commit;
mod connection;
mod contents;
mod error;
mod fold;
mod hot;
mod keeper;
mod key;
mod lock;
mod merge;
mod outbox;
mod part;
mod photos;
mod query;
mod reader;
mod repair;
mod restore;
mod retention;
mod salvage;
mod schema;
mod seal;
mod sealed;
mod size;
mod snapshot;
mod volumes;
mod writer;

pub use adopted::{AdoptedRecord, Adoptions};
pub use backup::{BackupError, Copy, Step, backup};
pub use batch::{Batch, Checkpoint, Committed, EventRecord, LedgerRecord};
pub use check::{CheckError, CheckStep, Depth, Finding, Lost, Report, Silence, Whole, check};
pub use contents::Contents;
pub use error::{CommitError, CommitErrorKind, OpenError, ReadError};
pub use fold::FoldItem;
pub use keeper::{Seen, Volumes, Watch, Woken};
pub use outbox::{Done, LOG_KEPT, Mark, MarkRefused, Outbox, OutboxEntry, Pending, PendingEntry};
pub use photos::{PHOTOS_KEPT, Photo, Photos};
pub use query::{Before, Head, LOOK_BACK_ROWS, Stats, StoredCheckpoint};
pub use reader::{READER_CONNECTIONS, Reader};
pub use repair::{Repair, RepairError, Repaired, repair};
pub use restore::{Kept, Newer, Restored, restore};
pub use retention::{Expired, Retention};
pub use schema::{APPLICATION_ID, VERSION};
pub use size::{Growth, TableSize};
pub use snapshot::Snapshot;
pub use volumes::{DayVolume, MonthVolume, Series, Told, ToldSeries};
pub use writer::{QUEUE, Writer};

use std::path::PathBuf;

/// What the store is told at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The database file. Its directory must exist; beside it live `-wal`, `-shm` and `.lock`.
    pub path: PathBuf,
}

/// Opens the file for writing; makes it where there is none, migrates it where it is older.
///
/// Refuses, and changes nothing: a file that is not ours, a schema newer than [`VERSION`], a file that a living process has open for
/// writing, a directory that is missing or not writable.
pub fn open(settings: &Settings) -> Result<(Writer, Reader), OpenError> {
    let path = connection::resolve(&settings.path)?;
    let lock = lock::Lock::take(&path)?;
    let mut conn = connection::to_write(&path)?;
    schema::prepare(&mut conn, &path)?;
    connection::tune_writer(&conn, &path)?;
    connection::settle(&conn, &path)?;
    let reader = Reader::new(path.clone());
    let writer = Writer::start(conn, path, lock)?;
    Ok((writer, reader))
}

/// What was adopted into a file, beside a running daemon or without one. Leaves nothing beside the file: a config is checked by whoever may read it.
pub fn adopted(settings: &Settings) -> Result<Vec<(u64, AdoptedRecord)>, OpenError> {
    let path = connection::resolve(&settings.path)?;
    if !path.exists() {
        return Err(OpenError::Missing { path });
    }
    let e = |e| OpenError::sqlite(&path, e);
    // Without a log nobody has it open, and a connection that expects one would make one.
    let is_open = part::beside(&path, "-wal").exists();
    let conn = if is_open { connection::to_read(&path) } else { connection::to_read_still(&path) }.map_err(e)?;
    schema::check_current(&conn, &path)?;
    adopted::all(&conn).map_err(e)
}

/// Opens an existing file for reading only, beside a running daemon or without one. Takes no lock, migrates nothing: a file of another
/// schema version is refused.
pub fn open_reader(settings: &Settings) -> Result<Reader, OpenError> {
    let path = connection::resolve(&settings.path)?;
    if !path.exists() {
        return Err(OpenError::Missing { path });
    }
    let conn = connection::to_read(&path).map_err(|e| OpenError::sqlite(&path, e))?;
    schema::check_current(&conn, &path)?;
    Ok(Reader::new(path))
}
