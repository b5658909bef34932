//! One form of message, ready to be read: every place that it asks for has a slot, so that a payload is walked once.

use super::scalar::{Raw, Scalar};
use super::{Clock, IDENTITY_MARK, Message, Spec, blank, cjt188, flags, json, number, refused, senml, shown, stamp};
use crate::domain::device::{FlagRule, Format, MAX_PLACES, MessageForm, Place, Pointer, Says, ValueRule};
use crate::domain::engine::{AHEAD, Input};
use crate::domain::flag::{Flag, FlagSet};
use crate::domain::reading::{Presence, Reading, Reject, Values};
use crate::domain::time::Ts;
use crate::domain::units::Unit;
use std::borrow::Cow;
use std::sync::Arc;

/// In bytes: a device's id becomes part of a name that is kept.
const LONGEST_ID: usize = 64;

/// Position of a place among those of its form.
type Slot = usize;

#[derive(Clone, Debug)]
pub(super) struct Form {
    format: Format,
    each: Option<Pointer>,
    places: Places,
    when: Vec<(Slot, String)>,
    identity: Option<Slot>,
    says: Wanted,
    /// Column of the flags.
    flags: Option<usize>,
}

#[derive(Clone, Debug)]
enum Wanted {
    Values { time: Vec<Slot>, values: Vec<(ValueRule, Vec<Slot>)>, flags: Vec<(FlagRule, Vec<Slot>)> },
    Presence { at: Slot, online: String, offline: String },
}

/// Whether a form had something to say of a message.
pub(super) enum Verdict {
    /// It has: what came of it is told.
    Read,
    /// It does not apply. The reason counts if no other form applies.
    Passed(Option<Reject>),
}

/// The places of a form, each once.
#[derive(Clone, Debug, Default)]
struct Places(Vec<Place>);

impl Places {
    fn slot(&mut self, place: &Place) -> Slot {
        self.0.iter().position(|p| p == place).unwrap_or_else(|| {
            self.0.push(place.clone());
            self.0.len() - 1
        })
    }

    fn slots(&mut self, places: &[Place]) -> Vec<Slot> {
        places.iter().map(|p| self.slot(p)).collect()
    }

    fn text(&self, slot: Slot) -> &str {
        self.0.get(slot).map_or("", Place::as_str)
    }

    fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().filter_map(|p| match p {
            Place::Pointer(p) => Some(p),
            Place::Name(_) => None,
        })
    }
}

/// What stands at the slots of one reading.
struct Found<'p>([Option<Raw<'p>>; MAX_PLACES]);

impl<'p> Found<'p> {
    fn get(&self, slot: Slot) -> Option<Raw<'p>> {
        self.0.get(slot).copied().flatten()
    }

    fn scalar(&self, slot: Slot) -> Scalar<'p> {
        self.get(slot).map_or(Scalar::Nothing, Scalar::of)
    }

    /// The first of the places where something stands; else the first place, and nothing.
    fn first(&self, slots: &[Slot]) -> (Slot, Scalar<'p>) {
        let spoken = slots.iter().map(|s| (*s, self.scalar(*s))).find(|(_, scalar)| !matches!(scalar, Scalar::Nothing));
        spoken.unwrap_or((slots.first().copied().unwrap_or_default(), Scalar::Nothing))
    }
}

impl Form {
    pub fn new(m: &MessageForm, flags: Option<u8>) -> Form {
        let mut places = Places::default();
        let when = m.when.iter().map(|(place, text)| (places.slot(place), text.clone())).collect();
        let says = match &m.says {
            Says::Values { time, values, flags } => Wanted::Values {
                time: places.slots(time),
                values: values.iter().map(|v| (v.clone(), places.slots(&v.at))).collect(),
                flags: flags.iter().map(|f| (f.clone(), places.slots(&f.at))).collect(),
            },
            Says::Presence { at, online, offline } => {
                Wanted::Presence { at: places.slot(at), online: online.clone(), offline: offline.clone() }
            }
        };
        let identity = m.identity.as_ref().map(|place| places.slot(place));
        Form { format: m.format, each: m.each.clone(), places, when, identity, says, flags: flags.map(usize::from) }
    }

    /// Puts what `message` tells into `out`, if it is of this form.
    pub fn read(&self, spec: &Spec, message: &Message<'_>, clock: Clock, out: &mut Vec<Input>) -> Verdict {
        match self.format {
            Format::Cjt188 => match cjt188::read(message.payload) {
                Ok(frames) => self.tables(frames.iter().map(|f| entries(f)), spec, message, clock, out),
                Err(e) => Verdict::Passed(Some(Reject::Frame { what: e.to_string() })),
            },
            Format::Plain | Format::Json | Format::Senml => match std::str::from_utf8(message.payload) {
                Ok(text) => self.text(text, spec, message, clock, out),
                Err(e) => Verdict::Passed(Some(Reject::Utf8 { at: e.valid_up_to() })),
            },
        }
    }

