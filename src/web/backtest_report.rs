//! What a back-test tells: the two runs side by side, in the API's words.

use super::backtest::Backtest;
use super::events::{self, FindingReport};
use crate::backtest::{Choice, Chosen, Counted, Found, Report, Run, Wish};
use crate::domain::time::{Month, Ts};
use crate::domain::topology::Topology;
use crate::domain::units::{Amount, Quantity};
use crate::texts::{self, Decimal, Stamp, Text};
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// How it stands with the back-test.
#[derive(Debug, Serialize, ToSchema)]
pub struct BacktestReport {
    /// When the gateway was asked.
    at: Stamp,
    /// `idle`, `running`, `done`, `stopped` or `failed`.
    state: &'static str,
    began_at: Option<Stamp>,
    ended_at: Option<Stamp>,
    /// Of one at work: 0 to 100, by time of what is stored, by bytes of files.
    progress_percent: Option<Decimal>,
    /// Readings taken so far.
    rows: Option<u64>,
    /// What is being tried, or was.
    asked: Option<BacktestAsked>,
    /// Of one that failed: `nothing`, `files`, `store` or `internal`.
    code: Option<&'static str>,
    text: Option<Text>,
    result: Option<BacktestResult>,
}

/// What was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct BacktestAsked {
    files: bool,
    point: Option<String>,
    place: Option<String>,
    /// A number, `off`, or null: as configured.
    litres_per_hour: Option<String>,
    tonnes_per_month: Option<String>,
    silent_after_hours: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct BacktestResult {
    /// Findings of before are only counted, as `earlier`.
    from: Stamp,
    to: Stamp,
    /// From here on the rules have learned.
    learned_from: Stamp,
    /// Metering points whose findings are told.
    points: usize,
    /// Readings taken, and how long it took; it rests half of the time.
    rows: u64,
    seconds: Decimal,
    as_now: RunReport,
    /// With the limits given; null where none was.
    tried: Option<RunReport>,
    months: Vec<MonthReport>,
    /// By rule: all rules that spoke in either run.
    rules: Vec<RuleReport>,
    /// What was odd in uploaded files, in English, as `heyun replay` says it.
    notes: Vec<String>,
}

/// How the rules spoke with one set of limits.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunReport {
    /// How often a rule spoke about a meter; of these, how often again for having grown by half.
    alarms: u64,
    grown: u64,
    /// Found before the span, while the rules learned. Such a leak is not told anew while it goes on.
    earlier: u64,
    /// The median over the leaks in `findings`, from the earliest that they can have begun. Null without one.
    median_hours_to_alarm: Option<Decimal>,
    /// Oldest first, at most 500.
    findings: Vec<FoundReport>,
    /// Later ones that are counted only.
    left_off: u64,
}

/// A finding of a back-test.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundReport {
    /// When it would have been told.
    told_at: Stamp,
    /// The rule's name.
    rule: Text,
    /// Without the readings behind it.
    #[serde(flatten)]
    finding: FindingReport,
    /// From the latest and the earliest that it can have begun to when it was told.
    hours_to_alarm: Decimal,
    hours_to_alarm_at_most: Decimal,
    /// What had passed by then above the usual, or above the limit: at least. Null where the rule does not know.
    tonnes_above: Option<Decimal>,
}

