//! `/metrics`: the gateway's counters for Prometheus, written from the newest snapshot when they are asked for.
//!
//! Nothing is counted here. The engine counts, its snapshot is the one source of every figure, so the API and the metrics never differ; a
//! recorder of global counters would be a second one. `docs/metrics.md` is [`reference()`].

use super::clock;
use super::error::Error;
use super::handles::{HealthState, Snapshots};
use super::health::{self, BrokerState, Health, StoreState};
use super::params::Params;
use crate::domain::engine::{Snapshot, SourceState};
use crate::domain::finding::Cause;
use crate::domain::incident::IncidentState;
use crate::domain::reading::{Counts, Reject};
use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use crate::domain::units::Rate;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    Received,
    Stored,
    Duplicate,
    Rejected,
    InFlight,
    LastReadingAge,
    MeterFlow,
    MeterPower,
    MeterSilent,
    Incidents,
    BrokerUp,
    StoreUp,
    Ready,
    ClockSure,
    Batches,
    BatchesFailed,
    SnapshotAge,
    NoticesSent,
    NoticesFailed,
    NoticesPending,
    Expired,
    DiskFree,
    DiskNearlyFull,
    BackupAge,
    BackupFailing,
    Resident,
    Start,
}

/// Name without unit and `_total`, unit, kind, labels, meaning.
struct Entry(Metric, &'static str, Option<&'static str>, Kind, &'static str, &'static str);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// Every metric, in the order in which they are written.
const ENTRIES: &[Entry] = &[
    Entry(Metric::Received, "heyun_messages_received", None, Kind::Counter, "source", "Messages received since the process started"),
    Entry(Metric::Stored, "heyun_messages_stored", None, Kind::Counter, "source", "Messages that became durable readings"),
    Entry(Metric::Duplicate, "heyun_messages_duplicate", None, Kind::Counter, "source", "Messages that repeated a stored reading"),
    Entry(Metric::Rejected, "heyun_messages_rejected", None, Kind::Counter, "source, reason", "Messages refused, by reason"),
    Entry(Metric::InFlight, "heyun_messages_in_flight", None, Kind::Gauge, "source", "Messages received but not yet durable"),
    Entry(
        Metric::LastReadingAge,
        "heyun_source_last_reading_age",
        Some("seconds"),
        Kind::Gauge,
        "source",
        "Age of the newest stored reading by its own time",
    ),
    Entry(
        Metric::MeterFlow,
        "heyun_meter_flow",
        Some("litres_per_hour"),
        Kind::Gauge,
        "meter",
        "Mean flow between the two newest accepted readings, of water and gas",
    ),
    Entry(
        Metric::MeterPower,
        "heyun_meter_power",
        Some("watts"),
        Kind::Gauge,
        "meter",
        "Mean power between the two newest accepted readings, of heat and electricity",
    ),
    Entry(Metric::MeterSilent, "heyun_meter_silent", None, Kind::Gauge, "meter", "1 while a meter has given no reading for too long"),
    Entry(Metric::Incidents, "heyun_incidents_open", None, Kind::Gauge, "cause", "Incidents that are not closed"),
    Entry(Metric::BrokerUp, "heyun_broker_up", None, Kind::Gauge, "", "1 while the broker is connected"),
    Entry(Metric::StoreUp, "heyun_store_up", None, Kind::Gauge, "", "1 while commits succeed"),
    Entry(Metric::Ready, "heyun_ready", None, Kind::Gauge, "", "1 once the start is over"),
    Entry(Metric::ClockSure, "heyun_clock_synchronised", None, Kind::Gauge, "", "1 while the system clock is synchronised"),
    Entry(Metric::Batches, "heyun_batches_committed", None, Kind::Counter, "", "Transactions of readings and events"),
    Entry(Metric::BatchesFailed, "heyun_batches_failed", None, Kind::Counter, "", "Attempts to commit that failed and were repeated"),
    Entry(Metric::SnapshotAge, "heyun_snapshot_age", Some("seconds"), Kind::Gauge, "", "Age of the state that these figures are of"),
    Entry(Metric::NoticesSent, "heyun_notices_sent", None, Kind::Counter, "channel", "Messages that a channel took"),
    Entry(Metric::NoticesFailed, "heyun_notices_failed", None, Kind::Counter, "channel", "Attempts to send that failed and are repeated"),
    Entry(Metric::NoticesPending, "heyun_notices_pending", None, Kind::Gauge, "channel", "Notices that a channel has not taken yet"),
    Entry(
        Metric::Expired,
        "heyun_readings_expired",
        None,
        Kind::Counter,
        "",
        "Readings removed since the process started, as older than they are to be kept",
    ),
    Entry(Metric::DiskFree, "heyun_disk_free", Some("bytes"), Kind::Gauge, "", "What the disk of the database still takes"),
    Entry(
        Metric::DiskNearlyFull,
        "heyun_disk_nearly_full",
        None,
        Kind::Gauge,
        "",
        "1 while less than 64 MB of the disk of the database are free, or less than a fiftieth",
    ),
    Entry(
        Metric::BackupAge,
        "heyun_backup_age",
        Some("seconds"),
        Kind::Gauge,
        "",
        "Age of the newest verified copy of the database; absent without one",
    ),
    Entry(
        Metric::BackupFailing,
        "heyun_backup_failing",
        None,
        Kind::Gauge,
        "",
        "1 while the daily copy cannot be made; absent without [store.backup]",
    ),
    Entry(Metric::Resident, "heyun_process_resident_memory", Some("bytes"), Kind::Gauge, "", "Memory of the process that lies in RAM"),
    Entry(Metric::Start, "heyun_process_start_time", Some("seconds"), Kind::Gauge, "", "When the process started, since 1970"),
];

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Metrics for Prometheus
///
/// In the OpenMetrics text format; `docs/metrics.md` lists them.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "application/openmetrics-text", body = String),
              (status = "default", body = super::error::Problem)))]