    fn text(&self, text: &str, spec: &Spec, message: &Message<'_>, clock: Clock, out: &mut Vec<Input>) -> Verdict {
        let body = text.trim_start_matches('\u{feff}').trim_end_matches(blank);
        if body.chars().all(blank) {
            return Verdict::Passed(Some(Reject::Missing { at: String::new() }));
        }
        match self.format {
            Format::Plain => {
                let mut found = Found([None; MAX_PLACES]);
                found.0[0] = Some(Raw::Text(text));
                self.one(&found, spec, message, clock, out)
            }
            Format::Senml => match senml::read(body, clock.now.0) {
                Ok(packs) => self.tables(packs.iter().map(|p| entries(p)), spec, message, clock, out),
                Err(senml::SenmlError::Json { line, column }) => Verdict::Passed(Some(Reject::Json { line, column })),
                Err(e) => Verdict::Passed(Some(Reject::Frame { what: e.to_string() })),
            },
            Format::Json | Format::Cjt188 => match self.json(body, spec, message, clock, out) {
                Ok(verdict) => verdict,
                Err(e) => Verdict::Passed(Some(Reject::Json { line: e.line(), column: e.column() })),
            },
        }
    }

    fn json(
        &self,
        text: &str,
        spec: &Spec,
        message: &Message<'_>,
        clock: Clock,
        out: &mut Vec<Input>,
    ) -> Result<Verdict, serde_json::Error> {
        let found = json::find(text, self.places.pointers())?;
        Ok(self.one(&Found(found.map(|raw| raw.map(Raw::Json))), spec, message, clock, out))
    }

    /// True if it reads the elements of an array.
    pub fn is_of_elements(&self) -> bool {
        self.each.is_some()
    }

    /// True if the two read the elements of the same array.
    pub fn shares_array(&self, other: &Form) -> bool {
        self.each.is_some() && self.each == other.each
    }

    /// Reads each element of the array by the first of `forms` (of which this is one) that applies to it.
    pub fn read_each(forms: &[&Form], spec: &Spec, message: &Message<'_>, clock: Clock, out: &mut Vec<Input>) -> Verdict {
        let Some(each) = forms.first().and_then(|f| f.each.as_ref()) else { return Verdict::Passed(None) };
        match Form::elements(forms, each, spec, message, clock, out) {
            Ok(verdict) => verdict,
            Err(reason) => Verdict::Passed(Some(reason)),
        }
    }

    fn elements(
        forms: &[&Form],
        each: &Pointer,
        spec: &Spec,
        message: &Message<'_>,
        clock: Clock,
        out: &mut Vec<Input>,
    ) -> Result<Verdict, Reject> {
        let text = std::str::from_utf8(message.payload).map_err(|e| Reject::Utf8 { at: e.valid_up_to() })?;
        let text = text.trim_start_matches('\u{feff}').trim_end_matches(blank);
        if text.chars().all(blank) {
            return Err(Reject::Missing { at: String::new() });
        }
        let broken = |e: serde_json::Error| Reject::Json { line: e.line(), column: e.column() };
        let Some(array) = json::find(text, std::iter::once(each)).map_err(broken)?[0] else { return Ok(Verdict::Passed(None)) };
        let Some(elements) = json::elements(array) else { return Ok(Verdict::Passed(None)) };
        // What an element does not say, the message may say for all.
        let around: Vec<_> = forms.iter().map(|f| json::find(text, f.places.pointers())).collect::<Result<_, _>>().map_err(broken)?;
        let mut verdict = Verdict::Passed(None);
        for element in elements {
            let mut of_element = Verdict::Passed(None);
            for (form, around) in forms.iter().zip(&around) {
                let mut found = json::find(element, form.places.pointers()).map_err(broken)?;
                found.iter_mut().zip(around).for_each(|(inside, outside)| *inside = inside.or(*outside));
                of_element = of_element.or(form.one(&Found(found.map(|raw| raw.map(Raw::Json))), spec, message, clock, out));
                if matches!(of_element, Verdict::Read) {
                    break;
                }
            }
            verdict = verdict.or(of_element);
        }
        Ok(verdict)
    }

