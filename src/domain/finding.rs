//! What a detector states: a code, typed arguments, the readings behind it. Never a sentence; texts are made at the edge.

use super::detect::heat::valve::Which;
use super::flag::Flag;
use super::time::{Month, Ms, Ts};
use super::units::{Amount, Rate, Temperature};
use serde::{Deserialize, Serialize};

/// The class of cause that a finding speaks of. Findings of different classes never join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Water is being lost.
    Leak,
    /// The meter or its way to us is at fault; nothing is said about the water.
    Data,
    /// Somebody called for help.
    Emergency,
    /// Something is open that should be shut.
    Access,
    /// Somebody's heating does not do what it should.
    Heating,
}

impl Cause {
    pub const ALL: [Cause; 5] = [Cause::Leak, Cause::Data, Cause::Emergency, Cause::Access, Cause::Heating];

    /// The stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Cause::Leak => "leak",
            Cause::Data => "data",
            Cause::Emergency => "emergency",
            Cause::Access => "access",
            Cause::Heating => "heating",
        }
    }

    /// A person must hear of it at once: it is stored without waiting for more to be written with.
    pub const fn is_urgent(self) -> bool {
        !matches!(self, Cause::Data)
    }

    /// True if the end of its findings is its end. Where water ran or somebody called, a person looks before it is over.
    pub const fn ends_itself(self) -> bool {
        matches!(self, Cause::Data | Cause::Access | Cause::Heating)
    }
}

/// A register at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub ts: Ts,
    pub register: Amount,
}

/// When something began, as well as can be told: not before `earliest`, not after `latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRange {
    pub earliest: Ts,
    pub latest: Ts,
}

impl StartRange {
    pub fn overlaps(self, o: StartRange) -> bool {
        self.earliest <= o.latest && o.earliest <= self.latest
    }
    /// The smallest range that holds both.
    pub fn hull(self, o: StartRange) -> StartRange {
        StartRange { earliest: self.earliest.min(o.earliest), latest: self.latest.max(o.latest) }
    }
}

/// Which rule spoke, with what it expected and what it saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum FindingKind {
    /// More water passed within the hour `from`..`to` than the point's limit.
    LeakHourlyLimit { from: Ts, to: Ts, limit: Amount, seen: Amount },
    /// More water passed in the calendar month so far than its limit.
    LeakMonthlyLimit { month: Month, limit: Amount, used: Amount },
    /// If the rest of the month goes on like the last day, its limit will be passed.
    LeakMonthlyProjection { month: Month, limit: Amount, used: Amount, last_day: Amount, projected: Amount },
    /// In no two hours of the last day less passed than `seen`, where `usual` is the median of that over so many `days` before.
    LeakLeastFlow { usual: Rate, seen: Rate, days: u32 },
    /// Far more than usual passes since `from`, and it does not stop: `seen` in the mean, where `usual` is what passes at these hours.
    LeakSudden { from: Ts, usual: Rate, seen: Rate },
    /// In a home water has not rested since `from`: something between `least` and `most` runs beside what people draw.
    LeakSteady { from: Ts, least: Rate, most: Rate },
    /// In a home water was drawn in `drawn` of `quiet` hours since `from` that are usually quiet; it is drawn in `usual` of so many.
    LeakCistern { from: Ts, quiet: u32, drawn: u32, usual: u32 },
    /// A bulk meter passes more than its `meters` sub-meters, hour after hour: `seen`, where `usual` is the median over weeks. Of the
    /// sub-meters' hours `known` per cent were there.
    LeakBalance { usual: Rate, seen: Rate, meters: u32, known: u32 },
    /// A heating loop is filled up with `seen` an hour for so many `hours` without a pause, where `usual` is what it took before.
    LoopLeak { usual: Rate, seen: Rate, hours: u32 },
    /// A heating loop is filled up with `volume` within a day while nobody heats.
    LoopOutOfSeason { volume: Amount },
    /// 气堵: the valve stands open, its supply is warm, and the return is colder than it `usual`ly is at this supply.
    AirLock { supply: Temperature, back: Temperature, usual: Temperature },
    /// 卡关: the valve says that it stands open, by so many per mille, and of the `main`'s warmth hardly anything arrives.
    StuckShut { position: i64, supply: Temperature, main: Temperature },
    /// 卡开: the valve says that it is shut, and its return is as warm as if it stood open; `usual` when shut.
    StuckOpen { position: i64, back: Temperature, usual: Temperature },
    /// A temperature sensor shows what cannot be, or one value for ever.
    SensorDead { which: Which, value: Temperature, since: Ts },
    /// 室温不达标: three readings in a row, oldest first, under the limit in the heating season.
    RoomCold { limit: Temperature, readings: [(Ts, Temperature); 3] },
    /// Near freezing, and nothing flows that would keep a pipe from it, `since` then.
    FrostRisk { seen: Temperature, since: Ts },
    /// No reading for longer than the point's limit. `last` is the last reading's own time.
    MeterSilent { last: Ts, limit: Ms },
    /// The register fell for good: device restarted, meter reset or replaced. What passed in between is unknown.
    MeterReset { before: Mark, after: Mark },
    /// The register jumped further than any real flow, and stayed there. The jump is not counted as water.
    MeterJump { before: Mark, after: Mark, max_flow: Rate },
    /// The device itself says that water leaks.
    LeakReported { since: Ts },
    /// The device itself says that a pipe has burst.
    LeakBurstReported { since: Ts },
    /// A leak rope or flood sensor stands in water.
    LeakWet { since: Ts },
    /// An emergency button was pressed.
    EmergencyCall { since: Ts },
    /// A door, lid or cabinet is open.
    AccessOpen { since: Ts },
    /// The device was tampered with.
    MeterTamper { since: Ts },
    /// Water runs backwards through the meter.
    MeterReverse { since: Ts },
    /// No water stands in the pipe.
    MeterDry { since: Ts },
    /// The battery is nearly empty.
    MeterBattery { since: Ts },
    /// A valve does not go where it is told.
    MeterValveFault { since: Ts },
    /// The device doubts its own numbers.
    MeterDeviceFault { since: Ts },
    /// The meter behind a modem does not answer it.
    MeterNoAnswer { since: Ts },
    /// The device reports a status that its profile does not know.
    MeterUnknownStatus { since: Ts },
}

