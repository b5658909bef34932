//! `/api/v1/backtest`: what the rules would have said over the past, as they are configured and with other limits.

use super::backtest_report::{self, BacktestReport};
use super::clock;
use super::error::{Error, Problem};
use super::params::{Body, Params, is_of};
use super::time_param;
use super::written::Written;
use crate::backtest::{
    Choice, Chosen, Incoming, METERS_BYTES, Part, Progress, READINGS_BYTES, READINGS_FILES, Refusal, Report, Shelf, Tried, Wish,
};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{PlaceIx, Topology};
use crate::domain::units::{Amount, Decimal, Unit};
use crate::texts::{Text, say};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::StreamExt;
use utoipa::ToSchema;

/// What a person wants of the one who tries.
#[derive(Debug)]
pub enum BacktestCommand {
    Start {
        wish: Wish,
        /// What was uploaded, instead of what is stored.
        from_files: bool,
        reply: oneshot::Sender<Result<(), BacktestRefusal>>,
    },
    /// End it; what was found so far is dropped.
    Stop,
}

/// Why it was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BacktestRefusal {
    /// Another one is at work.
    Running,
    /// Nothing whole was uploaded.
    NoFiles,
}

/// How it stands. The result is kept until the next one begins, or the process ends.
#[derive(Clone, Debug)]
pub enum Backtest {
    /// Nobody has asked since the process started.
    Idle,
    Running {
        wish: Wish,
        from_files: bool,
        began: Ts,
        progress: Progress,
    },
    Done {
        wish: Wish,
        from_files: bool,
        began: Ts,
        ended: Ts,
        report: Arc<Report>,
    },
    /// Somebody ended it.
    Stopped {
        ended: Ts,
    },
    Failed {
        ended: Ts,
        code: &'static str,
        text: Text,
    },
}

/// The way to the one who tries.
#[derive(Clone, Debug)]
pub struct BacktestDoor {
    pub commands: mpsc::Sender<BacktestCommand>,
    pub state: watch::Receiver<Backtest>,
    pub shelf: Shelf,
}

/// What is to be tried. A limit that is left out is as configured; `"off"` switches it off.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestRequest {
    /// Over the files that were uploaded: all meters in them, their whole span.
    #[serde(default)]
    files: bool,
    /// Key or id of a metering point or sensor: its findings alone, the limits for it alone.
    #[serde(default)]
    point: Option<String>,
    /// Key of a place: of all that stands in it.
    #[serde(default)]
    place: Option<String>,
    /// A time, or a date (its first instant). Left out: 90 days before the end.
    #[serde(default)]
    from: Option<String>,
    /// Left out: now.
    #[serde(default)]
    to: Option<String>,
    /// More than 0, at most 1000000; or `"off"`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    litres_per_hour: Option<Written>,
    /// More than 0, at most 1000000; or `"off"`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tonnes_per_month: Option<Written>,
    /// At least a minute (0.017), at most 2160; or `"off"`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    silent_after_hours: Option<Written>,
}

/// A file that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadReport {
    bytes: u64,
}

/// What the last back-test found, or how far the one at work is
///
/// It is kept until the next one begins, or the process ends.
#[utoipa::path(get, path = "/api/v1/backtest", tag = "operation",
    responses((status = 200, body = BacktestReport), (status = "default", body = Problem)))]
pub async fn backtest(
    State(topology): State<Arc<Topology>>,
    State(door): State<BacktestDoor>,
    params: Params,
) -> Result<Json<BacktestReport>, Error> {
    params.only(&[])?;
    Ok(answer(&door, &topology))
}

/// Try the rules over the past
///
/// Over what is stored, or over the files that were uploaded: with the limits as they are configured, and with those given here, side by side.
/// Nothing is written and nobody is told. One at a time; the answer comes at once, the result when it is done.
#[utoipa::path(post, path = "/api/v1/backtest", tag = "commands", operation_id = "start_backtest", request_body = BacktestRequest,
    responses((status = 200, body = BacktestReport),
              (status = 409, description = "one is at work already, or no whole set of files was uploaded", body = Problem),
              (status = "default", body = Problem)))]
