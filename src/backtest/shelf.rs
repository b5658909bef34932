//! Where uploaded files lie until they were read: a folder beside the database, emptied when the gateway starts, when other files come and when
//! they were tried. Complete files only have a name without `.part`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// The largest list of meters: some 20 000 lines.
pub const METERS_BYTES: u64 = 1 << 20;
/// The largest file of readings; packed, a year of 150 meters at 15 minutes is a third of it.
pub const READINGS_BYTES: u64 = 64 << 20;
/// The most files of readings of one back-test.
pub const READINGS_FILES: usize = 4;
/// So much of the disk stays free for what is measured.
const LEFT_FREE: u64 = 512 << 20;
/// Of the name that a file was uploaded by.
const NAME: usize = 60;

const METERS: &str = "meters.csv";
const UNFINISHED: &str = ".part";

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `meters.csv`: the first of a set; whatever lay there is removed.
    Meters,
    Readings,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another file comes, or they are being read.
    #[error("taken")]
    Taken,
    /// The list of meters comes first.
    #[error("no list of meters")]
    NoMeters,
    #[error("too many files")]
    TooMany,
    #[error("larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the disk is nearly full")]
    NoRoom,
    #[error("cannot be written: {0}")]
    Io(#[from] io::Error),
}

/// The folder. Whoever changes it or reads from it has its only turn.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: Arc<Path>,
    turn: Arc<Semaphore>,
}

/// A set that can be tried.
#[derive(Debug)]
pub struct Files {
    pub(super) folder: PathBuf,
    pub(super) meters: PathBuf,
    /// In the order in which they came.
    pub(super) readings: Vec<PathBuf>,
    shelf: Shelf,
    _turn: OwnedSemaphorePermit,
}

impl Drop for Files {
    fn drop(&mut self) {
        self.shelf.clear();
    }
}

impl Shelf {
    /// The one of this database.
    pub fn beside(database: &Path) -> Shelf {
        let mut folder = database.as_os_str().to_owned();
        folder.push("-backtest");
        Shelf { folder: PathBuf::from(folder).into(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Removes all that lies there.
    pub fn clear(&self) {
        match fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                warn!(folder = %self.folder.display(), error = %e, "uploaded files cannot be removed");
            }
            _ => {}
        }
    }

    /// Begins to take a file. `name` is as people call it.
    pub fn begin(&self, part: Part, name: &str) -> Result<Incoming, Refusal> {
        let turn = self.turn.clone().try_acquire_owned().map_err(|_| Refusal::Taken)?;
        let (file, limit) = match part {
            Part::Meters => {
                self.clear();
                fs::create_dir(&self.folder)?;
                (METERS.to_owned(), METERS_BYTES)
            }
            Part::Readings => {
                let n = self.readings()?.len();
                if !self.folder.join(METERS).exists() {
                    return Err(Refusal::NoMeters);
                }
                if n >= READINGS_FILES {
                    return Err(Refusal::TooMany);
                }
                (format!("{}-{}", n + 1, harmless(name)), READINGS_BYTES)
            }
        };
        let disk = rustix::fs::statvfs(&*self.folder).map_err(io::Error::from)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < LEFT_FREE + limit {
            return Err(Refusal::NoRoom);
        }
        let path = self.folder.join(&file);
        let unfinished = self.folder.join(file + UNFINISHED);
        Ok(Incoming { file: Some(File::create(&unfinished)?), unfinished, path, limit, bytes: 0, _turn: turn })
    }

    /// What was uploaded, with the turn; None where it is not whole, or is being written.
    pub fn take(&self) -> Option<Files> {
        let turn = self.turn.clone().try_acquire_owned().ok()?;
        let (meters, readings) = (self.folder.join(METERS), self.readings().ok()?);
        if !meters.exists() || readings.is_empty() {
            return None;
        }
        Some(Files { folder: self.folder.to_path_buf(), meters, readings, shelf: self.clone(), _turn: turn })
    }

    /// Complete files of readings, in the order in which they came.
    fn readings(&self) -> io::Result<Vec<PathBuf>> {
        let listed = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            listed => listed?,
        };
        let paths = listed.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        let is_one = |p: &PathBuf| p.file_name().is_some_and(|n| n != METERS) && p.extension().is_none_or(|e| e != "part");
        let mut out: Vec<PathBuf> = paths.into_iter().filter(is_one).collect();
        // A digit stands in front, and there are fewer than ten.
        out.sort();
        Ok(out)
    }
}

