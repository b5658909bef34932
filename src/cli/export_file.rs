//! A file that stands under its name whole or not at all.

use super::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `FILE.part`, until [`Part::finish`] gives it its name. Dropped before, it is removed; what a killed process leaves is written over.
pub struct Part {
    file: File,
    part: PathBuf,
    path: PathBuf,
    force: bool,
    named: bool,
}

impl Part {
    pub fn begin(path: &Path, force: bool) -> Result<Part, Error> {
        let out = |source| Error::Out { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(out(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        if !force && path.exists() {
            return Err(Error::Exists(path.to_owned()));
        }
        let Some(name) = path.file_name() else { return Err(out(io::Error::from(io::ErrorKind::IsADirectory))) };
        let mut part = name.to_owned();
        part.push(".part");
        let part = path.with_file_name(part);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&part).map_err(out)?;
        // Two exports into one file would write into each other.
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(out(io::Error::new(io::ErrorKind::ResourceBusy, format!("another export is writing {}", part.display()))));
            }
            Err(TryLockError::Error(source)) => return Err(out(source)),
        }
        let this = Part { file, part, path: path.to_owned(), force, named: false };
        this.file.set_len(0).map_err(out)?;
        Ok(this)
    }

    /// On the disk, then under its name.
    pub fn finish(mut self) -> Result<(), Error> {
        let out = |source| Error::Out { path: self.path.clone(), source };
        self.file.sync_all().map_err(out)?;
        if !self.force && self.path.exists() {
            return Err(Error::Exists(self.path.clone()));
        }
        fs::rename(&self.part, &self.path).map_err(out)?;
        self.named = true;
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(|source| Error::Out { path: self.path.clone(), source })
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
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
