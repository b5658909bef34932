//! A gateway without broker, clock and daemon: the real engine, the real store, the real router, and a hand that feeds them.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use heyun::daemon::backtest::Desk;
use heyun::domain::engine::{Effect, Effects, Engine, Input};
use heyun::domain::flag::{Flag, FlagSet};
use heyun::domain::reading::{Reading, Refused, Reject, Values};
use heyun::domain::time::{Ms, Ts};
use heyun::domain::topology::{
    Binding, Boundary, Column, Feed, FeedIx, Limits, Medium, Meter, Place, PlaceIx, PlaceKind, Point, PointIx, PointKind, Responsible,
    Topology, ValveCard,
};
use heyun::domain::units::{Amount, Quantity, Rate};
use heyun::history::{Historian, Step};
use heyun::store::{Batch, EventRecord, LedgerRecord, Reader, Settings, Writer};
use heyun::web::{Batches, Broker, BrokerState, CommandRequest, DiscoveryDoor, Handles, Health, StoreHealth, StoreState, router};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt;

/// 2026-11-10 00:00 in Shanghai.
pub const DAY: &str = "2026-11-09T16:00:00Z";

pub fn ts(s: &str) -> Ts {
    Ts(s.parse::<Timestamp>().unwrap().as_millisecond())
}

fn topology() -> Topology {
    let place = |key: &str, kind, name: &str, parent: Option<u32>| Place {
        key: key.into(),
        kind,
        name: name.into(),
        parent: parent.map(PlaceIx),
        households: None,
        residents: None,
    };
    let point = |key: &str, name: &str, kind, place, topic: &str, feed| Point {
        key: key.into(),
        name: name.into(),
        kind,
        place: PlaceIx(place),
        parent: None,
        medium: Medium::Water,
        boundary: Boundary::Assessment,
        responsible: Responsible::Owners,
        valve: None,
        meter: Meter {
            serial: None,
            pulse_weight: Amount::litres(1),
            rollover_at: None,
            max_flow: Rate::litres(20_000),
            mean_flow_over: None,
        },
        source: Some(Binding { topic: topic.into(), feed: FeedIx(feed), column: Some(0) }),
        limits: Limits::default(),
        price_milliyuan_per_tonne: None,
    };
    let mut bulk = point("b15", "15号楼总表", PointKind::Bulk, 2, "water/b15", 0);
    bulk.limits.per_hour = Some(Amount::litres(500));
    bulk.price_milliyuan_per_tonne = Some(3_850);
    bulk.valve = Some(ValveCard { place: "15号楼地下室".into(), key_holder: Some("楼栋长".into()), ..ValveCard::default() });
    let mut flat = point("101", "101户", PointKind::Sub, 3, "water/101", 1);
    flat.parent = Some(PointIx(0));
    flat.limits.silent_after = Some(Ms::hours(6));
    let mut loop_ = point("loop", "补水表", PointKind::MakeUp, 1, "heat/loop", 2);
    loop_.meter.mean_flow_over = Some(Ms::minutes(15));
    let mut rope = point("rope", "101户厨房水浸", PointKind::Sensor, 3, "sensor/101", 3);
    rope.source = Some(Binding { topic: "sensor/101".into(), feed: FeedIx(3), column: None });
    rope.limits.silent_after = Some(Ms::hours(24));
    let column = |name: &str, quantity| Column { name: name.into(), quantity };
    Topology {
        gateway: "g1".into(),
        tz: TimeZone::get("Asia/Shanghai").unwrap(),
        since: ts("2010-01-01T00:00:00Z"),
        places: vec![
            place("guanfang", PlaceKind::Community, "官坊街社区", None),
            place("heyun", PlaceKind::Compound, "和韵小区", Some(0)),
            place("b15", PlaceKind::Building, "15号楼", Some(1)),
            place("15-101", PlaceKind::Household, "101", Some(2)),
        ],
        points: vec![bulk, flat, loop_, rope],
        heating: heyun::domain::heating::Heating::default(),
        feeds: vec![
            Feed { name: "bulk".into(), columns: vec![column("register", Quantity::Volume)], wakes: None },
            Feed {
                name: "flats".into(),
                columns: vec![column("register", Quantity::Volume), column("temp", Quantity::Temperature)],
                wakes: None,
            },
            Feed { name: "loops".into(), columns: vec![column("flow", Quantity::Flow)], wakes: None },
            Feed {
                name: "sensors".into(),
                columns: vec![column("room", Quantity::Temperature), column("flags", Quantity::Flags)],
                wakes: None,
            },
        ],
    }
}

