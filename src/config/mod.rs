//! The config file: what it may say, and every mistake in it at once.
//!
//! [`load`] and [`parse`] turn TOML into a [`Config`] of typed values, or into the list of all [`Problem`]s: line, key, what is wrong,
//! what would be right. Checking has no side effects and needs no rights: passwords are read at the daemon's start, by
//! [`SecretFrom::read`].
//!
//! Only `cli` and `daemon` see this module; they hand each other module its own settings. It knows nothing of ours but `domain`.
//!
//! Reading order: `reader` walks the TOML, `values` understands the texts in it, `gateway`, `places`, `subscriptions`, `meters`, `sensors`,
//! `heating` and `bindings` each own a part of the file; `devices` and `examples` read the profiles beside it.

mod adopted;
mod bindings;
mod channels;
mod credentials;
mod devices;
mod examples;
mod gateway;
mod heating;
mod meters;
mod mqtt;
mod places;
mod problem;
mod reader;
mod sensors;
mod store;
mod subscriptions;
mod suggest;
mod syntax;
mod topics;
mod values;
mod web;

pub use adopted::{Adopted, AdoptedKind, Joined, Written, entries, is_slug, profile_of};
pub use channels::{Address, Channel, ChannelKind, Language};
pub use credentials::{CredentialsError, SecretFrom};
pub use devices::{Catalogue, FileProblems, OwnProfile, SHIPPED, known_keys as known_device_keys, parse as parse_device};
pub use mqtt::{Credentials, Login, Mqtt};
pub use problem::{Problem, render};
pub use store::{Backup, Retention, Store};
pub use subscriptions::{FIRST_COLUMN, Heard, Subscription};
pub use topics::Filter;
pub use web::Web;

use crate::domain::heating::Heating;
use crate::domain::time::Ms;
use crate::domain::topology::{BY_HAND, Binding, Column, Feed, FeedIx, Point, Topology};
use crate::domain::units::Quantity;
use reader::{Doc, Shape};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// All that the config file says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Places, metering points and feeds. `feeds[i]` belongs to `mqtt.subscriptions[i]`.
    pub topology: Topology,
    /// None: nothing comes by MQTT.
    pub mqtt: Option<Mqtt>,
    pub store: Store,
    pub web: Web,
    /// None: nobody is told of anything.
    pub channels: Vec<Channel>,
    /// The user's own device profiles, also those that no subscription names. Whoever can decode runs their examples.
    pub own_profiles: Vec<OwnProfile>,
}

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the config {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    /// At least one, by file. [`render`] shows them.
    #[error("the config has {} problem(s)", .0.iter().map(|f| f.problems.len()).sum::<usize>())]
    Problems(Vec<FileProblems>),
}

/// Beside the config file: the user's own device profiles.
const DEVICES: &str = "devices";

/// Reads and checks a config file, and the device profiles in the directory `devices` beside it.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    Ok(Written::read(path)?.config().clone())
}

/// The user's own device profiles beside a config file, and what is wrong in others of them.
pub fn own_devices(path: &Path) -> Result<(Catalogue, Vec<FileProblems>), LoadError> {
    let dir = path.parent().unwrap_or(Path::new("")).join(DEVICES);
    Catalogue::read(&dir).map_err(|source| LoadError::Io { path: dir, source })
}

/// Editors on Chinese Windows write GBK unless told otherwise.
fn not_utf8(bytes: &[u8], at: usize) -> Problem {
    let good = String::from_utf8_lossy(&bytes[..at]);
    let line_start = good.rfind('\n').map_or(0, |i| i + 1);
    Problem {
        line: good.matches('\n').count() + 1,
        column: good[line_start..].chars().count() + 1,
        key: "syntax".to_owned(),
        what: format!("the file is not UTF-8: the byte 0x{:02x} is not valid text", bytes.get(at).copied().unwrap_or_default()),
        right: "save it as UTF-8 (it may be GBK or GB18030 now)".to_owned(),
        quote: problem::quote(&good[line_start..], 1),
    }
}

static ROOT: Shape = Shape {
    path: "",
    keys: &[
        "gateway",
        "communities",
        "compounds",
        "buildings",
        "units",
        "households",
        "prices",
        "meters",
        "sensors",
        "heating",
        "mqtt",
        "store",
        "web",
        "channels",
    ],
    hints: &[("community", "[[communities]]: a gateway may serve several"), ("subscriptions", "[[mqtt.subscriptions]]")],
};

/// Checks the text of a config file that may name the profiles of `catalogue`. Pure: no file, no clock, no environment.
pub fn parse(text: &str, catalogue: Catalogue) -> Result<Config, Vec<Problem>> {
    parse_with(text, "", catalogue)
}

/// The same with entries of lists behind those of the text, from elsewhere: a TOML text of its own, whose lines are counted on. What the text
/// leaves out (which subscription a device is of) it means as if there were nothing else.
pub fn parse_with(text: &str, added: &str, catalogue: Catalogue) -> Result<Config, Vec<Problem>> {
    let (mut document, mut syntax) = DeTable::parse_recoverable(text);
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let (whole, begins) = (format!("{text}{gap}{added}"), text.len() + gap.len());
    // Moved behind the text, so that its spans are those of the whole.
    let moved = " ".repeat(begins) + added;
    let (more, wrong) = DeTable::parse_recoverable(&moved);
    syntax.extend(wrong);
    join(document.get_mut(), more.into_inner());
    let doc = Doc::with_added(&whole, begins);
    let config = read(&doc, &document, &catalogue);
    let problems = doc.finish(&syntax);
    match config {
        Some(config) if problems.is_empty() => Ok(Config { own_profiles: catalogue.into_own(), ..config }),
        _ => Err(problems),
    }
}

