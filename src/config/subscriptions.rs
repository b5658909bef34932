//! `[[mqtt.subscriptions]]`: which topics are heard, and what the numbers in their payloads mean.

use super::reader::{Field, Shape, Table};
use super::topics::Filter;
use super::values::{column_name, pointer, slug, unit};
use crate::domain::topology::{Column, Feed, FeedIx, MAX_COLUMNS};
use crate::domain::units::Unit;

pub(super) static SUBSCRIPTIONS: Shape = Shape {
    path: "mqtt.subscriptions[]",
    keys: &["name", "topic", "format", "value", "unit", "time", "also"],
    hints: &[
        ("qos", "nothing: it is always 1, because a message is acknowledged when it is stored"),
        ("retain", "nothing: a retained message counts if it carries its own time"),
        ("pointer", "value = \"/total\""),
    ],
};

pub(super) static ALSO: Shape = Shape { path: "mqtt.subscriptions[].also[]", keys: &["name", "value", "unit"], hints: &[] };

/// The name of the column that `value` and `unit` describe.
pub const FIRST_COLUMN: &str = "value";

/// Topics that are heard, and how their payloads are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its place in [`Topology::feeds`](crate::domain::topology::Topology::feeds).
    pub feed: FeedIx,
    pub name: String,
    pub filter: Filter,
    pub format: Format,
}

/// What a payload looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One number.
    Plain { unit: Unit },
    /// A JSON document with numbers in it.
    Json {
        /// JSON pointer to the time stamp; None: keyed by arrival.
        time: Option<String>,
        /// In the order of the feed's columns.
        columns: Vec<JsonColumn>,
    },
}

/// One number of a JSON payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonColumn {
    pub name: String,
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    pub unit: Unit,
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
    format: Option<Format>,
}

impl Draft<'_> {
    /// None where they could not be read.
    pub fn columns(&self) -> Option<Vec<Column>> {
        let column = |name: &str, unit: Unit| Column { name: name.to_owned(), quantity: unit.quantity() };
        Some(match self.format.as_ref()? {
            Format::Plain { unit } => vec![column(FIRST_COLUMN, *unit)],
            Format::Json { columns, .. } => columns.iter().map(|c| column(&c.name, c.unit)).collect(),
        })
    }

    pub fn feed(&self) -> Option<Feed> {
        Some(Feed { name: self.name.clone(), columns: self.columns()? })
    }

    fn finished(&self, i: usize) -> Option<Subscription> {
        let feed = FeedIx(u16::try_from(i).ok()?);
        Some(Subscription { feed, name: self.name.clone(), filter: self.filter.clone()?, format: self.format.clone()? })
    }
}

pub(super) fn drafts<'d>(tables: &[Table<'d>]) -> Vec<Draft<'d>> {
    if let Some(t) = tables.get(usize::from(u16::MAX)) {
        t.absent(
            "name",
            "this subscription is one too many",
            format!("at most {} subscriptions; one with a + serves any number of devices", u16::MAX),
        );
    }
    let mut drafts: Vec<Draft<'d>> = Vec::with_capacity(tables.len());
    for t in tables {
        let draft = draft(t, &drafts);
        drafts.push(draft);
    }
    drafts
}

/// None where one of them is wrong.
pub(super) fn finished(drafts: &[Draft<'_>]) -> Option<Vec<Subscription>> {
    drafts.iter().enumerate().map(|(i, d)| d.finished(i)).collect()
}

fn draft<'d>(t: &Table<'d>, earlier: &[Draft<'d>]) -> Draft<'d> {
    let name = t.need("name", "name = \"meters\"").and_then(|f| {
        let name = f.parsed(slug)?;
        if earlier.iter().any(|d| d.name == name) {
            return f.wrong(format!("another subscription is called {name:?}"), "a name of its own");
        }
        Some(name)
    });
    let topic = t.need("topic", "topic = \"meters/+/state\"");
    let filter = topic.as_ref().and_then(|f| {
        let filter = f.parsed(Filter::parse)?;
        let other = earlier.iter().find(|d| d.filter.as_ref().is_some_and(|o| o.overlaps(&filter)));
        if let Some(line) = other.and_then(|d| d.topic.as_ref()).map(Field::line) {
            let what = format!("{:?} and the topic in line {line} match the same messages", filter.as_str());
            return f.wrong(what, "topics of which each message matches only one");
        }
        Some(filter)
    });
    const FORMATS: &[(&str, FormatName)] = &[("plain", FormatName::Plain), ("json", FormatName::Json)];
    let named = t.need("format", "format = \"plain\" or \"json\"").and_then(|f| f.choice(FORMATS));
    // Without a format the keys tell which one was meant, so that what is wrong in them is told as well.
    let meant = if ["value", "time", "also"].iter().any(|k| t.get(k).is_some()) { FormatName::Json } else { FormatName::Plain };
    let format = match named.unwrap_or(meant) {
        FormatName::Plain => plain(t),
        FormatName::Json => json(t),
    };
    let format = named.and(format);
    Draft { topic, name: name.unwrap_or_default(), filter, format }
}

fn plain(t: &Table<'_>) -> Option<Format> {
    for key in ["value", "time", "also"] {
        if let Some(f) = t.get(key) {
            f.wrong::<()>(
                format!("`{key}` means nothing with format = \"plain\": the payload is one number"),
                "format = \"json\", or leave it out",
            );
        }
    }
    Some(Format::Plain { unit: t.need("unit", "unit = \"m3\": what the number counts")?.parsed(unit)? })
}

fn json(t: &Table<'_>) -> Option<Format> {
    let time = t.get("time").map(|f| f.parsed(pointer));
    let first = json_column(t, Some(FIRST_COLUMN.to_owned()));
    let mut columns = vec![first];
    for (i, also) in t.tables("also", &ALSO).iter().enumerate() {
        let name_field = also.need("name", "name = \"flow\"");
        let name = name_field.as_ref().and_then(|f| {
            let name = f.parsed(column_name)?;
            let taken = columns.iter().flatten().any(|c: &JsonColumn| c.name == name) || name == FIRST_COLUMN;
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
    let columns: Option<Vec<JsonColumn>> = columns.into_iter().collect();
    let time = time.map_or(Some(None), |t| t.map(Some));
    Some(Format::Json { time: time?, columns: columns? })
}

fn json_column(t: &Table<'_>, name: Option<String>) -> Option<JsonColumn> {
    let value = t.need("value", "value = \"/total\": a JSON pointer to the number").and_then(|f| f.parsed(pointer));
    let unit = t.need("unit", "unit = \"L\": what the number counts").and_then(|f| f.parsed(unit));
    Some(JsonColumn { name: name?, pointer: value?, unit: unit? })
}