/// The engine and its store, as the daemon would hold them.
pub struct Core {
    engine: Engine,
    writer: Writer,
    reader: Reader,
    topology: Arc<Topology>,
    effects: Effects,
    batch: u64,
    now: Ts,
    snapshot: watch::Sender<Arc<heyun::domain::engine::Snapshot>>,
    /// Dropped, it ends.
    _desk: Desk,
}

impl Core {
    /// One message; `values` in smallest units.
    pub fn hear(&mut self, topic: &str, feed: u16, at: Ts, values: &[i64]) {
        self.now = self.now.max(at);
        let mut v = Values::NONE;
        values.iter().enumerate().for_each(|(i, n)| v.set(i, *n));
        let reading =
            Reading { feed: FeedIx(feed), topic: topic.into(), ts: Some(at), received: at, values: v, retained: false, clock_sure: true };
        self.input(&Input::Reading(reading));
    }

    /// Registers of the bulk meter in litres, by minute of [`DAY`].
    pub fn bulk(&mut self, pairs: &[(i64, i64)]) {
        for (minute, litres) in pairs {
            self.hear("water/b15", 0, ts(DAY) + Ms::minutes(*minute), &[litres * 1_000]);
        }
        self.commit();
    }

    /// A message of the rope: the room's thousandths of a degree, and what it says of itself.
    pub fn rope(&mut self, at: Ts, room: i64, flags: &[Flag]) {
        let flags: FlagSet = flags.iter().copied().collect();
        self.hear("sensor/101", 3, at, &[room, flags.column()]);
        self.commit();
    }

    pub fn refuse(&mut self, topic: &str, reason: Reject, excerpt: &str) {
        let received = self.now;
        self.input(&Input::Refused(Refused { feed: None, topic: topic.into(), received, reason, excerpt: excerpt.into() }));
    }

    fn input(&mut self, input: &Input) {
        let reader = self.reader.clone();
        let mut past = |source, ts| Ok(reader.lookup(source, ts).unwrap());
        self.engine.handle(self.now, input, &mut past, &mut self.effects).unwrap();
    }

    /// Has all days told that are over.
    pub fn tell(&mut self) {
        let volumes = self.writer.volumes().unwrap();
        let mut historian = Historian::new(&self.topology);
        while let Step::More { .. } = historian.step(&self.reader, &volumes, Ms::ZERO).unwrap() {}
    }

    /// Lets what is due now be said, as the daemon does at every deadline.
    pub fn tick(&mut self) {
        self.engine.tick(self.now, &mut self.effects);
    }

    pub fn pass(&mut self, time: Ms) {
        self.now = self.now + time;
        self.engine.tick(self.now, &mut self.effects);
        self.commit();
    }

    pub fn commit(&mut self) {
        let mut batch = Batch { id: self.batch, received: self.now, ..Batch::default() };
        for effect in self.effects.list.drain(..) {
            match effect {
                Effect::Append(row) => batch.rows.push(row),
                Effect::Source(s) => batch.sources.push(s),
                Effect::Identity(i) => batch.identities.push(i),
                Effect::Event(e) => batch.events.push(EventRecord {
                    seq: e.seq,
                    at: e.at,
                    incident: e.incident.clone(),
                    code: Cow::Borrowed(e.change.code()),
                    // Whole, as the daemon writes it and folds it at boot.
                    body: serde_json::to_string(&e).unwrap(),
                }),
                Effect::Ledger(e, source, from) => batch.ledger.push(LedgerRecord {
                    seq: e.seq,
                    at: e.at,
                    point: e.point.as_str().into(),
                    body: serde_json::to_string(&*e).unwrap(),
                    moves: source.map(|s| (s, from)),
                }),
                Effect::Notice(_) => {}
            }
        }
        self.writer.commit(Arc::new(batch)).unwrap();
        self.engine.committed(Some(self.batch));
        self.batch += 1;
        self.snapshot.send_replace(Arc::new(self.engine.snapshot(self.now)));
    }

