//! `heyun simulate`: the config's words as the simulator's settings.

use super::args::{Leak, Simulate};
use super::{Error, answer};
use crate::config::{self, Config, Format, Mqtt, Subscription};
use crate::domain::time::Ts;
use crate::domain::topology::Point;
use crate::sim::{self, Broker, Feed, Form, Meter, Settings, Summary, Then};
use jiff::Timestamp;

pub fn run(args: &Simulate) -> Result<(), Error> {
    let config = config::load(&args.config).map_err(|e| Error::config(&args.config, e))?;
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
    let credentials = mqtt.credentials(&|name| std::env::var(name).ok())?;
    let ca = match &mqtt.ca_file {
        Some(path) => Some(std::fs::read(path).map_err(|source| Error::CaFile { path: path.clone(), source })?),
        None => None,
    };
    Ok(Broker {
        host: mqtt.host.clone(),
        port: mqtt.port,
        // Not the daemon's: two clients may not share one.
        client_id: format!("heyun-simulate-{}", config.topology.gateway),
        credentials: credentials.map(|c| (c.username, c.password.unwrap_or_default())),
        ca,
    })
}

fn meter(p: &Point) -> Option<Meter> {
    let source = p.source.as_ref()?;
    Some(Meter {
        key: p.key.clone(),
        kind: p.kind,
        place: p.place,
        topic: source.topic.clone(),
        feed: usize::from(source.feed.0),
        column: source.column,
        pulse_weight: p.meter.pulse_weight,
        rollover_at: p.meter.rollover_at,
    })
}

fn feed(s: &Subscription) -> Feed {
    let form = match &s.format {
        Format::Plain { unit } => Form::Plain { unit: *unit },
        Format::Json { time, columns } => {
            Form::Json { time: time.clone(), columns: columns.iter().map(|c| (c.pointer.clone(), c.unit)).collect() }
        }
    };
    Feed { filter: s.filter.as_str().to_owned(), form }
}
