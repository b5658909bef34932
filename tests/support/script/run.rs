//! Plays the steps of a scenario.

use super::want;
use super::words::{Say, Words, glued, span, time};
use super::world::{FLAGS, VALVE, World, feed_of};
use crate::gateway::Gateway;
use heyun::domain::amendment::Replaced;
use heyun::domain::engine::{Amend, Command, CommandError, Input, Statement};
use heyun::domain::flag::{Flag, FlagSet};
use heyun::domain::heating::Measure;
use heyun::domain::incident::Event;
use heyun::domain::reading::{Presence, Reading, Refused, Reject, Values};
use heyun::domain::time::{Ms, Ts};
use heyun::domain::topology::{FeedIx, Topology};
use heyun::domain::units::{Amount, Quantity};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What happens after every commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing; expectations are looked at.
    Plain,
    /// The connection is made anew.
    Reconnect,
    /// The process dies and is back at once.
    Crash,
}

/// How a scenario ended.
pub struct End {
    /// `file:line: what`
    pub failures: Vec<String>,
    pub events: Vec<Event>,
    pub checkpoint: String,
    /// It has messages without a time of their own.
    pub untimed: bool,
}

/// A message on its way: kept by the broker until it was acknowledged.
#[derive(Clone)]
struct Message {
    feed: FeedIx,
    topic: Arc<str>,
    own: Option<Ts>,
    /// None: it cannot be decoded.
    value: Option<i64>,
}

/// A register that a scenario turns, in millilitres × milliseconds × per mille per hour beyond `base`.
#[derive(Default)]
struct Register {
    base: i64,
    turned: i128,
}

pub struct Run {
    mode: Mode,
    pub zone: jiff::tz::TimeZone,
    pub start: Ts,
    linger: Ms,
    pub gateway: Gateway,
    /// What the config will say at the next start.
    config: Topology,
    /// The true time.
    pub now: Ts,
    /// How far the gateway's clock is ahead of it.
    offset: Ms,
    clock_sure: bool,
    /// Since when, by the gateway's clock.
    connected: Option<Ts>,
    /// Sent and not acknowledged, in order.
    broker: Vec<Message>,
    /// Since when the open batch has something in it.
    open_since: Option<Ts>,
    /// What will be sent, in order of time, then of writing.
    coming: BTreeMap<(Ts, u64), Message>,
    written: u64,
    registers: BTreeMap<Arc<str>, Register>,
    untimed: bool,
    set_anything: bool,
    /// Numbers of the events that a line wanted.
    pub wanted: BTreeSet<u64>,
}

/// Plays `text`; `name` stands before line numbers.
pub fn play(name: &str, text: &str, mode: Mode) -> End {
    let mut failures = vec![];
    let mut world = World::empty();
    let mut run: Option<Run> = None;
    for (i, line) in text.lines().enumerate() {
        let mut words = Words::of(line);
        if words.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let done = match &mut run {
            None => world.line(&mut words).and_then(|head| {
                if head {
                    return Ok(());
                }
                run.insert(Run::new(&world, mode)).line(&mut words)
            }),
            Some(run) => run.line(&mut words),
        };
        if let Err(what) = done {
            failures.push(format!("{name}:{}: {what}\n    {}", i + 1, line.trim()));
        }
    }
    let mut run = run.unwrap_or_else(|| Run::new(&world, mode));
    run.finish();
    if mode == Mode::Plain {
        failures.extend(want::unwanted(&run).into_iter().map(|e| format!("{name}: nobody wanted: {e}")));
    }
    if let Err(what) = run.gateway.check() {
        failures.push(format!("{name}: at the end: {what}"));
    }
    End { failures, checkpoint: run.gateway.checkpoint(), events: run.gateway.store.events, untimed: run.untimed }
}

impl Run {
    fn new(world: &World, mode: Mode) -> Run {
        let gateway = Gateway::new(world.topology.clone(), world.start);
        let mut run = Run {
            mode,
            zone: world.topology.tz.clone(),
            start: world.start,
            linger: world.linger,
            gateway,
            config: world.topology.clone(),
            now: world.start,
            offset: Ms::ZERO,
            clock_sure: true,
            connected: None,
            broker: vec![],
            open_since: None,
            coming: BTreeMap::new(),
            written: 0,
            registers: BTreeMap::new(),
            untimed: false,
            set_anything: false,
            wanted: BTreeSet::new(),
        };
        run.connect();
        run
    }

    pub fn time(&self, word: &str) -> Say<Ts> {
        time(word, self.start, &self.zone).ok_or_else(|| format!("{word:?} is no time"))
    }

