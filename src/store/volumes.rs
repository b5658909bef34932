//! How much passed on each day that is over, and in each month: plain rows that any tool can read and add up.
//!
//! What a volume is the store does not know: it is told by whoever folds the rows, one series (a column of a source) at a time, and keeps it
//! as long as it is true. A row that comes late makes the days around it untrue; they are taken back in that row's own transaction.

use super::error::ReadError;
use super::retention;
use crate::domain::reading::SourceId;
use crate::domain::time::{Day, Month, Ms, Ts};
use crate::domain::units::Amount;
use rusqlite::{Connection, OptionalExtension};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

const COLUMN_BITS: u32 = 3;
/// Room for source and column.
const SERIES_BITS: u32 = 20 + COLUMN_BITS;
/// Days that stand together in a series' part of a block.
const BLOCK_BITS: u32 = 5;
const BLOCK: i32 = 1 << BLOCK_BITS;

const DAY_MS: i64 = Ms::days(1).0;

/// One column of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    pub source: SourceId,
    /// Position in the source's stored columns, below 8.
    pub column: u8,
}

impl Series {
    pub(super) fn number(self) -> i64 {
        i64::from(self.source.0) << COLUMN_BITS | i64::from(self.column)
    }

    pub(super) fn numbered(n: i64) -> Series {
        let n = n & ((1 << SERIES_BITS) - 1);
        // The masks leave 20 bits and 3.
        let source = SourceId(u32::try_from(n >> COLUMN_BITS).unwrap_or(u32::MAX));
        Series { source, column: u8::try_from(n & ((1 << COLUMN_BITS) - 1)).unwrap_or(u8::MAX) }
    }
}

/// How much passed on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayVolume {
    /// None where nothing is known.
    pub volume: Option<Amount>,
    /// For how much of the day that is known.
    pub known: Ms,
    /// All of it is known, and no more than three hours lie between the readings around the day's end.
    pub complete: bool,
}

/// How much passed on the days of a month that are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthVolume {
    /// None where nothing is known.
    pub volume: Option<Amount>,
    pub known: Ms,
    /// How many of its days are told.
    pub days: u32,
    /// How many of these are complete.
    pub complete: u32,
}

/// Which days of a series are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldSeries {
    pub series: Series,
    /// Key of the metering point that the volumes are of.
    pub point: String,
    /// What they depend on besides the rows: where this is another one, they are another meter's.
    pub made_with: String,
    /// No reading of the series is older than this day.
    pub begins: i32,
    /// The days from `begins` up to here, not with it, are told.
    pub next: i32,
    /// The newest row that they depend on; the beginning of `begins` less a millisecond where none is told.
    pub reach: Ts,
}

/// Days of a series, from where it was told up to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// As it is with them.
    pub series: ToldSeries,
    /// Without a hole, ending before `series.next`.
    pub days: Vec<(Day, DayVolume)>,
}

fn day_key(day: i32, series: i64) -> i64 {
    i64::from(day >> BLOCK_BITS) << (SERIES_BITS + BLOCK_BITS) | series << BLOCK_BITS | i64::from(day & (BLOCK - 1))
}

pub(super) fn split_day(key: i64) -> (i32, Series) {
    let block = i32::try_from(key >> (SERIES_BITS + BLOCK_BITS)).unwrap_or(i32::MAX >> BLOCK_BITS);
    // Five bits.
    let within = i32::try_from(key & i64::from(BLOCK - 1)).unwrap_or(0);
    (block << BLOCK_BITS | within, Series::numbered(key >> BLOCK_BITS))
}

pub(super) fn month_key(month: Month, series: i64) -> i64 {
    i64::from(month.number()) << SERIES_BITS | series
}

/// The blocks that hold days of the span, each cut to it.
fn blocks(days: Range<i32>) -> impl Iterator<Item = Range<i32>> {
    let mut at = days.start;
    std::iter::from_fn(move || {
        let from = at;
        let to = ((from >> BLOCK_BITS) + 1).saturating_mul(BLOCK).min(days.end);
        at = to;
        (from < days.end).then_some(from..to)
    })
}

// ---- writing, within a transaction ----

