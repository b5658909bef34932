//! What a rule states about a metering point.

use super::{Arg, Decimal, Stamp, Text, amount, rate, say};
use crate::domain::detect::heat::valve::Which;
use crate::domain::finding::{FindingKind, Mark};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::Medium;
use crate::domain::units::{Amount, Quantity, Rate, Temperature};
use jiff::tz::TimeZone;

fn tonnes(v: Amount) -> Arg {
    Decimal::tonnes(v).rounded(2).into()
}

/// Litres per minute, as people at a tap think.
fn per_minute(v: Rate) -> Arg {
    Decimal::litres(Amount(v.0 / 60)).rounded(1).into()
}

/// Litres an hour, for what is too little to be seen at a tap.
fn per_hour(v: Rate) -> Arg {
    Decimal::litres(Amount(v.0)).rounded(1).into()
}

fn degrees(t: Temperature) -> Arg {
    Decimal::of(Quantity::Temperature, t.0).rounded(1).into()
}

fn percent(per_mille: i64) -> Arg {
    Decimal::of(Quantity::Ratio, per_mille).rounded(0).into()
}

fn side(which: Which) -> Text {
    match which {
        Which::Supply => say("heat.supply", &[]),
        Which::Return => say("heat.return", &[]),
    }
}

/// Longest unit that the span is at least two of.
fn duration(d: Ms) -> Text {
    let minutes = d.0 / 60_000;
    match minutes {
        2_880.. => say("duration.days", &[("n", (minutes / 1_440).into())]),
        120.. => say("duration.hours", &[("n", (minutes / 60).into())]),
        1 => say("duration.minute", &[]),
        _ => say("duration.minutes", &[("n", minutes.into())]),
    }
}

