//! Whether the gateway does its work: for systemd, a monitor, a person.

use super::channels::{self, ChannelReport};
use super::handles::HealthState;
use super::texts;
use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use crate::texts::{Stamp, Text};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// How the process is. Filled in by the daemon, which watches the tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub started_at: Ts,
    /// The fold is done, the store can be written, HTTP is bound, the MQTT task runs.
    pub ready: bool,
    /// The system clock is synchronised.
    pub clock_sure: bool,
    pub broker: Broker,
    pub store: StoreHealth,
    /// None: the kernel does not tell.
    pub disk: Option<DiskHealth>,
    pub batches: Batches,
    /// In the order of the config.
    pub channels: Vec<ChannelHealth>,
    /// None: the config asks for no copies.
    pub backup: Option<BackupHealth>,
}

/// The disk that the database is on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskHealth {
    /// That the daemon may still fill.
    pub free: u64,
    pub total: u64,
}

impl DiskHealth {
    /// Less than 64 MB are left, or less than a fiftieth.
    pub fn nearly_full(self) -> bool {
        self.free < (64 << 20).max(self.total / 50)
    }
}

/// The daily copies of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupHealth {
    /// When the newest one was made and verified.
    pub last_ok: Option<Ts>,
    /// Since when none can be made; None while all is well.
    pub failing_since: Option<Ts>,
    /// The newest trouble, also of a time that is over.
    pub last_error: Option<String>,
    /// When the next one is made, or tried again.
    pub next: Option<Ts>,
    /// The copies are on the disk of the database.
    pub same_disk: bool,
}

/// A way to tell people. Its address is a secret and known to nobody here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelHealth {
    pub name: Arc<str>,
    /// `webhook` or `wecom`.
    pub kind: &'static str,
    /// Since when nothing gets through; None while all is well.
    pub failing_since: Option<Ts>,
    /// The newest trouble, also of a time that is over.
    pub last_error: Option<ChannelError>,
    /// Notices that wait.
    pub pending: u64,
    /// Messages that were taken, since the process started.
    pub sent: u64,
    /// Attempts that failed, since the process started.
    pub failed: u64,
    pub last_sent: Option<Ts>,
}

/// Why a channel did not take a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChannelError {
    /// `unreachable`, `timeout`, `certificate`, `status`, `redirect`, `answer`, `errcode`, `key`, `rate` or `client`.
    pub code: &'static str,
    /// HTTP status or the robot's own code.
    pub number: Option<i64>,
    pub text: Text,
}

/// The way to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub state: BrokerState,
    pub since: Ts,
    pub last_error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BrokerState {
    Connecting,
    Connected,
    Away,
}

/// Whether commits succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    pub state: StoreState,
    pub since: Ts,
    pub last_error: Option<String>,
    /// Readings that this process removed, as older than they are to be kept.
    pub expired: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    Ok,
    Failing,
}

/// What this process has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Batches {
    pub committed: u64,
    /// Attempts that failed and were repeated.
    pub failed: u64,
    pub last_at: Option<Ts>,
    /// How long the engine waited for the newest one, in milliseconds: a disk that grows slow shows here before it fails.
    pub last_took_ms: Option<u64>,
}

/// Answer of `/healthz`.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthReport {
    /// `ok`, or `failing` for one of the `reasons`.
    status: &'static str,
    /// Why it is failing; empty while it is not.
    reasons: Vec<Reason>,
    version: &'static str,
    gateway: String,
    started_at: Stamp,
    ready: bool,
    /// False: the system clock is not synchronised, readings are stored as unsure.
    clock_sure: bool,
    broker: Peer<BrokerState>,
    store: StoreReport,
    /// Null where the kernel does not tell. One that is nearly full makes the gateway no less healthy yet, but somebody should see to it.
    disk: Option<DiskReport>,
    batches_committed: u64,
    batches_failed: u64,
    last_commit_at: Option<Stamp>,
    /// How long it took, in milliseconds. Some 5 to 50 on a sound card; hundreds on one that is failing.
    last_commit_ms: Option<u64>,
    /// A channel that fails makes the gateway no less healthy, but somebody may not hear of a leak.
    channels: Vec<ChannelReport>,
    /// Null where the config asks for no copies. One that fails makes the gateway no less healthy, but somebody should see to it.
    backup: Option<BackupReport>,
    pid: u32,
    resident_bytes: Option<u64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Reason {
    code: &'static str,
    text: Text,
}

