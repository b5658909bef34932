//! Quantities as integers in the smallest sensible unit. Volumes and energy never pass through a float.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub};

/// An amount in the smallest unit of its medium, or a register standing at it: millilitres of water or gas, watt-hours of heat or electricity.
/// Signed: a register may fall.
///
/// One type for all, because what is done with them is the same: a register rises, runs full, is replaced; days and months sum what passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub i64);

impl Amount {
    pub const ZERO: Amount = Amount(0);
    pub const fn litres(n: i64) -> Amount {
        Amount(n * 1_000)
    }
    pub const fn tonnes(n: i64) -> Amount {
        Amount(n * 1_000_000)
    }
    pub const fn kilowatt_hours(n: i64) -> Amount {
        Amount(n * 1_000)
    }
    /// `self * num / den` without overflow on the way; rounds towards zero, saturates at the ends of `i64`. `den` 0 gives 0.
    pub fn scaled(self, num: i64, den: i64) -> Amount {
        if den == 0 {
            return Amount::ZERO;
        }
        // Nearly always it fits, and a division of 64 bits takes a tenth of one of 128.
        if let Some(product) = self.0.checked_mul(num)
            && let Some(v) = product.checked_div(den)
        {
            return Amount(v);
        }
        let v = i128::from(self.0) * i128::from(num) / i128::from(den);
        Amount(i64::try_from(v).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX }))
    }
    /// The mean rate that passes this amount in `ms` milliseconds. `ms` of 0 or less gives 0.
    pub fn per(self, ms: i64) -> Rate {
        if ms <= 0 {
            return Rate(0);
        }
        Rate(self.scaled(3_600_000, ms).0)
    }
}

impl Add for Amount {
    type Output = Amount;
    fn add(self, o: Amount) -> Amount {
        Amount(self.0.saturating_add(o.0))
    }
}
impl Sub for Amount {
    type Output = Amount;
    fn sub(self, o: Amount) -> Amount {
        Amount(self.0.saturating_sub(o.0))
    }
}
impl AddAssign for Amount {
    fn add_assign(&mut self, o: Amount) {
        *self = *self + o;
    }
}
impl Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(it: I) -> Amount {
        it.fold(Amount::ZERO, Add::add)
    }
}

/// How fast an amount passes: millilitres per hour, or watt-hours per hour, which are watts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub i64);

impl Rate {
    pub const fn litres(n: i64) -> Rate {
        Rate(n * 1_000)
    }
    /// The amount that this rate passes in `ms` milliseconds.
    pub fn over(self, ms: i64) -> Amount {
        Amount(self.0).scaled(ms, 3_600_000)
    }
}

/// How warm it is: thousandths of a degree Celsius.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Temperature(pub i64);

impl Temperature {
    pub const fn celsius(n: i64) -> Temperature {
        Temperature(n * 1_000)
    }
}

/// What a number measures, and so in which smallest unit it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Millilitres on a register.
    Volume,
    /// Pulses on a counter; a meter's pulse weight makes them a volume.
    Pulses,
    /// Millilitres per hour.
    Flow,
    /// Thousandths of a degree Celsius.
    Temperature,
    /// Per mille.
    Ratio,
    /// Watt-hours on a register.
    Energy,
    /// Millivolts.
    Voltage,
    /// Thousandths of a number without a unit.
    Number,
    /// Milliwatts.
    Power,
    /// Pascals.
    Pressure,
    /// A set of [`Flag`](super::flag::Flag)s.
    Flags,
}

impl Quantity {
    /// The unit in which programs are told it, and how many decimal places the smallest unit makes of that.
    pub const fn shown(self) -> (&'static str, u8) {
        match self {
            Quantity::Volume => ("L", 3),
            Quantity::Pulses => ("pulses", 0),
            Quantity::Flow => ("L/h", 3),
            Quantity::Temperature => ("°C", 3),
            Quantity::Ratio => ("%", 1),
            Quantity::Energy => ("Wh", 0),
            Quantity::Voltage => ("V", 3),
            Quantity::Number => ("1", 3),
            Quantity::Power => ("W", 3),
            Quantity::Pressure => ("kPa", 3),
            Quantity::Flags => ("flags", 0),
        }
    }
}

