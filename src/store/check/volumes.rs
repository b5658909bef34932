//! Days and months that are told: each month is the sum of its days, and no day is missing between the first and the last.
//!
//! Whether a day is what its rows say is not for the store to know.

use super::tables::Pass;
use super::{CheckError, Finding};
use crate::domain::time::Month;
use crate::store::query::count;
use crate::store::volumes::{Series, month_key, split_day};
use std::collections::BTreeMap;

/// What a month's days add up to: volume, known milliseconds, days, complete days.
type Sum = (Option<i64>, i64, u64, u64);

impl Pass<'_> {
    pub(super) fn volumes(&mut self) -> Result<(), CheckError> {
        let mut lengths: BTreeMap<i32, i64> = BTreeMap::new();
        self.rows("calendar", &mut |r| {
            lengths.insert(r.get(0)?, r.get::<_, i64>(2)? - r.get::<_, i64>(1)?);
            Ok(())
        })?;
        let mut sums: BTreeMap<i64, Sum> = BTreeMap::new();
        let mut days: BTreeMap<Series, Vec<i32>> = BTreeMap::new();
        self.rows("daily", &mut |r| {
            let (day, series) = split_day(r.get(0)?);
            let (volume, part): (Option<i64>, Option<i64>) = (r.get(1)?, r.get(2)?);
            // Without its bounds nobody sees the day.
            let Some(length) = lengths.get(&day) else { return Ok(()) };
            days.entry(series).or_default().push(day);
            let sum = sums.entry(month_key(Month::of_day(day), series.number())).or_default();
            if let Some(v) = volume {
                sum.0 = Some(sum.0.unwrap_or(0).saturating_add(v));
            }
            *sum = (sum.0, sum.1 + part.unwrap_or(*length), sum.2 + 1, sum.3 + u64::from(part.is_none()));
            Ok(())
        })?;
        let mut told: BTreeMap<i64, Sum> = BTreeMap::new();
        self.rows("monthly", &mut |r| {
            told.insert(r.get(0)?, (r.get(1)?, r.get(2)?, count(r.get(3)?), count(r.get(4)?)));
            Ok(())
        })?;
        let mut points: BTreeMap<Series, String> = BTreeMap::new();
        let mut findings = vec![];
        let shortened = self.shortened.clone();
        self.rows("told", &mut |r| {
            let series = Series::numbered(r.get(0)?);
            let point: String = r.get(1)?;
            let (begins, next): (i32, i32) = (r.get(3)?, r.get(4)?);
            let mut found = days.remove(&series).unwrap_or_default();
            if shortened.contains(&series.source) {
                // Older ones were told when their rows were there.
                found.retain(|day| *day >= begins);
            }
            let missing = (begins..next).filter(|day| found.binary_search(day).is_err()).count();
            if missing > 0 || found.len() != usize::try_from(next - begins).unwrap_or(0) {
                findings.push(Finding::DaysTold { point: point.clone(), missing: missing as u64 });
            }
            points.insert(series, point);
            Ok(())
        })?;
        // Days of series of which nothing is told.
        findings.extend(
            days.into_keys()
                .filter(|s| !shortened.contains(&s.source))
                .map(|s| Finding::DaysTold { point: format!("source {}", s.source.0), missing: 0 }),
        );
        let keys = sums.keys().chain(told.keys()).copied().collect::<std::collections::BTreeSet<i64>>();
        for key in keys.into_iter().filter(|key| sums.get(key) != told.get(key)) {
            let series = Series::numbered(key);
            let point = points.get(&series).cloned().unwrap_or_else(|| format!("source {}", series.source.0));
            let month = i32::try_from(key >> 23).ok().and_then(Month::numbered).map_or_else(String::new, |m| m.to_string());
            findings.push(Finding::MonthTold { point, month });
        }
        self.report.findings.extend(findings);
        Ok(())
    }
}
