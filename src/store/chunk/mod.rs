//! A few weeks of one source as one body of bytes: the times together, the flags together, and each column together, because neighbours of
//! a column resemble each other and neighbours of a row do not.
//!
//! A column may be told by another one where that is shorter: as its difference (return by supply temperature), or, for a register, as
//! what a flow column leaves open (litres by litres per hour and the time between). What is shorter is tried for each body.
//!
//! ```text
//! body   times │ flags │ columns there (u8) │ for each: how it is told, who is there, values │ CRC-32 of all before (4 bytes)
//! ```
//!
//! A body of `n` rows is of format [`FORMAT`]; another layout is another number. Bytes in, rows out; nothing here knows of SQLite.

mod bytes;
mod series;

pub(super) use bytes::Damaged;

use crate::domain::reading::{Flags, Row, SourceId, Values};
use crate::domain::time::Ts;
use crate::domain::topology::MAX_COLUMNS;
use bytes::{Bytes, put_signed};
use series::{Reduced, Series};

/// The layout of a body.
pub(super) const FORMAT: u32 = 1;

const PLAIN: u8 = 0;
const LESS: u8 = 1;
const BY_FLOW: u8 = 2;

/// Flow is told per hour.
const HOUR_MS: i64 = 3_600_000;

/// Rows of one source on their way into a body, column by column.
#[derive(Debug, Default)]
pub(super) struct Columns {
    ts: Vec<i64>,
    flags: Vec<u8>,
    /// Which columns a row has, one bit each.
    there: Vec<u8>,
    /// A column that a row has not repeats its value of before; one that never was there is empty. It may end early.
    values: [Vec<i64>; MAX_COLUMNS],
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.ts.len()
    }

    /// The next row by time.
    pub(super) fn push(&mut self, row: &Row) {
        let n = self.ts.len();
        self.ts.push(row.ts.0);
        self.flags.push(row.flags.0);
        let mut there = 0;
        for (i, v) in row.values.iter() {
            there |= 1 << i;
            let column = &mut self.values[i];
            let filler = column.last().copied().unwrap_or(v);
            column.resize(n, filler);
            column.push(v);
        }
        self.there.push(there);
    }

    pub(super) fn ts(&self, i: usize) -> Option<Ts> {
        self.ts.get(i).map(|ts| Ts(*ts))
    }

    pub(super) fn row(&self, i: usize, source: SourceId) -> Row {
        let mut values = Values::NONE;
        for (c, column) in self.values.iter().enumerate() {
            if self.there[i] & 1 << c != 0 {
                values.set(c, column[i]);
            }
        }
        Row { ts: Ts(self.ts[i]), source, values, flags: Flags(self.flags[i]) }
    }

    /// The values of a column that are there, in order.
    pub(super) fn column(&self, c: usize) -> impl Iterator<Item = i64> + '_ {
        self.values[c].iter().zip(&self.there).filter(move |(_, there)| **there & 1 << c != 0).map(|(v, _)| *v)
    }

    /// The body of at least one row. `thorough`: it will stay as it is, so all that makes it smaller is tried.
    pub(super) fn body(&self, thorough: bool) -> Vec<u8> {
        let n = self.len();
        let mut out = Vec::with_capacity(n * 2 + 64);
        Reduced::of(&self.ts).write(thorough, &mut out);
        Reduced::of(&self.flags.iter().map(|f| i64::from(*f)).collect::<Vec<_>>()).write(thorough, &mut out);
        let used = self.there.iter().fold(0, |a, b| a | b);
        out.push(used);
        let columns: Vec<(usize, Vec<i64>)> = (0..MAX_COLUMNS)
            .filter(|c| used & 1 << c != 0)
            .map(|c| {
                let mut values = self.values[c].clone();
                let filler = values.last().copied().unwrap_or(0);
                values.resize(n, filler);
                (c, values)
            })
            .collect();
        for (c, told) in tell(&self.ts, &columns, thorough) {
            out.push(told.how);
            match told.how {
                LESS => out.push(told.by),
                BY_FLOW => {
                    out.push(told.by);
                    put_signed(told.unit, &mut out);
                    put_signed(told.start, &mut out);
                }
                _ => {}
            }
            if self.there.iter().all(|m| m >> c & 1 == 1) {
                Reduced::of(&[1]).write(thorough, &mut out);
            } else {
                Reduced::of(&self.there.iter().map(|m| i64::from(m >> c & 1)).collect::<Vec<_>>()).write(thorough, &mut out);
            }
            told.series.write(thorough, &mut out);
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }
}

