//! SenML packs in JSON (RFC 8428).
//!
//! A pack is an array of records. What a record's base labels say holds for it and for all records behind it: `bn` is put before
//! names, `bt` is added to times, `bv` to values, and `bu` is the unit where a record names none. Times below 2²⁸ are relative to
//! now. Sums (`s`, `bs`), update times (`ut`) and binary values (`vd`) say nothing that a profile asks for.
//!
//! Numbers and times are texts from end to end; where two must be added, they are added as decimals.

use super::{blank, shown};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The most records that a pack may have: far more than a meter's message needs.
const RECORD_LIMIT: usize = 1_000;
/// The longest name or unit in bytes. A base name is repeated in each reading, so a long one would grow with their number.
const TEXT_LIMIT: usize = 255;
/// The newest version of the format that is known (`bver`).
const VERSION: u64 = 10;

/// Why a text is no pack that can be read. `record` counts from 0; as text, a place is a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SenmlError {
    /// Text that is no JSON; line and column are 1-based.
    Json { line: usize, column: usize },
    /// JSON, but not an array of objects; here stands something else.
    Shape { line: usize, column: usize },
    /// More records than are taken.
    TooMany { records: usize, limit: usize },
    /// What stands at this label is not what must stand there.
    Label { record: usize, label: String, found: String, right: &'static str },
    /// A label that only who understands it may pass over (RFC 8428, 4.4).
    MustUnderstand { record: usize, label: String },
    /// A record with two values.
    TwoValues { record: usize },
    /// A name that had a value for the same time before.
    Twice { record: usize, name: String },
}

impl fmt::Display for SenmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SenmlError::Json { line, column } => write!(f, "no JSON at line {line}, column {column}"),
            SenmlError::Shape { line, column } => write!(f, "line {line}, column {column}: a pack is an array of objects"),
            SenmlError::TooMany { records, limit } => write!(f, "{records} records where {limit} are taken"),
            SenmlError::Label { record, label, found, right } => write!(f, "/{record}/{label}: {found} where {right} must stand"),
            SenmlError::MustUnderstand { record, label } => write!(f, "/{record}/{label}: must be understood, and is not"),
            SenmlError::TwoValues { record } => write!(f, "/{record}: two values where one may stand"),
            SenmlError::Twice { record, name } => write!(f, "/{record}: \"{name}\" has a value of the same time before"),
        }
    }
}

impl std::error::Error for SenmlError {}

/// The readings of a pack: what one base name says of one time, in the order in which they begin. A record without a value begins
/// none.
///
/// A reading's entries are `bn` (the base name without the `:` or `/` at its end) if there is one, `time` (unix seconds) if the pack
/// gives one, and then each record's own name with its value. They are found from the front: a record that is called `bn` or
/// `time` hides neither.
pub(super) fn read(text: &str, now_ms: i64) -> Result<Vec<Vec<(String, String)>>, SenmlError> {
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(blank);
    let pack: Vec<Record<'_>> = serde_json::from_str(text).map_err(|e| match e.classify() {
        Category::Data => SenmlError::Shape { line: e.line(), column: e.column() },
        Category::Io | Category::Syntax | Category::Eof => SenmlError::Json { line: e.line(), column: e.column() },
    })?;
    if pack.len() > RECORD_LIMIT {
        return Err(SenmlError::TooMany { records: pack.len(), limit: RECORD_LIMIT });
    }
    let now = Decimal::of_ms(now_ms);
    let mut base = Base::default();
    let mut readings = Readings::default();
    for (i, record) in pack.iter().enumerate() {
        let record = Place { i, record };
        record.understood()?;
        base.take(&record)?;
        // Also where the record has no value: a time that cannot be read is a device's mistake in any case.
        let time = base.time_of(&record, now)?;
        let name = record.name("n")?.unwrap_or_default();
        if let Some(value) = base.value_of(&record)? {
            readings.add(i, &base.name, time, name, value)?;
        }
    }
    Ok(readings.lists)
}

/// The labels of one object, in the order of the text.
struct Record<'p>(Vec<(String, &'p RawValue)>);

impl<'de: 'p, 'p> Deserialize<'de> for Record<'p> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Record<'p>, D::Error> {
        struct Labels;
        impl<'de> Visitor<'de> for Labels {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut labels = Vec::new();
                while let Some(label) = map.next_entry()? {
                    labels.push(label);
                }
                Ok(labels)
            }
        }
        from.deserialize_map(Labels).map(Record)
    }
}

