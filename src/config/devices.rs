//! Device profiles: files that say how the messages of a kind of device are read, and prove it by examples.
//!
//! Those that come with the program are built in; a file of the same name in the directory `devices` beside the config file stands for it.

use super::examples::{EXAMPLE, example};
use super::problem::Problem;
use super::reader::{Doc, Field, Shape, Table};
use super::values::{Parsed, Wrong, column_name, duration, noun, unit};
use super::{not_utf8, suggest};
use crate::domain::device::{
    Example, FLAGS_COLUMN, FlagRule, Format, MAX_PLACES, MessageForm, Place, Pointer, Profile, Says, Template, ValueRule,
};
use crate::domain::flag::{Flag, FlagSet};
use crate::domain::time::Ms;
use crate::domain::topology::{Column, MAX_COLUMNS};
use crate::domain::units::{Quantity, Unit};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

pub(super) static DEVICE: Shape =
    Shape { path: "", keys: &["title", "about", "source", "wakes", "messages", "example"], hints: &[("examples", "[[example]]")] };
pub(super) static MESSAGES: Shape =
    Shape { path: "messages[]", keys: &["topic", "format", "each", "when", "identity", "time", "values", "flags", "presence"], hints: &[] };
pub(super) static VALUES: Shape =
    Shape { path: "messages[].values[]", keys: &["name", "at", "unit", "scale", "required", "words"], hints: &[] };
pub(super) static FLAGS: Shape = Shape { path: "messages[].flags[]", keys: &["at", "raise", "bits", "quiet", "otherwise"], hints: &[] };
pub(super) static PRESENCE: Shape = Shape { path: "messages[].presence", keys: &["at", "online", "offline"], hints: &[] };

const FORMATS: &[(&str, Format)] =
    &[("plain", Format::Plain), ("json", Format::Json), ("senml", Format::Senml), ("cjt188", Format::Cjt188)];

/// The profiles that come with the program: name and text.
pub static SHIPPED: &[(&str, &str)] = &[
    ("ai-on-the-edge", include_str!("../../config/devices/ai-on-the-edge.toml")),
    ("chirpstack", include_str!("../../config/devices/chirpstack.toml")),
    ("cjt188", include_str!("../../config/devices/cjt188.toml")),
    ("cjt188-heat", include_str!("../../config/devices/cjt188-heat.toml")),
    ("esphome", include_str!("../../config/devices/esphome.toml")),
    ("heyun", include_str!("../../config/devices/heyun.toml")),
    ("huawei-iot", include_str!("../../config/devices/huawei-iot.toml")),
    ("json", include_str!("../../config/devices/json.toml")),
    ("plain", include_str!("../../config/devices/plain.toml")),
    ("senml", include_str!("../../config/devices/senml.toml")),
    ("shelly-counter", include_str!("../../config/devices/shelly-counter.toml")),
    ("shelly-flood", include_str!("../../config/devices/shelly-flood.toml")),
    ("tasmota", include_str!("../../config/devices/tasmota.toml")),
    ("tuya", include_str!("../../config/devices/tuya.toml")),
    ("waterius", include_str!("../../config/devices/waterius.toml")),
    ("wmbusmeters", include_str!("../../config/devices/wmbusmeters.toml")),
    ("wmbusmeters-heat", include_str!("../../config/devices/wmbusmeters-heat.toml")),
    ("yomtey", include_str!("../../config/devices/yomtey.toml")),
    ("zigbee2mqtt", include_str!("../../config/devices/zigbee2mqtt.toml")),
];

/// A profile of the user's own.
#[derive(Clone, Debug)]
pub struct OwnProfile {
    pub file: PathBuf,
    pub profile: Profile,
}

/// The profiles that a config may name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    own: BTreeMap<String, OwnProfile>,
    /// Own files that are wrong: named, they are no further mistake.
    broken: Vec<String>,
}

/// A file, and what is wrong in it.
#[derive(Clone, Debug)]
pub struct FileProblems {
    pub file: PathBuf,
    pub problems: Vec<Problem>,
}

