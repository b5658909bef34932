//! The config as it holds: the file, its own device profiles proven, and what was adopted into the database behind it.

use crate::config::{Adopted, AdoptedKind, FileProblems, Joined, LoadError, OwnProfile, Problem, Written};
use crate::domain::time::Ts;
use crate::ingest::decode::{Failure, prove};
use crate::store::{self, AdoptedRecord, CommitError, OpenError, ReadError};
use jiff::tz::TimeZone;
use std::path::Path;

/// Reads the config file, and runs the examples of the profiles beside it: one whose own examples fail is not used.
pub fn file(path: &Path) -> Result<Written, LoadError> {
    let written = Written::read(path)?;
    proven(&written.config().own_profiles, &written.config().topology.tz)?;
    Ok(written)
}

/// The file together with what was adopted.
pub fn joined(written: Written, adopted: &[Adopted]) -> Result<Joined, LoadError> {
    let joined = written.with(adopted)?;
    proven(&joined.config.own_profiles, &joined.config.topology.tz)?;
    Ok(joined)
}

/// The same for those who do not run: what was adopted is read beside the daemon, if there is a database. Where it cannot be read, the file
/// holds alone, and the reason is returned.
pub fn load(path: &Path) -> Result<(Joined, Option<OpenError>), LoadError> {
    let written = file(path)?;
    let (adopted, unread) = match stored(&written.config().store.path) {
        Ok(records) => (adopted(&records), None),
        Err(e) => (vec![], Some(e)),
    };
    Ok((joined(written, &adopted)?, unread))
}

/// What was adopted into a database; nothing where there is none, or only one of an older program.
pub fn stored(database: &Path) -> Result<Vec<(u64, AdoptedRecord)>, OpenError> {
    match store::adopted(&store::Settings { path: database.to_owned() }) {
        Err(OpenError::Missing { .. } | OpenError::DirectoryMissing { .. } | OpenError::Older { .. }) => Ok(vec![]),
        adopted => adopted,
    }
}

/// Records as entries of the config. One of a kind that this program does not know is left out: a newer one has made it, and its schema too.
pub fn adopted(records: &[(u64, AdoptedRecord)]) -> Vec<Adopted> {
    let one = |r: &AdoptedRecord| Some(Adopted { kind: AdoptedKind::of(&r.kind)?, key: r.key.clone(), toml: r.toml.clone()? });
    records.iter().filter_map(|(_, r)| one(r)).collect()
}

/// Why something could not be dropped.
#[derive(Debug, thiserror::Error)]
pub enum DropError {
    #[error("no {kind} {key:?} was adopted; `heyun config export` tells what was")]
    Unknown { kind: &'static str, key: String },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] CommitError),
}

/// Drops an adopted entry from the database of a gateway that is not running, whatever the config says: the way out where both do not go
/// together and the daemon does not start.
pub fn drop_adopted(database: &Path, (kind, key): (AdoptedKind, &str), by: &str, now: Ts) -> Result<(), DropError> {
    let settings = store::Settings { path: database.to_owned() };
    let (writer, reader) = store::open(&settings)?;
    if !reader.adopted()?.iter().any(|(_, r)| r.kind == kind.code() && r.key == key) {
        return Err(DropError::Unknown { kind: kind.code(), key: key.to_owned() });
    }
    let gone = AdoptedRecord { at: now, by: by.to_owned(), kind: kind.code().to_owned(), key: key.to_owned(), toml: None };
    writer.adoptions().write(vec![gone])?;
    Ok(writer.close()?)
}

fn proven(profiles: &[OwnProfile], tz: &TimeZone) -> Result<(), LoadError> {
    let failed: Vec<FileProblems> = profiles.iter().filter_map(|own| failed(own, tz)).collect();
    if failed.is_empty() { Ok(()) } else { Err(LoadError::Problems(failed)) }
}

fn failed(own: &OwnProfile, tz: &TimeZone) -> Option<FileProblems> {
    let problems: Vec<Problem> = prove(&own.profile, tz).iter().map(problem).collect();
    (!problems.is_empty()).then(|| FileProblems { file: own.file.clone(), problems })
}

fn problem(f: &Failure) -> Problem {
    let says = f.says.as_ref().map_or(String::new(), |s| format!(" ({s})"));
    Problem {
        line: f.line,
        column: 1,
        key: format!("example[{}]", f.example),
        what: format!("the example{says} gives something else than it expects\n    expected: {}\n    got:      {}", f.expected, f.got),
        right: match f.ahead {
            true => "arrived = \"…\" in the example, a little after its stamp (left out: 2026-11-28T00:00:00Z)",
            false => "if what it got is right, expect that; if not, mend the message that reads it",
        }
        .to_owned(),
        quote: String::new(),
    }
}
