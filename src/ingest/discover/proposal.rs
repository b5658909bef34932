//! What would have to be written, as data and as TOML.

use crate::domain::device::{FLAGS_COLUMN, Format};
use crate::domain::flag::Flag;
use crate::domain::topology::{self, Medium};
use crate::domain::units::{Quantity, Unit};

/// Stand where only a person knows what is right. They are no ids, so that a check of the config stumbles over them.
pub const ID: &str = "ID";
pub const PLACE: &str = "PLACE";

/// Why something is proposed; what is surer comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The config reads the topic already; only the meter or sensor is missing.
    Subscribed,
    /// A profile reads it, and its topic is the usual one.
    Known,
    /// The device says itself what it sends.
    Announced,
    /// A profile reads it, by a topic that is not the usual one.
    Likely,
    /// A number that may be a register.
    Guess,
}

impl Certainty {
    pub fn code(self) -> &'static str {
        match self {
            Certainty::Subscribed => "subscribed",
            Certainty::Known => "known",
            Certainty::Announced => "announced",
            Certainty::Likely => "likely",
            Certainty::Guess => "guess",
        }
    }
}

/// A subscription, and the devices that come by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub certainty: Certainty,
    /// Of the subscription; no other has it.
    pub name: String,
    pub how: How,
    pub devices: Vec<Device>,
}

/// How the messages are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// By a subscription that the config has.
    Existing,
    /// By a profile. `topic` is the filter; None: the profile's usual one. `wide`: it has a + for the device.
    Profile { profile: String, title: String, topic: Option<String>, wide: bool },
    /// By keys of the subscription itself.
    Inline { topic: String, columns: Vec<Column> },
    /// By a profile that has to be written first.
    Own(OwnForm),
}

/// A number of a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    pub name: String,
    /// A JSON pointer; None: the whole payload.
    pub at: Option<String>,
    pub unit: Unit,
}

/// A flag that a text of a message raises.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RaisedBy {
    pub at: Option<String>,
    pub on: String,
    pub off: String,
    pub flag: Flag,
}

/// A profile of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnForm {
    pub title: String,
    /// With `{device}` where the filter has a +.
    pub topic: String,
    pub columns: Vec<Column>,
    pub flags: Vec<RaisedBy>,
}

/// A device, and what it would be in the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The topics that it was heard by, sorted.
    pub topics: Vec<String>,
    /// Its own topic, where a filter with a + cannot be had.
    pub exact: String,
    /// What stands for the + of the filter.
    pub named: Option<String>,
    /// What its messages call it, where one topic serves several.
    pub identity: Option<String>,
    /// What it says of itself.
    pub label: Option<String>,
    pub entries: Vec<Entry>,
}

/// An entry of `[[meters]]` or `[[sensors]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// None: the first register of the columns.
    Meter {
        column: Option<String>,
        pulses: bool,
        medium: Medium,
    },
    Sensor,
}

impl Entry {
    /// What a device with these columns is, of which those in `seen` said something.
    pub fn of(columns: &[topology::Column], seen: &[usize]) -> Vec<Entry> {
        let said = || seen.iter().filter_map(|i| Some((*i, columns.get(*i)?)));
        let says = |wanted: &[Quantity]| said().any(|(_, c)| wanted.contains(&c.quantity));
        let medium = match says(&[Quantity::Energy]) {
            false => Medium::Water,
            // What goes round in a heating circuit has a volume and temperatures; what comes by a wire has neither.
            true if says(&[Quantity::Volume, Quantity::Flow, Quantity::Temperature]) => Medium::Heat,
            true => Medium::Electricity,
        };
        // Water that goes round in a heating circuit is no consumption.
        let is_register = |c: &topology::Column| c.quantity == medium.quantity() || c.quantity == Quantity::Pulses && !medium.is_energy();
        let registers: Vec<_> = said().filter(|(_, c)| is_register(c)).collect();
        let usual = columns.iter().position(is_register);
        let meter = |named: bool, c: &topology::Column| Entry::Meter {
            column: named.then(|| c.name.clone()),
            pulses: c.quantity == Quantity::Pulses,
            medium,
        };
        let mut entries = match registers.as_slice() {
            [] => vec![],
            [(i, only)] => vec![meter(Some(*i) != usual, only)],
            many => many.iter().map(|(_, c)| meter(true, c)).collect(),
        };
        // Its temperatures and flags are a room's or a pipe's.
        if entries.is_empty() || medium.is_energy() {
            entries.push(Entry::Sensor);
        }
        entries
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Entry::Meter { .. } => "meter",
            Entry::Sensor => "sensor",
        }
    }
}

