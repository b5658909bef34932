//! The simulated community: built from the places, meters and subscriptions of a config, asked for the messages of any stretch of time.
//!
//! What goes wrong with the water is bound to ids of `config/demo.toml` (see [`trouble`]); a config without them is a community in which none
//! of it does. What a sensor is, the last word of its id tells (see [`Role`]).

use super::area::{Area, Curve, leaked};
use super::calendar::EPOCH;
use super::device::{Device, LONGEST_GAP, Register, Taken, What};
use super::dice::{Dice, mix, named};
use super::heating::{MakeUp, Riser};
use super::household::{Household, Minutes, share_out};
use super::payload::{Template, stamp};
use super::sensor::{self, Role};
use super::{Feed, Form, Meter, Sensor, Settings};
use crate::domain::time::Ts;
use crate::domain::topology::{Place, PlaceIx, PlaceKind, PointKind};
use crate::domain::units::{Quantity, Unit};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// Who has which trouble, by the ids of `config/demo.toml`.
pub mod trouble {
    /// The bulk meter behind which a pipe gives: 1390 L/h.
    pub const LEAK: &str = "b15-bulk";
    /// The bulk meter that sees a roof tank being filled, not its building's use.
    pub const ROOF_TANK: &str = "h2-bulk";
    /// The flat whose toilet runs.
    pub const RUNNING_TOILET: &str = "h1-302";
    /// The riser with air in it.
    pub const AIR_LOCK: &str = "h1-r3";
    /// The device that cannot always read its own counter.
    pub const STUTTER: &str = "h3-202";
    /// The old dial with a camera before it, which sends one picture's number a day.
    pub const ONCE_A_DAY: &str = "h3-101";
    /// The tap in the yard: no household's, and no building's.
    pub const GARDEN: &str = "heyun-garden";
    /// The meter that is there for trying by hand: no device sends for it.
    pub const BY_HAND: &str = "try";
}

/// One message, due at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub due: Ts,
    pub topic: Arc<str>,
    pub payload: String,
    pub sort: Sort,
}

/// What a message is, for the sum at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Reading,
    /// The same message a second time.
    Repeated,
    /// Nothing that a gateway could take.
    Bad,
}

/// The registers of one day.
struct Day {
    /// Of the households that are metered.
    households: BTreeMap<usize, Curve>,
    areas: Vec<Curve>,
    make_ups: Vec<Curve>,
    garden: Curve,
}

pub struct Community {
    /// Seconds by which the compound's clock is ahead of UTC. Fixed: the model knows no summer time.
    offset: i64,
    weather: u64,
    leak_at: Option<Ts>,
    homes: Vec<Household>,
    areas: Vec<Area>,
    make_ups: Vec<MakeUp>,
    garden: MakeUp,
    risers: Vec<Riser>,
    sensors: Vec<sensor::Model>,
    devices: Vec<Device>,
    /// Those few that are being looked at.
    days: BTreeMap<i64, Day>,
}

impl Community {
    /// `leak_at`: when the pipe gives; None: never.
    pub fn new(settings: &Settings, leak_at: Option<Ts>) -> Community {
        let offset = Timestamp::from_second((EPOCH + 1) * 86_400).map_or(0, |t| i64::from(settings.tz.to_offset(t).seconds()));
        let seed = mix(settings.seed, 0x6865_7975);
        let mut c = Community {
            offset,
            weather: named(seed, "weather"),
            leak_at,
            homes: vec![],
            areas: vec![],
            make_ups: vec![],
            garden: MakeUp::new(named(seed, "garden")),
            risers: vec![],
            sensors: vec![],
            devices: vec![],
            days: BTreeMap::new(),
        };
        let lives_at = c.settle(seed, &settings.places);
        let templates: Vec<Option<Arc<Template>>> =
            settings.feeds.iter().map(|f| f.form.as_ref().map(|form| Arc::new(Template::new(form)))).collect();
        let tree = Tree { places: &settings.places, lives_at: &lives_at };
        for meter in settings.meters.iter().filter(|m| m.key != trouble::BY_HAND) {
            if let (Some(what), Some(template)) =
                (c.measured(seed, meter, settings, &tree), templates.get(meter.feed).and_then(Option::as_ref))
            {
                let device = meter_device(seed, meter, what, template);
                c.devices.push(device);
            }
        }
        for (feed, template) in settings.feeds.iter().zip(&templates).filter_map(|(f, t)| Some((f, t.as_ref()?))) {
            c.add_risers(seed, feed, template, &settings.places);
        }
        for sensor in &settings.sensors {
            c.add_sensor(seed, sensor, settings.feeds.get(sensor.feed).and_then(|f| f.form.as_ref()));
        }
        c
    }

