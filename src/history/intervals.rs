//! Reading by reading, from the raw rows.

use super::Span;
use super::account::{Account, Ignored, Interval, Story};
use super::register::Register;
use super::share::share;
use crate::domain::reading::Row;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::domain::units::Millilitres;
use crate::store::{ReadError, Reader};

/// Readings before a span that the ledger sees first: enough to confirm or refute a level, and to know the usual pause.
const WARM_UP: usize = 8;

/// Rows of one source that are fetched together: half a megabyte.
const PAGE: usize = 5_000;

/// What flowed through a point, reading by reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intervals {
    /// By time, without overlap. An interval belongs to the span that its last reading lies in, so pages fit together; the first may begin
    /// before the span.
    pub intervals: Vec<Interval>,
    /// Readings that make no interval.
    pub ignored: Vec<Ignored>,
    /// Time of the last row, where the limit was reached and the next page begins behind it.
    pub last: Option<Ts>,
}

/// The intervals of a span, of at most `limit` rows.
pub fn intervals(
    reader: &Reader,
    topology: &Topology,
    point: PointIx,
    register: Register,
    span: Span,
    limit: usize,
) -> Result<Intervals, ReadError> {
    let before = rows_before(reader, register, span.from)?;
    let rows = reader.readings(register.source, span.from, span.to, limit)?;
    let mut story = Story::new(Account::new(&topology.point(point).meter, register, topology.since), &before);
    rows.iter().for_each(|row| story.row(row));
    let (intervals, ignored) = story.finish();
    Ok(Intervals { intervals, ignored, last: rows.last().filter(|_| rows.len() == limit).map(|r| r.ts) })
}

/// How much passed in a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The sum of what is known. Intervals that reach over an edge of the span count for the part that lies in it.
    pub volume: Millilitres,
    /// How many intervals have an unknown volume (a reset, a jump).
    pub unknown: usize,
    /// End of the last interval, None where there is none: what came later is not read yet.
    pub until: Option<Ts>,
}

/// How much passed through a point in a span, as far as it was read. Costs as much time as the span has rows of all sources: 1 ms per day
/// of 150 meters at 15 minutes.
pub fn passed(reader: &Reader, topology: &Topology, point: PointIx, register: Register, span: Span) -> Result<Passed, ReadError> {
    let mut account = Account::new(&topology.point(point).meter, register, topology.since);
    let mut out = Passed::default();
    let mut count = |i: Interval| {
        if i.to <= span.from {
            return;
        }
        match i.volume {
            Some(volume) => out.volume += share(&i, volume, span),
            None => out.unknown += 1,
        }
        out.until = Some(i.to.min(span.to));
    };
    for row in rows_before(reader, register, span.from)? {
        account.each(&row, &mut count);
    }
    each_row(reader, register, span, &mut |row| account.each(row, &mut count))?;
    Ok(out)
}

/// All rows of the register's source in the span, by time.
pub(super) fn each_row(reader: &Reader, register: Register, span: Span, f: &mut impl FnMut(&Row)) -> Result<(), ReadError> {
    let mut from = span.from;
    while from < span.to {
        let rows = reader.readings(register.source, from, span.to, PAGE)?;
        rows.iter().for_each(&mut *f);
        match rows.last() {
            Some(last) if rows.len() == PAGE => from = last.ts + Ms(1),
            _ => break,
        }
    }
    Ok(())
}

/// The last few rows before `from` that hold the register, oldest first.
pub(super) fn rows_before(reader: &Reader, register: Register, from: Ts) -> Result<Vec<Row>, ReadError> {
    let mut rows = vec![];
    let mut at = from;
    // A device may send its register only with every other message.
    for _ in 0..2 * WARM_UP {
        let Some(row) = reader.row_before(register.source, at)?.row() else { break };
        at = row.ts;
        if register.value(&row).is_some() {
            rows.push(row);
        }
        if rows.len() == WARM_UP {
            break;
        }
    }
    rows.reverse();
    Ok(rows)
}
