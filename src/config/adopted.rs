//! What was adopted from what was heard: entries of the config and profiles that stand in the database, as TOML.
//!
//! The file goes first: an entry that stands in both is the file's, so that one may be copied into the file at any time. What is adopted
//! can only add: the file is read as it would be read alone, with as many meters, and its devices mean the file's own subscriptions.

use super::devices::FileProblems;
use super::meters::METERS;
use super::problem::Problem;
use super::reader::{Doc, Shape, Table};
use super::sensors::SENSORS;
use super::subscriptions::SUBSCRIPTIONS;
use super::{Catalogue, Config, LoadError, parse, parse_with};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// What can be adopted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdoptedKind {
    /// A device profile; its key is its name.
    Profile,
    Subscription,
    Meter,
    Sensor,
}

impl AdoptedKind {
    pub const ALL: [AdoptedKind; 4] = [AdoptedKind::Profile, AdoptedKind::Subscription, AdoptedKind::Meter, AdoptedKind::Sensor];

    pub fn code(self) -> &'static str {
        match self {
            AdoptedKind::Profile => "profile",
            AdoptedKind::Subscription => "subscription",
            AdoptedKind::Meter => "meter",
            AdoptedKind::Sensor => "sensor",
        }
    }

    pub fn of(code: &str) -> Option<AdoptedKind> {
        AdoptedKind::ALL.into_iter().find(|k| k.code() == code)
    }
}

/// One entry of the config, or one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    pub kind: AdoptedKind,
    /// The entry's `id`, a subscription's `name`, a profile's name.
    pub key: String,
    /// An entry with its header, `[[meters]]` …; of a profile the whole file.
    pub toml: String,
}

impl fmt::Display for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.code(), self.key)
    }
}

static PARTS: Shape = Shape {
    path: "",
    keys: &["meters", "sensors", "mqtt"],
    hints: &[
        ("households", "places are written into the config file"),
        ("units", "places are written into the config file"),
        ("buildings", "places are written into the config file"),
        ("compounds", "places are written into the config file"),
        ("communities", "places are written into the config file"),
    ],
};
static MQTT: Shape = Shape { path: "mqtt", keys: &["subscriptions"], hints: &[] };

/// The entries of a text with `[[mqtt.subscriptions]]`, `[[meters]]` and `[[sensors]]`, each with its id; whether they are right is seen in a config.
pub fn entries(text: &str) -> Result<Vec<Adopted>, Vec<Problem>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let doc = Doc::new(text);
    let keys = keys(&doc.root(&document, &PARTS));
    let problems = doc.finish(&syntax);
    if !problems.is_empty() {
        return Err(problems);
    }
    // It is TOML, as was just seen.
    let table: toml::Table = text.parse().unwrap_or_default();
    let of = |kind| match kind {
        AdoptedKind::Meter => table.get("meters"),
        AdoptedKind::Sensor => table.get("sensors"),
        AdoptedKind::Subscription => table.get("mqtt").and_then(|m| m.get("subscriptions")),
        AdoptedKind::Profile => None,
    };
    let all = [AdoptedKind::Subscription, AdoptedKind::Meter, AdoptedKind::Sensor].into_iter();
    let items = all.flat_map(|kind| of(kind).and_then(|l| l.as_array()).into_iter().flatten().map(move |item| (kind, item)));
    let entry = |((kind, key), (_, item)): ((AdoptedKind, Option<String>), (AdoptedKind, &toml::Value))| Adopted {
        kind,
        key: key.unwrap_or_default(),
        toml: written(kind, item),
    };
    Ok(keys.into_iter().zip(items).map(entry).collect())
}