/// How a column is told.
struct Told {
    how: u8,
    /// The column that it is told by.
    by: u8,
    /// Of a register that is told by a flow: its smallest step.
    unit: i64,
    /// … and its first value.
    start: i64,
    series: Reduced,
}

/// For each column the way that takes the fewest bits, or the plain one. A column that others are told by is told plainly itself.
fn tell(ts: &[i64], columns: &[(usize, Vec<i64>)], thorough: bool) -> Vec<(usize, Told)> {
    let plain: Vec<Reduced> = columns.iter().map(|(_, v)| Reduced::of(v)).collect();
    let costs: Vec<u64> = plain.iter().map(Reduced::bits).collect();
    let mut used_by_others = [false; MAX_COLUMNS];
    let mut out = vec![];
    for ((at, (c, values)), reduced) in columns.iter().enumerate().zip(plain) {
        let unit = reduced.unit;
        let mut best = (costs[at], Told { how: PLAIN, by: 0, unit, start: 0, series: reduced });
        // A column's own tables cost more than what little could be saved.
        if thorough && !used_by_others[at] && costs[at] > values.len() as u64 {
            for (other, (by, theirs)) in columns.iter().enumerate() {
                let plainly = other != at && !out.iter().any(|(o, t): &(usize, Told)| o == by && t.how != PLAIN);
                let (Ok(by), true) = (u8::try_from(*by), plainly) else { continue };
                let less = Reduced::of(&values.iter().zip(theirs).map(|(a, b)| a.wrapping_sub(*b)).collect::<Vec<_>>());
                let rest = Reduced::of(&left_open(ts, values, theirs, unit));
                for (how, series) in [(LESS, less), (BY_FLOW, rest)] {
                    let cost = series.bits();
                    if cost < best.0 {
                        best = (cost, Told { how, by, unit, start: values.first().copied().unwrap_or(0), series });
                    }
                }
            }
        }
        if best.1.how != PLAIN {
            columns.iter().enumerate().filter(|(_, (o, _))| *o == usize::from(best.1.by)).for_each(|(i, _)| used_by_others[i] = true);
        }
        out.push((*c, best.1));
    }
    out
}

/// How much a register rises by this flow in this time, in whole steps of it.
fn expected(flow: i64, pause: i64, unit: i64) -> i64 {
    let volume = flow.wrapping_mul(pause).div_euclid(HOUR_MS);
    volume.wrapping_add(unit / 2).div_euclid(unit).wrapping_mul(unit)
}

/// How much more than the flow says a register rises from each value to the next; of the first nothing is said.
fn left_open(ts: &[i64], register: &[i64], flow: &[i64], unit: i64) -> Vec<i64> {
    let mut out = Vec::with_capacity(register.len());
    out.push(0);
    for (i, (r, t)) in register.windows(2).zip(ts.windows(2)).enumerate() {
        out.push(r[1].wrapping_sub(r[0]).wrapping_sub(expected(flow[i + 1], t[1].wrapping_sub(t[0]), unit)));
    }
    out
}

/// A body that was read: rows of one source by time, with the columns that were asked for.
#[derive(Debug)]
pub(super) struct Chunk {
    n: usize,
    ts: Series,
    flags: Series,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    c: usize,
    there: Series,
    values: Series,
}

/// A column that is not read yet.
struct Written<'a> {
    c: usize,
    how: u8,
    by: usize,
    unit: i64,
    start: i64,
    rest: Bytes<'a>,
}

