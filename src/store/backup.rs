//! A copy of the whole database, made while it is written to, and believed only after it was read again.

use super::Settings;
use super::connection;
use super::contents::Contents;
use super::error::OpenError;
use super::part::{self, Part};
use rusqlite::ErrorCode;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes.
    Copying { done: u64, of: u64 },
    /// The copy is being read from end to end.
    Verifying,
}

/// Whether to go on: breaking off leaves nothing behind.
pub(super) type Tell<'a> = dyn FnMut(Step) -> Result<(), BackupError> + 'a;

/// A copy that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub path: PathBuf,
    pub bytes: u64,
    /// Also in `FILE.sha256`.
    pub sha256: String,
    pub contents: Contents,
}

/// Why there is no copy, or why it was not put back. What stood under the name still stands there.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{} stands already; --force replaces it", .path.display())]
    Exists { path: PathBuf },
    #[error("{}: no such directory; is the disk mounted? Make the directory and give it to the user that runs heyun", .path.display())]
    NoDirectory { path: PathBuf },
    #[error("{}: cannot be written: {source}{}", .path.display(), advice(.source))]
    Write { path: PathBuf, source: io::Error },
    #[error("{}: the copy needs {}, {} are free; free some, or name a directory on a larger disk", .path.display(), megabytes(*.needs), megabytes(*.free))]
    NoSpace { path: PathBuf, needs: u64, free: u64 },
    #[error("{}: another heyun is writing it; wait for that one", .path.display())]
    Busy { path: PathBuf },
    #[error("{}: copying: {source}{}", .path.display(), full(.source))]
    Copy { path: PathBuf, source: rusqlite::Error },
    #[error("{}: damaged: {faults}; another copy would be right, and `heyun store check` tells whether the database itself is damaged", .path.display())]
    Damaged { path: PathBuf, faults: String },
    #[error("{}: the copy does not hold what it was made of ({difference}); the disk may be failing", .path.display())]
    Differs { path: PathBuf, difference: String },
    #[error("{}: its SHA-256 is {found}, beside it stands {noted}: it has changed since it was made; take another copy", .path.display())]
    Digest { path: PathBuf, found: String, noted: String },
    #[error("{}: {source}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {source}", .path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    #[error("{}: the copy and the database to be replaced are one file", .path.display())]
    SameFile { path: PathBuf },
    #[error("{}: another program has it open (an export, sqlite3?); end that one first", .path.display())]
    BeingRead { path: PathBuf },
    #[error("broken off")]
    Stopped,
}

impl BackupError {
    /// Of a file that was to be read: a damaged one is called so.
    pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> BackupError {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt) => BackupError::Damaged { path, faults: source.to_string() },
            Some(ErrorCode::NotADatabase) => BackupError::Open(OpenError::NotADatabase { path }),
            _ => BackupError::Sqlite { path, source },
        }
    }
}

fn advice(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::PermissionDenied => {
            "; it must belong to the user that runs heyun, and a systemd unit must name it in ReadWritePaths="
        }
        io::ErrorKind::ReadOnlyFilesystem => "; mount the disk for writing; a systemd unit must name the directory in ReadWritePaths=",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space, or name a directory on a larger disk",
        io::ErrorKind::IsADirectory => "; name a file",
        _ => "",
    }
}

fn full(e: &rusqlite::Error) -> &'static str {
    match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "; free some space, or name a directory on a larger disk",
        _ => "",
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

/// Copies the database as it is after one commit, beside a daemon that writes or without one, of this version of the schema or an older one.
///
/// Under its name stands a copy that is whole, on the disk and verified, with `FILE.sha256` beside it; until then it is `FILE.part`. The
/// writer does not wait; its log grows by what it writes meanwhile. `replace`: also where `to` stands already.
pub fn backup(from: &Settings, to: &Path, replace: bool, tell: &mut dyn FnMut(Step) -> ControlFlow<()>) -> Result<Copy, BackupError> {
    let path = connection::resolve(&from.path)?;
    if !path.exists() {
        return Err(OpenError::Missing { path }.into());
    }
    if fs::canonicalize(to).is_ok_and(|to| to == path) {
        return Err(BackupError::SameFile { path });
    }
    let exists = || if !replace && to.exists() { Err(BackupError::Exists { path: to.to_owned() }) } else { Ok(()) };
    exists()?;
    let (part, contents) = copied(&path, to, &mut going_on(tell))?;
    exists()?;
    let (bytes, sha256) = part.digest()?;
    // A new file beside an old digest would look damaged.
    let write = |source| BackupError::Write { path: to.to_owned(), source };
    match fs::remove_file(part::beside(to, ".sha256")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(write(e)),
        _ => part.name()?,
    }
    part::write_digest(to, &sha256).map_err(write)?;
    Ok(Copy { path: to.to_owned(), bytes, sha256, contents })
}

/// Copies a database to `to.part` and reads it again.
pub(super) fn copied(from: &Path, to: &Path, tell: &mut Tell<'_>) -> Result<(Part, Contents), BackupError> {
    let e = |source| BackupError::sqlite(from, source);
    let conn = connection::to_read(from).map_err(e)?;
    // One state from the first page to the last, whatever is committed meanwhile.
    let snapshot = conn.unchecked_transaction().map_err(e)?;
    super::schema::version_of(&snapshot, from)?;
    let mut part = Part::begin(to)?;
    part.fill(&snapshot, tell)?;
    let source = Contents::read(&snapshot, from)?;
    drop(snapshot);
    let contents = part.verified(tell)?;
    match source.difference(&contents) {
        Some(difference) => Err(BackupError::Differs { path: to.to_owned(), difference }),
        None => Ok((part, contents)),
    }
}

/// The caller's wish to break off, as an error.
pub(super) fn going_on<'a>(tell: &'a mut dyn FnMut(Step) -> ControlFlow<()>) -> impl FnMut(Step) -> Result<(), BackupError> + 'a {
    move |step| if tell(step).is_break() { Err(BackupError::Stopped) } else { Ok(()) }
}
