//! `/api/v1/export` over a real connection.

use crate::store::World;
use heyun::backtest::Shelf;
use heyun::domain::time::Ts;
use heyun::web::{
    Backtest, BacktestDoor, Batches, Broker, BrokerState, DiscoveryDoor, Handles, Health, Settings, StoreHealth, StoreState, serve,
};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

const LIMIT: Duration = Duration::from_secs(30);

/// The web of a gateway that has a store and nothing else.
struct Served {
    addr: SocketAddr,
    _runtime: Runtime,
}

impl Served {
    fn new(w: &World) -> Served {
        let runtime = Runtime::new().unwrap();
        let health = Health {
            started_at: Ts(0),
            ready: true,
            clock_sure: true,
            broker: Broker { state: BrokerState::Connected, since: Ts(0), last_error: None },
            store: StoreHealth { state: StoreState::Ok, since: Ts(0), last_error: None, expired: 0 },
            batches: Batches { committed: 1, failed: 0, last_at: None, last_took_ms: None },
            channels: vec![],
            disk: None,
            backup: None,
        };
        let handles = Handles {
            topology: Arc::new(w.topology.clone()),
            snapshot: watch::channel(Arc::default()).1,
            reader: w.reader.clone(),
            commands: mpsc::channel(1).0,
            health: watch::channel(Arc::new(health)).1,
            discovery: DiscoveryDoor(None),
            backtest: BacktestDoor {
                commands: mpsc::channel(1).0,
                state: watch::channel(Backtest::Idle).1,
                shelf: Shelf::beside(Path::new("unused")),
            },
            photos: w.photos(),
        };
        let listener = runtime.block_on(Settings { listen: "127.0.0.1:0".parse().unwrap() }.bind()).unwrap();
        let addr = listener.local_addr().unwrap();
        runtime.spawn(serve(listener, handles, std::future::pending()));
        Served { addr, _runtime: runtime }
    }

    /// Asks, and reads nothing yet.
    fn ask(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.addr).unwrap();
        stream
    }

    fn get(&self, path: &str) -> Answer {
        let mut bytes = vec![];
        self.ask(path).read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
    /// The last chunk has come, or all that was announced.
    whole: bool,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut rest = &bytes[end + 4..];
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        if !head.contains("transfer-encoding: chunked") {
            return Answer { status, head, body: rest.to_vec(), whole: true };
        }
        let (mut body, mut whole) = (vec![], false);
        while let Some(line) = rest.windows(2).position(|w| w == b"\r\n") {
            let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            whole = length == 0;
            if whole || rest.len() < line + 4 + length {
                break;
            }
            body.extend_from_slice(&rest[line + 2..line + 2 + length]);
            rest = &rest[line + 4 + length..];
        }
        Answer { status, head, body, whole }
    }

    fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.head);
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert!(problem["message"]["zh"].is_string());
        problem
    }
}

#[test]
fn the_api_and_the_command_line_write_the_same_bytes() {
    let mut w = World::new();
    w.fill(200_000);
    let s = Served::new(&w);
    for (query, args) in [
        ("", &[][..]),
        (
            "?kind=values&lang=en&bom=1&from=2026-02-01&to=2026-03-01T00:00:00%2B08:00",
            &["--kind", "values", "--lang", "en", "--bom", "--from", "2026-02-01", "--to", "2026-03-01"],
        ),
        ("?meter=makeup,h1-bulk&meter_kind=make_up&place=h1-101", &["--meter", "makeup", "--place", "h1-101", "--meter-kind", "make-up"]),
    ] {
        let answer = s.get(&format!("/api/v1/export{query}"));
        assert_eq!((answer.status, answer.whole), (200, true), "{query}: {}", answer.head);
        let out = Command::new(env!("CARGO_BIN_EXE_heyun")).arg("export").arg("--config").arg(w.config()).args(args).output().unwrap();
        assert!(out.status.success());
        assert!(answer.body == out.stdout, "{query}: {} and {} bytes", answer.body.len(), out.stdout.len());
        assert!(out.stdout.len() > 2_000_000);
    }
    let head = s.get("/api/v1/export?from=2026-11-01&to=2026-12-01").head;
    assert!(head.contains("content-type: text/csv; charset=utf-8; header=present"), "{head}");
    let names = "attachment; filename=\"heyun-raw-2026-11-01-2026-12-01.csv\"; filename*=UTF-8''heyun-%E6%8A%84%E8%A1%A8%E6%98%8E%E7%BB%86-2026-11-01-2026-12-01.csv";
    assert!(head.contains(names), "{head}");
    assert!(head.contains("cache-control: no-store") && head.contains("transfer-encoding: chunked"), "{head}");
}

