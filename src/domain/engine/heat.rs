//! The half of the engine that watches the heating: puts a sensor's numbers together, and asks the rules.
//!
//! A valve's supply, return and position may come in one message or in three. It is looked at when supply and return are both new, against
//! what arrives at all valves of its loop: those under the place of the nearest make-up meter, or else of the same compound.

use super::point::Spoken;
use crate::domain::detect::HISTORIC_AFTER;
use crate::domain::detect::heat::loss::OutOfSeason;
use crate::domain::detect::heat::main_supply;
use crate::domain::detect::heat::probe::is_possible;
use crate::domain::detect::heat::room::{self, Frost, Room};
use crate::domain::detect::heat::valve::{Fault, Sample, Turn, Valve};
use crate::domain::finding::{Finding, FindingKind, Mark, StartRange};
use crate::domain::heating::Measure;
use crate::domain::reading::Row;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{Column, PlaceIx, PlaceKind, PointIx, PointKind, Topology};
use crate::domain::units::Temperature;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What arrived at a valve longer ago says nothing of the main now.
const SUPPLY_GOOD_FOR: Ms = Ms::minutes(130);
/// A position may be sent on change only.
const POSITION_GOOD_FOR: Ms = Ms::hours(26);
/// A meter that was not heard for longer does not say that water stands.
const METER_GOOD_FOR: Ms = Ms::hours(3);
/// A loop is filled up before the season begins: then that is work.
const FILLING: Ms = Ms::days(14);

const ROOM_COLD: &str = "room_cold";
const FROST_RISK: &str = "frost_risk";
const OUT_OF_SEASON: &str = "loop_out_of_season";

/// What is remembered of a point for the heating's sake. Changes by readings alone; a checkpoint holds it whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeatMemory {
    supply: Option<(Ts, Temperature)>,
    /// The supply before that.
    supply_before: Option<(Ts, Temperature)>,
    back: Option<(Ts, Temperature)>,
    position: Option<(Ts, i64)>,
    /// When the valve was looked at last.
    looked: Option<Ts>,
    valve: Valve,
    room: Room,
    frost: Frost,
    water: Option<Stands>,
    summer: OutOfSeason,
}

/// A register that a pipe's frost is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stands {
    /// Where it stands, since when.
    since: Mark,
    /// When it was read last.
    read: Ts,
}

/// The heating at work.
pub(super) struct Heat {
    watched: Vec<Watched>,
    /// Positions in `watched`, by [`PointIx`].
    of_point: Vec<Option<usize>>,
    /// Positions in the topology's senses.
    of_topic: HashMap<String, Arc<[usize]>>,
    /// Valves that one main serves, as positions in `watched`.
    loops: Vec<Vec<usize>>,
    /// Of points that the config no longer names.
    retired: BTreeMap<String, HeatMemory>,
    /// What is over, by the newest row.
    pub ended: Vec<(PointIx, &'static str)>,
    supplies: Vec<Temperature>,
}

struct Watched {
    point: PointIx,
    /// Position in [`Heat::loops`].
    group: Option<usize>,
    /// The meters whose standing water freezes with this thermometer: a room's own, or all bulk meters of a weather station's compound.
    water: Vec<usize>,
    memory: HeatMemory,
}

impl Heat {
    pub fn new(t: &Topology) -> Heat {
        let mut heat = Heat {
            watched: vec![],
            of_point: vec![None; t.points.len()],
            of_topic: HashMap::new(),
            loops: vec![],
            retired: BTreeMap::new(),
            ended: vec![],
            supplies: vec![],
        };
        let mut groups: HashMap<PlaceIx, usize> = HashMap::new();
        let mut of_topic: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, sense) in t.heating.senses.iter().enumerate() {
            of_topic.entry(&sense.topic).or_default().push(i);
            let w = heat.watch(sense.point);
            match sense.measures {
                Measure::Supply => {
                    let group = *groups.entry(main_of(t, t.point(sense.point).place)).or_insert(heat.loops.len());
                    if group == heat.loops.len() {
                        heat.loops.push(vec![]);
                    }
                    heat.watched[w].group = Some(group);
                    heat.loops[group].push(w);
                }
                Measure::Room | Measure::Outdoor => {
                    let meters = if sense.measures == Measure::Room { meter_of(t, sense.point) } else { meters_around(t, sense.point) };
                    heat.watched[w].water = meters.into_iter().map(|p| heat.watch(p)).collect();
                }
                Measure::Return | Measure::Position => {}
            }
        }
        heat.of_topic = of_topic.into_iter().map(|(topic, senses)| (topic.to_owned(), senses.into())).collect();
        if t.heating.season.is_some() {
            t.point_ixs().filter(|p| t.point(*p).kind == PointKind::MakeUp).for_each(|p| {
                heat.watch(p);
            });
        }
        heat
    }

