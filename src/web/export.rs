//! `/api/v1/export`: what is stored, as CSV, streamed.
//!
//! Each export is a thread that may block, with a connection of its own to the store, so that the pages' questions never wait for it. It hands
//! on chunks of 64 KiB through a queue of four: a client that reads slowly makes it wait, a client that hangs up ends it. Whatever goes wrong
//! before the first chunk is told as any other problem; after that the connection breaks off, so that half a file never looks like a whole one.

use super::error::{Error, Problem};
use super::handles::Snapshots;
use super::params::Params;
use super::{meters, time_param};
use crate::domain::time::Ts;
use crate::domain::topology::{Medium, PointKind, Topology};
use crate::export::{self, Export, Form, Kind, Lang, Request, Selection, Unknown, Wanted};
use crate::store::Reader;
use crate::texts::say;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// Exports at once; the next is told to come again. Each costs a thread, a connection (half a megabyte) and its queue.
const EXPORTS: usize = 2;
/// Chunks that wait for one client. Full: the export's thread waits.
const QUEUE: usize = 4;

/// Places for exports, and where they read.
#[derive(Clone)]
pub struct Exports {
    reader: Reader,
    places: Arc<Semaphore>,
}

impl Exports {
    pub fn new(reader: Reader) -> Exports {
        Exports { reader, places: Arc::new(Semaphore::new(EXPORTS)) }
    }
}

/// Readings as CSV
///
/// UTF-8, RFC 4180, streamed; columns and words: `docs/guide/export.md`. The store is shown as it was after one commit. An answer that ends
/// without an error is whole. At most 2 exports at once; the next is refused with 503 and `Retry-After`.
#[utoipa::path(get, path = "/api/v1/export", tag = "history",
    params(("kind" = Option<String>, Query, description = "`raw` (default): every reading of the metering points; `daily`: what each used on each local day; `values`: every number of every message"),
           ("from" = Option<String>, Query, description = "RFC 3339, a date in the compound's zone, or Unix milliseconds; default: the first reading"),
           ("to" = Option<String>, Query, description = "like `from`; not part of the span; default: after the last reading"),
           ("meter" = Option<String>, Query, description = "only these metering points: keys or global ids, with commas"),
           ("place" = Option<String>, Query, description = "only metering points at or under these places: keys, with commas; adds to `meter`"),
           ("meter_kind" = Option<String>, Query, description = "of these only `bulk`, `sub` or `make_up`; several with commas"),
           ("medium" = Option<String>, Query, description = "of these only `water`, `hot_water`, `heat`, `electricity` or `gas`; several with commas"),
           ("lang" = Option<String>, Query, description = "`zh` (default): Chinese headings and words; `en`: stable codes"),
           ("bom" = Option<String>, Query, description = "`1`: for a double click in Excel on Windows; default `0`")),
    responses((status = 200, content_type = "text/csv", body = String), (status = 503, body = Problem), (status = "default", body = Problem)))]
pub async fn export(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(exports): State<Exports>,
    params: Params,
) -> Result<Response, Error> {
    let params = params.only(&["kind", "from", "to", "meter", "place", "meter_kind", "medium", "lang", "bom"])?;
    let request = request(&params, &topology, &snapshots)?;
    let place = exports.places.clone().try_acquire_owned().map_err(|_| Error::TooManyExports)?;
    let disposition = disposition(&request, &topology.tz);
    let (queue, mut chunks) = mpsc::channel(QUEUE);
    let producer = Producer { queue, _place: place };
    tokio::task::spawn_blocking(move || producer.run(&exports.reader.dedicated(), &topology, &request));
    let first = match chunks.recv().await {
        Some(Ok(chunk)) => chunk,
        Some(Err(export::Error::Store(e))) => return Err(Error::Store(e)),
        Some(Err(e)) => return Err(Error::Internal(e.to_string())),
        None => return Err(Error::Internal("an export ended without a word".to_owned())),
    };
    let rest = ReceiverStream::new(chunks);
    let body = Body::from_stream(tokio_stream::StreamExt::chain(tokio_stream::once(Ok(first)), rest));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present")),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, body).into_response())
}

