//! What may be wrong with a file.

use crate::domain::time::Ts;
use serde::Serialize;

/// Something that should not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// The first page is none of an SQLite database: it is damaged, or the file is another program's.
    FirstPage {
        told: String,
    },
    /// SQLite found fault with the pages of a table or an index (None: with the file as such), so often; this was the first.
    Pages {
        of: Option<String>,
        index: bool,
        faults: usize,
        told: String,
    },
    /// Rows that cannot be read.
    Lost(Lost),
    /// Rows that other rows tell of, and that are not there, though no page is damaged.
    RowsMissing {
        first_batch: u64,
        last_batch: u64,
        from: Ts,
        to: Ts,
        rows: u64,
    },
    /// Rows that came in no commit that there is.
    RowsWithoutCommit {
        rows: u64,
        from: Ts,
        to: Ts,
    },
    /// Rows of a commit that a start would not find.
    RowsOutOfRange {
        batch: u64,
        rows: u64,
    },
    /// Rows of a source that no table names.
    UnknownSource {
        source: u32,
        rows: u64,
        from: Ts,
        to: Ts,
    },
    /// A chunk whose bytes are not what was written, or of a layout that this version does not know (`format`); set aside: the writer found
    /// it, and keeps it out of everybody's way.
    ChunkDamaged {
        topic: String,
        from: Ts,
        to: Ts,
        rows: u64,
        format: Option<u32>,
        set_aside: bool,
    },
    /// A chunk that is gone; what its columns said is still there, and tells that it was.
    ChunkLost {
        topic: String,
        from: Ts,
        rows: u64,
    },
    /// What is told of a chunk (its end, its columns) is not what is in it.
    ChunkTold {
        topic: String,
        from: Ts,
        to: Ts,
    },
    /// Two chunks of a source tell of the same time.
    ChunksOverlap {
        topic: String,
        from: Ts,
        to: Ts,
    },
    /// A reading that is there twice, sealed and not.
    Twice {
        topic: String,
        at: Ts,
    },
    /// So many readings were stored in all, and so many are there, though nothing is damaged.
    Total {
        told: u64,
        found: u64,
    },
    /// Days of a metering point that are told and not there, or there and not told.
    DaysTold {
        point: String,
        missing: u64,
    },
    /// A month that is not the sum of its days.
    MonthTold {
        point: String,
        month: String,
    },
    CommitsMissing {
        first: u64,
        last: u64,
    },
    CommitTotal {
        batch: u64,
        told: u64,
        sum: u64,
    },
    EventsMissing {
        first: u64,
        last: u64,
    },
    /// An event of a batch that is not there, or not there yet.
    EventWithoutCommit {
        event: u64,
        batch: u64,
    },
    /// Entries of the ledger: their numbers have no gaps.
    EntriesMissing {
        first: u64,
        last: u64,
    },
    EntryWithoutCommit {
        entry: u64,
        batch: u64,
    },
    NoticeWithoutEvent {
        notice: i64,
        event: u64,
    },
    /// A state after a batch that is not there.
    CheckpointAhead {
        batch: u64,
        newest: u64,
    },
}

/// Rows of a table that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    pub table: String,
    /// The keys between which they lie, both readable; None: to that end of the table.
    pub after: Option<i64>,
    pub before: Option<i64>,
    /// How many; None where nothing tells.
    pub rows: Option<u64>,
    /// Of readings: the times between which they lie, and who may have spoken.
    pub from: Option<Ts>,
    pub to: Option<Ts>,
    pub sources: Vec<Silence>,
}

/// The readings of one source on both sides of a hole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Silence {
    pub topic: String,
    pub last_before: Option<Ts>,
    pub first_after: Option<Ts>,
}

/// Rows of a table that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Whole {
    pub table: String,
    pub rows: u64,
}
