//! The process: starts the parts in order, watches over them, stops them in order.
//!
//! Threads: `engine` (owns the domain, [`engine_thread`]), `store` (writes), `mqtt` (the broker), [`historian`] (tells days), `backup` (the daily
//! copy, where there is to be one), [`backtest`] (while somebody tries rules over the past), and the runtime's workers for HTTP, channels, announcements, signals and the watchdog. A part that ends by itself ends the
//! process: a gateway that half works looks like one that
//! works.

pub mod backtest;
mod backup;
mod boot;
mod clock;
mod commit_rule;
mod configured;
pub mod discover;
mod engine_thread;
mod error;
mod health;
mod historian;
mod settings;

pub use clock::{now, now_and_sure};
pub use configured::{DropError, drop_adopted, file as config_file, load as configured};
pub use error::Error;
pub use settings::{broker, channels, subscriptions};

use crate::config::{self, Written};
use crate::domain::engine::Effects;
use crate::ingest::mqtt::{self, FromBroker, INBOX_CHUNKS};
use crate::{announce, notify, store, systemd, web};
use engine_thread::{EngineThread, Inputs, Outputs, StoreStatus};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

/// Commands of people that wait for the engine. Full: the API's answer waits.
const COMMANDS: usize = 16;

/// The orderly stop takes no longer; what is not committed by then comes again from the broker.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How long the orderly stop waits for a message that is on its way.
const LAST_MESSAGE: Duration = Duration::from_secs(1);

