//! The values that a config file holds as texts: ids, lengths of time, volumes and flows with their units, prices, dates, zones.

use super::suggest;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::Medium;
use crate::domain::units::{Decimal, NumberError, Quantity, Unit};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, civil};
use std::ops::RangeInclusive;

/// What is wrong with a value, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub what: String,
    pub right: String,
}

pub(super) type Parsed<T> = Result<T, Wrong>;

impl Wrong {
    pub fn new(what: impl Into<String>, right: impl Into<String>) -> Wrong {
        Wrong { what: what.into(), right: right.into() }
    }
}

const SLUG: &str = "1 to 64 of a-z, 0-9 and -, beginning and ending with a letter or digit: \"b15-bulk\"";
const COLUMN: &str = "1 to 64 of a-z, 0-9, - and _: \"flow\"";

/// An id: permanent, and safe in topics, URLs and file names.
pub(super) fn slug(s: &str) -> Parsed<String> {
    let good = (1..=64).contains(&s.len())
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !s.starts_with('-')
        && !s.ends_with('-');
    if good {
        return Ok(s.to_owned());
    }
    let near = s.to_lowercase().replace(['_', ' ', '.', '/'], "-");
    let right = if near != s && slug(&near).is_ok() { format!("did you mean {near:?}? An id is {SLUG}") } else { SLUG.to_owned() };
    Err(Wrong::new(format!("{s:?} is not an id"), right))
}

/// The name of a column.
pub(super) fn column_name(s: &str) -> Parsed<String> {
    let good = (1..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if good { Ok(s.to_owned()) } else { Err(Wrong::new(format!("{s:?} is not a column name"), COLUMN)) }
}

/// A decimal number. A comma is refused, because 1,000 is a thousand for some and one for others.
pub(super) fn decimal(s: &str) -> Parsed<Decimal> {
    let right = "a number: 1390 or 3.60";
    if s.contains([',', '，']) {
        return Err(Wrong::new(format!("the comma in {s:?} can be read in two ways"), right));
    }
    Decimal::parse(s).map_err(|e| match e {
        NumberError::Syntax => Wrong::new(format!("{s:?} is not a number"), right),
        NumberError::Range => Wrong::new(format!("{s} is too large"), right),
    })
}

/// `d` times `factor`, if that is a whole number.
pub(super) fn exact(d: Decimal, factor: i64) -> Option<i64> {
    let (v, den) = (i128::from(d.digits) * i128::from(factor), 10i128.checked_pow(u32::from(d.scale))?);
    if v % den == 0 { i64::try_from(v / den).ok() } else { None }
}

/// A number with its unit, `"10 L"`, in the smallest unit of `quantity` and more than 0, at most `max` (in `unit`).
pub(super) fn measured(s: &str, quantity: Quantity, max: i64, unit: Unit, example: &str) -> Parsed<i64> {
    let right = format!("a number and a unit in quotes, at most {max} {unit}: {example}");
    let s = s.trim();
    let split = s.find(|c: char| !(c.is_ascii_digit() || ".,+-".contains(c))).unwrap_or(s.len());
    let (number, spelling) = (&s[..split], s[split..].trim());
    if spelling.is_empty() || number.is_empty() {
        let what = if spelling.is_empty() { "has no unit" } else { "does not begin with a number" };
        return Err(Wrong::new(format!("{s:?} {what}"), right));
    }
    match Unit::parse(spelling) {
        None => Err(Wrong::new(format!("the unit {spelling:?} is not known"), unit_advice(spelling, |u| u.quantity() == quantity))),
        Some(u) if u.quantity() != quantity => {
            Err(Wrong::new(format!("{spelling} measures {}, not {}", noun(u.quantity()), noun(quantity)), right))
        }
        Some(u) => {
            let d = decimal(number)?;
            let n = u
                .factor()
                .and_then(|f| exact(d, f))
                .ok_or_else(|| Wrong::new(format!("{s:?} is finer than can be kept, or too large"), &right))?;
            in_range(n, 1..=max.saturating_mul(unit.ratio().0)).ok_or_else(|| Wrong::new(format!("{s:?} is out of range"), right))
        }
    }
}

fn in_range(n: i64, range: RangeInclusive<i64>) -> Option<i64> {
    range.contains(&n).then_some(n)
}

/// The unit that `s` spells.
pub(super) fn unit(s: &str) -> Parsed<Unit> {
    Unit::parse(s).ok_or_else(|| Wrong::new(format!("the unit {s:?} is not known"), unit_advice(s, |_| true)))
}

fn unit_advice(s: &str, fits: impl Fn(Unit) -> bool) -> String {
    let fitting: Vec<(&str, Unit)> = Unit::SPELLINGS.iter().copied().filter(|(_, u)| fits(*u)).collect();
    // Units are too short for distances between words: only another case is a near miss.
    if let Some((name, _)) = fitting.iter().find(|(name, _)| name.eq_ignore_ascii_case(s)) {
        return format!("did you mean `{name}`?");
    }
    let mut shown: Vec<String> = fitting.iter().map(|(_, u)| u.to_string()).collect();
    shown.dedup();
    format!("one of: {}", shown.join(", "))
}

/// The quantity as a word of a sentence.
pub(super) fn noun(q: Quantity) -> &'static str {
    match q {
        Quantity::Volume => "a volume",
        Quantity::Pulses => "pulses",
        Quantity::Flow => "a flow",
        Quantity::Temperature => "a temperature",
        Quantity::Ratio => "a ratio",
        Quantity::Energy => "energy",
        Quantity::Voltage => "a voltage",
        Quantity::Number => "a bare number",
        Quantity::Power => "power",
        Quantity::Pressure => "a pressure",
        Quantity::Flags => "flags",
    }
}

