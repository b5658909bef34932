//! What happened to incidents, as the API tells it: in a file's history and in the live stream alike.

use super::dto::{Register, Start, rate};
use super::error::Error;
use crate::domain::detect::heat::valve::Which;
use crate::domain::finding::{Finding, FindingKind};
use crate::domain::flag::Flag;
use crate::domain::incident::{Change, Closer, Event};
use crate::domain::topology::{Medium, Topology};
use crate::domain::units::{Amount, Quantity, Temperature};
use crate::store::EventRecord;
use crate::texts::{self, Decimal, Stamp, Text};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Something that happened to an incident.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventReport {
    /// Dense over all incidents, from 1: the id of the live stream's events.
    seq: u64,
    at: Stamp,
    /// Global id of the incident.
    #[schema(value_type = String)]
    incident: Arc<str>,
    /// `opened`, `found`, `cleared`, `accepted` or `closed`.
    code: &'static str,
    text: Text,
    /// Of `found`.
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<FindingReport>,
    /// Of `cleared`: key of the point and code of the rule whose finding is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// Who accepted or closed; null where the meter itself closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Of a closing that says that it was no leak: until when what was seen counts as usual. Else null.
    usual_until: Option<Stamp>,
}

/// What a rule states about a metering point.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingReport {
    /// Key of the metering point.
    pub point: String,
    /// The rule: `leak_hourly_limit`, `leak_monthly_limit`, `leak_monthly_projection`, `leak_least_flow`, `leak_sudden`,
    /// `leak_steady`, `leak_cistern`, `leak_balance`, `loop_leak`, `loop_out_of_season`, `air_lock`, `stuck_shut`, `stuck_open`, `sensor_dead`,
    /// `room_cold`, `frost_risk`, `meter_silent`, `meter_reset` or `meter_jump`; or what the
    /// device itself reports: `leak_wet`, `leak_reported`, `leak_burst_reported`, `emergency_call`, `access_open`, `meter_tamper`,
    /// `meter_reverse`, `meter_dry`, `meter_battery`, `meter_valve_fault`, `meter_device_fault`, `meter_no_answer` or `meter_unknown_status`.
    pub code: &'static str,
    pub args: Args,
    pub text: Text,
    /// The reading time at which it could first be said.
    pub at: Stamp,
    /// When it began, as well as can be told.
    pub start: Start,
    /// Said before, and grown by half since.
    pub grown: bool,
    /// Over for more than a day when it was found.
    pub historic: bool,
    /// The readings behind it, oldest first.
    pub evidence: Vec<Register>,
}

/// What the rule expected and saw, by its code.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Args {
    LeakHourlyLimit {
        from: Stamp,
        to: Stamp,
        limit_litres: Decimal,
        seen_litres: Decimal,
    },
    LeakMonthlyLimit {
        month: String,
        limit_tonnes: Decimal,
        used_tonnes: Decimal,
    },
    LeakMonthlyProjection {
        month: String,
        limit_tonnes: Decimal,
        used_tonnes: Decimal,
        last_day_tonnes: Decimal,
        projected_tonnes: Decimal,
    },
    LeakLeastFlow {
        /// The median, over so many days, of what passed in the quietest two hours of a day.
        usual_litres_per_hour: Decimal,
        usual_days: u32,
        /// What passed in the quietest two hours of the last 24.
        seen_litres_per_hour: Decimal,
    },
    LeakSudden {
        from: Stamp,
        /// What passes at these hours otherwise.
        usual_litres_per_hour: Decimal,
        /// The mean since then.
        seen_litres_per_hour: Decimal,
    },
    LeakSteady {
        from: Stamp,
        /// What runs beside what people draw: at least, and at most.
        least_litres_per_hour: Decimal,
        most_litres_per_hour: Decimal,
    },
    LeakCistern {
        from: Stamp,
        /// Hours since then that are usually quiet.
        quiet_hours: u32,
        /// In so many of them water was drawn.
        drawn_hours: u32,
        /// In so many of them it is drawn otherwise.
        usual_hours: u32,
    },
    LeakBalance {
        /// What the bulk meter passes more than its sub-meters: the median over weeks.
        usual_litres_per_hour: Decimal,
        /// In the least of five stretches of three hours.
        seen_litres_per_hour: Decimal,
        sub_meters: u32,
        /// Of the sub-meters' hours so much was known.
        known_percent: u32,
    },
    LoopLeak {
        /// What the loop took before.
        usual_litres_per_hour: Decimal,
        seen_litres_per_hour: Decimal,
        /// So long without a pause.
        hours: u32,
    },
    LoopOutOfSeason {
        volume_litres: Decimal,
    },
    AirLock {
        supply_celsius: Decimal,
        return_celsius: Decimal,
        /// What the return usually has at this supply and position.
        usual_return_celsius: Decimal,
    },
    StuckShut {
        position_percent: Decimal,
        supply_celsius: Decimal,
        /// What arrives at the other valves of the loop.
        main_celsius: Decimal,
    },
    StuckOpen {
        position_percent: Decimal,
        return_celsius: Decimal,
        /// What the return usually has when the valve is shut.
        usual_return_celsius: Decimal,
    },
    SensorDead {
        /// `supply` or `return`.
        which: &'static str,
        value_celsius: Decimal,
        since: Stamp,
    },
    RoomCold {
        limit_celsius: Decimal,
        /// Three in a row, oldest first.
        readings: Vec<Warmth>,
    },
    FrostRisk {
        seen_celsius: Decimal,
        /// No water has passed since.
        still_since: Stamp,
    },
    MeterSilent {
        last_reading_at: Stamp,
        limit_seconds: i64,
    },
    MeterReset {
        before: Register,
        after: Register,
    },
    MeterJump {
        before: Register,
        after: Register,
        /// Null where the meter counts energy.
        max_litres_per_hour: Option<Decimal>,
        /// Null where it counts a volume.
        max_kilowatts: Option<Decimal>,
    },
    /// The device itself says so; `flag` as its profile calls it.
    Reported {
        flag: &'static str,
        since: Stamp,
    },
}