/// A file that comes in pieces. One that is not finished is removed.
#[derive(Debug)]
pub struct Incoming {
    /// None once it is finished.
    file: Option<File>,
    unfinished: PathBuf,
    path: PathBuf,
    limit: u64,
    bytes: u64,
    _turn: OwnedSemaphorePermit,
}

impl Incoming {
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        if self.bytes > self.limit {
            return Err(Refusal::TooLarge { limit: self.limit });
        }
        if let Some(file) = &mut self.file {
            file.write_all(piece)?;
        }
        Ok(())
    }

    /// The whole file has come; its bytes.
    pub fn finish(mut self) -> Result<u64, Refusal> {
        // It need not outlive a power cut.
        drop(self.file.take());
        fs::rename(&self.unfinished, &self.path)?;
        Ok(self.bytes)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.file.take().is_some()
            && let Err(e) = fs::remove_file(&self.unfinished)
        {
            warn!(file = %self.unfinished.display(), error = %e, "half an uploaded file cannot be removed");
        }
    }
}

/// A name that is a file's and nothing else.
fn harmless(name: &str) -> String {
    let plain = name.chars().filter(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')).take(NAME).collect::<String>();
    let plain = plain.trim_start_matches('.').trim_end_matches(UNFINISHED);
    if plain.is_empty() { "readings.csv".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_taken_once_it_is_whole_and_is_gone_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::beside(&dir.path().join("h.db"));
        assert!(matches!(shelf.begin(Part::Readings, "r"), Err(Refusal::NoMeters)));
        let put = |part, name: &str, text: &str| {
            let mut file = shelf.begin(part, name).unwrap();
            assert!(matches!(shelf.begin(part, name), Err(Refusal::Taken)) && shelf.take().is_none());
            file.write(text.as_bytes()).unwrap();
            file.finish().unwrap()
        };
        assert_eq!(put(Part::Meters, "anything", "meter,kind\n"), 11);
        assert!(shelf.take().is_none());
        let mut half = shelf.begin(Part::Readings, "half.csv").unwrap();
        half.write(b"ts").unwrap();
        drop(half);
        assert!(shelf.take().is_none());
        for name in ["../水 1.csv.gz", ".part", "b.csv", "c"] {
            put(Part::Readings, name, "x");
        }
        assert!(matches!(shelf.begin(Part::Readings, "one too many"), Err(Refusal::TooMany)));
        let files = shelf.take().unwrap();
        let names: Vec<_> = files.readings.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["1-水1.csv.gz", "2-part", "3-b.csv", "4-c"]);
        assert!(shelf.take().is_none() && matches!(shelf.begin(Part::Meters, ""), Err(Refusal::Taken)));
        drop(files);
        assert!(!dir.path().join("h.db-backtest").exists());
    }

    #[test]
    fn what_is_too_large_is_refused_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::beside(&dir.path().join("h.db"));
        let mut file = shelf.begin(Part::Meters, "").unwrap();
        let piece = vec![b'x'; 1 << 20];
        file.write(&piece).unwrap();
        assert!(matches!(file.write(b"x"), Err(Refusal::TooLarge { limit: METERS_BYTES })));
        drop(file);
        assert_eq!(fs::read_dir(dir.path().join("h.db-backtest")).unwrap().count(), 0);
    }
}