    /// Fills the places with households; (place, household) for each.
    fn settle(&mut self, seed: u64, places: &[Place]) -> Vec<(PlaceIx, usize)> {
        let mut lives_at = vec![];
        let ix = |i: usize| PlaceIx(u32::try_from(i).unwrap_or(u32::MAX));
        for (b, building) in places.iter().enumerate().filter(|(_, p)| p.kind == PlaceKind::Building) {
            let named_homes: Vec<usize> =
                (0..places.len()).filter(|i| places[*i].kind == PlaceKind::Household && path(places, ix(*i)).any(|p| p == ix(b))).collect();
            let known: Vec<Option<u32>> = named_homes.iter().map(|i| places[*i].residents).collect();
            let n = building.households.and_then(|n| usize::try_from(n).ok()).unwrap_or(named_homes.len());
            let of_building = named(seed, &building.key);
            for (i, residents) in share_out(of_building, n, building.residents, &known).into_iter().enumerate() {
                let (place, key) = match named_homes.get(i) {
                    Some(p) => (ix(*p), places[*p].key.clone()),
                    None => (ix(b), format!("{}#{i}", building.key)),
                };
                lives_at.push((place, self.homes.len()));
                self.homes.push(Household::new(named(seed, &key), residents, key == trouble::RUNNING_TOILET));
            }
        }
        lives_at
    }

    /// What a meter measures; None if nobody is there.
    fn measured(&mut self, seed: u64, meter: &Meter, settings: &Settings, tree: &Tree<'_>) -> Option<What> {
        let of_meter = named(seed, &meter.key);
        if meter.key == trouble::GARDEN {
            return Some(What::Garden);
        }
        match meter.kind {
            PointKind::Sub => tree.lives_at.iter().find(|(place, _)| *place == meter.place).map(|(_, h)| What::Household(*h)),
            PointKind::Bulk => {
                let households = tree.households_under(meter.place);
                let broken = settings.meters.iter().find(|m| m.key == trouble::LEAK).map(|m| m.place);
                let leaks = broken.is_some_and(|place| path(tree.places, place).any(|p| p == meter.place));
                let tank = meter.key == trouble::ROOF_TANK;
                self.areas.push(Area::new(of_meter, households, &self.homes, tree.buildings_under(meter.place), tank, leaks));
                Some(What::Area(self.areas.len() - 1))
            }
            PointKind::MakeUp => {
                self.make_ups.push(MakeUp::new(of_meter));
                Some(What::MakeUp(self.make_ups.len() - 1))
            }
            PointKind::Sensor => None,
        }
    }

    /// A subscription for temperatures is one for risers: one for every six flats of a building.
    fn add_risers(&mut self, seed: u64, feed: &Feed, template: &Arc<Template>, places: &[Place]) {
        let warm = template.units().first().is_some_and(|u| u.quantity() == Quantity::Temperature);
        if !warm || !feed.filter.split('/').any(|level| level == "+") {
            return;
        }
        for building in places.iter().filter(|p| p.kind == PlaceKind::Building) {
            for n in 1..=building.households.unwrap_or(6).div_ceil(6) {
                let name = format!("{}-r{n}", building.key);
                let levels: Vec<&str> = feed.filter.split('/').map(|l| if l == "+" { name.as_str() } else { l }).collect();
                let of_riser = named(seed, &name);
                self.risers.push(Riser::new(of_riser, name == trouble::AIR_LOCK));
                self.devices.push(Device {
                    seed: of_riser,
                    topic: levels.join("/").into(),
                    template: Arc::clone(template),
                    what: What::Riser(self.risers.len() - 1),
                    register: None,
                    every: 15 * MINUTE_MS,
                    every_live: 15 * MINUTE_MS,
                    offset: Dice::of(of_riser, 1).below(15 * 60) * 1_000,
                    loses_signal: true,
                    stutters: false,
                });
            }
        }
    }