/// Writes days, and what they make of their months.
pub(super) fn tell(tx: &Connection, told: &Told) -> rusqlite::Result<()> {
    let number = told.series.series.number();
    for (day, v) in &told.days {
        tx.prepare_cached("INSERT OR REPLACE INTO daily (key, volume, known_ms) VALUES (?1, ?2, ?3)")?.execute((
            day_key(day.number, number),
            v.volume.map(|v| v.0),
            (!v.complete).then_some(v.known.0),
        ))?;
        tx.prepare_cached("INSERT INTO calendar (day, starts, ends) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute((day.number, day.from.0, day.to.0))?;
    }
    let months: BTreeSet<Month> = told.days.iter().map(|(day, _)| Month::of_day(day.number)).collect();
    for month in months {
        add_up(tx, number, month)?;
    }
    write_series(tx, &told.series)
}

fn write_series(tx: &Connection, t: &ToldSeries) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO told (series, point, made_with, begins, next, reach) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute((t.series.number(), &t.point, &t.made_with, t.begins, t.next, t.reach.0))
        .map(|_| ())
}

/// Makes a month what its days are now.
fn add_up(tx: &Connection, series: i64, month: Month) -> rusqlite::Result<()> {
    let (mut volume, mut known, mut days, mut complete) = (None, 0i64, 0i64, 0i64);
    for block in blocks(month.days()) {
        let mut s = tx.prepare_cached(
            "SELECT d.volume, d.known_ms, c.ends - c.starts FROM daily d JOIN calendar c ON c.day = (d.key >> 28 << 5) | (d.key & 31)
             WHERE d.key >= ?1 AND d.key <= ?2",
        )?;
        let mut rows = s.query((day_key(block.start, series), day_key(block.end - 1, series)))?;
        while let Some(r) = rows.next()? {
            if let Some(v) = r.get::<_, Option<i64>>(0)? {
                volume = Some(volume.unwrap_or(0i64).saturating_add(v));
            }
            let part: Option<i64> = r.get(1)?;
            known += part.map_or_else(|| r.get(2), Ok)?;
            complete += i64::from(part.is_none());
            days += 1;
        }
    }
    let key = month_key(month, series);
    if days == 0 {
        return tx.prepare_cached("DELETE FROM monthly WHERE key = ?1")?.execute([key]).map(|_| ());
    }
    tx.prepare_cached("INSERT OR REPLACE INTO monthly (key, volume, known_ms, days, complete) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((key, volume, known, days, complete))
        .map(|_| ())
}

/// A row of this source comes late, at `ts`: takes back all days that it may change. Returns how far the source's told days reach then.
///
/// A day follows from a few readings before it, its own, and those after it until one shows what passed over its end. Of a complete day that
/// one came within three hours; so behind a complete day the row changes nothing if it is a day later. Before an incomplete day one must
/// look further back. The row's day is counted by UTC here, which may be one off. Days that rows are gone of stay as they are: see [`free`].
pub(super) fn take_back(tx: &Connection, source: SourceId, ts: Ts) -> rusqlite::Result<Option<Ts>> {
    let day = i32::try_from(ts.0.div_euclid(DAY_MS)).unwrap_or(if ts.0 < 0 { i32::MIN / 2 } else { i32::MAX / 2 });
    let (mut left, free) = (None, free(tx, source)?.unwrap_or(i32::MIN));
    for mut t in of_source(tx, source)? {
        if ts <= t.reach {
            let number = t.series.number();
            let mut from = (day - 2).min(t.next);
            while from > free && incomplete(tx, number, from - 1)? == Some(true) {
                from -= 1;
            }
            from = from.max(free).min(t.next);
            for block in blocks(from.max(t.begins)..t.next) {
                tx.prepare_cached("DELETE FROM daily WHERE key >= ?1 AND key <= ?2")?
                    .execute((day_key(block.start, number), day_key(block.end - 1, number)))?;
            }
            let mut month = Month::of_day(from.max(t.begins));
            while month.days().start < t.next {
                add_up(tx, number, month)?;
                month = month.next();
            }
            t.begins = t.begins.min(from);
            t.next = from;
            t.reach = ts - Ms(1);
            write_series(tx, &t)?;
        }
        left = left.max(Some(t.reach));
    }
    Ok(left)
}

/// Whether a day is told and not complete; None where it is not told.
fn incomplete(tx: &Connection, series: i64, day: i32) -> rusqlite::Result<Option<bool>> {
    tx.prepare_cached("SELECT known_ms IS NOT NULL FROM daily WHERE key = ?1")?.query_row([day_key(day, series)], |r| r.get(0)).optional()
}

/// The first day of a source that can still be told by its rows; None where all of them are there. Days before it stay as they are.
fn free(conn: &Connection, source: SourceId) -> rusqlite::Result<Option<i32>> {
    let Some(gone) = retention::one(conn, source)? else { return Ok(None) };
    let day: Option<i32> =
        conn.prepare_cached("SELECT max(day) + 1 FROM calendar WHERE starts <= ?1")?.query_row([gone.until.0], |r| r.get(0))?;
    // By UTC, where nothing tells: no day of any clock that holds the instant is later.
    Ok(Some(day.unwrap_or_else(|| i32::try_from(gone.until.0.div_euclid(DAY_MS) + 2).unwrap_or(i32::MAX / 2))))
}

/// Removes what was told of some series, or of all (then by another calendar): it is true no more. But days that rows are gone of stay,
/// before `begins`; the series is told anew behind them.
pub(super) fn forget(tx: &Connection, which: Option<&[Series]>) -> rusqlite::Result<()> {
    let Some(which) = which else { return forget_all(tx) };
    for series in which {
        let number = series.number();
        let known: Option<(i32, i32)> = tx
            .prepare_cached("SELECT begins, next FROM told WHERE series = ?1")?
            .query_row([number], |r| Ok((r.get(0)?, r.get(1)?)))
            .optional()?;
        let Some((begins, next)) = known else { continue };
        let gone = retention::one(tx, series.source)?;
        let free = free(tx, series.source)?;
        let begins = begins.max(free.unwrap_or(i32::MIN));
        for block in blocks(begins..next) {
            tx.prepare_cached("DELETE FROM daily WHERE key >= ?1 AND key <= ?2")?
                .execute((day_key(block.start, number), day_key(block.end - 1, number)))?;
        }
        let mut month = Month::of_day(begins);
        while month.days().start < next {
            add_up(tx, number, month)?;
            month = month.next();
        }
        match (free, gone) {
            (Some(free), Some(gone)) => tx
                .prepare_cached("UPDATE told SET begins = ?2, next = ?2, reach = ?3 WHERE series = ?1")?
                .execute((number, free, gone.until.0))?,
            _ => tx.prepare_cached("DELETE FROM told WHERE series = ?1")?.execute([number])?,
        };
    }
    Ok(())
}

/// A day has the same bounds for all series: where some must stay as they are, they all do.
fn forget_all(tx: &Connection) -> rusqlite::Result<()> {
    let series: Vec<Series> = all(tx)?.into_iter().map(|t| t.series).collect();
    let until: Option<i64> =
        tx.query_row("SELECT max(until) FROM expired WHERE source IN (SELECT series >> 3 FROM told)", [], |r| r.get(0))?;
    let Some(until) = until else {
        return tx.execute_batch("DELETE FROM daily; DELETE FROM monthly; DELETE FROM told; DELETE FROM calendar;");
    };
    for source in series.iter().map(|s| s.source).collect::<BTreeSet<_>>() {
        retention::raise(tx, source, Ts(until), 0)?;
    }
    forget(tx, Some(&series))?;
    tx.execute("DELETE FROM calendar WHERE starts > ?1", [until]).map(|_| ())
}

/// After damage: no day is told behind the first that is gone, so that those are told anew, and every month is the sum of its days.
pub(super) fn made_whole(tx: &Connection) -> rusqlite::Result<()> {
    let mut kept: BTreeMap<i64, Range<i32>> = BTreeMap::new();
    for t in all(tx)? {
        let number = t.series.number();
        let mut there = tx.prepare_cached("SELECT 1 FROM daily WHERE key = ?1 AND EXISTS (SELECT 1 FROM calendar WHERE day = ?2)")?;
        // Days that rows are gone of cannot be told anew: those that are there stay.
        let free = free(tx, t.series.source)?;
        let begins = free.map_or(t.begins, |free| t.begins.max(free.min(t.next)));
        let mut next = begins;
        while next < t.next && there.exists((day_key(next, number), next))? {
            next += 1;
        }
        // How far they depended on rows stays: a late one may take back more than it must, never less.
        write_series(tx, &ToldSeries { begins, next, ..t.clone() })?;
        kept.insert(number, free.map_or(begins, |_| i32::MIN)..next);
    }
    let keys: Vec<i64> = tx.prepare("SELECT key FROM daily")?.query_map([], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    tx.execute("DELETE FROM monthly", [])?;
    let mut months = BTreeSet::new();
    for key in keys {
        let (day, series) = split_day(key);
        let keep = match kept.get(&series.number()) {
            Some(days) => days.contains(&day),
            // Who tells the series anew finds them.
            None => free(tx, series.source)?.is_some_and(|free| day < free),
        };
        if keep {
            months.insert((series, Month::of_day(day)));
        } else {
            tx.prepare_cached("DELETE FROM daily WHERE key = ?1")?.execute([key])?;
        }
    }
    months.into_iter().try_for_each(|(series, month)| add_up(tx, series.number(), month))
}

// ---- reading ----

const TOLD: &str = "SELECT series, point, made_with, begins, next, reach FROM told";

fn told_of(r: &rusqlite::Row<'_>) -> rusqlite::Result<ToldSeries> {
    Ok(ToldSeries {
        series: Series::numbered(r.get(0)?),
        point: r.get(1)?,
        made_with: r.get(2)?,
        begins: r.get(3)?,
        next: r.get(4)?,
        reach: Ts(r.get(5)?),
    })
}

/// All series of which anything is told.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<ToldSeries>> {
    conn.prepare_cached(TOLD)?.query_map([], told_of)?.collect()
}

pub(super) fn one(conn: &Connection, series: Series) -> rusqlite::Result<Option<ToldSeries>> {
    conn.prepare_cached(&format!("{TOLD} WHERE series = ?1"))?.query_row([series.number()], told_of).optional()
}

pub(super) fn of_source(conn: &Connection, source: SourceId) -> rusqlite::Result<Vec<ToldSeries>> {
    let first = Series { source, column: 0 }.number();
    conn.prepare_cached(&format!("{TOLD} WHERE series BETWEEN ?1 AND ?2"))?
        .query_map((first, first | ((1 << COLUMN_BITS) - 1)), told_of)?
        .collect()
}

/// The days of the span whose bounds are known.
pub(super) fn calendar(conn: &Connection, days: Range<i32>) -> rusqlite::Result<Vec<Day>> {
    conn.prepare_cached("SELECT day, starts, ends FROM calendar WHERE day >= ?1 AND day < ?2")?
        .query_map((days.start, days.end), |r| Ok(Day { number: r.get(0)?, from: Ts(r.get(1)?), to: Ts(r.get(2)?) }))?
        .collect()
}

/// Days of one series, or of all, by block, series and day.
pub(super) fn daily(conn: &Connection, series: Option<Series>, days: Range<i32>) -> Result<Vec<(Series, Day, DayVolume)>, ReadError> {
    let (low, high) = series.map_or((0, (1 << SERIES_BITS) - 1), |s| (s.number(), s.number()));
    let mut out = vec![];
    for block in blocks(days) {
        let bounds = calendar(conn, block.clone())?;
        let mut s = conn.prepare_cached("SELECT key, volume, known_ms FROM daily WHERE key >= ?1 AND key <= ?2")?;
        let mut rows = s.query((day_key(block.start, low), day_key(block.end - 1, high)))?;
        while let Some(r) = rows.next()? {
            let (number, series) = split_day(r.get(0)?);
            // Of all series the keys of a block hold other days, too.
            let Some(day) = bounds.iter().find(|d| d.number == number) else { continue };
            let part: Option<i64> = r.get(2)?;
            let known = part.map_or(day.to - day.from, Ms);
            out.push((series, *day, DayVolume { volume: r.get::<_, Option<i64>>(1)?.map(Amount), known, complete: part.is_none() }));
        }
    }
    Ok(out)
}

/// Months of one series, or of all, by month and series. `months`: their numbers.
pub(super) fn monthly(
    conn: &Connection,
    series: Option<Series>,
    months: Range<i32>,
) -> Result<Vec<(Series, Month, MonthVolume)>, ReadError> {
    let mut out = vec![];
    let mut ask = |from: i64, to: i64| -> Result<(), ReadError> {
        let mut s = conn.prepare_cached("SELECT key, volume, known_ms, days, complete FROM monthly WHERE key >= ?1 AND key <= ?2")?;
        let mut rows = s.query((from, to))?;
        while let Some(r) = rows.next()? {
            let key: i64 = r.get(0)?;
            let month = i32::try_from(key >> SERIES_BITS).ok().and_then(Month::numbered);
            let month = month.ok_or_else(|| ReadError::Unknown { what: "month", found: key.to_string() })?;
            let small = |n: i64| u32::try_from(n).unwrap_or(0);
            let volume = MonthVolume {
                volume: r.get::<_, Option<i64>>(1)?.map(Amount),
                known: Ms(r.get(2)?),
                days: small(r.get(3)?),
                complete: small(r.get(4)?),
            };
            out.push((Series::numbered(key), month, volume));
        }
        Ok(())
    };
    let first = |n: i32| i64::from(n) << SERIES_BITS;
    match series {
        None => ask(first(months.start), first(months.end) - 1)?,
        Some(series) => {
            for n in months {
                let key = first(n) | series.number();
                ask(key, key)?;
            }
        }
    }
    Ok(out)
}