impl Catalogue {
    /// Reads the user's own profiles. A directory that is not there holds none.
    pub fn read(dir: &Path) -> std::io::Result<(Catalogue, Vec<FileProblems>)> {
        let (mut out, mut wrong) = (Catalogue::default(), vec![]);
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => return Ok((out, wrong)),
            Err(e) => return Err(e),
        };
        let mut files: Vec<PathBuf> = entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
        files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
        files.sort();
        for file in files {
            let Some(name) = file.file_stem().and_then(|n| n.to_str()).map(str::to_owned) else { continue };
            let bytes = std::fs::read(&file)?;
            let parsed = match std::str::from_utf8(&bytes) {
                Ok(text) => parse(&name, text),
                Err(e) => Err(vec![not_utf8(&bytes, e.valid_up_to())]),
            };
            match parsed {
                Ok(profile) => {
                    out.own.insert(name, OwnProfile { file, profile });
                }
                Err(problems) => {
                    out.broken.push(name);
                    wrong.push(FileProblems { file, problems });
                }
            }
        }
        Ok((out, wrong))
    }

    /// The profile of this name. None: there is none; Some(None): it is wrong, which was told.
    pub fn get(&self, name: &str) -> Option<Option<Profile>> {
        if let Some(own) = self.own.get(name) {
            return Some(Some(own.profile.clone()));
        }
        if self.broken.iter().any(|b| b == name) {
            return Some(None);
        }
        // What comes with the program is right: a test reads them all.
        SHIPPED.iter().find(|(n, _)| *n == name).map(|(n, text)| parse(n, text).ok())
    }

    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = SHIPPED.iter().map(|(n, _)| *n).chain(self.own.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Those that are the user's own.
    pub fn own_names(&self) -> impl Iterator<Item = &str> {
        self.own.keys().map(String::as_str)
    }

    /// Takes the text of a profile that is no file yet.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), Vec<Problem>> {
        let profile = parse(name, text)?;
        self.own.insert(name.to_owned(), OwnProfile { file: PathBuf::from(format!("{name}.toml")), profile });
        Ok(())
    }

    pub fn into_own(self) -> Vec<OwnProfile> {
        self.own.into_values().collect()
    }
}

/// Every key that a profile may have, lists marked by `[]`. The guide is held against it.
pub fn known_keys() -> impl Iterator<Item = String> {
    [&DEVICE, &MESSAGES, &VALUES, &FLAGS, &PRESENCE, &EXAMPLE].into_iter().flat_map(super::keys_of)
}

/// Checks the text of a profile. Its examples are only read here; whoever can decode runs them.
pub fn parse(name: &str, text: &str) -> Result<Profile, Vec<Problem>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let doc = Doc::new(text);
    let profile = profile(&doc.root(&document, &DEVICE), name);
    let problems = doc.finish(&syntax);
    match profile {
        Some(profile) if problems.is_empty() => Ok(profile),
        _ => Err(problems),
    }
}

fn profile(root: &Table<'_>, name: &str) -> Option<Profile> {
    let title = root.need("title", "title = \"…\": what it is, in one line").and_then(|f| f.text());
    let about = root.get("about").map_or(Some(""), |f| f.text());
    let source = root.get("source").map_or(Some(""), |f| f.text());
    let wakes = root.get("wakes").map_or(Some(None), |f| f.parsed(|s| duration(s, Ms::minutes(1)..=Ms::days(40))).map(Some));
    let mut columns = vec![];
    let tables = root.tables("messages", &MESSAGES);
    if tables.is_empty() {
        root.absent("messages", "no message is described", "[[messages]] with topic = \"…\" and format = \"json\"");
    }
    let messages: Vec<Option<MessageForm>> = tables.iter().map(|t| message(t, &mut columns)).collect();
    let messages = messages.into_iter().collect::<Option<Vec<_>>>();
    if let Some(messages) = &messages {
        told_apart(root, messages);
    }
    let examples = root.tables("example", &EXAMPLE);
    if examples.is_empty() {
        root.absent("example", "nothing proves that it is right", "at least one [[example]] with topic, payload and expect");
    }
    let identified = messages.as_ref().is_some_and(|m| m.iter().any(|m| m.identity.is_some()));
    let examples: Vec<Option<Example>> = examples.iter().map(|t| example(t, &columns, identified)).collect();
    Some(Profile {
        name: name.to_owned(),
        title: title?.to_owned(),
        about: about?.to_owned(),
        source: source?.to_owned(),
        wakes: wakes?,
        columns,
        messages: messages?,
        examples: examples.into_iter().collect::<Option<_>>()?,
    })
}

