//! One way through the stored past of a register: a few rows before the span, all that is in it, and what comes right after.

use super::Span;
use super::account::{Account, Interval};
use super::register::Register;
use crate::domain::reading::Row;
use crate::domain::time::{Day, Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::store::{ReadError, Reader};

/// Readings before a span that the ledger sees first: enough to confirm or refute a level, and to know the usual pause.
const WARM_UP: usize = 8;

/// How long after a span the reading is looked for that ends its last interval. Looking costs time while the meter is silent.
const AFTER: Ms = Ms::days(2);

/// Rows of one source that are fetched together: half a megabyte.
const PAGE: usize = 5_000;

/// How fine the intervals must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// Reading by reading.
    Readings,
    /// Within a day that lies wholly in the span, its readings may be one interval.
    Days,
}

/// Hands out the intervals of a span by time, beginning with one that may reach over its start and ending with one that reaches over its
/// end, where there is one.
pub(super) fn walk(
    reader: &Reader,
    topology: &Topology,
    point: PointIx,
    register: Register,
    span: Span,
    grain: Grain,
    f: &mut impl FnMut(Interval),
) -> Result<(), ReadError> {
    let mut account = Account::new(&topology.point(point).meter, register, topology.since);
    for row in rows_before(reader, register, span.from)? {
        account.each(&row, f);
    }
    match grain {
        Grain::Readings => each_row(reader, register, span, &mut |row| account.each(row, f))?,
        Grain::Days => days(reader, topology, register, span, &mut account, f)?,
    }
    for row in reader.readings(register.source, span.to, span.to + AFTER, WARM_UP)? {
        let mut over = false;
        account.each(&row, &mut |i| {
            over |= i.to >= span.to;
            f(i);
        });
        if over {
            break;
        }
    }
    Ok(())
}

/// Closed days by what they tell, all others by their rows.
fn days(
    reader: &Reader,
    topology: &Topology,
    register: Register,
    span: Span,
    account: &mut Account<'_>,
    f: &mut impl FnMut(Interval),
) -> Result<(), ReadError> {
    let (mut day, last) = (Day::of(span.from, &topology.tz), Day::of(span.to - Ms(1), &topology.tz));
    let mut closed = reader.days(register.source, register.column, day.number, last.number.saturating_add(1))?.into_iter().peekable();
    // Up to here all is told.
    let mut at = span.from;
    while day.from < span.to {
        // A day that was closed under other bounds is another day.
        let told = closed.next_if(|(d, _)| d.number == day.number).filter(|(d, _)| *d == day && span.from <= d.from && d.to <= span.to);
        if let Some((_, column)) = told {
            each_row(reader, register, Span { from: at, to: day.from }, &mut |row| account.each(row, f))?;
            at = if column.is_none_or(|c| account.day(&c, f)) { day.to } else { day.from };
        }
        let next = day.next(&topology.tz);
        if next == day {
            // The end of the calendar.
            break;
        }
        day = next;
    }
    each_row(reader, register, Span { from: at, to: span.to }, &mut |row| account.each(row, f))
}

/// All rows of the register's source in the span, by time.
fn each_row(reader: &Reader, register: Register, span: Span, f: &mut impl FnMut(&Row)) -> Result<(), ReadError> {
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