/// Kind and id of each entry, in the order of the kinds; None where it has none, which is noted.
fn keys(root: &Table<'_>) -> Vec<(AdoptedKind, Option<String>)> {
    let subscriptions = root.table("mqtt", &MQTT).map(|t| t.tables("subscriptions", &SUBSCRIPTIONS)).unwrap_or_default();
    let lists = [
        (AdoptedKind::Subscription, "name", subscriptions),
        (AdoptedKind::Meter, "id", root.tables("meters", &METERS)),
        (AdoptedKind::Sensor, "id", root.tables("sensors", &SENSORS)),
    ];
    let mut keys = vec![];
    for (kind, name, tables) in lists {
        let key = |t: &Table<'_>| t.need(name, "a name of its own, permanent").and_then(|f| f.text()).map(str::to_owned);
        keys.extend(tables.iter().map(|t| (kind, key(t))));
    }
    if keys.is_empty() {
        root.absent("meters", "nothing stands here that could be adopted", "[[mqtt.subscriptions]], [[meters]] or [[sensors]]");
    }
    keys
}

/// The profile that a subscription names.
pub fn profile_of(subscription: &str) -> Option<String> {
    let table: toml::Table = subscription.parse().ok()?;
    Some(table.get("mqtt")?.get("subscriptions")?.get(0)?.get("profile")?.as_str()?.to_owned())
}

/// True for what can be an id or a name: a-z, 0-9 and -.
pub fn is_slug(name: &str) -> bool {
    super::values::slug(name).is_ok()
}

/// An entry under its header.
fn written(kind: AdoptedKind, item: &toml::Value) -> String {
    let list = toml::Value::Array(vec![item.clone()]);
    let one = |key: &str, value: toml::Value| toml::Table::from_iter([(key.to_owned(), value)]);
    match kind {
        AdoptedKind::Subscription => one("mqtt", one("subscriptions", list).into()),
        AdoptedKind::Sensor => one("sensors", list),
        AdoptedKind::Meter | AdoptedKind::Profile => one("meters", list),
    }
    .to_string()
}

/// A config file that is right by itself, and the profiles beside it.
#[derive(Clone, Debug)]
pub struct Written {
    path: PathBuf,
    text: String,
    catalogue: Catalogue,
    config: Config,
}

/// A config file together with what was adopted.
#[derive(Clone, Debug)]
pub struct Joined {
    pub config: Config,
    /// The file's own text.
    pub written: String,
    /// What is added to it.
    pub added: String,
    pub catalogue: Catalogue,
    /// What was adopted and counts.
    pub adopted: Vec<Adopted>,
    /// What was adopted and stands in the file, too: the file's counts.
    pub in_file: Vec<Adopted>,
}

