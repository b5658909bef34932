//! `[[meters]]`: metering points, each with the meter that is in it.

use super::bindings;
use super::places::{Places, word};
use super::reader::{Field, Shape, Table};
use super::sensors::patience;
use super::subscriptions::Draft;
use super::suggest;
use super::values::{Wrong, duration, exact, measured, slug, word_of};
use crate::domain::time::Ms;
use crate::domain::topology::{Boundary, Limits, Medium, Meter, PlaceIx, PlaceKind, Point, PointIx, PointKind, Responsible, ValveCard};
use crate::domain::units::{Amount, Quantity, Rate, Unit};
use std::collections::HashMap;

pub(super) static METERS: Shape = Shape {
    path: "meters[]",
    keys: &[
        "id",
        "name",
        "kind",
        "medium",
        "at",
        "parent",
        "serial",
        "pulse_weight",
        "digits",
        "max_flow",
        "max_power",
        "boundary",
        "responsible",
        "device",
        "subscription",
        "topic",
        "column",
        "limits",
        "valve",
    ],
    hints: &[
        ("place", "at = \"…\": the id of the place"),
        ("unit", "at = \"…\": the id of the place; the unit of its numbers belongs to the subscription"),
    ],
};

pub(super) static LIMITS: Shape =
    Shape { path: "meters[].limits", keys: &["litres_per_hour", "tonnes_per_month", "silent_after"], hints: &[] };

pub(super) static VALVE: Shape =
    Shape { path: "meters[].valve", keys: &["place", "key_holder", "shuts_off", "may_close", "photo"], hints: &[] };

const KINDS: &[(&str, PointKind)] = &[("bulk", PointKind::Bulk), ("sub", PointKind::Sub), ("make-up", PointKind::MakeUp)];
const MEDIUMS: &[(&str, Medium)] = &[
    ("water", Medium::Water),
    ("hot-water", Medium::HotWater),
    ("heat", Medium::Heat),
    ("electricity", Medium::Electricity),
    ("gas", Medium::Gas),
];
const BOUNDARIES: &[(&str, Boundary)] = &[("settlement", Boundary::Settlement), ("assessment", Boundary::Assessment)];
const RESPONSIBLE: &[(&str, Responsible)] =
    &[("water-company", Responsible::WaterCompany), ("owners", Responsible::Owners), ("household", Responsible::Household)];

/// Of most pulse meters of water in houses; the last digit of most gas meters.
const PULSE_WEIGHT: Amount = Amount::litres(1);
/// The last digit of most meters of heat and electricity.
const ENERGY_WEIGHT: Amount = Amount::kilowatt_hours(1);

/// One building never used as much, and the one that lost as much did so for a month before anyone knew.
const BUILDING_PER_MONTH: Amount = Amount::tonnes(1_000);

/// Without a word of the profile. Some meters report once a day.
pub(super) const SILENT_AFTER: Ms = Ms::hours(24);

/// More than any pipe of a residential compound carries: a larger number is a slip.
const MAX_FLOW_CUBIC_METRES: i64 = 10_000;
/// No transformer of a compound gives as much, and no boiler house heats as much.
const MAX_POWER_KILOWATTS: i64 = 1_000_000;
const MAX_LITRES_PER_HOUR: i64 = MAX_FLOW_CUBIC_METRES * 1_000;
const MAX_TONNES_PER_MONTH: i64 = MAX_FLOW_CUBIC_METRES * 24 * 31;

/// What a meter is checked against.
pub(super) struct Surroundings<'a, 'd> {
    pub places: &'a Places,
    pub feeds: &'a [Draft<'d>],
    pub price_milliyuan_per_tonne: Option<u32>,
}

/// Ids that are taken, and the lines where they stand.
pub(super) type Ids<'d> = HashMap<&'d str, usize>;

