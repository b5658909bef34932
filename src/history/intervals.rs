//! Reading by reading, from the raw rows.

use super::Span;
use super::account::{Account, Ignored, Interval, Story};
use super::register::Register;
use super::share::share;
use super::walk::{Grain, rows_before, walk};
use crate::domain::time::Ts;
use crate::domain::topology::{PointIx, Topology};
use crate::domain::units::Millilitres;
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

/// How much passed through a point in a span, as far as it was read. Days that are over cost next to nothing, others as much time as they
/// have rows of all sources: 1 ms for a day of 150 meters at 15 minutes.
pub fn passed(reader: &Reader, topology: &Topology, point: PointIx, register: Register, span: Span) -> Result<Passed, ReadError> {
    let mut out = Passed::default();
    walk(reader, topology, point, register, span, Grain::Days, &mut |i| {
        if i.to <= span.from || i.from >= span.to {
            return;
        }
        match i.volume {
            Some(volume) => out.volume += share(&i, volume, span),
            None => out.unknown += 1,
        }
        out.until = Some(i.to.min(span.to));
    })?;
    Ok(out)
}