/// What a rule states about a point. `name` is the point's, `medium` what its meter measures.
pub fn finding(name: &str, medium: Medium, kind: &FindingKind, tz: &TimeZone) -> Text {
    let at = |ts: Ts| Arg::from(Stamp::new(ts, tz).short().to_string());
    let shown = |m: &Mark| Arg::from(amount(medium, m.register));
    let step = |before: &Mark, after: &Mark| [("before", shown(before)), ("after", shown(after)), ("at", at(after.ts))];
    let name = ("name", Arg::from(name));
    match kind {
        FindingKind::LeakHourlyLimit { from, to, limit, seen } => say(
            "finding.leak_hourly_limit",
            &[
                name,
                ("from", at(*from)),
                ("to", at(*to)),
                ("limit", tonnes(*limit)),
                ("seen", tonnes(*seen)),
                ("flow", per_minute(seen.per((*to - *from).0))),
            ],
        ),
        FindingKind::LeakMonthlyLimit { month, limit, used } => say(
            "finding.leak_monthly_limit",
            &[name, ("year", month.year.into()), ("month", month.month.into()), ("limit", tonnes(*limit)), ("used", tonnes(*used))],
        ),
        FindingKind::LeakMonthlyProjection { month, limit, used, last_day, projected } => say(
            "finding.leak_monthly_projection",
            &[
                name,
                ("year", month.year.into()),
                ("month", month.month.into()),
                ("limit", tonnes(*limit)),
                ("used", tonnes(*used)),
                ("day", tonnes(*last_day)),
                ("flow", per_minute(last_day.per(Ms::days(1).0))),
                ("end", tonnes(*projected)),
            ],
        ),
        FindingKind::LeakLeastFlow { usual, seen, days } => say(
            "finding.leak_least_flow",
            &[name, ("usual", per_minute(*usual)), ("seen", per_minute(*seen)), ("days", (*days as usize).into())],
        ),
        FindingKind::LeakSudden { from, usual, seen } => {
            say("finding.leak_sudden", &[name, ("from", at(*from)), ("usual", per_minute(*usual)), ("seen", per_minute(*seen))])
        }
        FindingKind::LeakSteady { from, least, most } => {
            say("finding.leak_steady", &[name, ("from", at(*from)), ("least", per_hour(*least)), ("most", per_hour(*most))])
        }
        FindingKind::LeakCistern { from, quiet, drawn, usual } => {
            let n = |n: &u32| Arg::from(*n as usize);
            say("finding.leak_cistern", &[name, ("from", at(*from)), ("quiet", n(quiet)), ("drawn", n(drawn)), ("usual", n(usual))])
        }
        FindingKind::LeakBalance { usual, seen, meters, known } => {
            let n = |n: &u32| Arg::from(*n as usize);
            say(
                "finding.leak_balance",
                &[name, ("usual", per_hour(*usual)), ("seen", per_hour(*seen)), ("meters", n(meters)), ("known", n(known))],
            )
        }
        FindingKind::LoopLeak { usual, seen, hours } => {
            say("finding.loop_leak", &[name, ("usual", per_hour(*usual)), ("seen", per_hour(*seen)), ("hours", (*hours as usize).into())])
        }
        FindingKind::LoopOutOfSeason { volume } => {
            say("finding.loop_out_of_season", &[name, ("volume", Decimal::litres(*volume).rounded(0).into())])
        }
        FindingKind::AirLock { supply, back, usual } => {
            say("finding.air_lock", &[name, ("supply", degrees(*supply)), ("back", degrees(*back)), ("usual", degrees(*usual))])
        }
        FindingKind::StuckShut { position, supply, main } => {
            say("finding.stuck_shut", &[name, ("position", percent(*position)), ("supply", degrees(*supply)), ("main", degrees(*main))])
        }
        FindingKind::StuckOpen { position, back, usual } => {
            say("finding.stuck_open", &[name, ("position", percent(*position)), ("back", degrees(*back)), ("usual", degrees(*usual))])
        }
        FindingKind::SensorDead { which, value, since } => {
            say("finding.sensor_dead", &[name, ("which", side(*which).into()), ("value", degrees(*value)), ("since", at(*since))])
        }
        FindingKind::RoomCold { limit, readings: [a, b, c] } => say(
            "finding.room_cold",
            &[
                name,
                ("limit", degrees(*limit)),
                ("a", degrees(a.1)),
                ("a_at", at(a.0)),
                ("b", degrees(b.1)),
                ("b_at", at(b.0)),
                ("c", degrees(c.1)),
                ("c_at", at(c.0)),
            ],
        ),
        FindingKind::FrostRisk { seen, since } => say("finding.frost_risk", &[name, ("seen", degrees(*seen)), ("since", at(*since))]),
        FindingKind::MeterSilent { last, limit } => {
            say("finding.meter_silent", &[name, ("last", at(*last)), ("limit", duration(*limit).into())])
        }
        FindingKind::MeterReset { before, after } => {
            let [a, b, c] = step(before, after);
            say("finding.meter_reset", &[name, a, b, c])
        }
        FindingKind::MeterJump { before, after, max_flow } => {
            let [a, b, c] = step(before, after);
            say("finding.meter_jump", &[name, a, b, c, ("most", rate(medium, *max_flow).into())])
        }
        FindingKind::LeakReported { since } => say("finding.leak_reported", &[name, ("at", at(*since))]),
        FindingKind::LeakBurstReported { since } => say("finding.leak_burst_reported", &[name, ("at", at(*since))]),
        FindingKind::LeakWet { since } => say("finding.leak_wet", &[name, ("at", at(*since))]),
        FindingKind::EmergencyCall { since } => say("finding.emergency_call", &[name, ("at", at(*since))]),
        FindingKind::AccessOpen { since } => say("finding.access_open", &[name, ("at", at(*since))]),
        FindingKind::MeterTamper { since } => say("finding.meter_tamper", &[name, ("at", at(*since))]),
        FindingKind::MeterReverse { since } => say("finding.meter_reverse", &[name, ("at", at(*since))]),
        FindingKind::MeterDry { since } => say("finding.meter_dry", &[name, ("at", at(*since))]),
        FindingKind::MeterBattery { since } => say("finding.meter_battery", &[name, ("at", at(*since))]),
        FindingKind::MeterValveFault { since } => say("finding.meter_valve_fault", &[name, ("at", at(*since))]),
        FindingKind::MeterDeviceFault { since } => say("finding.meter_device_fault", &[name, ("at", at(*since))]),
        FindingKind::MeterNoAnswer { since } => say("finding.meter_no_answer", &[name, ("at", at(*since))]),
        FindingKind::MeterUnknownStatus { since } => say("finding.meter_unknown_status", &[name, ("at", at(*since))]),
    }
}