    /// Formats whose readings are lists of names and texts.
    fn tables<'p>(
        &self,
        tables: impl Iterator<Item = Vec<(&'p str, &'p str)>>,
        spec: &Spec,
        message: &Message<'_>,
        clock: Clock,
        out: &mut Vec<Input>,
    ) -> Verdict {
        let mut verdict = Verdict::Passed(None);
        for table in tables {
            // A name may have the device's base name in front.
            let entry = |place: &Place| {
                let name = place.as_str();
                let exact = table.iter().find(|(n, _)| *n == name);
                let behind = || table.iter().find(|(n, _)| !name.is_empty() && n.ends_with(name));
                exact.or_else(behind).map(|(_, text)| Raw::Text(text))
            };
            let mut found = Found([None; MAX_PLACES]);
            for (slot, place) in found.0.iter_mut().zip(&self.places.0) {
                *slot = entry(place);
            }
            verdict = verdict.or(self.one(&found, spec, message, clock, out));
        }
        verdict
    }

    /// Reads one reading of the message.
    fn one(&self, found: &Found<'_>, spec: &Spec, message: &Message<'_>, clock: Clock, out: &mut Vec<Input>) -> Verdict {
        if self.when.iter().any(|(slot, text)| found.scalar(*slot).word() != Some(text)) {
            return Verdict::Passed(None);
        }
        let source = match &self.identity {
            None => message.source.clone(),
            Some(slot) => match found.scalar(*slot).word() {
                Some(id) if id.len() > LONGEST_ID => {
                    let what = format!("the id at {:?} is longer than {LONGEST_ID} bytes", self.places.text(*slot));
                    return Verdict::Passed(Some(Reject::Frame { what }));
                }
                Some(id) => Some(identified(message.source.as_deref().unwrap_or(""), id)),
                None => return Verdict::Passed(Some(Reject::Missing { at: self.places.text(*slot).to_owned() })),
            },
        };
        match &self.says {
            Wanted::Presence { at, online, offline } => {
                let scalar = found.scalar(*at);
                let is = |word: &str| scalar.word().is_some_and(|w| w.eq_ignore_ascii_case(word));
                let online = is(online);
                if !online && !is(offline) {
                    return Verdict::Passed(None);
                }
                out.push(Input::Presence(Presence { feed: spec.feed, topic: source, online, received: clock.now }));
                Verdict::Read
            }
            Wanted::Values { time, values, flags } => {
                let silent = |slots: &&Vec<Slot>| matches!(found.first(slots).1, Scalar::Nothing);
                let required = values.iter().filter(|(rule, _)| rule.required).map(|(_, slots)| slots);
                // A stamp that is missing: arrival is not when it was measured.
                let needed = required.chain(Some(time).filter(|t| !t.is_empty()));
                if let Some(slots) = needed.into_iter().find(silent) {
                    let at = slots.first().map_or("", |s| self.places.text(*s)).to_owned();
                    return Verdict::Passed(Some(Reject::Missing { at }));
                }
                let of_source = Message { source, topic: message.topic.clone(), ..*message };
                match self.values(found, time, values, flags, spec, &of_source, clock) {
                    Ok(None) => return Verdict::Passed(None),
                    Ok(Some((ts, values))) => {
                        let topic = of_source.source.unwrap_or(of_source.topic);
                        let Message { retained, .. } = *message;
                        let reading = Reading { feed: spec.feed, topic, ts, received: clock.now, values, retained, clock_sure: clock.sure };
                        if !joined(out, &reading) {
                            out.push(Input::Reading(reading));
                        }
                    }
                    Err(reason) => out.push(refused(spec, &of_source, clock, reason)),
                }
                Verdict::Read
            }
        }
    }

    /// What a reading says; None where that is nothing.
    #[expect(clippy::too_many_arguments, reason = "the parts of one enum variant, and where they are read from")]
    fn values(
        &self,
        found: &Found<'_>,
        time: &[Slot],
        rules: &[(ValueRule, Vec<Slot>)],
        flag_rules: &[(FlagRule, Vec<Slot>)],
        spec: &Spec,
        message: &Message<'_>,
        clock: Clock,
    ) -> Result<Option<(Option<Ts>, Values)>, Reject> {
        let mut values = Values::NONE;
        let mut raised = None;
        for (rule, slots) in flag_rules {
            for raw in slots.iter().filter_map(|s| found.get(*s)).filter(|raw| raw.speaks()) {
                flags::read(rule, raw, raised.get_or_insert(FlagSet::NONE));
            }
        }
        // What was kept by the broker says how things are, but a register's moment is not known.
        let stale = message.retained && time.is_empty();
        let mut stood_there = false;
        for (rule, slots) in rules {
            let (slot, scalar) = found.first(slots);
            match value(&scalar, found.get(slot), rule, self.places.text(slot))? {
                Understood::Nothing => {}
                Understood::Number(v) => {
                    stood_there = true;
                    if !stale {
                        values.set(usize::from(rule.column), v);
                    }
                }
                Understood::UnknownWord => raised.get_or_insert(FlagSet::NONE).insert(Flag::UnknownStatus),
            }
        }
        if let (Some(set), Some(column)) = (raised, self.flags) {
            values.set(column, set.column());
        }
        if values.is_empty() {
            return if stood_there { Err(Reject::Retained) } else { Ok(None) };
        }
        let ts = if time.is_empty() { None } else { Some(in_window(self.instant(found, time, spec)?, clock)?) };
        Ok(Some((ts, values)))
    }

    fn instant(&self, found: &Found<'_>, time: &[Slot], spec: &Spec) -> Result<Ts, Reject> {
        let (slot, scalar) = found.first(time);
        let at = || self.places.text(slot).to_owned();
        let (ts, text) = match scalar {
            Scalar::Nothing => return Err(Reject::Missing { at: at() }),
            Scalar::Number(n) => (stamp::number(n, &spec.tz), Cow::Borrowed(n)),
            Scalar::Text(t) => (stamp::text(&t, &spec.tz), t),
            Scalar::Bool(_) | Scalar::Other => (None, raw_text(found.get(slot))),
        };
        ts.ok_or_else(|| Reject::TimeSyntax { at: at(), found: shown(&text) })
    }
}

