//! More water within an hour than a point may take: works from the first hour, learns nothing.

use super::{News, Passage, Said, grown_by_half};
use crate::domain::finding::{FindingKind, Mark, StartRange};
use crate::domain::time::{Ms, Ts};
use crate::domain::units::Amount;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const HOUR: Ms = Ms::hours(1);
/// Passages shorter than this are joined, so that an hour is never more than about 120 of them, however chatty the meter.
const GRAIN: Ms = Ms(30_000);
/// Quiet for this long, the rule speaks again from the limit on; before, only when it has grown by half. While it goes on, it is said
/// to go on as often.
const REARM: Ms = Ms::hours(24);

/// Trailing hour of one point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hourly {
    /// Passages that end within the hour before the newest reading, oldest first; the first may begin earlier.
    window: VecDeque<Stretch>,
    over: Option<Over>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    from: Mark,
    to: Mark,
    volume: Amount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Over {
    /// The largest excess that was reported.
    reported: Amount,
    /// The newest reading at which the hour was over the limit.
    last: Ts,
    /// When it was last said.
    said: Ts,
    /// When this excess began to be seen.
    start: StartRange,
}

impl Hourly {
    /// Takes the next passage; speaks when the hour up to its end passed more than `limit`.
    pub fn passed(&mut self, p: Passage, limit: Option<Amount>) -> Option<Said> {
        match self.window.back_mut() {
            Some(s) if s.to.ts == p.from.ts && p.to.ts - s.from.ts <= GRAIN => {
                s.to = p.to;
                s.volume += p.volume;
            }
            _ => self.window.push_back(Stretch { from: p.from, to: p.to, volume: p.volume }),
        }
        let now = p.to.ts;
        let since = now - HOUR;
        while self.window.front().is_some_and(|s| s.to.ts <= since) {
            self.window.pop_front();
        }
        let limit = limit?;
        let seen: Amount = self.window.iter().map(|s| within(s, since)).sum();
        if seen <= limit {
            if self.over.is_some_and(|o| now - o.last > REARM) {
                self.over = None;
            }
            return None;
        }
        let from = self.window.front().map_or(p.from.ts, |s| s.from.ts.max(since));
        let (start, news) = match &mut self.over {
            None => {
                let start = StartRange { earliest: from, latest: now };
                self.over = Some(Over { reported: seen, last: now, said: now, start });
                (start, News::First)
            }
            Some(o) => {
                o.last = now;
                let news = if grown_by_half(o.reported, seen) {
                    News::Grown
                } else if now - o.said >= REARM {
                    News::Still
                } else {
                    return None;
                };
                o.reported = o.reported.max(seen);
                o.said = now;
                (o.start, news)
            }
        };
        Some(Said { kind: FindingKind::LeakHourlyLimit { from, to: now, limit, seen }, start, news, evidence: self.evidence() })
    }

    /// At most nine of the window's readings, the first and the last among them.
    fn evidence(&self) -> Vec<Mark> {
        let every = self.window.len().div_ceil(8).max(1);
        let mut out: Vec<Mark> = self.window.iter().step_by(every).map(|s| s.from).collect();
        out.extend(self.window.back().map(|s| s.to));
        out
    }
}

/// The part of a stretch's volume that lies after `since`, spread evenly over it.
fn within(s: &Stretch, since: Ts) -> Amount {
    if s.from.ts >= since { s.volume } else { s.volume.scaled((s.to.ts - since).0, (s.to.ts - s.from.ts).0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(from_min: i64, to_min: i64, from_l: i64, to_l: i64) -> Passage {
        let mark = |m: i64, l: i64| Mark { ts: Ts(m * 60_000), register: Amount::litres(l) };
        Passage { from: mark(from_min, from_l), to: mark(to_min, to_l), volume: Amount::litres(to_l - from_l) }
    }

    fn seen(said: Option<Said>) -> Option<(i64, News)> {
        said.map(|s| match s.kind {
            FindingKind::LeakHourlyLimit { seen, .. } => (seen.0 / 1_000, s.news),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn speaks_once_when_the_hour_is_over_and_again_when_it_grew_by_half() {
        let mut h = Hourly::default();
        let limit = Some(Amount::litres(100));
        assert_eq!(seen(h.passed(passage(0, 30, 0, 60), limit)), None);
        assert_eq!(seen(h.passed(passage(30, 60, 60, 120), limit)), Some((120, News::First)));
        assert_eq!(seen(h.passed(passage(60, 90, 120, 190), limit)), None, "130 is not half more");
        assert_eq!(seen(h.passed(passage(90, 120, 190, 300), limit)), Some((180, News::Grown)));
    }

    #[test]
    fn a_passage_longer_than_an_hour_counts_by_its_mean() {
        let mut h = Hourly::default();
        assert_eq!(seen(h.passed(passage(0, 1440, 0, 2_399), Some(Amount::litres(100)))), None);
        assert_eq!(seen(h.passed(passage(1440, 2880, 2_399, 4_823), Some(Amount::litres(100)))), Some((101, News::First)));
    }

    #[test]
    fn after_a_quiet_day_it_speaks_from_the_limit_on() {
        let mut h = Hourly::default();
        let limit = Some(Amount::litres(100));
        assert_eq!(seen(h.passed(passage(0, 60, 0, 200), limit)), Some((200, News::First)));
        assert_eq!(seen(h.passed(passage(60, 1400, 200, 201), limit)), None);
        assert_eq!(seen(h.passed(passage(1400, 1460, 201, 331), limit)), None, "within the day: 130 after 200 says nothing new");
        assert_eq!(seen(h.passed(passage(1460, 4000, 331, 332), limit)), None);
        assert_eq!(seen(h.passed(passage(4000, 4060, 332, 442), limit)), Some((110, News::First)));
    }

    #[test]
    fn what_goes_on_unchanged_is_said_to_go_on_once_a_day() {
        let mut h = Hourly::default();
        let limit = Some(Amount::litres(100));
        let said: Vec<_> =
            (0..60).filter_map(|k| seen(h.passed(passage(k * 60, k * 60 + 60, k * 150, k * 150 + 150), limit)).map(|s| (k, s.1))).collect();
        assert_eq!(said, [(0, News::First), (24, News::Still), (48, News::Still)]);
    }

    #[test]
    fn a_meter_that_reports_every_second_keeps_the_window_small() {
        let mut h = Hourly::default();
        let mark = |s: i64| Mark { ts: Ts(s * 1_000), register: Amount(s) };
        for s in 0..20_000 {
            h.passed(Passage { from: mark(s), to: mark(s + 1), volume: Amount(1) }, Some(Amount(3_600)));
        }
        assert!(h.window.len() <= 122, "{}", h.window.len());
    }
}
