//! Which number of which source is a meter's register: `device`, `subscription`, `topic`, `column` of `[[meters]]`.
//!
//! A meter that nobody bound would stay unwatched without anyone noticing; so a source must be named, and `device = false` says aloud
//! that there is none.

use super::reader::{Field, Table};
use super::subscriptions::Draft;
use super::suggest;
use super::topics::{self, Filter};
use super::values::{noun, word_of};
use crate::domain::topology::{Binding, Column, FeedIx, Medium};
use crate::domain::units::Quantity;
use std::collections::HashMap;

/// Where a meter's readings come from.
pub(super) enum Source {
    Bound(Binding),
    /// Someone goes there and reads it.
    ByHand,
    /// It is wrong, which was noted.
    Wrong,
}

impl Source {
    pub fn is_by_hand(&self) -> bool {
        matches!(self, Source::ByHand)
    }

    /// Position of its subscription.
    pub fn feed(&self) -> Option<usize> {
        match self {
            Source::Bound(b) => Some(usize::from(b.feed.0)),
            Source::ByHand | Source::Wrong => None,
        }
    }

    /// Its register is a count of pulses.
    pub fn counts_pulses(&self, feeds: &[Draft<'_>]) -> bool {
        let Source::Bound(Binding { feed, column: Some(column), .. }) = self else { return false };
        let column = feeds.get(usize::from(feed.0)).and_then(|f| f.columns()?.get(usize::from(*column)));
        column.is_some_and(|c| c.quantity == Quantity::Pulses)
    }

    /// None where it is wrong.
    pub fn binding(self) -> Option<Option<Binding>> {
        match self {
            Source::Bound(b) => Some(Some(b)),
            Source::ByHand => Some(None),
            Source::Wrong => None,
        }
    }
}

/// The source of each meter, in their order, with what it measures (None: that is wrong, which was noted). No two meters may share a column of one.
pub(super) fn read(meters: &[Table<'_>], mediums: &[Option<Medium>], feeds: &[Draft<'_>]) -> Vec<Source> {
    let mut taken: HashMap<(String, Option<u8>), &str> = HashMap::new();
    let mut out = Vec::with_capacity(meters.len());
    for (m, medium) in meters.iter().zip(mediums) {
        let source = source(m, *medium, feeds);
        if let Source::Bound(b) = &source {
            let id = m.get("id").and_then(|f| f.text()).unwrap_or("?");
            let first = *taken.entry((b.topic.clone(), b.column)).or_insert(id);
            if first != id {
                note_shared(m, first, b);
            }
        }
        out.push(source);
    }
    out
}

fn note_shared(m: &Table<'_>, first: &str, b: &Binding) {
    let what = format!("this number of {:?} is the register of {first:?} already", b.topic);
    let right = "a device, topic or column of its own";
    match m.get("column").or_else(|| m.get("device")).or_else(|| m.get("topic")) {
        Some(f) => f.wrong::<()>(what, right),
        None => {
            m.absent("device", what, right);
            None
        }
    };
}

/// The source of a sensor: all columns are its.
pub(super) fn whole(t: &Table<'_>, feeds: &[Draft<'_>]) -> Option<Binding> {
    let (feed, topic) = topic(t, feeds)?;
    let ix = feeds.iter().position(|f| std::ptr::eq(f, feed)).and_then(|i| u16::try_from(i).ok())?;
    Some(Binding { topic, feed: FeedIx(ix), column: None })
}

fn source(m: &Table<'_>, medium: Option<Medium>, feeds: &[Draft<'_>]) -> Source {
    let device = m.get("device");
    if device.as_ref().is_some_and(Field::is_false) {
        for key in ["topic", "subscription", "column"] {
            if let Some(f) = m.get(key) {
                f.wrong::<()>(
                    "`device = false` says that the meter is read by hand",
                    format!("either leave `{key}` out, or name the device"),
                );
            }
        }
        return Source::ByHand;
    }
    let Some((feed, topic)) = topic(m, feeds) else { return Source::Wrong };
    let Some(columns) = feed.columns() else { return Source::Wrong };
    let ix = feeds.iter().position(|f| std::ptr::eq(f, feed)).and_then(|i| u16::try_from(i).ok());
    match (ix, column(m, medium, &feed.name, columns)) {
        (Some(ix), Some(column)) => Source::Bound(Binding { topic, feed: FeedIx(ix), column: Some(column) }),
        _ => Source::Wrong,
    }
}

