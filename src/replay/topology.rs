//! What a config would say, made of the list of meters and of what their first rows measure.

use super::SINCE;
use super::limits::{Reach, limits};
use super::meters::{MeterLine, Meters};
use super::series::SeriesTable;
use crate::domain::heating::{Heating, Measure, Sense};
use crate::domain::topology::{
    Binding, Boundary, Column, Feed, FeedIx, Limits, Medium, Meter, Place, PlaceIx, PlaceKind, Point, PointIx, PointKind, Responsible,
    Topology,
};
use crate::domain::units::{Amount, Quantity, Rate};

/// One feed per quantity, each with a single column: a row of the history is a message with one number.
const QUANTITIES: [(Quantity, &str); 8] = [
    (Quantity::Volume, "volume"),
    (Quantity::Flow, "flow"),
    (Quantity::Pulses, "pulses"),
    (Quantity::Temperature, "temperature"),
    (Quantity::Ratio, "ratio"),
    (Quantity::Energy, "energy"),
    (Quantity::Voltage, "voltage"),
    (Quantity::Number, "number"),
];

/// What a register's digit is worth where the list does not say.
const PULSE_WEIGHT: Amount = Amount::litres(1);

/// The feed of rows that measure this.
pub fn feed(quantity: Quantity) -> FeedIx {
    let at = QUANTITIES.iter().position(|(q, _)| *q == quantity).unwrap_or_default();
    FeedIx(u16::try_from(at).unwrap_or_default())
}

/// Builds it. A meter that was not heard yet measures what most others do.
pub fn build(meters: &Meters, series: &SeriesTable) -> Topology {
    let heard: Vec<Option<Quantity>> = (0..meters.list.len()).map(|i| water(series.of_meter(i).quantity)).collect();
    let count = |q| heard.iter().filter(|h| **h == Some(q)).count();
    let usual = if count(Quantity::Flow) > count(Quantity::Volume) { Quantity::Flow } else { Quantity::Volume };

    // Positions in `Topology::points`, for parents.
    let mut at = vec![None; meters.list.len()];
    let watched = meters.list.iter().enumerate().filter_map(|(i, m)| Some((i, m, m.reach?)));
    for (next, (i, _, _)) in watched.clone().enumerate() {
        at[i] = u32::try_from(next).ok().map(PointIx);
    }
    let mut places = Places::new(meters);
    let mut points: Vec<Point> = watched
        .map(|(i, m, reach)| Point {
            key: m.meter.clone(),
            name: m.meter.clone(),
            kind: reach.kind(),
            place: places.of(i),
            parent: m.parent.and_then(|p| at[p]),
            medium: Medium::Water,
            boundary: if reach.kind() == PointKind::Bulk { Boundary::Settlement } else { Boundary::Assessment },
            responsible: if reach == Reach::Household { Responsible::Household } else { Responsible::Owners },
            valve: None,
            meter: Meter {
                serial: None,
                pulse_weight: m.pulse_weight.unwrap_or(PULSE_WEIGHT),
                rollover_at: None,
                max_flow: reach.max_flow(),
                mean_flow_over: Some(series.of_meter(i).span),
            },
            source: Some(Binding { topic: m.meter.clone(), feed: feed(heard[i].unwrap_or(usual)), column: Some(0) }),
            limits: limits(reach, m.households, m.every),
            price_milliyuan_per_tonne: None,
        })
        .collect();
    let heating = heating(meters, &mut points);
    Topology {
        gateway: "replay".to_owned(),
        tz: meters.tz.clone(),
        since: SINCE,
        places: places.list,
        points,
        heating,
        feeds: QUANTITIES.iter().map(|(quantity, name)| one_column(*quantity, name)).collect(),
    }
}

/// The numbers of a valve or a room are series of their own: `D0-V01/supply`, `D0-V01/return`, `D0-V01/pos`, `D0-V02/room`. All stand in the compound, so that all valves have one main. No season: a history is heated where it is warm.
fn heating(meters: &Meters, points: &mut Vec<Point>) -> Heating {
    let mut senses = vec![];
    for m in meters.list.iter().filter(|m| m.is_sensor) {
        let point = PointIx(u32::try_from(points.len()).unwrap_or(u32::MAX));
        points.push(sensor(&m.meter));
        senses.extend(NUMBERS.iter().map(|(name, quantity, measures)| Sense {
            point,
            topic: format!("{}/{name}", m.meter),
            feed: feed(*quantity),
            column: 0,
            measures: *measures,
        }));
    }
    Heating { season: None, senses }
}

const NUMBERS: [(&str, Quantity, Measure); 4] = [
    ("supply", Quantity::Temperature, Measure::Supply),
    ("return", Quantity::Temperature, Measure::Return),
    ("pos", Quantity::Ratio, Measure::Position),
    ("room", Quantity::Temperature, Measure::Room),
];

fn sensor(key: &str) -> Point {
    Point {
        key: key.to_owned(),
        name: key.to_owned(),
        kind: PointKind::Sensor,
        place: PlaceIx(0),
        parent: None,
        medium: Medium::Water,
        boundary: Boundary::Assessment,
        responsible: Responsible::Owners,
        valve: None,
        meter: Meter { serial: None, pulse_weight: Amount(1), rollover_at: None, max_flow: Rate(0), mean_flow_over: None },
        source: None,
        limits: Limits::default(),
        price_milliyuan_per_tonne: None,
    }
}

fn one_column(quantity: Quantity, name: &str) -> Feed {
    Feed { name: name.to_owned(), columns: vec![Column { name: name.to_owned(), quantity }], wakes: None }
}

/// Only these can be a water meter's own number.
fn water(q: Option<Quantity>) -> Option<Quantity> {
    q.filter(|q| matches!(q, Quantity::Volume | Quantity::Flow | Quantity::Pulses))
}

/// A place for each meter, under the place of the meter upstream: made when first asked for, so that parents stand first.
struct Places<'m> {
    meters: &'m [MeterLine],
    list: Vec<Place>,
    of_meter: Vec<Option<PlaceIx>>,
}

impl Places<'_> {
    fn new(meters: &Meters) -> Places<'_> {
        let root = Place {
            key: "replay".to_owned(),
            kind: PlaceKind::Compound,
            name: "replay".to_owned(),
            parent: None,
            households: None,
            residents: None,
        };
        Places { meters: &meters.list, list: vec![root], of_meter: vec![None; meters.list.len()] }
    }

    fn of(&mut self, i: usize) -> PlaceIx {
        // The list of meters was checked for circles.
        let way: Vec<usize> = std::iter::successors(Some(i), |m| self.meters[*m].parent).collect();
        let mut parent = PlaceIx(0);
        for m in way.into_iter().rev() {
            parent = match self.of_meter[m] {
                Some(place) => place,
                None => self.add(m, parent),
            };
        }
        parent
    }

    fn add(&mut self, m: usize, parent: PlaceIx) -> PlaceIx {
        let line = &self.meters[m];
        let kind = if line.reach == Some(Reach::Household) { PlaceKind::Household } else { PlaceKind::Building };
        let ix = PlaceIx(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        let (key, name) = (line.meter.clone(), line.meter.clone());
        self.list.push(Place { key, kind, name, parent: Some(parent), households: line.households, residents: None });
        self.of_meter[m] = Some(ix);
        ix
    }
}