/// Messages that name their device and messages that do not could not be joined.
fn told_apart(root: &Table<'_>, messages: &[MessageForm]) {
    let mut with_values = messages.iter().filter(|m| matches!(m.says, Says::Values { .. })).map(|m| m.identity.is_some());
    let first = with_values.next();
    if with_values.any(|has| Some(has) != first) {
        root.absent(
            "messages",
            "some messages have an `identity` and some have none",
            "an identity in all messages with values, or in none",
        );
    }
}

fn message(t: &Table<'_>, columns: &mut Vec<Column>) -> Option<MessageForm> {
    let topic = t.need("topic", "topic = \"{base=meters}/{device}/state\"").and_then(|f| {
        f.parsed(|s| {
            Template::parse(s)
                .map_err(|e| Wrong::new(format!("{s:?}: {e}"), "levels that are a text or one variable: \"{base=meters}/{device}/state\""))
        })
    });
    let format = t.need("format", "format = \"json\"").and_then(|f| f.choice(FORMATS))?;
    if let Some(f) = t.get("each").filter(|_| format != Format::Json) {
        f.wrong::<()>("`each` means nothing with this format", "format = \"json\", or leave it out");
    }
    let each = t.get("each").map_or(Some(None), |f| f.parsed(pointer).map(Some));
    let when = when(t, format);
    let identity = t.get("identity").map_or(Some(None), |f| place(&f, format).map(Some));
    let says = match t.table("presence", &PRESENCE) {
        Some(p) => presence(t, &p, format),
        None => values(t, format, columns),
    };
    if each.as_ref().is_some_and(Option::is_some) && t.get("identity").is_none() && topic.as_ref().is_some_and(|t| !t.has_device()) {
        t.absent(
            "identity",
            "several readings in one message, and nothing says whose they are",
            "{device} in the topic, or identity = \"…\"",
        );
    }
    let m = MessageForm { topic: topic?, format, each: each?, when: when?, identity: identity?, says: says? };
    if count_places(&m) > MAX_PLACES {
        t.absent(
            "values",
            "the message asks for too many places",
            format!("at most {MAX_PLACES} places, with those of time, when and flags"),
        );
    }
    Some(m)
}

fn count_places(m: &MessageForm) -> usize {
    let says = match &m.says {
        Says::Presence { .. } => 1,
        Says::Values { time, values, flags } => {
            time.len() + values.iter().map(|v| v.at.len()).sum::<usize>() + flags.iter().map(|f| f.at.len()).sum::<usize>()
        }
    };
    m.when.len() + says + usize::from(m.identity.is_some())
}

fn when(t: &Table<'_>, format: Format) -> Option<Vec<(Place, String)>> {
    let right = "{ \"/DEVTYPE\" = \"M1\" }: the text that must stand at a place";
    let Some(f) = t.get("when") else { return Some(vec![]) };
    let entry = |(at, f): (&str, Field<'_>)| {
        let place = spelled(at, format).map_or_else(|w| f.wrong(w.what, w.right), Some);
        Some((place?, f.raw()?.to_owned()))
    };
    let all: Vec<Option<(Place, String)>> = f.entries(right)?.into_iter().map(entry).collect();
    all.into_iter().collect()
}