#[test]
fn a_third_export_waits_its_turn_the_pages_do_not_and_who_hangs_up_makes_room() {
    let mut w = World::new();
    w.fill(200_000);
    let s = Served::new(&w);
    // Two that nobody reads: their threads wait, for ever if need be.
    let mut slow = [s.ask("/api/v1/export"), s.ask("/api/v1/export?kind=values")];
    for stream in &mut slow {
        stream.read_exact(&mut [0; 1_000]).unwrap();
    }
    let third = s.get("/api/v1/export");
    assert_eq!(third.problem(503)["code"], "too_many_exports");
    assert!(third.head.contains("retry-after: 10"), "{}", third.head);
    for _ in 0..20 {
        assert_eq!(s.get("/api/v1/topology").status, 200, "the store answers others");
    }
    drop(slow);
    let began = Instant::now();
    while s.get("/api/v1/export?to=2026-01-02").status != 200 {
        assert!(began.elapsed() < LIMIT, "the place is still taken");
    }
}

#[test]
fn what_is_wrong_is_told_before_the_first_byte() {
    let w = World::new();
    let s = Served::new(&w);
    for (query, status, code, parameter) in [
        ("kind=xml", 400, "bad_parameter", "kind"),
        ("lang=fr", 400, "bad_parameter", "lang"),
        ("bom=yes", 400, "bad_parameter", "bom"),
        ("from=yesterday", 400, "bad_parameter", "from"),
        ("from=2026-11-02&to=2026-11-01", 400, "bad_parameter", "from"),
        ("meter_kind=bulk,main", 400, "bad_parameter", "meter_kind"),
        ("month=11", 400, "unknown_parameter", "month"),
        ("meter=makeup,h9", 404, "unknown_meter", "id"),
        ("place=h9", 404, "unknown_place", "place"),
    ] {
        let problem = s.get(&format!("/api/v1/export?{query}")).problem(status);
        assert_eq!((problem["code"].as_str(), problem["parameter"].as_str()), (Some(code), Some(parameter)), "{query}: {problem}");
    }
    let empty = s.get("/api/v1/export?lang=en");
    assert_eq!((empty.status, empty.whole), (200, true));
    assert!(empty.body.starts_with(b"community,") && empty.body.ends_with(b"quality\r\n"));
}

#[test]
fn a_store_that_breaks_on_the_way_breaks_the_connection() {
    let mut w = World::new();
    w.fill(200_000);
    w.close();
    let s = Served::new(&w);
    let mut stream = s.ask("/api/v1/export");
    let mut bytes = vec![0; 1_000];
    stream.read_exact(&mut bytes).unwrap();
    // The export waits for us, far from the end of the file. There the disk goes bad.
    let path = w.dir.path().join("heyun.db");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![0xff; 1 << 20], length - (1 << 20)).unwrap();
    let ended = stream.read_to_end(&mut bytes);
    let answer = Answer::parse(&bytes);
    assert!(answer.status == 200 && !answer.whole, "half a file must not look like a whole one: {ended:?}, {} bytes", bytes.len());
    assert_eq!(s.get("/healthz").status, 200);
}
