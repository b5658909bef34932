//! Shapes that several answers share; the unit of a number stands in its field's name.
//!
//! A number of a meter has a field for each unit that it may be in, and stands in the one of the meter's medium; the others are null. So a program that
//! adds up litres never adds a kilowatt-hour to them.

use crate::domain::finding::{Mark, StartRange};
use crate::domain::topology::Medium;
use crate::domain::units::{Amount, Quantity, Rate};
use crate::texts::{Decimal, Stamp};
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

/// The unit in which the API writes a quantity.
pub const fn unit(q: Quantity) -> &'static str {
    q.shown().0
}

/// In litres (water, gas), in kilowatt-hours (heat, electricity).
pub type Split = (Option<Decimal>, Option<Decimal>);

/// An amount, or a register standing at it.
pub fn amount(medium: Medium, v: Option<Amount>) -> Split {
    if medium.is_energy() { (None, v.map(Decimal::kilowatt_hours)) } else { (v.map(Decimal::litres), None) }
}

/// In litres per hour, in kilowatts.
pub fn rate(medium: Medium, v: Option<Rate>) -> Split {
    if medium.is_energy() { (None, v.map(Decimal::kilowatts)) } else { (v.map(Decimal::litres_per_hour), None) }
}

/// A reading of a register.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Register {
    pub time: Stamp,
    /// Null where the meter counts energy.
    pub register_litres: Option<Decimal>,
    /// Null where the meter counts a volume.
    pub register_kilowatt_hours: Option<Decimal>,
}

impl Register {
    pub fn new(m: Mark, medium: Medium, tz: &TimeZone) -> Register {
        let (register_litres, register_kilowatt_hours) = amount(medium, Some(m.register));
        Register { time: Stamp::new(m.ts, tz), register_litres, register_kilowatt_hours }
    }
}

/// When something began: not before `earliest`, not after `latest`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Start {
    pub earliest: Stamp,
    pub latest: Stamp,
}

impl Start {
    pub fn new(r: StartRange, tz: &TimeZone) -> Start {
        Start { earliest: Stamp::new(r.earliest, tz), latest: Stamp::new(r.latest, tz) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_in_the_field_of_its_medium_alone() {
        for medium in Medium::ALL {
            let (litres, kilowatt_hours) = amount(medium, Some(Amount(1_500)));
            assert_eq!((litres.is_some(), kilowatt_hours.is_some()), (!medium.is_energy(), medium.is_energy()), "{medium:?}");
            let (litres_per_hour, kilowatts) = rate(medium, Some(Rate(1_500)));
            assert_eq!((litres_per_hour.is_some(), kilowatts.is_some()), (!medium.is_energy(), medium.is_energy()), "{medium:?}");
            assert_eq!(kilowatts.or(litres_per_hour).map(|d| d.to_string()), Some("1.5".to_owned()));
            assert_eq!((amount(medium, None), rate(medium, None)), ((None, None), (None, None)));
        }
    }
}