/// A record and its place in the pack.
struct Place<'r, 'p> {
    i: usize,
    record: &'r Record<'p>,
}

impl<'p> Place<'_, 'p> {
    fn understood(&self) -> Result<(), SenmlError> {
        match self.record.0.iter().find(|(label, _)| label.ends_with('_')) {
            Some((label, _)) => Err(SenmlError::MustUnderstand { record: self.i, label: shown(label) }),
            None => Ok(()),
        }
    }

    /// What stands at `label`, as it is written; of a label that stands twice, the last counts. None for `null`, which says nothing.
    fn raw(&self, label: &str) -> Option<&'p str> {
        self.record.0.iter().rev().find(|(name, _)| name == label).map(|(_, raw)| raw.get()).filter(|raw| *raw != "null")
    }

    fn wrong(&self, label: &str, found: &str, right: &'static str) -> SenmlError {
        SenmlError::Label { record: self.i, label: label.to_owned(), found: shown(found), right }
    }

    fn string(&self, label: &str) -> Result<Option<String>, SenmlError> {
        self.raw(label).map(|raw| serde_json::from_str(raw).map_err(|_| self.wrong(label, raw, "a string"))).transpose()
    }

    /// A string that is a name or a unit.
    fn name(&self, label: &str) -> Result<Option<String>, SenmlError> {
        match self.string(label)? {
            Some(name) if name.len() > TEXT_LIMIT => Err(self.wrong(label, &name, "a string of at most 255 bytes")),
            name => Ok(name),
        }
    }

    fn number(&self, label: &str) -> Result<Option<&'p str>, SenmlError> {
        match self.raw(label) {
            // A JSON value that begins so is a number.
            Some(raw) if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Ok(Some(raw)),
            Some(raw) => Err(self.wrong(label, raw, "a number")),
            None => Ok(None),
        }
    }

    /// A number that is to be added to another one.
    fn decimal(&self, label: &str) -> Result<Option<Decimal>, SenmlError> {
        let parse = |raw| Decimal::parse(raw).ok_or_else(|| self.wrong(label, raw, "a number of at most 30 digits"));
        self.number(label)?.map(parse).transpose()
    }
}

/// What the base labels say so far.
#[derive(Default)]
struct Base {
    name: String,
    time: Option<Decimal>,
    unit: Option<String>,
    value: Option<Decimal>,
}

impl Base {
    /// Takes over the base labels of `record`.
    fn take(&mut self, record: &Place<'_, '_>) -> Result<(), SenmlError> {
        if let Some(version) = record.raw("bver")
            && version.parse().map_or(true, |v: u64| v > VERSION)
        {
            return Err(record.wrong("bver", version, "a version up to 10"));
        }
        if let Some(name) = record.name("bn")? {
            name.trim_end_matches([':', '/']).clone_into(&mut self.name);
        }
        self.time = record.decimal("bt")?.or(self.time);
        self.value = record.decimal("bv")?.or(self.value);
        if let Some(unit) = record.name("bu")? {
            self.unit = Some(unit);
        }
        Ok(())
    }

    /// When `record` was measured, in unix seconds; None if neither it nor a base time says.
    fn time_of(&self, record: &Place<'_, '_>, now: Decimal) -> Result<Option<Decimal>, SenmlError> {
        /// Seconds below are relative to now: as unix time they would lie in 1978 or before.
        const ABSOLUTE: i128 = 1 << 28;
        let own = record.decimal("t")?;
        let (label, time) = match (self.time, own) {
            (None, None) => return Ok(None),
            (Some(base), None) => ("bt", Some(base)),
            (None, Some(own)) => ("t", Some(own)),
            (Some(base), Some(own)) => ("t", base.plus(own)),
        };
        let absolute = time.and_then(|time| if time.whole() < ABSOLUTE { now.plus(time) } else { Some(time) });
        let wrong =
            || record.wrong(label, record.raw(label).unwrap_or_default(), "a time whose sum with the base time has at most 30 digits");
        absolute.ok_or_else(wrong).map(Some)
    }

