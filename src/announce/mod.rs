//! Tells Home Assistant of our meters, where the config wants that: MQTT discovery, and each register as it moves.
//!
//! A client of its own beside the one that reads: whether anybody can be told is nothing that a reading waits for. Everything is retained, and is
//! said anew with every connection, so a broker may forget it all. What the broker still holds of meters that are no more is taken back.

mod words;

use crate::broker::Broker;
use crate::domain::engine::Snapshot;
use crate::domain::topology::{Point, PointIx, Topology};
use rumqttc::{AsyncClient, ClientError, Event, EventLoop, LastWill, Outgoing, Packet, Publish, QoS};
use serde_json::Value;
use std::collections::HashSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};
use words::{OFFLINE, ONLINE, Words};

/// Messages that wait for the client's loop. Full: the speaker waits, nobody else does.
const REQUESTS: usize = 16;
/// Announcements of meters that are no more, on their way to be taken back. Full: the next connection finds the rest.
const STALE: usize = 256;
/// A register is told no more often than this.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a broker that is away is left alone.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Whom to tell.
#[derive(Debug)]
pub struct Settings {
    pub broker: Broker,
    /// What Home Assistant listens under, usually `homeassistant`.
    pub prefix: String,
}

/// The running task.
pub struct Running {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// Waits for an end that nobody asked for.
    pub async fn ended(&mut self) {
        if let Err(e) = (&mut self.task).await {
            warn!(error = %e, "the announcer ended");
        }
    }

    /// Says that the gateway goes, and ends. Not after [`Running::ended`].
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.ended().await;
    }
}

/// Points with a register.
fn meters(topology: &Topology) -> impl Iterator<Item = (PointIx, &Point)> {
    topology.point_ixs().map(|ix| (ix, topology.point(ix))).filter(|(_, p)| words::is_meter(p))
}

/// Starts the task. It connects, and connects again, until it is told to stop.
pub fn start(settings: Settings, topology: Arc<Topology>, snapshot: watch::Receiver<Arc<Snapshot>>) -> Running {
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(run(settings, topology, snapshot, stopped));
    Running { task, stop }
}

async fn run(settings: Settings, topology: Arc<Topology>, snapshot: watch::Receiver<Arc<Snapshot>>, mut stopped: watch::Receiver<bool>) {
    let words = Words::new(&topology, &settings.prefix);
    let mut options = settings.broker.options();
    options.set_last_will(LastWill::new(words.status_topic(), OFFLINE, QoS::AtLeastOnce, true));
    let (client, eventloop) = AsyncClient::new(options, REQUESTS);
    let (connections, connected) = watch::channel(0);
    let (stale, to_take_back) = mpsc::channel(STALE);
    let ours = meters(&topology).map(|(_, p)| words.config_topic(p)).collect();
    let line = Line { broker: &settings.broker, eventloop, connections, stale, ours };
    let speaker = Speaker { words: &words, topology: &topology, client: &client, connected: connected.clone(), snapshot, to_take_back };
    let stop = async {
        // A dropped sender is a stop as well.
        drop(stopped.wait_for(|s| *s).await);
    };
    // Only the speaker is broken off by the stop: the line brings its last words out, and ends with the goodbye.
    let talk = async {
        let speak = async {
            speaker.speak().await;
            // Nothing more can come. That the engine is gone is for others to tell: this must not look like the cause.
            pending::<()>().await;
        };
        tokio::select! {
            () = speak => {}
            () = stop => {}
        }
        if *connected.borrow() == 0 {
            return;
        }
        let goodbye = async {
            if say(&client, words.status_topic(), OFFLINE).await.is_ok() && client.disconnect().await.is_ok() {
                // The line ends when it has written it.
                pending::<()>().await;
            }
        };
        // A broker that reads nothing any more must not hold up the stop; it says offline for us.
        let in_time = timeout(GOODBYE, goodbye).await.is_ok();
        debug!(in_time, "goodbye");
    };
    tokio::select! {
        () = line.hold() => {}
        () = talk => {}
    }
}

