//! One view of the process's parts, for people: made anew whenever one of them changes.

use super::clock;
use super::engine_thread::StoreStatus;
use crate::domain::time::Ts;
use crate::ingest::mqtt::{LinkState, Status};
use crate::notify;
use crate::web::{BackupHealth, Batches, Broker, BrokerState, ChannelError, ChannelHealth, DiskHealth, Health, StoreHealth, StoreState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// The state of the clock changes without a word: it is looked at again this often.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The parts' own words, and the view that is made of them.
pub struct Parts {
    pub started_at: Ts,
    /// None: the config names no broker.
    pub broker: Option<watch::Receiver<Status>>,
    pub store: watch::Receiver<StoreStatus>,
    /// The database file, whose disk may become full.
    pub database: PathBuf,
    pub channels: watch::Receiver<Vec<notify::Status>>,
    /// None: no copies are to be made.
    pub backup: Option<watch::Receiver<BackupHealth>>,
}

/// Follows the parts until the engine is gone.
pub fn watch(mut parts: Parts) -> watch::Receiver<Arc<Health>> {
    let (tx, rx) = watch::channel(Arc::new(view(&parts)));
    let mut full = false;
    tokio::spawn(async move {
        loop {
            let broker = async {
                match &mut parts.broker {
                    Some(b) => b.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            // Where there are no channels, nobody is left to tell of them.
            let channels = async {
                if parts.channels.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let backup = async {
                let changed = match &mut parts.backup {
                    Some(b) => b.changed().await.is_ok(),
                    None => false,
                };
                if !changed {
                    std::future::pending::<()>().await;
                }
            };
            let lives = tokio::select! {
                store = parts.store.changed() => store.is_ok(),
                broker = broker => broker,
                () = channels => true,
                () = backup => true,
                () = tokio::time::sleep(LOOK_AGAIN) => true,
            };
            let now = view(&parts);
            if let Some(disk) = now.disk.filter(|d| d.nearly_full() != full) {
                full = !full;
                match full {
                    true => warn!(free_bytes = disk.free, "the disk of the database is nearly full: once it is, no reading can be stored"),
                    false => info!(free_bytes = disk.free, "the disk of the database has room again"),
                }
            }
            tx.send_replace(Arc::new(now));
            if !lives {
                return;
            }
        }
    });
    rx
}

fn view(parts: &Parts) -> Health {
    let store = parts.store.borrow().clone();
    let broker = parts.broker.as_ref().map(|b| b.borrow().clone());
    Health {
        started_at: parts.started_at,
        // The first commit proves that the store can be written; everything else stood before.
        ready: store.committed > 0,
        clock_sure: clock::now_and_sure().1,
        broker: broker.map_or_else(|| no_broker(parts.started_at), |s| broker_view(&s)),
        store: StoreHealth {
            state: if store.failing { StoreState::Failing } else { StoreState::Ok },
            since: store.since,
            last_error: store.last_error,
            expired: store.expired,
        },
        disk: disk(&parts.database),
        channels: parts.channels.borrow().iter().map(channel_view).collect(),
        backup: parts.backup.as_ref().map(|b| b.borrow().clone()),
        batches: Batches { committed: store.committed, failed: store.failed, last_at: store.last_commit, last_took_ms: store.last_took_ms },
    }
}

/// Asks the kernel, which knows it without a look at the disk; None where it does not tell.
fn disk(database: &Path) -> Option<DiskHealth> {
    let disk = rustix::fs::statvfs(database).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(DiskHealth { free: bytes(disk.f_bavail), total: bytes(disk.f_blocks) })
}

fn channel_view(s: &notify::Status) -> ChannelHealth {
    ChannelHealth {
        name: s.name.clone(),
        kind: s.kind,
        failing_since: s.failing_since,
        last_error: s.last_trouble.map(|t| ChannelError { code: t.code(), number: t.number(), text: t.text() }),
        pending: s.pending,
        sent: s.sent,
        failed: s.failed,
        last_sent: s.last_sent,
    }
}

fn broker_view(s: &Status) -> Broker {
    let refused =
        (!s.refused_filters.is_empty()).then(|| format!("the broker refuses these subscriptions: {}", s.refused_filters.join(", ")));
    Broker {
        state: match s.state {
            LinkState::Connecting => BrokerState::Connecting,
            LinkState::Connected => BrokerState::Connected,
            LinkState::Away => BrokerState::Away,
        },
        since: s.since,
        last_error: s.last_error.clone().or(refused),
    }
}

fn no_broker(since: Ts) -> Broker {
    Broker { state: BrokerState::Away, since, last_error: Some("the config names no broker ([mqtt])".into()) }
}