    /// The text of `record`'s value; None if it has none that a profile asks for.
    fn value_of(&self, record: &Place<'_, '_>) -> Result<Option<String>, SenmlError> {
        if ["v", "vb", "vs", "vd"].iter().filter(|label| record.raw(label).is_some()).count() > 1 {
            return Err(SenmlError::TwoValues { record: record.i });
        }
        let own_unit = record.name("u")?;
        if let Some(own) = record.number("v")? {
            let number = match self.value {
                None => own.to_owned(),
                Some(base) => {
                    let wrong = || record.wrong("v", own, "a number whose sum with the base value has at most 30 digits");
                    Decimal::parse(own).and_then(|own| base.plus(own)).ok_or_else(wrong)?.to_string()
                }
            };
            return Ok(Some(match own_unit.as_deref().or(self.unit.as_deref()) {
                None | Some("") => number,
                Some(unit) => format!("{number} {}", our_unit(unit)),
            }));
        }
        if let Some(raw) = record.raw("vb") {
            return if raw == "true" || raw == "false" { Ok(Some(raw.to_owned())) } else { Err(record.wrong("vb", raw, "true or false")) };
        }
        record.string("vs")
    }
}

/// How a unit of SenML's registry is spelled here; what is not among them stays as it is, for the column to judge.
fn our_unit(unit: &str) -> &str {
    match unit {
        "l" => "L",
        "ml" => "mL",
        "l/s" => "L/s",
        "l/min" => "L/min",
        "l/h" => "L/h",
        "Cel" => "°C",
        // Relative humidity, what is left in a battery, hundredths of anything.
        "%RH" | "%EL" | "/100" => "%",
        "count" => "pulse",
        other => other,
    }
}

/// Readings as they come together.
#[derive(Default)]
struct Readings {
    lists: Vec<Vec<(String, String)>>,
    /// Where the list of a base name and a time is.
    places: BTreeMap<(Option<Decimal>, String), usize>,
    /// The names that a list has a value for.
    named: BTreeSet<(usize, String)>,
}

impl Readings {
    fn add(&mut self, record: usize, base: &str, time: Option<Decimal>, name: String, value: String) -> Result<(), SenmlError> {
        let next = self.lists.len();
        let place = *self.places.entry((time, base.to_owned())).or_insert(next);
        if !self.named.insert((place, name.clone())) {
            return Err(SenmlError::Twice { record, name: shown(&name) });
        }
        if place == next {
            let bn = (!base.is_empty()).then(|| ("bn".to_owned(), base.to_owned()));
            let time = time.map(|time| ("time".to_owned(), time.to_string()));
            self.lists.push(bn.into_iter().chain(time).collect());
        }
        if let Some(list) = self.lists.get_mut(place) {
            list.push((name, value));
        }
        Ok(())
    }
}

/// A decimal number, `digits × 10^-scale`, with room for any sum of two times or values; that of `domain::units` cuts and rounds, which
/// a sum must not. As few places as it needs, so that equal numbers are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    /// 10 to this is beyond any number here; with as many places again it would be too long to add.
    const DIGITS: u32 = 30;

    fn of_ms(ms: i64) -> Decimal {
        Decimal { digits: ms.into(), scale: 3 }.shortest()
    }

    /// A JSON number. None if it has more digits, before or behind the point, than [`Decimal::DIGITS`].
    fn parse(number: &str) -> Option<Decimal> {
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |m| (true, m));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let mut digits = 0_i128;
        for c in whole.chars().chain(fraction.chars()) {
            digits = in_range(digits.checked_mul(10)?.checked_add(c.to_digit(10)?.into())?)?;
        }
        if digits == 0 {
            return Some(Decimal { digits: 0, scale: 0 });
        }
        let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent.parse::<i32>().ok()?.into())?;
        if scale < 0 {
            let zeros = u32::try_from(scale.unsigned_abs()).ok()?;
            digits = in_range(digits.checked_mul(10_i128.checked_pow(zeros)?)?)?;
        }
        let scale = u32::try_from(scale.max(0)).ok()?;
        let digits = if negative { digits.checked_neg()? } else { digits };
        let short = Decimal { digits, scale }.shortest();
        (short.scale <= Self::DIGITS).then_some(short)
    }

    /// The exact sum. None if it has too many digits.
    fn plus(self, other: Decimal) -> Option<Decimal> {
        let scale = self.scale.max(other.scale);
        let digits = self.at(scale)?.checked_add(other.at(scale)?)?;
        Some(Decimal { digits: in_range(digits)?, scale }.shortest())
    }

    /// Its digits if it had `scale` places, which are no fewer than it has.
    fn at(self, scale: u32) -> Option<i128> {
        self.digits.checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    fn shortest(mut self) -> Decimal {
        while self.scale > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }

    /// The largest whole number that is not above it.
    fn whole(self) -> i128 {
        // 10^30 fits; a scale is never more.
        10_i128.checked_pow(self.scale).map_or(0, |one| self.digits.div_euclid(one))
    }
}

