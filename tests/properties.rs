//! What must hold for every sequence of messages, however it is cut into batches and wherever the process dies.
//!
//! Time is coarse on purpose (steps of minutes, few topics, few values), so that duplicates, conflicts, late rows and repetitions
//! are common and not rare.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    reason = "worlds of a few meters, chosen here"
)]

#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/world.rs"]
mod world;

use gateway::{Gateway, Store};
use heyun::domain::engine::{Checkpoint, Command, Input, MAX_SOURCES, Recent};
use heyun::domain::meter::Ledger;
use heyun::domain::reading::{Outcome, Reading, Refused, Reject, SourceId, Values};
use heyun::domain::time::{Month, Ms, Ts};
use heyun::domain::topology::FeedIx;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use world::{START, TOPICS, topology};

/// One thing that the world does to the gateway.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes, and what is due is said.
    Wait {
        minutes: i64,
    },
    /// The gateway's clock is set back.
    ClockBack {
        minutes: i64,
    },
    /// A message of a topic; `ago`: how many minutes before now its own time lies, None: it tells none. `sure`: the clock is.
    Send {
        topic: usize,
        ago: Option<i64>,
        value: i64,
        sure: bool,
    },
    /// The topic's register goes on from where it stood.
    Rise {
        topic: usize,
        litres: i64,
    },
    Refused {
        topic: usize,
    },
    /// On the `n`th newest incident.
    Accept {
        n: usize,
    },
    Close {
        n: usize,
    },
    Disconnect,
    Connect,
}

fn step(reconnects: bool) -> impl Strategy<Value = Step> {
    let topic = 0..TOPICS.len();
    let ago = prop_oneof![4 => Just(0), 3 => 0..60i64, 1 => 0..3_000i64, 1 => -30..0i64];
    let value = prop_oneof![4 => (0..6i64).prop_map(|n| n * 40_000), 2 => 0..2_000_000i64, 1 => Just(0), 1 => Just(999_000)];
    let send = (topic.clone(), prop::option::weighted(0.7, ago), value, prop::bool::weighted(0.9));
    let line = if reconnects { 1 } else { 0 };
    prop_oneof![
        6 => prop_oneof![0..3i64, 0..60i64, 0..3_000i64].prop_map(|minutes| Step::Wait { minutes }),
        1 => (1..90i64).prop_map(|minutes| Step::ClockBack { minutes }),
        8 => send.prop_map(|(topic, ago, value, sure)| Step::Send { topic, ago, value, sure }),
        12 => (topic.clone(), prop_oneof![0..40i64, 0..400i64]).prop_map(|(topic, litres)| Step::Rise { topic, litres }),
        1 => topic.prop_map(|topic| Step::Refused { topic }),
        1 => (0..3usize).prop_map(|n| Step::Accept { n }),
        1 => (0..3usize).prop_map(|n| Step::Close { n }),
        line => Just(Step::Disconnect),
        line => Just(Step::Connect),
    ]
}

fn steps(reconnects: bool) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(reconnects), 1..120)
}

/// A gateway with what the world remembers of it.
struct Play {
    gateway: Gateway,
    now: Ts,
    registers: [i64; TOPICS.len()],
    /// Since when, while connected.
    connected: Option<Ts>,
    outcomes: Vec<Outcome>,
}

