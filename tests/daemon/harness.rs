//! A real mosquitto and the real binary, each in a folder of its own, found by their ports, ended with the test.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Nothing here takes this long on a machine that is alive. The longest is a meter that late rows disturbed: it is left alone for a minute.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// How often a condition that nobody announces is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The lines of a child's stderr, as they come.
struct Lines {
    from: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(child: &mut Child) -> Lines {
        let stderr = child.stderr.take().unwrap();
        let (to, from) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Lines { from, seen: vec![] }
    }

    /// Takes what has come; waits for the next line at most `wait`. False when the child has closed its stderr.
    fn listen(&mut self, wait: Duration) -> bool {
        match self.from.recv_timeout(wait) {
            Ok(line) => self.seen.push(line),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        self.seen.extend(self.from.try_iter());
        true
    }
}

/// mosquitto with the shipped config; only its port and folder are the test's.
pub struct Broker {
    pub port: u16,
    folder: TempDir,
    child: Child,
}

impl Broker {
    pub fn start() -> Broker {
        Broker::start_with("")
    }

    /// With more lines of config, which stand after the listener's and speak of it.
    pub fn start_with(more: &str) -> Broker {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mosquitto.conf")).unwrap();
        let theirs = |l: &str| l.starts_with("listener ") || (l.starts_with("allow_anonymous ") && more.contains("allow_anonymous "));
        let mut config: String = shipped.lines().filter(|l| !theirs(l)).map(|l| format!("{l}\n")).collect();
        config.push_str(&format!("persistence_location {}/\nlistener {port} 127.0.0.1\n{more}", folder.path().display()));
        if is_root() {
            config.push_str("user root\n");
        }
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let child = Broker::spawn(folder.path(), port);
        Broker { port, folder, child }
    }