impl Proposal {
    /// The columns in the order of the config's, where they do not come from a profile that stands already.
    pub fn own_columns(&self) -> Option<Vec<topology::Column>> {
        let column = |c: &Column| topology::Column { name: c.name.clone(), quantity: c.unit.quantity() };
        match &self.how {
            How::Existing | How::Profile { .. } => None,
            How::Inline { columns, .. } => Some(columns.iter().map(column).collect()),
            How::Own(own) => {
                let flags = topology::Column { name: FLAGS_COLUMN.to_owned(), quantity: Quantity::Flags };
                Some(own.columns.iter().map(column).chain((!own.flags.is_empty()).then_some(flags)).collect())
            }
        }
    }

    /// `[[mqtt.subscriptions]]`; None where the config has it.
    pub fn subscription_toml(&self) -> Option<String> {
        let mut out = format!("[[mqtt.subscriptions]]\nname = {}\n", quoted(&self.name));
        let mut key = |key: &str, value: &str| out.push_str(&format!("{key} = {value}\n"));
        match &self.how {
            How::Existing => return None,
            How::Profile { profile, topic, .. } => {
                key("profile", &quoted(profile));
                if let Some(topic) = topic {
                    key("topic", &quoted(topic));
                }
            }
            How::Own(_) => key("profile", &quoted(&self.name)),
            How::Inline { topic, columns } => {
                key("topic", &quoted(topic));
                let guess = if self.certainty == Certainty::Guess { "     # a guess: does the meter show m³ or L?" } else { "" };
                if let Some((first, also)) = columns.split_first() {
                    key("format", if first.at.is_some() { "\"json\"" } else { "\"plain\"" });
                    if let Some(at) = &first.at {
                        key("value", &quoted(at));
                    }
                    key("unit", &format!("{}{guess}", quoted(&first.unit.to_string())));
                    if !also.is_empty() {
                        let each = |c: &Column| {
                            let (name, at, unit) = (quoted(&c.name), quoted(c.at.as_deref().unwrap_or("")), quoted(&c.unit.to_string()));
                            format!("  {{ name = {name}, value = {at}, unit = {unit} }},\n")
                        };
                        key("also", &format!("[\n{}]", also.iter().map(each).collect::<String>()));
                    }
                }
            }
        }
        Some(out)
    }

    /// One entry of a device, with an id and a place, or with [`ID`] and [`PLACE`].
    pub fn entry_toml(&self, device: &Device, entry: &Entry, filled: Option<(&str, &str)>) -> String {
        let (id, place) = filled.unwrap_or((ID, PLACE));
        let (id, place) = (quoted(id), quoted(place));
        let mut out = match entry {
            Entry::Meter { medium, .. } => {
                let medium = match medium {
                    Medium::Water => "",
                    Medium::Heat => "medium = \"heat\"\n",
                    // Only the device's own numbers were seen.
                    _ => "medium = \"electricity\"     # or heat: see the meter\n",
                };
                format!("[[meters]]\nid = {id}\nkind = \"bulk\"\n{medium}at = {place}\n")
            }
            Entry::Sensor => format!("[[sensors]]\nid = {id}\nat = {place}\n"),
        };
        let mut key = |key: &str, value: &str| out.push_str(&format!("{key} = {}\n", quoted(value)));
        key("subscription", &self.name);
        if let Some(name) = self.device_key(device) {
            key("device", &name);
        }
        if let Entry::Meter { column: Some(column), .. } = entry {
            key("column", column);
        }
        if let Entry::Meter { pulses: true, .. } = entry {
            out.push_str("pulse_weight = \"1 L\"     # what one pulse is: see the meter\n");
        }
        out
    }