    fn watch(&mut self, point: PointIx) -> usize {
        if let Some(at) = self.of_point(point) {
            return at;
        }
        let next = self.watched.len();
        self.watched.push(Watched { point, group: None, water: vec![], memory: HeatMemory::default() });
        if let Some(slot) = self.of_point.get_mut(point.0 as usize) {
            *slot = Some(next);
        }
        next
    }

    fn of_point(&self, point: PointIx) -> Option<usize> {
        self.of_point.get(point.0 as usize).copied().flatten()
    }

    pub fn restore(&mut self, t: &Topology, memories: BTreeMap<String, HeatMemory>) {
        let of_key: HashMap<&str, usize> = self.watched.iter().enumerate().map(|(i, w)| (t.point(w.point).key.as_str(), i)).collect();
        for (key, memory) in memories {
            match of_key.get(key.as_str()) {
                Some(i) => self.watched[*i].memory = memory,
                None => {
                    self.retired.insert(key, memory);
                }
            }
        }
    }

    pub fn memories(&self, t: &Topology) -> BTreeMap<String, HeatMemory> {
        let named = self.watched.iter().map(|w| (t.point(w.point).key.clone(), w.memory.clone()));
        let retired = self.retired.iter().map(|(k, m)| (k.clone(), m.clone()));
        named.chain(retired).filter(|(_, m)| *m != HeatMemory::default()).collect()
    }

    /// What a water meter's register shows.
    pub fn register(&mut self, t: &Topology, p: PointIx, shown: Option<Mark>, now: Ts, said: &mut Vec<Spoken>) {
        let (Some(at), Some(shown)) = (self.of_point(p), shown) else { return };
        let w = &mut self.watched[at];
        let before = w.memory.water;
        if before.is_some_and(|b| shown.ts <= b.read) {
            return;
        }
        let since = before.map(|b| b.since).filter(|b| b.register == shown.register).unwrap_or(shown);
        w.memory.water = Some(Stands { since, read: shown.ts });
        let (Some(season), Some(before)) = (t.heating.season, before) else { return };
        if t.point(p).kind != PointKind::MakeUp {
            return;
        }
        let is_summer = !season.contains(shown.ts, &t.tz) && !season.begins_within(shown.ts, FILLING, &t.tz);
        let passed = shown.register - before.since.register;
        match w.memory.summer.passed(shown.ts, passed, is_summer) {
            Some(room::Turn::Began(volume)) => {
                let start = StartRange { earliest: shown.ts - Ms::days(1), latest: shown.ts };
                said.push(spoken(t, p, FindingKind::LoopOutOfSeason { volume }, shown.ts, start, false, now));
            }
            Some(room::Turn::Ended) => self.ended.push((p, OUT_OF_SEASON)),
            Some(room::Turn::Goes(_)) | None => {}
        }
    }

