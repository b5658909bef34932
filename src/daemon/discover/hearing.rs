//! Hears for whoever asks by the API: one at a time, on a thread of its own; keeps what was heard, and has devices of it adopted.
//!
//! It outlives the parts of the daemon that are stopped and started anew when something was adopted.

use super::adoption;
use super::{Wish, broker, hear, report, told};
use crate::config::{AdoptedKind, Joined, LoadError};
use crate::daemon::{clock, configured};
use crate::domain::time::Ms;
use crate::ingest::decode::Clock;
use crate::ingest::discover::{Heard, ListenError, News};
use crate::store::{AdoptedRecord, Adoptions, CommitError};
use crate::texts::{Text, say};
use crate::web::{AdoptRefusal, AdoptWish, AdoptedPoint, Discovery, DiscoveryCommand, DiscoveryDoor};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

/// Commands that wait. Full: the client is told to come again.
const COMMANDS: usize = 4;
/// Where devices announce themselves, unless the config says where we do.
const PREFIX: &str = "homeassistant";

/// A hearing that came to nothing.
struct Trouble {
    code: &'static str,
    text: Text,
}

/// What the daemon holds of the task that hears.
pub struct Desk {
    pub door: DiscoveryDoor,
    /// Where adopted devices are written to; None while the store is closed.
    pub store: watch::Sender<Option<Adoptions>>,
    /// What was adopted has changed. One mark is enough: full, it is told already.
    pub again: mpsc::Receiver<()>,
}

/// Starts the task that hears when it is asked. The config is read anew each time: what is proposed belongs into the file as it is then.
pub fn start(config: PathBuf) -> Desk {
    let (commands, asked) = mpsc::channel(COMMANDS);
    let (state, states) = watch::channel(Discovery::Idle);
    let (store, stores) = watch::channel(None);
    let (changed, again) = mpsc::channel(1);
    let clerk = Clerk { config, state, store: stores, changed, heard: None };
    tokio::spawn(clerk.serve(asked));
    Desk { door: DiscoveryDoor(Some((commands, states))), store, again }
}

struct Clerk {
    config: PathBuf,
    state: watch::Sender<Discovery>,
    store: watch::Receiver<Option<Adoptions>>,
    changed: mpsc::Sender<()>,
    /// Of the newest hearing that came to something: what is adopted is tried on it. At most 10 MB.
    heard: Option<Arc<Heard>>,
}