impl Verdict {
    /// Of two readings of one message: one that was told counts more than one that was passed over.
    fn or(self, next: Verdict) -> Verdict {
        match (self, next) {
            (Verdict::Read, _) | (_, Verdict::Read) => Verdict::Read,
            (Verdict::Passed(a), Verdict::Passed(b)) => Verdict::Passed(a.or(b)),
        }
    }
}

/// What a rule made of what stands there.
enum Understood {
    Nothing,
    Number(i64),
    /// It may say a word instead of a number, and not this one.
    UnknownWord,
}

fn value(scalar: &Scalar<'_>, raw: Option<Raw<'_>>, rule: &ValueRule, at: &str) -> Result<Understood, Reject> {
    if let Some(word) = scalar.word()
        && let Some((_, v)) = rule.words.iter().find(|(w, _)| w.eq_ignore_ascii_case(word))
    {
        return Ok(Understood::Number(*v));
    }
    let number = |text: &str| match number::read(text, rule.unit, rule.scale, at) {
        Err(Reject::Number { .. }) if !rule.words.is_empty() => Ok(Understood::UnknownWord),
        read => read.map(Understood::Number),
    };
    match scalar {
        Scalar::Nothing => Ok(Understood::Nothing),
        Scalar::Number(n) => number(n),
        Scalar::Text(t) => number(t),
        Scalar::Bool(b) if rule.unit == Unit::One => Ok(Understood::Number(i64::from(*b) * Unit::One.ratio().0)),
        Scalar::Bool(_) | Scalar::Other => Err(Reject::Number { at: at.to_owned(), found: shown(&raw_text(raw)) }),
    }
}

/// So many of a message's newest readings are looked at for one that another belongs to.
const NEAR: usize = 16;

/// One element tells the register, the next the valve, of one device at one moment: that is one reading. True if it was put into one.
fn joined(out: &mut [Input], reading: &Reading) -> bool {
    let apart = |a: &Values, b: &Values| a.iter().all(|(i, _)| b.get(i).is_none());
    let of_it = |input: &mut Input| match input {
        Input::Reading(r) if r.ts.is_some() && r.ts == reading.ts && r.topic == reading.topic && apart(&r.values, &reading.values) => {
            reading.values.iter().for_each(|(i, v)| r.values.set(i, v));
            true
        }
        _ => false,
    };
    out.iter_mut().rev().take(NEAR).any(of_it)
}

fn raw_text(raw: Option<Raw<'_>>) -> Cow<'_, str> {
    match raw {
        Some(Raw::Json(t) | Raw::Text(t)) => Cow::Borrowed(t),
        None => Cow::Borrowed(""),
    }
}

/// The source of a device that its messages name: `topic#id`, or the id alone where there is no topic.
fn identified(topic: &str, id: &str) -> Arc<str> {
    if topic.is_empty() { id.into() } else { format!("{topic}{IDENTITY_MARK}{id}").into() }
}

fn entries<N: AsRef<str>>(table: &[(N, String)]) -> Vec<(&str, &str)> {
    table.iter().map(|(n, t)| (n.as_ref(), t.as_str())).collect()
}

fn in_window(ts: Ts, clock: Clock) -> Result<Ts, Reject> {
    let since = clock.since.max(Ts::EARLIEST);
    if ts < since {
        Err(Reject::TimeOld { ts, since })
    } else if (clock.sure && ts > clock.now + AHEAD) || ts > Ts::LATEST {
        Err(Reject::TimeAhead { ts, now: clock.now })
    } else {
        Ok(ts)
    }
}