impl FindingKind {
    /// The stable name of the rule: API, replay output, metrics.
    pub fn code(&self) -> &'static str {
        match self {
            FindingKind::LeakHourlyLimit { .. } => "leak_hourly_limit",
            FindingKind::LeakMonthlyLimit { .. } => "leak_monthly_limit",
            FindingKind::LeakMonthlyProjection { .. } => "leak_monthly_projection",
            FindingKind::LeakLeastFlow { .. } => "leak_least_flow",
            FindingKind::LeakSudden { .. } => "leak_sudden",
            FindingKind::LeakSteady { .. } => "leak_steady",
            FindingKind::LeakCistern { .. } => "leak_cistern",
            FindingKind::LeakBalance { .. } => "leak_balance",
            FindingKind::LoopLeak { .. } => "loop_leak",
            FindingKind::LoopOutOfSeason { .. } => "loop_out_of_season",
            FindingKind::AirLock { .. } => "air_lock",
            FindingKind::StuckShut { .. } => "stuck_shut",
            FindingKind::StuckOpen { .. } => "stuck_open",
            FindingKind::SensorDead { .. } => "sensor_dead",
            FindingKind::RoomCold { .. } => "room_cold",
            FindingKind::FrostRisk { .. } => "frost_risk",
            FindingKind::MeterSilent { .. } => "meter_silent",
            FindingKind::MeterReset { .. } => "meter_reset",
            FindingKind::MeterJump { .. } => "meter_jump",
            FindingKind::LeakReported { .. } => "leak_reported",
            FindingKind::LeakBurstReported { .. } => "leak_burst_reported",
            FindingKind::LeakWet { .. } => "leak_wet",
            FindingKind::EmergencyCall { .. } => "emergency_call",
            FindingKind::AccessOpen { .. } => "access_open",
            FindingKind::MeterTamper { .. } => "meter_tamper",
            FindingKind::MeterReverse { .. } => "meter_reverse",
            FindingKind::MeterDry { .. } => "meter_dry",
            FindingKind::MeterBattery { .. } => "meter_battery",
            FindingKind::MeterValveFault { .. } => "meter_valve_fault",
            FindingKind::MeterDeviceFault { .. } => "meter_device_fault",
            FindingKind::MeterNoAnswer { .. } => "meter_no_answer",
            FindingKind::MeterUnknownStatus { .. } => "meter_unknown_status",
        }
    }

    /// The rule that says it: its code, but that of a home has two and speaks of one matter.
    pub fn rule(&self) -> &'static str {
        match self {
            FindingKind::LeakSteady { .. } | FindingKind::LeakCistern { .. } => "home",
            other => other.code(),
        }
    }

    /// Somebody must go now, at night as well: water runs away, somebody called, or pipes are about to burst.
    pub fn is_pressing(&self) -> bool {
        matches!(self.cause(), Cause::Leak | Cause::Emergency) || matches!(self, FindingKind::FrostRisk { .. })
    }

    /// The device's flag that it comes from; None where a rule of ours speaks.
    pub fn flag(&self) -> Option<Flag> {
        Flag::ALL.into_iter().find(|f| f.statement(Ts(0)).code() == self.code())
    }

    /// A rule that learns what is usual has spoken: it knows of more days than are read again when a ledger is corrected.
    pub const fn is_learned(&self) -> bool {
        matches!(
            self,
            FindingKind::LeakLeastFlow { .. }
                | FindingKind::LeakSudden { .. }
                | FindingKind::LeakSteady { .. }
                | FindingKind::LeakCistern { .. }
                | FindingKind::LeakBalance { .. }
                | FindingKind::LoopLeak { .. }
        )
    }

    /// How much is lost, at least and at most, where a rule can tell: what it saw above the usual.
    pub fn loss(&self) -> Option<(Rate, Rate)> {
        let above = |usual: Rate, seen: Rate| Rate((seen.0 - usual.0).max(0));
        match *self {
            FindingKind::LeakSteady { least, most, .. } => Some((least, most)),
            FindingKind::LeakLeastFlow { usual, seen, .. }
            | FindingKind::LeakSudden { usual, seen, .. }
            | FindingKind::LeakBalance { usual, seen, .. }
            | FindingKind::LoopLeak { usual, seen, .. } => Some((above(usual, seen), above(usual, seen))),
            _ => None,
        }
    }

    pub fn cause(&self) -> Cause {
        match self {
            FindingKind::LeakHourlyLimit { .. }
            | FindingKind::LeakMonthlyLimit { .. }
            | FindingKind::LeakMonthlyProjection { .. }
            | FindingKind::LeakLeastFlow { .. }
            | FindingKind::LeakSudden { .. }
            | FindingKind::LeakSteady { .. }
            | FindingKind::LeakCistern { .. }
            | FindingKind::LeakBalance { .. }
            | FindingKind::LoopLeak { .. }
            | FindingKind::LoopOutOfSeason { .. }
            | FindingKind::LeakReported { .. }
            | FindingKind::LeakBurstReported { .. }
            | FindingKind::LeakWet { .. } => Cause::Leak,
            FindingKind::EmergencyCall { .. } => Cause::Emergency,
            FindingKind::AccessOpen { .. } => Cause::Access,
            FindingKind::AirLock { .. }
            | FindingKind::StuckShut { .. }
            | FindingKind::StuckOpen { .. }
            | FindingKind::RoomCold { .. }
            | FindingKind::FrostRisk { .. } => Cause::Heating,
            FindingKind::SensorDead { .. }
            | FindingKind::MeterSilent { .. }
            | FindingKind::MeterReset { .. }
            | FindingKind::MeterJump { .. }
            | FindingKind::MeterTamper { .. }
            | FindingKind::MeterReverse { .. }
            | FindingKind::MeterDry { .. }
            | FindingKind::MeterBattery { .. }
            | FindingKind::MeterValveFault { .. }
            | FindingKind::MeterDeviceFault { .. }
            | FindingKind::MeterNoAnswer { .. }
            | FindingKind::MeterUnknownStatus { .. } => Cause::Data,
        }
    }
}

/// One statement of one rule about one metering point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Key of the metering point.
    pub point: String,
    #[serde(flatten)]
    pub kind: FindingKind,
    /// The reading time at which it could first be said.
    pub at: Ts,
    pub start: StartRange,
    /// The same rule spoke before about this point, and it has grown by half since.
    pub grown: bool,
    /// It was over for more than a day when it was found: recorded, never notified.
    pub historic: bool,
    /// The readings behind it, oldest first; few, so that a page can draw them and a person check them.
    pub evidence: Vec<Mark>,
}
