//! `heyun check`.

use super::{Error, answer};
use crate::config;
use std::path::Path;

pub fn run(path: &Path) -> Result<(), Error> {
    let config = config::load(path).map_err(|e| Error::config(path, e))?;
    let subscriptions = config.mqtt.as_ref().map_or(0, |m| m.subscriptions.len());
    let meters = counted(config.topology.points.len(), "meter");
    // Without any, nobody is told: that is allowed, and not hidden.
    let channels = counted(config.channels.len(), "channel");
    answer(&format!("{}: ok ({meters}, {}, {channels})", path.display(), counted(subscriptions, "subscription")));
    Ok(())
}

fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