impl Play {
    fn new() -> Play {
        let mut gateway = Gateway::new(topology(), START);
        gateway.engine.connected(START);
        Play { gateway, now: START, registers: [10_000_000; TOPICS.len()], connected: Some(START), outcomes: vec![] }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Wait { minutes } => {
                let until = self.now + Ms::minutes(*minutes);
                while let Some(due) = self.gateway.engine.next_deadline().filter(|due| *due <= until) {
                    self.now = self.now.max(due);
                    self.gateway.tick(self.now);
                    assert!(self.gateway.engine.next_deadline().is_none_or(|d| d > self.now), "a tick did what was due");
                }
                self.now = self.now.max(until);
            }
            Step::ClockBack { minutes } => self.now = self.now - Ms::minutes(*minutes),
            Step::Send { topic, ago, value, sure } => self.send(*topic, ago.map(|m| self.now - Ms::minutes(m)), *value, *sure),
            Step::Rise { topic, litres } => {
                self.registers[*topic] += litres * 1_000;
                // Two of the topics tell no time.
                self.send(*topic, (*topic < 2).then_some(self.now), self.registers[*topic], true);
            }
            Step::Refused { topic } => {
                let reason = Reject::Utf8 { at: 0 };
                let refused = Refused { feed: None, topic: TOPICS[*topic].into(), received: self.now, reason, excerpt: String::new() };
                self.gateway.handle(self.now, &Input::Refused(refused));
            }
            Step::Accept { n } => self.command(*n, |incident| Command::Accept { incident, by: "王".into(), note: None }),
            Step::Close { n } => {
                self.command(*n, |incident| Command::Close { incident, by: "李".into(), reason: "修好".into(), not_a_leak: n % 2 == 1 });
            }
            Step::Disconnect => {
                self.connected = None;
                self.gateway.engine.disconnected();
            }
            Step::Connect => {
                self.connected = Some(self.now);
                self.gateway.engine.connected(self.now);
            }
        }
    }

    fn send(&mut self, topic: usize, ts: Option<Ts>, value: i64, clock_sure: bool) {
        if self.connected.is_none() {
            return;
        }
        let reading = Reading {
            feed: FeedIx(0),
            topic: TOPICS[topic].into(),
            ts,
            received: self.now,
            values: Values::single(value),
            retained: false,
            clock_sure,
        };
        let outcome = self.gateway.handle(self.now, &Input::Reading(reading));
        self.outcomes.push(outcome);
    }

    fn command(&mut self, n: usize, make: impl Fn(String) -> Command) {
        let Some(id) = self.gateway.engine.snapshot(self.now).incidents.get(n).map(|i| i.id.to_string()) else { return };
        // Refused or not: both are answers.
        let _ = self.gateway.command(self.now, make(id));
    }

    /// The process dies after a commit and starts again from `checkpoint`.
    fn crash(&mut self, checkpoint: Option<&str>) {
        let topology = self.gateway.topology.clone();
        self.gateway.start_again(topology, self.now, checkpoint);
        self.reconnect();
    }

    /// The connection is made anew, if there is one, and as if it had never been gone.
    fn reconnect(&mut self) {
        match self.connected {
            Some(since) => self.gateway.engine.connected(since),
            None => self.gateway.engine.disconnected(),
        }
    }
}

/// The checkpoint without the numbers of batches.
fn without_batches(g: &Gateway) -> Checkpoint {
    let mut c = g.engine.checkpoint(0);
    c.sources.values_mut().for_each(|s| s.recent = Recent::default());
    c
}

/// What the store holds, in order, however it was cut.
fn contents(s: &Store) -> Vec<&heyun::domain::engine::Effect> {
    s.commits.iter().flat_map(|c| &c.list).collect()
}

