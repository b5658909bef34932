//! The config file: what it may say, and every mistake in it at once.
//!
//! [`load`] and [`parse`] turn TOML into a [`Config`] of typed values, or into the list of all [`Problem`]s: line, key, what is wrong,
//! what would be right. Checking has no side effects and needs no rights: passwords are read at the daemon's start, by
//! [`SecretFrom::read`].
//!
//! Only `cli` and `daemon` see this module; they hand each other module its own settings. It knows nothing of ours but `domain`.
//!
//! Reading order: `reader` walks the TOML, `values` understands the texts in it, `gateway`, `places`, `subscriptions`, `meters` and
//! `bindings` each own a part of the file.

mod bindings;
mod channels;
mod credentials;
mod gateway;
mod meters;
mod mqtt;
mod places;
mod problem;
mod reader;
mod store;
mod subscriptions;
mod suggest;
mod syntax;
mod topics;
mod values;
mod web;

pub use channels::{Address, Channel, ChannelKind, Language};
pub use credentials::{CredentialsError, SecretFrom};
pub use mqtt::{Credentials, Login, Mqtt};
pub use problem::{Problem, render};
pub use store::{Backup, Retention, Store};
pub use subscriptions::{FIRST_COLUMN, Format, JsonColumn, Subscription};
pub use topics::Filter;
pub use web::Web;

use crate::domain::topology::Topology;
use reader::{Doc, Shape};
use std::io;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

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
}

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the config {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    /// At least one. [`render`] shows them.
    #[error("the config has {} problem(s)", .0.len())]
    Problems(Vec<Problem>),
}

/// Reads and checks a config file.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    let bytes = std::fs::read(path).map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text).map_err(LoadError::Problems),
        Err(e) => Err(LoadError::Problems(vec![not_utf8(&bytes, e.valid_up_to())])),
    }
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
        "mqtt",
        "store",
        "web",
        "channels",
    ],
    hints: &[("community", "[[communities]]: a gateway may serve several"), ("subscriptions", "[[mqtt.subscriptions]]")],
};

/// Checks the text of a config file. Pure: no file, no clock, no environment.
pub fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let doc = Doc::new(text);
    let config = read(&doc, &document);
    let problems = doc.finish(&syntax);
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

/// None where a part is missing or wrong, which is noted in `doc`.
fn read<'d>(doc: &'d Doc<'d>, document: &'d toml::Spanned<DeTable<'d>>) -> Option<Config> {
    let root = doc.root(document, &ROOT);
    let gateway = gateway::gateway(&root);
    let places = places::Places::read(&root);
    let mqtt_table = root.table("mqtt", &mqtt::MQTT);
    let feeds = mqtt_table.as_ref().map(mqtt::drafts).unwrap_or_default();
    let mqtt = mqtt_table.map(|t| mqtt::mqtt(&t, gateway.as_ref().map(|g| g.id.as_str()), subscriptions::finished(&feeds)));
    let price_milliyuan_per_tonne = gateway::price(&root);
    let points = meters::read(&root, &meters::Surroundings { places: &places, feeds: &feeds, price_milliyuan_per_tonne });
    let (store, web, channels) = (store::store(&root), web::web(&root), channels::channels(&root));

    let gateway = gateway?;
    let feeds = feeds.iter().map(subscriptions::Draft::feed).collect::<Option<Vec<_>>>()?;
    let topology = Topology { gateway: gateway.id, tz: gateway.tz, since: gateway.since, places: places.list, points, feeds };
    Some(Config { topology, mqtt: mqtt.map_or(Some(None), |m| m.map(Some))?, store: store?, web: web?, channels: channels? })
}

/// Every key that a config file may have, lists marked by `[]`: `meters[].serial`. The reference file is held against it.
pub fn known_keys() -> impl Iterator<Item = String> {
    let shapes: [&Shape; 19] = [
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
        &mqtt::MQTT,
        &subscriptions::SUBSCRIPTIONS,
        &subscriptions::ALSO,
        &store::STORE,
        &store::BACKUP,
        &store::RETENTION,
        &web::WEB,
        &channels::CHANNELS,
    ];
    let keys = |s: &'static Shape| s.keys.iter().map(move |k| if s.path.is_empty() { (*k).to_owned() } else { format!("{}.{k}", s.path) });
    shapes.into_iter().flat_map(keys)
}
