//! What the web is given by the daemon, and how the handlers get at the few of these that each needs.

use super::backtest::BacktestDoor;
use super::discovery::DiscoveryDoor;
use super::error::Error;
use super::export::Exports;
use super::health::Health;
use super::live::Streams;
use super::overview::Board;
use super::tagged::Answers;
use crate::domain::amendment::Entry;
use crate::domain::engine::{Amend, Command, CommandError, HandReading, Snapshot, Study};
use crate::domain::incident::Incident;
use crate::domain::topology::{PointIx, Topology};
use crate::store::{Photo, Photos, READER_CONNECTIONS, ReadError, Reader};
use axum::extract::FromRef;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// All that the web knows of the rest of the gateway. Everything is read or asked, nothing is shared for writing.
pub struct Handles {
    pub topology: Arc<Topology>,
    /// The engine's state after the newest commit.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    pub reader: Reader,
    /// To the engine; bounded. When it is full, the client is told to come again.
    pub commands: mpsc::Sender<CommandRequest>,
    pub health: watch::Receiver<Arc<Health>>,
    pub discovery: DiscoveryDoor,
    pub backtest: BacktestDoor,
    pub photos: Photos,
}

/// What is answered after the commit: who is told "accepted" can rely on it. A caller that went away is nobody's loss.
pub type Reply<T> = oneshot::Sender<Result<Arc<T>, CommandError>>;

/// A person's command on its way to the engine.
#[derive(Debug)]
pub enum CommandRequest {
    Incident(Command, Reply<Incident>),
    Amend(Amend, Reply<Entry>),
    Read(HandReading, Reply<Entry>),
    /// Changes nothing, and is answered at once.
    Study(PointIx, Reply<Study>),
}

/// How long a request waits for its turn at the store.
const TURN: Duration = Duration::from_secs(2);
/// How long a command may wait for its commit.
const ANSWER: Duration = Duration::from_secs(10);

pub type Snapshots = watch::Receiver<Arc<Snapshot>>;
pub type HealthState = watch::Receiver<Arc<Health>>;

/// The router's state. Handlers never name it: they name one of the parts below.
#[derive(Clone)]
pub struct App {
    topology: Arc<Topology>,
    snapshot: Snapshots,
    health: HealthState,
    store: Store,
    engine: EngineDoor,
    discovery: DiscoveryDoor,
    backtest: BacktestDoor,
    photos: PhotoDoor,
    streams: Streams,
    exports: Exports,
    board: Board,
    answers: Answers,
}

impl App {
    pub fn new(h: Handles, streams: Streams) -> App {
        let exports = Exports::new(h.reader.clone());
        App {
            exports,
            answers: Answers::default(),
            board: Board::new(&h.topology),
            topology: h.topology,
            snapshot: h.snapshot,
            health: h.health,
            store: Store { reader: h.reader, turns: Arc::new(Semaphore::new(READER_CONNECTIONS)) },
            engine: EngineDoor(h.commands),
            discovery: h.discovery,
            backtest: h.backtest,
            photos: PhotoDoor(h.photos),
            streams,
        }
    }
}

impl FromRef<App> for Arc<Topology> {
    fn from_ref(a: &App) -> Self {
        a.topology.clone()
    }
}
impl FromRef<App> for Snapshots {
    fn from_ref(a: &App) -> Self {
        a.snapshot.clone()
    }
}
impl FromRef<App> for HealthState {
    fn from_ref(a: &App) -> Self {
        a.health.clone()
    }
}
impl FromRef<App> for Store {
    fn from_ref(a: &App) -> Self {
        a.store.clone()
    }
}
impl FromRef<App> for EngineDoor {
    fn from_ref(a: &App) -> Self {
        a.engine.clone()
    }
}
impl FromRef<App> for DiscoveryDoor {
    fn from_ref(a: &App) -> Self {
        a.discovery.clone()
    }
}
impl FromRef<App> for BacktestDoor {
    fn from_ref(a: &App) -> Self {
        a.backtest.clone()
    }
}
impl FromRef<App> for PhotoDoor {
    fn from_ref(a: &App) -> Self {
        a.photos.clone()
    }
}
impl FromRef<App> for Exports {
    fn from_ref(a: &App) -> Self {
        a.exports.clone()
    }
}
impl FromRef<App> for Board {
    fn from_ref(a: &App) -> Self {
        a.board.clone()
    }
}
impl FromRef<App> for Answers {
    fn from_ref(a: &App) -> Self {
        a.answers.clone()
    }
}
impl FromRef<App> for Streams {
    fn from_ref(a: &App) -> Self {
        a.streams.clone()
    }
}

/// The store's reader, asked from threads that may block, by no more requests at once than it has connections.
#[derive(Clone)]
pub struct Store {
    reader: Reader,
    turns: Arc<Semaphore>,
}

impl Store {
    /// Asks one question. The turn ends with the question, not with the request: a client that hangs up frees no place too early.
    pub async fn ask<T, F>(&self, question: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static,
    {
        let turn = tokio::time::timeout(TURN, self.turns.clone().acquire_owned()).await.map_err(|_| Error::Busy)?;
        let turn = turn.map_err(|_| Error::Stopping)?;
        let reader = self.reader.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question(&reader);
            drop(turn);
            answer
        });
        Ok(answer.await.map_err(|e| Error::Internal(format!("a question to the store ended early: {e}")))??)
    }
}

/// The way to keep pictures.
#[derive(Clone)]
pub struct PhotoDoor(Photos);

impl PhotoDoor {
    /// What comes back is durable; false where the entry has another one.
    pub async fn keep(&self, photo: Photo) -> Result<bool, Error> {
        let photos = self.0.clone();
        let kept = tokio::task::spawn_blocking(move || photos.keep(photo)).await;
        kept.map_err(|e| Error::Internal(format!("a picture was not kept: {e}")))?.map_err(|e| {
            tracing::error!(error = %e, "a picture could not be kept");
            Error::Unavailable
        })
    }
}

/// The way to the engine.
#[derive(Clone)]
pub struct EngineDoor(mpsc::Sender<CommandRequest>);

impl EngineDoor {
    /// Has a command done. What comes back is durable.
    pub async fn command(&self, command: Command) -> Result<Arc<Incident>, Error> {
        self.ask(|reply| CommandRequest::Incident(command, reply)).await
    }

    /// Has something written into the ledger. What comes back is durable.
    pub async fn amend(&self, amend: Amend) -> Result<Arc<Entry>, Error> {
        self.ask(|reply| CommandRequest::Amend(amend, reply)).await
    }

    /// Has a hand reading taken. What comes back is durable.
    pub async fn read_by_hand(&self, hand: HandReading) -> Result<Arc<Entry>, Error> {
        self.ask(|reply| CommandRequest::Read(hand, reply)).await
    }

    /// What is known of a point's habits.
    pub async fn study(&self, point: PointIx) -> Result<Arc<Study>, Error> {
        self.ask(|reply| CommandRequest::Study(point, reply)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> CommandRequest) -> Result<Arc<T>, Error> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(request(reply)).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Stopping,
        })?;
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(Ok(answer)) => Ok(answer?),
            // The engine ended with the command in hand, or the disk is slow: it may yet be found done.
            Ok(Err(_)) | Err(_) => Err(Error::Unanswered),
        }
    }
}
