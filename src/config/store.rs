//! `[store]`: where readings are kept, and how long they may wait to be written.

use super::reader::{Shape, Table};
use super::values::{Wrong, duration};
use crate::domain::time::Ms;
use std::path::PathBuf;

pub(super) static STORE: Shape = Shape { path: "store", keys: &["path", "linger"], hints: &[] };

/// Where the systemd unit gives the daemon a directory of its own.
const PATH: &str = "/var/lib/heyun/heyun.db";

/// The settings of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The database file.
    pub path: PathBuf,
    /// The longest that a reading waits for others, to be written together with them: longer wears an SD card less.
    pub linger: Ms,
}

pub(super) fn store(root: &Table<'_>) -> Option<Store> {
    let default = Store { path: PathBuf::from(PATH), linger: Ms::seconds(5) };
    if root.get("store").is_none() {
        return Some(default);
    }
    let t = root.table("store", &STORE)?;
    let path = t.get("path").map_or(Some(default.path), |f| f.parsed(path));
    let linger = t.get("linger").map_or(Some(default.linger), |f| f.parsed(|s| duration(s, Ms(100)..=Ms::seconds(60))));
    Some(Store { path: path?, linger: linger? })
}

fn path(s: &str) -> Result<PathBuf, Wrong> {
    // SQLite would take the first for a database that is gone at the next start.
    if s.starts_with(':') || s.starts_with("file:") || s.ends_with('/') {
        return Err(Wrong::new(format!("{s:?} is not the name of a file"), format!("a file in a directory that exists: \"{PATH}\"")));
    }
    Ok(PathBuf::from(s))
}
