//! What passed in made-up houses, homes and loops, and what the rules said of it.

use heyun::domain::detect::balance::{Balance, Subs};
use heyun::domain::detect::heat::loss::LoopLoss;
use heyun::domain::detect::home::Home;
use heyun::domain::detect::least::LeastFlow;
use heyun::domain::detect::picture::{Seen, Shown, Statistic, shown};
use heyun::domain::detect::sudden::Sudden;
use heyun::domain::detect::{News, Passage, Said};
use heyun::domain::finding::{FindingKind, Mark, StartRange};
use heyun::domain::time::{Ms, Ts};
use heyun::domain::units::{Amount, Rate};
use jiff::tz::TimeZone;

/// A whole story: what is drawn of it.
pub struct Told {
    /// What was said first.
    pub kind: FindingKind,
    pub statistic: Statistic,
    /// When the water really begins to run: known, for it is made up.
    pub begins: Ts,
    pub start: StartRange,
    /// When it was said, and whether that was because it had grown.
    pub alarms: Vec<(Ts, bool)>,
    pub step: Ms,
    pub steps: Vec<Shown>,
}

impl Told {
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }
}

/// The calm days before each leak.
const CALM: i64 = 21;
const HOUR: Ms = Ms::hours(1);

pub fn all() -> Vec<Told> {
    vec![least_flow(), sudden(), steady(), cistern(), balance(), looped()]
}

/// A register that is read at the end of each step, and a rule that hears of it.
struct Heard {
    step: Ms,
    pulse: i64,
    exact: i64,
    seen: Vec<Seen>,
    said: Vec<(Ts, Said)>,
}

impl Heard {
    /// `pulse`: litres; nothing smaller is shown.
    fn new(step: Ms, pulse: i64) -> Heard {
        Heard { step, pulse: pulse * 1_000, exact: 0, seen: vec![], said: vec![] }
    }

    /// One more step, in which so many millilitres pass.
    fn passed(&mut self, millilitres: i64, rule: &mut impl FnMut(Passage) -> Option<Said>) {
        let from = Ts(self.seen.len() as i64 * self.step.0);
        let mark = |ts: Ts, exact: i64| Mark { ts, register: Amount(exact / self.pulse * self.pulse) };
        let (before, after) = (mark(from, self.exact), mark(from + self.step, self.exact + millilitres));
        self.exact += millilitres;
        let volume = after.register - before.register;
        self.seen.push(Seen { from, flow: Some(volume.per(self.step.0)), behind: None });
        // That it goes on is no alarm.
        let said = rule(Passage { from: before, to: after, volume }).filter(|s| s.news != News::Still);
        self.said.extend(said.map(|s| (after.ts, s)));
    }

    /// From `lead` before the leak until `after` its last alarm.
    fn told(self, begins: Ts, lead: Ms, after: Ms) -> Told {
        let (_, first) = &self.said[0];
        let statistic = Statistic::of(&first.kind).unwrap();
        let end = self.said.last().unwrap().0 + after;
        let seen: Vec<Seen> = self.seen.into_iter().filter(|s| s.from < end).collect();
        let steps = shown(&seen, self.step, (first.start.earliest, begins - lead), Some(statistic), &TimeZone::UTC);
        let alarms = self.said.iter().map(|(at, s)| (*at, s.news == News::Grown)).collect();
        Told { kind: first.kind.clone(), statistic, begins, start: first.start, alarms, step: self.step, steps }
    }
}

/// A number below `n` that is always the same for the same step.
fn chance(step: i64, n: i64) -> i64 {
    let mixed = (step + 1).wrapping_mul(0x5851_F42D_4C95_7F2D);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x2545_F491_4F6C_DD1D).rem_euclid(1 << 40) / 1_000 % n
}

/// Some thirty flats: litres in an hour.
fn house(hour: i64) -> i64 {
    match hour % 24 {
        0..=4 => 10 + chance(hour, 18),
        7..=8 | 18..=21 => 380 + chance(hour, 140),
        _ => 220 + chance(hour, 110),
    }
}

/// Three persons: asleep from one to six, out on some days.
fn family(hour: i64) -> i64 {
    match hour % 24 {
        1..6 => i64::from(chance(hour, 8) == 0) * 6,
        6..9 | 18..23 => 5 + chance(hour, 60),
        _ => i64::from(chance(hour, 3) > 0) * chance(hour, 25),
    }
}