/// What passes through a meter as a word of a sentence.
pub(super) fn word_of(m: Medium) -> &'static str {
    match m {
        Medium::Water => "water",
        Medium::HotWater => "hot water",
        Medium::Heat => "heat",
        Medium::Electricity => "electricity",
        Medium::Gas => "gas",
    }
}

/// A length of time within `range`: `"500ms"`, `"5s"`, `"15min"`, `"2h"`, `"3d"`.
pub(super) fn duration(s: &str, range: RangeInclusive<Ms>) -> Parsed<Ms> {
    let example = Ms::seconds(5).clamp(*range.start(), *range.end());
    let right =
        format!("a whole number with ms, s, min, h or d, from {} to {}: {:?}", spell(*range.start()), spell(*range.end()), spell(example));
    let t = s.trim();
    let split = t.find(|c: char| !c.is_ascii_digit()).unwrap_or(t.len());
    let unit = match t[split..].trim() {
        "ms" => Ms(1),
        "s" => Ms::seconds(1),
        "m" | "min" => Ms::minutes(1),
        "h" => Ms::hours(1),
        "d" => Ms::days(1),
        _ => return Err(Wrong::new(format!("{s:?} is not a length of time"), right)),
    };
    let n: i64 = match t[..split].parse() {
        Ok(n) => n,
        Err(_) if split == 0 => return Err(Wrong::new(format!("{s:?} is not a length of time"), right)),
        Err(_) => i64::MAX, // too many digits: out of any range
    };
    let d = Ms(n.saturating_mul(unit.0));
    if range.contains(&d) { Ok(d) } else { Err(Wrong::new(format!("{s:?} is out of range"), right)) }
}

/// A length of time as [`duration`] reads it, in the largest unit that divides it.
fn spell(d: Ms) -> String {
    let units = [(Ms::days(1), "d"), (Ms::hours(1), "h"), (Ms::minutes(1), "min"), (Ms::seconds(1), "s")];
    let (unit, name) = units.into_iter().find(|(u, _)| d.0 % u.0 == 0).unwrap_or((Ms(1), "ms"));
    format!("{}{name}", d.0 / unit.0)
}

/// A time of day: `"03:30"`.
pub(super) fn time_of_day(s: &str) -> Parsed<civil::Time> {
    let two = |d: &str| if d.len() == 2 && d.bytes().all(|b| b.is_ascii_digit()) { d.parse::<i8>().ok() } else { None };
    let time = s.trim().split_once(':').and_then(|(h, m)| civil::Time::new(two(h)?, two(m)?, 0, 0).ok());
    time.ok_or_else(|| Wrong::new(format!("{s:?} is not a time of day"), "from \"00:00\" to \"23:59\": \"03:30\""))
}

