//! Sealed rows: every chunk is read, and held against what is told of it.

use super::tables::Pass;
use super::{CheckError, Finding};
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::Ts;
use crate::domain::topology::MAX_COLUMNS;
use crate::store::chunk::{Chunk, FORMAT};
use crate::store::key;
use crate::store::query::count;
use crate::store::salvage::is_damage;
use crate::store::sealed::{ALL, Said};
use rusqlite::{Connection, OptionalExtension};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of all chunks together.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    /// The newest batch that a sealed row came with.
    pub batch: u64,
    /// Rows that can be read.
    pub rows: u64,
    /// Rows that cannot.
    pub lost: u64,
    /// The newest sealed time of each source.
    pub ends: BTreeMap<SourceId, Ts>,
    /// Sources that no table names: rows, the first and the last.
    pub unknown: BTreeMap<SourceId, (u64, Ts, Ts)>,
}

/// One row of `chunks`.
pub(in crate::store) struct Stored {
    pub key: i64,
    pub source: SourceId,
    pub first: Ts,
    pub last: Ts,
    pub n: usize,
    pub batch: u64,
    pub format: u32,
    pub body: Vec<u8>,
}

impl Stored {
    /// By the columns of `chunks`, in their order.
    pub fn of(r: &rusqlite::Row<'_>) -> rusqlite::Result<Stored> {
        let key = r.get(0)?;
        let (source, first) = key::split_chunk(key);
        let n = r.get::<_, u32>(2)? as usize;
        Ok(Stored { key, source, first, last: Ts(r.get(1)?), n, batch: count(r.get(3)?), format: r.get(4)?, body: r.get(5)? })
    }

    /// Its rows; None if they cannot be read.
    pub fn rows(&self) -> Option<Vec<Row>> {
        let chunk = Chunk::read(&self.body, self.n, ALL).ok().filter(|_| self.format == FORMAT)?;
        let rows: Vec<Row> = (0..chunk.len()).map(|i| chunk.row(i, self.source)).collect();
        rows.windows(2).all(|w| w[0].ts < w[1].ts).then_some(rows)
    }

    /// True if what is told of the chunk is what these rows of it say.
    pub fn is_told(&self, conn: &Connection, rows: &[Row]) -> rusqlite::Result<bool> {
        let edges = rows.first().zip(rows.last()).map(|(a, b)| (a.ts, b.ts));
        if edges != Some((self.first, self.last)) {
            return Ok(false);
        }
        let mut told = conn.prepare_cached(
            "SELECT n, first, last, coalesce(least, first), coalesce(greatest, last), sum FROM chunk_columns
             WHERE began = ?1 & 8796093022207 AND chunk = ?1 AND ix = ?2",
        )?;
        for ix in 0..MAX_COLUMNS {
            let said = Said::of(rows.iter().filter_map(|r| r.values.get(ix)));
            let said = said.map(|s| (s.n, s.first, s.last, s.least, s.greatest, i64::try_from(s.sum).ok()));
            let found = told
                .query_row((self.key, i64::try_from(ix).unwrap_or(i64::MAX)), |r| {
                    Ok((count(r.get(0)?), r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get::<_, Option<i64>>(5)?))
                })
                .optional();
            match found {
                Ok(found) if found == said => {}
                Ok(_) => return Ok(false),
                // That it cannot be read is told of its own table.
                Err(e) if is_damage(&e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

impl Pass<'_> {
    pub(super) fn chunks(&mut self, topics: &BTreeMap<u32, String>) -> Result<Sealed, CheckError> {
        let mut sealed = Sealed::default();
        let mut findings = vec![];
        let mut there: BTreeSet<i64> = BTreeSet::new();
        let mut before: Option<(SourceId, Ts)> = None;
        let conn = self.conn;
        self.rows("chunks", &mut |r| {
            let c = Stored::of(r)?;
            let topic = || topic(topics, c.source);
            there.insert(c.key);
            sealed.batch = sealed.batch.max(c.batch);
            sealed.ends.insert(c.source, c.last);
            if !topics.contains_key(&c.source.0) {
                let seen = sealed.unknown.entry(c.source).or_insert((0, c.first, c.last));
                *seen = (seen.0 + c.n as u64, seen.1.min(c.first), seen.2.max(c.last));
            }
            if before.is_some_and(|(source, last)| source == c.source && last >= c.first) {
                findings.push(Finding::ChunksOverlap { topic: topic(), from: c.first, to: c.last });
            }
            before = Some((c.source, c.last));
            match c.rows() {
                Some(rows) => {
                    sealed.rows += rows.len() as u64;
                    if !c.is_told(conn, &rows)? {
                        findings.push(Finding::ChunkTold { topic: topic(), from: c.first, to: c.last });
                    }
                }
                None => {
                    sealed.lost += c.n as u64;
                    findings.push(damaged(&c, topic(), false));
                }
            }
            Ok(())
        })?;
        self.rows("damaged_chunks", &mut |r| {
            let c = Stored::of(r)?;
            sealed.lost += c.n as u64;
            findings.push(damaged(&c, topic(topics, c.source), true));
            Ok(())
        })?;
        // The columns of a chunk stand elsewhere: those without one tell which is gone.
        let mut orphans: BTreeMap<i64, u64> = BTreeMap::new();
        self.rows("chunk_columns", &mut |r| {
            let chunk: i64 = r.get(0)?;
            if !there.contains(&chunk) {
                let n = count(r.get(2)?);
                orphans.entry(chunk).and_modify(|most| *most = n.max(*most)).or_insert(n);
            }
            Ok(())
        })?;
        for (chunk, rows) in &orphans {
            let (source, from) = key::split_chunk(*chunk);
            sealed.lost += rows;
            findings.push(Finding::ChunkLost { topic: topic(topics, source), from, rows: *rows });
        }
        if !orphans.is_empty() {
            self.report.findings.retain(|f| !matches!(f, Finding::Lost(l) if l.table == "chunks"));
        }
        self.report.findings.extend(findings);
        Ok(sealed)
    }
}

fn damaged(c: &Stored, topic: String, set_aside: bool) -> Finding {
    let format = (c.format != FORMAT).then_some(c.format);
    Finding::ChunkDamaged { topic, from: c.first, to: c.last, rows: c.n as u64, format, set_aside }
}

pub(super) fn topic(topics: &BTreeMap<u32, String>, source: SourceId) -> String {
    topics.get(&source.0).cloned().unwrap_or_else(|| format!("source {}", source.0))
}