/// Runs by the config file `path` until a signal or until a part ends by itself.
pub fn run(path: &Path) -> Result<(), Error> {
    let written = configured::file(path)?;
    // Two workers: one can wait for a slow client while the other serves. Blocking work is bounded: two questions to the store, two exports
    // (which may wait for their clients for hours), a device that is adopted, a file that is uploaded, what the stop waits for; while the network is away, every channel may have two look-ups
    // of a name hanging.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(9 + 2 * written.config().channels.len())
        .enable_all()
        .build()
        .map_err(Error::Thread)?;
    let result = runtime.block_on(serve_on(written, path));
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// How a part ended: its name, and what it said.
type Ended = (&'static str, Result<(), Error>);

/// Why the daemon stopped serving.
enum End {
    Stopped,
    /// Something was adopted or dropped: the config is read anew.
    Again,
}

/// What is not stopped and started anew with the rest.
struct Lasting {
    /// The config file.
    path: PathBuf,
    signals: Signals,
    discovery: discover::Desk,
    /// Every filter that was subscribed to since the process began.
    filters: BTreeSet<String>,
    /// With the address that the config gives it: clients that come in between wait, they are not refused.
    listener: Option<(SocketAddr, std::net::TcpListener)>,
}

impl Lasting {
    /// Whether a start would succeed now, with this database: before anything is stopped.
    fn readable(&self, database: &Path) -> Result<(), String> {
        match configured::load(&self.path).map_err(|e| e.to_string())? {
            (whole, None) if whole.config.store.path == database => Ok(()),
            (whole, None) => Err(format!("it names another database, {}", whole.config.store.path.display())),
            (_, Some(e)) => Err(e.to_string()),
        }
    }

    async fn listen(&mut self, addr: SocketAddr) -> std::io::Result<TcpListener> {
        let listener = match self.listener.take() {
            Some((same, listener)) if same == addr => listener,
            _ => web::Settings { listen: addr }.bind().await?.into_std()?,
        };
        let ours = TcpListener::from_std(listener.try_clone()?)?;
        self.listener = Some((addr, listener));
        Ok(ours)
    }
}

/// Serves by the config, and again by what it is then, whenever that was changed from within.
async fn serve_on(mut written: Written, path: &Path) -> Result<(), Error> {
    let discovery = discover::start(path.to_owned());
    let mut lasting = Lasting { path: path.to_owned(), signals: Signals::new()?, discovery, filters: BTreeSet::new(), listener: None };
    while let End::Again = serve(written, &mut lasting).await? {
        written = configured::file(path)?;
    }
    Ok(())
}

async fn serve(written: Written, lasting: &mut Lasting) -> Result<End, Error> {
    let began = Instant::now();
    let (writer, reader) = store::open(&store::Settings { path: written.config().store.path.clone() })?;
    let whole = configured::joined(written, &configured::adopted(&reader.adopted()?))?;
    whole
        .in_file
        .iter()
        .for_each(|a| info!(kind = a.kind.code(), key = a.key, "adopted, and in the config file as well: the file's counts"));
    let config = &whole.config;
    let topology = Arc::new(config.topology.clone());
    let mut mqtt_settings = config.mqtt.as_ref().map(|m| settings::mqtt(config, m)).transpose()?;
    if let Some(m) = &mut mqtt_settings {
        let filters: BTreeSet<String> = m.subscriptions.iter().map(|s| s.filter.clone()).collect();
        m.former = lasting.filters.difference(&filters).cloned().collect();
        lasting.filters.extend(filters);
    }
    let announcer = config.mqtt.as_ref().zip(mqtt_settings.as_ref()).and_then(|(m, same)| settings::announce(m, same));
    let channels = settings::channels(config)?;
    if channels.is_empty() {
        info!("the config names no channel: incidents are shown, and nobody is told of them");
    }
    let config::Retention { metering, other } = config.store.retention;
    writer.keep(store::Retention { metering, other })?;
    // A fold may take seconds: a signal that comes meanwhile ends the process, for nothing has happened yet.
    let folding = tokio::task::spawn_blocking({
        let (topology, reader) = (topology.clone(), reader.clone());
        move || boot::fold(topology, &reader)
    });
    let (mut engine, last_batch) = tokio::select! {
        folded = folding => folded.map_err(|_| Error::Died("the fold"))??,
        name = lasting.signals.next() => {
            info!(signal = name, "stopped before it was ready");
            return Ok(End::Stopped);
        }
    };
    let mut effects = Effects::default();
    engine.boot(clock::now(), last_batch, &mut effects);
    let addr = config.web.listen;
    let listener = lasting.listen(addr).await.map_err(|source| Error::Bind { addr, source })?;
    let bound = listener.local_addr().map_err(|source| Error::Bind { addr, source })?;

    let (ended_tx, mut ended) = mpsc::channel::<Ended>(5);
    let (stop_tx, stop) = watch::channel(false);
    let (web_stop_tx, mut web_stop) = watch::channel(false);
    let (broker_tx, broker) = mpsc::channel::<FromBroker>(INBOX_CHUNKS);
    let (commands_tx, commands) = mpsc::channel(COMMANDS);
    let (pings_tx, pings) = mpsc::channel(1);
    let (snapshot_tx, snapshot) = watch::channel(Arc::new(engine.snapshot(clock::now())));
    let (store_tx, store_status) = watch::channel(StoreStatus::new(clock::now()));

    let mut broker_tx = Some(broker_tx);
    let (mut acks, mut broker_status, mut mqtt_thread) = (None, None, None);
    if let (Some(settings), Some(inbox)) = (mqtt_settings, broker_tx.clone()) {
        let ended = ended_tx.clone();
        let link = mqtt::start(settings, inbox, move || report(&ended, ("mqtt", Ok(()))))?;
        let (a, s, t) = link.split();
        (acks, broker_status, mqtt_thread) = (Some(a), Some(s), Some(t));
        // The thread's own sender is the only one left: when it stops taking messages, the engine sees the end.
        broker_tx = None;
    }
    let inputs = Inputs { broker, commands, pings, stop };
    let (notices, committed) = watch::channel(last_batch);
    let names = channels.iter().map(|c| c.name.clone()).collect();
    let outputs = Outputs { acks, snapshot: snapshot_tx, store: store_tx, notices, channels: names };
    let outbox = writer.outbox();
    let told = ended_tx.clone();
    lasting.discovery.store.send_replace(Some(writer.adoptions()));
    let photos = writer.photos();
    let historian = historian::start(topology.clone(), &reader, writer.volumes()?, move || report(&told, ("historian", Ok(()))))?;
    let engine = EngineThread::new(engine, last_batch, effects, (writer, reader.clone()), inputs, outputs, config.store.linger)?;
    let engine_thread = spawn_engine(engine, ended_tx.clone())?;

    let told_by = notify::Handles {
        topology: topology.clone(),
        snapshot: snapshot.clone(),
        reader: reader.clone(),
        outbox,
        committed,
        clock: clock::now,
    };
    let (mut notifier, channels) = notify::start(channels, &told_by);
    let mut announcer = announcer.map(|settings| announce::start(settings, topology.clone(), snapshot.clone()));
    let mut copies = config.store.backup.clone().map(|backup| backup::Plan {
        gateway: topology.gateway.clone(),
        tz: topology.tz.clone(),
        database: store::Settings { path: config.store.path.clone() },
        backup,
    });
    let (copied_tx, copied) = copies.as_ref().map(backup::watch).unzip();
    let mut copied_tx = copied_tx;
    let parts = health::Parts {
        started_at: clock::now(),
        broker: broker_status,
        store: store_status,
        database: config.store.path.clone(),
        channels,
        backup: copied,
    };
    let mut health = health::watch(parts);
    let backtest = backtest::start(topology.clone(), &reader, &config.store.path, clock::now);
    let door = if config.mqtt.is_some() { lasting.discovery.door.clone() } else { web::DiscoveryDoor(None) };
    let tried = backtest.door.clone();
    let handles = web::Handles {
        topology,
        snapshot,
        reader,
        commands: commands_tx,
        health: health.clone(),
        discovery: door,
        backtest: tried,
        photos,
    };
    let mut web_task = tokio::spawn(web::serve(listener, handles, async move {
        // A dropped sender is a stop as well.
        drop(web_stop.wait_for(|s| *s).await);
    }));

    let (mut watchdog, mut backups) = (None, None);
    let (mut ready, mut again) = (false, false);
    let first_end = loop {
        tokio::select! {
            first = health.wait_for(|h| h.ready), if !ready => {
                ready = true;
                // An error means that the engine is gone, which the next turn tells.
                if first.is_ok() {
                    systemd::ready();
                    watchdog = Some(tokio::spawn(feed_watchdog(pings_tx.clone())));
                    // Not before: a start has enough to read.
                    backups = copies.take().zip(copied_tx.take()).map(|(plan, health)| backup::start(plan, health, Witness("backup", ended_tx.clone()))).transpose()?;
                    let meters = config.topology.points.len();
                    info!(address = %format!("http://{bound}/"), meters, ms = began.elapsed().as_millis(), "READY");
                }
            }
            name = lasting.signals.next() => { info!(signal = name, "stopping"); break None; }
            Some(()) = lasting.discovery.again.recv() => match lasting.readable(&config.store.path) {
                Ok(()) => { info!("what was adopted has changed: the config is read anew"); again = true; break None; }
                // As it runs it goes on: a gateway that reads by an old config is better than none.
                Err(why) => error!(why, "what was adopted has changed, but the config cannot be read anew as it is now; heyun check tells more"),
            },
            e = ended.recv() => break e,
            () = notifier.ended() => break Some(("notify", Ok(()))),
            () = announcer_ended(&mut announcer) => { announcer = None; break Some(("announce", Ok(()))); }
            web = &mut web_task => break Some(("web", web_end(web))),
        }
    };
    if again {
        systemd::reloading();
    } else {
        systemd::stopping();
    }
    lasting.discovery.store.send_replace(None);
    if !again {
        lasting.listener = None;
    }
    // A copy that is being made is not waited for: it has no name yet.
    drop(backups);
    if let Some((name, Ok(()))) = &first_end {
        error!(part = name, "a part ended by itself; stopping");
    }
    let web_is_over = web_task.is_finished();
    // The order: ingest closes, a message on its way is taken and marked, the engine drains, the store commits, the last acknowledgements leave, the web ends.
    let orderly = async {
        if let Some(t) = &mqtt_thread {
            t.stop_taking();
        }
        drop(broker_tx);
        if !backtest.stop().await {
            error!("the back-test's clerk panicked");
        }
        notifier.stop(LAST_MESSAGE).await;
        if let Some(announcer) = announcer {
            announcer.stop().await;
        }
        joined("historian", move || historian.stop()).await?;
        stop_tx.send_replace(true);
        joined("engine", move || engine_thread.join().is_ok()).await?;
        if let Some(t) = mqtt_thread {
            joined("mqtt", move || t.join()).await?;
        }
        web_stop_tx.send_replace(true);
        if web_is_over { Ok(()) } else { web_end(web_task.await) }
    };
    let mut orderly = std::pin::pin!(tokio::time::timeout(STOP_LIMIT, orderly));
    let finished = loop {
        tokio::select! {
            f = &mut orderly => break f.unwrap_or(Err(Error::Slow(STOP_LIMIT.as_secs()))),
            name = lasting.signals.next() => {
                if !again {
                    return Err(Error::Interrupted);
                }
                // It is stopped already, only not to start anew.
                info!(signal = name, "stopping");
                again = false;
                systemd::stopping();
                lasting.listener = None;
            }
        }
    };
    if let Some(w) = watchdog {
        w.abort();
    }
    if finished.is_ok() {
        info!("stopped");
    }
    // The first cause counts; after a signal, whatever went wrong while stopping.
    match first_end {
        Some((_, Err(e))) => Err(e),
        Some((name, Ok(()))) => Err(Error::Died(name)),
        None => std::iter::from_fn(|| ended.try_recv().ok()).find_map(|(_, r)| r.err()).map_or(finished, Err),
    }?;
    Ok(if again { End::Again } else { End::Stopped })
}

/// For ever, where nobody is announced to.
async fn announcer_ended(announcer: &mut Option<announce::Running>) {
    match announcer {
        Some(a) => a.ended().await,
        None => std::future::pending().await,
    }
}

/// Waits for a thread; an error if it panicked.
async fn joined(name: &'static str, join: impl FnOnce() -> bool + Send + 'static) -> Result<(), Error> {
    match tokio::task::spawn_blocking(join).await {
        Ok(true) => Ok(()),
        _ => Err(Error::Died(name)),
    }
}

/// How the web's task ended, also by a panic.
fn web_end(end: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), Error> {
    end.map_err(|_| Error::Died("web"))?.map_err(Error::Web)
}

/// Tells how a part ended. Nobody listens any more once the first end was told; the log has the rest.
fn report(to: &mpsc::Sender<Ended>, end: Ended) {
    if let (name, Err(e)) = &end {
        error!(part = name, error = %e, "a part failed");
    }
    if to.try_send(end).is_err() {
        tracing::debug!("the supervisor has heard enough");
    }
}

fn spawn_engine(engine: EngineThread, ended: mpsc::Sender<Ended>) -> Result<std::thread::JoinHandle<()>, Error> {
    let body = move || {
        let witness = Witness("engine", ended);
        let result = engine.run();
        report(&witness.1, ("engine", result));
    };
    std::thread::Builder::new().name("engine".into()).spawn(body).map_err(Error::Thread)
}

/// Tells of a thread's panic: then nobody else will.
struct Witness(&'static str, mpsc::Sender<Ended>);

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report(&self.1, (self.0, Err(Error::Died(self.0))));
        }
    }
}

/// Tells systemd that the process lives, as long as engine and store answer.
async fn feed_watchdog(pings: mpsc::Sender<oneshot::Sender<()>>) {
    let Some(limit) = systemd::watchdog() else { return };
    let mut every = tokio::time::interval(limit / 3);
    loop {
        every.tick().await;
        let (reply, answer) = oneshot::channel();
        // The engine is gone: let systemd see the silence, should the supervisor fail too.
        if pings.send(reply).await.is_err() || answer.await.is_err() {
            return;
        }
        systemd::alive();
    }
}

/// The two signals that stop the process.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Signals, Error> {
        let on = |kind| signal(kind).map_err(Error::Thread);
        Ok(Signals { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
