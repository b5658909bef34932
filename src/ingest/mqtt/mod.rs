//! Messages from the broker, and acknowledgements back to it once what they carried is durable.
//!
//! One thread with a runtime of its own, so that nothing else can keep the connection waiting. In it two loops ([`session`]) share
//! a little state ([`delivery`]): one polls the client and decodes, the other takes what was committed. On one thread they cannot
//! interleave inside a step, which is what makes the acknowledgements safe.
//!
//! When the inbox is full the client is not polled: the broker keeps what it has, and drops the connection if that lasts longer
//! than the keep-alive. Nothing is lost by it: what was not acknowledged comes again.

mod delivery;
mod session;
mod topics;

pub use delivery::{AckSender, AckToken};
pub use topics::{Topics, matches, source_of};

use crate::broker::Broker;
use crate::domain::engine::Input;
use crate::domain::time::Ts;
use crate::ingest::decode::Spec;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What the broker's `message_size_limit` should be. Payloads over [`PAYLOAD_LIMIT`](crate::ingest::decode::PAYLOAD_LIMIT) are refused by the decoder, and counted.
pub const BROKER_MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

/// Chunks of messages between the broker and the engine, of at most nine messages each (the client reads no more at a time). Full:
/// the client is not polled, the broker keeps the rest.
pub const INBOX_CHUNKS: usize = 128;

/// Where the broker is, and what we ask for.
#[derive(Clone)]
pub struct Settings {
    /// Its client id is stable: the broker's session, and so the messages that wait in it, hang on it.
    pub broker: Broker,
    pub subscriptions: Vec<Subscription>,
    /// Filters of before that hold no more: the session is told to forget them.
    pub former: Vec<String>,
    /// Readings with an earlier time stamp are refused.
    pub since: Ts,
    /// The gateway's clock and whether it is synchronised.
    pub clock: fn() -> (Ts, bool),
}

/// Topics, and how their messages are read.
#[derive(Clone)]
pub struct Subscription {
    /// May hold one `+`.
    pub filter: String,
    /// Names the source of a message: the same filter, or another of the same device. None: its messages speak of all devices of the feed.
    pub source: Option<String>,
    pub spec: Spec,
}

/// One message on its way to the engine.
pub struct Arrival {
    pub input: Input,
    pub received: Ts,
    /// None for QoS 0: nobody waits.
    pub ack: Option<AckToken>,
}

/// What comes from the broker, in order.
pub enum FromBroker {
    Connected,
    Disconnected,
    Messages(Vec<Arrival>),
}

/// The state of the way to the broker, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub state: LinkState,
    pub since: Ts,
    pub last_error: Option<String>,
    /// Filters that the broker refused to serve (its access list).
    pub refused_filters: Vec<String>,
    /// Connections made since the process started.
    pub connects: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Not yet connected since the process started.
    Connecting,
    Connected,
    Away,
}

/// The other ends of the thread's channels.
pub struct Link {
    pub acks: AckSender,
    pub status: watch::Receiver<Status>,
    thread: Running,
}

/// The running thread. Told to stop, it takes no more messages, sends the acknowledgements that are still handed to it until
/// every [`AckSender`] is gone, and says goodbye to the broker.
pub struct Running {
    stop: watch::Sender<bool>,
    thread: std::thread::JoinHandle<()>,
}

impl Link {
    pub fn split(self) -> (AckSender, watch::Receiver<Status>, Running) {
        (self.acks, self.status, self.thread)
    }
}

impl Running {
    /// Takes no more messages from now on.
    pub fn stop_taking(&self) {
        self.stop.send_replace(true);
    }
    /// Waits for the end; false if it panicked.
    pub fn join(self) -> bool {
        self.thread.join().is_ok()
    }
}

/// Why the thread could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no thread for MQTT: {0}")]
    Thread(#[from] std::io::Error),
}

/// Starts the thread. It connects, and connects again with growing pauses, until it is told to stop.
///
/// `on_end` is called when the thread ends for whatever reason.
pub fn start(settings: Settings, inbox: mpsc::Sender<FromBroker>, on_end: impl FnOnce() + Send + 'static) -> Result<Link, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let now = (settings.clock)().0;
    let (acks, committed) = delivery::channel();
    let (stop, stopped) = watch::channel(false);
    let (status_tx, status) =
        watch::channel(Status { state: LinkState::Connecting, since: now, last_error: None, refused_filters: vec![], connects: 0 });
    let settings = Arc::new(settings);
    let thread = std::thread::Builder::new().name("mqtt".into()).spawn(move || {
        let _end = OnDrop(Some(on_end));
        runtime.block_on(session::run(settings, inbox, committed, stopped, status_tx));
        // What the resolver's thread still does for a broker that is away must not hold up the end.
        runtime.shutdown_timeout(Duration::from_millis(100));
    })?;
    Ok(Link { acks, status, thread: Running { stop, thread } })
}

/// Calls its function when dropped, also in a panic.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}
