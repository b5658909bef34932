//! Pictures of dials and seals, one to an entry of the ledger. One that is there is never replaced: it is evidence.

use super::error::CommitError;
use super::query::{count, integer};
use super::writer::Job;
use crate::domain::time::{Ms, Ts};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use std::ops::RangeInclusive;
use std::sync::mpsc::{SyncSender, sync_channel};

/// How long they are kept: disputes about a bill are settled by then, and a card has no room for more.
pub const PHOTOS_KEPT: Ms = Ms::days(2 * 365);
/// Old ones taken out with each that comes: more than come in, few enough to stay a small transaction.
const PRUNED_AT_ONCE: u32 = 4;

/// The way to keep pictures, beside the engine's. Clone it freely; it keeps nothing open.
#[derive(Clone, Debug)]
pub struct Photos {
    jobs: SyncSender<Job>,
}

/// A picture on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Number of the entry of the ledger.
    pub entry: u64,
    pub at: Ts,
    /// JPEG.
    pub body: Vec<u8>,
}

impl Photos {
    pub(super) fn new(jobs: SyncSender<Job>) -> Photos {
        Photos { jobs }
    }

    /// Keeps a picture; false where the entry has another one. When it has returned, it survives a power cut. Blocks the caller.
    pub fn keep(&self, photo: Photo) -> Result<bool, CommitError> {
        let (reply, answer) = sync_channel(1);
        self.jobs.send(Job::Photo(photo, reply)).map_err(|_| CommitError::Gone)?;
        answer.recv().map_err(|_| CommitError::Gone)?
    }
}

/// The same picture again does no harm: its first answer may have been lost.
pub(super) fn keep(conn: &mut Connection, photo: &Photo) -> rusqlite::Result<bool> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Some(there) = body(&tx, photo.entry)? {
        return Ok(there == photo.body);
    }
    tx.prepare_cached("INSERT INTO photos (entry, at, body) VALUES (?1, ?2, ?3)")?.execute((
        integer(photo.entry),
        photo.at.0,
        &photo.body,
    ))?;
    // The oldest have the smallest numbers: only those are looked at.
    tx.prepare_cached(
        "DELETE FROM photos WHERE entry IN (SELECT entry FROM (SELECT entry, at FROM photos ORDER BY entry LIMIT ?1) WHERE at < ?2)",
    )?
    .execute((PRUNED_AT_ONCE, (photo.at - PHOTOS_KEPT).0))?;
    tx.commit()?;
    Ok(true)
}

pub(super) fn body(conn: &Connection, entry: u64) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached("SELECT body FROM photos WHERE entry = ?1")?.query_row([integer(entry)], |r| r.get(0)).optional()
}

/// The entries that have one.
pub(super) fn entries(conn: &Connection, among: &RangeInclusive<u64>) -> rusqlite::Result<Vec<u64>> {
    let mut select = conn.prepare_cached("SELECT entry FROM photos WHERE entry BETWEEN ?1 AND ?2")?;
    select.query_map((integer(*among.start()), integer(*among.end())), |r| Ok(count(r.get(0)?)))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Settings, open};

    #[test]
    fn a_picture_is_kept_once_for_two_years() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, reader) = open(&Settings { path: dir.path().join("h.db") }).unwrap();
        let photos = writer.photos();
        let photo = |entry, at: Ms, body: &[u8]| Photo { entry, at: Ts(at.0), body: body.into() };
        assert!(photos.keep(photo(1, Ms::days(0), b"one")).unwrap());
        assert!(photos.keep(photo(1, Ms::days(1), b"one")).unwrap(), "again");
        assert!(!photos.keep(photo(1, Ms::days(1), b"other")).unwrap());
        assert!(photos.keep(photo(7, Ms::days(700), b"seven")).unwrap());
        assert_eq!(reader.photo(1).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(reader.photo_entries(1..=7).unwrap(), [1, 7]);
        assert!(photos.keep(photo(9, Ms::days(731), b"nine")).unwrap());
        assert_eq!((reader.photo(1).unwrap(), reader.photo_entries(1..=8).unwrap()), (None, vec![7]));
    }
}
