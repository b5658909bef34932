//! Which profile reads a topic best.
//!
//! Every profile of which some message's topic fits is tried on the payloads that were heard. Of those that read something the best is the one
//! whose usual topic it is, then the one that reads the most columns, then the one that asks for the most and names the most levels.

use super::heard::Topic;
use super::proposal::Certainty;
use crate::domain::device::{Bound, Format, MessageForm, Place, Profile, Says};
use crate::domain::engine::Input;
use crate::domain::flag::{Flag, FlagSet};
use crate::domain::topology::FeedIx;
use crate::domain::units::{Quantity, Unit};
use crate::ingest::decode::discovery::{Component, Entity};
use crate::ingest::decode::{Clock, IDENTITY_MARK, Message, Spec, decode};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// Profiles of payloads that may be anybody's. A file of the user's own of such a name is its author's word for it: the same holds.
const GENERIC: [&str; 2] = ["plain", "json"];

/// A profile that reads a topic.
#[derive(Clone, Debug)]
pub struct Reads<'p> {
    pub profile: &'p Profile,
    pub certainty: Certainty,
    /// The filter that hears all devices of it; None: the profile's usual one.
    pub filter: Option<String>,
    /// The filter has a + for the device.
    pub wide: bool,
    /// The topic that names this device's source.
    pub exact: String,
    pub named: Option<String>,
    /// The ids that stand in the messages, where one topic serves several devices, each with its columns that said something.
    pub devices: Vec<(Option<String>, Vec<usize>)>,
    /// The message is one number or word.
    pub plain: bool,
    score: Score,
}

/// In the order of what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    usual: bool,
    columns: usize,
    /// Columns that must be there, and texts that must stand somewhere.
    asks: usize,
    levels: usize,
}

/// The profile that reads `topic` best, against which nothing of `announced` speaks.
pub fn best<'p>(
    profiles: &'p [Profile],
    name: &str,
    topic: &Topic,
    announced: &[&Entity],
    tz: &TimeZone,
    clock: Clock,
) -> Option<Reads<'p>> {
    let all = profiles.iter().filter_map(|p| reads(p, name, topic, announced, tz, clock));
    // Of equals the first by name.
    all.reduce(|best, next| if (next.certainty, best.score) < (best.certainty, next.score) { next } else { best })
}

fn reads<'p>(p: &'p Profile, name: &str, topic: &Topic, announced: &[&Entity], tz: &TimeZone, clock: Clock) -> Option<Reads<'p>> {
    let fitting: Vec<(usize, &MessageForm, Bound)> =
        p.messages.iter().enumerate().filter_map(|(i, m)| Some((i, m, m.topic.bind(name)?))).collect();
    let (_, form, bound) = fitting.iter().find(|(_, m, _)| matches!(m.says, Says::Values { .. }))?;
    if fitting.iter().any(|(_, m, _)| contradicted(m, announced)) {
        return None;
    }
    let spec = Spec::new(FeedIx(0), tz.clone(), p, fitting.iter().map(|(i, ..)| *i));
    let devices = devices(p, &spec, name, topic, clock);
    let mut columns: Vec<usize> = devices.iter().flat_map(|(_, seen)| seen.iter().copied()).collect();
    columns.sort_unstable();
    columns.dedup();
    if columns.is_empty() {
        return None;
    }
    let asks = |m: &MessageForm| match &m.says {
        Says::Values { values, .. } => m.when.len() + values.iter().filter(|v| v.required).count(),
        Says::Presence { .. } => 0,
    };
    let asks = fitting.iter().map(|(_, m, _)| asks(m)).max().unwrap_or_default();
    let (usual, plain) = (form.topic.is_usual(bound), form.format == Format::Plain);
    let counts = |q: Quantity| columns.iter().any(|i| p.columns.get(*i).is_some_and(|c| c.quantity == q));
    let certainty = match (usual, GENERIC.contains(&p.name.as_str())) {
        (true, false) => Certainty::Known,
        (true, true) => Certainty::Likely,
        // A bare number reads as anything.
        (false, _) if plain => counts(Quantity::Volume).then_some(Certainty::Guess).filter(|_| is_of_water(name, topic))?,
        (false, true) => counts(Quantity::Volume).then_some(Certainty::Guess)?,
        // One column that need not be there says too little of whose message it is.
        (false, false) => (asks > 0 || columns.len() > 1).then_some(Certainty::Likely)?,
    };
    let score = Score { usual, columns: columns.len(), asks, levels: form.topic.as_written(bound) };
    let any = bound.clone().of_any_device();
    // The source is named by the profile's first message; where this one does not say how, by its own topic.
    let first = p.first_message(None).filter(|m| m.topic.filter(&any).is_ok()).unwrap_or(form);
    let (filter, exact) = (first.topic.filter(&any).ok()?, first.topic.filter(bound).ok()?);
    let is_usual = p.first_message(None).and_then(|m| m.topic.filter(&Bound::default()).ok()).is_some_and(|usual| usual == filter);
    Some(Reads {
        profile: p,
        certainty,
        wide: first.topic.has_device(),
        filter: (!is_usual).then_some(filter),
        exact,
        named: bound.device().map(str::to_owned),
        devices,
        plain,
        score,
    })
}

