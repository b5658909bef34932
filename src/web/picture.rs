//! `/api/v1/incidents/{id}/picture`: what passed around the start of a finding, against what was expected.

use super::clock;
use super::dto::Start;
use super::error::{Error, Problem};
use super::handles::{Snapshots, Store};
use super::incidents::{headline, history};
use super::params::{Id, Params};
use super::tagged::{Answers, Tagged};
use crate::domain::detect::picture::{EXPECTED_DAYS, Measure, Shown, Statistic};
use crate::domain::finding::{Finding, StartRange};
use crate::domain::incident::{Change, Event, Incident};
use crate::domain::topology::Topology;
use crate::domain::units::{Amount, Rate};
use crate::history;
use crate::texts::{self, Decimal, Stamp, Text, rule, say};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What passed, what was expected, what the rule went by, and when it spoke.
#[derive(Debug, Serialize, ToSchema)]
pub struct Picture {
    /// Key of the metering point.
    point: String,
    /// The rule.
    code: &'static str,
    rule: Text,
    from: Stamp,
    /// Not part of the span.
    to: Stamp,
    /// It went on after `to`.
    more: bool,
    /// Length of a step: an hour, or a quarter of one where the rule looks at these.
    step_seconds: i64,
    /// So many days before the start say what is expected.
    expected_days: i64,
    /// By time, without a hole.
    steps: Vec<PictureStep>,
    /// Null where the rule goes by what passed and nothing else.
    statistic: Option<PictureStatistic>,
    /// When it began, as its first alarm could tell.
    start: Start,
    /// When the rule spoke within the span, oldest first.
    alarms: Vec<Alarm>,
    closed_at: Option<Stamp>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PictureStep {
    from: Stamp,
    /// The mean; null where a part of the step is unknown.
    litres_per_hour: Option<Decimal>,
    /// The median of the same hour of the day over the days before the start. Null where too few of them are known.
    expected_litres_per_hour: Option<Decimal>,
    /// The lower quartile of them.
    expected_low_litres_per_hour: Option<Decimal>,
    /// The upper quartile.
    expected_high_litres_per_hour: Option<Decimal>,
    /// In the unit of `statistic`, as of the end of the step.
    statistic: Option<Decimal>,
}

/// A figure that moves as the rule's own does; made of volumes alone, so not the same to the last litre.
#[derive(Debug, Serialize, ToSchema)]
pub struct PictureStatistic {
    /// `least_of_day`, `excess`, `least_hour`, `quiet_drawn`, `left_over` or `least_part`.
    code: &'static str,
    name: Text,
    /// `L/h`, `L` or `h`.
    unit: &'static str,
    /// What it usually is, where the finding says so.
    usual: Option<Decimal>,
}

/// A statement of the rule.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alarm {
    at: Stamp,
    /// Said before, and grown by half since.
    grown: bool,
}

/// The picture behind one of an incident's findings
///
/// The hours around its start, at most 14 days, with what was expected of each: made of the stored readings when it is asked for.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/picture", tag = "state", operation_id = "incident_picture",
    params(("id" = String, Path, description = "global id"),
           ("point" = Option<String>, Query, description = "key of the metering point; with `code`, where the headline's finding is not meant"),
           ("code" = Option<String>, Query, description = "the rule: `leak_least_flow`, …")),
    responses((status = 200, body = Picture), (status = 304, description = "what `If-None-Match` names is still right"),
              (status = 409, description = "there is no flow to draw: no leak, or no meter", body = Problem), (status = "default", body = Problem)))]
