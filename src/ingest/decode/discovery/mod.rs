//! What devices announce of themselves by Home Assistant's MQTT discovery: which topic carries which value, in which unit.
//!
//! A message announces one entity (`<prefix>/<component>/[<node>/]<object>/config`) or all those of a device
//! (`<prefix>/device/[<node>/]<id>/config`). Every key has a long and a short spelling. Sensors and binary sensors are of use here;
//! other components are only counted. Templates are not run: see [`TemplateError`]. An entity whose template cannot be followed is
//! still told, with the reason where its place would be, so that somebody can set it up by hand. What is wrong with one spoils no other.
//!
//! Whoever may publish under the prefix decides what would be subscribed to: topics with wildcards are refused, all sizes are limited.

mod error;
mod template;

pub use error::{DiscoveryError, Key, KeyError};
pub use template::TemplateError;

use super::{PAYLOAD_LIMIT, blank, shown};
use serde_json::{Map, Value};

/// The most components that a device may have, those included that are of no use here.
pub const COMPONENT_LIMIT: usize = 64;
/// The most availability topics that an entity may have.
pub const AVAILABILITY_LIMIT: usize = 16;
/// The longest name, topic or template, in bytes.
pub const TEXT_LIMIT: usize = 1024;

/// What a discovery message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// All that this topic announced before is gone.
    Removed,
    /// What it announces. A component that is left out without being taken back (`removed`) stays, as in Home Assistant.
    Found(Found),
}

/// The entities of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order of their keys.
    pub entities: Vec<Entity>,
    /// Components of a device that cannot be understood.
    pub faulty: Vec<Faulty>,
    /// Keys of components that the device no longer has.
    pub removed: Vec<String>,
    /// How many components are neither sensors nor binary sensors.
    pub skipped: usize,
}

/// A component of a device that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faulty {
    /// Its key under `components`, made short.
    pub object: String,
    pub error: KeyError,
}

/// One value of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    pub component: Component,
    /// `<node>/<object>` or `<object>` of the topic; for a device's component its key.
    pub object: String,
    pub unique_id: Option<String>,
    pub name: Option<String>,
    /// The device's first identifier; if it has none, the address of its first connection.
    pub device_id: Option<String>,
    pub device_name: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    pub serial: Option<String>,
    pub state_topic: String,
    /// Where in the payload the value stands, as a JSON pointer (`""` is the whole payload), or why that cannot be said.
    pub place: Result<String, TemplateError>,
    /// As the device writes it: not every unit of Home Assistant's is known here.
    pub unit: Option<String>,
    pub device_class: Option<String>,
    pub state_class: Option<String>,
    pub expire_after_s: Option<u64>,
    pub availability: Vec<Availability>,
    pub availability_mode: AvailabilityMode,
}

/// What kind of value it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// A number or a word.
    Sensor,
    /// With the texts that mean on and off. Booleans stand as in JSON (`true`); Home Assistant would write `True`.
    BinarySensor { on: String, off: String },
}

/// A topic that tells whether the device is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    pub topic: String,
    pub place: Result<String, TemplateError>,
    pub online: String,
    pub offline: String,
}

/// What several availability topics mean together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AvailabilityMode {
    /// The device is there if each says so.
    All,
    /// The device is there if one says so.
    Any,
    /// Whichever spoke last is right.
    #[default]
    Latest,
}

const BASE: Key = Key::new("~", "~");
const COMPONENTS: Key = Key::new("components", "cmps");
const PLATFORM: Key = Key::new("platform", "p");
const MIGRATE: Key = Key::new("migrate_discovery", "migr_discvry");

const NAME: Key = Key::new("name", "name");
const UNIQUE_ID: Key = Key::new("unique_id", "uniq_id");
const STATE_TOPIC: Key = Key::new("state_topic", "stat_t");
const VALUE_TEMPLATE: Key = Key::new("value_template", "val_tpl");
const UNIT: Key = Key::new("unit_of_measurement", "unit_of_meas");
const DEVICE_CLASS: Key = Key::new("device_class", "dev_cla");
const STATE_CLASS: Key = Key::new("state_class", "stat_cla");
const EXPIRE_AFTER: Key = Key::new("expire_after", "exp_aft");
const ON: Key = Key::new("payload_on", "pl_on");
const OFF: Key = Key::new("payload_off", "pl_off");

