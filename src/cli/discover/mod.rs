//! `heyun discover`: hears for a while, tries what could be read, and tells it.

mod json;
mod proof;
mod text;

use super::args::{Discover, DiscoverFormat};
use super::broker::Secrets;
use super::{Error, answer, devices};
use crate::broker::Broker;
use crate::config::{self, Catalogue, Config, Mqtt};
use crate::daemon;
use crate::domain::device::Profile;
use crate::domain::topology::Column;
use crate::domain::units::Quantity;
use crate::ingest::decode::{Clock, shown_number};
use crate::ingest::discover::{Around, Heard, News, Plan, Proposal, listen, plan};
use indicatif::{ProgressBar, ProgressStyle};
use proof::Bench;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;
use tracing::{debug, info, warn};

/// All that is told.
struct Report<'a> {
    broker: String,
    heard: &'a Heard,
    plan: Plan,
    proposals: Vec<Tried>,
    failed: Vec<Failed>,
    /// Meters and sensors of the config that must name their subscription then, and which it is.
    amend: Vec<(String, String)>,
    /// Subscriptions that would bring topics which nobody reads now, by topic.
    brought: BTreeMap<String, String>,
}

/// A proposal that was tried.
struct Tried {
    proposal: Proposal,
    /// The profile that has to be written first.
    own: Option<String>,
    /// Of each device in their order, what the daemon would read: columns with their values in the smallest unit.
    values: Vec<Vec<(Column, i64)>>,
}

/// One that does not go.
struct Failed {
    topics: Vec<String>,
    by: String,
    why: String,
}

pub fn run(args: &Discover) -> Result<(), Error> {
    let config = devices::load(&args.config)?;
    let Some(mqtt) = &config.mqtt else { return Err(Error::NoBroker { path: args.config.clone() }) };
    let read = |source| Error::ConfigFile { path: args.config.clone(), source };
    let written = std::fs::read_to_string(&args.config).map_err(read)?;
    let (catalogue, _) = config::own_devices(&args.config).map_err(|e| Error::config(&args.config, e))?;
    let heard = hear(args, &config, mqtt)?;
    let (now, sure) = daemon::now_and_sure();
    let clock = Clock { now, sure, since: config.topology.since };
    let report = report(&heard, &config, mqtt, &written, &catalogue, clock);
    let told = match args.format {
        DiscoverFormat::Text => text::told(&report),
        DiscoverFormat::Json => json::told(&report).to_string(),
    };
    answer(told.trim_end());
    Ok(())
}

fn hear(args: &Discover, config: &Config, mqtt: &Mqtt) -> Result<Heard, Error> {
    let Secrets { credentials, ca } = Secrets::read(mqtt)?;
    // Of this process alone: neither the daemon nor another discovery is thrown out by it.
    let client_id = format!("heyun-discover-{}-{}", config.topology.gateway, std::process::id());
    let broker = Broker { host: mqtt.host.clone(), port: mqtt.port, client_id, credentials, ca };
    let span = Duration::from_millis(u64::try_from(args.span.0).unwrap_or_default());
    let mut filters = args.filter.clone();
    if !filters.iter().any(|f| f == "#") {
        filters.push(format!("{}/+/+/config", args.prefix));
        filters.push(format!("{}/+/+/+/config", args.prefix));
    }
    let bar = bar(span);
    let tell = |news: News| match news {
        News::Listening => info!(broker = %broker, seconds = span.as_secs(), "listening; Ctrl-C ends it earlier"),
        News::Heard { topics, messages } => {
            debug!(messages, topics, "hearing");
            bar.inc(1);
            bar.set_message(format!("{messages} messages on {topics} topics"));
        }
        News::Away(error) => warn!(error, "the connection broke; it is made again"),
    };
    let heard = RefCell::new(Heard::new(&args.prefix, &config.topology.gateway));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(daemon::Error::Thread)?;
    let ended = runtime.block_on(listen(&broker, &filters, span, &heard, daemon::now, &tell));
    // What the resolver's thread still does for a broker that is away must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    bar.finish_and_clear();
    ended?;
    let heard = heard.into_inner();
    info!(messages = heard.messages(), topics = heard.topics().count(), dropped = heard.dropped().total(), "heard");
    Ok(heard)
}

/// Hides itself where stderr is no terminal.
fn bar(span: Duration) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(span.as_secs());
    // The template is fixed; should it not be understood, the usual bar is as good.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} s  {msg}") {
        bar.set_style(style);
    }
    bar
}

/// A value with its unit, and a bare number without one.
fn shown(c: &Column, v: i64) -> String {
    let text = shown_number(c.quantity, v);
    if c.quantity == Quantity::Number { text.trim_end_matches(" 1").to_owned() } else { text }
}

/// Proposes, tries, and says of the rest what it is. Pure.
fn report<'a>(heard: &'a Heard, config: &Config, mqtt: &Mqtt, written: &str, catalogue: &Catalogue, clock: Clock) -> Report<'a> {
    let profiles: Vec<Profile> = catalogue.names().iter().filter_map(|n| catalogue.get(n).flatten()).collect();
    let around = Around {
        topology: &config.topology,
        subscriptions: daemon::subscriptions(config, mqtt),
        primary: mqtt.subscriptions.iter().map(|s| s.primary.as_str().to_owned()).collect(),
        profiles: &profiles,
        clock,
    };
    let mut plan = plan(heard, &around);
    let settled = Bench::new(written, config, catalogue, heard, clock).settle(std::mem::take(&mut plan.proposals));
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
