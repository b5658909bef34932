//! What devices announce of themselves, as columns and flags.

use super::heard::Heard;
use super::proposal::{Column, RaisedBy, slug};
use crate::domain::flag::Flag;
use crate::domain::reading::excerpt;
use crate::domain::topology::MAX_COLUMNS;
use crate::domain::units::{Quantity, Unit};
use crate::ingest::decode::discovery::{self, Component, Discovery, Entity};
use std::collections::BTreeMap;

/// The most values of devices that are looked at. Full: others are counted as skipped.
const ENTITIES: usize = 4_000;
/// The most refusals that are told. Full: others are counted.
const REFUSALS: usize = 500;

/// Something that was announced and cannot be set up by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it is called.
    pub what: String,
    pub topic: Option<String>,
    pub why: String,
}

/// All that was announced.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// By the topic where the values come.
    pub by_topic: BTreeMap<String, Vec<Entity>>,
    pub refusals: Vec<Refusal>,
    /// Refusals beyond those that are told.
    pub more_refusals: usize,
    /// Neither sensors nor binary sensors, or too many.
    pub skipped: usize,
}

/// How the messages of a topic are read, as the device announces it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Form {
    pub columns: Vec<Column>,
    pub flags: Vec<RaisedBy>,
}

impl Announced {
    pub fn read(heard: &Heard) -> Announced {
        let mut out = Announced::default();
        let mut entities = 0;
        for (topic, payload) in heard.announcements() {
            let found = match discovery::read(heard.prefix(), topic, payload) {
                Ok(Discovery::Removed) => continue,
                Ok(Discovery::Found(found)) => found,
                Err(e) => {
                    out.refuse(Refusal { what: topic.to_owned(), topic: None, why: e.to_string() });
                    continue;
                }
            };
            out.skipped += found.skipped;
            for f in found.faulty {
                out.refuse(Refusal { what: f.object, topic: None, why: f.error.to_string() });
            }
            for e in found.entities {
                entities += 1;
                if entities > ENTITIES {
                    out.skipped += 1;
                } else {
                    out.by_topic.entry(e.state_topic.clone()).or_default().push(e);
                }
            }
        }
        out
    }

    pub fn refuse(&mut self, refusal: Refusal) {
        if self.refusals.len() < REFUSALS {
            self.refusals.push(refusal);
        } else {
            self.more_refusals += 1;
        }
    }
}

/// What a device calls itself, in one line.
pub(super) fn label(entities: &[Entity]) -> Option<String> {
    let e = entities.first()?;
    let name = e.device_name.as_ref().or(e.name.as_ref()).or(e.device_id.as_ref())?;
    let more: Vec<&str> = [&e.manufacturer, &e.model].into_iter().flatten().map(String::as_str).collect();
    let label = if more.is_empty() { name.clone() } else { format!("{name} ({})", more.join(" ")) };
    Some(excerpt(label.as_bytes()))
}

/// What kind of device it is, as far as it says so.
pub(super) fn kind(entities: &[Entity]) -> Option<String> {
    let e = entities.first()?;
    let words: Vec<&str> = [&e.manufacturer, &e.model].into_iter().flatten().map(String::as_str).collect();
    if words.is_empty() { label(entities) } else { Some(excerpt(words.join(" ").as_bytes())) }
}

