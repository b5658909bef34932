//! What stands at the wanted places of a JSON document, found in one pass over it.
//!
//! Only the way to the wanted places is looked at. What stands there is kept as the text that it is in the payload, because a
//! JSON number that became a float on the way would no longer be what the meter said.

use crate::domain::device::{MAX_PLACES, Pointer, Token};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// What stands at each place, in their order; beyond [`MAX_PLACES`] nothing is looked for. Of a name that an object has twice, the last counts.
pub(super) fn find<'p, 's>(text: &'p str, places: impl Iterator<Item = &'s Pointer>) -> serde_json::Result<[Option<&'p str>; MAX_PLACES]> {
    let mut walk = Walk { wanted: [&[]; MAX_PLACES], found: [None; MAX_PLACES] };
    let mut all: Set = 0;
    for (i, place) in places.take(MAX_PLACES).enumerate() {
        walk.wanted[i] = place.tokens();
        all |= 1 << i;
    }
    let mut json = serde_json::Deserializer::from_str(text);
    Inside { walk: &mut walk, places: all, depth: 0 }.deserialize(&mut json)?;
    json.end()?;
    Ok(walk.found)
}

/// The elements of a JSON array, each as its text; None if it is none.
pub(super) fn elements(raw: &str) -> Option<Vec<&str>> {
    serde_json::from_str::<Vec<&RawValue>>(raw).ok().map(|all| all.into_iter().map(RawValue::get).collect())
}

/// A set of places, one bit each.
type Set = u64;

fn members(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let i = set.trailing_zeros() as usize;
        set &= set.checked_sub(1)?;
        Some(i)
    })
}

/// One pass over a document.
struct Walk<'s, 'p> {
    wanted: [&'s [Token]; MAX_PLACES],
    found: [Option<&'p str>; MAX_PLACES],
}

impl<'s> Walk<'s, '_> {
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
