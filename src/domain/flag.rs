//! What a device says of itself or of its place besides numbers: a leak rope is wet, a lid is open, a battery is low.
//!
//! A source has at most one column of them: a set, kept as one integer. The bits are stored, so a flag never changes its bit.

use super::finding::FindingKind;
use super::time::Ts;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One statement of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// The device's own rule says that water leaks.
    Leak,
    /// The device's own rule says that a pipe has burst.
    Burst,
    /// 水浸: a leak rope or a flood sensor stands in water.
    Wet,
    /// 紧急呼叫: somebody pressed the button.
    Emergency,
    /// A door, a lid or a cabinet is open.
    Open,
    /// 拆动/强磁
    Tamper,
    /// 倒流
    Reverse,
    /// No water in the pipe.
    Dry,
    BatteryLow,
    /// A valve does not go where it is told.
    ValveFault,
    /// The device doubts its own numbers.
    DeviceFault,
    /// A meter does not answer the modem that asks it.
    NoAnswer,
    /// A status that its profile does not know.
    UnknownStatus,
}

impl Flag {
    /// In the order of their bits.
    pub const ALL: [Flag; 13] = [
        Flag::Leak,
        Flag::Burst,
        Flag::Wet,
        Flag::Emergency,
        Flag::Open,
        Flag::Tamper,
        Flag::Reverse,
        Flag::Dry,
        Flag::BatteryLow,
        Flag::ValveFault,
        Flag::DeviceFault,
        Flag::NoAnswer,
        Flag::UnknownStatus,
    ];

    /// The stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Flag::Leak => "leak",
            Flag::Burst => "burst",
            Flag::Wet => "wet",
            Flag::Emergency => "emergency",
            Flag::Open => "open",
            Flag::Tamper => "tamper",
            Flag::Reverse => "reverse",
            Flag::Dry => "dry",
            Flag::BatteryLow => "battery_low",
            Flag::ValveFault => "valve_fault",
            Flag::DeviceFault => "device_fault",
            Flag::NoAnswer => "no_answer",
            Flag::UnknownStatus => "unknown_status",
        }
    }

    /// The flag of this name.
    pub fn parse(code: &str) -> Option<Flag> {
        Flag::ALL.into_iter().find(|f| f.code() == code)
    }

    /// What is stated when it is raised.
    pub fn statement(self, since: Ts) -> FindingKind {
        match self {
            Flag::Leak => FindingKind::LeakReported { since },
            Flag::Burst => FindingKind::LeakBurstReported { since },
            Flag::Wet => FindingKind::LeakWet { since },
            Flag::Emergency => FindingKind::EmergencyCall { since },
            Flag::Open => FindingKind::AccessOpen { since },
            Flag::Tamper => FindingKind::MeterTamper { since },
            Flag::Reverse => FindingKind::MeterReverse { since },
            Flag::Dry => FindingKind::MeterDry { since },
            Flag::BatteryLow => FindingKind::MeterBattery { since },
            Flag::ValveFault => FindingKind::MeterValveFault { since },
            Flag::DeviceFault => FindingKind::MeterDeviceFault { since },
            Flag::NoAnswer => FindingKind::MeterNoAnswer { since },
            Flag::UnknownStatus => FindingKind::MeterUnknownStatus { since },
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The flags that are raised at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FlagSet(u32);

impl FlagSet {
    pub const NONE: FlagSet = FlagSet(0);

    /// As a column stores it; bits of no flag (of a later version) are left out.
    pub fn of_column(value: i64) -> FlagSet {
        Flag::ALL.into_iter().filter(|f| value & i64::from(f.bit()) != 0).collect()
    }

    pub fn column(self) -> i64 {
        i64::from(self.0)
    }
    pub fn contains(self, f: Flag) -> bool {
        self.0 & f.bit() != 0
    }
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub fn insert(&mut self, f: Flag) {
        self.0 |= f.bit();
    }
    /// Those of this set that are not in `other`.
    pub fn without(self, other: FlagSet) -> FlagSet {
        FlagSet(self.0 & !other.0)
    }
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |f| self.contains(*f))
    }
}

impl FlagSet {
    pub fn extend(&mut self, other: FlagSet) {
        self.0 |= other.0;
    }
}

impl FromIterator<Flag> for FlagSet {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> FlagSet {
        FlagSet(flags.into_iter().fold(0, |set, f| set | f.bit()))
    }
}

/// `leak, battery_low`; `none` where none is raised.
impl fmt::Display for FlagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (i, flag) in self.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, flag.code())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_name_its_bit_and_its_statement() {
        for (i, f) in Flag::ALL.into_iter().enumerate() {
            assert_eq!(f as usize, i);
            assert_eq!(Flag::parse(f.code()), Some(f));
            assert_eq!(serde_json::to_value(f).unwrap(), f.code());
            assert_eq!(f.statement(Ts(1)).flag(), Some(f));
        }
    }

    #[test]
    fn a_set_survives_its_column_and_ignores_bits_of_the_future() {
        let set: FlagSet = [Flag::Wet, Flag::BatteryLow].into_iter().collect();
        assert_eq!(FlagSet::of_column(set.column()), set);
        assert_eq!(FlagSet::of_column(set.column() | 1 << 40 | 1 << 31), set);
        assert_eq!(set.to_string(), "wet, battery_low");
        assert_eq!(set.without([Flag::Wet].into_iter().collect()).to_string(), "battery_low");
        assert_eq!(FlagSet::NONE.to_string(), "none");
    }
}