/// A unit in which somebody writes a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    Millilitre,
    Litre,
    CubicMetre,
    Pulse,
    LitrePerHour,
    LitrePerMinute,
    LitrePerSecond,
    CubicMetrePerHour,
    CubicMetrePerMinute,
    CubicMetrePerSecond,
    Celsius,
    Percent,
    WattHour,
    KilowattHour,
    MegawattHour,
    Joule,
    Kilojoule,
    Megajoule,
    Gigajoule,
    Watt,
    Kilowatt,
    Volt,
    Millivolt,
    Pascal,
    Kilopascal,
    Bar,
    One,
}

impl Unit {
    /// Every spelling that is understood, with its unit; the first spelling of a unit is the one that is shown.
    pub const SPELLINGS: &[(&str, Unit)] = &[
        ("mL", Unit::Millilitre),
        ("ml", Unit::Millilitre),
        ("L", Unit::Litre),
        ("l", Unit::Litre),
        ("升", Unit::Litre),
        ("m³", Unit::CubicMetre),
        ("m3", Unit::CubicMetre),
        ("t", Unit::CubicMetre),
        ("吨", Unit::CubicMetre),
        ("pulse", Unit::Pulse),
        ("pulses", Unit::Pulse),
        ("L/h", Unit::LitrePerHour),
        ("l/h", Unit::LitrePerHour),
        ("L/min", Unit::LitrePerMinute),
        ("l/min", Unit::LitrePerMinute),
        ("L/s", Unit::LitrePerSecond),
        ("l/s", Unit::LitrePerSecond),
        ("m³/h", Unit::CubicMetrePerHour),
        ("m3/h", Unit::CubicMetrePerHour),
        ("m³/min", Unit::CubicMetrePerMinute),
        ("m3/min", Unit::CubicMetrePerMinute),
        ("m³/s", Unit::CubicMetrePerSecond),
        ("m3/s", Unit::CubicMetrePerSecond),
        ("°C", Unit::Celsius),
        ("℃", Unit::Celsius),
        ("degC", Unit::Celsius),
        ("C", Unit::Celsius),
        ("%", Unit::Percent),
        ("pct", Unit::Percent),
        ("Wh", Unit::WattHour),
        ("kWh", Unit::KilowattHour),
        ("MWh", Unit::MegawattHour),
        ("J", Unit::Joule),
        ("kJ", Unit::Kilojoule),
        ("MJ", Unit::Megajoule),
        ("GJ", Unit::Gigajoule),
        ("W", Unit::Watt),
        ("kW", Unit::Kilowatt),
        ("V", Unit::Volt),
        ("mV", Unit::Millivolt),
        ("Pa", Unit::Pascal),
        ("kPa", Unit::Kilopascal),
        ("bar", Unit::Bar),
        ("1", Unit::One),
    ];

    /// The unit that `s` spells, if any.
    pub fn parse(s: &str) -> Option<Unit> {
        Unit::SPELLINGS.iter().find(|(name, _)| *name == s).map(|(_, u)| *u)
    }

    pub const fn quantity(self) -> Quantity {
        match self {
            Unit::Millilitre | Unit::Litre | Unit::CubicMetre => Quantity::Volume,
            Unit::Pulse => Quantity::Pulses,
            Unit::LitrePerHour
            | Unit::LitrePerMinute
            | Unit::LitrePerSecond
            | Unit::CubicMetrePerHour
            | Unit::CubicMetrePerMinute
            | Unit::CubicMetrePerSecond => Quantity::Flow,
            Unit::Celsius => Quantity::Temperature,
            Unit::Percent => Quantity::Ratio,
            Unit::WattHour
            | Unit::KilowattHour
            | Unit::MegawattHour
            | Unit::Joule
            | Unit::Kilojoule
            | Unit::Megajoule
            | Unit::Gigajoule => Quantity::Energy,
            Unit::Watt | Unit::Kilowatt => Quantity::Power,
            Unit::Volt | Unit::Millivolt => Quantity::Voltage,
            Unit::Pascal | Unit::Kilopascal | Unit::Bar => Quantity::Pressure,
            Unit::One => Quantity::Number,
        }
    }

