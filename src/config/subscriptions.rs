//! `[[mqtt.subscriptions]]`: which topics are heard, and how their payloads are read: by a profile, or as the keys here say.

use super::devices::{Catalogue, pointer};
use super::reader::{Field, Shape, Table};
use super::suggest;
use super::topics::Filter;
use super::values::{column_name, slug, unit};
use crate::domain::device::{Bound, Format, MessageForm, Place, Pointer, Profile};
use crate::domain::topology::{Column, Feed, FeedIx, MAX_COLUMNS, Point};
use crate::domain::units::Unit;
use std::sync::Arc;

pub(super) static SUBSCRIPTIONS: Shape = Shape {
    path: "mqtt.subscriptions[]",
    keys: &["name", "topic", "profile", "format", "value", "unit", "time", "also"],
    hints: &[
        ("qos", "nothing: it is always 1, because a message is acknowledged when it is stored"),
        ("retain", "nothing: a retained message counts if it carries its own time"),
        ("pointer", "value = \"/total\""),
        ("device", "profile = \"…\" here; a device is named by the meter or sensor that it is"),
    ],
};

pub(super) static ALSO: Shape = Shape { path: "mqtt.subscriptions[].also[]", keys: &["name", "value", "unit"], hints: &[] };

/// The name of the column that `value` and `unit` describe.
pub const FIRST_COLUMN: &str = "value";

/// Topics that are heard, and how their payloads are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Its place in [`Topology::feeds`](crate::domain::topology::Topology::feeds).
    pub feed: FeedIx,
    pub name: String,
    pub profile: Arc<Profile>,
    /// Where the readings come; each device that it matches is a source, named by this topic.
    pub primary: Filter,
    /// All that is heard, with the messages of the profile that may come by it. The first holds the primary's.
    pub heard: Vec<Heard>,
}

/// A filter, and the positions of the messages that it brings in [`Profile::messages`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub filter: Filter,
    /// Names the source of each device that the filter matches, with a `+` where the filter has one.
    pub source: Filter,
    pub messages: Vec<usize>,
}

#[derive(Clone, Copy)]
enum FormatName {
    Plain,
    Json,
}

/// A subscription as far as it could be read: meters are checked against it even where parts are wrong.
pub(super) struct Draft<'d> {
    topic: Option<Field<'d>>,
    pub name: String,
    pub filter: Option<Filter>,
    heard: Vec<Heard>,
    profile: Option<Arc<Profile>>,
    /// It is no part of the file.
    pub is_added: bool,
}

impl Draft<'_> {
    /// None where they could not be read.
    pub fn columns(&self) -> Option<&[Column]> {
        Some(&self.profile.as_ref()?.columns)
    }

    /// True if a profile says how its topics are made.
    pub fn has_profile(&self) -> bool {
        self.profile.as_ref().is_some_and(|p| !p.name.is_empty())
    }

    /// True if its messages name their device themselves.
    pub fn has_identity(&self) -> bool {
        self.profile.as_ref().is_some_and(|p| p.has_identity())
    }

    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_deref()
    }

    pub fn feed(&self) -> Option<Feed> {
        let profile = self.profile.as_ref()?;
        Some(Feed { name: self.name.clone(), columns: profile.columns.clone(), wakes: profile.wakes })
    }

    fn finished(&self, i: usize, points: &[Point]) -> Option<Subscription> {
        let feed = FeedIx(u16::try_from(i).ok()?);
        let (profile, primary) = (self.profile.clone()?, self.filter.clone()?);
        let mut heard = self.heard.clone();
        // A device whose name has several levels is not under the +: its topics are heard one by one.
        for b in points.iter().filter_map(|p| p.source.as_ref()).filter(|b| b.feed == feed) {
            let topic = b.topic.split('#').next().unwrap_or_default();
            if primary.has_device() && !primary.matches(topic) && !heard.iter().any(|h| h.source.as_str() == topic) {
                heard.extend(follow(&profile, profile.first_message(Some(primary.as_str()))?, &Filter::of(topic.to_owned())));
            }
        }
        Some(Subscription { feed, name: self.name.clone(), profile, primary, heard })
    }
}

pub(super) fn drafts<'d>(tables: &[Table<'d>], catalogue: &Catalogue) -> Vec<Draft<'d>> {
    if let Some(t) = tables.get(usize::from(u16::MAX)) {
        t.absent(
            "name",
            "this subscription is one too many",
            format!("at most {} subscriptions; one with a + serves any number of devices", u16::MAX),
        );
    }
    let mut drafts: Vec<Draft<'d>> = Vec::with_capacity(tables.len());
    for t in tables {
        let draft = draft(t, &drafts, catalogue);
        drafts.push(draft);
    }
    drafts
}

