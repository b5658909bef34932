//! The thread that has days told as volumes once they are over, beside the engine's and the store's.

use super::error::Error;
use crate::domain::time::Ms;
use crate::domain::topology::Topology;
use crate::history::{Historian, Step, StepError, settle};
use crate::store::{Reader, Volumes, Woken};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Between one look and the next: a history that is loaded at full speed ends a day every moment, and each look costs a commit.
const REST: Duration = Duration::from_secs(2);
/// After an error; the engine says aloud that the disk fails.
const AFTER_ERROR: Duration = Duration::from_secs(60);
/// How often long work says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);
/// Nothing is waited for longer: a missed mark is then found.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The running thread.
pub struct Thread {
    /// Dropped: it ends.
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Thread {
    /// Asks it to end and waits until it has. False if it panicked.
    pub fn stop(self) -> bool {
        drop(self.stop);
        self.thread.join().is_ok()
    }
}

/// Starts it; what is told of meters that are others now is removed before. `ended` is called when the thread ends, whatever for.
pub fn start(topology: Arc<Topology>, reader: &Reader, volumes: Volumes, ended: impl FnOnce() + Send + 'static) -> Result<Thread, Error> {
    struct Ended<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Ended<F> {
        fn drop(&mut self) {
            if let Some(ended) = self.0.take() {
                ended();
            }
        }
    }
    let reader = reader.dedicated();
    settle(&reader, &volumes, &topology).map_err(|e| match e {
        StepError::Read(e) => Error::from(e),
        StepError::Write(e) => Error::from(e),
    })?;
    // Nothing is ever sent.
    let (stop, stopped) = sync_channel(1);
    let body = move || {
        let _ended = Ended(Some(ended));
        run(&topology, &reader, &volumes, &stopped);
    };
    let thread = std::thread::Builder::new().name("historian".into()).spawn(body).map_err(Error::Thread)?;
    Ok(Thread { stop, thread })
}

fn run(topology: &Topology, reader: &Reader, volumes: &Volumes, stopped: &Receiver<()>) {
    let began = Instant::now();
    let mut historian = Historian::new(topology);
    let rest = |d| matches!(stopped.recv_timeout(d), Err(RecvTimeoutError::Timeout));
    let (mut busy, mut said): (Option<Instant>, Option<Instant>) = (None, None);
    let mut failing = false;
    while rest(Duration::ZERO) {
        let now = Ms(i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX));
        match historian.step(reader, volumes, now) {
            Ok(Step::More { at, to }) => {
                failing = false;
                let since = *busy.get_or_insert_with(Instant::now);
                if said.unwrap_or(since).elapsed() > PROGRESS {
                    said = Some(Instant::now());
                    info!(told_up_to = %at, of = %to, "telling what passed on the days before");
                }
            }
            Ok(Step::Done { again }) => {
                failing = false;
                if said.take().is_some() {
                    info!("all days that are over are told");
                }
                busy = None;
                let again = again.and_then(|ms| u64::try_from(ms.0).ok()).map_or(LONGEST, Duration::from_millis);
                if volumes.wait(again.min(LONGEST)) == Woken::Closed || !rest(REST) {
                    return;
                }
            }
            Err(_) if volumes.wait(Duration::ZERO) == Woken::Closed => return,
            Err(e) => {
                if !failing {
                    warn!(error = %e, "days cannot be told: charts and totals read the rows until they can");
                }
                failing = true;
                if !rest(AFTER_ERROR) {
                    return;
                }
            }
        }
    }
}
