//! The head of a scenario: what stands where, and when it begins.

use super::words::{Say, Words, glued, span, time};
use heyun::domain::heating::{Measure, MonthDay, Season, Sense};
use heyun::domain::time::{Ms, Ts};
use heyun::domain::topology::{
    Binding, Boundary, Column, Feed, FeedIx, Limits, Medium, Meter, Place, PlaceIx, PlaceKind, Point, PointIx, PointKind, Responsible,
    Topology,
};
use heyun::domain::units::{Amount, Quantity, Rate, Unit};
use jiff::tz::TimeZone;

pub struct World {
    pub topology: Topology,
    pub start: Ts,
    /// How long a batch stays open.
    pub linger: Ms,
}

/// One feed for each quantity that a scenario can send.
const FEEDS: [(&str, Quantity); 6] = [
    ("volume", Quantity::Volume),
    ("pulses", Quantity::Pulses),
    ("flow", Quantity::Flow),
    ("flags", Quantity::Flags),
    ("temperature", Quantity::Temperature),
    ("ratio", Quantity::Ratio),
];

/// That of contacts, buttons and other sensors.
pub const FLAGS: FeedIx = FeedIx(3);

/// Of the numbers of a valve, a room, the weather.
const TEMPERATURE: FeedIx = FeedIx(4);
const RATIO: FeedIx = FeedIx(5);

/// What the series of a valve are called below its topic.
pub const VALVE: [(&str, FeedIx, Measure); 3] =
    [("supply", TEMPERATURE, Measure::Supply), ("return", TEMPERATURE, Measure::Return), ("position", RATIO, Measure::Position)];

pub fn feed_of(unit: Unit) -> Say<FeedIx> {
    let at = FEEDS.iter().position(|(_, q)| *q == unit.quantity());
    at.map(|i| FeedIx(i as u16)).ok_or_else(|| format!("nothing sends {unit}"))
}