fn presence(t: &Table<'_>, p: &Table<'_>, format: Format) -> Option<Says> {
    for key in ["each", "time", "values", "flags"] {
        if let Some(f) = t.get(key) {
            f.wrong::<()>(format!("a message with `presence` tells no values, so `{key}` means nothing"), "leave it out");
        }
    }
    let at = match p.get("at") {
        Some(f) => place(&f, format),
        None if format == Format::Plain => Some(Place::Name("".into())),
        None => {
            p.absent("at", "`at` is missing", "at = \"/state\": where the word stands");
            None
        }
    };
    let online = p.need("online", "online = \"online\"").and_then(|f| f.text());
    let offline = p.need("offline", "offline = \"offline\"").and_then(|f| f.text());
    Some(Says::Presence { at: at?, online: online?.to_owned(), offline: offline?.to_owned() })
}

fn values(t: &Table<'_>, format: Format, columns: &mut Vec<Column>) -> Option<Says> {
    let time = t.get("time").map_or(Some(vec![]), |f| places(&f, format));
    let tables = t.tables("values", &VALUES);
    let values: Vec<Option<ValueRule>> = tables.iter().map(|v| value(v, format, columns)).collect();
    let flags: Vec<Option<FlagRule>> = t.tables("flags", &FLAGS).iter().map(|f| flag(f, format)).collect();
    if values.is_empty() && flags.is_empty() {
        t.absent(
            "values",
            "the message says nothing",
            "values = [ { name = \"total\", at = \"/total\", unit = \"m3\" } ], flags or presence",
        );
    }
    // A word that a rule does not know raises a flag as well.
    let wordy = values.iter().flatten().any(|v| !v.words.is_empty());
    if (!flags.is_empty() || wordy) && !columns.iter().any(|c| c.name == FLAGS_COLUMN) {
        columns.push(Column { name: FLAGS_COLUMN.to_owned(), quantity: Quantity::Flags });
    }
    if columns.len() > MAX_COLUMNS {
        t.absent("values", format!("the profile has {} columns", columns.len()), format!("at most {MAX_COLUMNS}, `flags` among them"));
    }
    Some(Says::Values { time: time?, values: values.into_iter().collect::<Option<_>>()?, flags: flags.into_iter().collect::<Option<_>>()? })
}

fn value(t: &Table<'_>, format: Format, columns: &mut Vec<Column>) -> Option<ValueRule> {
    let at = at(t, format);
    let unit_field = t.need("unit", "unit = \"m3\": what the number counts");
    let unit = unit_field.as_ref().and_then(|f| f.parsed(unit));
    let name = t.need("name", "name = \"total\"");
    let scale = t.get("scale").map_or(Some(None), |f| f.decimal("a number: \"0.001\"").map(Some));
    let required = t.get("required").map_or(Some(false), |f| f.boolean());
    let words = words(t, unit);
    let (unit, name) = (unit?, name?);
    let column = column(&name, unit, columns);
    Some(ValueRule { column: column?, at: at?, unit, scale: scale?, required: required?, words: words? })
}

/// Position of the column, which several messages may fill.
fn column(f: &Field<'_>, unit: Unit, columns: &mut Vec<Column>) -> Option<u8> {
    let name = f.parsed(column_name)?;
    if name == FLAGS_COLUMN {
        return f.wrong("the column `flags` holds what `flags = [ … ]` raises", "another name");
    }
    let wanted = Column { name, quantity: unit.quantity() };
    let i = match columns.iter().position(|c| c.name == wanted.name) {
        Some(i) if columns[i] == wanted => i,
        Some(i) => {
            let what = format!("{:?} measures {} in another message", wanted.name, noun(columns[i].quantity));
            return f.wrong(what, format!("a unit of {}, or another name", noun(columns[i].quantity)));
        }
        None => {
            columns.push(wanted);
            columns.len() - 1
        }
    };
    u8::try_from(i).ok()
}

fn words(t: &Table<'_>, unit: Option<Unit>) -> Option<Vec<(String, i64)>> {
    let right = "{ ON = 1, OFF = 0 }: the number that a word stands for";
    let Some(entries) = t.get("words").map(|f| f.entries(right)) else { return Some(vec![]) };
    let entry = |(word, f): (&str, Field<'_>)| {
        let d = f.decimal("a number")?;
        match d.in_smallest(unit?) {
            Ok(v) => Some((word.to_owned(), v)),
            Err(_) => f.wrong("the number is too large", "a smaller number"),
        }
    };
    let all: Vec<Option<(String, i64)>> = entries?.into_iter().map(entry).collect();
    all.into_iter().collect()
}