    /// What a row of `topic` tells, its values standing at `columns`.
    pub fn row(&mut self, t: &Topology, topic: &str, columns: &[Column], row: &Row, now: Ts, said: &mut Vec<Spoken>) {
        if self.of_topic.is_empty() {
            return;
        }
        let Some(senses) = self.of_topic.get(topic).cloned() else { return };
        for i in &*senses {
            let Some(sense) = t.heating.senses.get(*i) else { continue };
            let wanted = t.feed(sense.feed).columns.get(usize::from(sense.column));
            let value = columns.iter().position(|c| Some(c) == wanted).and_then(|c| row.values.get(c));
            let (Some(value), Some(at)) = (value, self.of_point(sense.point)) else { continue };
            let memory = &mut self.watched[at].memory;
            match sense.measures {
                Measure::Supply => {
                    let before = memory.supply;
                    newer(&mut memory.supply, row.ts, Temperature(value));
                    memory.supply_before = if memory.supply == before { memory.supply_before } else { before };
                }
                Measure::Return => newer(&mut memory.back, row.ts, Temperature(value)),
                Measure::Position => newer(&mut memory.position, row.ts, value),
                Measure::Room => {
                    self.room(t, at, row.ts, Temperature(value), now, said);
                    self.frost(t, at, (row.ts, Temperature(value)), false, now, said);
                }
                Measure::Outdoor => self.frost(t, at, (row.ts, Temperature(value)), true, now, said),
            }
        }
        // All that the message tells is known only now.
        for i in &*senses {
            let Some(at) = t.heating.senses.get(*i).and_then(|s| self.of_point(s.point)) else { continue };
            self.look(t, at, now, said);
        }
    }

    fn look(&mut self, t: &Topology, at: usize, now: Ts, said: &mut Vec<Spoken>) {
        let memory = &self.watched[at].memory;
        let (Some((supply_at, supply)), Some((back_at, back))) = (memory.supply, memory.back) else { return };
        let ts = supply_at.max(back_at);
        if memory.looked.is_some_and(|before| supply_at <= before || back_at <= before) {
            return;
        }
        let position = memory.position.filter(|(sent, _)| ts - *sent <= POSITION_GOOD_FOR).map(|(_, p)| p);
        // A valve that tells its position is not judged while it does not.
        if memory.position.is_some() && position.is_none() {
            return;
        }
        let (looked, before) = (memory.looked, memory.supply_before);
        let main = self.main(at, ts);
        // Half way between two samples all others of the first one's round have told.
        let settled = looked.zip(before).and_then(|(looked, (sent, supply))| {
            let main = (sent <= looked).then(|| self.main(at, looked + Ms((ts - looked).0 / 2)))?;
            Some((supply, main?))
        });
        let w = &mut self.watched[at];
        w.memory.looked = Some(ts);
        let (p, ended) = (w.point, &mut self.ended);
        w.memory.valve.look(Sample { ts, supply, back, position, main, settled }, |turn| {
            let (fault, since, still) = match turn {
                Turn::Began { fault, since } => (fault, since, false),
                Turn::Goes { fault, since } => (fault, since, true),
                Turn::Ended(code) => return ended.push((p, code)),
            };
            said.push(spoken(t, p, kind_of(fault, since), ts, StartRange { earliest: since, latest: ts }, still, now));
        });
    }

    /// What the main of a valve's loop brought at `ts`, by what arrived at all valves until then.
    fn main(&mut self, at: usize, ts: Ts) -> Option<Temperature> {
        self.supplies.clear();
        let group = self.watched[at].group.and_then(|g| self.loops.get(g)).map_or(&[][..], Vec::as_slice);
        let arrived = group.iter().filter_map(|w| {
            let memory = &self.watched[*w].memory;
            memory.supply.filter(|(sent, _)| *sent <= ts).or(memory.supply_before)
        });
        let is_good = |(sent, s): &(Ts, Temperature)| *sent <= ts && ts - *sent <= SUPPLY_GOOD_FOR && is_possible(*s);
        self.supplies.extend(arrived.filter(is_good).map(|(_, s)| s));
        main_supply(&mut self.supplies)
    }

    fn room(&mut self, t: &Topology, at: usize, ts: Ts, seen: Temperature, now: Ts, said: &mut Vec<Spoken>) {
        let w = &mut self.watched[at];
        // Nobody lives in a pump room.
        let is_home = t.place(t.point(w.point).place).kind == PlaceKind::Household;
        let in_season = is_home && t.heating.season.is_some_and(|s| s.contains(ts, &t.tz));
        let (readings, still) = match w.memory.room.reading(ts, seen, in_season) {
            Some(room::Turn::Began(readings)) => (readings, false),
            Some(room::Turn::Goes(readings)) => (readings, true),
            Some(room::Turn::Ended) => return self.ended.push((w.point, ROOM_COLD)),
            None => return,
        };
        let start = StartRange { earliest: readings[0].0, latest: readings[0].0 };
        said.push(spoken(t, w.point, FindingKind::RoomCold { limit: room::WARM, readings }, ts, start, still, now));
    }

