//! Months and days of many metering points at once, as far as they are told.

use super::Span;
use super::register::Register;
use crate::domain::time::{Day, Month, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::domain::units::Amount;
use crate::store::{ReadError, Reader, Series};
use std::collections::HashMap;

/// What is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    Day,
    Month,
}

/// How much passed in a period, on those of its days that are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// None where nothing is known.
    pub volume: Option<Amount>,
    /// How many days are told.
    pub days: u32,
    /// All its days are told, and each of them is complete.
    pub complete: bool,
}

/// Of each point that was asked for, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The periods that hold the span, widened to whole ones. Days are called `2026-11-24`, months `2026-11`.
    pub periods: Vec<(String, Span)>,
    pub points: Vec<PointTotals>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointTotals {
    /// Where the first day begins that is not told; None where none is.
    pub until: Option<Ts>,
    /// One for each period; None where no day of it is told.
    pub totals: Vec<Option<Total>>,
}

/// Whole periods that hold the span, by the number of the day or the month.
fn periods(topology: &Topology, span: Span, by: Period) -> Vec<(i32, String, Span)> {
    let tz = &topology.tz;
    let mut out = vec![];
    match by {
        Period::Day => {
            let mut day = Day::of(span.from, tz);
            while day.from < span.to {
                out.push((day.number, day.date(), Span { from: day.from, to: day.to }));
                let next = day.next(tz);
                if next == day {
                    break;
                }
                day = next;
            }
        }
        Period::Month => {
            let mut month = Month::of(span.from, tz);
            while month.start(tz) < span.to {
                out.push((month.number(), month.to_string(), Span { from: month.start(tz), to: month.end(tz) }));
                month = month.next();
            }
        }
    }
    out
}

/// What is told of these points, read in one go: a few microseconds for each month of one. `points`: None where nothing of it is stored.
pub fn totals(
    reader: &Reader,
    topology: &Topology,
    points: &[(PointIx, Option<Register>)],
    span: Span,
    by: Period,
) -> Result<Totals, ReadError> {
    let periods = periods(topology, span, by);
    let mut out = Totals {
        periods: periods.iter().map(|(_, name, span)| (name.clone(), *span)).collect(),
        points: points.iter().map(|_| PointTotals { until: None, totals: vec![None; periods.len()] }).collect(),
    };
    let (Some(first), Some(last)) = (periods.first().map(|p| p.0), periods.last().map(|p| p.0)) else { return Ok(out) };
    let told: HashMap<Series, _> = reader.told()?.into_iter().map(|t| (t.series, t)).collect();
    let mut of: HashMap<Series, Vec<usize>> = HashMap::new();
    for (i, (point, register)) in points.iter().enumerate() {
        let Some(register) = register else { continue };
        let Some(t) = register.series().and_then(|s| told.get(&s)) else { continue };
        // What was told of another meter is not this one's.
        if t.made_with == register.made_with(topology.point(*point), topology.since) {
            out.points[i].until = Day::numbered(t.next, &topology.tz).filter(|_| t.begins < t.next).map(|d| d.from);
            of.entry(t.series).or_default().push(i);
        }
    }
    let one = if let [_] = points { of.keys().next().copied() } else { None };
    let mut put = |series: Series, number: i32, total: Total| {
        if let Some(at) = number.checked_sub(first).and_then(|n| usize::try_from(n).ok()) {
            for i in of.get(&series).into_iter().flatten() {
                if let Some(slot) = out.points[*i].totals.get_mut(at) {
                    *slot = Some(total);
                }
            }
        }
    };
    match by {
        Period::Day => {
            for (series, day, v) in reader.daily(one, first..last + 1)? {
                put(series, day.number, Total { volume: v.volume, days: 1, complete: v.complete });
            }
        }
        Period::Month => {
            for (series, month, v) in reader.monthly(one, first..last + 1)? {
                let complete = u32::try_from(month.days().len()) == Ok(v.complete);
                put(series, month.number(), Total { volume: v.volume, days: v.days, complete });
            }
        }
    }
    Ok(out)
}
