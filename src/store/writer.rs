//! The one thread that writes, and the handle that it is asked by.

use super::adopted::{AdoptedRecord, Adoptions};
use super::batch::{Batch, Committed};
use super::commit::Committer;
use super::error::{CommitError, OpenError};
use super::keeper::{Ask, Volumes};
use super::lock::Lock;
use super::outbox::{Mark, Outbox};
use super::photos::{Photo, Photos};
use super::retention::Retention;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Requests that may wait for the store's thread. The engine sends one batch at a time and waits for its answer, pings come from the
/// watchdog, days from whoever tells them: when the queue is full, the caller waits too. Whoever marks the outbox is sent away and comes again. Nothing is ever dropped.
pub const QUEUE: usize = 4;

/// After so long without a commit what can wait longest is done.
const QUIET: Duration = Duration::from_secs(10);

/// Owns the thread `store`. Dropping it closes the file in good order, as [`Writer::close`] does, but tells nobody how that went.
#[derive(Debug)]
pub struct Writer {
    jobs: SyncSender<Job>,
    expired: Arc<AtomicU64>,
    /// None once it has ended.
    thread: Option<JoinHandle<Result<(), rusqlite::Error>>>,
}

pub(super) enum Job {
    Commit(Arc<Batch>, SyncSender<Result<Committed, CommitError>>),
    Ping(SyncSender<()>),
    Volumes(Ask),
    Keep(Retention),
    Mark(Mark, Box<dyn FnOnce(Result<(), CommitError>) + Send>),
    Adopt(Vec<AdoptedRecord>, SyncSender<Result<(), CommitError>>),
    Photo(Photo, SyncSender<Result<bool, CommitError>>),
    /// The last one: whoever still holds an [`Outbox`] keeps nothing open.
    Close,
}

impl Writer {
    pub(super) fn start(conn: Connection, path: PathBuf, lock: Lock) -> Result<Writer, OpenError> {
        let committer = Committer::new(conn, path)?;
        let expired = committer.expired();
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = Builder::new()
            .name("store".into())
            .spawn(move || {
                let closed = serve(committer, &queue);
                // The next process may open only what this one has closed.
                drop(lock);
                closed
            })
            .map_err(OpenError::Thread)?;
        Ok(Writer { jobs, expired, thread: Some(thread) })
    }

    /// Stores the batch and returns when it would survive a power cut. Blocks the caller.
    ///
    /// After an error nothing of the batch is visible, and the very same batch may be committed again; if it did reach the disk (an error
    /// that came after the deed), the repetition says so and writes nothing.
    pub fn commit(&self, batch: Arc<Batch>) -> Result<Committed, CommitError> {
        self.ask(|reply| Job::Commit(batch, reply)).ok_or(CommitError::Gone)?
    }

    /// Returns when the store's thread has got round to it: whatever was sent before is done, and the thread lives. Blocks as long as the
    /// disk does.
    pub fn ping(&self) -> Result<(), CommitError> {
        self.ask(Job::Ping).ok_or(CommitError::Gone)
    }

    /// The way to mark entries of the outbox.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.jobs.clone())
    }

    /// The way to adopt devices.
    pub fn adoptions(&self) -> Adoptions {
        Adoptions::new(self.jobs.clone())
    }

    /// The way to keep pictures with entries of the ledger.
    pub fn photos(&self) -> Photos {
        Photos::new(self.jobs.clone())
    }

    /// The way to tell days. Without it none is told, and those that rows come late for are taken back all the same.
    pub fn volumes(&self) -> Result<Volumes, CommitError> {
        Volumes::attach(self.jobs.clone()).ok_or(CommitError::Gone)
    }

    /// How long readings are kept from now on; without this, for ever. What is older goes by and by, behind later commits.
    pub fn keep(&self, kept: Retention) -> Result<(), CommitError> {
        self.jobs.send(Job::Keep(kept)).map_err(|_| CommitError::Gone)
    }

    /// Readings that were removed since then, as older than they are to be kept.
    pub fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// Moves the log into the database and closes it. An error here loses nothing: the log stays and is read at the next opening.
    pub fn close(mut self) -> Result<(), CommitError> {
        match self.finish() {
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(source))) => Err(CommitError::Close { source }),
            Some(Err(_panic)) => Err(CommitError::Gone),
            None => Ok(()),
        }
    }

    /// None where the thread is gone before it answers.
    fn ask<T>(&self, job: impl FnOnce(SyncSender<T>) -> Job) -> Option<T> {
        let (reply, answer) = sync_channel(1);
        self.jobs.send(job(reply)).ok()?;
        answer.recv().ok()
    }

    fn finish(&mut self) -> Option<std::thread::Result<Result<(), rusqlite::Error>>> {
        let thread = self.thread.take()?;
        if self.jobs.send(Job::Close).is_err() {
            tracing::debug!("the store's thread has ended already; joining it tells why");
        }
        Some(thread.join())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to hear of it, and the log holds what the database does not.
        let _ = self.finish();
    }
}

fn serve(mut committer: Committer, queue: &Receiver<Job>) -> Result<(), rusqlite::Error> {
    let (mut committed, mut resting) = (Instant::now(), false);
    loop {
        let job = match queue.recv_timeout(if resting { Duration::ZERO } else { QUIET }) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if matches!(job, Some(Job::Commit(..))) {
            committed = Instant::now();
        }
        resting = committed.elapsed() >= QUIET && committer.rest();
        let Some(job) = job else { continue };
        // A caller that no longer waits has no use for the answer; the deed stands either way.
        match job {
            Job::Commit(batch, reply) => {
                let _ = reply.send(committer.commit(&batch));
                committer.tidy();
            }
            Job::Ping(reply) => {
                let _ = reply.send(());
            }
            Job::Volumes(ask) => committer.volumes(ask),
            Job::Keep(kept) => committer.keep(kept),
            Job::Mark(mark, told) => told(committer.mark(&mark)),
            Job::Adopt(records, reply) => {
                let _ = reply.send(committer.adopt(&records));
            }
            Job::Photo(photo, reply) => {
                let _ = reply.send(committer.photo(&photo));
            }
            Job::Close => break,
        }
    }
    committer.close()
}