/// Few cases, since every commit waits for them; `PROPTEST_CASES=5000` looks harder.
fn config() -> ProptestConfig {
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 64 };
    ProptestConfig { cases, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Without a reconnect: which payloads without a time count as sent again depends on the batches by design.
    #[test]
    fn any_cut_into_batches_gives_the_same(steps in steps(false), cuts in prop::collection::vec(any::<bool>(), 120)) {
        let (mut one, mut many, mut cut) = (Play::new(), Play::new(), Play::new());
        for (i, step) in steps.iter().enumerate() {
            one.step(step);
            many.step(step);
            many.gateway.commit();
            cut.step(step);
            if cuts[i] {
                cut.gateway.commit();
            }
        }
        for p in [&mut one, &mut many, &mut cut] {
            p.gateway.commit();
            p.gateway.check().unwrap();
        }
        for p in [&many, &cut] {
            prop_assert_eq!(&p.outcomes, &one.outcomes);
            prop_assert_eq!(contents(&p.gateway.store), contents(&one.gateway.store));
            prop_assert_eq!(without_batches(&p.gateway), without_batches(&one.gateway));
        }
    }

    #[test]
    fn a_crash_at_any_commit_is_as_none(
        steps in steps(true),
        commits in prop::collection::vec(prop::bool::weighted(0.4), 120),
        // Of the commits, after which the process dies, and how many checkpoints back it finds one (beyond the first: none).
        deaths in prop::collection::vec(prop::option::weighted(0.4, 0..6usize), 120),
        written in prop::collection::vec(prop::bool::weighted(0.3), 120),
    ) {
        let (mut undisturbed, mut crashed) = (Play::new(), Play::new());
        for (i, step) in steps.iter().enumerate() {
            undisturbed.step(step);
            crashed.step(step);
            if !commits[i] {
                continue;
            }
            // The daemon writes a checkpoint into the batch that it speaks of, before that is durable.
            let before = crashed.gateway.engine.checkpoint(crashed.gateway.store.last_batch() + 1);
            let batch = crashed.gateway.commit();
            prop_assert!(batch.is_none_or(|b| before == crashed.gateway.engine.checkpoint(b)));
            prop_assert_eq!(undisturbed.gateway.commit(), batch);
            if written[i] {
                crashed.gateway.write_checkpoint();
            }
            if let Some(back) = deaths[i] {
                let all = &crashed.gateway.store.checkpoints;
                let from = all.len().checked_sub(back + 1).map(|at| all[at].clone());
                crashed.crash(from.as_deref());
                undisturbed.reconnect();
            }
            prop_assert_eq!(undisturbed.gateway.checkpoint(), crashed.gateway.checkpoint());
        }
        undisturbed.gateway.commit();
        crashed.gateway.commit();
        crashed.gateway.check().unwrap();
        prop_assert_eq!(&undisturbed.outcomes, &crashed.outcomes);
        prop_assert_eq!(&undisturbed.gateway.store.commits, &crashed.gateway.store.commits);
        prop_assert_eq!(undisturbed.gateway.checkpoint(), crashed.gateway.checkpoint());
        // And a fold of everything from nothing is what lives.
        let mut folded = crashed.gateway.store.fold(&crashed.gateway.topology, None);
        folded.boot(crashed.now, crashed.gateway.store.last_batch(), &mut Default::default());
        prop_assert_eq!(serde_json::to_string(&folded.checkpoint(crashed.gateway.store.last_batch())).unwrap(), crashed.gateway.checkpoint());
    }

    /// Counters, event numbers, incidents and keys, after every single step. (The store of the tests refuses a second row of a key.)
    #[test]
    fn nothing_is_lost_or_counted_twice(steps in steps(true), commits in prop::collection::vec(prop::bool::weighted(0.3), 120)) {
        let mut p = Play::new();
        for (i, step) in steps.iter().enumerate() {
            p.step(step);
            p.gateway.check().unwrap();
            if commits[i] {
                p.gateway.commit();
                p.gateway.check().unwrap();
            }
        }
        p.gateway.commit();
        let counts = p.gateway.engine.snapshot(p.now).counts;
        prop_assert_eq!(counts.in_flight(), 0);
        prop_assert_eq!(counts.stored, p.gateway.store.rows.len() as u64);
        let stored = p.outcomes.iter().filter(|o| **o == Outcome::Stored).count() as u64;
        prop_assert_eq!(counts.stored, stored);
    }

    /// A register that only rises: every millilitre of it stands in exactly one month.
    #[test]
    fn the_months_add_up_to_what_the_register_rose(
        rises in prop::collection::vec((1..40_000i64, 0..1_000i64), 1..60),
        quiet in prop::collection::vec(any::<bool>(), 60),
    ) {
        let mut p = Play::new();
        let tz = p.gateway.topology.tz.clone();
        let first = p.registers[0];
        p.send(0, Some(START), first, true);
        let mut months: BTreeMap<Month, i64> = BTreeMap::new();
        let (mut at, mut register, mut edges) = (START, first, 0);
        for ((minutes, litres), quiet) in rises.iter().zip(quiet) {
            let (to, volume) = (at + Ms::minutes(*minutes), if quiet { 0 } else { litres * 1_000 });
            register += volume;
            p.now = to;
            p.send(0, Some(to), register, true);
            // By hand: spread evenly over the passage's time, a reading on the very edge belongs to the month that it ends.
            let (mut month, mut spread) = (Month::of(at, &tz), 0);
            loop {
                let until = month.end(&tz).min(to);
                let so_far = (i128::from(volume) * i128::from((until - at).0) / i128::from((to - at).0)) as i64;
                *months.entry(month).or_default() += so_far - spread;
                spread = so_far;
                if until == to {
                    break;
                }
                edges += 1;
                month = month.next();
            }
            at = to;
            let (shown, used) = p.gateway.engine.snapshot(p.now).points[0].month.unwrap();
            prop_assert_eq!(shown, month);
            // A millilitre may fall on either side of an edge.
            prop_assert!((used.0 - months[&month]).abs() <= edges, "{used:?} in {month}, {months:?}");
            prop_assert_eq!(months.values().sum::<i64>(), register - first);
            if months.len() == 1 {
                prop_assert_eq!(used.0, register - first);
            }
        }
        let steps = p.gateway.engine.snapshot(p.now).points[0].steps;
        prop_assert_eq!(steps.forward + steps.equal, rises.len() as u64);
    }

    /// No time, no value, no order of them stops the engine; nor does it wrap a total.
    #[test]
    fn extremes_stop_nothing(
        rows in prop::collection::vec((0..TOPICS.len(), extreme(), extreme(), any::<bool>(), any::<bool>()), 1..40),
    ) {
        let mut p = Play::new();
        for (topic, ts, value, sure, commit) in rows {
            p.send(topic, Some(Ts(ts)), value, sure);
            if commit {
                p.gateway.commit();
            }
        }
        p.gateway.commit();
        p.gateway.check().unwrap();
        let folded = p.gateway.store.fold(&p.gateway.topology, None);
        let memory = |c: Checkpoint| (c.points, c.book);
        prop_assert_eq!(memory(folded.checkpoint(0)), memory(p.gateway.engine.checkpoint(0)));
    }
}

