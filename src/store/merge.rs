//! Hot rows and sealed ones as the one sequence that they are: by time, then by source.

use super::chunk::Chunk;
use super::error::ReadError;
use super::key;
use super::query::{count, page_statement, row_of_width};
use super::sealed::{self, Place};
use crate::domain::reading::{Row, SourceId};
use crate::domain::time::Ts;
use rusqlite::Connection;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::ops::Range;

/// A chunk that is being read, at its next row. Ordered by that row's key, and by nothing else.
struct Open {
    key: i64,
    at: usize,
    source: SourceId,
    chunk: Chunk,
}

impl PartialEq for Open {
    fn eq(&self, o: &Open) -> bool {
        self.key == o.key
    }
}
impl Eq for Open {}
impl PartialOrd for Open {
    fn partial_cmp(&self, o: &Open) -> Option<std::cmp::Ordering> {
        Some(self.cmp(o))
    }
}
impl Ord for Open {
    fn cmp(&self, o: &Open) -> std::cmp::Ordering {
        self.key.cmp(&o.key)
    }
}

/// The rows of all sources with keys in the range, in order, of each its first `width` values, with the batch that a hot one came with.
///
/// Every chunk that lies across the present moment of the reading is in memory: some kilobytes for each source.
pub(super) fn each(
    conn: &Connection,
    keys: Range<i64>,
    width: usize,
    f: &mut dyn FnMut(&Row, Option<u64>) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let (from, to) = (key::split(keys.start).0, Ts(key::split(keys.end - 1).0.0.saturating_add(1)));
    let wanted = sealed::first_columns(width);
    let mut waiting: Vec<Place> = sealed::in_span(conn, from, to)?;
    let mut open: BinaryHeap<Reverse<Open>> = BinaryHeap::new();
    let mut s = conn.prepare_cached(&page_statement(width))?;
    let mut hot = s.query((keys.start, keys.end))?;
    let mut next_hot = next(&mut hot, width)?;
    loop {
        let hot_key = next_hot.map(|(key, _, _)| key);
        let near = open.peek().map(|Reverse(o)| o.key).into_iter().chain(hot_key).min();
        // Whatever may begin before that is opened first.
        if let Some(place) = waiting.last().copied().filter(|p| near.is_none_or(|k| key::floor(p.first) <= k)) {
            waiting.pop();
            let chunk = sealed::read(conn, place, wanted)?;
            if let Some(next) = at(chunk, place.source, keys.start).filter(|o| o.key < keys.end) {
                open.push(Reverse(next));
            }
            continue;
        }
        let Some(near) = near else { return Ok(()) };
        let mut row = None;
        if let Some(mut top) = open.peek_mut().filter(|top| top.0.key == near) {
            let o = &mut top.0;
            row = Some((o.chunk.row(o.at, o.source), None));
            o.at += 1;
            match (o.at < o.chunk.len()).then(|| key::floor(o.chunk.ts(o.at)) | i64::from(o.source.0)).filter(|k| *k < keys.end) {
                Some(key) => o.key = key,
                None => drop(std::collections::binary_heap::PeekMut::pop(top)),
            }
        }
        // A key that is in both cannot be; if it were, what is sealed was first.
        if hot_key == Some(near) {
            row = row.or(next_hot.map(|(_, batch, row)| (row, Some(batch))));
            next_hot = next(&mut hot, width)?;
        }
        if let Some((row, batch)) = row
            && f(&row, batch).is_break()
        {
            return Ok(());
        }
    }
}

/// A chunk at its first row with this key or a later one.
fn at(chunk: Chunk, source: SourceId, from: i64) -> Option<Open> {
    let mut at = chunk.position(key::split(from).0);
    while at < chunk.len() {
        let key = key::floor(chunk.ts(at)) | i64::from(source.0);
        if key >= from {
            return Some(Open { key, at, source, chunk });
        }
        at += 1;
    }
    None
}

fn next(rows: &mut rusqlite::Rows<'_>, width: usize) -> rusqlite::Result<Option<(i64, u64, Row)>> {
    let Some(r) = rows.next()? else { return Ok(None) };
    Ok(Some((r.get(0)?, count(r.get(2)?), row_of_width(r, width)?)))
}