pub async fn picture(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    State(answers): State<Answers>,
    Id(id): Id,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Error> {
    let params = params.only(&["point", "code"])?;
    let snapshot = snapshots.borrow().clone();
    let events = history(&store, &id).await?;
    let incident = Incident::from_events(&events).ok_or_else(|| Error::UnknownIncident { id: id.clone() })?;
    let statements = statements(&incident, &events, &params)?;
    let closed = incident.closed.as_ref().map(|(at, ..)| *at);
    // Of an open one a step is drawn when it is over.
    let now = clock::now();
    let hour = now.0.div_euclid(900_000);
    let question = format!("picture {id} {} {hour} {:?}", incident.last_event, statements.first().map(|f| (&f.point, f.kind.code())));
    if let Some(known) = answers.known(&snapshot, &question) {
        return Ok(known.response(&headers));
    }
    let (t, s, end) = (topology.clone(), snapshot.clone(), closed.unwrap_or(now));
    let asked = statements.clone();
    let found = store.ask(move |r| history::picture(r, &t, &s, &asked, end)).await?;
    let (Some(found), Some(first), Some(newest)) = (found, statements.first(), statements.last()) else { return Err(Error::NoPicture) };
    let tz = &topology.tz;
    let span = found.span;
    let spoken = statements.iter().filter(|f| f.at >= span.from && f.at <= span.to);
    let picture = Picture {
        point: first.point.clone(),
        code: first.kind.code(),
        rule: rule(first.kind.code()),
        from: Stamp::new(span.from, tz),
        to: Stamp::new(span.to, tz),
        more: found.more,
        step_seconds: found.step.0 / 1_000,
        expected_days: EXPECTED_DAYS,
        steps: found.steps.iter().map(|s| step(s, found.statistic, tz)).collect(),
        statistic: found.statistic.map(|s| statistic(s, newest)),
        start: Start::new(StartRange { earliest: first.start.earliest, latest: first.start.latest }, tz),
        alarms: spoken.map(|f| Alarm { at: Stamp::new(f.at, tz), grown: f.grown }).collect(),
        closed_at: Stamp::maybe(closed.filter(|at| *at <= span.to), tz),
    };
    let answer = Tagged::new(&picture)?;
    answers.keep(&snapshot, question, &answer);
    Ok(answer.response(&headers))
}

/// All that the asked rule said about the asked point, oldest first.
fn statements(i: &Incident, events: &[Event], params: &Params) -> Result<Vec<Finding>, Error> {
    let default = headline(i).map(|f| (f.finding.point.as_str(), f.finding.kind.code()));
    let (point, code) = match (params.get("point"), params.get("code"), default) {
        (None, None, Some(default)) => default,
        (Some(point), Some(code), _) => (point, code),
        (point, ..) => {
            let expected = say("expected.point_and_code", &[]);
            let name = if point.is_some() { "code" } else { "point" };
            return Err(Error::BadParameter { name, value: String::new(), expected });
        }
    };
    let said = |e: &Event| match &e.change {
        Change::Found { finding } if finding.point == point && finding.kind.code() == code => Some(finding.clone()),
        _ => None,
    };
    let all: Vec<Finding> = events.iter().filter_map(said).collect();
    if all.is_empty() {
        let expected = say("expected.point_and_code", &[]);
        return Err(Error::BadParameter { name: "point", value: format!("{point} {code}"), expected });
    }
    Ok(all)
}

fn step(s: &Shown, statistic: Option<Statistic>, tz: &TimeZone) -> PictureStep {
    let rate = |r: Option<Rate>| r.map(Decimal::litres_per_hour);
    PictureStep {
        from: Stamp::new(s.seen.from, tz),
        litres_per_hour: rate(s.seen.flow),
        expected_litres_per_hour: rate(s.expected.map(|b| b.middle)),
        expected_low_litres_per_hour: rate(s.expected.map(|b| b.low)),
        expected_high_litres_per_hour: rate(s.expected.map(|b| b.high)),
        statistic: statistic.zip(s.statistic).map(|(statistic, v)| match statistic.measure() {
            // Of whole hours there are no thousandths.
            Measure::Hours => Decimal::litres(Amount(v.saturating_mul(1_000))),
            Measure::Rate | Measure::Volume => Decimal::litres(Amount(v)),
        }),
    }
}

fn statistic(s: Statistic, newest: &Finding) -> PictureStatistic {
    let code = match s {
        Statistic::LeastOfDay => "least_of_day",
        Statistic::Excess => "excess",
        Statistic::LeastHour => "least_hour",
        Statistic::QuietDrawn => "quiet_drawn",
        Statistic::LeftOver => "left_over",
        Statistic::LeastPart { .. } => "least_part",
    };
    let unit = match s.measure() {
        Measure::Rate => "L/h",
        Measure::Volume => "L",
        Measure::Hours => "h",
    };
    PictureStatistic { code, name: texts::statistic(s), unit, usual: Statistic::usual(&newest.kind).map(Decimal::litres_per_hour) }
}