const AVAILABILITY: Key = Key::new("availability", "avty");
const AVAILABILITY_TOPIC: Key = Key::new("availability_topic", "avty_t");
const AVAILABILITY_TEMPLATE: Key = Key::new("availability_template", "avty_tpl");
const AVAILABILITY_MODE: Key = Key::new("availability_mode", "avty_mode");
const TOPIC: Key = Key::new("topic", "t");
const ONLINE: Key = Key::new("payload_available", "pl_avail");
const OFFLINE: Key = Key::new("payload_not_available", "pl_not_avail");

const DEVICE: Key = Key::new("device", "dev");
const IDENTIFIERS: Key = Key::new("identifiers", "ids");
const CONNECTIONS: Key = Key::new("connections", "cns");
const MANUFACTURER: Key = Key::new("manufacturer", "mf");
const MODEL: Key = Key::new("model", "mdl");
const SERIAL: Key = Key::new("serial_number", "sn");

type Object = Map<String, Value>;

/// Reads what was published under `topic`. `prefix` is usually `homeassistant`.
pub fn read(prefix: &str, topic: &str, payload: &[u8]) -> Result<Discovery, DiscoveryError> {
    let (component, object) = address(prefix, topic).ok_or_else(|| DiscoveryError::Topic { found: shown(topic), prefix: shown(prefix) })?;
    if payload.is_empty() {
        return Ok(Discovery::Removed);
    }
    if !matches!(component, "device" | "sensor" | "binary_sensor") {
        return Ok(Discovery::Found(Found { skipped: 1, ..Found::default() }));
    }
    let message = parse(payload)?;
    // The device says that it announces the same once more under another topic.
    if message.len() == 1 && find(&message, MIGRATE) == Some(&Value::Bool(true)) {
        return Ok(Discovery::Removed);
    }
    let found = if component == "device" {
        device(&message)?
    } else {
        let fields = Fields { own: &message, shared: None };
        Found { entities: vec![fields.entity(component, object).map_err(DiscoveryError::Key)?], ..Found::default() }
    };
    Ok(Discovery::Found(found))
}

/// The component and the object of a discovery topic.
fn address<'t>(prefix: &str, topic: &'t str) -> Option<(&'t str, &'t str)> {
    let levels = topic.strip_prefix(prefix)?.strip_prefix('/')?.strip_suffix("/config")?;
    let (component, object) = levels.split_once('/')?;
    let level = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let fits = level(component) && object.split('/').count() <= 2 && object.split('/').all(level);
    fits.then_some((component, object))
}

fn parse(payload: &[u8]) -> Result<Object, DiscoveryError> {
    if payload.len() > PAYLOAD_LIMIT {
        return Err(DiscoveryError::Size { bytes: payload.len(), limit: PAYLOAD_LIMIT });
    }
    let text = std::str::from_utf8(payload).map_err(|e| DiscoveryError::Utf8 { at: e.valid_up_to() })?;
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(blank);
    match serde_json::from_str(text) {
        Ok(Value::Object(message)) => Ok(message),
        Ok(other) => Err(DiscoveryError::Object { found: shown(&other.to_string()) }),
        // At the very beginning the reader says column 0.
        Err(e) => Err(DiscoveryError::Json { line: e.line().max(1), column: e.column().max(1) }),
    }
}

/// The components of a device.
fn device(message: &Object) -> Result<Found, DiscoveryError> {
    let components = object(find(message, COMPONENTS), COMPONENTS)
        .and_then(|c| c.ok_or(KeyError::Missing { key: COMPONENTS }))
        .map_err(DiscoveryError::Key)?;
    if components.len() > COMPONENT_LIMIT {
        return Err(DiscoveryError::Components { found: components.len(), limit: COMPONENT_LIMIT });
    }
    let mut found = Found::default();
    for (key, value) in components {
        match component(key, value, message) {
            Ok(Said::Entity(entity)) => found.entities.push(*entity),
            Ok(Said::Removed) => found.removed.push(key.clone()),
            Ok(Said::Other) => found.skipped += 1,
            Err(error) => found.faulty.push(Faulty { object: shown(key), error }),
        }
    }
    Ok(found)
}

/// What a device says of one of its components.
enum Said {
    Entity(Box<Entity>),
    Removed,
    Other,
}

fn component(key: &str, value: &Value, message: &Object) -> Result<Said, KeyError> {
    let own = value.as_object().ok_or_else(|| kind(COMPONENTS, "objects", value))?;
    let platform = name(find(own, PLATFORM), PLATFORM)?.ok_or(KeyError::Missing { key: PLATFORM })?;
    if !matches!(platform.as_str(), "sensor" | "binary_sensor") {
        return Ok(Said::Other);
    }
    if key.len() > TEXT_LIMIT {
        return Err(KeyError::Long { key: COMPONENTS, limit: TEXT_LIMIT });
    }
    // Its platform alone is how a component is taken back.
    if own.len() == 1 {
        return Ok(Said::Removed);
    }
    Fields { own, shared: Some(message) }.entity(&platform, key).map(|entity| Said::Entity(Box::new(entity)))
}