impl Chunk {
    /// Reads a body of `n` rows, of its columns those with a bit in `wanted`.
    pub(super) fn read(body: &[u8], n: usize, wanted: u8) -> Result<Chunk, Damaged> {
        let (told, crc) = body.split_last_chunk::<4>().ok_or(Damaged)?;
        if n == 0 || crc32fast::hash(told) != u32::from_le_bytes(*crc) {
            return Err(Damaged);
        }
        let mut bytes = Bytes(told);
        let ts = Series::read(&mut bytes, n)?;
        let flags = Series::read(&mut bytes, n)?;
        let used = bytes.byte()?;
        let mut written = vec![];
        for c in (0..MAX_COLUMNS).filter(|c| used & 1 << c != 0) {
            let how = bytes.byte()?;
            let by = if how == PLAIN { 0 } else { usize::from(bytes.byte()?) };
            let (unit, start) = if how == BY_FLOW { (bytes.signed()?, bytes.signed()?) } else { (1, 0) };
            written.push(Written { c, how, by, unit, start, rest: Bytes(bytes.0) });
            Series::skip(&mut bytes)?;
            Series::skip(&mut bytes)?;
        }
        let mut columns = vec![];
        for w in written.iter().filter(|w| wanted & 1 << w.c != 0) {
            let mut rest = Bytes(w.rest.0);
            let (there, mut values) = (Series::read(&mut rest, n)?, Series::read(&mut rest, n)?);
            if w.how != PLAIN {
                let by = written.iter().find(|o| o.c == w.by && o.how == PLAIN).ok_or(Damaged)?;
                let mut rest = Bytes(by.rest.0);
                Series::skip(&mut rest)?;
                let by = Series::read(&mut rest, n)?;
                values = match w.how {
                    LESS => Series::of(&(0..n).map(|i| values.get(i).wrapping_add(by.get(i))).collect::<Vec<_>>()),
                    BY_FLOW if w.unit > 0 => Series::of(&register(&ts, &values, &by, w, n)),
                    _ => return Err(Damaged),
                };
            }
            columns.push(Column { c: w.c, there, values });
        }
        Ok(Chunk { n, ts, flags, columns })
    }

    pub(super) fn len(&self) -> usize {
        self.n
    }

    pub(super) fn ts(&self, i: usize) -> Ts {
        Ts(self.ts.get(i))
    }

    pub(super) fn row(&self, i: usize, source: SourceId) -> Row {
        let mut values = Values::NONE;
        for column in &self.columns {
            if column.there.get(i) != 0 {
                values.set(column.c, column.values.get(i));
            }
        }
        Row { ts: self.ts(i), source, values, flags: Flags(u8::try_from(self.flags.get(i)).unwrap_or(0)) }
    }