fn in_range(digits: i128) -> Option<i128> {
    (digits.unsigned_abs() < 10_u128.pow(Decimal::DIGITS)).then_some(digits)
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = self.digits.unsigned_abs();
        let one = 10_u128.saturating_pow(self.scale);
        write!(f, "{sign}{}", digits / one)?;
        match usize::try_from(self.scale) {
            Ok(places) if places > 0 => write!(f, ".{:0places$}", digits % one),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28T00:00:00.250Z
    const NOW: i64 = 1_795_824_000_250;

    fn said(text: &str) -> Vec<Vec<(String, String)>> {
        read(text, NOW).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn want(lists: &[&[(&str, &str)]]) -> Vec<Vec<(String, String)>> {
        lists.iter().map(|list| list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()).collect()
    }

    fn label(record: usize, label: &str, found: &str, right: &'static str) -> SenmlError {
        SenmlError::Label { record, label: label.into(), found: found.into(), right }
    }

    #[test]
    fn a_pack_of_one_time_is_one_reading() {
        let pack = r#"[{"bn":"urn:dev:mac:0024befffe804ff1:","bt":1700000000,"n":"vol","u":"m3","v":338.304},
            {"n":"flow","u":"m3/s","v":0.000386},{"n":"leak","vb":false},{"n":"state","vs":"a\"b"}]"#;
        assert_eq!(
            said(pack),
            want(&[&[
                ("bn", "urn:dev:mac:0024befffe804ff1"),
                ("time", "1700000000"),
                ("vol", "338.304 m3"),
                ("flow", "0.000386 m3/s"),
                ("leak", "false"),
                ("state", "a\"b"),
            ]])
        );
        assert_eq!(said(&format!("\u{feff}{pack}\r\n\0")), said(pack));
    }

    #[test]
    fn a_pack_of_several_times_is_several_readings_in_their_order() {
        let pack = r#"[{"bn":"tap/","bt":1700000000.5,"bu":"l","n":"vol","t":-60,"v":1},{"n":"vol","v":2},
            {"n":"temp","u":"Cel","t":-60,"v":20.50},{"n":"temp","u":"Cel","t":0,"v":21},{"n":"vol","t":0.25,"v":3}]"#;
        assert_eq!(
            said(pack),
            want(&[
                &[("bn", "tap"), ("time", "1699999940.5"), ("vol", "1 L"), ("temp", "20.50 °C")],
                &[("bn", "tap"), ("time", "1700000000.5"), ("vol", "2 L"), ("temp", "21 °C")],
                &[("bn", "tap"), ("time", "1700000000.75"), ("vol", "3 L")],
            ])
        );
    }

    #[test]
    fn two_base_names_are_two_readings() {
        let pack = r#"[{"bn":"a:","bt":1700000000,"n":"vol","v":1},{"bn":"b:","n":"vol","v":2},{"bn":"a:","n":"temp","v":3}]"#;
        assert_eq!(
            said(pack),
            want(&[
                &[("bn", "a"), ("time", "1700000000"), ("vol", "1"), ("temp", "3")],
                &[("bn", "b"), ("time", "1700000000"), ("vol", "2")],
            ])
        );
    }

    #[test]
    fn small_times_are_relative_to_now() {
        let cases = [
            (r#""t":0"#, "1795824000.25"),
            (r#""t":-5.25"#, "1795823995"),
            (r#""bt":-10,"t":-0.001"#, "1795823990.249"),
            (r#""t":268435455.9"#, "2064259456.15"),
            (r#""t":268435456"#, "268435456"),
            (r#""bt":268435450,"t":5"#, "2064259455.25"),
            (r#""bt":268435450,"t":6"#, "268435456"),
            (r#""bt":1.7e9,"t":1e-3"#, "1700000000.001"),
            (r#""bt":1700000000.123456789"#, "1700000000.123456789"),
        ];
        for (times, told) in cases {
            let pack = format!(r#"[{{"n":"vol","v":1,{times}}}]"#);
            assert_eq!(said(&pack), want(&[&[("time", told), ("vol", "1")]]), "{times}");
        }
    }

    #[test]
    fn without_a_time_none_is_told() {
        assert_eq!(said(r#"[{"n":"vol","v":1},{"v":2}]"#), want(&[&[("vol", "1"), ("", "2")]]));
    }

    #[test]
    fn numbers_keep_their_text() {
        for number in ["338.304", "338.3040", "-0.0", "3.86e-4", "1E+2", "123456789012345678901234567890123456789.10"] {
            assert_eq!(said(&format!(r#"[{{"n":"v","v":{number}}}]"#)), want(&[&[("v", number)]]));
        }
    }

    #[test]
    fn a_base_value_is_added_exactly() {
        let cases = [
            ("0.1", "0.2", "0.3"),
            ("338", "0.304", "338.304"),
            ("338", "0", "338"),
            ("100000000000000000.1", "0.000000000001", "100000000000000000.100000000001"),
            ("-1", "0.25", "-0.75"),
            ("1", "-0.75", "0.25"),
            ("1e3", "5e-1", "1000.5"),
            ("1.50", "-1.5", "0"),
            ("-0.0", "0", "0"),
        ];
        for (base, own, sum) in cases {
            let pack = format!(r#"[{{"bv":{base},"bu":"m3"}},{{"n":"vol","v":{own}}}]"#);
            assert_eq!(said(&pack), want(&[&[("vol", &format!("{sum} m3"))]]), "{base} + {own}");
        }
        assert_eq!(
            read(r#"[{"bv":1e29,"n":"vol","v":1e-29}]"#, NOW),
            Err(label(0, "v", "1e-29", "a number whose sum with the base value has at most 30 digits"))
        );
        for huge in ["1e30", "1e-31", "1e999999999", "1e-99999999999", "1234567890123456789012345678901"] {
            let right = "a number of at most 30 digits";
            assert_eq!(read(&format!(r#"[{{"bv":{huge},"v":1}}]"#), NOW), Err(label(0, "bv", huge, right)), "{huge}");
        }
    }

    #[test]
    fn base_labels_hold_until_they_are_said_again() {
        let pack = r#"[{"bu":"l","bv":1},{"n":"a","v":1},{"n":"b","u":"Cel","v":1},{"bu":"V","n":"c","v":1},{"bv":10,"n":"d","v":1}]"#;
        assert_eq!(said(pack), want(&[&[("a", "2 L"), ("b", "2 °C"), ("c", "2 V"), ("d", "11 V")]]));
    }

    #[test]
    fn units_are_spelled_as_here() {
        let cases = [
            ("m3", "m3"),
            ("l", "L"),
            ("l/s", "L/s"),
            ("m3/s", "m3/s"),
            ("Cel", "°C"),
            ("%", "%"),
            ("%RH", "%"),
            ("%EL", "%"),
            ("V", "V"),
            ("W", "W"),
            ("J", "J"),
            ("Pa", "Pa"),
            ("/", "/"),
            ("count", "pulse"),
            ("lux", "lux"),
        ];
        for (theirs, ours) in cases {
            let told = format!("5 {ours}");
            assert_eq!(said(&format!(r#"[{{"n":"x","u":"{theirs}","v":5}}]"#)), want(&[&[("x", &told)]]));
        }
        assert_eq!(said(r#"[{"bu":"V","n":"x","u":"","v":5}]"#), want(&[&[("x", "5")]]));
    }

    #[test]
    fn records_without_a_value_give_nothing() {
        for pack in [
            "[]",
            "[{}]",
            r#"[{"bn":"a","bt":1700000000,"bver":10}]"#,
            r#"[{"n":"e","s":120}]"#,
            r#"[{"n":"e","vd":"aGk"}]"#,
            r#"[{"n":"e","v":null,"vs":null}]"#,
            r#"[{"n":"e","x":{"deep":[1]},"ut":5}]"#,
        ] {
            assert_eq!(said(pack), want(&[]), "{pack}");
        }
    }

    #[test]
    fn what_is_no_pack_is_refused() {
        assert_eq!(read("", NOW), Err(SenmlError::Json { line: 1, column: 0 }));
        assert_eq!(read("[{\n\"v\":1.}]", NOW), Err(SenmlError::Json { line: 2, column: 7 }));
        assert_eq!(read(r#"[{"v":1}"#, NOW), Err(SenmlError::Json { line: 1, column: 8 }));
        assert!(matches!(read("[] []", NOW), Err(SenmlError::Json { .. })));
        assert!(matches!(read(r#"[{"v":NaN}]"#, NOW), Err(SenmlError::Json { .. })));
        for shape in ["{}", "1", "null", "[1]", "[[]]", r#"[{"v":1},null]"#, r#"["a"]"#] {
            assert!(matches!(read(shape, NOW), Err(SenmlError::Shape { line: 1, .. })), "{shape}");
        }
        let many = |n: usize| format!("[{}]", vec!["{}"; n].join(","));
        assert_eq!(read(&many(1_000), NOW), Ok(vec![]));
        assert_eq!(read(&many(1_001), NOW), Err(SenmlError::TooMany { records: 1_001, limit: 1_000 }));
    }

    #[test]
    fn a_label_with_something_else_is_refused() {
        let cases = [
            (r#""v":"1""#, "v", r#""1""#, "a number"),
            (r#""v":true"#, "v", "true", "a number"),
            (r#""v":[1]"#, "v", "[1]", "a number"),
            (r#""vb":1"#, "vb", "1", "true or false"),
            (r#""vs":1"#, "vs", "1", "a string"),
            (r#""n":1,"v":1"#, "n", "1", "a string"),
            (r#""u":1,"v":1"#, "u", "1", "a string"),
            (r#""bn":{},"v":1"#, "bn", "{}", "a string"),
            (r#""bu":1,"v":1"#, "bu", "1", "a string"),
            (r#""bv":"x","v":1"#, "bv", r#""x""#, "a number"),
            (r#""t":"2026","v":1"#, "t", r#""2026""#, "a number"),
            (r#""bt":false,"v":1"#, "bt", "false", "a number"),
            (r#""t":1e31"#, "t", "1e31", "a number of at most 30 digits"),
            (r#""bver":11"#, "bver", "11", "a version up to 10"),
            (r#""bver":"5""#, "bver", r#""5""#, "a version up to 10"),
            (r#""bver":5.5"#, "bver", "5.5", "a version up to 10"),
        ];
        for (labels, at, found, right) in cases {
            let pack = format!(r#"[{{"n":"first","v":1}},{{{labels}}}]"#);
            assert_eq!(read(&pack, NOW), Err(label(1, at, found, right)), "{labels}");
        }
        assert_eq!(label(1, "t", "\"x\"", "a number").to_string(), "/1/t: \"x\" where a number must stand");
        let long = "x".repeat(256);
        let right = "a string of at most 255 bytes";
        assert_eq!(read(&format!(r#"[{{"bn":"{long}"}}]"#), NOW), Err(label(0, "bn", &format!("{}…", "x".repeat(60)), right)));
    }

    #[test]
    fn a_label_that_must_be_understood_is_refused() {
        let pack = r#"[{"n":"a","v":1},{"n":"b","v":1,"foo_":null}]"#;
        assert_eq!(read(pack, NOW), Err(SenmlError::MustUnderstand { record: 1, label: "foo_".into() }));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        assert_eq!(read(r#"[{"n":"a","v":1,"vs":"2"}]"#, NOW), Err(SenmlError::TwoValues { record: 0 }));
        assert_eq!(read(r#"[{"n":"a","v":1},{"n":"a","v":2}]"#, NOW), Err(SenmlError::Twice { record: 1, name: "a".into() }));
        assert_eq!(read(r#"[{"n":"a","t":0,"v":1},{"n":"a","t":0.0,"v":1}]"#, NOW), Err(SenmlError::Twice { record: 1, name: "a".into() }));
    }

    #[test]
    fn every_head_of_a_pack_is_refused() {
        let pack = r#"[{"bn":"urn:dev:ow:10é:","bt":-1.5e1,"n":"vol","u":"m3","v":338.304}]"#;
        for (end, _) in pack.char_indices() {
            assert!(read(&pack[..end], NOW).is_err(), "{end}");
        }
        assert_eq!(said(pack).len(), 1);
    }

    #[test]
    fn no_clock_breaks_a_sum() {
        for now in [i64::MIN, -1, 0, 1, i64::MAX] {
            let lists = read(r#"[{"n":"a","t":-1.5,"v":1}]"#, now).unwrap();
            assert_eq!(lists[0][0].1, Decimal::of_ms(now).plus(Decimal { digits: -15, scale: 1 }).unwrap().to_string());
        }
        assert_eq!(Decimal::of_ms(-1).to_string(), "-0.001");
    }
}