/// The daily copies of the database.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupReport {
    /// `ok` or `failing`.
    state: &'static str,
    /// When the newest one was made and verified.
    last_ok_at: Option<Stamp>,
    /// Of failing ones.
    failing_since: Option<Stamp>,
    /// The newest, also of a time that is over.
    last_error: Option<String>,
    /// When the next one is made, or tried again.
    next_at: Option<Stamp>,
    /// True: the copies are on the disk of the database, and die with it.
    same_disk: bool,
}

/// The database. `last_error` is the newest error, also of a time that is over.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoreReport {
    state: StoreState,
    since: Stamp,
    last_error: Option<String>,
    /// Readings that were removed since the start, as older than `[store.retention]` has them kept.
    expired: u64,
}

/// The disk that the database is on.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiskReport {
    /// `ok`, or `nearly_full`: less than 64 MB are free, or less than a fiftieth.
    state: &'static str,
    free_bytes: u64,
    total_bytes: u64,
}

/// Somebody that the gateway depends on. `last_error` is the newest error, also of a time that is over.
#[derive(Debug, Serialize, ToSchema)]
pub struct Peer<S> {
    state: S,
    since: Stamp,
    last_error: Option<String>,
}

/// Is the gateway well?
///
/// 200 while it does its work, 503 with reasons while it does not: not ready, or the store fails. A broker that is away makes the gateway no
/// less healthy; it is shown with a since-when.
#[utoipa::path(get, path = "/healthz", tag = "operation",
    responses((status = 200, body = HealthReport), (status = 503, body = HealthReport)))]
pub async fn healthz(State(health): State<HealthState>, State(topology): State<Arc<Topology>>) -> Response {
    let h = health.borrow().clone();
    let reasons: Vec<Reason> = failing(&h).into_iter().map(|code| Reason { code, text: texts::unhealthy(code) }).collect();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report(&h, &topology.gateway, &topology.tz, reasons))).into_response()
}

fn failing(h: &Health) -> Vec<&'static str> {
    let not_ready = (!h.ready).then_some("not_ready");
    let store = (h.store.state == StoreState::Failing).then_some("store_failing");
    not_ready.into_iter().chain(store).collect()
}

fn report(h: &Health, gateway: &str, tz: &TimeZone, reasons: Vec<Reason>) -> HealthReport {
    HealthReport {
        status: if reasons.is_empty() { "ok" } else { "failing" },
        reasons,
        version: env!("CARGO_PKG_VERSION"),
        gateway: gateway.to_owned(),
        started_at: Stamp::new(h.started_at, tz),
        ready: h.ready,
        clock_sure: h.clock_sure,
        broker: Peer { state: h.broker.state, since: Stamp::new(h.broker.since, tz), last_error: h.broker.last_error.clone() },
        store: StoreReport {
            state: h.store.state,
            since: Stamp::new(h.store.since, tz),
            last_error: h.store.last_error.clone(),
            expired: h.store.expired,
        },
        disk: h.disk.map(|d| DiskReport {
            state: if d.nearly_full() { "nearly_full" } else { "ok" },
            free_bytes: d.free,
            total_bytes: d.total,
        }),
        batches_committed: h.batches.committed,
        batches_failed: h.batches.failed,
        last_commit_at: Stamp::maybe(h.batches.last_at, tz),
        last_commit_ms: h.batches.last_took_ms,
        channels: channels::reports(&h.channels, tz),
        backup: h.backup.as_ref().map(|b| backup(b, tz)),
        pid: std::process::id(),
        resident_bytes: resident_bytes(),
    }
}

fn backup(b: &BackupHealth, tz: &TimeZone) -> BackupReport {
    BackupReport {
        state: if b.failing_since.is_some() { "failing" } else { "ok" },
        last_ok_at: Stamp::maybe(b.last_ok, tz),
        failing_since: Stamp::maybe(b.failing_since, tz),
        last_error: b.last_error.clone(),
        next_at: Stamp::maybe(b.next, tz),
        same_disk: b.same_disk,
    }
}

/// Memory of this process that lies in RAM; None where the kernel does not tell.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_nearly_full_below_64_mb_or_a_fiftieth() {
        let nearly_full = |free_mb: u64, total_mb: u64| DiskHealth { free: free_mb << 20, total: total_mb << 20 }.nearly_full();
        assert!(nearly_full(63, 1_000) && !nearly_full(64, 1_000));
        assert!(nearly_full(599, 30_000) && !nearly_full(600, 30_000));
    }
}
