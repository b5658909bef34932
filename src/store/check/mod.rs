//! Does the file hold what it says it holds? Page by page, and each table against the others.

mod chunks;
mod finding;
mod pages;
mod tables;
mod volumes;

pub(super) use chunks::Stored;
pub use finding::{Finding, Lost, Silence, Whole};
pub(super) use tables::contents;

use super::error::{OpenError, ReadError};
use super::part::beside;
use super::salvage::is_damage;
use super::{Settings, connection, schema};
use pages::pages;
use rusqlite::Connection;
use serde::Serialize;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every page, every index entry, every row.
    Full,
    /// Indexes are not held against their tables.
    Quick,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub file: PathBuf,
    /// Version of the schema; None where that cannot be read.
    pub schema: Option<i64>,
    /// The newest commit that can be read.
    pub batch: u64,
    /// Readings that can be read, sealed or not.
    pub readings: u64,
    pub findings: Vec<Finding>,
    pub whole: Vec<Whole>,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStep<'a> {
    /// SQLite reads all pages; how far it is, it does not say.
    Pages,
    /// So many rows of this table were read, of about so many.
    Table { name: &'a str, rows: u64, of: u64 },
}

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<rusqlite::Error> for CheckError {
    fn from(e: rusqlite::Error) -> CheckError {
        CheckError::Read(e.into())
    }
}

/// Checks a file, beside a running daemon or without one, as it is after one commit. Changes nothing.
///
/// Refused are files of other programs and of a newer schema. Of an older schema what it has is checked.
pub fn check(settings: &Settings, depth: Depth, tell: &mut dyn FnMut(CheckStep<'_>)) -> Result<Report, CheckError> {
    let path = connection::resolve(&settings.path)?;
    if !path.exists() {
        return Err(OpenError::Missing { path }.into());
    }
    let mut report = Report { file: path.clone(), schema: None, batch: 0, readings: 0, findings: vec![], whole: vec![] };
    let known = |conn: rusqlite::Result<Connection>| match conn {
        Ok(conn) => schema::version_of(&conn, &path).map(|version| (conn, version)),
        Err(e) => Err(OpenError::sqlite(&path, e)),
    };
    let opened = match known(connection::to_read(&path)) {
        // A card that was mounted read-only: nobody writes, so there is nothing to agree on with anybody.
        Err(OpenError::Unwritable { .. }) if !beside(&path, "-wal").exists() => known(connection::to_read_still(&path)),
        opened => opened,
    };
    let (conn, version) = match opened {
        Ok(opened) => opened,
        Err(e) => match first_page(&path, &e) {
            Some(told) => {
                report.findings.push(Finding::FirstPage { told });
                return Ok(report);
            }
            None => return Err(e.into()),
        },
    };
    report.schema = Some(version);
    // One state for all questions.
    let tx = conn.unchecked_transaction()?;
    tell(CheckStep::Pages);
    pages(&tx, depth, &mut report.findings)?;
    contents(&tx, &mut report, tell)?;
    Ok(report)
}

/// What is wrong with a first page that SQLite cannot begin with; None where the reason is another one.
fn first_page(path: &Path, e: &OpenError) -> Option<String> {
    match e {
        OpenError::Sqlite { source, .. } if is_damage(source) => Some(source.to_string()),
        // Once it was ours: a process that wrote it has left its lock.
        OpenError::NotADatabase { .. } if super::lock::lock_path(path).exists() => {
            let mut begin = [0; 16];
            let read = fs::File::open(path).and_then(|mut f| f.read_exact(&mut begin));
            Some(match read {
                Ok(()) => format!("the file begins with {}", begin.escape_ascii()),
                Err(e) => e.to_string(),
            })
        }
        _ => None,
    }
}