    fn obey(&mut self, request: CommandRequest) {
        match request {
            CommandRequest::Incident(command, reply) => {
                let answer = self.engine.command(self.now, command, &mut self.effects);
                if answer.is_ok() {
                    self.commit();
                }
                let _ = reply.send(answer);
            }
            CommandRequest::Amend(amend, reply) => {
                self.commit();
                let rows = self.engine.needed_for(&amend).map(|n| self.reader.readings(n.source, n.from, Ts::LATEST, 10_000).unwrap());
                let answer = rows.and_then(|rows| self.engine.amend(self.now, &amend, &rows, &mut self.effects));
                if answer.is_ok() {
                    self.commit();
                }
                let _ = reply.send(answer);
            }
            CommandRequest::Study(point, reply) => {
                let study = self.engine.study(point, self.now).map(Arc::new);
                let _ = reply.send(study.ok_or(heyun::domain::engine::CommandError::Unavailable));
            }
            CommandRequest::Read(hand, reply) => {
                let reader = self.reader.clone();
                let mut past = |source, ts| Ok(reader.lookup(source, ts).unwrap());
                let answer = self.engine.read_by_hand(self.now, &hand, &mut past, &mut self.effects);
                if answer.is_ok() {
                    self.commit();
                }
                let _ = reply.send(answer);
            }
        }
    }
}

pub struct Gateway {
    core: Arc<Mutex<Core>>,
    pub health: watch::Sender<Arc<Health>>,
    router: Router,
    _dir: TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }
    /// The problem's code, after checking that it is a whole one.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let problem = self.json();
        assert!(problem["message"]["zh"].is_string() && problem["message"]["en"].is_string(), "{}", self.text);
        problem
    }
}

/// Handles on a fresh gateway, and what keeps it alive.
pub fn handles() -> (Handles, Arc<Mutex<Core>>, watch::Sender<Arc<Health>>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = heyun::store::open(&Settings { path: dir.path().join("heyun.db") }).unwrap();
    let topology = Arc::new(topology());
    let now = ts(DAY);
    let mut engine = Engine::new(topology.clone());
    let mut effects = Effects::default();
    engine.boot(now, 0, &mut effects);
    engine.connected(now);
    let (snapshot, snapshots) = watch::channel(Arc::default());
    let photos = writer.photos();
    // Later than anything that a test lets happen.
    let desk = heyun::daemon::backtest::start(topology.clone(), &reader, &dir.path().join("heyun.db"), || ts("2027-06-30T16:00:00Z"));
    let backtest = desk.door.clone();
    let mut core =
        Core { engine, writer, reader: reader.clone(), topology: topology.clone(), effects, batch: 1, now, snapshot, _desk: desk };
    core.commit();
    let core = Arc::new(Mutex::new(core));
    let (health, healths) = watch::channel(Arc::new(Health {
        started_at: now,
        ready: true,
        clock_sure: true,
        broker: Broker { state: BrokerState::Connected, since: now, last_error: None },
        store: StoreHealth { state: StoreState::Ok, since: now, last_error: None, expired: 0 },
        batches: Batches { committed: 1, failed: 0, last_at: Some(now), last_took_ms: Some(7) },
        channels: vec![],
        disk: None,
        backup: None,
    }));
    let (commands, mut orders) = mpsc::channel::<CommandRequest>(4);
    let obeying = core.clone();
    tokio::spawn(async move {
        while let Some(request) = orders.recv().await {
            obeying.lock().unwrap().obey(request);
        }
    });
    (
        Handles { topology, snapshot: snapshots, reader, commands, health: healths, discovery: DiscoveryDoor(None), backtest, photos },
        core,
        health,
        dir,
    )
}

impl Gateway {
    pub fn new() -> Gateway {
        let (handles, core, health, dir) = handles();
        Gateway { core, health, router: router(handles), _dir: dir }
    }

    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap()
    }

    pub async fn raw(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.raw(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 4 << 20).await.unwrap();
        Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).header("host", "127.0.0.1:8080").body(Body::empty()).unwrap()).await
    }

    /// GET by a client that has an answer with this tag.
    pub async fn get_again(&self, path: &str, tag: &str) -> Answer {
        self.send(Request::get(path).header("host", "localhost").header("if-none-match", tag).body(Body::empty()).unwrap()).await
    }

    /// POST of a file.
    pub async fn upload(&self, path: &str, kind: &str, bytes: Vec<u8>) -> Answer {
        self.send(Request::post(path).header("host", "localhost").header("content-type", kind).body(Body::from(bytes)).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        let request = Request::post(path).header("host", "localhost").header("content-type", "application/json; charset=utf-8");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// The id of the only open incident.
    pub async fn incident(&self) -> String {
        let list = self.get("/api/v1/incidents?state=open").await.ok();
        assert_eq!(list["incidents"].as_array().unwrap().len(), 1, "{list}");
        list["incidents"][0]["id"].as_str().unwrap().to_owned()
    }
}