impl Clerk {
    async fn serve(mut self, mut asked: mpsc::Receiver<DiscoveryCommand>) {
        while let Some(command) = asked.recv().await {
            match command {
                DiscoveryCommand::Hear { seconds, filters, reply } => {
                    let began = clock::now();
                    let ends = began + Ms(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000));
                    self.state.send_replace(Discovery::Hearing { began, ends, topics: 0, messages: 0 });
                    if reply.send(true).is_err() {
                        info!("who asked for a hearing has gone; it is held all the same");
                    }
                    let Some(result) = self.hear(seconds, filters, &mut asked).await else { return };
                    let ended = clock::now();
                    self.state.send_replace(match result {
                        Ok((heard, report)) => {
                            self.heard = Some(Arc::new(heard));
                            Discovery::Done { began, ended, report: Arc::new(report) }
                        }
                        Err(Trouble { code, text }) => {
                            warn!(code, error = %text.en, "nothing was heard");
                            Discovery::Failed { ended, code, text }
                        }
                    });
                }
                DiscoveryCommand::Stop => {}
                DiscoveryCommand::Adopt { wish, reply } => self.adopt(wish, reply).await,
                DiscoveryCommand::Drop { by, kind, key, reply } => self.drop_adopted(by, (kind, key), reply).await,
            }
        }
    }

    /// Hears until the time is up or somebody has heard enough; None when the daemon ends.
    async fn hear(
        &self,
        seconds: u64,
        filters: Vec<String>,
        asked: &mut mpsc::Receiver<DiscoveryCommand>,
    ) -> Option<Result<(Heard, Value), Trouble>> {
        let filters = if filters.is_empty() { vec!["#".to_owned()] } else { filters };
        let (stop, stopped) = oneshot::channel::<()>();
        let (done, mut result) = oneshot::channel();
        let (heard, path) = (self.state.clone(), self.config.clone());
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
        loop {
            tokio::select! {
                result = &mut result => return Some(result.unwrap_or_else(|_| Err(internal()))),
                command = asked.recv() => match command {
                    Some(DiscoveryCommand::Hear { reply, .. }) => if reply.send(false).is_err() {
                        info!("who asked for a second hearing has gone");
                    },
                    // The daemon ends, or somebody has heard enough: the thread hears of it by the sender's end.
                    Some(DiscoveryCommand::Stop) => drop(stop.take()),
                    Some(DiscoveryCommand::Adopt { wish, reply }) => self.adopt(wish, reply).await,
                    Some(DiscoveryCommand::Drop { by, kind, key, reply }) => self.drop_adopted(by, (kind, key), reply).await,
                    None => return None,
                },
            }
        }
    }

    async fn adopt(&self, wish: AdoptWish, reply: oneshot::Sender<Result<Vec<AdoptedPoint>, AdoptRefusal>>) {
        let (path, heard) = (self.config.clone(), self.heard.clone());
        let adopted = self.written(move |adoptions| {
            let stored = stored(&path)?;
            let tested = adoption::test(&path, &stored, &wish, heard.as_deref(), clock::now_and_sure()).map_err(AdoptRefusal::Problems)?;
            let record = |kind: AdoptedKind, key: String, toml| AdoptedRecord {
                at: clock::now(),
                by: wish.by.clone(),
                kind: kind.code().to_owned(),
                key,
                toml: Some(toml),
            };
            write(adoptions, tested.entries.into_iter().map(|e| record(e.kind, e.key, e.toml)).collect())?;
            Ok(tested.points)
        });
        self.answer(adopted.await, reply).await;
    }

    async fn drop_adopted(&self, by: String, (kind, key): (String, String), reply: oneshot::Sender<Result<(), AdoptRefusal>>) {
        let path = self.config.clone();
        let dropped = self.written(move |adoptions| {
            let stored = stored(&path)?;
            let kind = AdoptedKind::of(&kind).filter(|k| stored.iter().any(|(_, r)| r.kind == k.code() && r.key == key));
            let kind = kind.ok_or(AdoptRefusal::Unknown)?;
            adoption::test_drop(&path, &stored, (kind, &key)).map_err(AdoptRefusal::Problems)?;
            write(adoptions, vec![AdoptedRecord { at: clock::now(), by, kind: kind.code().to_owned(), key, toml: None }])
        });
        self.answer(dropped.await, reply).await;
    }

    /// Does something on a thread that may block, with the way to the store. While that is closed nobody waits for the next: the stop waits for the
    /// very request that asked.
    async fn written<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Adoptions) -> Result<T, AdoptRefusal> + Send + 'static,
    ) -> Result<T, AdoptRefusal> {
        let Some(adoptions) = self.store.borrow().clone() else { return Err(AdoptRefusal::Busy) };
        tokio::task::spawn_blocking(move || f(&adoptions)).await.map_err(|_| AdoptRefusal::Store)?
    }

    /// Answers; and where something was written, tells what was heard anew and has the daemon start by it.
    async fn answer<T>(&self, result: Result<T, AdoptRefusal>, reply: oneshot::Sender<Result<T, AdoptRefusal>>) {
        let is_written = result.is_ok();
        if is_written && let (Some(heard), path) = (self.heard.clone(), self.config.clone()) {
            let again = tokio::task::spawn_blocking(move || afresh(&path, &heard)).await;
            match again {
                Ok(Ok(afresh)) => self.state.send_modify(|s| {
                    if let Discovery::Done { report, .. } = s {
                        *report = Arc::new(afresh);
                    }
                }),
                Ok(Err(t)) => warn!(code = t.code, error = %t.text.en, "what was heard cannot be told anew"),
                Err(e) => error!(error = %e, "what was heard cannot be told anew"),
            }
        }
        if reply.send(result).is_err() {
            info!("who asked for a device to be adopted or dropped has gone");
        }
        if is_written && self.changed.try_send(()).is_err() {
            tracing::debug!("the daemon knows already that something changed");
        }
    }
}

fn stored(path: &Path) -> Result<Vec<(u64, AdoptedRecord)>, AdoptRefusal> {
    let database = configured::file(path).map(|w| w.config().store.path.clone());
    // What is wrong in the file is told where it is tried.
    let Ok(database) = database else { return Ok(vec![]) };
    configured::stored(&database).map_err(|e| {
        error!(error = %e, "what was adopted cannot be read");
        AdoptRefusal::Store
    })
}

fn write(adoptions: &Adoptions, records: Vec<AdoptedRecord>) -> Result<(), AdoptRefusal> {
    let what: Vec<String> = records.iter().map(|r| format!("{} {}", r.kind, r.key)).collect();
    adoptions.write(records).map_err(|e| match e {
        CommitError::Gone => AdoptRefusal::Busy,
        e => {
            error!(error = %e, "nothing could be adopted or dropped");
            AdoptRefusal::Store
        }
    })?;
    info!(what = what.join(", "), "adopted or dropped");
    Ok(())
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
fn once(
    path: &Path,
    span: Duration,
    filters: Vec<String>,
    stop: oneshot::Receiver<()>,
    tell: &dyn Fn(News),
) -> Result<(Heard, Value), Trouble> {
    let Joined { config, .. } = joined(path)?;
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
    let report = afresh(path, &heard)?;
    Ok((heard, report))
}

/// Tells what was heard, by the config as it is now.
fn afresh(path: &Path, heard: &Heard) -> Result<Value, Trouble> {
    let joined = joined(path)?;
    let mqtt = joined.config.mqtt.as_ref().ok_or_else(|| in_config("it has no [mqtt] any more"))?;
    let (now, sure) = clock::now_and_sure();
    let clock = Clock { now, sure, since: joined.config.topology.since };
    Ok(told(&report(heard, &joined, mqtt, clock)))
}

fn joined(path: &Path) -> Result<Joined, Trouble> {
    let (joined, unread) = configured::load(path).map_err(|e| unreadable(&e))?;
    match unread {
        Some(e) => Err(in_config(&e.to_string())),
        None => Ok(joined),
    }
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
