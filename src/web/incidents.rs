//! `/api/v1/incidents`: the files that people work on, and the two things that a person can do to them.

use super::clock;
use super::dto::Start;
use super::error::{Error, Problem};
use super::events::{self, EventReport, FindingReport};
use super::handles::{EngineDoor, Snapshots, Store};
use super::params::{Body, Id, Params};
use crate::domain::engine::{Command, Snapshot};
use crate::domain::finding::{Cause, FindingKind};
use crate::domain::incident::{Closer, Event, Incident, IncidentState, Joined};
use crate::domain::topology::{PointIx, Topology};
use crate::history;
use crate::texts::{self, Decimal, Stamp, Text};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

const DEFAULT: usize = 50;
const MOST: usize = 500;

/// Incidents, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Incidents {
    /// When the gateway's state was taken.
    at: Stamp,
    /// Sequence number of the newest event in it: where the live stream goes on.
    last_event: u64,
    incidents: Vec<IncidentReport>,
    /// There are more than `limit`.
    more: bool,
}

/// An incident, without its findings and history.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentReport {
    /// Global id.
    #[schema(value_type = String)]
    id: Arc<str>,
    /// `leak`, `data`, `emergency`, `access` or `heating`.
    #[schema(value_type = String)]
    cause: Cause,
    /// `detected` 已发现, `accepted` 已签收 or `closed` 已结案.
    #[schema(value_type = String)]
    state: IncidentState,
    /// What its newest finding says.
    headline: Option<Text>,
    opened_at: Stamp,
    accepted: Option<Accepted>,
    closed: Option<Closed>,
    /// Keys of the metering points and sensors that it speaks of.
    points: Vec<String>,
    /// Where the first of them is: names from the community down.
    place: Vec<String>,
    /// When it began, as well as can be told.
    start: Start,
    /// It was over for more than a day when it was found.
    historic: bool,
    /// Sequence number of its newest event.
    last_event: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Accepted {
    at: Stamp,
    by: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Closed {
    at: Stamp,
    /// Null where the meter itself proved that it is over.
    by: Option<String>,
    /// A person's words; where the meter closed, the code of the rule that was satisfied.
    reason: String,
}

/// The whole file.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncidentFile {
    #[serde(flatten)]
    incident: IncidentReport,
    /// Of each rule and point the newest statement; `history` has them all.
    findings: Vec<JoinedReport>,
    /// Of a leak: what flowed through its first meter since it began. Null where there is none, or nothing of it was read.
    water: Option<WaterReport>,
    /// A rule that learns has spoken in it: who closes it can say that it was no leak.
    can_be_usual: bool,
    /// Everything that happened to it, oldest first.
    history: Vec<EventReport>,
}

/// All that flowed, whether lost or used.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaterReport {
    /// The earliest that it can have begun.
    since: Stamp,
    /// Now: between the two newest readings. Null once it is closed, and where the newest is older than two hours.
    litres_per_minute: Option<Decimal>,
    tonnes: Option<Decimal>,
    /// Only where a price is configured.
    yuan: Option<Decimal>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct JoinedReport {
    #[serde(flatten)]
    finding: FindingReport,
    /// When it was over, by its rule's own proof.
    cleared_at: Option<Stamp>,
    /// The rule's name.
    rule: Text,
    /// What it expected. Null of data faults and of heating, as is `seen`.
    expected: Option<Text>,
    seen: Option<Text>,
    /// Null where the rule can't tell.
    loss: Option<Loss>,
    /// What has to be so again before it is over, and who says that it is.
    clears: Text,
}

/// What is lost, as far as the rule can tell.
#[derive(Debug, Serialize, ToSchema)]
pub struct Loss {
    least_litres_per_hour: Decimal,
    most_litres_per_hour: Decimal,
}

/// 签收: to take an incident on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptRequest {
    /// Who takes it on; 1 to 60 characters.
    by: String,
    /// At most 2000 characters.
    #[serde(default)]
    note: Option<String>,
}

/// 结案: to close an incident for a written reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseRequest {
    /// 1 to 60 characters.
    by: String,
    /// 1 to 2000 characters.
    reason: String,
    /// 误报: it was no leak. What the rules that learn have seen counts as usual for these meters, for 90 days or until it has ended for a week.
    #[serde(default)]
    not_a_leak: bool,
}

#[derive(Clone, Copy)]
enum Wanted {
    Open,
    State(IncidentState),
}

