//! `/api/v1/live`: what changes, as it changes, over Server-Sent Events.
//!
//! Events of incidents carry their sequence number as id, so a client that comes back (`Last-Event-ID`, or `?after=`) is told from the
//! store what it missed. States of meters and sensors are told as they are, not as they were: the newest wins, at most twice a second.
//!
//! Each stream is a task that writes into a short queue of its own. A client that reads slowly fills its queue and makes its own task wait;
//! nobody else notices, and nothing piles up but that queue: what it missed is read from the store and the newest snapshot.

use super::clock;
use super::error::{Error, Problem};
use super::events;
use super::handles::{Snapshots, Store};
use super::meters::{self, MeterState};
use super::params::Params;
use super::sensors::{self, SensorReport};
use crate::domain::engine::{PointState, Snapshot, SourceState};
use crate::domain::incident::IncidentState;
use crate::domain::topology::Topology;
use crate::texts::Stamp;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

/// Streams at once: fifty people and some tabs that were forgotten. Half of the server's connections, so that ordinary requests find a place.
pub const STREAMS: usize = 64;
/// Messages that wait for one client. Full: its task waits.
const QUEUE: usize = 8;
/// Meters or sensors in one message.
const POINTS: usize = 200;
/// Events read at once.
const EVENTS: usize = 100;
/// Between two tellings of figures.
const BETWEEN: Duration = Duration::from_millis(500);
/// Between two looks for incidents.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// After a question to the store failed.
const AGAIN: Duration = Duration::from_secs(2);

/// Places for streams, the word that all of them must end, and what they all tell.
#[derive(Clone)]
pub struct Streams {
    places: Arc<Semaphore>,
    stop: Arc<watch::Sender<bool>>,
    /// The newest snapshot in words. Held while one stream writes it; the others take what it wrote.
    written: Arc<Mutex<Option<Arc<Written>>>>,
}

impl Streams {
    pub fn new(places: usize) -> Streams {
        Streams { places: Arc::new(Semaphore::new(places)), stop: Arc::new(watch::channel(false).0), written: Arc::default() }
    }

    async fn written(&self, topology: &Topology, snapshot: &Arc<Snapshot>) -> Arc<Written> {
        let mut last = self.written.lock().await;
        match &*last {
            Some(w) if std::ptr::eq(w.snapshot.as_ptr(), Arc::as_ptr(snapshot)) => w.clone(),
            _ => last.insert(Arc::new(Written::of(topology, snapshot))).clone(),
        }
    }

    /// Ends all streams, and every one that is still to come.
    pub fn end(&self) {
        self.stop.send_replace(true);
    }
}

/// First message of a stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hello {
    gateway: String,
    /// The gateway's clock.
    time: Stamp,
    version: &'static str,
    /// Events with a number above this follow. Less than asked for: the gateway's store is another one, read everything anew.
    after: u64,
}

/// Some meters, as they were at `at`, their ages too. Every stream begins with all of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedMeters {
    at: Stamp,
    #[schema(value_type = Vec<MeterState>)]
    meters: Vec<Arc<RawValue>>,
}

/// Some sensors, as they were at `at`, their ages too. Where there are any, every stream begins with all of them, behind the meters.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedSensors {
    at: Stamp,
    #[schema(value_type = Vec<SensorReport>)]
    sensors: Vec<Arc<RawValue>>,
}

/// What changes, as it changes (Server-Sent Events)
///
/// `event: hello` once (`Hello`); `event: meters` (`ChangedMeters`): first all, then those that changed, at most twice a second;
/// `event: sensors` (`ChangedSensors`) likewise; `event: incident` (`EventReport`) with the event's sequence number as id. Resume with `Last-Event-ID` or `after`; without either, only
/// what happens from now on is told. At most 64 streams; the next is refused with 503 and `Retry-After`.
#[utoipa::path(get, path = "/api/v1/live", tag = "state",
    params(("after" = Option<u64>, Query, description = "tell the events after this sequence number; 0 for all"),
           ("Last-Event-ID" = Option<u64>, Header, description = "like `after`; what browsers send when they reconnect, and it wins")),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 503, body = Problem),
              (status = "default", body = Problem)))]
