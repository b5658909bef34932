//! One way through the stored past of a register: a few rows before the span, all that is in it, and what comes right after.

use super::Span;
use super::account::{Account, Interval};
use super::register::Register;
use crate::domain::reading::Row;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::store::{ReadError, Reader};

/// Readings before a span that the ledger sees first: enough to confirm or refute a level, and to know the usual pause.
pub(super) const WARM_UP: usize = 16;

/// Where they are looked for, in one question; who is silent for longer is asked for row by row.
const NEAR: [Ms; 2] = [Ms::hours(5), Ms::hours(20)];

/// Rows that are looked at for them then: a device may send its register only with some of its messages.
const LOOKS: usize = 256;

/// How long after a span the reading is looked for that ends its last interval. Looking costs time while the meter is silent.
const AFTER: Ms = Ms::days(2);

/// Rows of one source that are fetched together: half a megabyte.
const PAGE: usize = 5_000;

/// Hands out the intervals of a span by time, beginning with one that may reach over its start and ending with one that reaches over its
/// end, where there is one.
pub(super) fn walk(
    reader: &Reader,
    topology: &Topology,
    point: PointIx,
    register: &Register,
    span: Span,
    f: &mut impl FnMut(Interval),
) -> Result<(), ReadError> {
    let mut account = Account::new(&topology.point(point).meter, register.clone(), topology.since);
    for row in rows_before(reader, register, span.from, topology.since)? {
        account.each(&row, f);
    }
    each_row(reader, register, span, &mut |row| account.each(row, f))?;
    for row in reader.readings_columns(register.source, register.width(), (span.to, span.to + AFTER), WARM_UP)? {
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

/// All rows of the register's source in the span, by time.
fn each_row(reader: &Reader, register: &Register, span: Span, f: &mut impl FnMut(&Row)) -> Result<(), ReadError> {
    let mut from = span.from;
    while from < span.to {
        let rows = reader.readings_columns(register.source, register.width(), (from, span.to), PAGE)?;
        rows.iter().for_each(&mut *f);
        match rows.last() {
            Some(last) if rows.len() == PAGE => from = last.ts + Ms(1),
            _ => break,
        }
    }
    Ok(())
}

/// The last few rows before `from` of which an account takes on the register, oldest first.
pub(super) fn rows_before(reader: &Reader, register: &Register, from: Ts, since: Ts) -> Result<Vec<Row>, ReadError> {
    for near in NEAR {
        let rows = reader.readings_columns(register.source, register.width(), (from - near, from), PAGE)?;
        let whole = rows.len() < PAGE;
        let mut good: Vec<Row> = rows.into_iter().filter(|row| matches!(register.reading(row, since), Some(Ok(_)))).collect();
        if !whole {
            break;
        }
        if good.len() >= WARM_UP {
            return Ok(good.split_off(good.len() - WARM_UP));
        }
    }
    let mut rows = vec![];
    let mut at = from;
    for _ in 0..LOOKS {
        let Some(row) = reader.row_before(register.source, at)?.row().filter(|r| r.ts >= since) else { break };
        at = row.ts;
        if let Some(Ok(_)) = register.reading(&row, since) {
            rows.push(row);
        }
        if rows.len() == WARM_UP {
            break;
        }
    }
    rows.reverse();
    Ok(rows)
}

/// What the register showed in them.
pub(super) fn before(reader: &Reader, register: &Register, from: Ts, since: Ts) -> Result<Vec<(Ts, i64)>, ReadError> {
    let rows = rows_before(reader, register, from, since)?;
    Ok(rows.iter().filter_map(|r| Some((r.ts, register.value(r)?))).collect())
}