    /// What the config calls the device.
    pub fn device_key(&self, device: &Device) -> Option<String> {
        let wide = match &self.how {
            How::Existing => true,
            How::Profile { wide, .. } => *wide,
            How::Inline { topic, .. } => topic.split('/').any(|l| l == "+"),
            How::Own(own) => own.topic.contains("{device}"),
        };
        match (device.named.as_ref().filter(|_| wide), &device.identity) {
            (Some(named), Some(id)) => Some(format!("{named}#{id}")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        }
    }

    /// The same, with each device's own topic written out: where the filter with a + meets one that stands already.
    pub fn written_out(&self) -> Vec<Proposal> {
        let alone = |(i, d): (usize, &Device)| {
            let how = match &self.how {
                How::Profile { profile, title, wide: true, .. } => {
                    How::Profile { profile: profile.clone(), title: title.clone(), topic: Some(d.exact.clone()), wide: false }
                }
                How::Inline { topic, columns } if *topic != d.exact => How::Inline { topic: d.exact.clone(), columns: columns.clone() },
                How::Own(own) if own.topic != d.exact => How::Own(OwnForm { topic: d.exact.clone(), ..own.clone() }),
                How::Existing | How::Profile { .. } | How::Inline { .. } | How::Own(_) => return None,
            };
            // Not as names that are taken are told apart: it would be taken as well.
            let name = if i == 0 { self.name.clone() } else { format!("{}-device-{}", self.name, i + 1) };
            Some(Proposal { certainty: self.certainty, name, how, devices: vec![d.clone()] })
        };
        self.devices.iter().enumerate().filter_map(alone).collect()
    }
}

impl OwnForm {
    /// The file: `example` is a topic, a payload and what comes of it, as an example says it.
    pub fn text(&self, example: (&str, &[u8], &str)) -> String {
        let (topic, payload, expect) = example;
        let format = if self.format() == Format::Json { "json" } else { "plain" };
        let mut out = format!(
            "title = {}\nabout = \"Made of what the device announces of itself.\"\nsource = \"heyun discover\"\n\n\
             [[messages]]\ntopic = {}\nformat = \"{format}\"\n",
            quoted(&self.title),
            quoted(&self.topic)
        );
        let at = |at: &Option<String>| at.as_ref().map_or(String::new(), |at| format!("at = {}, ", quoted(at)));
        if !self.columns.is_empty() {
            out.push_str("values = [\n");
            for c in &self.columns {
                let (name, unit) = (quoted(&c.name), quoted(&c.unit.to_string()));
                out.push_str(&format!("  {{ name = {name}, {}unit = {unit} }},\n", at(&c.at)));
            }
            out.push_str("]\n");
        }
        if !self.flags.is_empty() {
            out.push_str("flags = [\n");
            for f in &self.flags {
                let (on, off, flag) = (quoted(&f.on), quoted(&f.off), quoted(f.flag.code()));
                out.push_str(&format!("  {{ {}raise = {{ {on} = {flag} }}, quiet = [{off}] }},\n", at(&f.at)));
            }
            out.push_str("]\n");
        }
        out.push_str(&format!("\n[[example]]\nsays = \"as it was heard\"\ntopic = {}\n", quoted(topic)));
        match std::str::from_utf8(payload) {
            Ok(text) => out.push_str(&format!("payload = {}\n", quoted(text))),
            Err(_) => {
                let hex: Vec<String> = payload.iter().map(|b| format!("{b:02x}")).collect();
                out.push_str(&format!("payload_hex = \"{}\"\n", hex.join(" ")));
            }
        }
        out.push_str(&format!("expect = {expect}\n"));
        out
    }

