//! Hears for whoever asks by the API: one at a time, on a thread of its own, and keeps the newest report.

use super::{Wish, broker, hear, report, told};
use crate::config::{self, LoadError};
use crate::daemon::clock;
use crate::domain::time::Ms;
use crate::ingest::decode::Clock;
use crate::ingest::discover::{ListenError, News};
use crate::texts::{Text, say};
use crate::web::{Discovery, DiscoveryCommand, DiscoveryDoor};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

/// Commands that wait. Full: the client is told to come again.
const COMMANDS: usize = 4;
/// Where devices announce themselves, unless the config says where we do.
const PREFIX: &str = "homeassistant";

/// A hearing that came to nothing.
struct Trouble {
    code: &'static str,
    text: Text,
}

/// Starts the task that hears when it is asked. The config is read anew each time: what is proposed belongs into the file as it is then.
pub fn start(config: PathBuf) -> DiscoveryDoor {
    let (commands, asked) = mpsc::channel(COMMANDS);
    let (state, states) = watch::channel(Discovery::Idle);
    tokio::spawn(serve(config, asked, state));
    DiscoveryDoor(Some((commands, states)))
}

async fn serve(config: PathBuf, mut asked: mpsc::Receiver<DiscoveryCommand>, state: watch::Sender<Discovery>) {
    while let Some(command) = asked.recv().await {
        let DiscoveryCommand::Hear { seconds, filters, reply } = command else { continue };
        let filters = if filters.is_empty() { vec!["#".to_owned()] } else { filters };
        let began = clock::now();
        let ends = began + Ms(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000));
        state.send_replace(Discovery::Hearing { began, ends, topics: 0, messages: 0 });
        if reply.send(true).is_err() {
            info!("who asked for a hearing has gone; it is held all the same");
        }
        let (stop, stopped) = oneshot::channel::<()>();
        let (done, mut result) = oneshot::channel();
        let heard = state.clone();
        let path = config.clone();
        let body = move || {
            let tell = |news: News| tell(&heard, &news);
            if done.send(once(&path, Duration::from_secs(seconds), filters, stopped, &tell)).is_err() {
                info!("nobody waits for what was heard");
            }
        };
        let started = std::thread::Builder::new().name("discover".into()).spawn(body);
        if let Err(e) = &started {
            warn!(error = %e, "no thread to hear with");
        }
        let mut stop = Some(stop);
        let result = loop {
            tokio::select! {
                result = &mut result => break result.unwrap_or_else(|_| Err(internal())),
                command = asked.recv() => match command {
                    Some(DiscoveryCommand::Hear { reply, .. }) => if reply.send(false).is_err() {
                        info!("who asked for a second hearing has gone");
                    },
                    // The daemon ends, or somebody has heard enough: the thread hears of it by the sender's end.
                    Some(DiscoveryCommand::Stop) => drop(stop.take()),
                    None => return,
                },
            }
        };
        let ended = clock::now();
        state.send_replace(match result {
            Ok(report) => Discovery::Done { began, ended, report: Arc::new(report) },
            Err(Trouble { code, text }) => {
                warn!(code, error = %text.en, "nothing was heard");
                Discovery::Failed { ended, code, text }
            }
        });
    }
}

fn tell(state: &watch::Sender<Discovery>, news: &News) {
    let News::Heard { topics: t, messages: m } = *news else { return };
    state.send_modify(|s| {
        if let Discovery::Hearing { topics, messages, .. } = s {
            (*topics, *messages) = (t as u64, m);
        }
    });
}

/// Hears, tries, and tells.
fn once(path: &Path, span: Duration, filters: Vec<String>, stop: oneshot::Receiver<()>, tell: &dyn Fn(News)) -> Result<Value, Trouble> {
    let config = config::load(path).map_err(|e| unreadable(&e))?;
    let written = std::fs::read_to_string(path).map_err(|e| in_config(&e.to_string()))?;
    let (catalogue, _) = config::own_devices(path).map_err(|e| unreadable(&e))?;
    let mqtt = config.mqtt.as_ref().ok_or_else(|| in_config("it has no [mqtt] any more"))?;
    let broker = broker(&config, mqtt).map_err(|e| in_config(&e.to_string()))?;
    let prefix = mqtt.announce.clone().unwrap_or_else(|| PREFIX.to_owned());
    let wish = Wish { span, filters, prefix };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|_| internal())?;
    // A dropped sender is a stop.
    let stop = async { drop(stop.await) };
    let heard = runtime.block_on(hear(&wish, &config.topology.gateway, &broker, stop, tell));
    runtime.shutdown_timeout(Duration::from_millis(100));
    let heard = heard.map_err(|e| not_heard(&e))?;
    let (now, sure) = clock::now_and_sure();
    let clock = Clock { now, sure, since: config.topology.since };
    Ok(told(&report(&heard, &config, mqtt, &written, &catalogue, clock)))
}

fn not_heard(e: &ListenError) -> Trouble {
    let (code, key, args) = match e {
        ListenError::Away { broker, why } => ("unreachable", "discovery.unreachable", vec![("broker", broker), ("why", why)]),
        ListenError::Refused { broker, why } => ("refused", "discovery.refused", vec![("broker", broker), ("why", why)]),
        ListenError::Silent { broker } => ("silent", "discovery.silent", vec![("broker", broker)]),
        ListenError::Filter { broker, filter } => ("filter", "discovery.filter", vec![("broker", broker), ("filter", filter)]),
    };
    let args: Vec<_> = args.into_iter().map(|(name, value)| (name, value.as_str().into())).collect();
    Trouble { code, text: say(key, &args) }
}

/// The config is no longer as it was when the daemon started.
fn unreadable(e: &LoadError) -> Trouble {
    in_config(&match e {
        LoadError::Io { source, .. } => source.to_string(),
        LoadError::Problems(_) => format!("{e}; heyun check tells them"),
    })
}

fn in_config(why: &str) -> Trouble {
    Trouble { code: "config", text: say("discovery.config", &[("why", why.into())]) }
}

fn internal() -> Trouble {
    Trouble { code: "internal", text: say("discovery.internal", &[]) }
}