/// All metering points that could be read, and their ids. Indices hold only if no problem was noted, and else nobody asks for them.
pub(super) fn read<'d>(root: &Table<'d>, around: &Surroundings<'_, '_>) -> (Vec<Point>, Ids<'d>) {
    let tables = root.tables("meters", &METERS);
    let ids = ids(&tables);
    let heads: Vec<Head> = tables.iter().map(|t| head(t, around.places)).collect();
    let parents: Vec<Option<usize>> = (0..tables.len()).map(|i| parent(&tables[i], i, &ids, &heads, around.places)).collect();
    circles(&tables, &parents);
    let mediums: Vec<Option<Medium>> = heads.iter().map(|h| h.medium).collect();
    let sources = bindings::read(&tables, &mediums, around.feeds);
    unique_serials(&tables);
    let parts = tables.iter().zip(heads).zip(parents).zip(sources);
    let points = parts.filter_map(|(((t, head), parent), source)| point(t, &head, parent, source, around)).collect();
    let line = |(id, i): (&&'d str, &usize)| Some((*id, tables.get(*i)?.get("id")?.line()));
    let taken = ids.iter().filter_map(line).collect();
    (points, taken)
}

/// Place in the list by id; an id that is taken is noted.
fn ids<'d>(tables: &[Table<'d>]) -> HashMap<&'d str, usize> {
    let mut ids: HashMap<&str, usize> = HashMap::new();
    for (i, t) in tables.iter().enumerate() {
        let Some(f) = t.need("id", "id = \"…\": a-z, 0-9 and -, permanent") else { continue };
        let Some(id) = f.text() else { continue };
        f.parsed(slug);
        match ids.get(id).and_then(|first| tables[*first].get("id")) {
            Some(first) => {
                f.wrong::<()>(format!("the id {id:?} is taken by the meter in line {}", first.line()), "an id of its own");
            }
            None => {
                ids.insert(id, i);
            }
        }
    }
    ids
}

/// What the other parts of a meter depend on.
struct Head {
    kind: Option<PointKind>,
    medium: Option<Medium>,
    place: Option<PlaceIx>,
}

fn head(t: &Table<'_>, places: &Places) -> Head {
    let kind_field = t.need("kind", "kind = \"bulk\", \"sub\" or \"make-up\"");
    let kind = kind_field.as_ref().and_then(|f| f.choice(KINDS));
    let medium_field = t.get("medium");
    let medium = medium_field.as_ref().map_or(Some(Medium::Water), |f| f.choice(MEDIUMS));
    if let (Some(PointKind::MakeUp), Some(m), Some(f)) = (kind, medium.filter(|m| !m.is_water()), &medium_field) {
        let what = format!("a make-up meter measures the water that a heating loop loses, not {}", word_of(m));
        f.wrong::<()>(what, "kind = \"bulk\" or \"sub\", or no medium");
    }
    let at = t.need("at", "at = \"…\": the id of the place");
    let everywhere = [PlaceKind::Community, PlaceKind::Compound, PlaceKind::Building, PlaceKind::Unit, PlaceKind::Household];
    let place = at.as_ref().and_then(|f| places.find(f, &everywhere));
    if let (Some(kind), Some(f), Some(p)) = (kind, &at, place.and_then(|p| places.get(p))) {
        let at_household = p.kind == PlaceKind::Household;
        match kind {
            PointKind::Sub if !at_household => {
                let what = format!("a sub-meter is one household's, but {:?} is a {}", p.key, word(p.kind));
                f.wrong::<()>(what, "the id of a household, or kind = \"bulk\"");
            }
            PointKind::Bulk | PointKind::MakeUp if at_household => {
                f.wrong::<()>(
                    format!("{:?} is a household: its meter is a sub-meter", p.key),
                    "kind = \"sub\", or the id of a building or compound",
                );
            }
            _ => {}
        }
    }
    Head { kind, medium, place }
}