    pub fn format(&self) -> Format {
        let places = self.columns.iter().map(|c| &c.at).chain(self.flags.iter().map(|f| &f.at));
        if places.into_iter().any(Option::is_some) { Format::Json } else { Format::Plain }
    }
}

/// A text as a TOML string on one line, whatever stands in it.
fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || c == '\u{feff}' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A name of a-z, 0-9 and - that looks like `text` and is not yet `taken`.
pub fn slug(text: &str, taken: impl Fn(&str) -> bool) -> String {
    const LONGEST: usize = 40;
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.truncate(LONGEST);
    let name = name.trim_matches('-');
    let name = if name.is_empty() { "found" } else { name };
    if !taken(name) {
        return name.to_owned();
    }
    (2..).map(|i| format!("{name}-{i}")).find(|n| !taken(n)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[(&str, Quantity)]) -> Vec<topology::Column> {
        names.iter().map(|(n, q)| topology::Column { name: (*n).into(), quantity: *q }).collect()
    }

    #[test]
    fn what_counts_is_a_meter_and_everything_else_a_sensor() {
        let meter = |column: Option<&str>, pulses| Entry::Meter { column: column.map(str::to_owned), pulses, medium: Medium::Water };
        let water = columns(&[("flow", Quantity::Flow), ("total", Quantity::Volume), ("total_1", Quantity::Volume)]);
        assert_eq!(Entry::of(&water, &[0, 1]), [meter(None, false)]);
        assert_eq!(Entry::of(&water, &[2]), [meter(Some("total_1"), false)]);
        assert_eq!(Entry::of(&water, &[1, 2]), [meter(Some("total"), false), meter(Some("total_1"), false)]);
        assert_eq!(Entry::of(&water, &[0]), [Entry::Sensor]);
        assert_eq!(Entry::of(&columns(&[("counter_1", Quantity::Pulses)]), &[0]), [meter(None, true)]);
        let heat = columns(&[("energy", Quantity::Energy), ("total", Quantity::Volume)]);
        let energy = |column: Option<&str>, medium| Entry::Meter { column: column.map(str::to_owned), pulses: false, medium };
        assert_eq!(Entry::of(&heat, &[0, 1]), [energy(None, Medium::Heat), Entry::Sensor]);
        assert_eq!(Entry::of(&heat, &[0]), [energy(None, Medium::Electricity), Entry::Sensor]);
        let cooling = columns(&[("energy", Quantity::Energy), ("cooling", Quantity::Energy), ("supply", Quantity::Temperature)]);
        assert_eq!(Entry::of(&cooling, &[1, 2]), [energy(Some("cooling"), Medium::Heat), Entry::Sensor]);
    }

    #[test]
    fn any_text_is_a_string_of_one_line() {
        for text in ["plain", "\"a\\b\"", "\u{1b}[2J\n\r\t", "it's '''", "\u{feff}{\"水\":1}", ""] {
            let table: toml::Table = format!("x = {}", quoted(text)).parse().unwrap();
            assert_eq!(table["x"].as_str(), Some(text));
            assert!(!quoted(text).contains('\n'));
        }
    }

    #[test]
    fn names_are_ids_and_of_their_own() {
        assert_eq!(slug("Leak_B15 bath", |_| false), "leak-b15-bath");
        assert_eq!(slug("zigbee2mqtt", |n| n == "zigbee2mqtt" || n == "zigbee2mqtt-2"), "zigbee2mqtt-3");
        assert_eq!(slug("__/__", |_| false), "found");
        assert_eq!(slug(&"ab-".repeat(20), |_| false).len(), 40 - usize::from("ab-".repeat(14)[..40].ends_with('-')));
    }
}