    /// A temperature at a place, or outside of some: whoever's water stands there is in danger.
    fn frost(&mut self, t: &Topology, at: usize, (ts, seen): (Ts, Temperature), is_outdoor: bool, now: Ts, said: &mut Vec<Spoken>) {
        for i in 0..self.watched[at].water.len() {
            let meter = self.watched[at].water[i];
            let water = self.watched[meter].memory.water.filter(|w| ts - w.read <= METER_GOOD_FOR);
            let still = water.filter(|w| w.read - w.since.ts >= room::STILL).map(|w| w.since.ts);
            // A room's frost is told of the room, the weather's of each meter.
            let about = if is_outdoor { meter } else { at };
            let w = &mut self.watched[about];
            let ((seen, since), goes) = match w.memory.frost.reading(ts, seen, is_outdoor, still) {
                Some(room::Turn::Began(frost)) => (frost, false),
                Some(room::Turn::Goes(frost)) => (frost, true),
                Some(room::Turn::Ended) => {
                    self.ended.push((w.point, FROST_RISK));
                    continue;
                }
                None => continue,
            };
            let start = StartRange { earliest: since, latest: ts };
            said.push(spoken(t, w.point, FindingKind::FrostRisk { seen, since }, ts, start, goes, now));
        }
    }

    /// True while loops are filled for the season that comes: what they take then is no leak.
    pub fn is_filling(t: &Topology, ts: Ts) -> bool {
        t.heating.season.is_some_and(|s| s.begins_within(ts, FILLING, &t.tz))
    }
}

fn kind_of(fault: Fault, since: Ts) -> FindingKind {
    match fault {
        Fault::AirLock { supply, back, usual } => FindingKind::AirLock { supply, back, usual },
        Fault::StuckShut { position, supply, main } => FindingKind::StuckShut { position, supply, main },
        Fault::StuckOpen { position, back, usual } => FindingKind::StuckOpen { position, back, usual },
        Fault::SensorDead { which, value } => FindingKind::SensorDead { which, value, since },
    }
}

fn spoken(t: &Topology, p: PointIx, kind: FindingKind, at: Ts, start: StartRange, still: bool, now: Ts) -> Spoken {
    let historic = now - at > HISTORIC_AFTER;
    let finding = Finding { point: t.point(p).key.clone(), kind, at, start, grown: false, historic, evidence: vec![] };
    Spoken { finding, still, stands: None }
}

fn newer<T>(slot: &mut Option<(Ts, T)>, ts: Ts, value: T) {
    if slot.as_ref().is_none_or(|(before, _)| ts > *before) {
        *slot = Some((ts, value));
    }
}

/// The place whose loop serves another: where the nearest make-up meter stands, or else its compound.
fn main_of(t: &Topology, place: PlaceIx) -> PlaceIx {
    let has_make_up = |p: &PlaceIx| t.points.iter().any(|m| m.kind == PointKind::MakeUp && m.place == *p);
    let compound = |p: &PlaceIx| t.place(*p).kind == PlaceKind::Compound;
    t.path(place).find(has_make_up).or_else(|| t.path(place).find(compound)).or_else(|| t.path(place).last()).unwrap_or(place)
}

/// The nearest water meter above a room.
fn meter_of(t: &Topology, room: PointIx) -> Vec<PointIx> {
    let of_place = |place: PlaceIx| {
        t.point_ixs().find(|p| t.point(*p).place == place && t.point(*p).measures_water() && t.point(*p).kind != PointKind::MakeUp)
    };
    t.path(t.point(room).place).find_map(of_place).into_iter().collect()
}

/// The bulk meters that stand in the weather of an outdoor thermometer: those of its compound.
fn meters_around(t: &Topology, outdoor: PointIx) -> Vec<PointIx> {
    let compound = |place: PlaceIx| t.path(place).find(|p| t.place(*p).kind == PlaceKind::Compound);
    let here = compound(t.point(outdoor).place);
    let bulk = |p: &PointIx| t.point(*p).kind == PointKind::Bulk && t.point(*p).measures_water();
    t.point_ixs().filter(bulk).filter(|p| here.is_none() || compound(t.point(*p).place) == here).collect()
}
