//! Over what is stored.

use super::pace::Pace;
use super::report::{Report, Run};
use super::trial::Wish;
use super::{Error, Progress, Watch};
use crate::domain::amendment::Entries;
use crate::domain::engine::{Effect, Effects, Engine, IdentityRecord, SourceRecord};
use crate::domain::incident::Change;
use crate::domain::reading::{Flags, Row};
use crate::domain::time::{Month, Ms, Ts};
use crate::domain::topology::Topology;
use crate::history;
use crate::store::Reader;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// What is looked at where nobody says since when.
const SPAN: Ms = Ms::days(90);

/// Before the span, for the rules to learn: 28 days that are a measure, and those among them that are none; from there back to the
/// beginning of the month, because months are summed from theirs.
const LEARN: Ms = Ms::days(60);

/// Read at once, under one state of the store: while it is read, the log beside the file cannot be cut. A sealed piece that lies across the
/// edge is unpacked twice.
const SLICE: Ms = Ms::days(14);

/// Rows between two looks at the clock and at whether somebody has heard enough.
const LOOK: u64 = 512;

pub fn run(wish: &Wish, topology: &Arc<Topology>, reader: &Reader, now: Ts, watch: &mut Watch<'_>) -> Result<Report, Error> {
    let began = Instant::now();
    let reader = reader.dedicated();
    let stats = reader.stats()?;
    let (first, last) = stats.first.zip(stats.last).ok_or(Error::Empty)?;
    let to = wish.to.unwrap_or(now).min(now);
    let from = wish.from.unwrap_or(last.min(to) - SPAN).max(first);
    if from >= to {
        return Err(Error::Nothing { from: wish.from.unwrap_or(from), to });
    }
    let learned_from = Month::of(from - LEARN, &topology.tz).start(&topology.tz).max(first);

    let stored = Stored { sources: reader.sources()?, identities: reader.identities()?, ledger: history::entries(reader.ledger()?)? };
    let chosen = wish.chosen.points(topology);
    let keys: BTreeSet<&str> = chosen.iter().map(|p| topology.point(*p).key.as_str()).collect();
    let mut lives = vec![Life::begin(topology.clone(), &stored, learned_from)];
    if !wish.tried.is_as_now() {
        let mut other = (**topology).clone();
        wish.tried.in_place(&mut other, &chosen);
        lives.push(Life::begin(Arc::new(other), &stored, learned_from));
    }
    drop(stored);

    let (mut rows, mut within, mut pace) = (0u64, 0u64, Pace::new());
    let mut goes_on = true;
    let whole = (to - learned_from).0.max(1);
    let mut at = learned_from;
    while at < to && goes_on {
        let end = (at + SLICE).min(to);
        reader.scan(at, end, &mut |row| {
            rows += 1;
            within += u64::from(row.ts >= from);
            lives.iter_mut().for_each(|life| life.row(&row, from, &keys));
            if rows.is_multiple_of(LOOK) {
                pace.step();
                let per_mille = (row.ts - learned_from).0.saturating_mul(1_000) / whole;
                goes_on = watch(Progress { per_mille: u32::try_from(per_mille).unwrap_or(0).min(1_000), rows });
            }
            if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        at = end;
    }
    if !goes_on {
        return Err(Error::Stopped);
    }
    if within == 0 {
        return Err(Error::Nothing { from, to });
    }
    let mut runs = lives.into_iter().map(|life| life.end(to, from, &keys));
    Ok(Report {
        topology: topology.clone(),
        from,
        to,
        learned_from,
        points: chosen.len(),
        rows,
        seconds: began.elapsed().as_secs_f64(),
        as_now: runs.next().unwrap_or_default(),
        tried: runs.next(),
        notes: vec![],
    })
}

/// What an engine needs to know of the store beside its rows.
struct Stored {
    sources: Vec<SourceRecord>,
    identities: Vec<IdentityRecord>,
    ledger: Entries,
}

/// An engine that lives through the past.
struct Life {
    engine: Engine,
    topology: Arc<Topology>,
    effects: Effects,
    now: Ts,
    /// Nothing at all was heard for so long: it was the gateway that did not hear. None where a single source is known, whose silence is its own.
    deaf_after: Option<Ms>,
    run: Run,
}

impl Life {
    fn begin(topology: Arc<Topology>, stored: &Stored, now: Ts) -> Life {
        let mut engine = Engine::restore(topology.clone(), &stored.sources, &stored.identities, stored.ledger.clone(), None);
        let mut effects = Effects::default();
        engine.boot(now, 0, &mut effects);
        engine.connected(now);
        effects.list.clear();
        let shortest = topology.points.iter().filter(|p| p.source.is_some()).filter_map(|p| p.limits.silent_after).min();
        let deaf_after = shortest.filter(|_| stored.sources.len() > 1).map(|limit| Ms(limit.0 / 2));
        Life { engine, topology, effects, now, deaf_after, run: Run::default() }
    }

    fn row(&mut self, row: &Row, from: Ts, keys: &BTreeSet<&str>) {
        // A stamp of a clock that ran ahead is no time that came.
        if !row.flags.contains(Flags::AHEAD) {
            self.pass(row.ts);
        }
        self.engine.relive(self.now, row, &mut self.effects);
        self.keep(from, keys);
    }

    /// Lets the clock run, from deadline to deadline.
    fn pass(&mut self, to: Ts) {
        if self.deaf_after.is_some_and(|limit| to - self.now > limit) {
            self.engine.disconnected();
            self.engine.connected(to);
        }
        while let Some(due) = self.engine.next_deadline().filter(|due| *due < to) {
            self.now = self.now.max(due);
            self.engine.tick(due, &mut self.effects);
        }
        self.now = self.now.max(to);
    }

    fn keep(&mut self, from: Ts, keys: &BTreeSet<&str>) {
        for effect in self.effects.list.drain(..) {
            let Effect::Event(event) = effect else { continue };
            let Change::Found { finding } = event.change else { continue };
            // A mean flow is known at the end of its span only.
            let at = event.at.max(finding.at);
            if !keys.contains(finding.point.as_str()) || finding.historic {
                continue;
            }
            if at < from {
                self.run.earlier += 1;
            } else {
                self.run.push(at, finding, &self.topology.tz);
            }
        }
        self.effects.urgent = false;
    }

    fn end(mut self, to: Ts, from: Ts, keys: &BTreeSet<&str>) -> Run {
        self.pass(to);
        self.engine.tick(to, &mut self.effects);
        self.keep(from, keys);
        self.run
    }
}