/// None where one of them is wrong. `points`: whose devices are to be heard.
pub(super) fn finished(drafts: &[Draft<'_>], points: &[Point]) -> Option<Vec<Subscription>> {
    drafts.iter().enumerate().map(|(i, d)| d.finished(i, points)).collect()
}

fn draft<'d>(t: &Table<'d>, earlier: &[Draft<'d>], catalogue: &Catalogue) -> Draft<'d> {
    let name = t.need("name", "name = \"meters\"").and_then(|f| {
        let name = f.parsed(slug)?;
        if earlier.iter().any(|d| d.name == name) {
            return f.wrong(format!("another subscription is called {name:?}"), "a name of its own");
        }
        Some(name)
    });
    let topic = t.get("topic");
    let written = topic.as_ref().map(|f| f.parsed(Filter::parse));
    let mut draft = Draft { topic, name: name.unwrap_or_default(), filter: None, heard: vec![], profile: None, is_added: t.is_added() };
    match t.get("profile") {
        Some(f) => {
            draft.profile = named(t, &f, catalogue).map(Arc::new);
            if let (Some(profile), false) = (&draft.profile, matches!(written, Some(None))) {
                let (filter, heard) = heard(t, profile, written.flatten()).unzip();
                (draft.filter, draft.heard) = (filter, heard.unwrap_or_default());
            } else {
                // What the profile says is not known; where a topic is written, meters can be held against it.
                draft.filter = written.flatten();
            }
        }
        None => {
            t.need("topic", "topic = \"meters/+/state\"");
            draft.filter = written.flatten();
            draft.heard = draft.filter.iter().map(|f| Heard { filter: f.clone(), source: f.clone(), messages: vec![0] }).collect();
            draft.profile = inline(t).map(Arc::new);
        }
    }
    if let Some(f) = &draft.topic {
        note_overlap(f, &draft, earlier);
    } else if let Some(f) = t.get("profile") {
        note_overlap(&f, &draft, earlier);
    }
    draft
}

/// Two subscriptions may not hear the same message, except that a topic written out goes before one with a +.
fn note_overlap(f: &Field<'_>, draft: &Draft<'_>, earlier: &[Draft<'_>]) {
    let clash = |a: &Filter, b: &Filter| a.has_device() == b.has_device() && a.overlaps(b);
    let pairs = earlier.iter().flat_map(|d| d.heard.iter().map(move |h| (d, h)));
    let other = pairs.into_iter().find(|(_, h)| draft.heard.iter().any(|own| clash(&own.filter, &h.filter)));
    if let Some((other, heard)) = other {
        let own = draft.heard.iter().find(|own| clash(&own.filter, &heard.filter)).map_or("", |h| h.filter.as_str());
        let written = |t: &Field<'_>| t.raw() == Some(heard.filter.as_str());
        let there = match &other.topic {
            Some(t) if written(t) => format!("the topic in line {}", t.line()),
            _ => format!("{:?}, which the subscription {:?} hears as well,", heard.filter.as_str(), other.name),
        };
        f.wrong::<()>(
            format!("{own:?} and {there} match the same messages"),
            "topics of which each message matches only one; a topic without + goes before one with it",
        );
    }
}

/// A topic that is written out goes before one with a +: what is added must not take a device's messages away from a point of the file.
pub(super) fn note_taken(drafts: &[Draft<'_>], points: &[Point]) {
    let reads = |feed: usize, source: &str| {
        let mut bindings = points.iter().filter_map(|p| Some((p, p.source.as_ref()?)));
        bindings.find(|(_, b)| usize::from(b.feed.0) == feed && b.topic.split('#').next() == Some(source)).map(|(p, _)| p.key.as_str())
    };
    let files = || drafts.iter().enumerate().filter(|(_, d)| !d.is_added);
    for added in drafts.iter().filter(|d| d.is_added) {
        let Some(f) = &added.topic else { continue };
        for own in added.heard.iter().filter(|h| !h.filter.has_device()) {
            let mut heard = files().flat_map(|(i, d)| d.heard.iter().map(move |h| (i, d, h)));
            let taken = heard.find_map(|(i, d, h)| {
                let device = h.filter.device_in(own.filter.as_str())?;
                Some((reads(i, &h.source.topic_of(device))?, &d.name))
            });
            if let Some((point, name)) = taken {
                let what = format!("{point:?} of the config file reads {:?} by the subscription {name:?}", own.filter.as_str());
                f.wrong::<()>(what, "the topic of a device that nothing reads yet");
            }
        }
    }
}

/// The profile that the subscription names, if nothing else says how its messages are read.
fn named(t: &Table<'_>, f: &Field<'_>, catalogue: &Catalogue) -> Option<Profile> {
    for key in ["format", "value", "unit", "time", "also"] {
        if let Some(f) = t.get(key) {
            f.wrong::<()>(
                format!("the profile says how messages are read, so `{key}` means nothing"),
                "leave it out, or leave `profile` out",
            );
        }
    }
    let name = f.text()?;
    match catalogue.get(name) {
        Some(profile) => profile,
        None => f.dangling(format!("there is no profile {name:?}"), suggest::advice(name, &catalogue.names())),
    }
}

/// What is heard of a profile's devices: where the topic of a message with values is written, the others follow from it. The shortest topic
/// names the source.
fn heard(t: &Table<'_>, profile: &Profile, written: Option<Filter>) -> Option<(Filter, Vec<Heard>)> {
    let first = profile.first_message(written.as_ref().map(Filter::as_str))?;
    let primary = match (written, first.topic.filter(&Bound::default())) {
        (Some(f), _) => f,
        (None, Ok(usual)) => Filter::of(usual),
        (None, Err(name)) => {
            let what = format!("the profile's topic {} has no usual value for {{{name}}}", first.topic);
            let right = format!("topic = \"…\": {}, with what stands there and a + for the device", first.topic);
            t.absent("topic", what, right);
            return None;
        }
    };
    let heard = follow(profile, first, &primary);
    Some((primary, heard))
}

/// All that is heard of the devices whose sources `primary` names, a topic of the message `first`.
fn follow(profile: &Profile, first: &MessageForm, primary: &Filter) -> Vec<Heard> {
    let bound = first.topic.bind(primary.as_str());
    let mut all = vec![Heard { filter: primary.clone(), source: primary.clone(), messages: vec![] }];
    for (i, m) in profile.messages.iter().enumerate() {
        let filter = match &bound {
            _ if m.topic == first.topic => primary.clone(),
            Some(bound) => match m.topic.filter(bound) {
                Ok(filter) => Filter::of(filter),
                Err(_) => continue,
            },
            // The written topic is of a form of its own: only the first message's is known.
            None => continue,
        };
        match all.iter_mut().find(|h| h.filter == filter) {
            Some(h) => h.messages.push(i),
            None => all.push(Heard { filter, source: primary.clone(), messages: vec![i] }),
        }
    }
    all
}

/// A profile of one message, as the keys of the subscription say.
fn inline(t: &Table<'_>) -> Option<Profile> {
    const FORMATS: &[(&str, FormatName)] = &[("plain", FormatName::Plain), ("json", FormatName::Json)];
    let named =
        t.need("format", "format = \"plain\" or \"json\", or profile = \"…\" for a device that is known").and_then(|f| f.choice(FORMATS));
    // Without a format the keys tell which one was meant, so that what is wrong in them is told as well.
    let meant = if ["value", "time", "also"].iter().any(|k| t.get(k).is_some()) { FormatName::Json } else { FormatName::Plain };
    let profile = match named.unwrap_or(meant) {
        FormatName::Plain => plain(t),
        FormatName::Json => json(t),
    };
    named.and(profile)
}

fn plain(t: &Table<'_>) -> Option<Profile> {
    for key in ["value", "time", "also"] {
        if let Some(f) = t.get(key) {
            f.wrong::<()>(
                format!("`{key}` means nothing with format = \"plain\": the payload is one number"),
                "format = \"json\", or leave it out",
            );
        }
    }
    let unit = t.need("unit", "unit = \"m3\": what the number counts")?.parsed(unit)?;
    Some(Profile::of_one_message(Format::Plain, vec![], vec![(FIRST_COLUMN.to_owned(), Place::Name("".into()), unit)]))
}

fn json(t: &Table<'_>) -> Option<Profile> {
    let time = t.get("time").map(|f| f.parsed(pointer));
    let first = json_column(t, Some(FIRST_COLUMN.to_owned()));
    let mut columns = vec![first];
    for (i, also) in t.tables("also", &ALSO).iter().enumerate() {
        let name_field = also.need("name", "name = \"flow\"");
        let name = name_field.as_ref().and_then(|f| {
            let name = f.parsed(column_name)?;
            let taken = columns.iter().flatten().any(|(n, ..)| *n == name) || name == FIRST_COLUMN;
            if taken { f.wrong(format!("another column is called {name:?}"), "a name of its own") } else { Some(name) }
        });
        columns.push(json_column(also, name));
        if i + 1 == MAX_COLUMNS {
            also.absent(
                "name",
                "this column is one too many",
                format!("at most {} columns, `value` and {} in `also`", MAX_COLUMNS, MAX_COLUMNS - 1),
            );
        }
    }
    let columns: Option<Vec<(String, Pointer, Unit)>> = columns.into_iter().collect();
    let time = time.map_or(Some(None), |t| t.map(Some))?;
    let columns = columns?.into_iter().map(|(name, pointer, unit)| (name, Place::Pointer(pointer), unit)).collect();
    Some(Profile::of_one_message(Format::Json, time.into_iter().map(Place::Pointer).collect(), columns))
}

fn json_column(t: &Table<'_>, name: Option<String>) -> Option<(String, Pointer, Unit)> {
    let value = t.need("value", "value = \"/total\": a JSON pointer to the number").and_then(|f| f.parsed(pointer));
    let unit = t.need("unit", "unit = \"L\": what the number counts").and_then(|f| f.parsed(unit));
    Some((name?, value?, unit?))
}