pub async fn live(
    State(topology): State<Arc<Topology>>,
    State(snapshots): State<Snapshots>,
    State(store): State<Store>,
    State(streams): State<Streams>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Error> {
    let params = params.only(&["after"])?;
    let header = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let after = header.or(params.number("after")?);
    if *streams.stop.borrow() {
        return Err(Error::Stopping);
    }
    let place = streams.places.clone().try_acquire_owned().map_err(|_| Error::TooManyStreams)?;
    let (queue, messages) = mpsc::channel(QUEUE);
    let newest = snapshots.borrow().last_event;
    let stop = streams.stop.subscribe();
    let stream = Stream {
        topology,
        streams,
        snapshots,
        store,
        queue,
        // A number from the future belongs to another store.
        cursor: after.map_or(newest, |a| a.min(newest)),
        told_meters: vec![],
        told_sensors: vec![],
        _place: place,
    };
    tokio::spawn(stream.run(stop));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    Ok(Sse::new(ReceiverStream::new(messages)).keep_alive(keep_alive).into_response())
}

/// A point in words, behind the print of what they say.
type Said = (u64, Arc<RawValue>);

/// The meters and sensors of a snapshot, each written once, however many streams tell of it.
struct Written {
    /// Weak: only to be known again, for a snapshot that is held is memory.
    snapshot: Weak<Snapshot>,
    /// In the order of the snapshot.
    meters: Vec<Said>,
    sensors: Vec<Said>,
}

impl Written {
    fn of(topology: &Topology, snapshot: &Arc<Snapshot>) -> Written {
        let open = open_by_point(snapshot);
        let incidents = |p: &PointState| open.get(topology.point(p.point).key.as_str()).copied().unwrap_or_default();
        let (metered, others): (Vec<_>, Vec<_>) = snapshot.points.iter().partition(|p| topology.point(p.point).kind.is_metered());
        let meter = |p: &PointState| said(print(p, incidents(p)), &meters::state(topology, snapshot, p, snapshot.at));
        let sensor = |p: &PointState| {
            let source = sensors::source(snapshot, p);
            said(sensor_print(p, source, incidents(p)), &sensors::report(topology, snapshot, p, snapshot.at))
        };
        Written {
            snapshot: Arc::downgrade(snapshot),
            meters: metered.into_iter().filter_map(meter).collect(),
            sensors: others.into_iter().filter_map(sensor).collect(),
        }
    }
}

fn said(print: u64, what: &impl Serialize) -> Option<Said> {
    match serde_json::value::to_raw_value(what) {
        Ok(text) => Some((print, text.into())),
        Err(error) => {
            tracing::error!(%error, "a point cannot be written for live streams");
            None
        }
    }
}

struct Stream {
    topology: Arc<Topology>,
    streams: Streams,
    snapshots: Snapshots,
    store: Store,
    queue: mpsc::Sender<Result<Event, Infallible>>,
    /// The newest event that was told.
    cursor: u64,
    /// A print of each meter's state as it was told; a print is small, a snapshot that is held is not.
    told_meters: Vec<u64>,
    told_sensors: Vec<u64>,
    /// Free again when the stream ends.
    _place: OwnedSemaphorePermit,
}

/// The client is gone, or the engine is: nobody needs to be told why.
struct Ended;

impl Stream {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let gone = self.queue.clone();
        tokio::select! {
            _ = self.tell() => {}
            () = gone.closed() => {}
            // An error means that nobody can say stop any more, which is the same.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn tell(&mut self) -> Result<Infallible, Ended> {
        let hello = Hello {
            gateway: self.topology.gateway.clone(),
            time: Stamp::new(clock::now(), &self.topology.tz),
            version: env!("CARGO_PKG_VERSION"),
            after: self.cursor,
        };
        // The id lets a browser that hears of no incident still come back to where it was.
        self.send("hello", Some(self.cursor), &hello).await?;
        let mut due = Instant::now();
        loop {
            let snapshot = self.snapshots.borrow_and_update().clone();
            let caught_up = self.incidents(snapshot.last_event).await?;
            // Figures may wait a little, an incident may not.
            let behind = Instant::now() < due;
            if !behind {
                self.points(&snapshot).await?;
                due = Instant::now() + BETWEEN;
            }
            drop(snapshot);
            sleep(LOOK_AGAIN).await;
            if !caught_up {
                sleep(AGAIN).await;
                continue;
            }
            tokio::select! {
                changed = self.snapshots.changed() => changed.map_err(|_| Ended)?,
                () = sleep_until(due), if behind => {}
            }
        }
    }

    /// Tells the events up to `newest`. False if the store could not be asked; then they are told later.
    async fn incidents(&mut self, newest: u64) -> Result<bool, Ended> {
        while self.cursor < newest {
            let cursor = self.cursor;
            let records = match self.store.ask(move |r| r.events_after(cursor, EVENTS)).await {
                Ok(records) if !records.is_empty() => records,
                Ok(_) => return Ok(false),
                Err(error) => {
                    tracing::warn!(?error, "a live stream waits for the store");
                    return Ok(false);
                }
            };
            for r in &records {
                match events::stored(r) {
                    Ok(event) => self.send("incident", Some(r.seq), &events::report(&event, &self.topology)).await?,
                    // One event that cannot be read must not hide those behind it.
                    Err(error) => tracing::error!(?error, "an event is missing from a live stream"),
                }
                self.cursor = r.seq;
            }
        }
        Ok(true)
    }

    async fn points(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), Ended> {
        let written = self.streams.written(&self.topology, snapshot).await;
        let meters = news(&written.meters, &mut self.told_meters);
        let sensors = news(&written.sensors, &mut self.told_sensors);
        let at = Stamp::new(snapshot.at, &self.topology.tz);
        drop(written);
        for some in meters.chunks(POINTS) {
            self.send("meters", None, &ChangedMeters { at, meters: some.to_vec() }).await?;
        }
        for some in sensors.chunks(POINTS) {
            self.send("sensors", None, &ChangedSensors { at, sensors: some.to_vec() }).await?;
        }
        Ok(())
    }

    async fn send<T: Serialize>(&self, name: &str, id: Option<u64>, data: &T) -> Result<(), Ended> {
        let event = match Event::default().event(name).json_data(data) {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(%error, name, "a message of a live stream cannot be written");
                return Ok(());
            }
        };
        let event = match id {
            Some(id) => event.id(id.to_string()),
            None => event,
        };
        self.queue.send(Ok(event)).await.map_err(|_| Ended)
    }
}

