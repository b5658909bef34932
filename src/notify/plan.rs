//! What is sent next, and when: numbers in, numbers out, no clock and no network.
//!
//! A robot takes 20 messages a minute and blocks whoever sends more, so no 60 seconds hold more than [`PER_MINUTE`] calls, however they
//! are cut. The first [`SINGLES`] of a minute leave at once, each for one incident. Beyond that a storm is coming: messages gather for
//! [`GATHER`] and become digests, as many lines as fit, so that the minute's calls are never used up by its first seconds.

use crate::domain::time::Ms;
use std::collections::VecDeque;

/// The robots' limit is 20; two are left for what others send in its name.
pub const PER_MINUTE: usize = 18;
const MINUTE: Ms = Ms::seconds(60);
/// While no more than these were used in the last minute, an urgent notice is a message of its own.
const SINGLES: usize = 6;
/// More than these at once are merged, the less urgent first.
const FEW: usize = 5;
/// How long less than a full digest waits for company.
const GATHER: Ms = Ms::seconds(5);
/// Calls of a minute that only urgent notices may use.
const RESERVED: usize = 3;

/// The calls of the last minute, by a clock that only goes forward.
///
/// A call counts from its *end*: the robot has seen it by then, so what is sent a minute later comes a minute later for the robot too, however
/// long the way was.
#[derive(Clone, Debug, Default)]
pub struct Window {
    ends: VecDeque<Ms>,
}

impl Window {
    /// Notes that a call ended at `at`, not before the one noted last.
    pub fn called(&mut self, at: Ms) {
        if self.ends.len() == PER_MINUTE {
            self.ends.pop_front();
        }
        self.ends.push_back(at);
    }

    fn used(&self, now: Ms) -> usize {
        self.ends.iter().filter(|e| now - **e < MINUTE).count()
    }

    /// When at least `n` calls are free, if nothing is called meanwhile.
    fn free_at(&self, n: usize, now: Ms) -> Ms {
        // The calls that may still count then; what must have left the minute is the newest before them.
        let may_count = PER_MINUTE.saturating_sub(n);
        let leaver = self.ends.len().checked_sub(may_count + 1).and_then(|i| self.ends.get(i));
        leaver.map_or(now, |end| *end + MINUTE).max(now)
    }

    fn last(&self) -> Option<Ms> {
        self.ends.back().copied()
    }
}

/// One incident that waits to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub urgent: bool,
    /// Bytes of its line in a digest.
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A message about this one alone.
    Single(usize),
    /// One message about all of these; the lines of the first `listed` fit.
    Digest { items: Vec<usize>, listed: usize },
    /// Nothing before this moment, if nothing new comes.
    Wait(Ms),
}

/// What to do now with what waits: urgent ones first, then in order. `room` is what a digest has for lines, in bytes. None: nothing waits.
///
/// An urgent one is always listed: what does not fit waits for the next digest. Of others, what does not fit is only counted.
pub fn next(waiting: &[Waiting], window: &Window, now: Ms, room: usize) -> Option<Step> {
    let first = waiting.first()?;
    let used = window.used(now);
    let needed = if first.urgent { 1 } else { RESERVED + 1 };
    if PER_MINUTE - used.min(PER_MINUTE) < needed {
        return Some(Step::Wait(window.free_at(needed, now)));
    }
    let calm = used < SINGLES;
    if calm && (first.urgent || waiting.len() <= FEW) {
        return Some(Step::Single(0));
    }
    // Urgent ones stand first: the merged ones are a run of equals.
    let alike = waiting.iter().take_while(|w| w.urgent == first.urgent).count();
    let listed = fitting(&waiting[..alike], room);
    let full = listed < alike;
    let gathered = window.last().map_or(now, |last| last + GATHER);
    if !full && !calm && now < gathered {
        return Some(Step::Wait(gathered));
    }
    let merged = if first.urgent { listed } else { alike };
    Some(if merged <= 1 { Step::Single(0) } else { Step::Digest { items: (0..merged).collect(), listed } })
}

