//! Tonnes per calendar month, and where the month will end if it goes on like the last day.

use super::{News, Passage, Said, grown_by_half};
use crate::domain::finding::{FindingKind, Mark, StartRange};
use crate::domain::time::{Month, Ms, Ts};
use crate::domain::units::Amount;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

const HOUR_MS: i64 = 3_600_000;
const DAY: Ms = Ms::hours(24);
/// One day of work, a pool that is filled, is no month: it must go on like that for so long, unless it is this part of the limit, per cent.
const LASTS: Ms = Ms::hours(36);
const MUCH: i64 = 150;
/// In the beginning no other rule knows what is usual, and one day is enough.
const BEGINNING: Ms = Ms::days(10);
/// The running hour and the 24 whole ones before it.
const SLOTS: usize = 25;
const HOURS: i64 = SLOTS as i64;

/// The month of one point, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monthly {
    current: Option<Current>,
    last_day: LastDay,
    /// Where unbroken counting began; a projection needs a whole day behind it.
    since: Option<Ts>,
    /// The newest reading at which the projection was within the limit: the excess began after it.
    within: Option<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Current {
    month: Month,
    start: Ts,
    end: Ts,
    used: Amount,
    /// The reading from which this month is counted.
    first: Mark,
    reported_limit: Option<Amount>,
    reported_projection: Option<Amount>,
}

impl Current {
    fn beginning(from: Mark, tz: &TimeZone) -> Current {
        let month = Month::of(from.ts, tz);
        Current {
            month,
            start: month.start(tz),
            end: month.end(tz),
            used: Amount::ZERO,
            first: from,
            reported_limit: None,
            reported_projection: None,
        }
    }
}

impl Monthly {
    /// The month of the newest reading and what passed in it so far.
    pub fn used(&self) -> Option<(Month, Amount)> {
        self.current.map(|c| (c.month, c.used))
    }

    /// Takes the next passage. One that crosses the month's edge is split evenly over its time; each month that it touches may speak.
    pub fn passed(&mut self, p: Passage, limit: Option<Amount>, tz: &TimeZone) -> Vec<Said> {
        self.since.get_or_insert(p.from.ts);
        let mut said = vec![];
        let (mut from, mut left) = (p.from, p.volume);
        loop {
            let mut c = match self.current {
                Some(c) if from.ts < c.end => c,
                _ => Current::beginning(from, tz),
            };
            let crosses = p.to.ts > c.end && c.end > from.ts;
            let part = if crosses { left.scaled((c.end - from.ts).0, (p.to.ts - from.ts).0) } else { left };
            c.used += part;
            let at = if crosses { Mark { ts: c.end, register: from.register + part } } else { p.to };
            if let Some(limit) = limit {
                said.extend(over_limit(&mut c, at, limit));
            }
            self.current = Some(c);
            if !crosses {
                break;
            }
            left = left - part;
            from = at;
        }
        let turned = self.last_day.add(p);
        if let (true, true, Some(limit)) = (said.is_empty(), turned, limit) {
            said.extend(self.projection(p.to, limit));
        }
        said
    }

    /// used + last 24 whole hours × days that are left. Says nothing before a whole day was counted.
    fn projection(&mut self, at: Mark, limit: Amount) -> Option<Said> {
        let since = self.since?;
        let c = self.current.as_mut()?;
        if at.ts - since < DAY {
            return None;
        }
        let last_day = self.last_day.volume();
        let projected = c.used + last_day.scaled((c.end - at.ts).0, DAY.0);
        if projected <= limit {
            self.within = Some(at);
            return None;
        }
        let lasts = at.ts - since < BEGINNING || self.within.is_none_or(|within| at.ts - within.ts >= LASTS);
        if !lasts && projected.0 < limit.0 / 100 * MUCH {
            return None;
        }
        // The limit itself has spoken, or this was said before and has not grown.
        if c.reported_limit.is_some() || c.reported_projection.is_some_and(|before| !grown_by_half(before, projected)) {
            return None;
        }
        let news = news(c.reported_projection.replace(projected));
        let kind = FindingKind::LeakMonthlyProjection { month: c.month, limit, used: c.used, last_day, projected };
        // The day's mean passed the limit after `within`; the water itself may have begun up to a day before that.
        let within = self.within.map_or(since, |m| m.ts);
        let start = StartRange { earliest: (within - DAY).max(since), latest: at.ts };
        let mut evidence: Vec<Mark> = self.within.into_iter().chain([c.first, at]).collect();
        evidence.sort_by_key(|m| m.ts);
        evidence.dedup();
        Some(Said { kind, start, news, evidence })
    }
}

fn over_limit(c: &mut Current, at: Mark, limit: Amount) -> Option<Said> {
    if c.used <= limit || c.reported_limit.is_some_and(|before| !grown_by_half(before, c.used)) {
        return None;
    }
    let news = news(c.reported_limit.replace(c.used));
    let kind = FindingKind::LeakMonthlyLimit { month: c.month, limit, used: c.used };
    Some(Said { kind, start: StartRange { earliest: c.start, latest: at.ts }, news, evidence: vec![c.first, at] })
}

fn news(reported_before: Option<Amount>) -> News {
    if reported_before.is_some() { News::Grown } else { News::First }
}

