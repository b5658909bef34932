//! What a finding rests on, a sentence each: what its rule expected, what it saw, and what would clear it.

use super::{Arg, Decimal, Stamp, Text, say};
use crate::domain::detect::picture::Statistic;
use crate::domain::finding::FindingKind;
use crate::domain::time::Ts;
use crate::domain::units::{Amount, Rate};
use jiff::tz::TimeZone;

fn tonnes(v: Amount) -> Arg {
    Decimal::tonnes(v).rounded(2).into()
}

fn per_hour(v: Rate) -> Arg {
    Decimal::litres_per_hour(v).rounded(1).into()
}

/// What the rule expected. None where it says so itself: of data faults and of heating.
pub fn expected(kind: &FindingKind) -> Option<Text> {
    Some(match *kind {
        FindingKind::LeakHourlyLimit { limit, .. } => say("expected.rule.hourly", &[("limit", tonnes(limit))]),
        FindingKind::LeakMonthlyLimit { limit, .. } | FindingKind::LeakMonthlyProjection { limit, .. } => {
            say("expected.rule.monthly", &[("limit", tonnes(limit))])
        }
        FindingKind::LeakLeastFlow { usual, days, .. } => {
            say("expected.rule.least_flow", &[("usual", per_hour(usual)), ("days", days.into())])
        }
        FindingKind::LeakSudden { usual, .. } => say("expected.rule.sudden", &[("usual", per_hour(usual))]),
        FindingKind::LeakSteady { .. } => say("expected.rule.steady", &[]),
        FindingKind::LeakCistern { quiet, usual, .. } => say("expected.rule.cistern", &[("quiet", quiet.into()), ("usual", usual.into())]),
        FindingKind::LeakBalance { usual, meters, .. } => {
            say("expected.rule.balance", &[("usual", per_hour(usual)), ("meters", meters.into())])
        }
        FindingKind::LoopLeak { usual, .. } => say("expected.rule.loop", &[("usual", per_hour(usual))]),
        FindingKind::LoopOutOfSeason { .. } => say("expected.rule.season", &[]),
        FindingKind::LeakReported { .. } | FindingKind::LeakBurstReported { .. } | FindingKind::LeakWet { .. } => {
            say("expected.rule.device", &[])
        }
        _ => return None,
    })
}

/// What the rule saw instead. None where [`expected`] is.
pub fn seen(kind: &FindingKind, tz: &TimeZone) -> Option<Text> {
    let at = |ts: Ts| Arg::from(Stamp::new(ts, tz).short().to_string());
    Some(match *kind {
        FindingKind::LeakHourlyLimit { from, to, seen, .. } => {
            say("seen.rule.hourly", &[("from", at(from)), ("to", at(to)), ("seen", tonnes(seen))])
        }
        FindingKind::LeakMonthlyLimit { used, .. } => say("seen.rule.monthly", &[("used", tonnes(used))]),
        FindingKind::LeakMonthlyProjection { used, projected, .. } => {
            say("seen.rule.projection", &[("used", tonnes(used)), ("end", tonnes(projected))])
        }
        FindingKind::LeakLeastFlow { seen, .. } => say("seen.rule.least_flow", &[("seen", per_hour(seen))]),
        FindingKind::LeakSudden { from, seen, .. } => say("seen.rule.sudden", &[("from", at(from)), ("seen", per_hour(seen))]),
        FindingKind::LeakSteady { from, .. } => say("seen.rule.steady", &[("from", at(from))]),
        FindingKind::LeakCistern { from, drawn, .. } => say("seen.rule.cistern", &[("from", at(from)), ("drawn", drawn.into())]),
        FindingKind::LeakBalance { seen, known, .. } => say("seen.rule.balance", &[("seen", per_hour(seen)), ("known", known.into())]),
        FindingKind::LoopLeak { seen, hours, .. } => say("seen.rule.loop", &[("seen", per_hour(seen)), ("hours", hours.into())]),
        FindingKind::LoopOutOfSeason { volume } => say("seen.rule.season", &[("volume", Decimal::litres(volume).rounded(0).into())]),
        FindingKind::LeakReported { since } | FindingKind::LeakBurstReported { since } | FindingKind::LeakWet { since } => {
            say("seen.rule.device", &[("at", at(since))])
        }
        _ => return None,
    })
}

/// What has to be so again before the matter is over, and who says that it is.
pub fn clears(kind: &FindingKind) -> Text {
    match *kind {
        FindingKind::LeakHourlyLimit { limit, .. } => say("clears.hourly", &[("limit", tonnes(limit))]),
        FindingKind::LeakMonthlyLimit { .. } | FindingKind::LeakMonthlyProjection { .. } => say("clears.monthly", &[]),
        FindingKind::LeakLeastFlow { usual, .. } => say("clears.least_flow", &[("usual", per_hour(usual))]),
        FindingKind::LeakSudden { usual, .. } => say("clears.sudden", &[("usual", per_hour(usual))]),
        FindingKind::LeakSteady { .. } => say("clears.steady", &[]),
        FindingKind::LeakCistern { .. } => say("clears.cistern", &[]),
        FindingKind::LeakBalance { usual, .. } => say("clears.balance", &[("usual", per_hour(usual))]),
        FindingKind::LoopLeak { usual, .. } => say("clears.loop", &[("usual", per_hour(usual))]),
        FindingKind::LoopOutOfSeason { .. } => say("clears.season", &[]),
        FindingKind::LeakReported { .. } | FindingKind::LeakBurstReported { .. } | FindingKind::LeakWet { .. } => say("clears.device", &[]),
        _ if kind.cause().ends_itself() => say("clears.itself", &[]),
        _ => say("clears.person", &[]),
    }
}

/// The name of the figure that a kind of finding goes by.
pub fn statistic(s: Statistic) -> Text {
    match s {
        Statistic::LeastOfDay => say("picture.least_of_day", &[]),
        Statistic::Excess => say("picture.excess", &[]),
        Statistic::LeastHour => say("picture.least_hour", &[]),
        Statistic::QuietDrawn => say("picture.quiet_drawn", &[]),
        Statistic::LeftOver => say("picture.left_over", &[]),
        Statistic::LeastPart { hours } => say("picture.least_part", &[("hours", hours.into())]),
    }
}