    /// The first row at or after `ts`.
    pub(super) fn position(&self, ts: Ts) -> usize {
        let (mut low, mut high) = (0, self.n);
        while low < high {
            let middle = low.midpoint(high);
            if self.ts(middle) < ts { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// A register by its flow and what that left open.
fn register(ts: &Series, open: &Series, flow: &Series, w: &Written<'_>, n: usize) -> Vec<i64> {
    let mut at = w.start;
    let mut out = Vec::with_capacity(n);
    for i in 0..n {
        if i > 0 {
            let pause = ts.get(i).wrapping_sub(ts.get(i - 1));
            at = at.wrapping_add(expected(flow.get(i), pause, w.unit)).wrapping_add(open.get(i));
        }
        out.push(at);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body_of(rows: &[Row], thorough: bool) -> Vec<u8> {
        let mut columns = Columns::default();
        rows.iter().for_each(|r| columns.push(r));
        columns.body(thorough)
    }

    fn same(rows: &[Row]) {
        for thorough in [false, true] {
            let body = body_of(rows, thorough);
            let chunk = Chunk::read(&body, rows.len(), 0xff).unwrap();
            let back: Vec<Row> = (0..chunk.len()).map(|i| chunk.row(i, SourceId(7))).collect();
            assert_eq!(back, rows);
            // A column alone is what it is among the others.
            for c in 0..MAX_COLUMNS {
                let chunk = Chunk::read(&body, rows.len(), 1 << c).unwrap();
                assert!((0..chunk.len()).all(|i| chunk.row(i, SourceId(7)).values.get(c) == rows[i].values.get(c)));
            }
        }
    }

    fn row(ts: i64, values: &[Option<i64>], flags: u8) -> Row {
        let mut v = Values::NONE;
        values.iter().enumerate().for_each(|(i, x)| {
            if let Some(x) = x {
                v.set(i, *x);
            }
        });
        Row { ts: Ts(ts), source: SourceId(7), values: v, flags: Flags(flags) }
    }

    fn meter(n: i64) -> Vec<Row> {
        let mut exact = 0;
        let mut at = |i: i64| {
            let flow = if i % 5 == 0 { i * 7_919 % 300_000 } else { 0 };
            exact += flow / 4;
            row(1_790_000_000_000 + i * 900_000, &[Some(123_456_000 + exact / 1000 * 1000), Some(flow / 100 * 100), Some(980)], 0)
        };
        (0..n).map(&mut at).collect()
    }

    #[test]
    fn a_meter_that_tells_its_flow_takes_a_byte_a_reading() {
        let rows = meter(2016);
        same(&rows);
        let body = body_of(&rows, true);
        assert!(body.len() < 2016, "{} bytes", body.len());
        assert_eq!(body[body.len() - 4..], crc32fast::hash(&body[..body.len() - 4]).to_le_bytes());
    }

    #[test]
    fn the_ends_of_the_integers_come_back() {
        same(&[row(i64::MIN, &[Some(i64::MAX)], 0), row(-1, &[Some(i64::MIN)], 255), row(i64::MAX, &[Some(0)], 1)]);
        same(&[row(0, &[Some(i64::MIN), Some(i64::MAX)], 0), row(1, &[Some(i64::MAX), Some(i64::MIN)], 0), row(2, &[Some(0), Some(1)], 0)]);
        same(&[row(5, &[], 0)]);
        same(&[row(5, &[None, None, Some(3)], 4), row(6, &[], 0), row(9, &[Some(1)], 0)]);
    }

    #[test]
    fn any_byte_that_changed_is_noticed() {
        let rows = meter(300);
        let body = body_of(&rows, false);
        for i in 0..body.len() {
            let mut broken = body.clone();
            broken[i] ^= 0x10;
            assert_eq!(Chunk::read(&broken, rows.len(), 0xff).map(|c| c.len()), Err(Damaged), "byte {i}");
        }
        assert_eq!(Chunk::read(&body, rows.len() + 1, 0xff).map(|c| c.len()), Err(Damaged));
        assert_eq!(Chunk::read(&[], 1, 0xff).map(|c| c.len()), Err(Damaged));
    }

    #[test]
    fn a_row_is_found_by_its_time() {
        let rows = meter(100);
        let chunk = Chunk::read(&body_of(&rows, false), rows.len(), 1).unwrap();
        for (i, r) in rows.iter().enumerate() {
            assert_eq!((chunk.position(r.ts), chunk.position(Ts(r.ts.0 + 1))), (i, i + 1));
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            rows in prop::collection::vec((any::<i64>(), prop::array::uniform8(prop::option::of(-50_000i64..50_000)), 0u8..8), 1..200),
            scale in prop::sample::select(vec![1i64, 100, 1000, i64::MAX / 50_000]),
        ) {
            let mut rows: Vec<Row> = rows
                .into_iter()
                .map(|(ts, values, flags)| row(ts >> 20, &values.map(|v| v.map(|v| v.wrapping_mul(scale))), flags))
                .collect();
            rows.sort_by_key(|r| r.ts);
            same(&rows);
        }
    }
}
