//! `/api/v1/adopted`: devices taken over from what was heard, without touching the config file.

use super::clock;
use super::discovery::{DiscoveryCommand, DiscoveryDoor, send};
use super::error::{Error, Problem};
use super::handles::Store;
use super::params::{Body, Params};
use crate::domain::topology::Topology;
use crate::store::Reader;
use crate::texts::Stamp;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use utoipa::ToSchema;

const BY: usize = 60;
const KEY: usize = 200;
const TOML: usize = 48 * 1024;

/// What a person wants to be read from now on.
#[derive(Clone, Debug)]
pub struct AdoptWish {
    pub by: String,
    /// `[[mqtt.subscriptions]]`, `[[meters]]` and `[[sensors]]`.
    pub toml: String,
    /// Name and text of a profile that they need.
    pub profile: Option<(String, String)>,
}

/// Something that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AdoptProblem {
    /// The entry, or the file, that it is in.
    pub at: String,
    /// Line of that.
    pub line: Option<usize>,
    pub key: Option<String>,
    /// In English, as `heyun check` says it.
    pub what: String,
    /// What would be right.
    pub right: String,
    pub quote: Option<String>,
}

/// A meter or sensor that was adopted, and what the gateway reads of what was heard of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AdoptedPoint {
    pub key: String,
    /// Something was heard of it; if not, the first message will show whether it is right.
    pub heard: bool,
    /// By column, as text with the unit.
    pub values: BTreeMap<String, String>,
    pub flags: Vec<&'static str>,
}

/// Why nothing was written.
#[derive(Clone, Debug)]
pub enum AdoptRefusal {
    Problems(Vec<AdoptProblem>),
    /// Nothing of this kind and key was adopted.
    Unknown,
    /// The gateway starts anew at this moment: come again.
    Busy,
    /// The database could not be read or written, which is in the log.
    Store,
}

/// What was adopted and counts, in the order in which it was.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdoptedReport {
    /// When the gateway was asked.
    at: Stamp,
    entries: Vec<AdoptedEntry>,
}

/// One entry of the config, or one profile.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdoptedEntry {
    /// `profile`, `subscription`, `meter` or `sensor`.
    kind: String,
    /// Its id or name.
    key: String,
    by: String,
    time: Stamp,
    toml: String,
}

/// What is to be adopted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptRequest {
    /// Who adopts it; 1 to 60 characters.
    by: String,
    /// Lines as they would stand in the config file: `[[mqtt.subscriptions]]`, `[[meters]]`, `[[sensors]]`. At most 48 KiB.
    toml: String,
    /// A device profile that they need and that is not there yet.
    #[serde(default)]
    profile: Option<ProfileRequest>,
}

/// A device profile.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileRequest {
    name: String,
    /// As its file would be, with at least one example.
    toml: String,
}

/// What was written. The gateway reads its config anew now, which takes a second.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdoptReport {
    points: Vec<AdoptedPoint>,
}

/// What is to be dropped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DropRequest {
    /// Who drops it; 1 to 60 characters.
    by: String,
    kind: String,
    key: String,
}

/// Devices that were adopted
///
/// `heyun config export` prints the same as TOML for the config file; what stands there too, the file's counts.
#[utoipa::path(get, path = "/api/v1/adopted", tag = "operation",
    responses((status = 200, body = AdoptedReport), (status = "default", body = Problem)))]
pub async fn adopted(
    State(topology): State<Arc<Topology>>,
    State(store): State<Store>,
    params: Params,
) -> Result<Json<AdoptedReport>, Error> {
    params.only(&[])?;
    let records = store.ask(Reader::adopted).await?;
    let entries = records.into_iter().filter_map(|(_, r)| {
        Some(AdoptedEntry { kind: r.kind, key: r.key, by: r.by, time: Stamp::new(r.at, &topology.tz), toml: r.toml? })
    });
    Ok(Json(AdoptedReport { at: Stamp::new(clock::now(), &topology.tz), entries: entries.collect() }))
}

/// Adopt a device: have it read from now on
///
/// Tried first: with the config as it is and all that was adopted, it must be a config, its profile's examples must give what they say, and what
/// the last discovery heard of it must make readings. Then written into the database; the gateway reads its config anew.
#[utoipa::path(post, path = "/api/v1/adopted", tag = "commands", request_body = AdoptRequest,
    responses((status = 200, body = AdoptReport), (status = 422, description = "it would not be right; `problems` says why", body = Problem),
              (status = "default", body = Problem)))]
pub async fn adopt(State(door): State<DiscoveryDoor>, Body(b): Body<AdoptRequest>) -> Result<Json<AdoptReport>, Error> {
    let (commands, _) = door.0.ok_or(Error::NoBroker)?;
    let by = person(&b.by)?;
    let long = |s: &str| s.len() > TOML;
    if long(&b.toml) {
        return Err(Error::BadField { field: "toml", limit: TOML });
    }
    if b.profile.as_ref().is_some_and(|p| long(&p.toml) || p.name.is_empty() || p.name.len() > KEY) {
        return Err(Error::BadField { field: "profile", limit: TOML });
    }
    let wish = AdoptWish { by, toml: b.toml, profile: b.profile.map(|p| (p.name, p.toml)) };
    let (reply, answer) = oneshot::channel();
    send(&commands, DiscoveryCommand::Adopt { wish, reply })?;
    match answer.await {
        Ok(Ok(points)) => Ok(Json(AdoptReport { points })),
        Ok(Err(refusal)) => Err(refused(refusal, "", "")),
        Err(_) => Err(Error::Stopping),
    }
}

/// Drop what was adopted
///
/// Its readings stay. What others need cannot be dropped before them.
#[utoipa::path(post, path = "/api/v1/adopted/drop", tag = "commands", operation_id = "drop_adopted", request_body = DropRequest,
    responses((status = 200, body = AdoptReport), (status = 422, description = "the rest would not be right without it", body = Problem),
              (status = "default", body = Problem)))]
pub async fn drop_adopted(State(door): State<DiscoveryDoor>, Body(b): Body<DropRequest>) -> Result<Json<AdoptReport>, Error> {
    let (commands, _) = door.0.ok_or(Error::NoBroker)?;
    let by = person(&b.by)?;
    let (reply, answer) = oneshot::channel();
    send(&commands, DiscoveryCommand::Drop { by, kind: b.kind.clone(), key: b.key.clone(), reply })?;
    match answer.await {
        Ok(Ok(())) => Ok(Json(AdoptReport { points: vec![] })),
        Ok(Err(refusal)) => Err(refused(refusal, &b.kind, &b.key)),
        Err(_) => Err(Error::Stopping),
    }
}

fn person(by: &str) -> Result<String, Error> {
    let by = by.trim();
    if by.is_empty() || by.chars().count() > BY || by.chars().any(char::is_control) {
        return Err(Error::BadField { field: "by", limit: BY });
    }
    Ok(by.to_owned())
}

fn refused(r: AdoptRefusal, kind: &str, key: &str) -> Error {
    match r {
        AdoptRefusal::Problems(problems) => Error::NotAdoptable { problems },
        AdoptRefusal::Unknown => Error::UnknownAdopted { what: format!("{kind} {key}") },
        AdoptRefusal::Busy => Error::Busy,
        AdoptRefusal::Store => Error::Unavailable,
    }
}