fn parent(t: &Table<'_>, own: usize, ids: &HashMap<&str, usize>, heads: &[Head], places: &Places) -> Option<usize> {
    let f = t.get("parent")?;
    let id = f.text()?;
    let Some(parent) = ids.get(id).copied() else {
        let mut known: Vec<(usize, &str)> = ids.iter().filter(|(_, i)| **i != own).map(|(id, i)| (*i, *id)).collect();
        known.sort_unstable();
        let known: Vec<&str> = known.into_iter().map(|(_, id)| id).collect();
        return f.dangling(format!("there is no meter {id:?}"), suggest::advice(id, &known));
    };
    if let (Some(here), Some(there)) = (heads[own].medium, heads[parent].medium)
        && !here.can_hang_under(there)
    {
        let what = format!("{id:?} measures {}, this meter {}", word_of(there), word_of(here));
        let right = match here {
            Medium::HotWater => "a meter of hot water, or of the water that it is made of",
            _ => "a meter upstream that measures the same",
        };
        f.wrong::<()>(what, right);
    }
    // Water flows down the tree of places: a parent elsewhere is a slip that would show as a loss for ever.
    if let (Some(here), Some(there)) = (heads[own].place, heads[parent].place)
        && !places.is_at_or_above(there, here)
    {
        let name = |ix| places.get(ix).map_or("?", |p| p.key.as_str());
        let what = format!("{id:?} stands at {:?}, which neither is nor contains {:?}", name(there), name(here));
        f.wrong::<()>(what, "a meter upstream; one that feeds several buildings stands at their compound");
    }
    Some(parent)
}