    fn spawn(folder: &Path, port: u16) -> Child {
        let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(folder.join("mosquitto.conf"))
            .env("PATH", path)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        let child = child.expect("mosquitto is needed: apt-get install mosquitto");
        until("mosquitto listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        child
    }

    pub fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, which makes it write down what it has.
    pub fn stop(&mut self) {
        signal(&self.child, "TERM");
        self.child.wait().unwrap();
    }

    /// Starts it again with what its folder holds.
    pub fn restart(&mut self) {
        self.child = Broker::spawn(self.folder.path(), self.port);
    }

    /// Makes it write its database now, as the autosave does.
    pub fn save_now(&self) {
        let db = self.folder.path().join("mosquitto.db");
        let before = std::fs::metadata(&db).and_then(|m| m.modified()).ok();
        signal(&self.child, "USR1");
        until("mosquitto saves", || std::fs::metadata(&db).and_then(|m| m.modified()).ok() != before);
    }

    /// Publishes by hand, as an installer would.
    pub fn publish(&self, args: &[&str]) {
        let status = Command::new("mosquitto_pub").args(["-p", &self.port.to_string()]).args(args).stdout(Stdio::null()).status();
        assert!(status.expect("mosquitto_pub is needed: apt-get install mosquitto-clients").success(), "mosquitto_pub {args:?}");
    }

    /// Publishes the bytes of a file.
    pub fn publish_bytes(&self, topic: &str, payload: &[u8]) {
        let file = self.folder.path().join("payload");
        std::fs::write(&file, payload).unwrap();
        self.publish(&["-q", "1", "-t", topic, "-f", &file.display().to_string()]);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A folder with a config and a database, and the daemon while it runs.
pub struct Daemon {
    folder: PathBuf,
    child: Child,
    lines: Lines,
    pub http: u16,
}

/// The config of a daemon: the broker's port and the meters; subscriptions `meters/+/state` (JSON with time), `plain/+` (plain, m³).
pub fn config(mqtt: u16, store: &Path, meters: &str) -> String {
    format!(
        r#"
[gateway]
id = "test-1"
timezone = "Asia/Shanghai"
[[compounds]]
id = "c"
name = "和韵小区"
[[buildings]]
id = "b15"
name = "15号楼"
[store]
path = "{}"
linger = "200ms"
[web]
listen = "127.0.0.1:0"
[mqtt]
url = "mqtt://127.0.0.1:{mqtt}"
[[mqtt.subscriptions]]
name = "meters"
topic = "meters/+/state"
format = "json"
value = "/total_l"
unit = "L"
time = "/ts"
[[mqtt.subscriptions]]
name = "plain"
topic = "plain/+"
format = "plain"
unit = "m3"
{meters}
"#,
        store.display()
    )
}

impl Daemon {
    /// Starts it in `folder` with this config and waits until it is ready and hears the broker.
    pub fn start(folder: &Path, config: &str) -> Daemon {
        let mut d = Daemon::start_alone(folder, config);
        d.wait_for_line(" subscribed");
        d
    }

    /// Starts it and waits until it is ready; the broker may be away.
    pub fn start_alone(folder: &Path, config: &str) -> Daemon {
        let mut d = Daemon::spawn(folder, config, &[]);
        d.http = d.wait_for_ready();
        d
    }

    /// Starts it with everything in its log that anything in it can say.
    pub fn start_loud(folder: &Path, config: &str) -> Daemon {
        let mut d = Daemon::spawn(folder, config, &[("HEYUN_LOG", "trace")]);
        d.http = d.wait_for_ready();
        d.wait_for_line(" subscribed");
        d
    }

    /// Starts it and waits for nothing.
    pub fn spawn(folder: &Path, config: &str, env: &[(&str, &str)]) -> Daemon {
        let file = folder.join("heyun.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_heyun"));
        command.args(["run", "--config"]).arg(&file).envs(env.iter().copied()).env("NO_COLOR", "1");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Lines::of(&mut child);
        Daemon { folder: folder.to_owned(), child, lines, http: 0 }
    }

    /// One that was begun in another way, with its stderr piped; waits until it is ready and hears the broker.
    pub fn adopt(folder: &Path, mut child: Child) -> Daemon {
        let lines = Lines::of(&mut child);
        let mut d = Daemon { folder: folder.to_owned(), child, lines, http: 0 };
        d.http = d.wait_for_ready();
        d.wait_for_line(" subscribed");
        d
    }

    fn wait_for_ready(&mut self) -> u16 {
        let line = self.wait_for_line("READY");
        let port = line.split("http://127.0.0.1:").nth(1).and_then(|r| r.split('/').next()).and_then(|p| p.parse().ok());
        port.unwrap_or_else(|| panic!("no address in {line:?}"))
    }

    /// The first line of the log that holds `what`, also among those that came before.
    pub fn wait_for_line(&mut self, what: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut looked = 0;
        loop {
            if let Some(line) = self.lines.seen[looked..].iter().find(|l| l.contains(what)) {
                return line.clone();
            }
            looked = self.lines.seen.len();
            let alive = self.lines.listen(LOOK_AGAIN);
            let over = !alive && looked == self.lines.seen.len();
            assert!(!over && Instant::now() < end, "no {what:?} in the log:\n{}", self.log());
        }
    }

    /// Waits until `done`, looking again with every line of the log.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Daemon) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "never: {what}; the log:\n{}", self.log());
            self.lines.listen(LOOK_AGAIN);
        }
    }

    pub fn log(&self) -> String {
        self.lines.seen.join("\n")
    }

    pub fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the end; the exit status and the whole log.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + PATIENCE;
        while self.lines.listen(LOOK_AGAIN) {
            assert!(Instant::now() < end, "it does not end; the log:\n{}", self.log());
        }
        (self.child.wait().unwrap(), self.log())
    }

    /// The orderly stop.
    pub fn stop(self) -> String {
        self.signal("TERM");
        let (status, log) = self.wait();
        assert!(status.success(), "{status}; the log:\n{log}");
        log
    }

    /// GET as JSON; panics on anything but 200.
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = request(self.http, "GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}: {body}"))
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, String) {
        request(self.http, "POST", path, Some(&body.to_string()))
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join("heyun.db")
    }

    /// The database, read-only, as any tool would open it.
    pub fn database(&self) -> rusqlite::Connection {
        open(&self.path())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

pub fn open(db: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open_with_flags(db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// A bare HTTP/1.0 request: status and body.
pub fn request(port: u16, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = body.unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {path}: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no status: {head}"));
    (status, body.to_owned())
}

/// Waits for a condition that nobody announces.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// Already ended is as good as killed.
fn end(child: &mut Child) {
    if child.kill().is_ok() {
        drop(child.wait());
    }
}

/// Says aloud that a test was not run: past the harness, which shows only what failing tests print.
pub fn skip(test: &str, why: &str) {
    std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes()).unwrap();
}

pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
}

pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout == b"0\n")
}