fn extreme() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(i64::MIN),
        Just(i64::MIN + 1),
        Just(-1),
        Just(0),
        Just(1),
        Just(i64::MAX - 1),
        Just(i64::MAX),
        any::<i64>(),
        -400_000_000_000_000i64..400_000_000_000_000,
        (0..4_000_000_000_000i64),
        (0..100_000i64).prop_map(|m| START.0 + m * 60_000),
    ]
}

#[test]
fn a_past_that_cannot_be_read_changes_nothing() {
    let mut p = Play::new();
    for minutes in [0, 15, 30] {
        p.send(0, Some(START + Ms::minutes(minutes)), 1_000 * minutes, true);
    }
    p.gateway.commit();
    let (before, counts) = (p.gateway.checkpoint(), p.gateway.engine.snapshot(p.now).counts);
    let reading = |ts| {
        Input::Reading(Reading {
            feed: FeedIx(0),
            topic: TOPICS[0].into(),
            ts,
            received: START + Ms::minutes(20),
            values: Values::single(7),
            retained: false,
            clock_sure: true,
        })
    };
    let mut away = |_: SourceId, _: Ts| Err(heyun::domain::engine::PastUnavailable);
    for input in [reading(Some(START + Ms::minutes(5))), reading(None)] {
        assert!(p.gateway.engine.handle(p.now, &input, &mut away, &mut p.gateway.out).is_err());
        assert_eq!((p.gateway.checkpoint(), p.gateway.engine.snapshot(p.now).counts), (before.clone(), counts.clone()));
        assert!(p.gateway.out.list.is_empty());
    }
    assert_eq!(p.gateway.handle(p.now, &reading(Some(START + Ms::minutes(5)))), Outcome::Stored);
}

#[test]
fn invented_names_neither_fill_the_memory_nor_keep_a_meter_from_being_heard() {
    let mut p = Play::new();
    let reading = |topic: &str| {
        Input::Reading(Reading {
            feed: FeedIx(0),
            topic: topic.into(),
            ts: Some(START),
            received: START,
            values: Values::single(7),
            retained: false,
            clock_sure: true,
        })
    };
    for i in 0..MAX_SOURCES + 500 {
        let outcome = p.gateway.handle(START, &reading(&format!("flood/{i}")));
        let wanted = if i < MAX_SOURCES { Outcome::Stored } else { Outcome::Rejected(Reject::Sources { limit: MAX_SOURCES }) };
        assert_eq!(outcome, wanted, "{i}");
    }
    assert_eq!(p.gateway.handle(START, &reading(TOPICS[0])), Outcome::Stored);
    let s = p.gateway.engine.snapshot(START);
    assert_eq!((s.sources.len(), s.counts.received), (MAX_SOURCES + 1, MAX_SOURCES as u64 + 501));
    p.gateway.commit();
    let again = p.gateway.store.fold(&Arc::clone(&p.gateway.topology), None);
    assert_eq!(again.snapshot(START).points, p.gateway.engine.snapshot(START).points);
}

#[test]
fn a_checkpoint_of_another_form_counts_as_none() {
    let mut p = Play::new();
    for minutes in [0, 15, 30] {
        p.send(0, Some(START + Ms::minutes(minutes)), 1_000 * minutes, true);
    }
    p.gateway.commit();
    let mut other: Checkpoint = serde_json::from_str(&p.gateway.checkpoint()).unwrap();
    other.form += 1;
    other.points.values_mut().for_each(|m| m.ledger = Ledger::default());
    let engine = p.gateway.store.fold(&Arc::clone(&p.gateway.topology), None);
    let from_other = heyun::domain::engine::Engine::restore(
        p.gateway.topology.clone(),
        &p.gateway.store.sources.values().cloned().collect::<Vec<_>>(),
        &p.gateway.store.identities,
        heyun::domain::amendment::Entries::default(),
        Some(other),
    );
    assert_eq!(from_other.checkpoint(0).points["bulk"].ledger, Ledger::default());
    assert_eq!(engine.checkpoint(0).points, p.gateway.engine.checkpoint(0).points);
}