    fn add_sensor(&mut self, seed: u64, sensor: &Sensor, form: Option<&Form>) {
        let (Some(role), Some(form)) = (Role::of(&sensor.key), form) else { return };
        let of_sensor = named(seed, &sensor.key);
        let model = sensor::Model::new(of_sensor, role);
        self.devices.push(Device {
            seed: of_sensor,
            topic: sensor.topic.as_str().into(),
            template: Arc::new(Template::new(&form.only(role.quantities()))),
            what: What::Sensor(self.sensors.len()),
            register: None,
            every: role.every(),
            every_live: role.every(),
            offset: model.offset(),
            // What calls for help is not told hours later.
            loses_signal: false,
            stutters: false,
        });
        self.sensors.push(model);
    }

    pub fn residents(&self) -> u32 {
        self.homes.iter().map(|h| h.residents).sum()
    }

    pub fn households(&self) -> usize {
        self.homes.len()
    }

    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// The messages that come after `from` up to `to`, in order. What does not say when it was read cannot be told later, so in history
    /// such devices are silent.
    pub fn messages(&mut self, from: Ts, to: Ts, live: bool) -> Vec<Message> {
        let local = |t: Ts| t.0 + self.offset * 1_000;
        let span = local(from) + 1..local(to) + 1;
        let mut taken: Vec<(Taken, usize)> = vec![];
        for (i, device) in self.devices.iter().enumerate().filter(|(_, d)| live || d.template.timed) {
            taken.extend(device.readings(&span, live).into_iter().map(|t| (t, i)));
            if let What::Sensor(s) = device.what {
                taken.extend(self.sensors[s].changes(&span).into_iter().map(|t| (t, i)));
            }
        }
        let oldest = (span.start - LONGEST_GAP - DAY_MS).div_euclid(DAY_MS);
        self.days.retain(|day, _| *day >= oldest);
        let mut out = Vec::with_capacity(taken.len());
        for (reading, i) in taken {
            let values = self.values(i, reading.at);
            let device = &self.devices[i];
            let stamped = stamp(reading.at.div_euclid(DAY_MS), reading.at.rem_euclid(DAY_MS), self.offset);
            let due = |ms: i64| Ts(ms - self.offset * 1_000);
            let mut push = |at, payload, sort| out.push(Message { due: due(at), topic: Arc::clone(&device.topic), payload, sort });
            let flag = if let What::Sensor(s) = device.what { self.sensors[s].flag(reading.at) } else { None };
            let payload = device.template.fill(&stamped, &values, flag, false);
            if reading.stutters {
                push(reading.comes - 500, device.template.fill(&stamped, &values, None, true), Sort::Bad);
            }
            if let Some(again) = reading.again {
                push(again, payload.clone(), Sort::Repeated);
            }
            push(reading.comes, payload, Sort::Reading);
        }
        out.sort_by(|a, b| (a.due, &a.topic, &a.payload).cmp(&(b.due, &b.topic, &b.payload)));
        out
    }

