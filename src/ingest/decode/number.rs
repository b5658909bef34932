//! A number as a device writes it, as an integer of its quantity's smallest unit.
//!
//! One separator is a decimal point or a decimal comma: `338.304`, `338,304`. Digits are never taken as grouped: `1,234.5`,
//! `1.234,5`, `1,234,567` and `1 234` are refused, for each reads differently in another country. Pulses are whole, and there a
//! comma could only group, so `12,345` pulses are refused as well.

use super::{blank, shown};
use crate::domain::reading::Reject;
use crate::domain::units::{Decimal, NumberError, Unit};

/// Reads `text` as `unit`, or as the unit behind the number if that measures the same; the number is multiplied by `scale` first. `at` is the
/// place that an error names.
pub(super) fn read(text: &str, unit: Unit, scale: Option<Decimal>, at: &str) -> Result<i64, Reject> {
    let text = text.trim_matches(blank);
    let (number, suffix) = text.split_at(number_len(text.as_bytes()));
    let suffix = suffix.trim_start_matches(blank);
    let refused = |e| match e {
        NumberError::Syntax => Reject::Number { at: at.into(), found: shown(text) },
        NumberError::Range => Reject::Range { at: at.into(), found: shown(text) },
    };
    // The number is judged before the unit, and what cannot begin a unit belongs to the number: "12:30" is no number of ":30".
    if suffix.starts_with(|c: char| c.is_ascii() && !c.is_ascii_alphabetic() && c != '%') {
        return Err(refused(NumberError::Syntax));
    }
    let decimal = Decimal::parse(number).map_err(refused)?;
    let unit = match suffix {
        "" => unit,
        _ => Unit::parse(suffix).filter(|own| own.quantity() == unit.quantity()).ok_or_else(|| Reject::Unit {
            at: at.into(),
            found: shown(suffix),
            expected: unit.quantity(),
        })?,
    };
    if unit == Unit::Pulse && (decimal.scale > 0 || number.contains(',')) {
        return Err(refused(NumberError::Syntax));
    }
    let scaled = scale.map_or(Ok(decimal), |by| decimal.times(by));
    scaled.and_then(|d| d.in_smallest(unit)).map_err(refused)
}

