//! What can go wrong, and what is only worth a word.

use super::report::Tally;
use crate::domain::reading::Reject;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    /// What was found up to here is written.
    #[error("cannot read on in {} after line {line}; the alerts up to there are written", path.display())]
    Read { path: PathBuf, line: u64, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}", meters_text(path, problems))]
    Meters { path: PathBuf, problems: Vec<Problem> },
    #[error("{}:1: the header has no column `{column}`\n    found: {found}\n    right: ts,meter,value,unit", path.display())]
    Header { path: PathBuf, column: &'static str, found: String },
    #[error("nothing could be read: {tally}")]
    Nothing { tally: Tally },
    /// Whoever listens has heard enough.
    #[error("stopped")]
    Stopped,
}

/// A mistake in a line of `meters.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub line: u64,
    pub column: String,
    pub value: String,
    pub what: String,
    pub right: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {:?}: {}\n    right: {}", self.line, self.column, self.value, self.what, self.right)
    }
}

fn meters_text(path: &std::path::Path, problems: &[Problem]) -> String {
    let mut out: String = problems.iter().map(|p| format!("{}:{p}\n", path.display())).collect();
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    out.push_str(&format!("{} {noun} in {}", problems.len(), path.display()));
    out
}

/// Odd, but nothing that stops a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A row that says nothing; counted as rejected.
    BadRow {
        path: PathBuf,
        line: u64,
        reason: Reject,
    },
    /// Told once: later bad rows are only counted.
    ManyBadRows {
        told: u64,
    },
    /// A series of no meter in `meters.csv`: kept like any other, watched by no rule. Told once per series.
    UnknownSeries {
        path: PathBuf,
        line: u64,
        series: String,
    },
    UnknownKind {
        line: u64,
        meter: String,
        kind: String,
    },
    UnknownParent {
        line: u64,
        meter: String,
        parent: String,
    },
    NoZone,
    SeveralZones {
        chosen: String,
        others: usize,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::BadRow { path, line, reason } => {
                write!(f, "{}:{line}: {reason}; right would be {}", path.display(), right(reason))
            }
            Notice::ManyBadRows { told } => write!(f, "more than {told} bad rows: the others are only counted"),
            Notice::UnknownSeries { path, line, series } => {
                write!(f, "{}:{line}: no meter {series:?} in the list of meters: its rows are kept, no rule watches them", path.display())
            }
            Notice::UnknownKind { line, meter, kind } => {
                let known = "household, bulk, district, makeup or valve";
                write!(f, "meters, line {line}: kind {kind:?} of {meter:?} is not known ({known}): no rule watches it")
            }
            Notice::UnknownParent { line, meter, parent } => {
                write!(f, "meters, line {line}: the parent {parent:?} of {meter:?} is in no line: taken as none")
            }
            Notice::NoZone => f.write_str("meters: no time zone (column tz): months begin in UTC"),
            Notice::SeveralZones { chosen, others } => {
                write!(f, "meters: {others} more time zones than {chosen}: one replay has one wall clock, the most frequent one")
            }
        }
    }
}

/// What would be right instead of a bad row.
fn right(reason: &Reject) -> &'static str {
    match reason {
        Reject::TimeSyntax { .. } => "RFC 3339 with its offset, such as 2026-11-24T03:04:05Z",
        Reject::TimeOld { .. } => "a time after 2010: the clock of this device was not set",
        Reject::TimeAhead { .. } => "a time near its neighbours': it lies more than a month ahead of the rows before and after it",
        Reject::Number { .. } | Reject::Range { .. } => "a decimal number without spaces, such as 376700 or 8.752",
        Reject::Unit { .. } => "a unit such as L, m3, L/h, L/s, degC or pct, of one kind per series",
        Reject::Missing { .. } => "ts,meter,value,unit",
        Reject::Utf8 { .. } => "UTF-8 text (it may be GBK now)",
        Reject::Conflict { .. } => "one value per meter and time",
        Reject::Sources { .. } => "fewer meters in one replay",
        // Cannot come of a CSV row.
        Reject::Size { .. }
        | Reject::Json { .. }
        | Reject::Retained
        | Reject::Topic
        | Reject::Columns { .. }
        | Reject::Frame { .. }
        | Reject::NoReading => "a row as described",
    }
}