    /// A time as people there would say it.
    pub fn say(&self, ts: Ts) -> String {
        let since = (ts - self.start).0;
        let local = Timestamp::from_millisecond(ts.0).map(|t| self.zone.to_datetime(t).to_string());
        format!("{} (+{}d{:02}h{:02}m)", local.unwrap_or_default(), since / 86_400_000, since / 3_600_000 % 24, since / 60_000 % 60)
    }

    fn clock(&self) -> Ts {
        Ts(self.now.0 + self.offset.0)
    }

    fn line(&mut self, words: &mut Words<'_>) -> Say<()> {
        if let Some(t) = time(words.peek(), self.start, &self.zone) {
            if t < self.now {
                return Err(format!("it is {} already", self.say(self.now)));
            }
            words.next("a time")?;
            self.advance(t);
        }
        let first = words.next("a step")?;
        match first {
            "want" if self.mode == Mode::Plain => {
                want::line(self, words)?;
                self.gateway.check()?;
            }
            "want" => {
                // Time passes as in the first run; what was seen is compared at the end.
                if let Some((_, until)) = super::words::window(words.peek(), self.start, &self.zone) {
                    self.advance(until);
                }
                words.rest();
            }
            "flow" => self.flow(words)?,
            "warm" => self.warm(words)?,
            "steady" => self.steady(words)?,
            "disconnect" => {
                self.connected = None;
                self.gateway.engine.disconnected();
            }
            "connect" => self.connect(),
            "clock" => match words.next("what the clock does")? {
                "right" => self.offset = Ms::ZERO,
                "unsure" => self.clock_sure = false,
                "sure" => self.clock_sure = true,
                w => self.offset = Ms(if let Some(w) = w.strip_prefix('-') { -span(w)?.0 } else { span(w.trim_start_matches('+'))?.0 }),
            },
            "commit" => {
                let acknowledged = !words.took("unacknowledged");
                self.commit(acknowledged);
            }
            "checkpoint" => self.gateway.write_checkpoint(),
            "crash" => self.start_again(),
            "restart" => {
                self.commit(true);
                self.gateway.write_checkpoint();
                self.start_again();
            }
            "set" => self.set(words)?,
            "accept" | "close" => self.command(first, words)?,
            "amend" => self.amend(words)?,
            "online" | "offline" => self.presence(first == "online", words)?,
            topic => self.message(topic, words)?,
        }
        words.end()
    }

