//! The numbers and the stamp of a JSON payload, in one pass over it.
//!
//! Only the way to the wanted places is looked at. What stands there is kept as the text that it is in the payload, because a
//! JSON number that became a float on the way would no longer be what the meter said.

use super::pointer::Token;
use super::{JsonColumn, Pointer, blank, number, shown, stamp};
use crate::domain::reading::{Reject, Values};
use crate::domain::time::Ts;
use crate::domain::topology::MAX_COLUMNS;
use crate::domain::units::Unit;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

pub(super) fn read(text: &str, time: Option<&Pointer>, columns: &[JsonColumn], tz: &TimeZone) -> Result<(Option<Ts>, Values), Reject> {
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(blank);
    if text.is_empty() {
        return Err(Reject::Missing { at: String::new() });
    }
    let found = Walk::over(text, time, columns).map_err(|e| Reject::Json { line: e.line(), column: e.column() })?;
    let mut values = Values::NONE;
    for (i, column) in columns.iter().take(MAX_COLUMNS).enumerate() {
        match value(found[i], column.unit, &column.pointer)? {
            Some(v) => values.set(i, v),
            None if i == 0 => return Err(Reject::Missing { at: column.pointer.to_string() }),
            None => {}
        }
    }
    let ts = time.map(|at| instant(found[TIME], at, tz)).transpose()?;
    Ok((ts, values))
}

/// The number of a column; None where the message says nothing about it.
fn value(raw: Option<&str>, unit: Unit, at: &Pointer) -> Result<Option<i64>, Reject> {
    let Some(raw) = raw else { return Ok(None) };
    match Scalar::of(raw) {
        Scalar::Nothing => Ok(None),
        Scalar::Number(n) => number::read(n, unit, at.as_str()).map(Some),
        Scalar::Text(t) => number::read(&t, unit, at.as_str()).map(Some),
        Scalar::Bool(b) if unit == Unit::One => Ok(Some(i64::from(b) * unit.factor())),
        Scalar::Bool(_) | Scalar::Other => Err(Reject::Number { at: at.to_string(), found: shown(raw) }),
    }
}

/// A message whose stamp is missing is refused: arrival is not when it was measured.
fn instant(raw: Option<&str>, at: &Pointer, tz: &TimeZone) -> Result<Ts, Reject> {
    let missing = || Reject::Missing { at: at.to_string() };
    let raw = raw.ok_or_else(missing)?;
    let (ts, found) = match Scalar::of(raw) {
        Scalar::Nothing => return Err(missing()),
        Scalar::Number(n) => (stamp::number(n, tz), Cow::Borrowed(n)),
        Scalar::Text(t) => (stamp::text(&t, tz), t),
        Scalar::Bool(_) | Scalar::Other => (None, Cow::Borrowed(raw)),
    };
    ts.ok_or_else(|| Reject::TimeSyntax { at: at.to_string(), found: shown(&found) })
}

enum Scalar<'p> {
    /// `null`, or a string of nothing.
    Nothing,
    Number(&'p str),
    Text(Cow<'p, str>),
    Bool(bool),
    /// An object, an array, or a string that is no Unicode.
    Other,
}

impl<'p> Scalar<'p> {
    /// `raw` is one valid JSON value.
    fn of(raw: &'p str) -> Scalar<'p> {
        match raw.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Scalar::Number(raw),
            Some(b'"') => match string(raw) {
                Some(t) if t.chars().all(blank) => Scalar::Nothing,
                Some(t) => Scalar::Text(t),
                None => Scalar::Other,
            },
            Some(b't') => Scalar::Bool(true),
            Some(b'f') => Scalar::Bool(false),
            Some(b'n') => Scalar::Nothing,
            _ => Scalar::Other,
        }
    }
}

fn string(raw: &str) -> Option<Cow<'_, str>> {
    if raw.contains('\\') {
        // Only an escape that is half of a surrogate pair can fail here.
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    raw.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}

/// The places of one message: its columns, and its stamp in the last slot.
const PLACES: usize = MAX_COLUMNS + 1;
const TIME: usize = MAX_COLUMNS;

/// A set of places, one bit each.
type Set = u16;

fn members(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let i = set.trailing_zeros() as usize;
        set &= set.checked_sub(1)?;
        Some(i)
    })
}