fn request(params: &Params, topology: &Topology, snapshots: &Snapshots) -> Result<Request, Error> {
    let at = |name| params.get(name).map(|v| time_param::instant(name, v, &topology.tz)).transpose();
    let (from, to): (Option<Ts>, Option<Ts>) = (at("from")?, at("to")?);
    if let (Some(f), Some(t)) = (from, to)
        && f >= t
    {
        let expected = say("expected.before_to", &[]);
        return Err(Error::BadParameter { name: "from", value: params.get("from").unwrap_or_default().to_owned(), expected });
    }
    let list = |name| params.get(name).unwrap_or_default().split(',').filter(|v| !v.is_empty());
    let snapshot = snapshots.borrow().clone();
    let meters = list("meter").map(|id| meters::find(topology, &snapshot, id).map(|ix| topology.point(ix).key.clone()));
    let wanted = Wanted {
        meters: meters.collect::<Result<_, _>>()?,
        places: list("place").map(str::to_owned).collect(),
        kinds: list("meter_kind").map(kind).collect::<Result<_, _>>()?,
        mediums: list("medium").map(medium).collect::<Result<_, _>>()?,
    };
    let selection = Selection::new(topology, &wanted).map_err(|e| match e {
        Unknown::Meter { key } => Error::UnknownMeter { id: key },
        Unknown::Place { key } => Error::UnknownPlace { key },
    })?;
    Ok(Request {
        kind: params.choice("kind", &[("raw", Kind::Raw), ("daily", Kind::Daily), ("values", Kind::Values)])?.unwrap_or(Kind::Raw),
        from,
        to,
        selection,
        form: Form {
            lang: params.choice("lang", &[("zh", Lang::Zh), ("en", Lang::En)])?.unwrap_or(Lang::Zh),
            bom: params.choice("bom", &[("0", false), ("1", true)])?.unwrap_or(false),
        },
    })
}

fn kind(word: &str) -> Result<PointKind, Error> {
    match word {
        "bulk" => Ok(PointKind::Bulk),
        "sub" => Ok(PointKind::Sub),
        "make_up" => Ok(PointKind::MakeUp),
        _ => {
            let expected = say("expected.some_of", &[("words", "bulk, sub, make_up".into())]);
            Err(Error::BadParameter { name: "meter_kind", value: word.to_owned(), expected })
        }
    }
}

fn medium(word: &str) -> Result<Medium, Error> {
    Medium::ALL.into_iter().find(|m| m.code() == word).ok_or_else(|| {
        let expected = say("expected.some_of", &[("words", Medium::ALL.map(Medium::code).join(", ").into())]);
        Error::BadParameter { name: "medium", value: word.to_owned(), expected }
    })
}

/// A name for the file: plain for everybody, in Chinese for those who can.
fn disposition(request: &Request, tz: &TimeZone) -> HeaderValue {
    let (code, title) = match request.kind {
        Kind::Raw => ("raw", "export.title.raw"),
        Kind::Daily if request.selection.mixed => ("daily", "export.title.daily_mixed"),
        Kind::Daily => ("daily", "export.title.daily"),
        Kind::Values => ("values", "export.title.values"),
    };
    let date = |ts: Ts| {
        let at = Timestamp::from_millisecond(ts.0).unwrap_or_default();
        format!("-{}", tz.to_datetime(at).date())
    };
    let span = [request.from, request.to].into_iter().flatten().map(date).collect::<String>();
    let name = match request.form.lang {
        Lang::Zh => format!("heyun-{}{span}.csv", say(title, &[]).zh),
        Lang::En => format!("heyun-{code}{span}.csv"),
    };
    let escaped = name.bytes().map(|b| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    });
    let value = format!("attachment; filename=\"heyun-{code}{span}.csv\"; filename*=UTF-8''{}", escaped.collect::<String>());
    // Made of ASCII alone.
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"))
}

type Chunk = Result<Bytes, export::Error>;

/// The thread of one export.
struct Producer {
    queue: mpsc::Sender<Chunk>,
    /// Free again when the thread ends.
    _place: OwnedSemaphorePermit,
}

impl Producer {
    fn run(self, reader: &Reader, topology: &Topology, request: &Request) {
        let gone = self.queue.clone();
        let export = Export::prepare(reader, topology, request).map_err(export::Error::Store);
        let done = export.and_then(|e| {
            e.write(&mut Out(&self.queue), &mut |_| {
                if gone.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        });
        let Err(error) = done else { return };
        match &error {
            export::Error::Store(e) => tracing::error!(error = %e, "an export broke off"),
            export::Error::Write(_) | export::Error::BrokenOff => tracing::debug!("an export was not read to its end"),
        }
        // The error breaks the connection, where there still is one.
        if self.queue.blocking_send(Err(error)).is_err() {
            tracing::debug!("nobody waits for the export any more");
        }
    }
}

/// Chunks into the queue; full, it waits.
struct Out<'a>(&'a mpsc::Sender<Chunk>);

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(gone)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
