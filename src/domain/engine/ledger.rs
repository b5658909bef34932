//! The half of the engine that writes the ledger: what people state about meters, and what it changes of the state that goes on.
//!
//! What the rules remember of a point follows from its newest rows, so it is made anew from them, with the statement in force. Days and
//! months are the store's and follow from the same entry; see `history`.

use super::point::{Came, Here};
use super::{
    Amend, CommandError, Effect, Effects, Engine, HandReading, MAX_NAME, MAX_TEXT, Past, PastUnavailable, PointMemory, Statement, text,
};
use crate::domain::amendment::{Deed, Entry, Replaced};
use crate::domain::detect::balance::Subs;
use crate::domain::finding::{Cause, FindingKind, Mark};
use crate::domain::meter::Value;
use crate::domain::reading::{Flags, Outcome, Reading, Row, SourceId, Values};
use crate::domain::time::{Month, Ms, Ts};
use crate::domain::topology::{PointIx, Scale};
use crate::domain::units::{Amount, Quantity};
use std::sync::Arc;

/// The rules look back as far as the month's beginning; before it a few readings teach the ledger its level.
const WARM_UP: Ms = Ms::days(2);

/// A replacement that was taken back and one this near are the same, written once more.
const RESTATED: Ms = Ms::days(40);

/// The rows that a statement needs: of this source, from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    pub source: SourceId,
    pub from: Ts,
}

impl Engine {
    /// Which rows [`Engine::amend`] must be given. All that is committed, so nothing may be open.
    pub fn needed_for(&self, amend: &Amend) -> Result<Needed, CommandError> {
        let (p, _) = self.amended_point(amend)?;
        let (at, _) = self.register_of(p).ok_or_else(|| CommandError::UnknownPoint { point: amend.point.clone() })?;
        let source = &self.sources[at];
        let known = source.known.as_ref().ok_or_else(|| CommandError::UnknownPoint { point: amend.point.clone() })?;
        let newest = source.last.map_or(Ts(0), |(ts, _)| ts);
        let tz = &self.topology.tz;
        let begins = Month::of(newest, tz).start(tz);
        let stated = match amend.statement {
            Statement::Dial { ts, .. } | Statement::Corrected { ts, .. } | Statement::Believed { ts } => ts,
            Statement::Replaced(_) | Statement::Refused { .. } | Statement::Undone { .. } => begins,
        };
        Ok(Needed { source: known.source, from: begins.min(stated) - WARM_UP })
    }

    /// Writes a statement into the ledger. `rows`: as [`Engine::needed_for`] asks, by time. What comes of it must be committed with a checkpoint.
    pub fn amend(&mut self, now: Ts, amend: &Amend, rows: &[Row], out: &mut Effects) -> Result<Arc<Entry>, CommandError> {
        let by = text("by", &amend.by, MAX_NAME)?;
        let why = text("why", &amend.why, MAX_TEXT)?;
        let (p, undone_from) = self.amended_point(amend)?;
        let needed = self.needed_for(amend)?;
        let deed = self.deed(now, p, &amend.statement, rows)?;
        let mut from = deed.from().or(undone_from).unwrap_or(now);
        let before = self.amended[p.0 as usize].clone();
        let point = self.topology.point(p).key.clone();
        let entry = Arc::new(Entry { seq: self.ledger.next_seq(), point, at: now, by, why, deed });
        Arc::make_mut(&mut self.ledger).push(entry.clone());
        let amended = Arc::new(self.ledger.amendments(&entry.point));
        let scale = self.topology.point(p).meter.scale();
        if before.scale(scale, from) != amended.scale(scale, from) {
            // The old meter counted otherwise than was thought: all that it ever counted is told anew.
            from = amended.replaced_before(from).unwrap_or(self.topology.since);
        }
        self.amended[p.0 as usize] = amended;
        out.list.push(Effect::Ledger(entry.clone(), Some(needed.source), from));
        self.remember(now, p, rows, out);
        out.urgent = true;
        Ok(entry)
    }

