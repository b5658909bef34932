//! Hard limits for meters whose file names none. A history comes without a config, so what an installer would write per meter is
//! chosen here from kind and households: reasons before numbers, and nothing is fitted to any data.

use crate::domain::time::Ms;
use crate::domain::topology::{Limits, PointKind};
use crate::domain::units::{Amount, Rate};

/// Two taps that stand fully open give about 20 L/min (tap standards ask for at least 9 each). An hour of one is watering a garden, which
/// real homes do every summer; an hour of two is more than anybody uses. What is less than that and does not stop, the rules that learn see.
const FIRST_HOUSEHOLD: i64 = 1_200;

/// Twice what design codes for houses take per household in the peak hour (180 L a day for each of 3.2 persons, peak factor 2.5): a pool that
/// is filled in the morning is no burst.
const FURTHER_HOUSEHOLD: i64 = 120;

/// The limit that is shipped for a building: the 15号楼 case lost this much in one month before anybody knew.
const BUILDING_TONNES: i64 = 1_000;

/// Three persons at 130 L a day take 12 t a month. With more than about 80 households a house passes 1000 t honestly.
const HOUSEHOLD_TONNES: i64 = 12;

/// A day: people look at a gap on the next working day, and nightly batches are not silence.
const SILENT_AFTER: Ms = Ms::hours(24);

/// A meter that reports rarely is silent after this many missing readings.
const SILENT_READINGS: i64 = 4;

/// How much of the compound a meter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Household,
    Building,
    /// The inflow of a district: streets, shops and the losses of the mains are in it, and no number of households bounds those.
    District,
    HeatingLoop,
}

impl Reach {
    pub fn kind(self) -> PointKind {
        match self {
            Reach::Household => PointKind::Sub,
            Reach::Building | Reach::District => PointKind::Bulk,
            Reach::HeatingLoop => PointKind::MakeUp,
        }
    }

    /// No real use flows faster: the overload flow of the meter sizes in use (the config ships the same).
    pub fn max_flow(self) -> Rate {
        Rate::litres(match self {
            Reach::Household => 5_000,
            Reach::Building => 100_000,
            Reach::District => 10_000_000,
            Reach::HeatingLoop => 10_000,
        })
    }
}

/// The limits of a meter with so many households behind it (where that is known) and readings every `every` (where that is known).
pub fn limits(reach: Reach, households: Option<u32>, every: Option<Ms>) -> Limits {
    let n = i64::from(households.unwrap_or(1));
    let hour = Amount::litres(FIRST_HOUSEHOLD + FURTHER_HOUSEHOLD * (n - 1));
    let month = Amount::tonnes(BUILDING_TONNES.max(HOUSEHOLD_TONNES * n));
    let (per_hour, per_month) = match reach {
        Reach::Household => (Some(hour), None),
        Reach::Building => (households.map(|_| hour), Some(month)),
        // Only somebody who knows the district, or the work that is done on the loop, can name a limit.
        Reach::District | Reach::HeatingLoop => (None, None),
    };
    let silent_after = every.map_or(SILENT_AFTER, |e| SILENT_AFTER.max(Ms(e.0.saturating_mul(SILENT_READINGS))));
    Limits { per_hour, per_month, silent_after: Some(silent_after) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_with_the_households_behind_a_meter() {
        let of = |reach, n| limits(reach, n, Some(Ms::minutes(15)));
        assert_eq!(of(Reach::Household, Some(1)).per_hour, Some(Amount::litres(1_200)));
        assert_eq!(of(Reach::Household, None), of(Reach::Household, Some(1)));
        assert_eq!(of(Reach::Building, Some(46)).per_hour, Some(Amount::litres(6_600)));
        assert_eq!(of(Reach::Building, Some(46)).per_month, Some(Amount::tonnes(1_000)));
        assert_eq!(of(Reach::Building, Some(138)).per_month, Some(Amount::tonnes(1_656)));
        assert_eq!(of(Reach::Building, None).per_hour, None, "without households nothing is known of an hour");
        assert_eq!(of(Reach::District, Some(3_000)).per_month, None);
    }

    #[test]
    fn rare_readings_are_not_silence() {
        assert_eq!(limits(Reach::Household, None, Some(Ms::minutes(15))).silent_after, Some(Ms::hours(24)));
        assert_eq!(limits(Reach::Household, None, Some(Ms::days(1))).silent_after, Some(Ms::days(4)));
        assert_eq!(limits(Reach::Household, None, None).silent_after, Some(Ms::hours(24)));
    }
}
