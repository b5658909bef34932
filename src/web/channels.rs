//! `/api/v1/channels`: the ways to tell people, and whether they work.

use super::error::{Error, Problem};
use super::handles::HealthState;
use super::health::{ChannelError, ChannelHealth};
use super::params::Params;
use crate::domain::topology::Topology;
use crate::texts::Stamp;
use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// In the order of the config.
#[derive(Debug, Serialize, ToSchema)]
pub struct Channels {
    channels: Vec<ChannelReport>,
}

/// A way to tell people. Its address is not shown: who knows it can write to the group.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelReport {
    #[schema(value_type = String)]
    name: Arc<str>,
    /// `webhook` or `wecom`.
    kind: &'static str,
    /// `ok` or `failing`.
    state: &'static str,
    /// Of a failing one.
    failing_since: Option<Stamp>,
    /// The newest, also of a time that is over.
    last_error: Option<ChannelError>,
    /// Notices that wait for it.
    pending: u64,
    /// Messages that it took, since the process started.
    sent: u64,
    /// Attempts that failed, since the process started.
    failed: u64,
    /// Also of earlier processes.
    last_sent_at: Option<Stamp>,
}

/// The channels that people are told by
///
/// `heyun channels test` sends a test message.
#[utoipa::path(get, path = "/api/v1/channels", tag = "operation",
    responses((status = 200, body = Channels), (status = "default", body = Problem)))]
pub async fn channels(
    State(topology): State<Arc<Topology>>,
    State(health): State<HealthState>,
    params: Params,
) -> Result<Json<Channels>, Error> {
    params.only(&[])?;
    let channels = reports(&health.borrow().channels, &topology.tz);
    Ok(Json(Channels { channels }))
}

pub fn reports(channels: &[ChannelHealth], tz: &TimeZone) -> Vec<ChannelReport> {
    let report = |c: &ChannelHealth| ChannelReport {
        name: c.name.clone(),
        kind: c.kind,
        state: if c.failing_since.is_some() { "failing" } else { "ok" },
        failing_since: Stamp::maybe(c.failing_since, tz),
        last_error: c.last_error.clone(),
        pending: c.pending,
        sent: c.sent,
        failed: c.failed,
        last_sent_at: Stamp::maybe(c.last_sent, tz),
    };
    channels.iter().map(report).collect()
}
