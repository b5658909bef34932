//! `[[sensors]]`: devices that measure no water but say how things are at their place: leak ropes, buttons, doors, rooms, radiators, valves.

use super::bindings;
use super::heating;
use super::meters::{Ids, SILENT_AFTER, Surroundings};
use super::reader::{Shape, Table};
use super::values::{duration, slug};
use crate::domain::heating::Sense;
use crate::domain::time::Ms;
use crate::domain::topology::{Binding, Boundary, Limits, Medium, Meter, PlaceKind, Point, PointIx, PointKind, Responsible};
use crate::domain::units::{Amount, Rate};

pub(super) static SENSORS: Shape = Shape {
    path: "sensors[]",
    keys: &["id", "name", "at", "device", "subscription", "topic", "silent_after", "supply", "return", "position", "room", "outdoor"],
    hints: &[("place", "at = \"…\": the id of the place"), ("kind", "leave the line out: what a sensor is, its messages tell")],
};

/// Puts all sensors that could be read behind the meters, and gives what they tell of the heating. `ids`: the meters', and the lines where they
/// stand.
pub(super) fn read<'d>(root: &Table<'d>, mut ids: Ids<'d>, around: &Surroundings<'_, '_>, points: &mut Vec<Point>) -> Vec<Sense> {
    let mut senses = vec![];
    for t in root.tables("sensors", &SENSORS) {
        let id = t.need("id", "id = \"…\": a-z, 0-9 and -, permanent");
        let key = id.as_ref().and_then(|f| {
            let (id, line) = (f.text()?, f.line());
            match ids.insert(id, line) {
                Some(first) => {
                    f.wrong(format!("the id {id:?} is taken in line {first}"), "an id of its own: meters and sensors share one set of ids")
                }
                None => f.parsed(slug),
            }
        });
        let ix = PointIx(u32::try_from(points.len()).unwrap_or(u32::MAX));
        let source = bindings::whole(&t, around.feeds);
        senses.extend(source.iter().flat_map(|s| heating::senses(&t, ix, s, around.feeds)));
        points.extend(point(&t, key, source, around));
    }
    senses
}

fn point(t: &Table<'_>, key: Option<String>, source: Option<Binding>, around: &Surroundings<'_, '_>) -> Option<Point> {
    let everywhere = [PlaceKind::Community, PlaceKind::Compound, PlaceKind::Building, PlaceKind::Unit, PlaceKind::Household];
    let place = t.need("at", "at = \"…\": the id of the place").and_then(|f| around.places.find(&f, &everywhere));
    let there = place.and_then(|p| around.places.get(p));
    let name = t.get("name").map_or(there.map(|p| p.name.clone()), |f| f.text().map(str::to_owned));
    let wakes = source.as_ref().and_then(|b| around.feeds.get(usize::from(b.feed.0))?.profile()?.wakes);
    let silent_after = match t.get("silent_after") {
        None => Some(Some(patience(wakes))),
        Some(f) if f.is_false() => Some(None),
        Some(f) => f.parsed(|s| duration(s, Ms::minutes(1)..=Ms::days(90))).map(Some),
    };
    let responsible = if there.is_some_and(|p| p.kind == PlaceKind::Household) { Responsible::Household } else { Responsible::Owners };
    Some(Point {
        key: key?,
        name: name?,
        kind: PointKind::Sensor,
        medium: Medium::Water,
        place: place?,
        parent: None,
        boundary: Boundary::Assessment,
        responsible,
        valve: None,
        // Nothing counts there; the least that a meter can be.
        meter: Meter { serial: None, pulse_weight: Amount(1), rollover_at: None, max_flow: Rate(0), mean_flow_over: None },
        source: Some(source?),
        limits: Limits { silent_after: silent_after?, ..Limits::default() },
        price_milliyuan_per_tonne: None,
    })
}

/// How long a device may be silent unless the config says otherwise: one that sleeps may miss a turn.
pub(super) fn patience(wakes: Option<Ms>) -> Ms {
    wakes.map_or(SILENT_AFTER, |w| SILENT_AFTER.max(Ms(w.0.saturating_mul(2)) + Ms::hours(1)))
}