const STATES: [(&str, Wanted); 4] = [
    ("open", Wanted::Open),
    ("detected", Wanted::State(IncidentState::Detected)),
    ("accepted", Wanted::State(IncidentState::Accepted)),
    ("closed", Wanted::State(IncidentState::Closed)),
];

/// Incidents, newest first
///
/// All that are open, and the 200 most recently closed; older ones are found by their id.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "state",
    params(("state" = Option<String>, Query, description = "`open` (detected or accepted), `detected`, `accepted` or `closed`"),
           ("cause" = Option<String>, Query, description = "`leak`, `data`, `emergency`, `access` or `heating`"),
           ("limit" = Option<usize>, Query, description = "1 to 500, default 50")),
    responses((status = 200, body = Incidents), (status = "default", body = Problem)))]
pub async fn incidents(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    params: Params,
) -> Result<Json<Incidents>, Error> {
    let params = params.only(&["state", "cause", "limit"])?;
    let limit = params.limit(DEFAULT, MOST)?;
    let wanted = params.choice("state", &STATES)?;
    let cause = params.choice("cause", &Cause::ALL.map(|c| (c.code(), c)))?;
    let snapshot = snapshots.borrow().clone();
    let in_state = |i: &Incident| match wanted {
        None => true,
        Some(Wanted::Open) => i.state != IncidentState::Closed,
        Some(Wanted::State(s)) => i.state == s,
    };
    let mut found = snapshot.incidents.iter().filter(|i| in_state(i) && cause.is_none_or(|c| c == i.cause));
    let incidents = found.by_ref().take(limit).map(|i| report(i, &topology)).collect();
    Ok(Json(Incidents {
        at: Stamp::new(snapshot.at, &topology.tz),
        last_event: snapshot.last_event,
        incidents,
        more: found.next().is_some(),
    }))
}

/// One incident with its findings and its history
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "state", operation_id = "incident",
    params(("id" = String, Path, description = "global id")),
    responses((status = 200, body = IncidentFile), (status = "default", body = Problem)))]
pub async fn one(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    Id(id): Id,
    params: Params,
) -> Result<Json<IncidentFile>, Error> {
    params.only(&[])?;
    // The events are the truth, however long ago the engine forgot the incident.
    let events = history(&store, &id).await?;
    let incident = Arc::new(Incident::from_events(&events).ok_or(Error::UnknownIncident { id })?);
    let snapshot = snapshots.borrow().clone();
    let water = water(&incident, &topology, &snapshot, &store).await?;
    Ok(Json(file(&incident, &events, water, &topology)))
}

/// What flows and flowed through its first meter.
async fn water(i: &Arc<Incident>, topology: &Arc<Topology>, snapshot: &Arc<Snapshot>, store: &Store) -> Result<Option<WaterReport>, Error> {
    let now = clock::now();
    let (incident, t, s) = (i.clone(), topology.clone(), snapshot.clone());
    let Some(water) = store.ask(move |r| history::since_start(&incident, &t, &s, r, now)).await? else { return Ok(None) };
    let state = snapshot.points.iter().find(|s| s.point == water.point).filter(|_| i.closed.is_none());
    let price = topology.point(water.point).price_milliyuan_per_tonne;
    Ok(Some(WaterReport {
        since: Stamp::new(water.since, &topology.tz),
        litres_per_minute: state.and_then(|s| s.flow_now(now)).map(Decimal::litres_per_minute),
        tonnes: water.volume.map(Decimal::tonnes),
        yuan: water.volume.zip(price).map(|(volume, price)| Decimal::yuan(volume, price)),
    }))
}

/// 签收: take an incident on
///
/// Answered when it is durable.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/accept", tag = "commands", request_body = AcceptRequest,
    params(("id" = String, Path, description = "global id")),
    responses((status = 200, body = IncidentReport), (status = 409, description = "accepted before, or closed", body = Problem),
              (status = "default", body = Problem)))]
pub async fn accept(
    State(topology): State<Arc<Topology>>,
    State(engine): State<EngineDoor>,
    State(store): State<Store>,
    Id(id): Id,
    Body(b): Body<AcceptRequest>,
) -> Result<Json<IncidentReport>, Error> {
    let command = Command::Accept { incident: id.clone(), by: b.by, note: b.note };
    let done = engine.command(command).await;
    answer(done, id, &store, &topology).await
}