impl Written {
    /// Reads a config file and the profiles beside it.
    pub fn read(path: &Path) -> Result<Written, LoadError> {
        let bytes = std::fs::read(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
        let (catalogue, mut wrong) = super::own_devices(path)?;
        let config = match std::str::from_utf8(&bytes) {
            Ok(text) => parse(text, catalogue.clone()).map(|config| (text.to_owned(), config)),
            Err(e) => Err(vec![super::not_utf8(&bytes, e.valid_up_to())]),
        };
        match config {
            Ok((text, config)) if wrong.is_empty() => return Ok(Written { path: path.to_owned(), text, catalogue, config }),
            Ok(_) => {}
            Err(problems) => wrong.insert(0, FileProblems { file: path.to_owned(), problems }),
        }
        // What a config gets wrong only because a profile could not be read is no mistake of its own.
        wrong.retain(|f| !f.problems.is_empty());
        Err(LoadError::Problems(wrong))
    }

    /// True if the file has this entry, or a profile of this name lies beside it.
    pub fn has(&self, kind: AdoptedKind, key: &str) -> bool {
        Keys::of(&self.config, &self.catalogue).0.contains(&(kind, key.to_owned()))
    }

    /// True if a profile has this name, one of the user's own or one that comes with the program.
    pub fn has_profile(&self, name: &str) -> bool {
        self.catalogue.get(name).is_some()
    }

    /// What the file says by itself.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same with what was adopted. Each problem stands under the entry that it is of.
    pub fn with(self, adopted: &[Adopted]) -> Result<Joined, LoadError> {
        let Written { path, text, mut catalogue, config } = self;
        let has = Keys::of(&config, &catalogue);
        let (mut added, mut lines, mut in_file, mut wrong) = (String::new(), vec![], vec![], Vec::<FileProblems>::new());
        for a in adopted {
            if has.contains(a) {
                in_file.push(a.clone());
            } else if a.kind == AdoptedKind::Profile {
                if let Err(problems) = catalogue.add(&a.key, &a.toml) {
                    wrong.push(FileProblems { file: named(&config, a), problems });
                }
            } else {
                let first = added.lines().count() + 1;
                added.push_str(a.toml.trim_end());
                added.push('\n');
                lines.push((first..added.lines().count() + 1, a));
            }
        }
        match parse_with(&text, &added, catalogue.clone()) {
            Ok(config) if wrong.is_empty() => {
                return Ok(Joined {
                    config,
                    written: text,
                    added,
                    catalogue,
                    adopted: adopted.iter().filter(|a| !has.contains(a)).cloned().collect(),
                    in_file,
                });
            }
            Ok(_) => {}
            Err(problems) => {
                let before = text.lines().count();
                for problem in problems {
                    let of = lines.iter().find(|(lines, _)| lines.contains(&problem.line.saturating_sub(before)));
                    let (file, problem) = match of {
                        Some((lines, a)) => (named(&config, a), Problem { line: problem.line + 1 - before - lines.start, ..problem }),
                        None => (path.clone(), problem),
                    };
                    match wrong.iter_mut().find(|w| w.file == file) {
                        Some(w) => w.problems.push(problem),
                        None => wrong.push(FileProblems { file, problems: vec![problem] }),
                    }
                }
            }
        }
        Err(LoadError::Problems(wrong))
    }
}

impl Joined {
    /// Meters and sensors of the file that do not name their subscription, and what it is.
    pub fn unnamed(&self) -> Vec<(String, String)> {
        let topology = &self.config.topology;
        // It was read as a config, so it is TOML.
        let table: toml::Table = self.written.parse().unwrap_or_default();
        let subscription = |id: &str| {
            let feed = topology.points.iter().find(|p| p.key == id)?.source.as_ref()?.feed;
            topology.feeds.get(usize::from(feed.0)).map(|f| f.name.clone())
        };
        let entries =
            ["meters", "sensors"].into_iter().filter_map(|list| table.get(list)?.as_array()).flatten().filter_map(|t| t.as_table());
        let of = |t: &toml::Table| {
            let is_unnamed = t.get("device").is_some_and(toml::Value::is_str) && !t.contains_key("subscription");
            let id = t.get("id")?.as_str().filter(|_| is_unnamed)?;
            Some((id.to_owned(), subscription(id)?))
        };
        entries.filter_map(of).collect()
    }

    /// Those of them that would have to name it, were all that was adopted written into the file.
    pub fn to_amend(&self) -> Vec<(String, String)> {
        let whole = format!("{}\n{}", self.written, self.added);
        if parse(&whole, self.catalogue.clone()).is_ok() { vec![] } else { self.unnamed() }
    }
}

/// Where an adopted entry stands, for people.
fn named(config: &Config, a: &Adopted) -> PathBuf {
    PathBuf::from(format!("{}: adopted {a}", config.store.path.display()))
}

/// What stands in the file.
struct Keys(BTreeSet<(AdoptedKind, String)>);

impl Keys {
    fn of(config: &Config, catalogue: &Catalogue) -> Keys {
        let point = |p: &crate::domain::topology::Point| {
            let kind = if p.kind.is_metered() { AdoptedKind::Meter } else { AdoptedKind::Sensor };
            (kind, p.key.clone())
        };
        let mut keys: BTreeSet<_> = config.topology.points.iter().map(point).collect();
        keys.extend(config.mqtt.iter().flat_map(|m| &m.subscriptions).map(|s| (AdoptedKind::Subscription, s.name.clone())));
        keys.extend(catalogue.own_names().map(|n| (AdoptedKind::Profile, n.to_owned())));
        Keys(keys)
    }

    fn contains(&self, a: &Adopted) -> bool {
        self.0.contains(&(a.kind, a.key.clone()))
    }
}
