//! `/api/v1/discovery`: what else is at the broker, and what to write into the config to have it read.

use super::adopted::{AdoptRefusal, AdoptWish, AdoptedPoint};
use super::clock;
use super::error::{Error, Problem};
use super::params::{Body, Params};
use crate::domain::device::is_filter;
use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use crate::texts::{Stamp, Text};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use utoipa::ToSchema;

/// The longest hearing, in seconds: devices that sleep speak once a day.
const LONGEST: u64 = 7 * 24 * 3_600;
const FILTERS: usize = 16;
const FILTER_BYTES: usize = 256;

/// What a person wants of the one who hears.
#[derive(Debug)]
pub enum DiscoveryCommand {
    /// Answered with false where somebody is being heard already.
    Hear { seconds: u64, filters: Vec<String>, reply: oneshot::Sender<bool> },
    /// Tell now what was heard so far.
    Stop,
    /// Have devices read from now on.
    Adopt { wish: AdoptWish, reply: oneshot::Sender<Result<Vec<AdoptedPoint>, AdoptRefusal>> },
    /// Have an adopted entry read no more.
    Drop { by: String, kind: String, key: String, reply: oneshot::Sender<Result<(), AdoptRefusal>> },
}

/// How it stands.
#[derive(Clone, Debug)]
pub enum Discovery {
    /// Nobody has asked since the process started.
    Idle,
    Hearing {
        began: Ts,
        ends: Ts,
        topics: u64,
        messages: u64,
    },
    Done {
        began: Ts,
        ended: Ts,
        report: Arc<Value>,
    },
    Failed {
        ended: Ts,
        code: &'static str,
        text: Text,
    },
}

/// The way to the one who hears; None where the config names no broker.
#[derive(Clone, Debug)]
pub struct DiscoveryDoor(pub Option<(mpsc::Sender<DiscoveryCommand>, watch::Receiver<Discovery>)>);

/// How it stands with what is heard.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscoveryReport {
    /// When the gateway was asked.
    at: Stamp,
    /// `idle`, `hearing`, `done` or `failed`.
    state: &'static str,
    began_at: Option<Stamp>,
    /// Of a hearing: when it will end by itself; else when it ended.
    ends_at: Option<Stamp>,
    /// Heard so far.
    topics: Option<u64>,
    messages: Option<u64>,
    /// Of one that failed: `unreachable`, `refused`, `silent`, `filter`, `config` or `internal`.
    code: Option<&'static str>,
    text: Option<Text>,
    /// Once it is done: the same as `heyun discover --format json`, see docs/guide/discover.md.
    #[schema(value_type = Option<Object>)]
    report: Option<Arc<Value>>,
}

/// What is to be heard.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HearRequest {
    /// 1 to 604800.
    seconds: u64,
    /// Topics that match one of these, at most 16; left out: all. `+` stands for a level, `#` for all that follow.
    #[serde(default)]
    filters: Vec<String>,
}

/// What was heard that is not configured, and what is proposed
///
/// The newest hearing; it is forgotten with the process.
#[utoipa::path(get, path = "/api/v1/discovery", tag = "operation",
    responses((status = 200, body = DiscoveryReport), (status = "default", body = Problem)))]
pub async fn discovery(
    State(topology): State<Arc<Topology>>,
    State(door): State<DiscoveryDoor>,
    params: Params,
) -> Result<Json<DiscoveryReport>, Error> {
    params.only(&[])?;
    let (_, state) = door.0.ok_or(Error::NoBroker)?;
    let state = state.borrow().clone();
    Ok(Json(report(state, &topology)))
}

/// Hear what is at the broker for a while
///
/// As a client of its own that publishes nothing. One at a time; the answer comes at once, the report when the time is up.
#[utoipa::path(post, path = "/api/v1/discovery", tag = "commands", operation_id = "hear", request_body = HearRequest,
    responses((status = 200, body = DiscoveryReport), (status = 409, description = "the broker is being heard already, or there is none", body = Problem),
              (status = "default", body = Problem)))]
pub async fn hear(
    State(topology): State<Arc<Topology>>,
    State(door): State<DiscoveryDoor>,
    Body(b): Body<HearRequest>,
) -> Result<Json<DiscoveryReport>, Error> {
    let (commands, state) = door.0.ok_or(Error::NoBroker)?;
    if !(1..=LONGEST).contains(&b.seconds) {
        return Err(Error::BadSeconds);
    }
    if b.filters.len() > FILTERS || b.filters.iter().any(|f| f.len() > FILTER_BYTES || !is_filter(f)) {
        return Err(Error::BadFilter);
    }
    let (reply, answer) = oneshot::channel();
    send(&commands, DiscoveryCommand::Hear { seconds: b.seconds, filters: b.filters, reply })?;
    match answer.await {
        Ok(true) => Ok(Json(report(state.borrow().clone(), &topology))),
        Ok(false) => Err(Error::Hearing),
        Err(_) => Err(Error::Stopping),
    }
}

/// End the hearing now, and have told what was heard so far
#[utoipa::path(post, path = "/api/v1/discovery/stop", tag = "commands", operation_id = "stop_hearing",
    responses((status = 200, body = DiscoveryReport), (status = "default", body = Problem)))]
pub async fn stop(
    State(topology): State<Arc<Topology>>,
    State(door): State<DiscoveryDoor>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<DiscoveryReport>, Error> {
    let (commands, state) = door.0.ok_or(Error::NoBroker)?;
    send(&commands, DiscoveryCommand::Stop)?;
    Ok(Json(report(state.borrow().clone(), &topology)))
}

/// `{}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

pub(super) fn send(commands: &mpsc::Sender<DiscoveryCommand>, command: DiscoveryCommand) -> Result<(), Error> {
    commands.try_send(command).map_err(|e| match e {
        mpsc::error::TrySendError::Full(_) => Error::Busy,
        mpsc::error::TrySendError::Closed(_) => Error::Stopping,
    })
}

fn report(d: Discovery, t: &Topology) -> DiscoveryReport {
    let at = |ts: Ts| Stamp::new(ts, &t.tz);
    let mut r = DiscoveryReport {
        at: at(clock::now()),
        state: "idle",
        began_at: None,
        ends_at: None,
        topics: None,
        messages: None,
        code: None,
        text: None,
        report: None,
    };
    match d {
        Discovery::Idle => {}
        Discovery::Hearing { began, ends, topics, messages } => {
            (r.state, r.began_at, r.ends_at) = ("hearing", Some(at(began)), Some(at(ends)));
            (r.topics, r.messages) = (Some(topics), Some(messages));
        }
        Discovery::Done { began, ended, report } => {
            (r.state, r.began_at, r.ends_at) = ("done", Some(at(began)), Some(at(ended)));
            r.report = Some(report);
        }
        Discovery::Failed { ended, code, text } => {
            (r.state, r.ends_at, r.code, r.text) = ("failed", Some(at(ended)), Some(code), Some(text));
        }
    }
    r
}