/// How many of the first lines fit; at least one.
fn fitting(waiting: &[Waiting], room: usize) -> usize {
    let mut left = room;
    let fit = waiting.iter().take_while(|w| {
        let fits = w.line <= left;
        left = left.saturating_sub(w.line);
        fits
    });
    fit.count().max(1)
}

/// Pauses after the first failure, the second and so on; the last one repeats.
const PAUSES: [Ms; 6] = [Ms::seconds(5), Ms::seconds(15), Ms::minutes(1), Ms::minutes(5), Ms::minutes(15), Ms::hours(1)];
/// Where the pauses begin when only a person can mend it.
pub const SLOWLY: u32 = 5;

/// How long to wait after the nth failure in a row (from 1), give or take a tenth, so that many gateways do not come back in one second.
pub fn pause(failures: u32, seed: u64) -> Ms {
    let nth = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX).min(PAUSES.len() - 1);
    let tenth = PAUSES[nth].0 / 10;
    // SplitMix64: any seed gives an even spread.
    let mut z = seed.wrapping_add(u64::from(failures).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let spread = u64::try_from(2 * tenth + 1).unwrap_or(1);
    let jitter = i64::try_from((z ^ (z >> 31)) % spread).unwrap_or(0) - tenth;
    Ms(PAUSES[nth].0 + jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 1_900;
    const LINE: usize = 95;

    fn leak() -> Waiting {
        Waiting { urgent: true, line: LINE }
    }
    fn fault() -> Waiting {
        Waiting { urgent: false, line: LINE }
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Call {
        began: Ms,
        ended: Ms,
        told: usize,
    }

    /// Sends what `arrivals` bring (time, notice), the nth call taking `way(n)`.
    fn simulate(arrivals: &[(Ms, Waiting)], way: impl Fn(usize) -> Ms) -> Vec<Call> {
        let (mut now, mut window, mut calls) = (Ms(0), Window::default(), vec![]);
        let mut left: VecDeque<_> = arrivals.iter().copied().collect();
        let mut waiting: Vec<Waiting> = vec![];
        loop {
            while left.front().is_some_and(|(at, _)| *at <= now) {
                waiting.extend(left.pop_front().map(|(_, w)| w));
            }
            waiting.sort_by_key(|w| !w.urgent);
            let told = match next(&waiting, &window, now, ROOM) {
                None => match left.front() {
                    Some((at, _)) => {
                        now = *at;
                        continue;
                    }
                    None => return calls,
                },
                Some(Step::Wait(until)) => {
                    assert!(until > now, "a wait that ends at once would spin");
                    now = left.front().map_or(until, |(at, _)| until.min(*at));
                    continue;
                }
                Some(Step::Single(i)) => vec![i],
                Some(Step::Digest { items, listed }) => {
                    assert!(listed * LINE <= ROOM && listed > 0);
                    assert!(listed == items.len() || !waiting[0].urgent, "an urgent one is only counted");
                    items
                }
            };
            let mut i = 0;
            waiting.retain(|_| {
                i += 1;
                !told.contains(&(i - 1))
            });
            let began = now;
            now = now + way(calls.len());
            window.called(now);
            calls.push(Call { began, ended: now, told: told.len() });
        }
    }

    /// The robot's own rule, at its worst: it may have seen a call at any moment between its beginning and its end.
    fn most_in_a_minute(calls: &[Call]) -> usize {
        let within = |i: usize| calls[i..].iter().filter(|c| c.began - calls[i].ended < MINUTE).count();
        (0..calls.len()).map(within).max().unwrap_or(0)
    }

    fn told(calls: &[Call]) -> usize {
        calls.iter().map(|c| c.told).sum()
    }

    fn ends(calls: &[Call]) -> Vec<(Ms, usize)> {
        calls.iter().map(|c| (c.ended, c.told)).collect()
    }

    #[test]
    fn a_few_leave_at_once_each_for_itself() {
        let calls = simulate(&[(Ms(0), leak()), (Ms(0), fault()), (Ms(0), leak())], |_| Ms(100));
        assert_eq!(ends(&calls), [(Ms(100), 1), (Ms(200), 1), (Ms(300), 1)]);
    }

    #[test]
    fn two_hundred_leaks_at_once_are_all_listed_within_the_minute() {
        let calls = simulate(&[(Ms(0), leak()); 200], |_| Ms(100));
        assert_eq!(told(&calls), 200);
        assert!(calls.len() <= PER_MINUTE, "{calls:?}");
        assert!(calls.last().is_some_and(|c| c.ended < Ms::seconds(10)), "{calls:?}");
    }

    #[test]
    fn a_leak_every_half_second_never_uses_up_the_minute() {
        let arrivals: Vec<_> = (0..1_200).map(|k| (Ms(k * 500), leak())).collect();
        let calls = simulate(&arrivals, |_| Ms(300));
        assert_eq!(told(&calls), 1_200);
        assert!(most_in_a_minute(&calls) <= PER_MINUTE, "{}", most_in_a_minute(&calls));
        // Ten minutes of it: the last is told within seconds of its coming.
        assert!(calls.last().is_some_and(|c| c.ended < Ms(1_200 * 500) + Ms::seconds(10)), "{:?}", calls.last());
    }

    #[test]
    fn two_thousand_at_once_take_minutes_and_never_more_than_the_robot_takes() {
        // Also where some calls take long and others do not.
        let ways: [fn(usize) -> Ms; 3] =
            [|_| Ms(20), |n| if n.is_multiple_of(2) { Ms(5) } else { Ms(9_000) }, |n| Ms(i64::try_from(n * 7_919 % 3_000).unwrap())];
        for way in ways {
            let calls = simulate(&[(Ms(0), leak()); 2_000], way);
            assert_eq!(told(&calls), 2_000);
            assert!(most_in_a_minute(&calls) <= PER_MINUTE, "{}", most_in_a_minute(&calls));
        }
    }

    #[test]
    fn faults_are_merged_into_one_and_never_keep_a_leak_waiting() {
        let mut arrivals = vec![(Ms(0), fault()); 300];
        arrivals.push((Ms(50), leak()));
        let calls = simulate(&arrivals, |_| Ms(100));
        assert_eq!(ends(&calls), [(Ms(100), 300), (Ms(200), 1)]);
        // A day of faults without end leaves the reserve untouched.
        let mut w = Window::default();
        (0..15).for_each(|k| w.called(Ms(k * 1_000)));
        let now = Ms(20_000);
        assert_eq!(next(&[fault(), fault()], &w, now, ROOM), Some(Step::Wait(Ms(60_000))));
        assert_eq!(next(&[leak(), fault()], &w, now, ROOM), Some(Step::Single(0)));
    }

    #[test]
    fn a_full_window_opens_when_its_oldest_call_is_a_minute_old() {
        let mut w = Window::default();
        (0..18).for_each(|k| w.called(Ms(k * 100)));
        assert_eq!(next(&[leak()], &w, Ms(2_000), ROOM), Some(Step::Wait(Ms(60_000))));
        assert_eq!(next(&[leak()], &w, Ms(60_000), ROOM), Some(Step::Single(0)));
    }

    #[test]
    fn pauses_grow_to_an_hour_and_differ_between_gateways() {
        for (n, about) in [(1, 5_000), (2, 15_000), (3, 60_000), (4, 300_000), (5, 900_000), (6, 3_600_000), (700, 3_600_000)] {
            for seed in 0..50 {
                let p = pause(n, seed).0;
                assert!((about * 9 / 10..=about * 11 / 10).contains(&p), "{n}: {p}");
            }
        }
        assert_ne!(pause(1, 1), pause(1, 2));
        assert_ne!(pause(6, 1), pause(7, 1));
    }
}