/// Those that are not as they were told; from now on they are.
fn news(written: &[Said], told: &mut Vec<u64>) -> Vec<Arc<RawValue>> {
    told.resize(written.len(), 0);
    let changed = written.iter().zip(told).filter(|((print, _), told)| print != *told);
    changed
        .map(|((print, text), told)| {
            *told = *print;
            text.clone()
        })
        .collect()
}

/// Prints of the open incidents of each point that has any.
fn open_by_point(snapshot: &Snapshot) -> HashMap<&str, u64> {
    let mut open: HashMap<&str, u64> = HashMap::new();
    for i in snapshot.incidents.iter().filter(|i| i.state != IncidentState::Closed) {
        let mut h = DefaultHasher::new();
        i.id.hash(&mut h);
        for p in &i.points {
            let print = open.entry(p).or_default();
            *print = print.wrapping_mul(31).wrapping_add(h.finish());
        }
    }
    open
}

/// A number that is another one when anything is that [`MeterState`] shows (but the age, which always is). Never 0, which is "not told".
fn print(p: &PointState, incidents: u64) -> u64 {
    let mut h = DefaultHasher::new();
    p.last.map(|m| (m.ts, m.register)).hash(&mut h);
    p.flow.hash(&mut h);
    p.month.hash(&mut h);
    p.silent.hash(&mut h);
    // The steps count every reading that the ledger saw, also those that moved nothing.
    let s = p.steps;
    [s.forward, s.equal, s.jitter, s.reset, s.rollover, s.jump, s.spike, s.late, s.gap].hash(&mut h);
    incidents.hash(&mut h);
    h.finish().max(1)
}

/// The same for what [`SensorReport`] shows.
fn sensor_print(p: &PointState, source: Option<&SourceState>, incidents: u64) -> u64 {
    let mut h = DefaultHasher::new();
    p.silent.hash(&mut h);
    if let Some(s) = source {
        s.last.map(|(ts, values)| (ts, values.iter().collect::<Vec<_>>())).hash(&mut h);
        s.flags.hash(&mut h);
        s.presence.hash(&mut h);
    }
    incidents.hash(&mut h);
    h.finish().max(1)
}