fn flag(t: &Table<'_>, format: Format) -> Option<FlagRule> {
    let at = at(t, format);
    let right = "{ DRY = \"dry\", 3 = [\"tamper\", \"battery_low\"] }: the flag that a word raises, or several";
    let raise = meanings(t, "raise", right, |word, _| Some(word.to_owned()));
    let right = "{ 0 = \"battery_low\", 4 = \"tamper\" }: the flag that a bit of a number raises, the lowest is 0, the highest 63";
    let bits = meanings(t, "bits", right, |bit, f| match bit.parse() {
        Ok(bit @ 0..=63u8) => Some(bit),
        _ => f.wrong(format!("{bit:?} is the number of no bit"), right),
    });
    let quiet = t.get("quiet").map_or(Some(vec![]), |f| f.texts(|s| Ok(s.to_owned())));
    let otherwise = t.get("otherwise").map_or(Some(Flag::UnknownStatus), |f| f.parsed(flag_code));
    Some(FlagRule { at: at?, raise: raise?, bits: bits?, quiet: quiet?, otherwise: otherwise? })
}

/// What each key of a table raises.
fn meanings<T>(t: &Table<'_>, key: &'static str, right: &str, name: impl Fn(&str, &Field<'_>) -> Option<T>) -> Option<Vec<(T, FlagSet)>> {
    let entries = t.get(key).map_or(Some(vec![]), |f| f.entries(right));
    let entry = |(word, f): (&str, Field<'_>)| {
        let name = name(word, &f);
        let flags: Vec<Option<Flag>> = f.one_or_many().iter().map(|f| f.parsed(flag_code)).collect();
        Some((name?, flags.into_iter().collect::<Option<FlagSet>>()?))
    };
    let all: Vec<Option<(T, FlagSet)>> = entries?.into_iter().map(entry).collect();
    all.into_iter().collect()
}

pub(super) fn flag_code(s: &str) -> Parsed<Flag> {
    let codes: Vec<&str> = Flag::ALL.iter().map(|f| f.code()).collect();
    Flag::parse(s).ok_or_else(|| Wrong::new(format!("there is no flag {s:?}"), suggest::advice(s, &codes)))
}

/// The places at `at`; the whole payload with a format that has none.
fn at(t: &Table<'_>, format: Format) -> Option<Vec<Place>> {
    match t.get("at") {
        Some(f) => places(&f, format),
        None if format == Format::Plain => Some(vec![Place::Name("".into())]),
        None => {
            t.need("at", "at = \"/total\": where it stands");
            None
        }
    }
}

fn places(f: &Field<'_>, format: Format) -> Option<Vec<Place>> {
    let all: Vec<Option<Place>> = f.one_or_many().iter().map(|f| place(f, format)).collect();
    if all.is_empty() {
        return f.wrong("no place is named", "\"/total\", or a list of places of which the first that says something counts");
    }
    all.into_iter().collect()
}

fn place(f: &Field<'_>, format: Format) -> Option<Place> {
    spelled(f.raw()?, format).map_or_else(|w| f.wrong(w.what, w.right), Some)
}

fn spelled(s: &str, format: Format) -> Parsed<Place> {
    match format {
        Format::Json => pointer(s).map(Place::Pointer),
        Format::Plain if !s.is_empty() => Err(Wrong::new("a plain payload has no places", "leave it out")),
        Format::Plain | Format::Senml | Format::Cjt188 => Ok(Place::Name(s.into())),
    }
}

pub(super) fn pointer(s: &str) -> Parsed<Pointer> {
    let right = "a JSON pointer: \"/total_l\", or \"/a/b\" for b inside a (~1 stands for /, ~0 for ~)";
    Pointer::parse(s).map_err(|e| Wrong::new(format!("{s:?}: {e}"), right))
}