/// How much of the head of `b` is a number: sign, digits and separators, and an exponent only where digits follow its `e`.
fn number_len(b: &[u8]) -> usize {
    let digit = |i: usize| b.get(i).is_some_and(u8::is_ascii_digit);
    let sign = |i: usize| usize::from(matches!(b.get(i), Some(b'+' | b'-')));
    let mut i = sign(0);
    while digit(i) || matches!(b.get(i), Some(b'.' | b',')) {
        i += 1;
    }
    if matches!(b.get(i), Some(b'e' | b'E')) {
        let mut end = i + 1 + sign(i + 1);
        if digit(end) {
            while digit(end) {
                end += 1;
            }
            i = end;
        }
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::Quantity;

    #[test]
    fn numbers_are_read_as_devices_write_them() {
        let cases: &[(&str, Unit, i64)] = &[
            ("338.304", Unit::CubicMetre, 338_304_000),
            ("338,304", Unit::CubicMetre, 338_304_000),
            (" 338.304 ", Unit::CubicMetre, 338_304_000),
            ("338.304 m³", Unit::CubicMetre, 338_304_000),
            ("338,304m3", Unit::CubicMetre, 338_304_000),
            ("338.304\u{a0}m³", Unit::CubicMetre, 338_304_000),
            ("338.304\u{202f}m³\0", Unit::CubicMetre, 338_304_000),
            ("338.304 吨", Unit::CubicMetre, 338_304_000),
            ("338304 L", Unit::CubicMetre, 338_304_000),
            ("338304 升", Unit::CubicMetre, 338_304_000),
            ("338304000 mL", Unit::Litre, 338_304_000),
            ("+46.3", Unit::CubicMetre, 46_300_000),
            ("-0.5", Unit::Celsius, -500),
            ("18.4°C", Unit::Celsius, 18_400),
            ("18.4 ℃", Unit::Celsius, 18_400),
            (".5", Unit::Litre, 500),
            ("5.", Unit::Litre, 5_000),
            ("1.5e2", Unit::Litre, 150_000),
            ("1.5E+2 L", Unit::CubicMetre, 150_000),
            ("23 L/min", Unit::LitrePerHour, 1_380_000),
            ("0.12 m³/h", Unit::LitrePerHour, 120_000),
            ("98%", Unit::Percent, 980),
            ("12345", Unit::Pulse, 12_345),
            ("12345 pulses", Unit::Pulse, 12_345),
            ("12345.0", Unit::Pulse, 12_345),
            ("1e3", Unit::Pulse, 1_000),
            ("-3", Unit::One, -3_000),
            ("9223372036854775807", Unit::Pulse, i64::MAX),
            ("0.0000004", Unit::CubicMetre, 0),
            ("0.0000005", Unit::CubicMetre, 1),
        ];
        for (text, unit, want) in cases {
            assert_eq!(read(text, *unit, None, "/v"), Ok(*want), "{text:?} as {unit}");
        }
    }

    #[test]
    fn what_reads_in_two_ways_or_in_none_is_refused() {
        let grouped =
            ["1,234.5", "1.234,5", "1,234,567", "1.234.567", "1 234", "1 234,5", "1'234", "1_234", "1\u{a0}234", "1\u{202f}234.5"];
        let no_number = [
            "abc", "-", ".", "--1", "1-2", "12:30", "1..2", "", "NaN", "nan", "inf", "-inf", "Infinity", "m³ 12", "１２", "true", "−5",
            "Err 5", "1/2",
        ];
        for text in grouped.into_iter().chain(no_number) {
            let want = Reject::Number { at: "/v".into(), found: text.into() };
            assert_eq!(read(text, Unit::CubicMetre, None, "/v"), Err(want), "{text:?}");
        }
        for text in ["12,345", "12,000", "12.5", "12.345", "0,0", "1e-1", "12,5 pulses"] {
            assert_eq!(read(text, Unit::Pulse, None, "/v"), Err(Reject::Number { at: "/v".into(), found: text.into() }), "{text:?}");
        }
    }

    #[test]
    fn a_unit_of_something_else_is_refused() {
        let cases: &[(&str, Unit, &str, Quantity)] = &[
            ("338 kWh", Unit::CubicMetre, "kWh", Quantity::Volume),
            ("338 m³/h", Unit::CubicMetre, "m³/h", Quantity::Volume),
            ("338 L", Unit::Pulse, "L", Quantity::Pulses),
            ("338 pulses", Unit::Litre, "pulses", Quantity::Volume),
            ("338 gallons", Unit::CubicMetre, "gallons", Quantity::Volume),
            ("5 %", Unit::One, "%", Quantity::Number),
            ("5 e", Unit::One, "e", Quantity::Number),
            ("5e", Unit::One, "e", Quantity::Number),
            ("0x10", Unit::One, "x10", Quantity::Number),
            ("18.4 °F", Unit::Celsius, "°F", Quantity::Temperature),
        ];
        for (text, unit, found, expected) in cases {
            let want = Reject::Unit { at: "/v".into(), found: (*found).into(), expected: *expected };
            assert_eq!(read(text, *unit, None, "/v"), Err(want), "{text:?} as {unit}");
        }
    }

    #[test]
    fn what_no_meter_shows_is_refused() {
        for text in ["1e30", "9223372036854775808", "99999999999999999999999999999999999999999999", "1e999"] {
            assert_eq!(read(text, Unit::Pulse, None, ""), Err(Reject::Range { at: String::new(), found: text.into() }), "{text:?}");
        }
        let long = "9".repeat(60_000);
        let found = "9".repeat(60) + "…";
        assert_eq!(read(&long, Unit::Litre, None, ""), Err(Reject::Range { at: String::new(), found }));
    }
}