/// A zone of the time zone database that is built in: the same on every machine.
pub(super) fn time_zone(s: &str) -> Parsed<TimeZone> {
    let db = TimeZoneDatabase::bundled();
    db.get(s).map_err(|_| {
        let names: Vec<String> = db.available().map(|n| n.to_string()).collect();
        let right = match suggest::nearest(s, names.iter().map(String::as_str)) {
            Some(n) => format!("did you mean `{n}`?"),
            None => "a name of the IANA time zone database: \"Asia/Shanghai\"".to_owned(),
        };
        Wrong::new(format!("the time zone {s:?} is not known"), right)
    })
}

/// The start of a day in UTC, or an instant with its offset.
pub(super) fn since(s: &str) -> Parsed<Ts> {
    let right = "a date from 1990-01-01 to 2100-01-01: 2010-01-01";
    let midnight = || s.parse::<civil::Date>().and_then(|d| jiff::tz::TimeZone::UTC.to_timestamp(d.at(0, 0, 0, 0)));
    // A date with a clock time but no offset parses as neither on purpose: nobody could say which instant it is.
    let t = if s.len() > 10 { s.parse::<Timestamp>() } else { midnight() };
    let t = t.map_err(|_| Wrong::new(format!("{s:?} is not a date"), right))?;
    let ts = Ts(t.as_millisecond());
    if (SINCE_MIN..=SINCE_MAX).contains(&ts.0) { Ok(ts) } else { Err(Wrong::new(format!("{s} is out of range"), right)) }
}

const SINCE_MIN: i64 = 631_152_000_000; // 1990-01-01T00:00:00Z
const SINCE_MAX: i64 = 4_102_444_800_000; // 2100-01-01T00:00:00Z

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_exact() {
        let volume = |s| measured(s, Quantity::Volume, 10, Unit::CubicMetre, "\"10 L\"").ok();
        assert_eq!(volume("10 L"), Some(10_000));
        assert_eq!(volume("10L"), Some(10_000));
        assert_eq!(volume("0.01 m³"), Some(10_000));
        assert_eq!(volume("0.001 L"), Some(1));
        for bad in ["0.0001 L", "0 L", "-1 L", "11 m3", "1,000 L", "10", "L", "10 L/h", "10 gallons", "1e3 L", "99999999999999999999 L"] {
            assert_eq!(volume(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn lengths_of_time() {
        let d = |s| duration(s, Ms(100)..=Ms::days(3)).ok();
        assert_eq!(d("500ms"), Some(Ms(500)));
        assert_eq!(d("5 s"), Some(Ms::seconds(5)));
        assert_eq!(d("15m"), Some(Ms::minutes(15)));
        assert_eq!(d("15min"), Some(Ms::minutes(15)));
        assert_eq!(d("3d"), Some(Ms::days(3)));
        for bad in ["", "5", "s", "-5s", "1.5h", "4d", "99ms", "99999999999999999999999d", "5 weeks"] {
            assert_eq!(d(bad), None, "{bad:?}");
        }
        assert_eq!(spell(Ms(100)), "100ms");
        assert_eq!(spell(Ms::hours(36)), "36h");
    }

    #[test]
    fn times_of_day_have_two_digits_each() {
        assert_eq!(time_of_day("03:30"), Ok(civil::Time::constant(3, 30, 0, 0)));
        for bad in ["", "3:30", "0330", "24:00", "03:60", "-1:00", "+3:30", "03:30:00", "03:30 Uhr"] {
            assert!(time_of_day(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn dates_are_days_in_utc_or_instants() {
        assert_eq!(since("2010-01-01").map(|t| t.to_string()), Ok("2010-01-01T00:00:00Z".to_owned()));
        assert_eq!(since("2010-01-01T08:00:00+08:00"), since("2010-01-01"));
        for bad in ["2010-01-01T08:00:00", "2010-13-01", "1970-01-01", "9999-01-01", "01.02.2010"] {
            assert!(since(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_slugs() {
        assert!(slug("b15-bulk").is_ok());
        for bad in ["", "B15", "b15_bulk", "-b15", "b15-", "15号楼", "b 15"] {
            assert!(slug(bad).is_err(), "{bad:?}");
        }
        assert!(column_name("flow_lph").is_ok());
    }
}
