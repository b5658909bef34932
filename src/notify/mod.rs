//! Tells people: what the outbox holds goes to the channels, each at its own pace, until each has taken it.
//!
//! Order of the files: [`facts`] gathers what is to be said, [`words`] says it, [`plan`] decides what is sent when (pure), [`wecom`] and
//! [`webhook`] know the form and the answers, [`channel`] is the loop of one channel. One channel that is away delays no other.
//!
//! Sent is not told: a message may leave twice (a crash between the answer and the mark), never not at all. Addresses and keys are
//! [`Secret`]s and stay here.

mod channel;
mod client;
mod facts;
mod plan;
mod secret;
mod trouble;
mod webhook;
mod wecom;
mod words;

pub use channel::test;
pub use secret::Secret;
pub use trouble::Trouble;
pub use wecom::Mentions;

use crate::domain::engine::Snapshot;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::Topology;
use crate::store::{Outbox, Reader};
use channel::Task;
use client::Client;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// After so long nobody is helped by an alarm any more.
pub const GIVEN_UP_AFTER: Ms = Ms::days(7);

/// One way to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Unique; entries of the outbox name it.
    pub name: Arc<str>,
    pub url: Secret,
    pub form: Form,
    pub language: Language,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Webhook { secret: Option<Secret> },
    Wecom { mentions: Mentions },
}

impl Form {
    /// As the config calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Form::Webhook { .. } => "webhook",
            Form::Wecom { .. } => "wecom",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Chinese,
    English,
}

/// All that the channels know of the rest of the gateway.
#[derive(Clone)]
pub struct Handles {
    pub topology: Arc<Topology>,
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    pub reader: Reader,
    pub outbox: Outbox,
    /// Changes with every commit that holds notices.
    pub committed: watch::Receiver<u64>,
    /// The gateway's clock.
    pub clock: fn() -> Ts,
}

/// How a channel does, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub name: Arc<str>,
    /// `webhook` or `wecom`.
    pub kind: &'static str,
    /// Since when nothing gets through; None while all is well.
    pub failing_since: Option<Ts>,
    /// The newest trouble, also of a time that is over.
    pub last_trouble: Option<Trouble>,
    /// Notices that wait.
    pub pending: u64,
    /// Messages that were taken, since the process started.
    pub sent: u64,
    /// Attempts that failed, since the process started.
    pub failed: u64,
    /// Also of earlier processes, as far as the log goes back.
    pub last_sent: Option<Ts>,
}

/// The running channels.
pub struct Running {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Starts one task per channel. The statuses stand in the order of the settings.
pub fn start(channels: Vec<Settings>, handles: &Handles) -> (Running, watch::Receiver<Vec<Status>>) {
    let fresh = |c: &Settings| Status {
        name: c.name.clone(),
        kind: c.form.kind(),
        failing_since: None,
        last_trouble: None,
        pending: 0,
        sent: 0,
        failed: 0,
        last_sent: None,
    };
    let (status, statuses) = watch::channel(channels.iter().map(fresh).collect());
    let (stop, stopped) = watch::channel(false);
    let client = Arc::new(Client::default());
    // One question at a time: the others of the pool's connections are the web's.
    let turn = Arc::new(Semaphore::new(1));
    let mut tasks = JoinSet::new();
    for (nth, settings) in channels.into_iter().enumerate() {
        let task = Task::new(nth, settings, handles.clone(), client.clone(), turn.clone(), status.clone());
        tasks.spawn(task.run(stopped.clone()));
    }
    (Running { tasks, stop }, statuses)
}

impl Running {
    /// Ends when a task does, which none should; never where there are none.
    pub async fn ended(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// No new message is begun; one that is on its way has this long to be taken and marked. What is not, is told after the next start.
    pub async fn stop(mut self, at_most: Duration) {
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(at_most, all).await.is_err() {
            tracing::warn!("a message was on its way at the stop; it may be told again");
        }
    }
}