/// Where an entity's keys are looked up: in its own object, and some of them also in that of the device.
struct Fields<'m> {
    own: &'m Object,
    shared: Option<&'m Object>,
}

impl<'m> Fields<'m> {
    fn own(&self, key: Key) -> Option<&'m Value> {
        find(self.own, key)
    }

    /// An own one counts before the device's.
    fn any(&self, key: Key) -> Option<&'m Value> {
        self.own(key).or_else(|| find(self.shared?, key))
    }

    fn entity(&self, component: &str, object_id: &str) -> Result<Entity, KeyError> {
        let base = name(self.any(BASE), BASE)?;
        let base = base.as_deref();
        // No component has a device of its own if the message is about one device.
        let none = Object::new();
        let device = object(find(self.shared.unwrap_or(self.own), DEVICE), DEVICE)?.unwrap_or(&none);
        let component = if component == "sensor" {
            Component::Sensor
        } else {
            Component::BinarySensor { on: text_or(self.own(ON), ON, "ON")?, off: text_or(self.own(OFF), OFF, "OFF")? }
        };
        Ok(Entity {
            component,
            object: object_id.to_owned(),
            unique_id: name(self.own(UNIQUE_ID), UNIQUE_ID)?,
            name: name(self.own(NAME), NAME)?,
            device_id: device_id(device)?,
            device_name: name(find(device, NAME), NAME)?,
            manufacturer: name(find(device, MANUFACTURER), MANUFACTURER)?,
            model: name(find(device, MODEL), MODEL)?,
            serial: name(find(device, SERIAL), SERIAL)?,
            state_topic: topic(self.any(STATE_TOPIC), STATE_TOPIC, base)?,
            place: place(self.own(VALUE_TEMPLATE), VALUE_TEMPLATE)?,
            unit: name(self.own(UNIT), UNIT)?,
            device_class: name(self.own(DEVICE_CLASS), DEVICE_CLASS)?,
            state_class: name(self.own(STATE_CLASS), STATE_CLASS)?,
            expire_after_s: seconds(self.own(EXPIRE_AFTER), EXPIRE_AFTER)?,
            availability: self.availability(base)?,
            availability_mode: self.availability_mode()?,
        })
    }

    /// Given as a list, or as a single topic beside the entity's other keys.
    fn availability(&self, base: Option<&str>) -> Result<Vec<Availability>, KeyError> {
        // The two ways exclude each other, so an entity that goes one of them does not get the device's other.
        let own = self.own(AVAILABILITY).is_some() || self.own(AVAILABILITY_TOPIC).is_some();
        let look = |key| if own { self.own(key) } else { self.any(key) };
        if let Some(list) = look(AVAILABILITY) {
            let list = match list {
                Value::Array(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            };
            if list.len() > AVAILABILITY_LIMIT {
                return Err(KeyError::Many { key: AVAILABILITY, limit: AVAILABILITY_LIMIT });
            }
            return list.iter().map(|one| availability(one, base)).collect();
        }
        let Some(found) = look(AVAILABILITY_TOPIC) else { return Ok(Vec::new()) };
        Ok(vec![Availability {
            topic: topic(Some(found), AVAILABILITY_TOPIC, base)?,
            place: place(self.any(AVAILABILITY_TEMPLATE), AVAILABILITY_TEMPLATE)?,
            online: text_or(self.any(ONLINE), ONLINE, "online")?,
            offline: text_or(self.any(OFFLINE), OFFLINE, "offline")?,
        }])
    }

    fn availability_mode(&self) -> Result<AvailabilityMode, KeyError> {
        match self.any(AVAILABILITY_MODE) {
            None => Ok(AvailabilityMode::default()),
            Some(found) => match found.as_str() {
                Some("all") => Ok(AvailabilityMode::All),
                Some("any") => Ok(AvailabilityMode::Any),
                Some("latest") => Ok(AvailabilityMode::Latest),
                _ => Err(kind(AVAILABILITY_MODE, "\"all\", \"any\" or \"latest\"", found)),
            },
        }
    }
}

