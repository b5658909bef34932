//! The half of the engine that listens to what devices say besides numbers: flags that are raised and lowered, devices that come and go.

use super::{Effects, Engine};
use crate::domain::detect::HISTORIC_AFTER;
use crate::domain::finding::{Finding, StartRange};
use crate::domain::flag::FlagSet;
use crate::domain::reading::{Outcome, Presence, Reject, Row};
use crate::domain::time::{Ms, Ts};

/// What is still so a day after somebody closed the matter is told again.
const AGAIN: Ms = Ms::hours(24);

/// What a row changed.
struct Turned {
    raised: FlagSet,
    lowered: FlagSet,
    still: FlagSet,
}

impl Engine {
    /// What a row says of its source's flags now, without telling anybody.
    pub(super) fn take_flags(&mut self, at: usize, row: &Row) {
        self.turn(at, row);
    }

    /// Tells what a row changed: a flag that is raised is a finding about the first point of its source, one that is lowered is over.
    pub(super) fn tell_flags(&mut self, now: Ts, at: usize, row: &Row, out: &mut Effects) {
        let Some(turned) = self.turn(at, row) else { return };
        let Some(p) = self.sources[at].points.first().copied() else { return };
        let point = self.topology.point(p).key.clone();
        for flag in turned.lowered.iter() {
            let kind = flag.statement(row.ts);
            let events = self.book.cleared(now, &point, kind.code());
            // Who stands before a dry rope or a shut door looks whether the page knows.
            out.urgent |= !events.is_empty() && kind.cause().is_urgent();
            self.emit(events, out);
        }
        for flag in turned.raised.iter().chain(turned.still.iter()) {
            let kind = flag.statement(row.ts);
            if self.book.is_open(&point, kind.code()) {
                continue;
            }
            let start = StartRange { earliest: row.ts, latest: row.ts };
            let historic = now - row.ts > HISTORIC_AFTER;
            let finding = Finding { point: point.clone(), kind, at: row.ts, start, grown: false, historic, evidence: vec![] };
            self.found(now, finding, out);
        }
    }

    fn turn(&mut self, at: usize, row: &Row) -> Option<Turned> {
        let s = &mut self.sources[at];
        let flags = s.flags(&row.values)?;
        let before = s.raised;
        let raised = flags.without(before.flags);
        // Told again once a day, should somebody have closed the matter: all that is still raised.
        let due = before.told.is_none_or(|told| row.ts - told >= AGAIN);
        let still = if due { flags.without(raised) } else { FlagSet::NONE };
        s.raised.flags = flags;
        if due || !raised.is_empty() {
            s.raised.told = Some(row.ts);
        }
        Some(Turned { raised, lowered: before.flags.without(flags), still })
    }

    /// Whether a device is there, says it or its broker. It is no reading.
    pub(super) fn presence(&mut self, p: &Presence) -> Outcome {
        self.counts.received += 1;
        let said = |s: &mut super::Source| {
            if s.presence.is_none_or(|(online, _)| online != p.online) {
                s.presence = Some((p.online, p.received));
            }
        };
        let behind = |topic: &str, of: &str| of.strip_prefix(topic).is_some_and(|rest| rest.starts_with('#'));
        let at = match &p.topic {
            // A gateway whose messages name their devices: it speaks of them all.
            Some(topic) if self.sources.iter().any(|s| behind(topic, &s.topic)) => {
                self.sources.iter_mut().filter(|s| behind(topic, &s.topic)).for_each(said);
                None
            }
            Some(topic) => self.source_of(topic),
            None => {
                self.sources.iter_mut().filter(|s| s.feed == Some(p.feed)).for_each(said);
                None
            }
        };
        if let Some(at) = at {
            let s = &mut self.sources[at];
            s.counts.received += 1;
            s.feed = s.feed.or(Some(p.feed));
            said(s);
        }
        self.rejected(at, Reject::NoReading)
    }
}
