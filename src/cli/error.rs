//! The one table from what went wrong to the exit code and to what the user sees.

use crate::config::{self, FileProblems, LoadError};
use crate::ingest::discover::ListenError;
use crate::store::{BackupError, CheckError, OpenError, ReadError, RepairError};
use crate::{daemon, export, replay, sim};
use std::error::Error as _;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

/// sysexits.h: scripts and systemd tell by it whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was looked for was found: `store check` is not content.
    Found = 1,
    /// EX_USAGE: the command line is wrong.
    Usage = 64,
    /// EX_DATAERR: the input is wrong.
    Data = 65,
    /// EX_NOINPUT: an input file does not exist.
    NoInput = 66,
    /// EX_SOFTWARE: a bug, or a part that ended by itself.
    Internal = 70,
    /// EX_CANTCREAT: the output file stands already.
    CannotCreate = 73,
    /// EX_IOERR: reading or writing failed.
    Io = 74,
    /// EX_NOPERM: a file may not be read or written.
    NoPermission = 77,
    /// EX_CONFIG: the config is wrong.
    Config = 78,
    /// As a shell tells of SIGPIPE: the reader of stdout went away before all was written.
    Pipe = 141,
}

impl From<Exit> for ExitCode {
    fn from(e: Exit) -> ExitCode {
        ExitCode::from(e as u8)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("HEYUN_LOG: {0}; right would be a level such as info, or targets such as warn,heyun::ingest=debug")]
    LogFilter(String),
    #[error("cannot read the config {}", path.display())]
    ConfigFile { path: PathBuf, source: std::io::Error },
    #[error("the config {} has {} problem(s)", path.display(), files.iter().map(|f| f.problems.len()).sum::<usize>())]
    ConfigProblems { path: PathBuf, files: Vec<FileProblems> },
    #[error(transparent)]
    Daemon(#[from] daemon::Error),
    #[error(transparent)]
    Replay(#[from] replay::Error),
    #[error("there is no channel {name:?}; right would be one of: {}", known.join(", "))]
    UnknownChannel { name: String, known: Vec<String> },
    #[error("there is no device profile {name:?}; right would be one of: {}", known.join(", "))]
    UnknownDevice { name: String, known: Vec<String> },
    #[error("no device profile {name:?} was adopted; {}", if known.is_empty() { "none was".to_owned() } else { format!("right would be one of: {}", known.join(", ")) })]
    NotAdopted { name: String, known: Vec<String> },
    #[error(transparent)]
    Drop(#[from] daemon::DropError),
    #[error("the config {} names no channel: nobody is told of anything; add [[channels]], see docs/guide/alerts.md", path.display())]
    NoChannel { path: PathBuf },
    #[error("{failed} of {of} channels did not take the test message")]
    ChannelsFailed { failed: usize, of: usize },
    #[error("the config {} has no [mqtt]: there is no broker to speak to", path.display())]
    NoBroker { path: PathBuf },
    #[error(transparent)]
    Simulate(#[from] sim::Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    StoreOpen(#[from] OpenError),
    #[error(transparent)]
    StoreRead(#[from] ReadError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Repair(#[from] RepairError),
    #[error("{0} finding(s)")]
    Found(usize),
    #[error("--{option} {value:?} is not a time; right would be {right}")]
    Time { option: &'static str, value: String, right: &'static str },
    #[error("--from {from} is not before --to {to}; the end is left out: one day is --from 2026-11-24 --to 2026-11-25")]
    Span { from: String, to: String },
    #[error("{0}; right would be one of: {1}")]
    Unknown(export::Unknown, String),
    #[error("{} stands already; --force replaces it", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}", path.display())]
    Out { path: PathBuf, source: std::io::Error },
    #[error("no database: --config FILE or --store DB would be right")]
    NoDatabase,
    #[error("the answer could not be written as JSON: {0}")]
    Json(serde_json::Error),
    #[error("cannot write to stdout")]
    Stdout { source: std::io::Error },
}

impl Error {
    pub fn config(path: &std::path::Path, e: LoadError) -> Error {
        match e {
            LoadError::Io { path, source } => Error::ConfigFile { path, source },
            LoadError::Problems(files) => Error::ConfigProblems { path: path.to_owned(), files },
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Error::LogFilter(_) | Error::UnknownChannel { .. } | Error::UnknownDevice { .. } | Error::NotAdopted { .. } => Exit::Usage,
            Error::Drop(e) => match e {
                daemon::DropError::Unknown { .. } => Exit::Usage,
                daemon::DropError::Open(e) => store_open(e),
                daemon::DropError::Read(e) => store_read(e),
                daemon::DropError::Write(_) => Exit::Io,
            },
            Error::ConfigFile { source, .. } => input(source.kind()),
            Error::ConfigProblems { .. } | Error::NoChannel { .. } => Exit::Config,
            Error::ChannelsFailed { .. } => Exit::Io,
            Error::Replay(e) => match e {
                replay::Error::Open { source, .. } => input(source.kind()),
                replay::Error::Read { .. } => Exit::Io,
                replay::Error::Write { source, .. } => output(source.kind()),
                replay::Error::Meters { .. } | replay::Error::Header { .. } | replay::Error::Nothing { .. } => Exit::Data,
                // Nobody stops a replay of the command line but by a signal.
                replay::Error::Stopped => Exit::Internal,
            },
            Error::NoBroker { .. } => Exit::Config,
            Error::Simulate(e) => match e {
                sim::Error::NoDevices | sim::Error::Refused { .. } => Exit::Config,
                sim::Error::Unacknowledged(_) => Exit::Io,
                sim::Error::Start(_) | sim::Error::Model => Exit::Internal,
            },
            Error::Listen(e) => match e {
                ListenError::Refused { .. } | ListenError::Filter { .. } => Exit::Config,
                ListenError::Away { .. } | ListenError::Silent { .. } => Exit::Io,
            },
            Error::Daemon(e) => daemon(e),
            Error::StoreOpen(e) => store_open(e),
            Error::StoreRead(e) => store_read(e),
            Error::Backup(e) => backup(e),
            Error::Time { .. } | Error::Span { .. } | Error::Unknown(..) | Error::NoDatabase => Exit::Usage,
            Error::Json(_) => Exit::Internal,
            Error::Check(e) => check(e),
            Error::Repair(e) => match e {
                RepairError::Open(e) => store_open(e),
                RepairError::Check(e) => check(e),
                RepairError::Older { .. } | RepairError::Schema { .. } => Exit::Data,
                RepairError::File { source, .. } => output(source.kind()),
                RepairError::Sqlite { .. } => Exit::Io,
            },
            Error::Found(_) => Exit::Found,
            Error::Exists(_) => Exit::CannotCreate,
            Error::Stdout { source } if source.kind() == ErrorKind::BrokenPipe => Exit::Pipe,
            Error::Out { source, .. } | Error::Stdout { source } => output(source.kind()),
        }
    }

    /// What stands on stderr: the problems as they are, every other error as one line with its causes.
    pub fn for_people(&self) -> String {
        match self {
            Error::ConfigProblems { .. } => self.text(),
            _ => format!("heyun: {}\n", self.text()),
        }
    }

    /// The error with its causes.
    pub fn text(&self) -> String {
        if let Error::ConfigProblems { files, .. } = self {
            return files.iter().map(|f| config::render(&f.file, &f.problems)).collect();
        }
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(c) = cause {
            // Some errors name their cause themselves.
            let cause_text = c.to_string();
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            cause = c.source();
        }
        text
    }
}

fn input(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory => Exit::NoInput,
        other => output(other),
    }
}

fn output(kind: ErrorKind) -> Exit {
    if kind == ErrorKind::PermissionDenied { Exit::NoPermission } else { Exit::Io }
}

fn daemon(e: &daemon::Error) -> Exit {
    match e {
        // What the config points at is not there or not right; starting again will not mend it.
        daemon::Error::Config(_)
        | daemon::Error::Credentials(_)
        | daemon::Error::Channel { .. }
        | daemon::Error::Subscription { .. }
        | daemon::Error::NoCertificate { .. } => Exit::Config,
        daemon::Error::CaFile { source, .. } => input(source.kind()),
        daemon::Error::Open(e) => store_open(e),
        daemon::Error::Read(e) => store_read(e),
        daemon::Error::Event { .. } => Exit::Data,
        daemon::Error::Bind { source, .. } => output(source.kind()),
        daemon::Error::Commit(_) | daemon::Error::Uncommitted(_) | daemon::Error::Unread(_) => Exit::Io,
        daemon::Error::Web(e) => output(e.kind()),
        daemon::Error::Mqtt(_)
        | daemon::Error::Thread(_)
        | daemon::Error::Json(_)
        | daemon::Error::Died(_)
        | daemon::Error::Slow(_)
        | daemon::Error::Interrupted => Exit::Internal,
    }
}

fn store_open(e: &OpenError) -> Exit {
    match e {
        OpenError::Missing { .. } | OpenError::DirectoryMissing { .. } => Exit::NoInput,
        OpenError::NotADatabase { .. } | OpenError::Foreign { .. } | OpenError::Newer { .. } | OpenError::Older { .. } => Exit::Data,
        OpenError::Unwritable { .. } => Exit::NoPermission,
        OpenError::InUse { .. } | OpenError::NoWal { .. } | OpenError::Sqlite { .. } => Exit::Io,
        OpenError::Thread(_) => Exit::Internal,
    }
}

fn backup(e: &BackupError) -> Exit {
    match e {
        BackupError::Open(e) => store_open(e),
        BackupError::Exists { .. } => Exit::CannotCreate,
        BackupError::NoDirectory { .. } => Exit::NoInput,
        BackupError::Write { source, .. } => output(source.kind()),
        BackupError::Read { source, .. } => input(source.kind()),
        BackupError::Damaged { .. } | BackupError::Digest { .. } => Exit::Data,
        BackupError::SameFile { .. } => Exit::Usage,
        BackupError::NoSpace { .. }
        | BackupError::Busy { .. }
        | BackupError::Copy { .. }
        | BackupError::Differs { .. }
        | BackupError::Sqlite { .. }
        | BackupError::BeingRead { .. }
        | BackupError::Stopped => Exit::Io,
    }
}

fn check(e: &CheckError) -> Exit {
    match e {
        CheckError::Open(e) => store_open(e),
        CheckError::Read(e) => store_read(e),
    }
}

fn store_read(e: &ReadError) -> Exit {
    match e {
        ReadError::Sqlite(_) | ReadError::File { .. } => Exit::Io,
        ReadError::RowsMissing { .. } | ReadError::Unknown { .. } | ReadError::Damaged { .. } | ReadError::Sealed { .. } => Exit::Data,
    }
}