    /// Takes what somebody read on a dial, as a reading of the point's own source, and signs it in the ledger.
    pub fn read_by_hand(
        &mut self,
        now: Ts,
        hand: &HandReading,
        past: &mut Past<'_>,
        out: &mut Effects,
    ) -> Result<Arc<Entry>, CommandError> {
        let by = text("by", &hand.by, MAX_NAME)?;
        let why = if hand.note.trim().is_empty() { String::new() } else { text("note", &hand.note, MAX_TEXT)? };
        let p = self.point_of_key.get(&hand.point).copied().ok_or_else(|| CommandError::UnknownPoint { point: hand.point.clone() })?;
        let topology = self.topology.clone();
        let not_by_hand = || CommandError::NotByHand { point: hand.point.clone() };
        let binding = topology.point(p).source.as_ref().filter(|b| b.is_by_hand()).ok_or_else(not_by_hand)?;
        if hand.ts > now + super::AHEAD || hand.ts < topology.since {
            return Err(CommandError::BadTime { ts: hand.ts });
        }
        let reading = Reading {
            feed: binding.feed,
            topic: binding.topic.as_str().into(),
            ts: Some(hand.ts),
            received: now,
            values: Values::single(hand.register.0),
            retained: false,
            clock_sure: true,
        };
        match self.reading(now, &reading, past, out) {
            Ok(Outcome::Stored) => {}
            Ok(Outcome::Duplicate | Outcome::Rejected(_)) => return Err(CommandError::ReadBefore { ts: hand.ts }),
            Err(PastUnavailable) => return Err(CommandError::Unavailable),
        }
        let deed = Deed::Read { ts: hand.ts, register: hand.register };
        let entry = Arc::new(Entry { seq: self.ledger.next_seq(), point: hand.point.clone(), at: now, by, why, deed });
        Arc::make_mut(&mut self.ledger).push(entry.clone());
        out.list.push(Effect::Ledger(entry.clone(), None, hand.ts));
        out.urgent = true;
        Ok(entry)
    }

    /// The point that it speaks of; for an undoing also since when its accounts change.
    fn amended_point(&self, amend: &Amend) -> Result<(PointIx, Option<Ts>), CommandError> {
        let (key, from) = match amend.statement {
            Statement::Undone { entry } => {
                let e = self.ledger.in_force(entry).ok_or(CommandError::UnknownEntry { entry })?;
                (e.point.as_str(), e.deed.from())
            }
            _ => (amend.point.as_str(), None),
        };
        let p = self.point_of_key.get(key).copied().filter(|p| self.topology.point(*p).meter.mean_flow_over.is_none());
        Ok((p.ok_or_else(|| CommandError::UnknownPoint { point: key.to_owned() })?, from))
    }

    /// The source of its register, and the stored column.
    fn register_of(&self, p: PointIx) -> Option<(usize, usize)> {
        let topic = &self.topology.point(p).source.as_ref()?.topic;
        let at = *self.by_topic.get(topic.as_str())?;
        let (column, _) = self.sources[at].readers.iter().find(|(_, reader)| *reader == p)?;
        Some((at, *column))
    }

    fn deed(&self, now: Ts, p: PointIx, statement: &Statement, rows: &[Row]) -> Result<Deed, CommandError> {
        // The device's clock may run a little ahead of ours.
        let past = |ts: Ts| if ts > now + super::AHEAD { Err(CommandError::BadTime { ts }) } else { Ok(ts) };
        let plate = |t: &Option<String>| t.as_ref().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
        let there = |ts: Ts| match self.shown(p, rows, ts) {
            Some(mark) => Ok(mark),
            None => Err(CommandError::NoReading { ts }),
        };
        Ok(match statement {
            Statement::Replaced(r) => {
                // The config will tell of the new meter: what it says of the old one is kept with the entry.
                let old = r.old.or_else(|| self.restated(p, r.ts));
                let old = old.unwrap_or_else(|| self.amended[p.0 as usize].scale(self.topology.point(p).meter.scale(), r.ts));
                let (serial, seal, verified) = (plate(&r.serial), plate(&r.seal), plate(&r.verified));
                Deed::Replaced(Replaced { ts: past(r.ts)?, serial, seal, verified, old: Some(old), ..*r })
            }
            Statement::Dial { ts, dial, counts } => {
                let register = there(past(*ts)?)?.register;
                if *counts && *dial < register {
                    return Err(CommandError::DialBehind { medium: self.topology.point(p).medium, dial: *dial, register });
                }
                Deed::Calibrated { ts: *ts, dial: *dial, offset: *dial - register, counts: *counts }
            }
            Statement::Corrected { ts, register } => {
                there(past(*ts)?)?;
                Deed::Corrected { ts: *ts, register: *register }
            }
            Statement::Believed { ts } => {
                there(past(*ts)?)?;
                Deed::Believed { ts: *ts }
            }
            Statement::Refused { from, to } => match to {
                Some(to) if to < from => return Err(CommandError::BadTime { ts: *to }),
                _ => Deed::Refused { from: past(*from)?, to: *to },
            },
            Statement::Undone { entry } => Deed::Undone { entry: *entry },
        })
    }