/// A rule, by its code; the code itself where it is of another version.
pub fn rule(code: &str) -> Text {
    let key = match code {
        "leak_hourly_limit" => "rule.leak_hourly_limit",
        "leak_monthly_limit" => "rule.leak_monthly_limit",
        "leak_monthly_projection" => "rule.leak_monthly_projection",
        "leak_least_flow" => "rule.leak_least_flow",
        "leak_sudden" => "rule.leak_sudden",
        "leak_steady" => "rule.leak_steady",
        "leak_cistern" => "rule.leak_cistern",
        "leak_balance" => "rule.leak_balance",
        "loop_leak" => "rule.loop_leak",
        "loop_out_of_season" => "rule.loop_out_of_season",
        "air_lock" => "rule.air_lock",
        "stuck_shut" => "rule.stuck_shut",
        "stuck_open" => "rule.stuck_open",
        "sensor_dead" => "rule.sensor_dead",
        "room_cold" => "rule.room_cold",
        "frost_risk" => "rule.frost_risk",
        "meter_silent" => "rule.meter_silent",
        "meter_reset" => "rule.meter_reset",
        "meter_jump" => "rule.meter_jump",
        "leak_reported" => "rule.leak_reported",
        "leak_burst_reported" => "rule.leak_burst_reported",
        "leak_wet" => "rule.leak_wet",
        "emergency_call" => "rule.emergency_call",
        "access_open" => "rule.access_open",
        "meter_tamper" => "rule.meter_tamper",
        "meter_reverse" => "rule.meter_reverse",
        "meter_dry" => "rule.meter_dry",
        "meter_battery" => "rule.meter_battery",
        "meter_valve_fault" => "rule.meter_valve_fault",
        "meter_device_fault" => "rule.meter_device_fault",
        "meter_no_answer" => "rule.meter_no_answer",
        "meter_unknown_status" => "rule.meter_unknown_status",
        other => return Text::same(other),
    };
    say(key, &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Mark;
    use crate::domain::flag::Flag;
    use crate::domain::time::Month;

    #[test]
    fn findings_speak_tonnes_and_litres_per_minute() {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        let (from, to) = (Ts(1_764_000_000_000), Ts(1_764_003_600_000));
        let kind = FindingKind::LeakHourlyLimit { from, to, limit: Amount::litres(500), seen: Amount::litres(1390) };
        let text = finding("15号楼总表", Medium::Water, &kind, &tz);
        assert_eq!(text.zh, "15号楼总表：疑似漏水。11-25 00:00 至 11-25 01:00 水量 1.39 吨（平均 23.2 升/分钟），超过每小时限值 0.5 吨");
        assert_eq!(
            text.en,
            "15号楼总表: suspected leak. 1.39 t from 11-25 00:00 to 11-25 01:00 (about 23.2 L/min), over the hourly limit of 0.5 t"
        );
        let kind = FindingKind::MeterSilent { last: from, limit: Ms::hours(6) };
        assert_eq!(
            finding("101", Medium::Water, &kind, &tz).zh,
            "101：失联。自 11-25 00:00 起没有收到新读数，已超过 6 小时。请检查电池、信号和主题（topic）配置"
        );
    }

    #[test]
    fn a_register_that_jumped_is_told_in_its_own_unit() {
        let mark = |register| Mark { ts: Ts(0), register: Amount(register) };
        let kind = FindingKind::MeterJump { before: mark(5_000_000), after: mark(7_250_500), max_flow: Rate(50_000) };
        let of = |medium| finding("1", medium, &kind, &TimeZone::UTC).en;
        assert_eq!(
            of(Medium::Heat),
            "1: register jumped. At 01-01 00:00 it went from 5000 kWh to 7250.5 kWh, faster than the 50 kW that can pass; not counted"
        );
        assert!(of(Medium::Gas).contains("from 5 m³ to 7.25 m³, faster than the 0.05 m³/h"), "{}", of(Medium::Gas));
        assert!(of(Medium::Water).contains("from 5 t to 7.25 t, faster than the 0.8 L/min"), "{}", of(Medium::Water));
    }

    #[test]
    fn every_rule_has_a_name_and_every_text_is_in_two_languages() {
        let (m, mark) = (Amount::ZERO, Mark { ts: Ts(0), register: Amount::ZERO });
        let (month, warm) = (Month { year: 2026, month: 11 }, Temperature(45_000));
        for kind in [
            FindingKind::LeakHourlyLimit { from: Ts(0), to: Ts(0), limit: m, seen: m },
            FindingKind::LeakMonthlyLimit { month, limit: m, used: m },
            FindingKind::LeakMonthlyProjection { month, limit: m, used: m, last_day: m, projected: m },
            FindingKind::LeakLeastFlow { usual: Rate(0), seen: Rate(0), days: 28 },
            FindingKind::LeakSudden { from: Ts(0), usual: Rate(0), seen: Rate(0) },
            FindingKind::LeakSteady { from: Ts(0), least: Rate(0), most: Rate(0) },
            FindingKind::LeakCistern { from: Ts(0), quiet: 9, drawn: 8, usual: 1 },
            FindingKind::LeakBalance { usual: Rate(0), seen: Rate(0), meters: 46, known: 98 },
            FindingKind::LoopLeak { usual: Rate(0), seen: Rate(0), hours: 5 },
            FindingKind::LoopOutOfSeason { volume: m },
            FindingKind::AirLock { supply: warm, back: warm, usual: warm },
            FindingKind::StuckShut { position: 600, supply: warm, main: warm },
            FindingKind::StuckOpen { position: 0, back: warm, usual: warm },
            FindingKind::SensorDead { which: Which::Supply, value: warm, since: Ts(0) },
            FindingKind::SensorDead { which: Which::Return, value: warm, since: Ts(0) },
            FindingKind::RoomCold { limit: warm, readings: [(Ts(0), warm); 3] },
            FindingKind::FrostRisk { seen: warm, since: Ts(0) },
            FindingKind::MeterSilent { last: Ts(0), limit: Ms::ZERO },
            FindingKind::MeterReset { before: mark, after: mark },
            FindingKind::MeterJump { before: mark, after: mark, max_flow: Rate(0) },
        ]
        .into_iter()
        .chain(Flag::ALL.map(|f| f.statement(Ts(0))))
        {
            assert_ne!(rule(kind.code()).zh, kind.code());
            let text = finding("", Medium::Water, &kind, &TimeZone::UTC);
            assert!(text.en.is_ascii() && !text.zh.is_ascii(), "{text:?}");
        }
    }
}
