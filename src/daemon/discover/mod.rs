//! What else is at the broker, for people: heard for a while, tried on the config's reader and on the daemon's own subscriptions, and told.
//!
//! For `heyun discover` and, by [`hearing`], for the API.

mod adoption;
mod hearing;
mod json;
mod proof;

pub use hearing::{Desk, start};
pub use json::told;

use super::settings;
use crate::broker::Broker;
use crate::config::{Config, Joined, Mqtt};
use crate::domain::device::Profile;
use crate::domain::topology::Column;
use crate::domain::units::Quantity;
use crate::ingest::decode::{Clock, shown_number};
use crate::ingest::discover::{Around, Heard, ListenError, News, Plan, Proposal, listen, plan};
use proof::Bench;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is to be heard.
#[derive(Clone, Debug)]
pub struct Wish {
    pub span: Duration,
    pub filters: Vec<String>,
    /// What devices announce themselves under, usually `homeassistant`.
    pub prefix: String,
}

/// All that is told.
pub struct Report<'a> {
    pub broker: String,
    pub heard: &'a Heard,
    pub plan: Plan,
    pub proposals: Vec<Tried>,
    pub failed: Vec<Failed>,
    /// Meters and sensors of the config that must name their subscription then, and which it is.
    pub amend: Vec<(String, String)>,
    /// Subscriptions that would bring topics which nobody reads now, by topic.
    pub brought: BTreeMap<String, String>,
}

/// A proposal that was tried.
pub struct Tried {
    pub proposal: Proposal,
    /// The profile that has to be written first.
    pub own: Option<String>,
    /// Of each device in their order, what the daemon would read: columns with their values in the smallest unit.
    pub values: Vec<Vec<(Column, i64)>>,
}

/// One that does not go.
pub struct Failed {
    pub topics: Vec<String>,
    pub by: String,
    pub why: String,
}

/// Hears at `broker` what is wished, until the time is up or `stop` is, as a client of its own.
pub async fn hear(
    wish: &Wish,
    gateway: &str,
    broker: &Broker,
    stop: impl Future<Output = ()>,
    tell: &dyn Fn(News),
) -> Result<Heard, ListenError> {
    let mut filters = wish.filters.clone();
    if !filters.iter().any(|f| f == "#") {
        filters.push(format!("{}/+/+/config", wish.prefix));
        filters.push(format!("{}/+/+/+/config", wish.prefix));
    }
    let heard = RefCell::new(Heard::new(&wish.prefix, gateway));
    listen(broker, &filters, wish.span, &heard, super::now, stop, tell).await?;
    Ok(heard.into_inner())
}

/// The broker of a config, by a client id that is this process's alone: neither the daemon nor another discovery is thrown out by it.
pub fn broker(config: &Config, mqtt: &Mqtt) -> Result<Broker, super::Error> {
    let client_id = format!("heyun-discover-{}-{}", config.topology.gateway, std::process::id());
    Ok(Broker { client_id, ..settings::broker(mqtt)? })
}

/// A value with its unit, and a bare number without one.
pub fn shown(c: &Column, v: i64) -> String {
    let text = shown_number(c.quantity, v);
    if c.quantity == Quantity::Number { text.trim_end_matches(" 1").to_owned() } else { text }
}

/// Proposes, tries, and says of the rest what it is. Pure.
pub fn report<'a>(heard: &'a Heard, joined: &Joined, mqtt: &Mqtt, clock: Clock) -> Report<'a> {
    let (config, catalogue) = (&joined.config, &joined.catalogue);
    let profiles: Vec<Profile> = catalogue.names().iter().filter_map(|n| catalogue.get(n).flatten()).collect();
    let around = Around {
        topology: &config.topology,
        subscriptions: settings::subscriptions(config, mqtt),
        primary: mqtt.subscriptions.iter().map(|s| s.primary.as_str().to_owned()).collect(),
        profiles: &profiles,
        clock,
    };
    let mut plan = plan(heard, &around);
    let settled = Bench::new(joined, heard, clock).settle(std::mem::take(&mut plan.proposals));
    Report {
        broker: format!("{}:{}", mqtt.host, mqtt.port),
        heard,
        brought: settled.brought(heard),
        plan,
        proposals: settled.tried,
        failed: settled.failed,
        amend: settled.amend,
    }
}
