//! `heyun check`.

use super::{Error, answer, config};
use std::path::Path;

pub fn run(path: &Path) -> Result<(), Error> {
    let joined = config::load(path)?;
    let config = joined.config;
    let subscriptions = config.mqtt.as_ref().map_or(0, |m| m.subscriptions.len());
    let metered = config.topology.metered().count();
    let mut told = vec![counted(metered, "meter")];
    // What a config does not use needs no word.
    let mut also = |n: usize, noun| {
        if n > 0 {
            told.push(counted(n, noun));
        }
    };
    also(config.topology.points.len() - metered, "sensor");
    also(config.own_profiles.len(), "device profile");
    let adopted = joined.adopted.len();
    // Without any, nobody is told: that is allowed, and not hidden.
    let channels = counted(config.channels.len(), "channel");
    told.extend([counted(subscriptions, "subscription"), channels]);
    if adopted > 0 {
        told.push(format!("{adopted} of these adopted"));
    }
    answer(&format!("{}: ok ({})", path.display(), told.join(", ")));
    Ok(())
}

fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