/// A temperature at a moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Warmth {
    pub at: Stamp,
    pub celsius: Decimal,
}

fn celsius(t: Temperature) -> Decimal {
    Decimal::of(Quantity::Temperature, t.0)
}

impl Args {
    fn new(kind: &FindingKind, medium: Medium, tz: &TimeZone) -> Args {
        let register = |m| Register::new(m, medium, tz);
        match *kind {
            FindingKind::LeakHourlyLimit { from, to, limit, seen } => Args::LeakHourlyLimit {
                from: Stamp::new(from, tz),
                to: Stamp::new(to, tz),
                limit_litres: Decimal::litres(limit),
                seen_litres: Decimal::litres(seen),
            },
            FindingKind::LeakMonthlyLimit { month, limit, used } => Args::LeakMonthlyLimit {
                month: month.to_string(),
                limit_tonnes: Decimal::tonnes(limit),
                used_tonnes: Decimal::tonnes(used),
            },
            FindingKind::LeakMonthlyProjection { month, limit, used, last_day, projected } => Args::LeakMonthlyProjection {
                month: month.to_string(),
                limit_tonnes: Decimal::tonnes(limit),
                used_tonnes: Decimal::tonnes(used),
                last_day_tonnes: Decimal::tonnes(last_day),
                projected_tonnes: Decimal::tonnes(projected),
            },
            FindingKind::LeakLeastFlow { usual, seen, days } => Args::LeakLeastFlow {
                usual_litres_per_hour: Decimal::litres(Amount(usual.0)),
                usual_days: days,
                seen_litres_per_hour: Decimal::litres(Amount(seen.0)),
            },
            FindingKind::LeakSudden { from, usual, seen } => Args::LeakSudden {
                from: Stamp::new(from, tz),
                usual_litres_per_hour: Decimal::litres(Amount(usual.0)),
                seen_litres_per_hour: Decimal::litres(Amount(seen.0)),
            },
            FindingKind::LeakSteady { from, least, most } => Args::LeakSteady {
                from: Stamp::new(from, tz),
                least_litres_per_hour: Decimal::litres(Amount(least.0)),
                most_litres_per_hour: Decimal::litres(Amount(most.0)),
            },
            FindingKind::LeakCistern { from, quiet, drawn, usual } => {
                Args::LeakCistern { from: Stamp::new(from, tz), quiet_hours: quiet, drawn_hours: drawn, usual_hours: usual }
            }
            FindingKind::LeakBalance { usual, seen, meters, known } => Args::LeakBalance {
                usual_litres_per_hour: Decimal::litres(Amount(usual.0)),
                seen_litres_per_hour: Decimal::litres(Amount(seen.0)),
                sub_meters: meters,
                known_percent: known,
            },
            FindingKind::LoopLeak { usual, seen, hours } => Args::LoopLeak {
                usual_litres_per_hour: Decimal::litres_per_hour(usual),
                seen_litres_per_hour: Decimal::litres_per_hour(seen),
                hours,
            },
            FindingKind::LoopOutOfSeason { volume } => Args::LoopOutOfSeason { volume_litres: Decimal::litres(volume) },
            FindingKind::AirLock { supply, back, usual } => {
                Args::AirLock { supply_celsius: celsius(supply), return_celsius: celsius(back), usual_return_celsius: celsius(usual) }
            }
            FindingKind::StuckShut { position, supply, main } => Args::StuckShut {
                position_percent: Decimal::of(Quantity::Ratio, position),
                supply_celsius: celsius(supply),
                main_celsius: celsius(main),
            },
            FindingKind::StuckOpen { position, back, usual } => Args::StuckOpen {
                position_percent: Decimal::of(Quantity::Ratio, position),
                return_celsius: celsius(back),
                usual_return_celsius: celsius(usual),
            },
            FindingKind::SensorDead { which, value, since } => {
                let which = match which {
                    Which::Supply => "supply",
                    Which::Return => "return",
                };
                Args::SensorDead { which, value_celsius: celsius(value), since: Stamp::new(since, tz) }
            }
            FindingKind::RoomCold { limit, readings } => Args::RoomCold {
                limit_celsius: celsius(limit),
                readings: readings.into_iter().map(|(at, seen)| Warmth { at: Stamp::new(at, tz), celsius: celsius(seen) }).collect(),
            },
            FindingKind::FrostRisk { seen, since } => Args::FrostRisk { seen_celsius: celsius(seen), still_since: Stamp::new(since, tz) },
            FindingKind::MeterSilent { last, limit } => {
                Args::MeterSilent { last_reading_at: Stamp::new(last, tz), limit_seconds: limit.0 / 1_000 }
            }
            FindingKind::MeterReset { before, after } => Args::MeterReset { before: register(before), after: register(after) },
            FindingKind::MeterJump { before, after, max_flow } => {
                let (max_litres_per_hour, max_kilowatts) = rate(medium, Some(max_flow));
                Args::MeterJump { before: register(before), after: register(after), max_litres_per_hour, max_kilowatts }
            }
            FindingKind::LeakReported { since }
            | FindingKind::LeakBurstReported { since }
            | FindingKind::LeakWet { since }
            | FindingKind::EmergencyCall { since }
            | FindingKind::AccessOpen { since }
            | FindingKind::MeterTamper { since }
            | FindingKind::MeterReverse { since }
            | FindingKind::MeterDry { since }
            | FindingKind::MeterBattery { since }
            | FindingKind::MeterValveFault { since }
            | FindingKind::MeterDeviceFault { since }
            | FindingKind::MeterNoAnswer { since }
            | FindingKind::MeterUnknownStatus { since } => {
                Args::Reported { flag: kind.flag().map_or("", Flag::code), since: Stamp::new(since, tz) }
            }
        }
    }
}