/// 结案: close an incident for a written reason
///
/// Answered when it is durable.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/close", tag = "commands", request_body = CloseRequest,
    params(("id" = String, Path, description = "global id")),
    responses((status = 200, body = IncidentReport), (status = 409, description = "closed before", body = Problem),
              (status = "default", body = Problem)))]
pub async fn close(
    State(topology): State<Arc<Topology>>,
    State(engine): State<EngineDoor>,
    State(store): State<Store>,
    Id(id): Id,
    Body(b): Body<CloseRequest>,
) -> Result<Json<IncidentReport>, Error> {
    let command = Command::Close { incident: id.clone(), by: b.by, reason: b.reason, not_a_leak: b.not_a_leak };
    let done = engine.command(command).await;
    answer(done, id, &store, &topology).await
}

async fn answer(done: Result<Arc<Incident>, Error>, id: String, store: &Store, topology: &Topology) -> Result<Json<IncidentReport>, Error> {
    match done {
        Ok(incident) => Ok(Json(report(&incident, topology))),
        // The engine keeps only the newest of the closed ones; of the others the store knows.
        Err(Error::UnknownIncident { .. }) if !history(store, &id).await?.is_empty() => Err(Error::AlreadyClosed),
        Err(Error::UnknownIncident { .. }) => Err(Error::UnknownIncident { id }),
        Err(e) => Err(e),
    }
}

pub(super) async fn history(store: &Store, id: &str) -> Result<Vec<Event>, Error> {
    let wanted = id.to_owned();
    let records = store.ask(move |r| r.events_of(&wanted)).await?;
    records.iter().map(events::stored).collect()
}

/// The finding that has the figure of the headline.
pub(super) fn headline(i: &Incident) -> Option<&Joined> {
    // What rests least says in the beginning less than leaks: where a limit has spoken too, that has the figure.
    i.findings.iter().max_by_key(|f| (!matches!(f.finding.kind, FindingKind::LeakLeastFlow { .. }), f.finding.at))
}

fn report(i: &Incident, t: &Topology) -> IncidentReport {
    IncidentReport {
        id: i.id.clone(),
        cause: i.cause,
        state: i.state,
        headline: headline(i)
            .map(|f| texts::finding(texts::point_name(t, &f.finding.point), t.medium_of(&f.finding.point), &f.finding.kind, &t.tz)),
        opened_at: Stamp::new(i.opened_at, &t.tz),
        accepted: i.accepted.as_ref().map(|(at, by)| Accepted { at: Stamp::new(*at, &t.tz), by: by.clone() }),
        closed: i.closed.as_ref().map(|(at, by, reason)| Closed {
            at: Stamp::new(*at, &t.tz),
            by: match by {
                Closer::Person { name } => Some(name.clone()),
                Closer::Meter => None,
            },
            reason: reason.clone(),
        }),
        points: i.points.clone(),
        place: i.points.first().and_then(|key| t.point_by_key(key)).map(|ix| place(t, ix)).unwrap_or_default(),
        start: Start::new(i.start, &t.tz),
        historic: i.historic,
        last_event: i.last_event,
    }
}

/// Names from the community down.
fn place(t: &Topology, point: PointIx) -> Vec<String> {
    let mut names: Vec<String> = t.path(t.point(point).place).map(|ix| t.place(ix).name.clone()).collect();
    names.reverse();
    names
}

fn file(i: &Incident, history: &[Event], water: Option<WaterReport>, t: &Topology) -> IncidentFile {
    let loss = |kind: &FindingKind| {
        let (least, most) = kind.loss()?;
        Some(Loss { least_litres_per_hour: Decimal::litres_per_hour(least), most_litres_per_hour: Decimal::litres_per_hour(most) })
    };
    let joined = |j: &Joined| JoinedReport {
        finding: events::finding(&j.finding, t),
        cleared_at: Stamp::maybe(j.cleared, &t.tz),
        rule: texts::rule(j.finding.kind.code()),
        expected: texts::expected(&j.finding.kind),
        seen: texts::seen(&j.finding.kind, &t.tz),
        loss: loss(&j.finding.kind),
        clears: texts::clears(&j.finding.kind),
    };
    IncidentFile {
        incident: report(i, t),
        findings: i.findings.iter().map(joined).collect(),
        water,
        can_be_usual: i.findings.iter().any(|f| f.finding.kind.is_learned() && f.cleared.is_none()),
        history: history.iter().map(|e| events::report(e, t)).collect(),
    }
}