    /// Until `t` everything that is due happens, in order.
    pub fn advance(&mut self, t: Ts) {
        loop {
            let batch_ends = self.open_since.map(|since| since + self.linger);
            let deadline = self.gateway.engine.next_deadline().map(|d| Ts(d.0 - self.offset.0).max(self.now));
            let message = self.coming.first_key_value().map(|((ts, _), _)| *ts);
            let next = [batch_ends, deadline, message].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= t) else { break };
            self.now = self.now.max(next);
            if batch_ends == Some(next) {
                self.commit(true);
            } else if deadline == Some(next) {
                self.gateway.tick(self.clock());
                self.after_effects();
                let again = self.gateway.engine.next_deadline();
                assert!(again.is_none_or(|d| d > self.clock()), "a deadline that a tick does not move: {again:?} at {}", self.now);
            } else if let Some((_, m)) = self.coming.pop_first() {
                self.publish(m);
            }
        }
        self.now = self.now.max(t);
    }

    fn finish(&mut self) {
        while let Some(((t, _), _)) = self.coming.last_key_value() {
            self.advance(*t);
        }
        self.commit(true);
    }

    fn publish(&mut self, m: Message) {
        self.broker.push(m.clone());
        if self.connected.is_some() {
            self.deliver(&m);
        }
    }

    fn deliver(&mut self, m: &Message) {
        let (topic, received) = (m.topic.clone(), self.clock());
        let input = match m.value {
            Some(v) => Input::Reading(Reading {
                feed: m.feed,
                topic,
                ts: m.own,
                received,
                values: Values::single(v),
                retained: false,
                clock_sure: self.clock_sure,
            }),
            None => {
                let reason = Reject::Json { line: 1, column: 1 };
                Input::Refused(Refused { feed: Some(m.feed), topic, received, reason, excerpt: "?".into() })
            }
        };
        self.gateway.handle(received, &input);
        self.after_effects();
    }

    /// A batch is open if there is something in it; what a person must hear of does not wait.
    fn after_effects(&mut self) {
        self.open_since.get_or_insert(self.now);
        if self.gateway.out.urgent {
            self.commit(true);
        }
    }

    fn commit(&mut self, acknowledged: bool) {
        self.open_since = None;
        let batch = self.gateway.commit();
        if acknowledged && self.connected.is_some() {
            self.broker.clear();
        }
        let Some(batch) = batch else { return };
        match self.mode {
            Mode::Plain => return,
            Mode::Reconnect => {}
            Mode::Crash => {
                // Mostly from a checkpoint some commits old, now and then from none.
                if batch % 7 == 1 {
                    self.gateway.write_checkpoint();
                }
                let from = self.gateway.store.checkpoints.last().cloned();
                // A statement about a meter stands in checkpoints: one before it is no beginning.
                let stated = !self.gateway.store.ledger.is_empty();
                let from = from.filter(|_| stated || self.set_anything || batch % 13 != 0 || batch > 1_000);
                let topology = self.gateway.topology.clone();
                self.gateway.start_again(topology, self.clock(), from.as_deref());
            }
        }
        if let Some(since) = self.connected {
            self.gateway.engine.connected(since);
        }
    }

    fn connect(&mut self) {
        self.connected = Some(self.clock());
        self.gateway.engine.connected(self.clock());
        for m in self.broker.clone() {
            self.deliver(&m);
        }
    }

    fn start_again(&mut self) {
        let from = self.gateway.store.checkpoints.last().cloned();
        let topology = Arc::new(self.config.clone());
        let now = self.clock();
        self.open_since = None;
        self.gateway.start_again(topology, now, from.as_deref());
        self.gateway.write_checkpoint();
        self.connect();
    }

    fn message(&mut self, topic: &str, words: &mut Words<'_>) -> Say<()> {
        if !topic.contains('/') {
            return Err(format!("{topic:?} is no step; a topic has a slash"));
        }
        let topic: Arc<str> = topic.into();
        if words.took("refused") {
            self.publish(Message { feed: FeedIx(0), topic, own: None, value: None });
            return Ok(());
        }
        let (feed, value) = if words.took("flags") {
            (FLAGS, flags(words.next("flags, with commas between them, or none")?)?)
        } else {
            let (value, unit) = words.quantity()?;
            if unit.quantity() == Quantity::Volume {
                self.registers.insert(topic.clone(), Register { base: value, turned: 0 });
            }
            (feed_of(unit)?, value)
        };
        let mut own = Some(self.now);
        if words.took("no-time") {
            own = None;
            self.untimed = true;
        } else if words.took("at") {
            own = Some(self.time(words.next("its own time")?)?);
        }
        self.publish(Message { feed, topic, own, value: Some(value) });
        Ok(())
    }

    /// `KEY replaced at T end 100m3 start 0m3 | dial at T 338.304m3 [counts] | corrected at T 5.2m3 | believed at T | refused from T [to T]`, or
    /// `undo 3`; then `by NAME because …`, before it `refused CODE` if it must be refused.
    fn amend(&mut self, words: &mut Words<'_>) -> Say<()> {
        let point = words.next("a meter, or undo")?.to_owned();
        let statement = if point == "undo" {
            Statement::Undone { entry: words.number("the entry's number")? }
        } else {
            let what = words.next("what is stated")?;
            words.expect(if what == "refused" { "from" } else { "at" })?;
            let ts = self.time(words.next("a time")?)?;
            let volume = |words: &mut Words<'_>| -> Say<Amount> { Ok(Amount(glued(words.next("a volume")?, Quantity::Volume)?)) };
            match what {
                "replaced" => {
                    let end = if words.took("end") { Some(volume(words)?) } else { None };
                    words.expect("start")?;
                    let start = volume(words)?;
                    Statement::Replaced(Replaced { ts, end, start, serial: None, seal: None, verified: None, old: None })
                }
                "dial" => Statement::Dial { ts, dial: volume(words)?, counts: words.took("counts") },
                "corrected" => Statement::Corrected { ts, register: volume(words)? },
                "believed" => Statement::Believed { ts },
                "refused" => {
                    let to = if words.took("to") { Some(self.time(words.next("a time")?)?) } else { None };
                    Statement::Refused { from: ts, to }
                }
                other => return Err(format!("{other:?} cannot be stated")),
            }
        };
        let refused = if words.took("refused") { Some(words.next("why")?.to_owned()) } else { None };
        words.expect("by")?;
        let by = words.next("a name")?.to_owned();
        words.expect("because")?;
        let amend = Amend { point, by, why: words.rest(), statement };
        // What is open is committed first.
        self.commit(true);
        let answer = self.gateway.amend(self.clock(), &amend).err().map(|e| match e {
            CommandError::NoReading { .. } => "no_reading".to_owned(),
            CommandError::UnknownPoint { .. } => "unknown_point".to_owned(),
            CommandError::UnknownEntry { .. } => "unknown_entry".to_owned(),
            CommandError::BadTime { .. } => "bad_time".to_owned(),
            CommandError::DialBehind { .. } => "dial_behind".to_owned(),
            other => format!("{other:?}"),
        });
        if answer == refused { Ok(()) } else { Err(format!("wanted {refused:?} as the answer, got {answer:?}")) }
    }

    fn presence(&mut self, online: bool, words: &mut Words<'_>) -> Say<()> {
        let topic: Arc<str> = words.next("a topic")?.into();
        let received = self.clock();
        self.gateway.handle(received, &Input::Presence(Presence { feed: FLAGS, topic: Some(topic), online, received }));
        Ok(())
    }

    fn flow(&mut self, words: &mut Words<'_>) -> Say<()> {
        let topic: Arc<str> = words.next("the topic")?.into();
        let (mut flow, unit) = words.quantity()?;
        if unit.quantity() != Quantity::Flow {
            return Err(format!("{unit} is no flow"));
        }
        let (mut every, mut lasts, mut shape, mut leak, mut arrive, mut newest_first, mut timed) = (None, None, None, 0, None, false, true);
        while !words.is_empty() {
            match words.next("a word")? {
                "every" => every = Some(span(words.next("a span")?)?),
                "for" => lasts = Some(span(words.next("a span")?)?),
                "day-night" => shape = Some(day_night as fn(Ts, &TimeZone) -> i128),
                "at-home" => shape = Some(at_home),
                "plus" => leak = words.quantity()?.0,
                "no-time" => timed = false,
                "arrive" => arrive = Some(self.time(words.next("a time")?)?),
                "newest-first" => newest_first = true,
                other => return Err(format!("a flow has no {other:?}")),
            }
        }
        let (every, lasts) = (every.ok_or("how often? `every 15m`")?, lasts.ok_or("how long? `for 9d`")?);
        if shape.is_none() {
            flow += std::mem::take(&mut leak);
        }
        self.untimed |= !timed;
        let grain = self.config.points.iter().find(|p| p.source.as_ref().is_some_and(|b| b.topic == *topic));
        let grain = grain.map_or(1, |p| p.meter.pulse_weight.0);
        let register = self.registers.entry(topic.clone()).or_default();
        let mut sent = vec![];
        let mut t = self.now;
        while t + every <= self.now + lasts {
            let weight = shape.map_or(1_000, |shape| shape(t, &self.zone));
            register.turned += (i128::from(flow) * weight + i128::from(leak) * 1_000) * i128::from(every.0);
            t = t + every;
            let exact = register.base + (register.turned / 3_600_000_000) as i64;
            let own = timed.then_some(t);
            sent.push((t, Message { feed: FeedIx(0), topic: topic.clone(), own, value: Some(exact - exact.rem_euclid(grain)) }));
        }
        if newest_first {
            sent.reverse();
        }
        for (t, m) in sent {
            self.written += 1;
            self.coming.insert((arrive.unwrap_or(t), self.written), m);
        }
        Ok(())
    }

    /// A valve that tells its supply, its return and how far it stands open, with the noise of a sensor.
    fn warm(&mut self, words: &mut Words<'_>) -> Say<()> {
        let topic = words.next("the topic")?.to_owned();
        let mut values = [0; 3];
        for (value, word) in values.iter_mut().zip(["supply", "return", "open"]) {
            words.expect(word)?;
            *value = glued(words.next(word)?, if word == "open" { Quantity::Ratio } else { Quantity::Temperature })?;
        }
        let (every, lasts) = every_for(words)?;
        let stands = words.took("frozen");
        for (value, (name, feed, measures)) in values.into_iter().zip(VALVE) {
            let grain = if stands || measures == Measure::Position { 0 } else { 60 };
            self.send_steadily(&format!("{topic}/{name}"), feed, value, grain, every, lasts);
        }
        Ok(())
    }

    /// One value again and again.
    fn steady(&mut self, words: &mut Words<'_>) -> Say<()> {
        let topic = words.next("the topic")?.to_owned();
        let (value, unit) = words.quantity()?;
        let (every, lasts) = every_for(words)?;
        self.send_steadily(&topic, feed_of(unit)?, value, 0, every, lasts);
        Ok(())
    }

    fn send_steadily(&mut self, topic: &str, feed: FeedIx, value: i64, grain: i64, every: Ms, lasts: Ms) {
        let topic: Arc<str> = topic.into();
        let mut t = self.now;
        while t + every <= self.now + lasts {
            t = t + every;
            // Steps that do not repeat, of a sensor's sixteenths of a degree.
            let noise = (t.0 / every.0 * 7 + value / 1_000) % 5 - 2;
            self.written += 1;
            let message = Message { feed, topic: topic.clone(), own: Some(t), value: Some(value + noise * grain) };
            self.coming.insert((t, self.written), message);
        }
    }

    fn set(&mut self, words: &mut Words<'_>) -> Say<()> {
        self.set_anything = true;
        let key = words.next("a meter")?;
        let point = self.config.points.iter_mut().find(|p| p.key == key).ok_or_else(|| format!("there is no meter {key:?}"))?;
        match words.next("what")? {
            "serial" => point.meter.serial = Some(words.next("the serial number")?.into()),
            "no-serial" => point.meter.serial = None,
            other => return Err(format!("{other:?} cannot be set")),
        }
        Ok(())
    }

    fn command(&mut self, what: &str, words: &mut Words<'_>) -> Say<()> {
        let incident = match words.next("an incident")? {
            "unknown" => "g1.nothing".to_owned(),
            word => want::incident(self, word)?.id.to_string(),
        };
        let refused = if words.took("refused") { Some(words.next("why")?.to_owned()) } else { None };
        words.expect("by")?;
        let by = if matches!(words.peek(), "" | "note" | "because") { String::new() } else { words.next("a name")?.to_owned() };
        let command = if what == "accept" {
            let note = words.took("note").then(|| words.rest());
            Command::Accept { incident, by, note }
        } else {
            let not_a_leak = words.took("as-not-a-leak");
            words.expect("because")?;
            Command::Close { incident, by, reason: words.rest(), not_a_leak }
        };
        let answer = self.gateway.command(self.clock(), command).err().map(|e| match e {
            CommandError::UnknownIncident => "unknown_incident".to_owned(),
            CommandError::AlreadyAccepted { by } => format!("already_accepted_by_{by}"),
            CommandError::AlreadyClosed => "already_closed".to_owned(),
            CommandError::NothingLearned => "nothing_learned".to_owned(),
            CommandError::BadField { field, .. } => format!("bad_{field}"),
            other => format!("{other:?}"),
        });
        self.after_effects();
        if answer == refused { Ok(()) } else { Err(format!("wanted {refused:?} as the answer, got {answer:?}")) }
    }
}