/// A finding in the API's words.
pub fn finding(f: &Finding, topology: &Topology) -> FindingReport {
    let (tz, medium) = (&topology.tz, topology.medium_of(&f.point));
    FindingReport {
        point: f.point.clone(),
        code: f.kind.code(),
        args: Args::new(&f.kind, medium, tz),
        text: texts::finding(texts::point_name(topology, &f.point), medium, &f.kind, tz),
        at: Stamp::new(f.at, tz),
        start: Start::new(f.start, tz),
        grown: f.grown,
        historic: f.historic,
        evidence: f.evidence.iter().map(|m| Register::new(*m, medium, tz)).collect(),
    }
}

/// An event in the API's words.
pub fn report(e: &Event, topology: &Topology) -> EventReport {
    let mut r = EventReport {
        seq: e.seq,
        at: Stamp::new(e.at, &topology.tz),
        incident: e.incident.clone(),
        code: e.change.code(),
        text: texts::change(&e.change, topology),
        finding: None,
        point: None,
        rule: None,
        by: None,
        note: None,
        reason: None,
        usual_until: None,
    };
    match &e.change {
        Change::Opened { .. } => {}
        Change::Found { finding: f } => r.finding = Some(finding(f, topology)),
        Change::Cleared { point, code } => (r.point, r.rule) = (Some(point.clone()), Some(code.clone())),
        Change::Accepted { by, note } => (r.by, r.note) = (Some(by.clone()), note.clone()),
        Change::Closed { by, reason, granted } => {
            r.by = match by {
                Closer::Person { name } => Some(name.clone()),
                Closer::Meter => None,
            };
            r.reason = Some(reason.clone());
            r.usual_until = Stamp::maybe(granted.iter().map(|g| g.until).max(), &topology.tz);
        }
    }
    r
}

/// An event as the store keeps it (whole, in the engine's own words), read back.
pub fn stored(r: &EventRecord) -> Result<Event, Error> {
    serde_json::from_str(&r.body).map_err(|e| Error::Internal(format!("event {} cannot be read: {e}", r.seq)))
}
