//! Putting a copy back in the place of the database, which is kept under another name.

use super::Settings;
use super::backup::{BackupError, Copy, Step, copied, going_on};
use super::connection;
use super::error::OpenError;
use super::lock::{Lock, lock_path};
use super::part::{self, beside, digest, noted_digest};
use super::query::{self, Head, count, integer};
use crate::domain::time::Ts;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use std::fs::{self, Metadata};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    pub copy: Copy,
    /// Whether a digest stood beside the copy, and was right.
    pub digest_checked: bool,
    /// What stood there before; None where nothing did.
    pub kept: Option<Kept>,
}

/// The database that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub path: PathBuf,
    pub newer: Newer,
}

/// What the replaced database holds and the copy does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Newer {
    Nothing,
    /// Committed after the copy was made; the broker has been told that they are stored.
    Readings {
        readings: u64,
        events: u64,
        from: Ts,
        to: Ts,
    },
    /// It did not come from the same beginnings as the copy.
    Unrelated {
        readings: u64,
    },
    /// It cannot be read: why.
    Unreadable(String),
}

/// Replaces the database at `to` by the copy `from`, or makes it there. The next start of the daemon migrates an older schema.
///
/// Changes nothing before the copy is verified and lies on the disk beside the database. Refuses while a daemon or another program has
/// the database open. What is replaced is kept as `DB.before-restore-<now>`.
pub fn restore(from: &Path, to: &Settings, now: Ts, tell: &mut dyn FnMut(Step) -> ControlFlow<()>) -> Result<Restored, BackupError> {
    let path = connection::resolve(&to.path)?;
    let from = fs::canonicalize(from).map_err(|source| BackupError::Read { path: from.to_owned(), source })?;
    if from == path {
        return Err(BackupError::SameFile { path });
    }
    let present = fs::metadata(&path).ok();
    let read = |source| BackupError::Read { path: from.clone(), source };
    let owner = present.clone().map_or_else(|| fs::metadata(part::folder(&path)), Ok).map_err(read)?;
    let _lock = Lock::take(&path)?;
    give(&lock_path(&path), &owner, None);
    let noted = noted_digest(&from).map_err(read)?;
    let (_, found) = digest(&from).map_err(read)?;
    if let Some(noted) = noted.clone().filter(|noted| !noted.eq_ignore_ascii_case(&found)) {
        return Err(BackupError::Digest { path: from, found, noted });
    }
    let (copy, contents) = copied(&from, &path, &mut going_on(tell))?;
    let (bytes, sha256) = copy.digest()?;
    let newer = match present {
        Some(_) => Some(closed(&path, &copy.read().map_err(|source| BackupError::sqlite(&from, source))?)?),
        None => None,
    };
    let aside = keep(&path, now)?;
    let kept = newer.map(|newer| Kept { path: aside, newer });
    copy.name()?;
    give(&path, &owner, present.map(|m| m.permissions().mode()));
    Ok(Restored { copy: Copy { path, bytes, sha256, contents }, digest_checked: noted.is_some(), kept })
}

/// Brings the log of the present database into it, so that it is one file, and compares it with the copy.
fn closed(path: &Path, copy: &Connection) -> Result<Newer, BackupError> {
    let unreadable = |e: rusqlite::Error| match e.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Err(BackupError::BeingRead { path: path.to_owned() }),
        _ => Ok(Newer::Unreadable(e.to_string())),
    };
    let present = connection::to_write(path)?;
    let application_id: i32 = match present.pragma_query_value(None, "application_id", |r| r.get(0)) {
        Ok(id) => id,
        Err(e) => return unreadable(e),
    };
    if application_id != super::APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned(), application_id }.into());
    }
    // Only the last one who has it open can leave WAL mode; then no log and nobody's view of it stays.
    if let Err(e) = present.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())) {
        return unreadable(e);
    }
    compared(&present, copy).or_else(unreadable)
}

fn compared(present: &Connection, copy: &Connection) -> rusqlite::Result<Newer> {
    let (p, c) = (query::head(present)?.unwrap_or(Head::EMPTY), query::head(copy)?.unwrap_or(Head::EMPTY));
    let (older, newer, holder) = if p.batch > c.batch { (c, p, present) } else { (p, c, copy) };
    // Old commits may be gone; then the numbers alone have to tell.
    let known = commit(holder, older.batch)?;
    if known.is_some_and(|known| known != older) || newer.total_rows < older.total_rows {
        return Ok(Newer::Unrelated { readings: p.total_rows });
    }
    if p.batch <= c.batch {
        return Ok(Newer::Nothing);
    }
    let from = present.query_row("SELECT min(received) FROM commits WHERE batch > ?1", [integer(c.batch)], |r| r.get(0))?;
    Ok(Newer::Readings {
        readings: p.total_rows - c.total_rows,
        events: p.last_event.saturating_sub(c.last_event),
        from: Ts(from),
        to: p.received,
    })
}

fn commit(conn: &Connection, batch: u64) -> rusqlite::Result<Option<Head>> {
    let head = |r: &rusqlite::Row<'_>| {
        Ok(Head { batch, received: Ts(r.get(0)?), rows: count(r.get(1)?), total_rows: count(r.get(2)?), last_event: count(r.get(3)?) })
    };
    conn.query_row("SELECT received, rows, total, last_event FROM commits WHERE batch = ?1", [integer(batch)], head).optional()
}

/// Gives the present database, where there is one, its other name, which is returned. By a second name first, so that at no instant there is
/// no database: a daemon that started then would begin an empty one.
fn keep(path: &Path, now: Ts) -> Result<PathBuf, BackupError> {
    let stamp = Timestamp::from_millisecond(now.0).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ");
    let name = |n: u32| beside(path, &if n == 1 { format!(".before-restore-{stamp}") } else { format!(".before-restore-{stamp}-{n}") });
    let kept = (1..).map(name).find(|kept| !kept.exists()).unwrap_or_else(|| name(0));
    let write = |source| BackupError::Write { path: kept.clone(), source };
    if path.exists() {
        // File systems without a second name for a file have to do with the gap.
        fs::hard_link(path, &kept).or_else(|_| fs::rename(path, &kept)).map_err(write)?;
    }
    // Of a file that is gone or could not be opened. They would be taken for the copy's.
    for suffix in ["-wal", "-shm", "-journal"] {
        let log = beside(path, suffix);
        if log.exists() {
            fs::rename(&log, beside(&kept, suffix)).map_err(write)?;
        }
    }
    part::sync_folder(path).map_err(write)?;
    Ok(kept)
}

/// To whom the database belonged: the daemon could not write what root restores.
fn give(path: &Path, owner: &Metadata, mode: Option<u32>) {
    let differs = |m: &Metadata| (m.uid(), m.gid()) != (owner.uid(), owner.gid());
    let given = fs::metadata(path).and_then(|m| if differs(&m) { chown(path, Some(owner.uid()), Some(owner.gid())) } else { Ok(()) });
    let mode = mode.map_or(Ok(()), |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    if let Err(error) = given.and(mode) {
        tracing::warn!(%error, file = %path.display(), "it should belong to the user that runs heyun: chown it");
    }
}
