//! Tries rules over the past for whoever asks by the API: one at a time, on a thread of its own with its own connection to the store.
//!
//! It is no part of the gateway's work: should it fail, or panic, that is told to who asked, and everything else goes on.

use crate::backtest::{self, Files, Progress, Report, Shelf, Wish};
use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use crate::store::Reader;
use crate::texts::{Text, say};
use crate::web::{Backtest, BacktestCommand, BacktestDoor, BacktestRefusal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

/// Commands that wait. Full: the client is told to come again.
const COMMANDS: usize = 4;
/// How often it is told how far it is.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// What the daemon holds of it.
pub struct Desk {
    pub door: BacktestDoor,
    stop: watch::Sender<bool>,
    clerk: JoinHandle<()>,
}

impl Desk {
    /// Ends what is being tried, and waits until its thread has let go of the store. False if the clerk panicked.
    pub async fn stop(self) -> bool {
        self.stop.send_replace(true);
        self.clerk.await.is_ok()
    }
}

/// Starts the task that tries when it is asked, within a runtime. Files lie beside `database`; those of an earlier process are removed. `clock`: what
/// is stored ends now.
pub fn start(topology: Arc<Topology>, reader: &Reader, database: &Path, clock: fn() -> Ts) -> Desk {
    let shelf = Shelf::beside(database);
    shelf.clear();
    let (commands, asked) = mpsc::channel(COMMANDS);
    let (state, states) = watch::channel(Backtest::Idle);
    let (stop, stopped) = watch::channel(false);
    let clerk = Clerk { topology, reader: reader.dedicated(), shelf: shelf.clone(), state, clock };
    let clerk = tokio::spawn(clerk.serve(asked, stopped));
    Desk { door: BacktestDoor { commands, state: states, shelf }, stop, clerk }
}

/// A back-test that came to nothing.
struct Trouble {
    code: &'static str,
    text: Text,
}

/// How a thread's work ended: None where somebody ended it.
type Outcome = Result<Option<Report>, Trouble>;

struct Clerk {
    topology: Arc<Topology>,
    reader: Reader,
    shelf: Shelf,
    state: watch::Sender<Backtest>,
    clock: fn() -> Ts,
}

impl Clerk {
    async fn serve(self, mut asked: mpsc::Receiver<BacktestCommand>, mut stopped: watch::Receiver<bool>) {
        loop {
            let command = tokio::select! {
                command = asked.recv() => command,
                // A dropped sender is a stop as well.
                _ = stopped.wait_for(|s| *s) => None,
            };
            match command {
                Some(BacktestCommand::Start { wish, from_files, reply }) => {
                    let files = if from_files { self.shelf.take() } else { None };
                    let begins = files.is_some() || !from_files;
                    if begins {
                        let began = (self.clock)();
                        self.state.send_replace(Backtest::Running { wish, from_files, began, progress: Progress::default() });
                    }
                    if reply.send(if begins { Ok(()) } else { Err(BacktestRefusal::NoFiles) }).is_err() {
                        info!("who asked for a back-test has gone; it is made all the same");
                    }
                    if begins && self.tries(wish, files, &mut asked, &mut stopped).await.is_break() {
                        break;
                    }
                }
                Some(BacktestCommand::Stop) => {}
                None => break,
            }
        }
        self.shelf.clear();
    }

    /// Tries until it is done or somebody has heard enough; a break when the daemon ends.
    async fn tries(
        &self,
        wish: Wish,
        files: Option<Files>,
        asked: &mut mpsc::Receiver<BacktestCommand>,
        stopped: &mut watch::Receiver<bool>,
    ) -> std::ops::ControlFlow<()> {
        let (began, from_files) = ((self.clock)(), files.is_some());
        let enough = Arc::new(AtomicBool::new(false));
        let (done, mut result) = oneshot::channel();
        let (topology, reader, state, heard) = (self.topology.clone(), self.reader.clone(), self.state.clone(), enough.clone());
        let body = move || {
            let outcome = once(&wish, &topology, &reader, files.as_ref(), began, &heard, &state);
            // The files go before anybody hears that it is over.
            drop(files);
            if done.send(outcome).is_err() {
                info!("nobody waits for the back-test");
            }
        };
        if let Err(e) = std::thread::Builder::new().name("backtest".into()).spawn(body) {
            warn!(error = %e, "no thread for a back-test");
        }
        let mut ends = false;
        let outcome = loop {
            tokio::select! {
                outcome = &mut result => break outcome.unwrap_or_else(|_| Err(internal())),
                _ = stopped.wait_for(|s| *s), if !ends => {
                    ends = true;
                    enough.store(true, Ordering::Relaxed);
                }
                command = asked.recv(), if !ends => match command {
                    Some(BacktestCommand::Start { reply, .. }) => if reply.send(Err(BacktestRefusal::Running)).is_err() {
                        info!("who asked for a second back-test has gone");
                    },
                    Some(BacktestCommand::Stop) => enough.store(true, Ordering::Relaxed),
                    None => {
                        ends = true;
                        enough.store(true, Ordering::Relaxed);
                    }
                },
            }
        };
        let ended = (self.clock)();
        self.state.send_replace(match outcome {
            Ok(Some(report)) => {
                info!(rows = report.rows, seconds = report.seconds, "back-tested");
                Backtest::Done { wish, from_files, began, ended, report: Arc::new(report) }
            }
            Ok(None) => Backtest::Stopped { ended },
            Err(Trouble { code, text }) => {
                warn!(code, error = %text.en, "a back-test came to nothing");
                Backtest::Failed { ended, code, text }
            }
        });
        if ends { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    }
}

/// On its thread.
fn once(
    wish: &Wish,
    topology: &Arc<Topology>,
    reader: &Reader,
    files: Option<&Files>,
    now: Ts,
    enough: &AtomicBool,
    state: &watch::Sender<Backtest>,
) -> Outcome {
    let mut told = Instant::now();
    let mut watch = |news: Progress| {
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            state.send_modify(|s| {
                if let Backtest::Running { progress, .. } = s {
                    *progress = news;
                }
            });
        }
        !enough.load(Ordering::Relaxed)
    };
    match backtest::run(wish, topology, reader, files, now, &mut watch) {
        Ok(report) => Ok(Some(report)),
        Err(backtest::Error::Stopped) => Ok(None),
        Err(e) => Err(trouble(&e)),
    }
}

fn trouble(e: &backtest::Error) -> Trouble {
    let why = e.to_string();
    match e {
        backtest::Error::Nothing { .. } | backtest::Error::Empty | backtest::Error::Stopped => {
            Trouble { code: "nothing", text: say("backtest.nothing", &[]) }
        }
        backtest::Error::Files(why) => Trouble { code: "files", text: say("backtest.files", &[("why", why.as_str().into())]) },
        backtest::Error::Store(_) => {
            error!(error = %why, "a back-test could not read the store");
            Trouble { code: "store", text: say("backtest.store", &[]) }
        }
    }
}

fn internal() -> Trouble {
    Trouble { code: "internal", text: say("backtest.internal", &[]) }
}
