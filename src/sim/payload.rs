//! Numbers and times as the devices write them, in the form that their subscription reads.

use super::Form;
use super::calendar;
use crate::domain::flag::Flag;
use crate::domain::units::Unit;
use serde_json::{Map, Value};
use std::fmt::Write;

/// A payload with holes: what stands before each hole, and what goes into it.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<(String, Hole)>,
    end: String,
    units: Vec<Unit>,
    /// It says when it was read, so that it may be told later.
    pub timed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    Time,
    Column(usize),
    Flags,
}

impl Template {
    pub fn new(form: &Form) -> Template {
        match form {
            Form::Plain { unit } => {
                Template { parts: vec![(String::new(), Hole::Column(0))], end: String::new(), units: vec![*unit], timed: false }
            }
            Form::Json { time, columns, flags } => {
                let mut document = Value::Object(Map::new());
                let mark = |hole: &str| Value::String(format!("\u{1}{hole}"));
                if let Some(pointer) = time {
                    put(&mut document, pointer, mark("t"));
                }
                if let Some(pointer) = flags {
                    put(&mut document, pointer, mark("f"));
                }
                for (i, (pointer, _)) in columns.iter().enumerate() {
                    put(&mut document, pointer, mark(&i.to_string()));
                }
                let text = document.to_string();
                let mut parts = vec![];
                let mut rest = text.as_str();
                // A control character is escaped in JSON, so this can be nothing that the config wrote.
                while let Some((before, after)) = rest.split_once("\"\\u0001") {
                    let (hole, behind) = after.split_once('"').unwrap_or((after, ""));
                    let hole = match hole {
                        "t" => Hole::Time,
                        "f" => Hole::Flags,
                        column => Hole::Column(column.parse().unwrap_or_default()),
                    };
                    parts.push((before.to_owned(), hole));
                    rest = behind;
                }
                let units = columns.iter().map(|(_, unit)| *unit).collect();
                Template { parts, end: rest.to_owned(), units, timed: time.is_some() }
            }
        }
    }

    /// The unit of each column.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// The payload: a value per column in its quantity's smallest unit, None where the device has none; the flag that it raises, if any.
    /// `broken`: the first column's value could not be read by the device itself.
    pub fn fill(&self, stamp: &str, values: &[Option<i64>], flag: Option<Flag>, broken: bool) -> String {
        let mut out = String::with_capacity(96);
        for (before, hole) in &self.parts {
            out.push_str(before);
            match hole {
                Hole::Time => {
                    out.push('"');
                    out.push_str(stamp);
                    out.push('"');
                }
                Hole::Flags => match flag {
                    Some(flag) => {
                        out.push_str("[\"");
                        out.push_str(flag.code());
                        out.push_str("\"]");
                    }
                    None => out.push_str("[]"),
                },
                Hole::Column(0) if broken => out.push_str("\"--\""),
                Hole::Column(i) => match (values.get(*i).copied().flatten(), self.units.get(*i)) {
                    (Some(value), Some(unit)) => write_value(&mut out, value, *unit),
                    _ => out.push_str("null"),
                },
            }
        }
        out.push_str(&self.end);
        out
    }
}

/// Puts a value where a JSON pointer (RFC 6901) points, with the objects on the way.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut here = document;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        here = &mut here[step];
    }
    *here = value;
}

/// A value in its quantity's smallest unit, as a number of `unit`.
fn write_value(out: &mut String, value: i64, unit: Unit) {
    let (num, den) = unit.ratio();
    let (value, decimals) = match (den, num.ilog10()) {
        (1, zeros) if 10i64.pow(zeros) == num => (value, zeros),
        // Three decimals where no decimal number is exact.
        _ => (value.saturating_mul(1_000).saturating_mul(den) / num, 3),
    };
    let scale = 10i64.pow(decimals);
    let sign = if value < 0 { "-" } else { "" };
    let (whole, part) = ((value / scale).abs(), (value % scale).abs());
    // Writing into a String cannot fail.
    let _ = write!(out, "{sign}{whole}");
    if part > 0 {
        let digits = format!("{part:0width$}", width = decimals as usize);
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// A moment of a day by a clock that is `offset` seconds ahead of UTC: `2026-11-24T08:00:03+08:00`.
pub fn stamp(day: i64, ms: i64, offset: i64) -> String {
    let (date, second) = (calendar::date_of(day), ms / 1_000);
    let (h, m, s) = (second / 3_600, second / 60 % 60, second % 60);
    let (sign, ahead) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    format!("{date}T{h:02}:{m:02}:{s:02}{sign}{:02}:{:02}", ahead / 3_600, ahead / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::Quantity;

    fn json(time: Option<&str>, columns: &[(&str, Unit)]) -> Template {
        let columns = columns.iter().map(|(p, u)| ((*p).to_owned(), *u)).collect();
        Template::new(&Form::Json { time: time.map(str::to_owned), columns, flags: None })
    }

    #[test]
    fn payloads_have_the_form_that_the_config_reads() {
        let t = json(Some("/ts"), &[("/total_l", Unit::Litre), ("/flow_lph", Unit::LitrePerHour)]);
        let at = stamp(20_781, 8 * 3_600_000 + 3_000, 28_800);
        assert_eq!(at, "2026-11-24T08:00:03+08:00");
        assert_eq!(
            t.fill(&at, &[Some(338_304_000), Some(12_500)], None, false),
            r#"{"flow_lph":12.5,"total_l":338304,"ts":"2026-11-24T08:00:03+08:00"}"#
        );
        assert_eq!(t.fill(&at, &[Some(1), None], None, true), r#"{"flow_lph":null,"total_l":"--","ts":"2026-11-24T08:00:03+08:00"}"#);
        let deep = json(None, &[("/m/a~1b", Unit::CubicMetre), ("/m/t", Unit::Celsius)]);
        assert_eq!(deep.fill("", &[Some(338_304_000), Some(-2_300)], None, false), r#"{"m":{"a/b":338.304,"t":-2.3}}"#);
        assert!(t.timed && !deep.timed);
        let plain = Template::new(&Form::Plain { unit: Unit::CubicMetre });
        assert_eq!((plain.fill("", &[Some(12_345_000)], None, false), plain.timed), ("12.345".to_owned(), false));
    }

    #[test]
    fn flags_are_a_list_that_is_empty_where_all_is_well() {
        let columns = vec![("/total_l".to_owned(), Unit::Litre), ("/battery_pct".to_owned(), Unit::Percent)];
        let form = Form::Json { time: Some("/time".into()), columns, flags: Some("/flags".into()) };
        let t = Template::new(&form.only(&[Quantity::Ratio]));
        assert_eq!(t.fill("now", &[Some(910)], None, false), r#"{"battery_pct":91,"flags":[],"time":"now"}"#);
        assert_eq!(t.fill("now", &[Some(910)], Some(Flag::Wet), false), r#"{"battery_pct":91,"flags":["wet"],"time":"now"}"#);
    }

    #[test]
    fn values_keep_their_unit() {
        let text = |v, unit| {
            let mut s = String::new();
            write_value(&mut s, v, unit);
            s
        };
        assert_eq!(text(60_000, Unit::LitrePerMinute), "1");
        assert_eq!(text(875, Unit::Percent), "87.5");
        assert_eq!(text(-500, Unit::Celsius), "-0.5");
        assert_eq!(text(7, Unit::Pulse), "7");
        assert_eq!(text(3_600, Unit::Volt), "3.6");
    }
}
