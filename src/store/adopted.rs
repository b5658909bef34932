//! Devices that were adopted: entries of the config as text. Rows are only added; of each kind and key the newest counts.

use super::error::CommitError;
use super::query::count;
use super::writer::Job;
use crate::domain::time::Ts;
use rusqlite::{Connection, TransactionBehavior};
use std::sync::mpsc::{SyncSender, sync_channel};

/// Something was adopted, or dropped again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdoptedRecord {
    pub at: Ts,
    /// Who did it.
    pub by: String,
    pub kind: String,
    pub key: String,
    /// None: it was dropped.
    pub toml: Option<String>,
}

/// The way to adopt, beside the engine's. It keeps nothing open.
#[derive(Clone, Debug)]
pub struct Adoptions {
    jobs: SyncSender<Job>,
}

impl Adoptions {
    pub(super) fn new(jobs: SyncSender<Job>) -> Adoptions {
        Adoptions { jobs }
    }

    /// Stores all of them, or none; when it has returned they survive a power cut. Blocks the caller.
    pub fn write(&self, records: Vec<AdoptedRecord>) -> Result<(), CommitError> {
        let (reply, answer) = sync_channel(1);
        self.jobs.send(Job::Adopt(records, reply)).map_err(|_| CommitError::Gone)?;
        answer.recv().map_err(|_| CommitError::Gone)?
    }
}

pub(super) fn write(conn: &mut Connection, records: &[AdoptedRecord]) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for r in records {
        tx.prepare_cached("INSERT INTO adopted (at, by, kind, key, toml) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((r.at.0, &r.by, &r.kind, &r.key, &r.toml))?;
    }
    tx.commit()
}

/// What counts now, with the number of its row, in the order in which it was adopted.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<(u64, AdoptedRecord)>> {
    let mut select = conn.prepare_cached(
        "SELECT seq, at, by, kind, key, toml FROM adopted a
         WHERE toml IS NOT NULL AND NOT EXISTS (SELECT 1 FROM adopted n WHERE n.kind = a.kind AND n.key = a.key AND n.seq > a.seq) ORDER BY seq",
    )?;
    let record = |r: &rusqlite::Row<'_>| {
        let record = AdoptedRecord { at: Ts(r.get(1)?), by: r.get(2)?, kind: r.get(3)?, key: r.get(4)?, toml: r.get(5)? };
        Ok((count(r.get(0)?), record))
    };
    select.query_map([], record)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Settings, open, open_reader};

    #[test]
    fn the_newest_word_about_an_entry_counts_and_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings { path: dir.path().join("h.db") };
        let record = |at, kind: &str, key: &str, toml: Option<&str>| AdoptedRecord {
            at: Ts(at),
            by: "w".into(),
            kind: kind.into(),
            key: key.into(),
            toml: toml.map(str::to_owned),
        };
        let (writer, reader) = open(&settings).unwrap();
        let adoptions = writer.adoptions();
        adoptions
            .write(vec![record(1, "meter", "a", Some("a1")), record(1, "sensor", "a", Some("s")), record(1, "meter", "b", Some("b"))])
            .unwrap();
        adoptions.write(vec![record(2, "meter", "a", None), record(2, "meter", "b", None)]).unwrap();
        adoptions.write(vec![record(3, "meter", "a", Some("a2"))]).unwrap();
        let counts = [(2, record(1, "sensor", "a", Some("s"))), (6, record(3, "meter", "a", Some("a2")))];
        assert_eq!(reader.adopted().unwrap(), counts);
        writer.close().unwrap();
        assert!(matches!(adoptions.write(vec![record(4, "meter", "c", Some("c"))]), Err(CommitError::Gone)));
        assert_eq!(open_reader(&settings).unwrap().adopted().unwrap(), counts);
    }
}