pub async fn metrics(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(health): State<HealthState>,
    params: Params,
) -> Result<impl IntoResponse, Error> {
    params.only(&[])?;
    let (snapshot, health) = (snapshots.borrow().clone(), health.borrow().clone());
    let text = render(Scrape { topology, snapshot, health, now: clock::now() }).map_err(|e| Error::Internal(format!("metrics: {e}")))?;
    Ok(([(header::CONTENT_TYPE, TYPE)], text))
}

fn render(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// One look at everything.
struct Scrape {
    topology: Arc<Topology>,
    snapshot: Arc<Snapshot>,
    health: Arc<Health>,
    now: Ts,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrape {{ at: {} }}", self.now)
    }
}

impl Collector for Scrape {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        for entry in ENTRIES {
            let Entry(metric, name, unit, kind, _, help) = entry;
            let unit = unit.map(|u| match u {
                "seconds" => Unit::Seconds,
                "bytes" => Unit::Bytes,
                other => Unit::Other(other.to_owned()),
            });
            let kind_of = match kind {
                Kind::Counter => ConstCounter::new(0u64).metric_type(),
                Kind::Gauge => ConstGauge::new(0i64).metric_type(),
            };
            let mut family = out.encode_descriptor(name, help, unit.as_ref(), kind_of)?;
            self.each(*metric, &mut |labels, value| {
                let write = |one: &mut MetricEncoder<'_>| match kind {
                    Kind::Counter => one.encode_counter::<NoLabelSet, u64, u64>(&value.max(0).unsigned_abs(), None),
                    Kind::Gauge => one.encode_gauge(&value),
                };
                if labels.is_empty() {
                    return write(&mut family);
                }
                let labels: Vec<(&str, Cow<'_, str>)> = labels.iter().map(|(name, value)| (*name, escaped(value))).collect();
                write(&mut family.encode_family(&labels.as_slice())?)
            })?;
        }
        Ok(())
    }
}

