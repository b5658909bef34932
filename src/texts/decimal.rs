//! Numbers as people and programs read them: digit by digit, a volume never passes through a float.

use crate::domain::units::{Amount, Quantity, Rate};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A decimal number, written digit by digit: a volume never passes through a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    digits: i64,
    /// How many of the digits stand behind the point.
    places: u8,
}

impl Decimal {
    pub const fn litres(v: Amount) -> Decimal {
        Decimal { digits: v.0, places: 3 }
    }
    pub const fn tonnes(v: Amount) -> Decimal {
        Decimal { digits: v.0, places: 6 }
    }
    pub const fn litres_per_hour(v: Rate) -> Decimal {
        Decimal { digits: v.0, places: 3 }
    }
    /// Of water they are tonnes.
    pub const fn cubic_metres(v: Amount) -> Decimal {
        Decimal { digits: v.0, places: 6 }
    }
    pub const fn kilowatt_hours(v: Amount) -> Decimal {
        Decimal { digits: v.0, places: 3 }
    }
    /// Watt-hours per hour are watts.
    pub const fn kilowatts(v: Rate) -> Decimal {
        Decimal { digits: v.0, places: 3 }
    }
    /// As people at a tap think; rounded to the millilitre.
    pub const fn litres_per_minute(v: Rate) -> Decimal {
        Decimal { digits: v.0.saturating_add(30 * v.0.signum()) / 60, places: 3 }
    }
    /// A value of a column in its quantity's usual unit (litres, degrees, per cent …).
    pub const fn of(quantity: Quantity, smallest: i64) -> Decimal {
        let (_, places) = quantity.shown();
        Decimal { digits: smallest, places }
    }
    /// What a volume costs, to the fen; half a fen rounds away from zero.
    pub fn yuan(v: Amount, milliyuan_per_tonne: u32) -> Decimal {
        let milliyuan = v.scaled(i64::from(milliyuan_per_tonne), 1_000_000).0;
        Decimal { digits: milliyuan.saturating_add(5 * milliyuan.signum()) / 10, places: 2 }
    }
    /// Rounded (half away from zero) to `places`, for a sentence.
    pub fn rounded(self, places: u8) -> Decimal {
        if places >= self.places {
            return self;
        }
        let unit = 10i64.pow(u32::from(self.places - places));
        let digits = self.digits.saturating_add(unit / 2 * self.digits.signum()) / unit;
        Decimal { digits, places }
    }
}

impl PartialSchema for Decimal {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Number).description(Some("An exact decimal.")).examples([serde_json::json!(338.304)]).into()
    }
}

impl ToSchema for Decimal {}

/// Room for a sign, nineteen digits, a zero before the point, and the point.
const LENGTH: usize = 22;

impl Decimal {
    /// Its digits, written from the last one on, at the end of `out`.
    fn text(self, out: &mut [u8; LENGTH]) -> &str {
        let (mut rest, mut places, mut at) = (self.digits.unsigned_abs(), self.places, out.len());
        while places > 0 && rest % 10 == 0 {
            rest /= 10;
            places -= 1;
        }
        let mut put = |byte: u8| {
            at = at.saturating_sub(1);
            out[at] = byte;
        };
        let (mut written, point) = (0, places);
        while rest > 0 || written <= point {
            if written == point && point > 0 {
                put(b'.');
            }
            // One digit.
            put(b'0' + u8::try_from(rest % 10).unwrap_or(0));
            rest /= 10;
            written += 1;
        }
        if self.digits < 0 {
            put(b'-');
        }
        // ASCII alone was put there.
        str::from_utf8(&out[at..]).unwrap_or_default()
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text(&mut [0; LENGTH]))
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let unit = 10i64.pow(u32::from(self.places));
        if self.digits % unit == 0 {
            return s.serialize_i64(self.digits / unit);
        }
        let mut out = [0; LENGTH];
        serde_json::from_str::<&RawValue>(self.text(&mut out)).map_err(serde::ser::Error::custom)?.serialize(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_no_longer_than_they_must_be() {
        let litres = |ml| serde_json::to_string(&Decimal::litres(Amount(ml))).unwrap();
        assert_eq!(litres(338_304_000), "338304");
        assert_eq!(litres(125), "0.125");
        assert_eq!(litres(-1_050), "-1.05");
        assert_eq!(litres(-5), "-0.005");
        assert_eq!(litres(i64::MAX), "9223372036854775.807");
        assert_eq!(litres(i64::MIN), "-9223372036854775.808");
        assert_eq!(Decimal::tonnes(Amount::litres(1_390)).to_string(), "1.39");
        assert_eq!(Decimal::of(Quantity::Ratio, 485).to_string(), "48.5");
        assert_eq!(Decimal::of(Quantity::Pulses, 485).to_string(), "485");
    }

    #[test]
    fn money_and_sentences_round_half_away_from_zero() {
        assert_eq!(Decimal::yuan(Amount::tonnes(1000), 3_850).to_string(), "3850");
        assert_eq!(Decimal::yuan(Amount::litres(1), 5_000).to_string(), "0.01");
        assert_eq!(Decimal::yuan(Amount(999), 5_000).to_string(), "0");
        assert_eq!(Decimal::tonnes(Amount::litres(1_395)).rounded(2).to_string(), "1.4");
        assert_eq!(Decimal::litres(Amount(-1_500)).rounded(0).to_string(), "-2");
        assert_eq!(Decimal::litres(Amount(i64::MAX)).rounded(0).to_string(), "9223372036854775");
    }
}