async fn say(client: &AsyncClient, topic: String, what: impl Into<Vec<u8>>) -> Result<(), ClientError> {
    client.publish(topic, QoS::AtLeastOnce, true, what).await
}

/// Decides what is said.
struct Speaker<'a> {
    words: &'a Words<'a>,
    topology: &'a Topology,
    client: &'a AsyncClient,
    /// The number of the connection that stands; 0: none.
    connected: watch::Receiver<u64>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    to_take_back: mpsc::Receiver<String>,
}

impl Speaker<'_> {
    /// Ends when nothing more can come.
    async fn speak(mut self) {
        loop {
            let Ok(connection) = self.connected.wait_for(|c| *c > 0).await.map(|c| *c) else { return };
            let another = other_than(connection, self.connected.clone());
            let ended = tokio::select! {
                ended = self.all_and_then_what_moves() => ended,
                // All of it is said anew.
                () = another => continue,
            };
            if let Err(e) = ended {
                debug!(error = %e, "nobody can be told");
            }
            return;
        }
    }

    /// Ends when the engine is gone.
    async fn all_and_then_what_moves(&mut self) -> Result<(), ClientError> {
        self.client.subscribe(self.words.config_filter(), QoS::AtLeastOnce).await?;
        for (_, p) in meters(self.topology) {
            say(self.client, self.words.config_topic(p), self.words.config(p).to_string()).await?;
        }
        let mut told: Vec<Option<Value>> = vec![None; self.topology.points.len()];
        self.registers(&mut told).await?;
        say(self.client, self.words.status_topic(), ONLINE).await?;
        info!(meters = meters(self.topology).count(), "announced");
        loop {
            tokio::select! {
                changed = self.snapshot.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    self.registers(&mut told).await?;
                    sleep(PAUSE).await;
                }
                Some(topic) = self.to_take_back.recv() => {
                    info!(topic, "the announcement of a meter that is no more is taken back");
                    say(self.client, topic, "").await?;
                }
            }
        }
    }

    /// Tells the registers that are not as they were told.
    async fn registers(&mut self, told: &mut [Option<Value>]) -> Result<(), ClientError> {
        let now = self.snapshot.borrow_and_update().clone();
        for ((_, p), (state, told)) in self.topology.point_ixs().map(|ix| (ix, self.topology.point(ix))).zip(now.points.iter().zip(told)) {
            let Some(new) = self.words.state(state).filter(|_| words::is_meter(p)) else { continue };
            if told.as_ref() != Some(&new) {
                say(self.client, self.words.state_topic(p), new.to_string()).await?;
                *told = Some(new);
            }
        }
        Ok(())
    }
}

/// Waits until another connection stands than this one, or none.
async fn other_than(connection: u64, mut connected: watch::Receiver<u64>) {
    // Without a line nothing can be said either.
    drop(connected.wait_for(|c| *c != connection).await);
}

/// Holds the connection.
struct Line<'a> {
    broker: &'a Broker,
    eventloop: EventLoop,
    connections: watch::Sender<u64>,
    stale: mpsc::Sender<String>,
    /// Where our meters are announced.
    ours: HashSet<String>,
}

impl Line<'_> {
    /// Ends after the goodbye.
    async fn hold(mut self) {
        let mut connection = 0;
        let mut said = None;
        loop {
            match self.eventloop.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    connection += 1;
                    said = None;
                    self.connections.send_replace(connection);
                }
                Ok(Event::Incoming(Packet::Publish(p))) => self.found(&p),
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
                Err(e) => {
                    self.connections.send_replace(0);
                    let text = e.to_string();
                    if said.as_ref() != Some(&text) {
                        warn!(broker = %self.broker, error = %text, "Home Assistant cannot be told; trying again");
                        said = Some(text);
                    }
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// The broker holds an announcement.
    fn found(&self, p: &Publish) {
        let is_stale = !p.payload.is_empty() && !self.ours.contains(&p.topic);
        if is_stale && self.stale.try_send(p.topic.clone()).is_err() {
            debug!(topic = p.topic, "the next connection finds it");
        }
    }
}