/// A calendar month of the compound's clocks.
#[derive(Debug, Serialize, ToSchema)]
pub struct MonthReport {
    /// `2026-11`.
    month: String,
    /// How much of it lies in the span, in days.
    days: Decimal,
    as_now: u64,
    tried: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RuleReport {
    code: &'static str,
    rule: Text,
    as_now: u64,
    tried: Option<u64>,
}

/// In the API's words. `topology` is the gateway's; a result speaks of its own.
pub fn report(state: Backtest, topology: &Topology, now: Ts) -> BacktestReport {
    let at = |ts: Ts| Stamp::new(ts, &topology.tz);
    let mut r = BacktestReport {
        at: at(now),
        state: "idle",
        began_at: None,
        ended_at: None,
        progress_percent: None,
        rows: None,
        asked: None,
        code: None,
        text: None,
        result: None,
    };
    match state {
        Backtest::Idle => {}
        Backtest::Running { wish, from_files, began, progress } => {
            (r.state, r.began_at, r.rows) = ("running", Some(at(began)), Some(progress.rows));
            r.progress_percent = Some(Decimal::of(Quantity::Ratio, i64::from(progress.per_mille)));
            r.asked = Some(asked(&wish, from_files, topology));
        }
        Backtest::Done { wish, from_files, began, ended, report } => {
            (r.state, r.began_at, r.ended_at) = ("done", Some(at(began)), Some(at(ended)));
            r.asked = Some(asked(&wish, from_files, topology));
            r.result = Some(result(&report));
        }
        Backtest::Stopped { ended } => (r.state, r.ended_at) = ("stopped", Some(at(ended))),
        Backtest::Failed { ended, code, text } => {
            (r.state, r.ended_at, r.code, r.text) = ("failed", Some(at(ended)), Some(code), Some(text));
        }
    }
    r
}

fn asked(wish: &Wish, files: bool, t: &Topology) -> BacktestAsked {
    fn word<T>(choice: Choice<T>, number: impl Fn(T) -> Decimal) -> Option<String> {
        match choice {
            Choice::AsNow => None,
            Choice::Off => Some("off".to_owned()),
            Choice::To(v) => Some(number(v).to_string()),
        }
    }
    let (mut point, mut place) = (None, None);
    match wish.chosen {
        Chosen::All => {}
        Chosen::Point(ix) => point = t.points.get(ix.0 as usize).map(|p| p.key.clone()),
        Chosen::Place(ix) => place = t.places.get(ix.0 as usize).map(|p| p.key.clone()),
    }
    BacktestAsked {
        files,
        point,
        place,
        litres_per_hour: word(wish.tried.per_hour, Decimal::litres),
        tonnes_per_month: word(wish.tried.per_month, Decimal::tonnes),
        silent_after_hours: word(wish.tried.silent_after, |ms| hours(ms.0)),
    }
}

/// To a hundredth.
fn hours(ms: i64) -> Decimal {
    Decimal::litres(Amount(ms / 3_600)).rounded(2)
}

fn result(r: &Report) -> BacktestResult {
    let tz = &r.topology.tz;
    let codes: BTreeSet<&'static str> = r.as_now.rules.keys().chain(r.tried.iter().flat_map(|t| t.rules.keys())).copied().collect();
    let all = |c: Option<&Counted>| c.map_or(0, |c| c.first + c.grown);
    BacktestResult {
        from: Stamp::new(r.from, tz),
        to: Stamp::new(r.to, tz),
        learned_from: Stamp::new(r.learned_from, tz),
        points: r.points,
        rows: r.rows,
        seconds: seconds(r.seconds),
        as_now: run(&r.as_now, &r.topology),
        tried: r.tried.as_ref().map(|t| run(t, &r.topology)),
        months: months(r)
            .into_iter()
            .map(|(month, from, to)| MonthReport {
                month: month.to_string(),
                days: Decimal::litres(Amount((to - from).0 / 86_400)).rounded(1),
                as_now: all(r.as_now.months.get(&month)),
                tried: r.tried.as_ref().map(|t| all(t.months.get(&month))),
            })
            .collect(),
        rules: codes
            .into_iter()
            .map(|code| RuleReport {
                code,
                rule: texts::rule(code),
                as_now: all(r.as_now.rules.get(code)),
                tried: r.tried.as_ref().map(|t| all(t.rules.get(code))),
            })
            .collect(),
        notes: r.notes.clone(),
    }
}

/// Every month of the span, also quiet ones, with what of it lies in the span. A file whose clocks leap shows the first ten years.
fn months(r: &Report) -> Vec<(Month, Ts, Ts)> {
    const MOST: usize = 120;
    let tz = &r.topology.tz;
    let all = std::iter::successors(Some(Month::of(r.from, tz)), |m| Some(m.next()));
    all.take_while(|m| m.start(tz) < r.to).take(MOST).map(|m| (m, m.start(tz).max(r.from), m.end(tz).min(r.to))).collect()
}

fn run(run: &Run, topology: &Topology) -> RunReport {
    let counted = run.counted();
    RunReport {
        alarms: counted.first + counted.grown,
        grown: counted.grown,
        earlier: run.earlier,
        median_hours_to_alarm: run.usual_delay().map(|d| hours(d.0)),
        left_off: (counted.first + counted.grown).saturating_sub(run.found.len() as u64),
        findings: run.found.iter().map(|f| found(f, topology)).collect(),
    }
}

fn found(f: &Found, t: &Topology) -> FoundReport {
    FoundReport {
        told_at: Stamp::new(f.at, &t.tz),
        rule: texts::rule(f.finding.kind.code()),
        finding: events::finding(&f.finding, t),
        hours_to_alarm: hours((f.at - f.finding.start.latest).0),
        hours_to_alarm_at_most: hours((f.at - f.finding.start.earliest).0),
        tonnes_above: f.above.map(|v| Decimal::tonnes(v).rounded(3)),
    }
}

/// To a hundredth; a back-test of a year of seconds is none.
fn seconds(s: f64) -> Decimal {
    let ms = std::time::Duration::try_from_secs_f64(s).unwrap_or_default().as_millis();
    Decimal::litres(Amount(i64::try_from(ms).unwrap_or(i64::MAX))).rounded(2)
}
