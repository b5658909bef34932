//! `[[example]]` of a device profile: a message, and what must come of it.

use super::devices::flag_code;
use super::reader::{Field, Shape, Table};
use super::suggest;
use super::values::{Parsed, Wrong, noun};
use crate::domain::device::{Example, Expect, Expected};
use crate::domain::flag::FlagSet;
use crate::domain::reading::Reject;
use crate::domain::time::Ts;
use crate::domain::topology::Column;
use crate::domain::units::{Decimal, Quantity, Unit};

pub(super) static EXAMPLE: Shape = Shape {
    path: "example[]",
    keys: &["says", "topic", "payload", "payload_hex", "retained", "arrived", "expect"],
    hints: &[("expected", "expect = { … }")],
};

/// `identified`: the messages name their device, so an example must say whose they are.
pub(super) fn example(t: &Table<'_>, columns: &[Column], identified: bool) -> Option<Example> {
    let says = t.get("says").map_or(Some(None), |f| f.text().map(|s| Some(s.to_owned())));
    let topic = t.need("topic", "topic = \"meters/b15/state\"").and_then(|f| f.text());
    let payload = match (t.get("payload"), t.get("payload_hex")) {
        (Some(_), Some(f)) => f.wrong("there is a `payload` already", "either payload or payload_hex"),
        (Some(f), None) => f.raw().map(|s| s.as_bytes().to_vec()),
        (None, Some(f)) => f.parsed(hex),
        (None, None) => {
            t.need("payload", "payload = '{\"total\":1}', or payload_hex = \"68 10 …\"");
            None
        }
    };
    let retained = t.get("retained").map_or(Some(false), |f| f.boolean());
    let arrived = t.get("arrived").map_or(Some(None), |f| f.date(instant).map(Some));
    let expect_field = t.need("expect", "expect = { total = \"338.304 m3\" }");
    let expect = expect_field.as_ref().and_then(|f| expect(f, columns));
    if let (Some(f), Some(Expect::Readings(all)), true) = (&expect_field, &expect, identified)
        && all.iter().any(|e| e.device.is_none())
    {
        f.wrong::<()>(
            "the messages name their device, and the example does not say which",
            "device = \"…\" in each reading that is expected",
        );
    }
    let (topic, payload, expect) = (topic?.to_owned(), payload?, expect?);
    Some(Example { line: t.line(), says: says?, topic, payload, retained: retained?, arrived: arrived?, expect })
}

fn hex(s: &str) -> Parsed<Vec<u8>> {
    let wrong = || Wrong::new(format!("{s:?} is not hex"), "pairs of 0-9 and a-f: \"68 10 18\"");
    let digits: Vec<u32> = s.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>().ok_or_else(wrong)?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err(wrong());
    }
    Ok(pairs.iter().filter_map(|[a, b]| u8::try_from(a * 16 + b).ok()).collect())
}

const EXPECT: &str = "{ total = \"338.304 m3\", time = \"…\", flags = [\"leak\"] }, { presence = \"online\" }, { refused = \"retained\" } or { nothing = true }";

fn expect(f: &Field<'_>, columns: &[Column]) -> Option<Expect> {
    let all = f.one_or_many();
    if let [only] = all.as_slice() {
        let entries = only.entries(EXPECT)?;
        let find = |name: &str| entries.iter().find(|(k, _)| *k == name).map(|(_, f)| f);
        let alone = |name: &'static str, with: &str| {
            let other = entries.iter().find(|(k, _)| *k != name && *k != with);
            other.is_none_or(|(k, f)| f.wrong::<()>(format!("`{k}` means nothing beside `{name}`"), "leave it out").is_some())
        };
        if let Some(f) = find("refused") {
            let codes: Vec<(&str, &str)> = Reject::CODES.iter().map(|c| (*c, *c)).collect();
            return if alone("refused", "") { f.choice(&codes).map(|c| Expect::Refused(c.to_owned())) } else { None };
        }
        if let Some(f) = find("nothing") {
            return if !alone("nothing", "") {
                None
            } else if f.boolean()? {
                Some(Expect::Nothing)
            } else {
                f.wrong("that would say nothing at all", "nothing = true")
            };
        }
        if let Some(f) = find("presence") {
            let online = f.choice(&[("online", true), ("offline", false)]).filter(|_| alone("presence", "device"))?;
            let device = find("device").map_or(Some(None), |f| f.text().map(|s| Some(s.to_owned())))?;
            return Some(Expect::Presence { device, online });
        }
    }
    let all: Vec<Option<Expected>> = all.iter().map(|f| expected(f, columns)).collect();
    all.into_iter().collect::<Option<Vec<_>>>().map(Expect::Readings)
}

fn expected(f: &Field<'_>, columns: &[Column]) -> Option<Expected> {
    let mut out = Some(Expected::default());
    for (name, f) in f.entries(EXPECT)? {
        let step = match (name, out.as_mut()) {
            ("device", Some(out)) => f.text().map(|s| out.device = Some(s.to_owned())),
            ("time", Some(out)) => f.date(instant).map(|ts| out.time = Some(ts)),
            ("flags", Some(out)) => f.texts(flag_code).map(|flags| out.flags = flags.into_iter().collect::<FlagSet>()),
            (name, Some(out)) => measured(&f, name, columns).map(|v| out.values.push(v)),
            (_, None) => None,
        };
        out = step.and(out);
    }
    out
}

fn measured(f: &Field<'_>, name: &str, columns: &[Column]) -> Option<(u8, i64)> {
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let Some(i) = columns.iter().position(|c| c.name == name) else {
        return f.wrong(format!("the profile has no column {name:?}"), suggest::advice(name, &names));
    };
    let quantity = columns[i].quantity;
    let right = format!("a number and a unit of {} in quotes", noun(quantity));
    let text = f.text()?.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || ".+-".contains(c))).unwrap_or(text.len());
    let unit = match text[split..].trim() {
        "" if quantity == Quantity::Number => Some(Unit::One),
        spelling => Unit::parse(spelling).filter(|u| u.quantity() == quantity),
    };
    let value = unit.and_then(|u| Decimal::parse(&text[..split]).ok()?.in_smallest(u).ok());
    match value {
        Some(v) => Some((u8::try_from(i).ok()?, v)),
        None => f.wrong(format!("{text:?} is no such value"), right),
    }
}

fn instant(s: &str) -> Parsed<Ts> {
    let t = s.parse::<jiff::Timestamp>();
    t.map(|t| Ts(t.as_millisecond())).map_err(|_| Wrong::new(format!("{s:?} is not an instant"), "2026-11-24T03:04:05Z"))
}
