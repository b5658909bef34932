//! Reading by reading, from the raw rows.

use super::Span;
use super::account::{Account, Ignored, Interval, Story};
use super::days::daily;
use super::register::Register;
use super::walk::rows_before;
use crate::domain::time::Ts;
use crate::domain::topology::{PointIx, Topology};
use crate::domain::units::Amount;
use crate::store::{ReadError, Reader};

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
    register: &Register,
    span: Span,
    limit: usize,
) -> Result<Intervals, ReadError> {
    let before = rows_before(reader, register, span.from, topology.since)?;
    let rows = reader.readings_columns(register.source, register.width(), (span.from, span.to), limit)?;
    let mut story = Story::new(Account::new(&topology.point(point).meter, register.clone(), topology.since), &before);
    rows.iter().for_each(|row| story.row(row));
    let (intervals, ignored) = story.finish();
    Ok(Intervals { intervals, ignored, last: rows.last().filter(|_| rows.len() == limit).map(|r| r.ts) })
}

/// How much passed in a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The sum of what is known. Intervals that reach over an edge of the span count for the part that lies in it.
    pub volume: Amount,
    /// End of what was read of it, None where that is nothing: what came later is not read yet.
    pub until: Option<Ts>,
}

/// How much passed through a point in a span, as far as it was read. Days that are told cost next to nothing, others what their rows cost.
pub fn passed(reader: &Reader, topology: &Topology, point: PointIx, register: &Register, span: Span) -> Result<Passed, ReadError> {
    let (days, until) = daily(reader, topology, point, register, span)?;
    Ok(Passed { volume: days.iter().filter_map(|d| d.volume).sum(), until })
}