/// One pass over a document.
struct Walk<'s, 'p> {
    wanted: [&'s [Token]; PLACES],
    found: [Option<&'p str>; PLACES],
}

impl<'s, 'p> Walk<'s, 'p> {
    /// What stands at each place. Of a name that an object has twice, the last counts.
    fn over(text: &'p str, time: Option<&'s Pointer>, columns: &'s [JsonColumn]) -> serde_json::Result<[Option<&'p str>; PLACES]> {
        let mut walk = Walk { wanted: [&[]; PLACES], found: [None; PLACES] };
        let mut all: Set = 0;
        for (i, column) in columns.iter().take(MAX_COLUMNS).enumerate() {
            walk.wanted[i] = column.pointer.tokens();
            all |= 1 << i;
        }
        if let Some(time) = time {
            walk.wanted[TIME] = time.tokens();
            all |= 1 << TIME;
        }
        let mut json = serde_json::Deserializer::from_str(text);
        Inside { walk: &mut walk, places: all, depth: 0 }.deserialize(&mut json)?;
        json.end()?;
        Ok(walk.found)
    }

    fn subset(&self, places: Set, keep: impl Fn(&'s [Token]) -> bool) -> Set {
        members(places).filter(|i| keep(self.wanted[*i])).fold(0, |set, i| set | 1 << i)
    }

    fn forget(&mut self, places: Set) {
        members(places).for_each(|i| self.found[i] = None);
    }
}

/// A value of the document, `depth` steps down, on the way to `places`.
struct Inside<'w, 's, 'p> {
    walk: &'w mut Walk<'s, 'p>,
    places: Set,
    depth: usize,
}

impl<'p> DeserializeSeed<'p> for Inside<'_, '_, 'p> {
    type Value = ();

    fn deserialize<D: Deserializer<'p>>(self, json: D) -> Result<(), D::Error> {
        let here = self.walk.subset(self.places, |tokens| tokens.len() == self.depth);
        if here == 0 {
            return json.deserialize_any(self);
        }
        let raw = <&'p RawValue>::deserialize(json)?.get();
        members(here).for_each(|i| self.walk.found[i] = Some(raw));
        let below = self.places & !here;
        if below != 0 {
            let mut again = serde_json::Deserializer::from_str(raw);
            Inside { places: below, ..self }.deserialize(&mut again).map_err(D::Error::custom)?;
        }
        Ok(())
    }
}

impl<'p> Visitor<'p> for Inside<'_, '_, 'p> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'p>>(self, mut map: A) -> Result<(), A::Error> {
        let Inside { walk, places, depth } = self;
        while let Some(places) = map.next_key_seed(Name { walk, places, depth })? {
            if places == 0 {
                map.next_value::<IgnoredAny>()?;
            } else {
                walk.forget(places);
                map.next_value_seed(Inside { walk, places, depth: depth + 1 })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'p>>(self, mut seq: A) -> Result<(), A::Error> {
        let Inside { walk, places, depth } = self;
        for i in 0.. {
            let places = walk.subset(places, |tokens| tokens.get(depth).is_some_and(|t| t.indexes(i)));
            let more = if places == 0 {
                seq.next_element::<IgnoredAny>()?.is_some()
            } else {
                seq.next_element_seed(Inside { walk, places, depth: depth + 1 })?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    // The way ends in a scalar: nothing stands at the places below it.
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name; its value is the set of those `places` that lie behind it.
struct Name<'w, 's, 'p> {
    walk: &'w Walk<'s, 'p>,
    places: Set,
    depth: usize,
}

impl<'p> DeserializeSeed<'p> for Name<'_, '_, 'p> {
    type Value = Set;

    fn deserialize<D: Deserializer<'p>>(self, json: D) -> Result<Set, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_, '_> {
    type Value = Set;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Set, E> {
        Ok(self.walk.subset(self.places, |tokens| tokens.get(self.depth).is_some_and(|t| t.names(name))))
    }
}