/// 100 L/h run in a building from an afternoon on.
fn least_flow() -> Told {
    let (mut rule, mut heard, start) = (LeastFlow::default(), Heard::new(HOUR, 1), CALM * 24 + 14);
    for hour in 0..start + 3 * 24 {
        let litres = house(hour) + i64::from(hour >= start) * 100;
        heard.passed(litres * 1_000, &mut |p| rule.passed(p, Amount::litres(1)));
    }
    heard.told(Ts(0) + Ms::hours(start), Ms::days(4), Ms::days(1))
}

/// A riser bursts at ten past three in the afternoon: 1390 L/h, read each quarter of an hour.
fn sudden() -> Told {
    let quarter = Ms::minutes(15);
    let (mut rule, mut heard, start) = (Sudden::default(), Heard::new(quarter, 1), CALM * 1_440 + 910);
    for q in 0..(start + 720) / 15 {
        let runs = (q * 15..q * 15 + 15).filter(|minute| *minute >= start).count() as i64;
        let millilitres = (house(q / 4) + chance(q, 60)) * 250 + runs * 1_390_000 / 60;
        heard.passed(millilitres, &mut |p| rule.passed(p, Amount::litres(1), &TimeZone::UTC));
    }
    heard.told(Ts(0) + Ms::minutes(start), Ms::days(1), Ms::hours(6))
}

/// A tap that does not shut: 10 L/h in a home.
fn steady() -> Told {
    let (mut rule, mut heard, start) = (Home::default(), Heard::new(HOUR, 1), CALM * 24);
    for hour in 0..start + 4 * 24 {
        let litres = family(hour) + i64::from(hour >= start) * 10;
        heard.passed(litres * 1_000, &mut |p| rule.passed(p, Amount::litres(1), &TimeZone::UTC));
    }
    heard.told(Ts(0) + Ms::hours(start), Ms::days(4), Ms::days(1))
}

/// A cistern that runs in seven of ten hours, 20 to 80 L; behind pulses of 10 L.
fn cistern() -> Told {
    let (mut rule, mut heard, start) = (Home::default(), Heard::new(HOUR, 10), CALM * 24);
    for hour in 0..start + 9 * 24 {
        let litres = family(hour) + i64::from(hour >= start && chance(hour + 7, 10) < 7) * (20 + chance(hour + 3, 60));
        heard.passed(litres * 1_000, &mut |p| rule.passed(p, Amount::litres(10), &TimeZone::UTC));
    }
    heard.told(Ts(0) + Ms::hours(start), Ms::days(4), Ms::days(1))
}

/// Between a bulk meter and twelve flats 80 L/h are lost; all registers show whole pulses of 10 L.
fn balance() -> Told {
    const FLATS: usize = 12;
    let (mut rule, mut heard, start) = (Balance::default(), Heard::new(HOUR, 10), CALM * 24 + 6);
    let subs = Subs::of(std::iter::repeat_n(Amount::litres(10), FLATS + 1));
    let mut flats = [0i64; FLATS];
    let mut behind = vec![];
    for hour in 0..start + 3 * 24 {
        let mark = |h: i64| Mark { ts: Ts(0) + Ms::hours(h), register: Amount::ZERO };
        let (mut all, mut known) = (0, 0);
        for (flat, register) in (0..).zip(&mut flats) {
            let used = if hour % 24 < 6 { (flat + hour) % 3 } else { 8 + (flat * 7 + hour * 5) % 30 };
            let shows = (*register + used) / 10 * 10 - *register / 10 * 10;
            rule.sub_passed(Passage { from: mark(hour), to: mark(hour + 1), volume: Amount::litres(shows) });
            *register += used;
            all += used;
            known += shows;
        }
        behind.push(Rate::litres(known));
        let litres = all + 12 + i64::from(hour >= start) * 80;
        heard.passed(litres * 1_000, &mut |p| rule.bulk_passed(p, subs, &TimeZone::UTC));
    }
    heard.seen.iter_mut().zip(behind).for_each(|(s, b)| s.behind = Some(b));
    heard.told(Ts(0) + Ms::hours(start), Ms::days(4), Ms::days(1))
}

/// A loop that is topped up thrice a day loses 10 L/h; a pump fills in what is gone each half hour.
fn looped() -> Told {
    let (mut rule, mut heard, start) = (LoopLoss::default(), Heard::new(HOUR, 1), CALM * 24 + 9);
    for hour in 0..start + 2 * 24 {
        let topped = if matches!(hour % 24, 6 | 12 | 19) { 4 + chance(hour, 3) } else { 0 };
        let litres = topped + i64::from(hour >= start) * (9 + chance(hour, 3));
        heard.passed(litres * 1_000, &mut |p| rule.passed(p, Amount::litres(1)));
    }
    heard.told(Ts(0) + Ms::hours(start), Ms::days(4), Ms::days(1))
}
