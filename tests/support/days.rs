//! What closed days must tell: exactly what their rows tell.

use heyun::domain::reading::{Flags, SourceId};
use heyun::domain::time::Day;
use heyun::store::{DayColumn, Reader};

/// What a column of a source says in a day, from its rows.
pub fn from_rows(reader: &Reader, source: SourceId, column: usize, day: Day) -> Option<DayColumn> {
    let rows = reader.readings(source, day.from, day.to, usize::MAX).unwrap();
    let values: Vec<_> =
        rows.iter().filter(|r| !r.flags.contains(Flags::AHEAD)).filter_map(|r| Some((r.ts, r.values.get(column)?))).collect();
    let sum: i128 = values.iter().map(|(_, v)| i128::from(*v)).sum();
    let rises = || values.windows(2).map(|w| (i128::from(w[1].1) - i128::from(w[0].1), i128::from((w[1].0 - w[0].0).0.max(60_000))));
    let steepest = rises().map(|(rise, ms)| (rise * 3_600_000 + ms - 1).div_euclid(ms)).max().unwrap_or(0);
    Some(DayColumn {
        n: values.len() as u64,
        first: *values.first()?,
        last: *values.last()?,
        least: values.iter().map(|v| v.1).min()?,
        greatest: values.iter().map(|v| v.1).max()?,
        sum: i64::try_from(sum).ok(),
        steepest: rises().all(|(rise, _)| rise >= 0).then_some(i64::try_from(steepest).unwrap_or(i64::MAX)),
    })
}

/// All closed days, after comparing them with their rows, for the first columns of some sources.
#[track_caller]
pub fn checked(reader: &Reader, sources: std::ops::Range<u32>) -> Vec<Day> {
    let mut days: Vec<Day> = vec![];
    for source in sources.map(SourceId) {
        for column in 0..2 {
            let found = reader.days(source, column, i32::MIN, i32::MAX).unwrap();
            for (day, told) in &found {
                assert_eq!(*told, from_rows(reader, source, column, *day), "source {} column {column} day {day:?}", source.0);
            }
            days = found.into_iter().map(|(d, _)| d).collect();
        }
    }
    days
}