pub async fn start(
    State(topology): State<Arc<Topology>>,
    State(door): State<BacktestDoor>,
    State(snapshots): State<super::handles::Snapshots>,
    Body(b): Body<BacktestRequest>,
) -> Result<Json<BacktestReport>, Error> {
    let ids = |id: &str| snapshots.borrow().points.iter().find(|p| *p.id == *id).map(|p| p.point);
    let wish = wish(&b, &topology, &ids, clock::now())?;
    let (reply, begun) = oneshot::channel();
    send(&door, BacktestCommand::Start { wish, from_files: b.files, reply })?;
    match begun.await {
        Ok(Ok(())) => Ok(answer(&door, &topology)),
        Ok(Err(BacktestRefusal::Running)) => Err(Error::Backtesting),
        Ok(Err(BacktestRefusal::NoFiles)) => Err(Error::NoFiles),
        Err(_) => Err(Error::Stopping),
    }
}

/// End the back-test at work; what it found so far is dropped
#[utoipa::path(post, path = "/api/v1/backtest/stop", tag = "commands", operation_id = "stop_backtest",
    responses((status = 200, body = BacktestReport), (status = "default", body = Problem)))]
pub async fn stop(
    State(topology): State<Arc<Topology>>,
    State(door): State<BacktestDoor>,
    Body(super::discovery::Nothing {}): Body<super::discovery::Nothing>,
) -> Result<Json<BacktestReport>, Error> {
    send(&door, BacktestCommand::Stop)?;
    Ok(answer(&door, &topology))
}

/// Upload a file for a back-test: the list of meters first, then their readings
///
/// As `heyun replay` reads them (docs/guide/replay.md): `meters.csv` of at most 1 MiB, then at most 4 files of readings of 64 MiB each, plain or gzip. They
/// are removed once they were tried. With the list of meters a new set begins.
#[utoipa::path(post, path = "/api/v1/backtest/upload", tag = "commands", operation_id = "upload_for_backtest",
    request_body(content_type = "text/csv", content = Vec<u8>, description = "or `application/gzip`, or `application/octet-stream`"),
    params(("part" = String, Query, description = "`meters` or `readings`"),
           ("name" = Option<String>, Query, description = "as people call the file: notes about its lines name it so")),
    responses((status = 200, body = UploadReport), (status = 409, description = "another file comes, they are being read, or the list of meters is missing", body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem), (status = 507, description = "the disk is nearly full", body = Problem),
              (status = "default", body = Problem)))]
pub async fn upload(State(door): State<BacktestDoor>, params: Params, request: Request) -> Result<Json<UploadReport>, Error> {
    let params = params.only(&["part", "name"])?;
    let part = params.choice("part", &[("meters", Part::Meters), ("readings", Part::Readings)])?;
    let part = part.ok_or_else(|| Error::BadParameter {
        name: "part",
        value: String::new(),
        expected: say("expected.one_of", &[("words", "meters, readings".into())]),
    })?;
    // A foreign page can send a file nowhere without being asked first: no form has these types.
    if !["text/csv", "application/gzip", "application/octet-stream"].into_iter().any(|t| is_of(&request, t)) {
        return Err(Error::NotCsv);
    }
    let name = params.get("name").unwrap_or_default().to_owned();
    let (pieces, queue) = mpsc::channel(PIECES);
    let shelf = door.shelf.clone();
    let written = tokio::task::spawn_blocking(move || write(&shelf, part, &name, queue));
    let mut body = request.into_body().into_data_stream();
    let whole = loop {
        match body.next().await {
            Some(Ok(piece)) => {
                // Nobody takes them any more: why, the other end says.
                if pieces.send(piece).await.is_err() {
                    break None;
                }
            }
            Some(Err(e)) => return Err(Error::BadBody { detail: e.to_string() }),
            None => break Some(()),
        }
    };
    if whole.is_some() && pieces.send(Bytes::new()).await.is_err() {
        tracing::debug!("an uploaded file was refused before its end");
    }
    let written = written.await.map_err(|e| Error::Internal(format!("a file was not written: {e}")))?;
    Ok(Json(UploadReport { bytes: written.map_err(|e| refused(e, part))? }))
}

/// Pieces of a file that wait for the disk. Full: the client waits.
const PIECES: usize = 4;

/// Writes what comes. An empty piece is the end; a queue that ends without it was broken off, and nothing stays.
fn write(shelf: &Shelf, part: Part, name: &str, mut queue: mpsc::Receiver<Bytes>) -> Result<u64, Refusal> {
    let mut file: Incoming = shelf.begin(part, name)?;
    while let Some(piece) = queue.blocking_recv() {
        if piece.is_empty() {
            return file.finish();
        }
        file.write(&piece)?;
    }
    Err(Refusal::Io(std::io::ErrorKind::UnexpectedEof.into()))
}

