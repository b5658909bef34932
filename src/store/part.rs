//! A copy that is being made: a file that gets its name when it is whole and on the disk.

use super::backup::{BackupError, Step, Tell};
use super::contents::Contents;
use ring::digest::{Context, SHA256};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes that are copied between two looks at whether to go on.
const STEP: u64 = 1 << 20;

/// Bytes that may wait to be put on the disk: a slow stick would otherwise take all of it at the end, and everybody else's writes would
/// wait behind it.
const UNSYNCED: u64 = 16 << 20;

/// A copy is private until it has its name, and the disk may be a share that knows no locks.
const WITHOUT_LOCKS: &str = "unix-none";

/// Who lives where and when they are at home can be read from it.
const MODE: u32 = 0o640;

/// `FILE.part`. Dropped before it has its name, it is removed; what a killed process leaves is written over.
pub(super) struct Part {
    file: File,
    part: PathBuf,
    /// The name that it is to get.
    pub path: PathBuf,
    named: bool,
}

impl Part {
    /// Refuses a directory, a missing directory around it, and a second one for the same name.
    pub fn begin(path: &Path) -> Result<Part, BackupError> {
        let write = |source| BackupError::Write { path: path.to_owned(), source };
        if path.is_dir() || path.file_name().is_none() {
            return Err(write(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let folder = folder(path);
        if !folder.is_dir() {
            return Err(BackupError::NoDirectory { path: folder.to_owned() });
        }
        let part = beside(path, ".part");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(MODE).open(&part).map_err(write)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy { path: part }),
            // A share without locks: nobody else can be asked.
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(write(source)),
        }
        let this = Part { file, part, path: path.to_owned(), named: false };
        this.file.set_len(0).map_err(write)?;
        Ok(this)
    }

    /// Copies what `from` sees, which must be in a read transaction: then no commit makes the copy begin again.
    pub fn fill(&mut self, from: &Connection, tell: &mut Tell<'_>) -> Result<(), BackupError> {
        let copy = |source| BackupError::Copy { path: self.path.clone(), source };
        let page_bytes = from.pragma_query_value(None, "page_size", |r| r.get::<_, u32>(0)).map(u64::from).map_err(copy)?;
        let pages = from.pragma_query_value(None, "page_count", |r| r.get::<_, u32>(0)).map(u64::from).map_err(copy)?;
        self.space(pages * page_bytes)?;
        let step = i32::try_from(STEP / page_bytes).unwrap_or(1).max(1);
        let mut to = self.connection(OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(copy)?;
        // What was begun is thrown away if it breaks off; flushing is our business.
        to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -512;").map_err(copy)?;
        let backup = Backup::new(from, &mut to).map_err(copy)?;
        let mut unsynced = 0;
        loop {
            let result = backup.step(step).map_err(copy)?;
            let progress = backup.progress();
            let left = u64::try_from(progress.remaining).unwrap_or(0) * page_bytes;
            tell(Step::Copying { done: (pages * page_bytes).saturating_sub(left), of: pages * page_bytes })?;
            unsynced += STEP;
            if unsynced >= UNSYNCED {
                unsynced = 0;
                self.file.sync_data().map_err(|source| self.write(source))?;
            }
            match result {
                StepResult::Done => break,
                StepResult::More => {}
                // `from` waits for nobody in its transaction, and nobody knows the part.
                _ => return Err(BackupError::Busy { path: self.part.clone() }),
            }
        }
        drop(backup);
        to.close().map_err(|(_, source)| copy(source))?;
        self.leave_wal_mode().and_then(|()| self.file.sync_all()).map_err(|source| self.write(source))
    }

    /// A copy of a file in WAL mode says of itself that there may be a log beside it, and cannot be read on a read-only disk. Bytes 18 and
    /// 19 of the file say it (SQLite's file format, 1.3.3); there is no log. The daemon puts a restored one back into WAL mode.
    fn leave_wal_mode(&self) -> io::Result<()> {
        self.file.write_all_at(&[1, 1], 18)
    }

    fn connection(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        Connection::open_with_flags_and_vfs(&self.part, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX, WITHOUT_LOCKS)
    }

    fn write(&self, source: io::Error) -> BackupError {
        BackupError::Write { path: self.path.clone(), source }
    }

    /// Before a disk is filled up under those who also use it.
    fn space(&self, needs: u64) -> Result<(), BackupError> {
        let folder = folder(&self.path);
        let disk = rustix::fs::statvfs(folder).map_err(|e| self.write(e.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needs { Err(BackupError::NoSpace { path: folder.to_owned(), needs, free }) } else { Ok(()) }
    }

    /// Reads the copy from end to end: what it holds, or what is wrong with it.
    pub fn verified(&self, tell: &mut Tell<'_>) -> Result<Contents, BackupError> {
        tell(Step::Verifying)?;
        let conn = self.connection(OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|source| BackupError::sqlite(&self.path, source))?;
        Contents::verified(&conn, &self.path)
    }

    /// A connection that reads the copy.
    pub fn read(&self) -> rusqlite::Result<Connection> {
        self.connection(OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Length and SHA-256.
    pub fn digest(&self) -> Result<(u64, String), BackupError> {
        digest(&self.part).map_err(|source| self.write(source))
    }

    /// Gives it its name. On return it is on the disk.
    pub fn name(mut self) -> Result<(), BackupError> {
        fs::rename(&self.part, &self.path).map_err(|source| self.write(source))?;
        self.named = true;
        sync_folder(&self.path).map_err(|source| self.write(source))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.named
            && let Err(error) = fs::remove_file(&self.part)
        {
            tracing::warn!(%error, file = %self.part.display(), "what was begun could not be removed");
        }
    }
}

/// The directory that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file of this name with more behind it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Puts new names in a file's directory on the disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(folder(path))?.sync_all() {
        // Some shares know no such thing.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

/// Length and SHA-256 of a file.
pub(super) fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut sha256, mut buffer, mut bytes) = (Context::new(&SHA256), vec![0; 1 << 16], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => {
                sha256.update(&buffer[..n]);
                bytes += n as u64;
            }
        }
    }
    Ok((bytes, sha256.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect()))
}

/// Writes `FILE.sha256`, as `sha256sum -c` reads it. It does not stand before its file, so that no crash leaves a good file with another's
/// digest.
pub(super) fn write_digest(path: &Path, digest: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (hash, part) = (beside(path, ".sha256"), beside(path, ".sha256.part"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&part)?;
    file.write_all(format!("{digest}  {name}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, &hash)?;
    sync_folder(path)
}

/// What stands in `FILE.sha256`; None where there is none.
pub(super) fn noted_digest(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(beside(path, ".sha256")) {
        Ok(text) => Ok(Some(text.split_whitespace().next().unwrap_or_default().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
