//! `heyun simulate`: the config's words as the simulator's settings.

use super::args::{Leak, Simulate};
use super::config;
use super::{Error, answer};
use crate::broker::Broker;
use crate::config::{Config, Mqtt, Subscription};
use crate::daemon;
use crate::domain::device::{Format, MessageForm, Says};
use crate::domain::time::Ts;
use crate::domain::topology::{Medium, Point};
use crate::sim::{self, Feed, Form, Meter, Sensor, Settings, Summary, Then};
use jiff::Timestamp;

pub fn run(args: &Simulate) -> Result<(), Error> {
    let config = config::load(&args.config)?.config;
    let Some(mqtt) = &config.mqtt else { return Err(Error::NoBroker { path: args.config.clone() }) };
    let told = |s: &Summary| answer(&format!("history: {s}"));
    let summary = sim::run(&settings(args, &config, mqtt)?, &told)?;
    answer(&format!("sent: {summary}"));
    Ok(())
}

fn settings(args: &Simulate, config: &Config, mqtt: &Mqtt) -> Result<Settings, Error> {
    let ts = |t: Timestamp| Ts(t.as_millisecond());
    Ok(Settings {
        broker: broker(config, mqtt)?,
        tz: config.topology.tz.clone(),
        places: config.topology.places.clone(),
        meters: config.topology.points.iter().filter_map(meter).collect(),
        sensors: config.topology.points.iter().filter_map(sensor).collect(),
        feeds: mqtt.subscriptions.iter().map(feed).collect(),
        seed: args.seed,
        history_days: args.history,
        leak: match args.leak_at {
            None => sim::Leak::Recent,
            Some(Leak::Never) => sim::Leak::Never,
            Some(Leak::At(t)) => sim::Leak::At(ts(t)),
        },
        then: match (args.until, args.once) {
            (Some(until), _) => Then::Stop(Some(ts(until))),
            (None, true) => Then::Stop(None),
            (None, false) => Then::Live { speed: args.speed },
        },
    })
}

fn broker(config: &Config, mqtt: &Mqtt) -> Result<Broker, Error> {
    // Not the daemon's: two clients may not share one.
    let client_id = format!("heyun-simulate-{}", config.topology.gateway);
    Ok(Broker { client_id, ..daemon::broker(mqtt)? })
}

fn meter(p: &Point) -> Option<Meter> {
    // The model knows what water is used; what else passes through meters nobody plays.
    let source = p.source.as_ref().filter(|s| !s.is_by_hand() && p.medium == Medium::Water)?;
    Some(Meter {
        key: p.key.clone(),
        kind: p.kind,
        place: p.place,
        topic: source.topic.clone(),
        feed: usize::from(source.feed.0),
        column: source.column?,
        pulse_weight: p.meter.pulse_weight,
        rollover_at: p.meter.rollover_at,
    })
}

fn sensor(p: &Point) -> Option<Sensor> {
    let source = p.source.as_ref().filter(|_| !p.kind.is_metered())?;
    Some(Sensor { key: p.key.clone(), topic: source.topic.clone(), feed: usize::from(source.feed.0) })
}

/// The profile of whoever writes a sender of their own, which the simulator is.
const OWN: &str = "heyun";

/// The simulator sends what subscriptions with keys of their own describe, and heyun's own form; another profile's device is for that device
/// to play.
fn feed(s: &Subscription) -> Feed {
    let form = match s.profile.messages.as_slice() {
        [MessageForm { format, says: Says::Values { time, values, flags }, .. }] if ["", OWN].contains(&s.profile.name.as_str()) => {
            match (format, values.as_slice()) {
                (Format::Plain, [only]) => Some(Form::Plain { unit: only.unit }),
                _ => Some(Form::Json {
                    time: time.first().map(|at| at.as_str().to_owned()),
                    columns: values.iter().filter_map(|v| Some((v.at.first()?.as_str().to_owned(), v.unit))).collect(),
                    flags: flags.first().and_then(|rule| Some(rule.at.first()?.as_str().to_owned())),
                }),
            }
        }
        _ => None,
    };
    Feed { filter: s.primary.as_str().to_owned(), form }
}