    /// How many of the quantity's smallest unit make one of this unit, as a fraction: numerator, denominator.
    pub const fn ratio(self) -> (i64, i64) {
        match self {
            Unit::Millilitre | Unit::Pulse | Unit::WattHour | Unit::Millivolt | Unit::Pascal => (1, 1),
            Unit::Litre
            | Unit::LitrePerHour
            | Unit::Celsius
            | Unit::KilowattHour
            | Unit::Watt
            | Unit::Volt
            | Unit::Kilopascal
            | Unit::One => (1_000, 1),
            Unit::CubicMetre | Unit::CubicMetrePerHour | Unit::MegawattHour | Unit::Kilowatt => (1_000_000, 1),
            Unit::LitrePerMinute => (60_000, 1),
            Unit::LitrePerSecond => (3_600_000, 1),
            Unit::CubicMetrePerMinute => (60_000_000, 1),
            Unit::CubicMetrePerSecond => (3_600_000_000, 1),
            Unit::Percent => (10, 1),
            Unit::Bar => (100_000, 1),
            // An hour has 3600 seconds.
            Unit::Joule => (1, 3_600),
            Unit::Kilojoule => (1_000, 3_600),
            Unit::Megajoule => (1_000_000, 3_600),
            Unit::Gigajoule => (1_000_000_000, 3_600),
        }
    }

    /// How many of the quantity's smallest unit make one of this unit, where that is a whole number: all but joules.
    pub const fn factor(self) -> Option<i64> {
        match self.ratio() {
            (n, 1) => Some(n),
            _ => None,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Unit::SPELLINGS.iter().find(|(_, u)| u == self).map_or("?", |(name, _)| name))
    }
}

/// A decimal number as it was written: `digits × 10^-scale`. Exact, unlike a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    pub digits: i64,
    pub scale: u8,
}

/// Why a number could not be taken as an integer of the smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// Not a number at all.
    Syntax,
    /// A number, but too large for 64 bits in the smallest unit.
    Range,
}