    /// The columns of a device's message at `ms` by the compound's clock.
    fn values(&mut self, device: usize, ms: i64) -> Vec<Option<i64>> {
        let device = self.devices[device].clone();
        let units = device.template.units();
        if let What::Riser(i) = device.what {
            let warmth = self.risers[i].at(self.weather, ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
            // Tenths of a degree are all that such a sensor tells.
            let mut sensors = [warmth.supply, warmth.back].into_iter().map(|m| m / 100 * 100);
            return units.iter().map(|u| if u.quantity() == Quantity::Temperature { sensors.next() } else { None }).collect();
        }
        if let What::Sensor(i) = device.what {
            return units.iter().map(|u| self.sensors[i].value(u.quantity(), self.weather, ms)).collect();
        }
        let now = self.passed(device.what, ms);
        // The flow is the mean since some minutes, however often somebody looks.
        let before = self.passed(device.what, ms - device.every.min(15 * MINUTE_MS));
        let span = device.every.min(15 * MINUTE_MS) / MINUTE_MS;
        let column = |(i, unit): (usize, &Unit)| match (&device.register, unit.quantity()) {
            (Some(r), _) if r.column == i => Some(r.shows(now, *unit)),
            (_, Quantity::Flow) => Some((now - before) * 60 / span),
            (_, Quantity::Voltage) => Some(3_600 - Dice::of(device.seed, 2).below(120)),
            _ => None,
        };
        units.iter().enumerate().map(column).collect()
    }

    /// Millilitres since the epoch, of what a device measures.
    fn passed(&mut self, what: What, ms: i64) -> i64 {
        let (number, within) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
        if !self.days.contains_key(&number) {
            let day = self.day(number);
            self.days.insert(number, day);
        }
        let Some(day) = self.days.get(&number) else { return 0 };
        match what {
            What::Household(i) => day.households.get(&i).map_or(0, |c| c.at(within)),
            What::MakeUp(i) => day.make_ups[i].at(within),
            What::Garden => day.garden.at(within),
            What::Riser(_) | What::Sensor(_) => 0,
            What::Area(i) => {
                let lost = self.leak_at.filter(|_| self.areas[i].leaks).map_or(0, |at| leaked(ms - self.offset * 1_000 - at.0));
                day.areas[i].at(within) + lost
            }
        }
    }

    fn day(&mut self, day: i64) -> Day {
        let minutes: Vec<Minutes> = self.homes.iter().map(|h| h.minutes(day)).collect();
        let metered = self.devices.iter().filter_map(|d| if let What::Household(i) = d.what { Some(i) } else { None });
        let households = metered.map(|i| (i, Curve::new(self.homes[i].before(day), &minutes[i]))).collect();
        let areas = self.areas.iter_mut().map(|a| a.curve(&mut self.homes, &minutes, day)).collect();
        let make_ups = self.make_ups.iter_mut().map(|m| Curve::new(m.before(day), &m.minutes(day))).collect();
        let garden = Curve::new(self.garden.before(day), &self.garden.minutes(day));
        Day { households, areas, make_ups, garden }
    }
}

struct Tree<'a> {
    places: &'a [Place],
    lives_at: &'a [(PlaceIx, usize)],
}

impl Tree<'_> {
    fn households_under(&self, place: PlaceIx) -> Vec<usize> {
        self.lives_at.iter().filter(|(at, _)| path(self.places, *at).any(|p| p == place)).map(|(_, h)| *h).collect()
    }

    fn buildings_under(&self, place: PlaceIx) -> usize {
        let buildings = (0..self.places.len()).filter(|i| self.places[*i].kind == PlaceKind::Building);
        buildings.filter(|i| u32::try_from(*i).is_ok_and(|i| path(self.places, PlaceIx(i)).any(|p| p == place))).count().max(1)
    }
}

/// A place and everything above it.
fn path(places: &[Place], from: PlaceIx) -> impl Iterator<Item = PlaceIx> + '_ {
    std::iter::successors(Some(from), |p| places.get(p.0 as usize).and_then(|p| p.parent))
}

fn meter_device(seed: u64, meter: &Meter, what: What, template: &Arc<Template>) -> Device {
    let of_device = named(mix(seed, 1), &meter.key);
    let mut dice = Dice::of(of_device, 0);
    let bulk = matches!(what, What::Area(_));
    let (every, offset) = if meter.key == trouble::ONCE_A_DAY {
        (DAY_MS, 6 * 60 * MINUTE_MS + 10 * MINUTE_MS)
    } else {
        let every = if bulk || dice.chance(60) { 5 * MINUTE_MS } else { 15 * MINUTE_MS };
        (every, dice.below(every / 1_000) * 1_000)
    };
    let start = if bulk { dice.between(20_000, 400_000) } else { dice.between(2_000, 90_000) } * 1_000;
    Device {
        seed: of_device,
        topic: meter.topic.as_str().into(),
        template: Arc::clone(template),
        what,
        register: Some(Register {
            column: usize::from(meter.column),
            start,
            pulse_weight: meter.pulse_weight,
            rollover_at: meter.rollover_at,
        }),
        every,
        every_live: if bulk { MINUTE_MS } else { every },
        offset,
        loses_signal: !bulk && meter.key != trouble::ONCE_A_DAY,
        stutters: meter.key == trouble::STUTTER,
    }
}
