//! `[store]`: where readings are kept and how long, how long they may wait to be written, and where a copy is made every day.

use super::reader::{Shape, Table};
use super::values::{Wrong, duration, time_of_day};
use crate::domain::time::Ms;
use jiff::civil::Time;
use std::path::PathBuf;

pub(super) static STORE: Shape = Shape { path: "store", keys: &["path", "linger", "backup", "retention"], hints: &[] };

pub(super) static BACKUP: Shape = Shape {
    path: "store.backup",
    keys: &["path", "at", "keep_days", "keep_months"],
    hints: &[
        ("time", "at = \"03:30\""),
        ("keep", "keep_days = 7 and keep_months = 12"),
        ("directory", "path = \"/mnt/backup/heyun\""),
        ("dir", "path = \"/mnt/backup/heyun\""),
    ],
};

pub(super) static RETENTION: Shape = Shape {
    path: "store.retention",
    keys: &["metering", "other"],
    hints: &[
        ("daily", "nothing: daily and monthly volumes are always kept"),
        ("monthly", "nothing: daily and monthly volumes are always kept"),
        ("events", "nothing: incidents and events are always kept"),
        ("incidents", "nothing: incidents and events are always kept"),
        ("readings", "metering = \"3650d\" and other = \"730d\""),
        ("days", "metering = \"3650d\" and other = \"730d\""),
    ],
};

/// Where the systemd unit gives the daemon a directory of its own.
const PATH: &str = "/var/lib/heyun/heyun.db";

/// The settings of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The database file.
    pub path: PathBuf,
    /// The longest that a reading waits for others, to be written together with them: longer wears an SD card less.
    pub linger: Ms,
    /// None: no copies are made.
    pub backup: Option<Backup>,
    pub retention: Retention,
}

/// How long readings are kept; None: for ever. What passed on each day and in each month, incidents and events are always kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Of metering points.
    pub metering: Option<Ms>,
    /// Of sources that say nothing of water: temperatures, pressures, valves.
    pub other: Option<Ms>,
}

/// A copy of the database every day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The directory that copies go into; it is never made.
    pub path: PathBuf,
    /// When, on the gateway's wall clock.
    pub at: Time,
    /// So many of the newest copies are kept, at least one.
    pub keep_days: u16,
    /// Of so many months the first copy is kept as well.
    pub keep_months: u16,
}

pub(super) fn store(root: &Table<'_>) -> Option<Store> {
    let default = Store { path: PathBuf::from(PATH), linger: Ms::seconds(5), backup: None, retention: Retention::default() };
    if root.get("store").is_none() {
        return Some(default);
    }
    let t = root.table("store", &STORE)?;
    let path = t.get("path").map_or(Some(default.path), |f| f.parsed(path));
    let linger = t.get("linger").map_or(Some(default.linger), |f| f.parsed(|s| duration(s, Ms(100)..=Ms::seconds(60))));
    let backup = t.get("backup").map_or(Some(None), |_| backup(&t).map(Some));
    let retention = t.get("retention").map_or(Some(Retention::default()), |_| retention(&t));
    Some(Store { path: path?, linger: linger?, backup: backup?, retention: retention? })
}

fn retention(store: &Table<'_>) -> Option<Retention> {
    let t = store.table("retention", &RETENTION)?;
    // Charts by hour are made of the readings of a hundred days.
    let kept = |key| t.get(key).map_or(Some(None), |f| f.parsed(|s| duration(s, Ms::days(100)..=Ms::days(36_500))).map(Some));
    let (metering, other) = (kept("metering"), kept("other"));
    Some(Retention { metering: metering?, other: other? })
}

fn backup(store: &Table<'_>) -> Option<Backup> {
    let t = store.table("backup", &BACKUP)?;
    let path = t
        .need("path", "path = \"/mnt/backup/heyun\": a directory that exists, on another disk than the database")
        .and_then(|f| f.parsed(directory));
    let at = t.get("at").map_or(Some(Time::constant(3, 30, 0, 0)), |f| f.parsed(time_of_day));
    let number = |key, default, range| t.get(key).map_or(Some(default), |f| f.integer(range).and_then(|n| u16::try_from(n).ok()));
    let (days, months) = (number("keep_days", 7, 1..=366), number("keep_months", 12, 0..=120));
    Some(Backup { path: path?, at: at?, keep_days: days?, keep_months: months? })
}

fn directory(s: &str) -> Result<PathBuf, Wrong> {
    // systemd starts the daemon in /, a person anywhere.
    if !s.starts_with('/') {
        return Err(Wrong::new(format!("{s:?} does not begin with /"), "a directory that exists, on another disk: \"/mnt/backup/heyun\""));
    }
    Ok(PathBuf::from(s))
}

fn path(s: &str) -> Result<PathBuf, Wrong> {
    // SQLite would take the first for a database that is gone at the next start.
    if s.starts_with(':') || s.starts_with("file:") || s.ends_with('/') {
        return Err(Wrong::new(format!("{s:?} is not the name of a file"), format!("a file in a directory that exists: \"{PATH}\"")));
    }
    Ok(PathBuf::from(s))
}