/// One element of an availability list.
fn availability(found: &Value, base: Option<&str>) -> Result<Availability, KeyError> {
    let own = found.as_object().ok_or_else(|| kind(AVAILABILITY, "objects", found))?;
    Ok(Availability {
        topic: topic(find(own, TOPIC), TOPIC, base)?,
        place: place(find(own, VALUE_TEMPLATE), VALUE_TEMPLATE)?,
        online: text_or(find(own, ONLINE), ONLINE, "online")?,
        offline: text_or(find(own, OFFLINE), OFFLINE, "offline")?,
    })
}

/// Identifiers are a text or a list of them, connections are pairs of kind and address.
fn device_id(device: &Object) -> Result<Option<String>, KeyError> {
    let id = match find(device, IDENTIFIERS) {
        Some(Value::Array(list)) => list.first(),
        one => one,
    };
    if let Some(id) = name(id, IDENTIFIERS)? {
        return Ok(Some(id));
    }
    let Some(found) = find(device, CONNECTIONS) else { return Ok(None) };
    let pairs = found.as_array().ok_or_else(|| kind(CONNECTIONS, "a list of pairs", found))?;
    name(pairs.first().and_then(|pair| pair.get(1)), CONNECTIONS)
}

/// What stands under a key; of both spellings, the short one counts (so does Home Assistant). `null` is nothing.
fn find(object: &Object, key: Key) -> Option<&Value> {
    object.get(key.short).or_else(|| object.get(key.long)).filter(|found| !found.is_null())
}

fn object(found: Option<&Value>, key: Key) -> Result<Option<&Object>, KeyError> {
    found.map(|found| found.as_object().ok_or_else(|| kind(key, "an object", found))).transpose()
}

/// A text. Devices write numbers and booleans without quotes where a text is meant.
fn text(found: Option<&Value>, key: Key) -> Result<Option<String>, KeyError> {
    let text = match found {
        None => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(b)) => b.to_string(),
        // A number with more digits than fit has lost some: as an identifier it might be another device's.
        Some(Value::Number(n)) if !n.to_string().contains('e') => n.to_string(),
        Some(other) => return Err(kind(key, "a text", other)),
    };
    if text.len() > TEXT_LIMIT { Err(KeyError::Long { key, limit: TEXT_LIMIT }) } else { Ok(Some(text)) }
}

fn text_or(found: Option<&Value>, key: Key, usual: &str) -> Result<String, KeyError> {
    Ok(text(found, key)?.unwrap_or_else(|| usual.to_owned()))
}

/// A text that says nothing if it is empty.
fn name(found: Option<&Value>, key: Key) -> Result<Option<String>, KeyError> {
    Ok(text(found, key)?.filter(|name| !name.is_empty()))
}

/// A topic that can be subscribed to, and is one.
fn topic(found: Option<&Value>, key: Key, base: Option<&str>) -> Result<String, KeyError> {
    let mut topic = name(found, key)?.ok_or(KeyError::Missing { key })?;
    if let Some(base) = base {
        topic = with_base(&topic, base);
    }
    if topic.len() > TEXT_LIMIT {
        Err(KeyError::Long { key, limit: TEXT_LIMIT })
    } else if topic.starts_with('$') || topic.contains(['+', '#']) || topic.contains(char::is_control) {
        Err(KeyError::Topic { key, found: shown(&topic) })
    } else {
        Ok(topic)
    }
}

/// `~` stands for the base at a topic's beginning and at its end.
fn with_base(topic: &str, base: &str) -> String {
    let (head, rest) = topic.strip_prefix('~').map_or(("", topic), |rest| (base, rest));
    let (middle, tail) = rest.strip_suffix('~').map_or((rest, ""), |middle| (middle, base));
    format!("{head}{middle}{tail}")
}

/// Without a template, the payload is the value.
fn place(found: Option<&Value>, key: Key) -> Result<Result<String, TemplateError>, KeyError> {
    Ok(text(found, key)?.map_or_else(|| Ok(String::new()), |template| template::place(&template)))
}

/// 0 is never, as if the key were not there.
fn seconds(found: Option<&Value>, key: Key) -> Result<Option<u64>, KeyError> {
    let (Some(found), Some(text)) = (found, text(found, key)?) else { return Ok(None) };
    let seconds = text.strip_suffix(".0").unwrap_or(&text).parse().map_err(|_| kind(key, "a whole number of seconds", found))?;
    Ok(Some(seconds).filter(|s| *s > 0))
}

fn kind(key: Key, want: &'static str, found: &Value) -> KeyError {
    KeyError::Kind { key, want, found: shown(&found.to_string()) }
}

#[cfg(test)]
mod tests;