impl Decimal {
    /// Reads `12`, `-3.5`, `338,304` (a comma is a decimal comma), `1.2e3`. No spaces, no digit grouping, no unit.
    ///
    /// More than 18 significant digits after the point are cut: they are below any smallest unit.
    pub fn parse(s: &str) -> Result<Decimal, NumberError> {
        let (mantissa, exponent) = match s.find(['e', 'E']) {
            Some(i) => (&s[..i], s[i + 1..].parse::<i32>().map_err(|_| NumberError::Syntax)?),
            None => (s, 0),
        };
        let (negative, body) = match mantissa.as_bytes().first() {
            Some(b'-') => (true, &mantissa[1..]),
            Some(b'+') => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (mut digits, mut scale, mut seen, mut point) = (0i128, 0i32, false, false);
        for c in body.bytes() {
            match c {
                b'0'..=b'9' => {
                    seen = true;
                    if point && scale >= 18 {
                        continue;
                    }
                    digits = digits * 10 + i128::from(c - b'0');
                    scale += i32::from(point);
                    if digits > i128::from(i64::MAX) * 1_000_000_000_000_000_000 {
                        return Err(NumberError::Range);
                    }
                }
                b'.' | b',' if !point => point = true,
                _ => return Err(NumberError::Syntax),
            }
        }
        if !seen {
            return Err(NumberError::Syntax);
        }
        if !(-40..=40).contains(&exponent) {
            return if digits == 0 { Ok(Decimal { digits: 0, scale: 0 }) } else { Err(NumberError::Range) };
        }
        scale -= exponent;
        while scale < 0 {
            digits = digits.checked_mul(10).ok_or(NumberError::Range)?;
            scale += 1;
        }
        while scale > 0 && (digits % 10 == 0 || scale > 18 || digits > i128::from(i64::MAX)) {
            digits /= 10;
            scale -= 1;
        }
        let digits = i64::try_from(digits).map_err(|_| NumberError::Range)?;
        Ok(Decimal { digits: if negative { -digits } else { digits }, scale: u8::try_from(scale).map_err(|_| NumberError::Range)? })
    }

    /// The exact product, as far as 18 decimal places.
    pub fn times(self, o: Decimal) -> Result<Decimal, NumberError> {
        let mut digits = i128::from(self.digits) * i128::from(o.digits);
        let mut scale = self.scale + o.scale;
        while scale > 0 && (digits % 10 == 0 || scale > 18 || i64::try_from(digits).is_err()) {
            digits /= 10;
            scale -= 1;
        }
        Ok(Decimal { digits: i64::try_from(digits).map_err(|_| NumberError::Range)?, scale })
    }

    /// This number of `unit`, in the quantity's smallest unit; half a smallest unit rounds away from zero.
    pub fn in_smallest(self, unit: Unit) -> Result<i64, NumberError> {
        let (num, den) = unit.ratio();
        let v = i128::from(self.digits) * i128::from(num);
        let den = 10i128.pow(u32::from(self.scale)) * i128::from(den);
        let half = if v < 0 { -(den / 2) } else { den / 2 };
        i64::try_from((v + half) / den).map_err(|_| NumberError::Range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ml(s: &str, u: Unit) -> Result<i64, NumberError> {
        Decimal::parse(s)?.in_smallest(u)
    }

    #[test]
    fn numbers_become_exact_integers() {
        assert_eq!(ml("338.304", Unit::CubicMetre), Ok(338_304_000));
        assert_eq!(ml("338,304", Unit::CubicMetre), Ok(338_304_000));
        assert_eq!(ml("0.1", Unit::Litre), Ok(100));
        assert_eq!(ml("-0.0005", Unit::Litre), Ok(-1));
        assert_eq!(ml("1.5e2", Unit::Litre), Ok(150_000));
        assert_eq!(ml("1e-3", Unit::CubicMetre), Ok(1_000));
        assert_eq!(ml("48.5", Unit::Percent), Ok(485));
        assert_eq!(ml("0.000386", Unit::LitrePerSecond), Ok(1_390));
        assert_eq!(ml("00012.300", Unit::Litre), Ok(12_300));
        assert_eq!(ml("3.6", Unit::Megajoule), Ok(1_000));
        assert_eq!(ml("0.01", Unit::Gigajoule), Ok(2_778));
        assert_eq!(ml("1.5", Unit::Bar), Ok(150_000));
        assert_eq!(ml("12345678901234.123456789012345678901234", Unit::Litre), Ok(12_345_678_901_234_123));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for s in ["", "-", ".", "1.2.3", "1,234.5", "12 ", "abc", "1e", "NaN", "inf", "0x10", "１"] {
            assert_eq!(Decimal::parse(s), Err(NumberError::Syntax), "{s:?}");
        }
        assert_eq!(ml("1e30", Unit::Litre), Err(NumberError::Range));
        assert_eq!(ml("9999999999999999999999999999999999999999999999", Unit::Litre), Err(NumberError::Range));
        assert_eq!(ml("0e999", Unit::Litre), Ok(0));
    }

    #[test]
    fn products_are_exact() {
        let d = |s| Decimal::parse(s).unwrap();
        assert_eq!(d("338304").times(d("0.001")), Ok(d("338.304")));
        assert_eq!(d("-2.5").times(d("10")), Ok(d("-25")));
        assert_eq!(d("0.000000000000000001").times(d("0.1")), Ok(d("0")));
        assert_eq!(d("9000000000000000000").times(d("10")), Err(NumberError::Range));
    }

    #[test]
    fn flow_and_volume_agree() {
        assert_eq!(Amount::litres(1390).per(3_600_000), Rate::litres(1390));
        assert_eq!(Rate::litres(1390).over(1_800_000), Amount::litres(695));
    }
}
