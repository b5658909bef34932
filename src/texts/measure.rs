//! Numbers of meters with their units, as people say them: each in the unit of what passes through the meter.

use super::{Decimal, Text, say};
use crate::domain::topology::Medium;
use crate::domain::units::{Amount, Rate};

/// How much passed, rounded for a sentence: tonnes of water, m³ of gas, kWh of heat and electricity.
pub fn amount(medium: Medium, v: Amount) -> Text {
    let key = match medium {
        Medium::Water | Medium::HotWater => "measure.tonnes",
        Medium::Gas => "measure.cubic_metres",
        Medium::Heat | Medium::Electricity => "measure.kilowatt_hours",
    };
    say(key, &[("n", large(medium, v).rounded(2).into())])
}

/// What a dial shows, to its last digit: m³, or kWh.
pub fn register(medium: Medium, v: Amount) -> Text {
    let key = if medium.is_energy() { "measure.kilowatt_hours" } else { "measure.cubic_metres" };
    say(key, &[("n", large(medium, v).into())])
}

/// How fast it passes: litres of water per minute, as people at a tap think; m³ of gas per hour; kW.
pub fn rate(medium: Medium, v: Rate) -> Text {
    match medium {
        Medium::Water | Medium::HotWater => say("measure.litres_per_minute", &[("n", Decimal::litres(Amount(v.0 / 60)).rounded(1).into())]),
        Medium::Gas => say("measure.cubic_metres_per_hour", &[("n", Decimal::cubic_metres(Amount(v.0)).rounded(2).into())]),
        Medium::Heat | Medium::Electricity => say("measure.kilowatts", &[("n", Decimal::kilowatts(v).rounded(2).into())]),
    }
}

/// In m³ (of water: tonnes) or kWh.
fn large(medium: Medium, v: Amount) -> Decimal {
    if medium.is_energy() { Decimal::kilowatt_hours(v) } else { Decimal::cubic_metres(v) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_medium_speaks_its_own_unit() {
        let said = |m: Medium| [amount(m, Amount(1_234_567)).en, register(m, Amount(1_234_567)).en, rate(m, Rate(90_000)).en];
        assert_eq!(said(Medium::Water), ["1.23 t", "1.234567 m³", "1.5 L/min"]);
        assert_eq!(said(Medium::HotWater), said(Medium::Water));
        assert_eq!(said(Medium::Gas), ["1.23 m³", "1.234567 m³", "0.09 m³/h"]);
        assert_eq!(said(Medium::Heat), ["1234.57 kWh", "1234.567 kWh", "90 kW"]);
        assert_eq!(said(Medium::Electricity), said(Medium::Heat));
    }
}