    /// How the old meter counted by a replacement that was taken back, where this one stands for it: the config may tell of the new meter by now.
    fn restated(&self, p: PointIx, ts: Ts) -> Option<Scale> {
        let near = |r: &Replaced| (r.ts - ts).0.abs() <= RESTATED.0;
        let key = self.topology.point(p).key.as_str();
        let of_point: Vec<&Entry> = self.ledger.of_point(key).collect();
        of_point.iter().rev().find_map(|e| match &e.deed {
            Deed::Replaced(r) if near(r) && self.ledger.in_force(e.seq).is_none() => r.old,
            _ => None,
        })
    }

    /// What the register shows in the row at `ts`, with what is in force.
    fn shown(&self, p: PointIx, rows: &[Row], ts: Ts) -> Option<Mark> {
        let (at, column) = self.register_of(p)?;
        let value = rows.iter().find(|r| r.ts == ts)?.values.get(column)?;
        let amended = &self.amended[p.0 as usize];
        let register = match self.sources[at].columns.get(column)?.quantity {
            Quantity::Pulses => Amount(value.saturating_mul(amended.scale(self.topology.point(p).meter.scale(), ts).pulse_weight.0)),
            _ => Amount(value),
        };
        amended.apply(Mark { ts, register })
    }

    /// Makes anew what is remembered of a point, and says what of that changes its incidents: what is explained or no longer so is over, what the
    /// rules say now is told.
    fn remember(&mut self, now: Ts, p: PointIx, rows: &[Row], out: &mut Effects) {
        let Some((at, column)) = self.register_of(p) else { return };
        let (topology, amended) = (self.topology.clone(), self.amended[p.0 as usize].clone());
        let (point, quantity) = (topology.point(p), self.sources[at].columns[column].quantity);
        let before = &self.points[p.0 as usize];
        let mut memory = PointMemory { serial: before.serial.clone(), heard: before.heard, ..PointMemory::new(point) };
        let (mut came, steps) = (Came::default(), before.ledger.steps);
        let here = Here { point, amended: &amended, subs: Subs::default(), now, tz: &topology.tz };
        for row in rows.iter().filter(|r| !r.flags.contains(Flags::AHEAD) && r.ts >= topology.since) {
            if let Some(value) = row.values.get(column) {
                memory.value(&here, Value { quantity, ts: row.ts, value }, &mut came);
            }
        }
        // What is usual was learned of more days than were read again; those rules go on as they were.
        memory.learned = before.learned.clone();
        memory.stands = before.stands.clone();
        let mut said = came.said;
        said.retain(|s| !s.finding.kind.is_learned());
        // They count since the store began, what was said as well as what is taken back.
        memory.ledger.steps = steps;
        self.points[p.0 as usize] = memory;
        let open: Vec<_> = self
            .book
            .incidents()
            .iter()
            .flat_map(|i| i.findings.iter().filter(|f| f.cleared.is_none() && f.finding.point == point.key))
            .map(|f| f.finding.clone())
            .filter(|f| self.book.is_open(&point.key, f.kind.code()))
            .collect();
        for f in &open {
            let over = match f.kind {
                FindingKind::MeterReset { before, after } | FindingKind::MeterJump { before, after, .. } => {
                    amended.explains(before.ts, after.ts)
                }
                FindingKind::LoopOutOfSeason { .. } => false,
                _ if f.kind.is_learned() => false,
                _ if f.kind.cause() == Cause::Leak && f.kind.flag().is_none() => {
                    rows.first().is_some_and(|r| r.ts <= f.start.earliest) && !said.iter().any(|s| s.finding.kind.code() == f.kind.code())
                }
                _ => false,
            };
            if over {
                let events = self.book.cleared(now, &point.key, f.kind.code());
                self.emit(events, out);
            }
        }
        for s in said {
            let known = s.still || s.finding.historic || self.book.is_open(&point.key, s.finding.kind.code());
            let spoken_of = self.book.knows(&point.key, &s.finding.kind);
            if !known && !spoken_of {
                self.found(now, s.finding, out);
            }
        }
    }
}