fn refused(e: Refusal, part: Part) -> Error {
    match e {
        Refusal::Taken => Error::Backtesting,
        Refusal::NoMeters => Error::NoFiles,
        Refusal::TooMany => Error::TooManyFiles { limit: READINGS_FILES },
        Refusal::TooLarge { .. } => {
            Error::FileTooLarge { limit_mib: if part == Part::Meters { METERS_BYTES >> 20 } else { READINGS_BYTES >> 20 } }
        }
        Refusal::NoRoom => Error::NoRoom,
        Refusal::Io(e) => {
            tracing::error!(error = %e, "an uploaded file cannot be kept");
            Error::Unavailable
        }
    }
}

fn send(door: &BacktestDoor, command: BacktestCommand) -> Result<(), Error> {
    door.commands.try_send(command).map_err(|e| match e {
        mpsc::error::TrySendError::Full(_) => Error::Busy,
        mpsc::error::TrySendError::Closed(_) => Error::Stopping,
    })
}

fn answer(door: &BacktestDoor, topology: &Topology) -> Json<BacktestReport> {
    let state = door.state.borrow().clone();
    Json(backtest_report::report(state, topology, clock::now()))
}

const MOST_VOLUME: i64 = 1_000_000;
const MOST_HOURS: i64 = 90 * 24;

fn wish(
    b: &BacktestRequest,
    topology: &Topology,
    id: &dyn Fn(&str) -> Option<crate::domain::topology::PointIx>,
    now: Ts,
) -> Result<Wish, Error> {
    let time = |name, v: &Option<String>| v.as_ref().map(|v| time_param::instant(name, v, &topology.tz)).transpose();
    let (from, to) = (time("from", &b.from)?, time("to", &b.to)?);
    if let (Some(from), value) = (from, b.from.clone().unwrap_or_default())
        && from >= to.unwrap_or(now)
    {
        return Err(Error::BadParameter { name: "from", value, expected: say("expected.before_to", &[]) });
    }
    let chosen = match (&b.point, &b.place) {
        (Some(point), None) => {
            let ix = topology.point_by_key(point).or_else(|| id(point));
            Chosen::Point(ix.ok_or_else(|| Error::UnknownMeter { id: point.clone() })?)
        }
        (None, Some(place)) => {
            let at = topology.places.iter().position(|p| p.key == *place).and_then(|i| u32::try_from(i).ok());
            Chosen::Place(PlaceIx(at.ok_or_else(|| Error::UnknownPlace { key: place.clone() })?))
        }
        (None, None) => Chosen::All,
        (Some(_), Some(place)) => {
            return Err(Error::BadParameter { name: "place", value: place.clone(), expected: say("expected.point_or_place", &[]) });
        }
    };
    let volume = |name, v, unit| limit(name, v, unit, MOST_VOLUME, 1);
    let (hour, month) = (
        volume("litres_per_hour", b.litres_per_hour.as_ref(), Unit::Litre)?,
        volume("tonnes_per_month", b.tonnes_per_month.as_ref(), Unit::CubicMetre)?,
    );
    // Thousandths of an hour are 3.6 s; less than a minute is no silence.
    let silent = limit("silent_after_hours", b.silent_after_hours.as_ref(), Unit::One, MOST_HOURS, 17)?;
    let tried = Tried { per_hour: of(hour, Amount), per_month: of(month, Amount), silent_after: of(silent, |n| Ms(n * 3_600)) };
    Ok(Wish { chosen, from, to, tried })
}

fn of<T>(choice: Choice<i64>, f: impl Fn(i64) -> T) -> Choice<T> {
    match choice {
        Choice::AsNow => Choice::AsNow,
        Choice::Off => Choice::Off,
        Choice::To(n) => Choice::To(f(n)),
    }
}

/// A limit as somebody wrote it, in the smallest unit of `unit`'s quantity.
fn limit(name: &'static str, written: Option<&Written>, unit: Unit, most: i64, least: i64) -> Result<Choice<i64>, Error> {
    let text = match written.map(Written::text) {
        None | Some("") => return Ok(Choice::AsNow),
        Some("off") => return Ok(Choice::Off),
        Some(text) => text,
    };
    let factor = unit.factor().unwrap_or(1);
    let number = Decimal::parse(text).and_then(|d| d.in_smallest(unit)).ok().filter(|n| (least..=most.saturating_mul(factor)).contains(n));
    number.map(Choice::To).ok_or_else(|| Error::BadParameter {
        name,
        value: text.to_owned(),
        expected: say("expected.limit", &[("most", most.into())]),
    })
}
