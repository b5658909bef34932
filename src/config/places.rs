//! `[[communities]]`, `[[compounds]]`, `[[buildings]]`, `[[units]]`, `[[households]]`: the tree of places.
//!
//! A place may only hang on a place of the kind above it, and the kinds are read from the top: so parents stand before children, and
//! there can be no circle.

use super::reader::{Field, Shape, Table};
use super::suggest;
use super::values::slug;
use crate::domain::topology::{Place, PlaceIx, PlaceKind};
use std::collections::HashMap;

pub(super) static COMMUNITIES: Shape = Shape { path: "communities[]", keys: &["id", "name"], hints: &[] };
pub(super) static COMPOUNDS: Shape =
    Shape { path: "compounds[]", keys: &["id", "name", "community", "households", "residents"], hints: &[] };
pub(super) static BUILDINGS: Shape =
    Shape { path: "buildings[]", keys: &["id", "name", "compound", "households", "residents"], hints: &[] };
pub(super) static UNITS: Shape = Shape { path: "units[]", keys: &["id", "name", "building"], hints: &[] };
pub(super) static HOUSEHOLDS: Shape = Shape { path: "households[]", keys: &["id", "name", "unit", "building", "residents"], hints: &[] };

/// No gateway serves more people than a city district has; a larger number is a slip.
const MAX_PEOPLE: i64 = 1_000_000;

/// All places, and where to find them.
#[derive(Default)]
pub(super) struct Places {
    pub list: Vec<Place>,
    by_id: HashMap<String, (PlaceIx, usize)>,
}

/// The list of one kind, and the keys by which its entries name the place above.
struct Level {
    list: &'static str,
    shape: &'static Shape,
    kind: PlaceKind,
    above: &'static [(&'static str, PlaceKind)],
}

static LEVELS: [Level; 5] = [
    Level { list: "communities", shape: &COMMUNITIES, kind: PlaceKind::Community, above: &[] },
    Level { list: "compounds", shape: &COMPOUNDS, kind: PlaceKind::Compound, above: &[("community", PlaceKind::Community)] },
    Level { list: "buildings", shape: &BUILDINGS, kind: PlaceKind::Building, above: &[("compound", PlaceKind::Compound)] },
    Level { list: "units", shape: &UNITS, kind: PlaceKind::Unit, above: &[("building", PlaceKind::Building)] },
    Level {
        list: "households",
        shape: &HOUSEHOLDS,
        kind: PlaceKind::Household,
        above: &[("unit", PlaceKind::Unit), ("building", PlaceKind::Building)],
    },
];

impl Places {
    pub fn read(root: &Table<'_>) -> Places {
        let mut places = Places::default();
        for level in &LEVELS {
            for table in root.tables(level.list, level.shape) {
                places.add(&table, level);
            }
        }
        places
    }

    /// Adds a place even where parts of it are wrong: what names it shall not be wrong as well.
    fn add(&mut self, t: &Table<'_>, level: &Level) {
        let id = t.need("id", "id = \"…\": a-z, 0-9 and -, permanent");
        let name = t.need("name", "name = \"…\": what people call it").and_then(|f| f.text());
        let parent = self.parent(t, level);
        let count = |key| {
            let allowed = level.shape.keys.contains(&key);
            let f = if allowed { t.get(key) } else { None }?;
            f.integer(1..=MAX_PEOPLE).and_then(|n| u32::try_from(n).ok())
        };
        let (households, residents) = (count("households"), count("residents"));
        let key = id.as_ref().and_then(|f| self.claim(f)).unwrap_or_default();
        self.list.push(Place { key, kind: level.kind, name: name.unwrap_or_default().to_owned(), parent, households, residents });
    }

    /// Registers the id for the place that is about to be added.
    fn claim(&mut self, f: &Field<'_>) -> Option<String> {
        let id = f.text()?;
        f.parsed(slug);
        if let Some((_, line)) = self.by_id.get(id) {
            return f.wrong(
                format!("the id {id:?} is taken by the place in line {line}"),
                "an id of its own: places of all kinds share one set of ids",
            );
        }
        // A file with four thousand million places does not fit into memory.
        let ix = u32::try_from(self.list.len()).map_or(PlaceIx(u32::MAX), PlaceIx);
        self.by_id.insert(id.to_owned(), (ix, f.line()));
        Some(id.to_owned())
    }

    fn parent(&self, t: &Table<'_>, level: &Level) -> Option<PlaceIx> {
        let mut named = level.above.iter().filter_map(|(key, kind)| t.get(key).map(|f| (f, *kind)));
        if let Some((field, kind)) = named.next() {
            if let Some((second, _)) = named.next() {
                second.wrong::<()>(
                    format!("the household is placed a second time (`{}` does it already)", field.key),
                    "either `unit` or `building`: a unit knows its building",
                );
            }
            return self.find(&field, &[kind]);
        }
        let (key, kind) = *level.above.first()?;
        let mut candidates = self.of_kind(kind);
        match (candidates.next(), candidates.next()) {
            // Compounds and buildings may leave out what there is only one of; a compound may also stand alone.
            (only, None) if matches!(level.kind, PlaceKind::Compound) || (matches!(level.kind, PlaceKind::Building) && only.is_some()) => {
                only
            }
            _ if level.above.len() > 1 => {
                t.absent(
                    key,
                    "neither `unit` nor `building` is given",
                    "unit = \"…\", or building = \"…\" where the building has no units",
                );
                None
            }
            _ => {
                t.need(key, &format!("{key} = \"…\": {}", suggest::one_of(&self.ids(&[kind]))));
                None
            }
        }
    }

    fn of_kind(&self, kind: PlaceKind) -> impl Iterator<Item = PlaceIx> + '_ {
        (0u32..).zip(&self.list).filter(move |(_, p)| p.kind == kind).map(|(i, _)| PlaceIx(i))
    }

    fn ids(&self, kinds: &[PlaceKind]) -> Vec<&str> {
        self.list.iter().filter(|p| kinds.contains(&p.kind) && !p.key.is_empty()).map(|p| p.key.as_str()).collect()
    }

    /// The place that the field names; it has to be of one of `kinds`.
    pub fn find(&self, field: &Field<'_>, kinds: &[PlaceKind]) -> Option<PlaceIx> {
        let id = field.text()?;
        let wanted: Vec<&str> = kinds.iter().map(|k| word(*k)).collect();
        match self.by_id.get(id) {
            Some((ix, _)) => {
                let kind = self.list.get(ix.0 as usize)?.kind;
                if kinds.contains(&kind) {
                    return Some(*ix);
                }
                field.wrong(
                    format!("{id:?} is a {}", word(kind)),
                    format!("the id of a {}: {}", wanted.join(", "), suggest::one_of(&self.ids(kinds))),
                )
            }
            None => field.dangling(format!("there is no place {id:?}"), suggest::advice(id, &self.ids(kinds))),
        }
    }

    pub fn get(&self, ix: PlaceIx) -> Option<&Place> {
        self.list.get(ix.0 as usize)
    }

    /// True if `above` is `ix` itself or lies on its way to the root.
    pub fn is_at_or_above(&self, above: PlaceIx, ix: PlaceIx) -> bool {
        std::iter::successors(Some(ix), |p| self.get(*p).and_then(|p| p.parent)).any(|p| p == above)
    }
}

/// The kind as a word of a sentence.
pub(super) fn word(kind: PlaceKind) -> &'static str {
    match kind {
        PlaceKind::Community => "community",
        PlaceKind::Compound => "compound",
        PlaceKind::Building => "building",
        PlaceKind::Unit => "unit",
        PlaceKind::Household => "household",
    }
}