/// The concrete topic of the meter's source, and the subscription that it comes by.
fn topic<'f, 'd>(m: &Table<'_>, feeds: &'f [Draft<'d>]) -> Option<(&'f Draft<'d>, String)> {
    let named = match m.get("subscription") {
        None => None,
        Some(f) => Some(by_name(&f, feeds)?),
    };
    match (m.get("device"), m.get("topic")) {
        (Some(_), Some(topic)) => topic.wrong("the meter has a `device` already", "either device or topic"),
        (Some(device), None) => {
            let feed = match named {
                Some(feed) => feed,
                None => the_only_one_with_devices(&device, feeds)?,
            };
            let filter = feed.filter.as_ref()?;
            if feed.has_identity() {
                return Some((feed, identified(&device, filter)?));
            }
            // Where a profile says how topics are made, a device's name may have several levels.
            let device_name = if feed.has_profile() { device.parsed(topics::topic) } else { device.parsed(topics::device) }?;
            if !filter.has_device() {
                let what = format!("the topic {:?} of {:?} has no + for a device", filter.as_str(), feed.name);
                return device.wrong(what, "leave `device` out, or name another subscription");
            }
            Some((feed, filter.topic_of(&device_name)))
        }
        (None, Some(topic)) => {
            let name = topic.parsed(topics::topic)?;
            let matching = |d: &&Draft<'_>| d.filter.as_ref().is_some_and(|f| f.matches(&name));
            match (named, feeds.iter().find(matching)) {
                (Some(feed), _) if matching(&feed) => Some((feed, name)),
                (None, Some(feed)) => Some((feed, name)),
                // A filter that could not be read might have been the one.
                (None, None) if feeds.iter().any(|d| d.filter.is_none()) => None,
                _ => {
                    let filters: Vec<&str> = feeds.iter().filter_map(|d| d.filter.as_ref()).map(Filter::as_str).collect();
                    topic
                        .dangling(format!("no subscription brings {name:?}"), format!("a topic that matches {}", suggest::one_of(&filters)))
                }
            }
        }
        (None, None) => {
            let own: Vec<&Draft<'d>> = feeds.iter().filter(|d| !d.is_added).collect();
            let only = if let [only] = own.as_slice() { Some(*only) } else { None };
            match named.or(only).map(|feed| (feed, feed.filter.as_ref())) {
                Some((_, None)) => None,
                Some((feed, Some(filter))) if !filter.has_device() => Some((feed, filter.as_str().to_owned())),
                _ => {
                    let right = "device = \"…\" (what stands for the + of the topic), or topic = \"…\", or device = false for a meter that is read by hand; where there are several subscriptions, subscription = \"…\" as well";
                    m.absent("device", "nothing says where the readings come from", right);
                    None
                }
            }
        }
    }
}

/// The source of a device that its messages name: `topic#id`.
fn identified(f: &Field<'_>, filter: &Filter) -> Option<String> {
    let name = f.text()?;
    let (on_topic, id) = match (filter.has_device(), name.split_once('#')) {
        (true, Some((device, id))) => (filter.topic_of(device), id),
        (false, None) => (filter.as_str().to_owned(), name),
        (true, None) => {
            let what = format!("{name:?} names no device behind what stands for the + of {:?}", filter.as_str());
            return f.wrong(what, "both, with # between them: \"gateway-1#12345678\"");
        }
        (false, Some(_)) => {
            return f.wrong(format!("the topic {:?} has no +", filter.as_str()), "the id that stands in the message, without #");
        }
    };
    Some(format!("{on_topic}#{id}"))
}

fn by_name<'f, 'd>(f: &Field<'_>, feeds: &'f [Draft<'d>]) -> Option<&'f Draft<'d>> {
    let name = f.text()?;
    let names: Vec<&str> = feeds.iter().map(|d| d.name.as_str()).filter(|n| !n.is_empty()).collect();
    match feeds.iter().find(|d| d.name == name) {
        Some(feed) => Some(feed),
        None => f.dangling(format!("there is no subscription {name:?}"), suggest::advice(name, &names)),
    }
}

fn the_only_one_with_devices<'f, 'd>(device: &Field<'_>, feeds: &'f [Draft<'d>]) -> Option<&'f Draft<'d>> {
    if feeds.iter().any(|d| d.filter.is_none()) {
        return None; // it is not known yet whether there is only one
    }
    // An adopted one is meant by its name only: what the file says must not depend on what was adopted.
    let with: Vec<&Draft<'d>> =
        feeds.iter().filter(|d| !d.is_added).filter(|d| d.has_identity() || d.filter.as_ref().is_some_and(Filter::has_device)).collect();
    match with.as_slice() {
        [only] => Some(only),
        [] => device
            .dangling("no subscription has a + that could stand for a device", "[[mqtt.subscriptions]] with topic = \"meters/+/state\""),
        many => {
            let names: Vec<&str> = many.iter().map(|d| d.name.as_str()).collect();
            device.dangling("several subscriptions have a +", format!("subscription = \"…\" as well, {}", suggest::one_of(&names)))
        }
    }
}

/// The column that holds the register: it counts what the medium is counted in, or pulses.
fn column(m: &Table<'_>, medium: Option<Medium>, feed: &str, columns: &[Column]) -> Option<u8> {
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let is_register = |c: &&Column| match medium {
        Some(medium) => is_register_of(medium, c.quantity),
        None => Medium::ALL.into_iter().any(|m| is_register_of(m, c.quantity)),
    };
    let right = |instead_of| right_column(medium.unwrap_or_default(), columns, instead_of);
    let Some(f) = m.get("column") else {
        let first = columns.first()?;
        let Some(register) = columns.iter().position(|c| is_register(&c)) else {
            let what = format!("the first column of {feed:?} measures {}, {}", noun(first.quantity), why_not(medium, first.quantity));
            m.absent("column", what, right(first.quantity));
            return None;
        };
        return u8::try_from(register).ok();
    };
    let name = f.text()?;
    match columns.iter().position(|c| c.name == name) {
        Some(i) if is_register(&&columns[i]) => u8::try_from(i).ok(),
        Some(i) => {
            let quantity = columns[i].quantity;
            f.wrong(format!("the column {name:?} measures {}, {}", noun(quantity), why_not(medium, quantity)), right(quantity))
        }
        None => f.dangling(format!("{feed:?} has no column {name:?}"), suggest::advice(name, &names)),
    }
}

fn is_register_of(medium: Medium, quantity: Quantity) -> bool {
    quantity == Quantity::Pulses || quantity == medium.quantity()
}

/// Why a column that measures this is not the register of such a meter.
fn why_not(medium: Option<Medium>, quantity: Quantity) -> String {
    match medium {
        Some(medium) if Medium::ALL.into_iter().any(|m| m.quantity() == quantity) => format!("but the meter measures {}", word_of(medium)),
        _ => "which is not a register".to_owned(),
    }
}

/// What would be right instead of a column of that quantity.
fn right_column(medium: Medium, columns: &[Column], instead_of: Quantity) -> String {
    let fitting: Vec<&str> = columns.iter().filter(|c| is_register_of(medium, c.quantity)).map(|c| c.name.as_str()).collect();
    let right = format!("a column that counts {} or pulses", noun(medium.quantity()));
    let right = if medium.is_water() || fitting.is_empty() { right } else { format!("{right}: {}", suggest::one_of(&fitting)) };
    let is_energy = instead_of == Quantity::Energy && !medium.is_energy();
    if is_energy { format!("{right}; or medium = \"heat\" or \"electricity\"") } else { right }
}