/// The form of a topic's messages; None where nothing in them is of use here. With what cannot be followed.
pub(super) fn form(entities: &[Entity]) -> (Option<Form>, Vec<Refusal>) {
    let (mut columns, mut flags, mut refused) = (vec![], vec![], vec![]);
    let mut refuse = |e: &Entity, why: String| {
        refused.push(Refusal { what: called(e), topic: Some(e.state_topic.clone()), why });
    };
    for e in entities {
        let at = match &e.place {
            Ok(place) => Some(place.clone()).filter(|p| !p.is_empty()),
            Err(error) => {
                refuse(e, error.to_string());
                continue;
            }
        };
        match &e.component {
            Component::Sensor => match e.unit.as_deref().map(|u| (u, Unit::parse(u))) {
                Some((_, Some(unit))) => columns.push(Column { name: column_name(e, unit), at, unit }),
                Some((unit, None)) if of_water(e) => refuse(e, format!("the unit {unit:?} is not known here")),
                None if of_water(e) => refuse(e, "it announces no unit".to_owned()),
                Some((_, None)) | None => {}
            },
            Component::BinarySensor { on, off } => {
                if let Some(flag) = e.device_class.as_deref().and_then(flag) {
                    flags.push(RaisedBy { at, on: on.clone(), off: off.clone(), flag });
                }
            }
        }
    }
    // A payload that is a JSON document is no number as a whole, and one that is a number has no places.
    let in_json = columns.iter().map(|c: &Column| &c.at).chain(flags.iter().map(|f: &RaisedBy| &f.at)).any(Option::is_some);
    if in_json {
        columns.retain(|c| c.at.is_some());
        flags.retain(|f| f.at.is_some());
    } else {
        flags.truncate(1);
        columns.truncate(usize::from(flags.is_empty()));
    }
    let of_use =
        |q: Quantity| matches!(q, Quantity::Volume | Quantity::Pulses | Quantity::Flow | Quantity::Temperature | Quantity::Pressure);
    let aside = |f: &RaisedBy| matches!(f.flag, Flag::BatteryLow | Flag::Tamper | Flag::DeviceFault);
    if !columns.iter().any(|c| of_use(c.unit.quantity())) && flags.iter().all(aside) {
        return (None, refused);
    }
    // The register first: it is what a meter is for. Then what is of use, for there is room for eight.
    columns.sort_by_key(|c| (c.unit.quantity() != Quantity::Volume, !of_use(c.unit.quantity()), c.name.clone()));
    columns.truncate(MAX_COLUMNS - usize::from(!flags.is_empty()));
    for i in 1..columns.len() {
        let (before, rest) = columns.split_at_mut(i);
        let taken = |n: &str| before.iter().any(|c| c.name == n);
        if taken(&rest[0].name) {
            rest[0].name = slug(&rest[0].name, |n| taken(&n.replace('-', "_"))).replace('-', "_");
        }
    }
    flags.sort();
    (Some(Form { columns, flags }), refused)
}

fn called(e: &Entity) -> String {
    let name = e.name.as_ref().unwrap_or(&e.object);
    let called = e.device_name.as_ref().map_or_else(|| name.clone(), |d| format!("{d}: {name}"));
    excerpt(called.as_bytes())
}

/// The same for every device of a kind, so that one subscription can read them all.
fn column_name(e: &Entity, unit: Unit) -> String {
    match unit.quantity() {
        Quantity::Volume => "total".to_owned(),
        Quantity::Flow => "flow".to_owned(),
        Quantity::Pulses
        | Quantity::Temperature
        | Quantity::Ratio
        | Quantity::Energy
        | Quantity::Voltage
        | Quantity::Number
        | Quantity::Power
        | Quantity::Pressure
        | Quantity::Flags => {
            let name = slug(e.device_class.as_ref().unwrap_or(&e.object), |n| n == crate::domain::device::FLAGS_COLUMN);
            name.replace('-', "_")
        }
    }
}

/// Somebody would miss it if it were left out without a word.
fn of_water(e: &Entity) -> bool {
    matches!(e.device_class.as_deref(), Some("water" | "volume" | "volume_flow_rate" | "volume_storage" | "temperature"))
}