/// Who spoke in the payloads, and the columns that said something.
fn devices(p: &Profile, spec: &Spec, name: &str, topic: &Topic, clock: Clock) -> Vec<(Option<String>, Vec<usize>)> {
    let source: Arc<str> = name.into();
    let mut out = vec![];
    for payload in topic.samples() {
        // What the broker kept is tried as if it came now: the next one will.
        let message = Message { source: Some(source.clone()), topic: source.clone(), payload, retained: false };
        decode(spec, &message, clock, &mut out);
    }
    let mut devices: Vec<(Option<String>, Vec<usize>)> = vec![];
    for input in out {
        let Input::Reading(r) = input else { continue };
        let id = r.topic.rsplit_once(IDENTITY_MARK).map(|(_, id)| id.to_owned());
        let flags = p.flags_column().map(usize::from);
        // A word that the profile does not know shows that it is not its own.
        let foreign = FlagSet::from_iter([Flag::UnknownStatus]);
        let says = |(i, v): &(usize, i64)| Some(*i) != flags || FlagSet::of_column(*v) != foreign;
        let seen = r.values.iter().filter(says).map(|(i, _)| i);
        match devices.iter_mut().find(|(d, _)| *d == id) {
            Some((_, columns)) => columns.extend(seen),
            None => devices.push((id, seen.collect())),
        }
    }
    for (_, columns) in &mut devices {
        columns.sort_unstable();
        columns.dedup();
    }
    devices.retain(|(_, columns)| !columns.is_empty());
    devices.sort();
    devices
}

/// True if the device announces another unit for a place than the message takes it for.
fn contradicted(m: &MessageForm, announced: &[&Entity]) -> bool {
    let Says::Values { values, .. } = &m.says else { return false };
    announced.iter().filter(|e| e.component == Component::Sensor).any(|e| {
        let (Ok(place), Some(unit)) = (&e.place, e.unit.as_deref().and_then(Unit::parse)) else { return false };
        let there = |at: &Place| at.as_str() == place;
        let rule = values.iter().find(|v| v.at.iter().any(there));
        rule.is_some_and(|v| v.unit.quantity() != unit.quantity() || (v.scale.is_none() && v.unit.ratio() != unit.ratio()))
    })
}

/// True if something besides the number says that it counts water.
fn is_of_water(name: &str, topic: &Topic) -> bool {
    // The last three: water, the gauge of a meter, tonne; users write their topics in Chinese, too.
    const WORDS: [&str; 8] = ["water", "litre", "liter", "volume", "m3", "\u{6c34}", "\u{8868}", "\u{5428}"];
    let lower = name.to_lowercase();
    let unit = |payload: &[u8]| {
        let text = std::str::from_utf8(payload).unwrap_or_default().trim();
        let behind = text.trim_start_matches(|c: char| c.is_ascii_digit() || ".,+- ".contains(c));
        Unit::parse(behind).is_some_and(|u| u.quantity() == Quantity::Volume)
    };
    (WORDS.iter().any(|w| lower.contains(w)) && !lower.contains("temp")) || topic.newest().is_some_and(unit)
}
