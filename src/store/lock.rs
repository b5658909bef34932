//! One writing process per file.

use super::error::OpenError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// An advisory lock on `<database>.lock`, held until dropped or until the process is gone, however it goes.
///
/// A file of its own, because closing any descriptor of the database would drop SQLite's locks on it. It stays behind: to remove it would
/// let a second process lock a file of the same name that a third one can no longer see.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) fn take(database: &Path) -> Result<Lock, OpenError> {
        let path = lock_path(database);
        let unwritable = |source| OpenError::Unwritable { path: path.clone(), source };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // For the message only: an unreadable holder is an unknown one.
                let _ = file.take(32).read_to_string(&mut holder);
                return Err(OpenError::InUse { path: database.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(OpenError::Unwritable { path, source }),
        }
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id())).map_err(unwritable)?;
        Ok(Lock { _file: file })
    }
}

pub(super) fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
