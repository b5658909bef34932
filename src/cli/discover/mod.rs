//! `heyun discover`: hears for a while, tries what could be read, and tells it.

mod text;

use super::args::{Discover, DiscoverFormat};
use super::{Error, answer, config};
use crate::config::{Config, Mqtt};
use crate::daemon;
use crate::daemon::discover::{self, Wish, broker, hear, report};
use crate::ingest::decode::Clock;
use crate::ingest::discover::{Heard, News};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;
use tracing::{debug, info, warn};

pub fn run(args: &Discover) -> Result<(), Error> {
    let joined = config::load(&args.config)?;
    let config = &joined.config;
    let Some(mqtt) = &config.mqtt else { return Err(Error::NoBroker { path: args.config.clone() }) };
    let heard = heard(args, config, mqtt)?;
    let (now, sure) = daemon::now_and_sure();
    let clock = Clock { now, sure, since: config.topology.since };
    let report = report(&heard, &joined, mqtt, clock);
    let told = match args.format {
        DiscoverFormat::Text => text::told(&report),
        DiscoverFormat::Json => discover::told(&report).to_string(),
    };
    answer(told.trim_end());
    Ok(())
}

fn heard(args: &Discover, config: &Config, mqtt: &Mqtt) -> Result<Heard, Error> {
    let broker = broker(config, mqtt)?;
    let span = Duration::from_millis(u64::try_from(args.span.0).unwrap_or_default());
    let wish = Wish { span, filters: args.filter.clone(), prefix: args.prefix.clone() };
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(daemon::Error::Thread)?;
    let ended = runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let on = |kind| signal(kind).map_err(daemon::Error::Thread);
        let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        Ok::<Heard, Error>(hear(&wish, &config.topology.gateway, &broker, stop, &tell).await?)
    });
    // What the resolver's thread still does for a broker that is away must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    bar.finish_and_clear();
    let heard = ended?;
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