/// What it means if a binary sensor of this class is on.
fn flag(class: &str) -> Option<Flag> {
    match class {
        "moisture" => Some(Flag::Wet),
        "door" | "opening" | "window" | "garage_door" => Some(Flag::Open),
        "tamper" => Some(Flag::Tamper),
        "battery" => Some(Flag::BatteryLow),
        "problem" => Some(Flag::DeviceFault),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Ts;
    use serde_json::{Value, json};

    fn of(messages: &[(&str, Value)]) -> Announced {
        let mut heard = Heard::new("homeassistant", "g-1");
        for (topic, payload) in messages {
            heard.take(&format!("homeassistant/{topic}/config"), payload.to_string().as_bytes(), true, Ts(0));
        }
        Announced::read(&heard)
    }

    fn only(messages: &[(&str, Value)]) -> (Option<Form>, Vec<Refusal>) {
        let all = of(messages);
        assert_eq!(all.by_topic.len(), 1, "{all:?}");
        form(all.by_topic.values().next().unwrap())
    }

    fn column(name: &str, at: Option<&str>, unit: Unit) -> Column {
        Column { name: name.into(), at: at.map(str::to_owned), unit }
    }

    #[test]
    fn the_register_comes_first_and_every_column_has_a_name_of_its_own() {
        let (form, refused) = only(&[
            ("sensor/m/a", json!({"stat_t": "s", "val_tpl": "{{ value_json.t1 }}", "unit_of_meas": "°C", "dev_cla": "temperature"})),
            ("sensor/m/b", json!({"stat_t": "s", "val_tpl": "{{ value_json.t2 }}", "unit_of_meas": "°C", "dev_cla": "temperature"})),
            ("sensor/m/c", json!({"stat_t": "s", "val_tpl": "{{ value_json.v }}", "unit_of_meas": "m³", "dev_cla": "water"})),
            ("sensor/m/d", json!({"stat_t": "s", "val_tpl": "{{ value_json.x }}", "unit_of_meas": "lqi"})),
        ]);
        let columns = vec![
            column("total", Some("/v"), Unit::CubicMetre),
            column("temperature", Some("/t1"), Unit::Celsius),
            column("temperature_2", Some("/t2"), Unit::Celsius),
        ];
        assert_eq!((form, refused), (Some(Form { columns, flags: vec![] }), vec![]));
    }

    #[test]
    fn what_stands_wet_raises_a_flag() {
        let (form, _) = only(&[("binary_sensor/rope", json!({"stat_t": "s", "dev_cla": "moisture", "pl_on": "1", "pl_off": "0"}))]);
        let flags = vec![RaisedBy { at: None, on: "1".into(), off: "0".into(), flag: Flag::Wet }];
        assert_eq!(form, Some(Form { columns: vec![], flags }));
    }

    #[test]
    fn what_is_of_no_use_here_is_left_out() {
        for e in [
            json!({"stat_t": "s", "unit_of_meas": "kWh", "dev_cla": "energy"}),
            json!({"stat_t": "s", "unit_of_meas": "%", "dev_cla": "battery"}),
            json!({"stat_t": "s"}),
        ] {
            assert_eq!(only(&[("sensor/x", e)]), (None, vec![]));
        }
        assert_eq!(only(&[("binary_sensor/x", json!({"stat_t": "s", "dev_cla": "motion"}))]), (None, vec![]));
    }

    #[test]
    fn what_cannot_be_followed_is_told_with_its_reason() {
        let (form, refused) = only(&[
            ("sensor/m/a", json!({"stat_t": "s", "name": "A", "val_tpl": "{{ value_json.v | round(1) }}", "unit_of_meas": "m³"})),
            ("sensor/m/b", json!({"stat_t": "s", "unit_of_meas": "gal", "dev_cla": "water"})),
            ("sensor/m/c", json!({"stat_t": "s", "dev_cla": "water"})),
        ]);
        assert_eq!(form, None);
        let why: Vec<(&str, &str)> = refused.iter().map(|r| (r.what.as_str(), r.why.as_str())).collect();
        assert_eq!(why.len(), 3, "{why:?}");
        assert!(why[0].0 == "A" && why[0].1.contains("round(1)"), "{why:?}");
        assert_eq!(&why[1..], [("m/b", "the unit \"gal\" is not known here"), ("m/c", "it announces no unit")]);
        let all = of(&[("sensor/x", json!({"stat_t": "#"})), ("sensor/y", json!([1]))]);
        assert_eq!(all.refusals.len(), 2, "{all:?}");
    }

    #[test]
    fn what_is_remembered_is_limited() {
        let components: serde_json::Map<String, Value> =
            (0..64).map(|i| (format!("c{i}"), json!({"p": "sensor", "stat_t": "s", "x": 1}))).collect();
        let devices: Vec<(String, Value)> = (0..100).map(|i| (format!("device/d{i}"), json!({"cmps": components}))).collect();
        let all = of(&devices.iter().map(|(t, v)| (t.as_str(), v.clone())).collect::<Vec<_>>());
        assert_eq!((all.by_topic["s"].len(), all.skipped), (ENTITIES, 6_400 - ENTITIES));
        let bad: Vec<(String, Value)> = (0..600).map(|i| (format!("sensor/d{i}"), json!([]))).collect();
        let all = of(&bad.iter().map(|(t, v)| (t.as_str(), v.clone())).collect::<Vec<_>>());
        assert_eq!((all.refusals.len(), all.more_refusals), (REFUSALS, 100));
    }
}
