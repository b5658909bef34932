//! A disk under SQLite that fails, or loses its power, at the Nth thing that is asked of it.
//!
//! [`Disk::at`] puts a folder on such a disk. From then on every SQLite connection of the process that opens a file in it goes through this
//! VFS, which is registered as the default one: the code under test knows nothing of it. Everything is passed on to SQLite's own VFS for
//! Unix, and every write, sync, truncation, creation and deletion is counted. At a number that was planned ([`Disk::strike`]) the disk
//!
//! * *fails* ([`Fault::Fail`]): once, or from then on until [`Disk::mend`]; or
//! * *loses its power* ([`Fault::Cut`]): everything fails from then on. When all connections are closed, [`Disk::power_on`] puts into the
//!   folder what such a disk may hold then.
//!
//! # What is modelled, and after whom
//!
//! The assumptions are those that SQLite states of itself in [Atomic Commit In SQLite](https://sqlite.org/atomiccommit.html) (sections 2 and
//! 9) and [Powersafe Overwrite](https://sqlite.org/psow.html), and they are used to the full:
//!
//! * **Only a sync makes durable.** What was written since the last one is in the cache: a cut keeps all of it, none of it, or any part, in
//!   any order, also across files.
//! * **A write is not atomic.** It is torn at the sectors of 512 bytes, and a sector may itself be written to a part, from either end.
//! * **Powersafe overwrite.** Bytes that a write does not cover are not changed by a cut in its middle. SQLite's VFS for Unix promises that
//!   of its disks by default, so a disk without it would be another one than SQLite is told of.
//! * **A file may grow before it is filled**: the new part then holds zeros, or anything.
//! * **A name is made durable by a sync of its folder**, not by one of the file. SQLite syncs the folder with the first sync of a log or a
//!   journal, and when it deletes one only if asked to; a file that was made or deleted since may be there or not.
//! * **A write that fails may be done by half.** One to a full disk, too.
//! * **A sync that fails may have lost the writes before it for good**, though they are still read back, and the next sync says that all is
//!   well (as Linux does: [Rebello et al., Can Applications Recover from fsync Failures?](https://www.usenix.org/conference/atc20/presentation/rebello)).
//!
//! Not modelled: bits that rot, sectors that cannot be read, disks that lie about syncs, more than one process, what other code than SQLite
//! writes into the folder (the lock file of the store), and the shared memory (`-shm`), which a cut of power ends and SQLite makes anew.
//! Real syncs are not paid for: only this model tells what they would have done.

mod platter;
mod random;
mod vfs;

pub use platter::Fate;
use platter::Platter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    Create,
    Write,
    Truncate,
    Sync,
    Delete,
}

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An I/O error, whatever was asked.
    Io,
    /// No room: creations and writes fail, syncs and deletions do not.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Fail { failure: Failure, lasting: bool },
    Cut,
}

/// A folder on a faulty disk. Cloned, it is the same one.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub platter: Platter,
    /// Every deed since the start, in order.
    deeds: Vec<Deed>,
    plan: Option<(u64, Fault)>,
    struck: u64,
    dead: bool,
    failing: Option<Failure>,
    /// Open files.
    pub handles: usize,
    pub sync_takes: Duration,
}

/// What becomes of a deed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Fails(Failure),
    /// The power goes in the middle of it.
    Cut,
    /// There is no power.
    Dead,
}

impl Disk {
    /// Puts an existing folder on a disk of its own, for the rest of the process. What is in it is durable.
    pub fn at(folder: &Path) -> Disk {
        let folder = folder.canonicalize().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let disk = Disk { inner: Arc::new(Inner { folder, state: Mutex::default() }) };
        vfs::add(disk.inner.clone());
        disk
    }

    /// The fault strikes at the `nth` deed from the beginning, counted from 1.
    pub fn strike(&self, nth: u64, fault: Fault) {
        self.inner.state().plan = Some((nth, fault));
    }

    /// What was done so far.
    pub fn deeds(&self) -> Vec<Deed> {
        self.inner.state().deeds.clone()
    }

    /// How often a fault has struck; a lasting one counts each time.
    pub fn struck(&self) -> u64 {
        self.inner.state().struck
    }

    /// Takes the power away now.
    pub fn cut(&self) {
        self.inner.state().dead = true;
    }

    /// The power is gone.
    pub fn is_dead(&self) -> bool {
        self.inner.state().dead
    }

    /// Ends a lasting failure.
    pub fn mend(&self) {
        self.inner.state().failing = None;
    }

    /// From now on everything fails so, until [`Disk::mend`].
    pub fn fail(&self, failure: Failure) {
        self.inner.state().failing = Some(failure);
    }

    /// From now on every sync takes so long.
    pub fn slow(&self, sync_takes: Duration) {
        self.inner.state().sync_takes = sync_takes;
    }

    /// After a cut, or instead of one: nothing planned, nothing failing, and in the folder what `fate` leaves of it.
    ///
    /// Panics while a file on the disk is open: that process would live through the cut.
    pub fn power_on(&self, fate: Fate) {
        let mut state = self.inner.state();
        assert_eq!(state.handles, 0, "files are open while the power is cut");
        let sync_takes = state.sync_takes;
        std::mem::take(&mut state.platter).settle(fate);
        *state = State { sync_takes, ..State::default() };
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The list in `vfs` holds one, this is another.
        if Arc::strong_count(&self.inner) == 2 {
            vfs::remove(&self.inner);
        }
    }
}

impl Inner {
    pub fn holds(&self, path: &Path) -> bool {
        path.starts_with(&self.folder)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub fn judge(&mut self, deed: Deed) -> Verdict {
        if self.dead {
            return Verdict::Dead;
        }
        self.deeds.push(deed);
        if let Some((nth, fault)) = self.plan
            && self.deeds.len() as u64 == nth
        {
            self.struck += 1;
            match fault {
                Fault::Cut => {
                    self.dead = true;
                    return Verdict::Cut;
                }
                Fault::Fail { failure, lasting } => {
                    if lasting {
                        self.failing = Some(failure);
                    }
                    return Verdict::Fails(failure);
                }
            }
        }
        match (self.failing, deed) {
            (Some(Failure::Full), Deed::Sync | Deed::Delete | Deed::Truncate) | (None, _) => Verdict::Done,
            (Some(failure), _) => {
                self.struck += 1;
                Verdict::Fails(failure)
            }
        }
    }

    pub fn is_dead(&self) -> bool {
        self.dead
    }
}

/// Waits, whatever wakes the thread.
pub(crate) fn wait(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
        std::thread::park_timeout(left);
    }
}