/// A label's value as the format wants it. The encoder writes it as it is (prometheus-client 0.24), and a topic is whatever a device says.
fn escaped(value: &str) -> Cow<'_, str> {
    if value.contains(['\\', '"', '\n', '\r']) {
        // The format knows no carriage return.
        Cow::Owned(value.replace('\\', r"\\").replace('"', r#"\""#).replace(['\n', '\r'], r"\n"))
    } else {
        Cow::Borrowed(value)
    }
}

type Put<'a> = dyn FnMut(&[(&str, &str)], i64) -> fmt::Result + 'a;

impl Scrape {
    /// All values of a metric, with their labels.
    fn each(&self, metric: Metric, put: &mut Put<'_>) -> fmt::Result {
        let h = &self.health;
        match metric {
            Metric::Received => {
                self.sources(put, |s| Some(count(s.counts.received)))?;
                let named: u64 = self.snapshot.sources.iter().map(|s| s.counts.received).sum();
                // Those that no place was left for.
                match self.snapshot.counts.received.saturating_sub(named) {
                    0 => Ok(()),
                    n => put(&[("source", "")], count(n)),
                }
            }
            Metric::Stored => self.sources(put, |s| Some(count(s.counts.stored))),
            Metric::Duplicate => self.sources(put, |s| Some(count(s.counts.duplicate))),
            Metric::Rejected => self.rejected(put),
            Metric::InFlight => self.sources(put, |s| Some(count(s.counts.in_flight()))),
            Metric::LastReadingAge => self.sources(put, |s| s.last_ts.map(|ts| (self.now - ts).0 / 1_000)),
            // Whole litres: a monitor has no use for the millilitre.
            Metric::MeterFlow => self.rates(false, put, |flow| flow.0 / 1_000),
            Metric::MeterPower => self.rates(true, put, |power| power.0),
            Metric::MeterSilent => {
                self.snapshot.points.iter().try_for_each(|p| put(&[("meter", &self.topology.point(p.point).key)], i64::from(p.silent)))
            }
            Metric::Incidents => Cause::ALL.iter().try_for_each(|cause| {
                let open = self.snapshot.incidents.iter().filter(|i| i.cause == *cause && i.state != IncidentState::Closed);
                put(&[("cause", cause.code())], count(open.count() as u64))
            }),
            Metric::BrokerUp => put(&[], i64::from(h.broker.state == BrokerState::Connected)),
            Metric::StoreUp => put(&[], i64::from(h.store.state == StoreState::Ok)),
            Metric::Ready => put(&[], i64::from(h.ready)),
            Metric::ClockSure => put(&[], i64::from(h.clock_sure)),
            Metric::Batches => put(&[], count(h.batches.committed)),
            Metric::BatchesFailed => put(&[], count(h.batches.failed)),
            Metric::SnapshotAge => put(&[], (self.now - self.snapshot.at).0 / 1_000),
            Metric::NoticesSent => h.channels.iter().try_for_each(|c| put(&[("channel", &c.name)], count(c.sent))),
            Metric::NoticesFailed => h.channels.iter().try_for_each(|c| put(&[("channel", &c.name)], count(c.failed))),
            Metric::NoticesPending => h.channels.iter().try_for_each(|c| put(&[("channel", &c.name)], count(c.pending))),
            Metric::Expired => put(&[], count(h.store.expired)),
            Metric::DiskFree => h.disk.map_or(Ok(()), |d| put(&[], count(d.free))),
            Metric::DiskNearlyFull => h.disk.map_or(Ok(()), |d| put(&[], i64::from(d.nearly_full()))),
            Metric::BackupAge => h.backup.as_ref().and_then(|b| b.last_ok).map_or(Ok(()), |at| put(&[], (self.now - at).0 / 1_000)),
            Metric::BackupFailing => h.backup.as_ref().map_or(Ok(()), |b| put(&[], i64::from(b.failing_since.is_some()))),
            Metric::Resident => health::resident_bytes().map_or(Ok(()), |bytes| put(&[], count(bytes))),
            Metric::Start => put(&[], h.started_at.0 / 1_000),
        }
    }

    /// The rates of the meters that count energy, or of those that count a volume.
    fn rates(&self, energy: bool, put: &mut Put<'_>, value: impl Fn(Rate) -> i64) -> fmt::Result {
        self.snapshot.points.iter().try_for_each(|p| match (self.topology.point(p.point), p.flow) {
            (point, Some(rate)) if point.medium.is_energy() == energy => put(&[("meter", &point.key)], value(rate)),
            _ => Ok(()),
        })
    }

    fn sources(&self, put: &mut Put<'_>, value: impl Fn(&SourceState) -> Option<i64>) -> fmt::Result {
        self.snapshot.sources.iter().try_for_each(|s| match value(s) {
            Some(v) => put(&[("source", &s.topic)], v),
            None => Ok(()),
        })
    }

    /// Of each source the reasons that occurred: most of the fifteen never do, and a series for each would be most of the page. Those of
    /// sources that no place was left for stand under an empty one.
    fn rejected(&self, put: &mut Put<'_>) -> fmt::Result {
        let mut elsewhere = self.snapshot.counts.clone();
        for s in &self.snapshot.sources {
            reasons(&s.counts, &mut |reason, n| put(&[("source", &s.topic), ("reason", reason)], count(n)))?;
            for (total, mine) in elsewhere.rejected.iter_mut().zip(s.counts.rejected) {
                *total = total.saturating_sub(mine);
            }
        }
        reasons(&elsewhere, &mut |reason, n| put(&[("source", ""), ("reason", reason)], count(n)))
    }
}

fn reasons(c: &Counts, put: &mut dyn FnMut(&str, u64) -> fmt::Result) -> fmt::Result {
    let mut occurred = Reject::CODES.iter().zip(c.rejected).filter(|(_, n)| *n > 0);
    occurred.try_for_each(|(reason, n)| put(reason, n))
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The text of `docs/metrics.md`.
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics\n\n`GET /metrics`, OpenMetrics text. Everything is taken from the engine's newest snapshot when it is asked for.\n\
         For every source `received = stored + duplicate + rejected + in_flight`. A source that was refused a place stands under `source=\"\"`.\n\n\
         This page is written by the code (`HEYUN_WRITE_DOCS=1 cargo test --test web`) and compared with it by a test.\n\n\
         | metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for Entry(_, name, unit, kind, labels, help) in ENTRIES {
        let unit_suffix = unit.map(|u| format!("_{u}")).unwrap_or_default();
        let (total, kind) = if *kind == Kind::Counter { ("_total", "counter") } else { ("", "gauge") };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| `{name}{unit_suffix}{total}` | {kind} | {} | {labels} | {help} |", unit.unwrap_or(""));
    }
    out
}