/// Notes each circle of parents once, at the first meter of it.
fn circles(tables: &[Table<'_>], parents: &[Option<usize>]) {
    let mut done = vec![false; parents.len()];
    for start in 0..parents.len() {
        let mut way = Vec::new();
        let mut next = Some(start);
        while let Some(i) = next.filter(|i| !done[*i]) {
            done[i] = true;
            way.push(i);
            next = parents[i];
        }
        let Some(from) = next.and_then(|i| way.iter().position(|w| *w == i)) else { continue };
        let circle = &mut way[from..];
        let first = circle.iter().enumerate().min_by_key(|(_, i)| **i).map_or(0, |(at, _)| at);
        circle.rotate_left(first);
        let id = |i: usize| tables[i].get("id").and_then(|f| f.text()).unwrap_or("?");
        let mut names: Vec<&str> = circle.iter().map(|i| id(*i)).collect();
        names.push(id(circle[0]));
        if let Some(f) = tables[circle[0]].get("parent") {
            f.wrong::<()>(format!("the parents go in a circle: {}", names.join(" → ")), "the meter upstream; the first one has no parent");
        }
    }
}

fn unique_serials(tables: &[Table<'_>]) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for f in tables.iter().filter_map(|t| t.get("serial")) {
        let Some(serial) = f.text() else { continue };
        match seen.get(serial) {
            Some(line) => {
                f.wrong::<()>(
                    format!("the serial number {serial:?} stands in line {line} already"),
                    "the number on this meter's own plate",
                );
            }
            None => {
                seen.insert(serial, f.line());
            }
        }
    }
}

fn point(t: &Table<'_>, head: &Head, parent: Option<usize>, source: bindings::Source, around: &Surroundings<'_, '_>) -> Option<Point> {
    let place_kind = head.place.and_then(|p| around.places.get(p)).map(|p| p.kind);
    let place_name = head.place.and_then(|p| around.places.get(p)).map(|p| p.name.clone());
    let key = t.get("id").and_then(|f| f.text());
    let name = t.get("name").map_or(place_name, |f| f.text().map(str::to_owned));
    // Without a kind, the other values are still read, so that what is wrong in them is told as well.
    let kind = head.kind.unwrap_or(PointKind::Bulk);
    let medium = head.medium.unwrap_or_default();
    let (default_boundary, default_responsible) = match kind {
        PointKind::Bulk => (Boundary::Settlement, Responsible::Owners),
        PointKind::Sub => (Boundary::Assessment, Responsible::Household),
        PointKind::MakeUp | PointKind::Sensor => (Boundary::Assessment, Responsible::Owners),
    };
    let boundary = t.get("boundary").map_or(Some(default_boundary), |f| f.choice(BOUNDARIES));
    let responsible = t.get("responsible").map_or(Some(default_responsible), |f| {
        of_water_alone(&f, medium)?;
        f.choice(RESPONSIBLE)
    });
    let meter = meter(t, medium, most(kind, medium), &source, around);
    let shipped = Limits {
        per_hour: None,
        per_month: (kind == PointKind::Bulk && medium.is_water() && place_kind == Some(PlaceKind::Building)).then_some(BUILDING_PER_MONTH),
        silent_after: (!source.is_by_hand()).then(|| patience(source.feed().and_then(|f| around.feeds.get(f)?.profile()?.wakes))),
    };
    let limits = limits(t, medium, shipped, &source, meter.as_ref());
    let valve = t.table("valve", &VALVE).map(|t| valve(&t));
    Some(Point {
        key: key?.to_owned(),
        name: name?,
        kind: head.kind?,
        medium: head.medium?,
        place: head.place?,
        parent: parent.and_then(|i| u32::try_from(i).ok()).map(PointIx),
        boundary: boundary?,
        responsible: responsible?,
        valve: valve.map_or(Some(None), |v| v.map(Some))?,
        meter: meter?,
        source: source.binding()?,
        limits: limits?,
        // It is the price of cold water.
        price_milliyuan_per_tonne: around.price_milliyuan_per_tonne.filter(|_| medium == Medium::Water),
    })
}

/// Notes a key that speaks of leaks where nothing can leak.
fn of_water_alone(f: &Field<'_>, medium: Medium) -> Option<()> {
    if medium.is_water() {
        return Some(());
    }
    let what = format!("it is for leaks, which are looked for in water alone; this meter measures {}", word_of(medium));
    f.wrong(what, "leave it out; silence, resets, jumps and what the device itself reports are told of every meter")
}

/// The highest rate that is taken for real unless the config says otherwise.
fn most(kind: PointKind, medium: Medium) -> Rate {
    let kilowatts = |n: i64| Rate(n * 1_000);
    match (medium, kind) {
        (Medium::Heat | Medium::Electricity, PointKind::Sub) => kilowatts(100),
        (Medium::Heat | Medium::Electricity, _) => kilowatts(10_000),
        (Medium::Gas, PointKind::Sub) => Rate::litres(10_000),
        (Medium::Gas, _) => Rate::litres(1_000_000),
        (Medium::Water | Medium::HotWater, PointKind::Bulk) => Rate::litres(100_000),
        (Medium::Water | Medium::HotWater, PointKind::Sub) => Rate::litres(5_000),
        (Medium::Water | Medium::HotWater, PointKind::MakeUp | PointKind::Sensor) => Rate::litres(10_000),
    }
}

fn meter(t: &Table<'_>, medium: Medium, default_most: Rate, source: &bindings::Source, around: &Surroundings<'_, '_>) -> Option<Meter> {
    let serial = t.get("serial").map_or(Some(None), |f| f.text().map(|s| Some(s.to_owned())));
    let weight = |s: &str| match medium.quantity() {
        Quantity::Energy => measured(s, Quantity::Energy, 100, Unit::MegawattHour, "\"1 kWh\"").map(Amount),
        _ => measured(s, Quantity::Volume, 100, Unit::CubicMetre, "\"10 L\"").map(Amount),
    };
    let default_weight = if medium.is_energy() { ENERGY_WEIGHT } else { PULSE_WEIGHT };
    let pulse_weight = match t.get("pulse_weight") {
        Some(f) => f.parsed(weight),
        None if !medium.is_water() && source.counts_pulses(around.feeds) => {
            let example = if medium.is_energy() { "\"1 Wh\" where its plate says 1000 imp/kWh" } else { "\"0.01 m3\"" };
            // A litre is usual for water; here a guess would be wrong more often than right.
            t.absent("pulse_weight", "nothing says what one pulse stands for", format!("pulse_weight = {example}"));
            None
        }
        None => Some(default_weight),
    };
    let rollover_at = t.get("digits").map_or(Some(None), |f| rollover_at(&f, pulse_weight).map(Some));
    let max_flow = highest(t, medium, default_most);
    Some(Meter { serial: serial?, pulse_weight: pulse_weight?, rollover_at: rollover_at?, max_flow: max_flow?, mean_flow_over: None })
}

/// `max_flow` of a volume, `max_power` of energy.
fn highest(t: &Table<'_>, medium: Medium, default: Rate) -> Option<Rate> {
    let flow = |s: &str| measured(s, Quantity::Flow, MAX_FLOW_CUBIC_METRES, Unit::CubicMetrePerHour, "\"100 m3/h\"").map(Rate);
    // Watts are watt-hours per hour, which is what registers rise by.
    let power = |s: &str| {
        let right = "at least 1 W, without a fraction of one: \"50 kW\"";
        let milliwatts = measured(s, Quantity::Power, MAX_POWER_KILOWATTS, Unit::Kilowatt, "\"50 kW\"")?;
        if milliwatts % 1_000 == 0 { Ok(Rate(milliwatts / 1_000)) } else { Err(Wrong::new(format!("{s:?} is finer than a watt"), right)) }
    };
    let (right_key, wrong_key) = if medium.is_energy() { ("max_power", "max_flow") } else { ("max_flow", "max_power") };
    if let Some(f) = t.get(wrong_key) {
        let example = if medium.is_energy() { "\"50 kW\"" } else { "\"100 m3/h\"" };
        return f.wrong(format!("`{wrong_key}` says nothing about a meter of {}", word_of(medium)), format!("{right_key} = {example}"));
    }
    match t.get(right_key) {
        None => Some(default),
        Some(f) if medium.is_energy() => f.parsed(power),
        Some(f) => f.parsed(flow),
    }
}

fn rollover_at(f: &Field<'_>, pulse_weight: Option<Amount>) -> Option<Amount> {
    let digits = f.integer(1..=12)?;
    let pulse_weight = pulse_weight?;
    let full = 10i64.checked_pow(u32::try_from(digits).ok()?).and_then(|n| n.checked_mul(pulse_weight.0));
    let right = "all digits of the register, also those behind the point: 8 for 00000,000 m³ with a pulse weight of 1 L";
    full.map_or_else(|| f.wrong(format!("{digits} digits of this pulse weight are more than can be counted"), right), |n| Some(Amount(n)))
}

fn limits(t: &Table<'_>, medium: Medium, shipped: Limits, source: &bindings::Source, meter: Option<&Meter>) -> Option<Limits> {
    if t.get("limits").is_none() {
        return Some(shipped);
    }
    let t = t.table("limits", &LIMITS)?;
    // None: wrong. Some(None): switched off.
    let switch = |key, default, read: &dyn Fn(&Field<'_>) -> Option<i64>| match t.get(key) {
        None => Some(default),
        Some(f) if key != "silent_after" && of_water_alone(&f, medium).is_none() => None,
        Some(f) if f.is_false() => Some(None),
        Some(f) => read(&f).map(Some),
    };
    let volume = |f: &Field<'_>, max: i64, factor: i64| {
        let right = format!("a number more than 0 and at most {max}, or false to switch it off");
        let n = exact(f.decimal(&right)?, factor).filter(|n| (1..=max * factor).contains(n));
        n.or_else(|| f.wrong("the limit is out of range", right))
    };
    let per_hour = switch("litres_per_hour", shipped.per_hour.map(|v| v.0), &|f| {
        let n = volume(f, MAX_LITRES_PER_HOUR, 1_000)?;
        match meter {
            Some(m) if n > m.max_flow.0 => {
                let what = format!(
                    "a limit above the meter's max_flow of {} L/h is never reached: faster flow is taken for a fault",
                    m.max_flow.0 / 1_000
                );
                f.wrong(what, "a lower limit, or a larger max_flow")
            }
            _ => Some(n),
        }
    });
    let per_month = switch("tonnes_per_month", shipped.per_month.map(|v| v.0), &|f| volume(f, MAX_TONNES_PER_MONTH, 1_000_000));
    let silent_after = switch("silent_after", shipped.silent_after.map(|d| d.0), &|f| {
        if source.is_by_hand() {
            return f.wrong("a meter that is read by hand is always silent", "nothing, or a device");
        }
        f.parsed(|s| duration(s, Ms::minutes(1)..=Ms::days(90))).map(|d| d.0)
    });
    Some(Limits { per_hour: per_hour?.map(Amount), per_month: per_month?.map(Amount), silent_after: silent_after?.map(Ms) })
}

fn valve(t: &Table<'_>) -> Option<ValveCard> {
    let place = t.need("place", "place = \"…\": where the valve is, for someone who was never there").and_then(|f| f.text());
    let text = |key| t.get(key).map_or(Some(None), |f| f.text().map(|s| Some(s.to_owned())));
    let (key_holder, shuts_off, may_close, photo) = (text("key_holder"), text("shuts_off"), text("may_close"), text("photo"));
    Some(ValveCard { place: place?.to_owned(), key_holder: key_holder?, shuts_off: shuts_off?, may_close: may_close?, photo: photo? })
}