/// Volume by hour of the epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LastDay {
    /// At `hour % HOURS`.
    hours: [Amount; SLOTS],
    /// The running hour.
    running: i64,
}

impl LastDay {
    /// The 24 whole hours before the running one.
    fn volume(&self) -> Amount {
        (self.running - 24..self.running).map(|h| self.hours[slot(h)]).sum()
    }

    /// Spreads a passage evenly over its hours; true if an hour was completed by it.
    fn add(&mut self, p: Passage) -> bool {
        let (from, to) = (p.from.ts.0, p.to.ts.0);
        // A passage that ends on the hour completes it.
        let running = to.div_euclid(HOUR_MS);
        let turned = running > self.running;
        if turned {
            for h in (self.running + 1).max(running - HOURS + 1)..=running {
                self.hours[slot(h)] = Amount::ZERO;
            }
            self.running = running;
        }
        for h in from.div_euclid(HOUR_MS).max(running - HOURS + 1)..=running {
            let (a, b) = (h.saturating_mul(HOUR_MS).max(from), (h + 1).saturating_mul(HOUR_MS).min(to));
            if b > a {
                self.hours[slot(h)] += p.volume.scaled(b.saturating_sub(a), to.saturating_sub(from));
            }
        }
        turned
    }
}

fn slot(hour: i64) -> usize {
    // The remainder lies in 0..SLOTS.
    usize::try_from(hour.rem_euclid(HOURS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn ts(s: &str) -> Ts {
        Ts(s.parse::<Timestamp>().unwrap().as_millisecond())
    }

    /// Feeds a constant flow in quarter hours from `from` to `to`; what the rule said, with its time.
    fn feed(
        m: &mut Monthly,
        register: &mut i64,
        from: &str,
        to: &str,
        litres_per_hour: i64,
        limit_t: i64,
    ) -> Vec<(String, &'static str, bool)> {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        let (mut t, end) = (ts(from), ts(to));
        let mut said = vec![];
        while t < end {
            let next = t + Ms::minutes(15);
            let (a, b) = (*register, *register + litres_per_hour * 250);
            *register = b;
            let p =
                Passage { from: Mark { ts: t, register: Amount(a) }, to: Mark { ts: next, register: Amount(b) }, volume: Amount(b - a) };
            for s in m.passed(p, Some(Amount::tonnes(limit_t)), &tz) {
                said.push((next.to_string(), s.kind.code(), s.news == News::Grown));
            }
            t = next;
        }
        said
    }

    #[test]
    fn the_month_begins_where_the_compound_lives() {
        let (mut m, mut r) = (Monthly::default(), 0);
        feed(&mut m, &mut r, "2026-10-31T12:00:00Z", "2026-10-31T16:00:00Z", 100, 1000);
        assert_eq!(m.used(), Some((Month { year: 2026, month: 10 }, Amount::litres(400))));
        feed(&mut m, &mut r, "2026-10-31T16:00:00Z", "2026-10-31T18:00:00Z", 100, 1000);
        assert_eq!(m.used(), Some((Month { year: 2026, month: 11 }, Amount::litres(200))));
    }

    #[test]
    fn a_passage_over_the_edge_is_split_by_time() {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        let mut m = Monthly::default();
        let mark = |s: &str, l: i64| Mark { ts: ts(s), register: Amount::litres(l) };
        let p = Passage { from: mark("2026-10-31T10:00:00Z", 0), to: mark("2026-10-31T18:00:00Z", 800), volume: Amount::litres(800) };
        m.passed(p, None, &tz);
        assert_eq!(m.used(), Some((Month { year: 2026, month: 11 }, Amount::litres(200))));
    }

    #[test]
    fn the_ends_of_time_are_no_reason_to_stop() {
        let mut day = LastDay::default();
        for (from, to) in [(i64::MIN, -1), (-1, 1), (1, i64::MAX), (i64::MAX - 1, i64::MAX)] {
            let mark = |ts| Mark { ts: Ts(ts), register: Amount::ZERO };
            day.add(Passage { from: mark(from), to: mark(to), volume: Amount::litres(1) });
        }
        assert!(day.volume() >= Amount::ZERO);
    }

    #[test]
    fn a_building_that_loses_1390_litres_an_hour_is_seen_within_a_day_and_again_when_the_limit_is_passed() {
        let (mut m, mut r) = (Monthly::default(), 0);
        assert_eq!(feed(&mut m, &mut r, "2026-10-31T16:00:00Z", "2026-11-09T16:00:00Z", 489, 1000), []);
        let said = feed(&mut m, &mut r, "2026-11-09T16:00:00Z", "2026-11-30T16:00:00Z", 489 + 1390, 1000);
        assert_eq!(said[0], ("2026-11-10T15:00:00Z".to_owned(), "leak_monthly_projection", false));
        assert_eq!(said[1].1, "leak_monthly_limit");
        assert_eq!(said.len(), 2, "{said:?}");
    }

    #[test]
    fn ordinary_use_says_nothing_over_a_whole_year() {
        let (mut m, mut r) = (Monthly::default(), 0);
        assert_eq!(feed(&mut m, &mut r, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z", 1300, 1000), []);
    }
}