/// `every 15m for 9d`
fn every_for(words: &mut Words<'_>) -> Say<(Ms, Ms)> {
    words.expect("every")?;
    let every = span(words.next("how often")?)?;
    words.expect("for")?;
    Ok((every, span(words.next("how long")?)?))
}

/// Share of each hour of a day in per mille of the mean: quiet nights, a morning, an evening.
const DAY_NIGHT: [i64; 24] = [
    400, 300, 250, 250, 300, 500, 1_100, 1_700, 1_600, 1_200, 1_050, 1_100, 1_250, 1_050, 850, 800, 900, 1_200, 1_600, 1_800, 1_650, 1_350,
    1_050, 750,
];

fn hour(t: Ts, zone: &jiff::tz::TimeZone) -> usize {
    Timestamp::from_millisecond(t.0).map_or(0, |t| zone.to_datetime(t).hour() as usize)
}

/// `wet,battery_low` or `none`, as a column stores it.
fn flags(word: &str) -> Say<i64> {
    let each = word.split(',').filter(|w| *w != "none").map(|w| Flag::parse(w).ok_or_else(|| format!("{w:?} is no flag")));
    Ok(each.collect::<Say<FlagSet>>()?.column())
}

/// The course of a house's day, in thousandths of its mean.
fn day_night(t: Ts, zone: &TimeZone) -> i128 {
    i128::from(DAY_NIGHT[hour(t, zone)])
}

/// A home's: nothing from one to six, and in every third hour of the day; else more or less. Always the same for the same hour.
fn at_home(t: Ts, zone: &TimeZone) -> i128 {
    let (hour, day) = (i128::try_from(hour(t, zone)).unwrap_or(0), i128::from(t.0.div_euclid(86_400_000)));
    let rests = (1..6).contains(&hour) || (day * 7 + hour * 5 + day / 3) % 3 == 0;
    if rests { 0 } else { 19 * (60 + 20 * ((day * 11 + hour * 13) % 5)) }
}