/// Puts the entries of lists behind those that are there.
fn join<'d>(table: &mut DeTable<'d>, more: DeTable<'d>) {
    for (key, value) in more {
        let span = value.span();
        match (table.get_mut(&key).map(Spanned::get_mut), value.into_inner()) {
            (Some(DeValue::Array(here)), DeValue::Array(more)) => more.into_iter().for_each(|item| here.push(item)),
            (Some(DeValue::Table(here)), DeValue::Table(more)) => join(here, more),
            // What else stands there already stays.
            (Some(_), _) => {}
            (None, value) => {
                table.insert(key, Spanned::new(span, value));
            }
        }
    }
}

/// None where a part is missing or wrong, which is noted in `doc`.
fn read<'d>(doc: &'d Doc<'d>, document: &'d toml::Spanned<DeTable<'d>>, catalogue: &Catalogue) -> Option<Config> {
    let root = doc.root(document, &ROOT);
    let gateway = gateway::gateway(&root);
    let places = places::Places::read(&root);
    let mqtt_table = root.table("mqtt", &mqtt::MQTT);
    let feeds = mqtt_table.as_ref().map(|t| mqtt::drafts(t, catalogue)).unwrap_or_default();
    let price_milliyuan_per_tonne = gateway::price(&root);
    let around = meters::Surroundings { places: &places, feeds: &feeds, price_milliyuan_per_tonne };
    let (mut points, ids) = meters::read(&root, &around);
    let senses = sensors::read(&root, ids, &around, &mut points);
    let heating = Heating { season: heating::season(&root), senses };
    subscriptions::note_taken(&feeds, &points);
    let mqtt = mqtt_table.map(|t| mqtt::mqtt(&t, gateway.as_ref().map(|g| g.id.as_str()), subscriptions::finished(&feeds, &points)));
    let (store, web, channels) = (store::store(&root), web::web(&root), channels::channels(&root));

    let gateway = gateway?;
    let mut feeds = feeds.iter().map(subscriptions::Draft::feed).collect::<Option<Vec<_>>>()?;
    by_hand(&mut points, &mut feeds);
    let topology = Topology { gateway: gateway.id, tz: gateway.tz, since: gateway.since, places: places.list, points, feeds, heating };
    let mqtt = mqtt.map_or(Some(None), |m| m.map(Some))?;
    Some(Config { topology, mqtt, store: store?, web: web?, channels: channels?, own_profiles: vec![] })
}

/// Gives the meters that are read by hand a source of their own, where there are any. What their dials count is the medium's.
fn by_hand(points: &mut [Point], feeds: &mut Vec<Feed>) {
    // Not a name that a subscription can have.
    let energy = format!("{BY_HAND}_energy");
    for (name, quantity) in [(BY_HAND, Quantity::Volume), (&energy, Quantity::Energy)] {
        // Subscriptions are fewer than that, which was said where they are read.
        let Ok(ix) = u16::try_from(feeds.len()) else { return };
        let mut any = false;
        for p in points.iter_mut().filter(|p| p.source.is_none() && p.medium.quantity() == quantity) {
            p.source = Some(Binding { topic: format!("{BY_HAND}/{}", p.key), feed: FeedIx(ix), column: Some(0) });
            any = true;
        }
        if any {
            let register = Column { name: "register".to_owned(), quantity };
            feeds.push(Feed { name: name.to_owned(), columns: vec![register], wakes: None });
        }
    }
}

/// A length of time as the config writes it, `"15min"`; or what is wrong with it.
pub fn length_of_time(s: &str, range: RangeInclusive<Ms>) -> Result<Ms, String> {
    values::duration(s, range).map_err(|w| format!("{}; right would be {}", w.what, w.right))
}

/// Every key that a config file may have, lists marked by `[]`: `meters[].serial`. The reference file is held against it.
pub fn known_keys() -> impl Iterator<Item = String> {
    let shapes: [&Shape; 21] = [
        &ROOT,
        &gateway::GATEWAY,
        &gateway::PRICES,
        &places::COMMUNITIES,
        &places::COMPOUNDS,
        &places::BUILDINGS,
        &places::UNITS,
        &places::HOUSEHOLDS,
        &meters::METERS,
        &meters::LIMITS,
        &meters::VALVE,
        &sensors::SENSORS,
        &heating::HEATING,
        &mqtt::MQTT,
        &subscriptions::SUBSCRIPTIONS,
        &subscriptions::ALSO,
        &store::STORE,
        &store::BACKUP,
        &store::RETENTION,
        &web::WEB,
        &channels::CHANNELS,
    ];
    shapes.into_iter().flat_map(keys_of)
}

fn keys_of(s: &'static Shape) -> impl Iterator<Item = String> {
    s.keys.iter().map(move |k| if s.path.is_empty() { (*k).to_owned() } else { format!("{}.{k}", s.path) })
}