impl World {
    pub fn empty() -> World {
        let feed =
            |(name, quantity): (&str, _)| Feed { name: name.into(), columns: vec![Column { name: "value".into(), quantity }], wakes: None };
        World {
            topology: Topology {
                gateway: "g1".into(),
                tz: TimeZone::UTC,
                since: Ts("2010-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond()),
                places: vec![],
                points: vec![],
                heating: heyun::domain::heating::Heating::default(),
                feeds: FEEDS.map(feed).into(),
            },
            start: Ts(0),
            linger: Ms::seconds(5),
        }
    }

    /// Takes a line of the head; false, leaving the words, if it is a step.
    pub fn line(&mut self, words: &mut Words<'_>) -> Say<bool> {
        match words.peek() {
            "zone" | "start" | "linger" | "place" | "meter" | "sensor" | "season" | "valve" | "room" | "outdoor" => {}
            _ => return Ok(false),
        }
        match words.next("a word")? {
            "zone" => {
                let name = words.next("the zone's name")?;
                self.topology.tz = TimeZone::get(name).map_err(|e| e.to_string())?;
            }
            "start" => {
                let w = words.next("the start")?;
                self.start = time(w, Ts(0), &self.topology.tz).ok_or_else(|| format!("{w:?} is no time"))?;
            }
            "linger" => self.linger = span(words.next("how long")?)?,
            "place" => self.place(words)?,
            "season" => {
                let day = |w: &str| MonthDay::parse(w).ok_or_else(|| format!("{w:?} is no day of a year"));
                let (first, last) = (day(words.next("the first day")?)?, day(words.next("the last day")?)?);
                self.topology.heating.season = Some(Season { first, last });
            }
            "sensor" => {
                self.sensor(words, FLAGS)?;
            }
            "valve" => self.valve(words)?,
            "room" => self.thermometer(words, Measure::Room)?,
            "outdoor" => self.thermometer(words, Measure::Outdoor)?,
            _ => self.meter(words)?,
        }
        words.end()?;
        Ok(true)
    }

    fn place(&mut self, words: &mut Words<'_>) -> Say<()> {
        let key = words.next("the place's key")?.to_owned();
        let kind = match words.next("the place's kind")? {
            "community" => PlaceKind::Community,
            "compound" => PlaceKind::Compound,
            "building" => PlaceKind::Building,
            "unit" => PlaceKind::Unit,
            "household" => PlaceKind::Household,
            other => return Err(format!("{other:?} is no kind of place")),
        };
        let parent = if words.took("in") { Some(self.place_ix(words.next("the place around it")?)?) } else { None };
        self.topology.places.push(Place { name: key.clone(), key, kind, parent, households: None, residents: None });
        Ok(())
    }

    fn place_ix(&self, key: &str) -> Say<PlaceIx> {
        let at = self.topology.places.iter().position(|p| p.key == key);
        at.map(|i| PlaceIx(i as u32)).ok_or_else(|| format!("there is no place {key:?}"))
    }

    /// Three series below its topic.
    fn valve(&mut self, words: &mut Words<'_>) -> Say<()> {
        let (point, topic) = self.sensor(words, TEMPERATURE)?;
        // No series is the valve's own.
        self.topology.points.iter_mut().rev().take(1).for_each(|p| p.source = None);
        let sense = |(name, feed, measures)| Sense { point, topic: format!("{topic}/{name}"), feed, column: 0, measures };
        self.topology.heating.senses.extend(VALVE.map(sense));
        Ok(())
    }

    fn thermometer(&mut self, words: &mut Words<'_>, measures: Measure) -> Say<()> {
        let (point, topic) = self.sensor(words, TEMPERATURE)?;
        self.topology.heating.senses.push(Sense { point, topic, feed: TEMPERATURE, column: 0, measures });
        Ok(())
    }

    fn sensor(&mut self, words: &mut Words<'_>, feed: FeedIx) -> Say<(PointIx, String)> {
        let key = words.next("the sensor's key")?.to_owned();
        words.expect("at")?;
        let place = self.place_ix(words.next("the sensor's place")?)?;
        let silent_after = if words.took("silent") { Some(span(words.next("how long")?)?) } else { None };
        words.expect("topic")?;
        let topic = words.next("the topic")?.to_owned();
        let (pulse_weight, max_flow) = (Amount(1), Rate(0));
        self.topology.points.push(Point {
            name: key.clone(),
            key,
            kind: PointKind::Sensor,
            place,
            parent: None,
            medium: Medium::Water,
            boundary: Boundary::Assessment,
            responsible: Responsible::Owners,
            valve: None,
            meter: Meter { serial: None, pulse_weight, rollover_at: None, max_flow, mean_flow_over: None },
            source: Some(Binding { topic: topic.clone(), feed, column: None }),
            limits: Limits { silent_after, ..Limits::default() },
            price_milliyuan_per_tonne: None,
        });
        Ok((PointIx(self.topology.points.len() as u32 - 1), topic))
    }

    fn meter(&mut self, words: &mut Words<'_>) -> Say<()> {
        let key = words.next("the meter's key")?.to_owned();
        let (kind, max_flow) = match words.next("the meter's kind")? {
            "bulk" => (PointKind::Bulk, Rate::litres(100_000)),
            "sub" => (PointKind::Sub, Rate::litres(5_000)),
            "makeup" => (PointKind::MakeUp, Rate::litres(5_000)),
            other => return Err(format!("{other:?} is no kind of meter")),
        };
        words.expect("at")?;
        let place = self.place_ix(words.next("the meter's place")?)?;
        let mut meter = Meter { serial: None, pulse_weight: Amount::litres(1), rollover_at: None, max_flow, mean_flow_over: None };
        let mut limits = Limits::default();
        let (mut topic, mut pulses, mut digits) = (None, false, None);
        while !words.is_empty() {
            let what = words.next("a word")?;
            if what == "pulses" {
                pulses = true;
                continue;
            }
            let w = words.next(what)?;
            match what {
                "pulse" => meter.pulse_weight = Amount(glued(w, Quantity::Volume)?),
                "max" => meter.max_flow = Rate(glued(w, Quantity::Flow)?),
                "digits" => digits = Some(w.parse::<u32>().map_err(|e| e.to_string())?),
                "serial" => meter.serial = Some(w.into()),
                "mean" => meter.mean_flow_over = Some(span(w)?),
                "hourly" => limits.per_hour = Some(Amount(glued(w, Quantity::Volume)?)),
                "monthly" => limits.per_month = Some(Amount(glued(w, Quantity::Volume)?)),
                "silent" => limits.silent_after = Some(span(w)?),
                "topic" => topic = Some(w.to_owned()),
                other => return Err(format!("a meter has no {other:?}")),
            }
        }
        meter.rollover_at = digits.map(|n| Amount(meter.pulse_weight.0 * 10i64.pow(n)));
        let feed = FeedIx(match (pulses, meter.mean_flow_over) {
            (true, _) => 1,
            (false, Some(_)) => 2,
            (false, None) => 0,
        });
        self.topology.points.push(Point {
            name: key.clone(),
            key,
            kind,
            place,
            parent: None,
            medium: Medium::Water,
            boundary: Boundary::Assessment,
            responsible: Responsible::Owners,
            valve: None,
            meter,
            source: topic.map(|topic| Binding { topic, feed, column: Some(0) }),
            limits,
            price_milliyuan_per_tonne: None,
        });
        Ok(())
    }
}
