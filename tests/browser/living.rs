//! The demo's community, lived through by the simulator.

use super::harness::{Broker, Daemon};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Broker, daemon and nine days of the demo's community, the last of them with a leak in building 15.
pub struct Community {
    pub broker: Broker,
    pub daemon: Daemon,
    pub config: String,
    folder: TempDir,
}

impl Community {
    pub fn live() -> Community {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start();
        let shipped = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo.toml")).unwrap();
        let store = folder.path().join("heyun.db");
        let config = shipped
            .replace("127.0.0.1:18830", &format!("127.0.0.1:{}", broker.port))
            .replace("127.0.0.1:8480", "127.0.0.1:0")
            .replace("target/demo/heyun.db", &store.display().to_string());
        let daemon = Daemon::start(folder.path(), &config);
        let simulated = Command::new(env!("CARGO_BIN_EXE_heyun"))
            .args(["simulate", "--once", "--history", "9", "--seed", "1", "--config"])
            .arg(folder.path().join("heyun.toml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(simulated.unwrap().success(), "heyun simulate");
        let mut community = Community { broker, daemon, config, folder };
        community.daemon.until("the leak is found", |d| leak(d).is_some());
        community
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Global id of the leak's incident.
    pub fn leak(&self) -> String {
        leak(&self.daemon).expect("building 15 leaks")
    }
}

fn leak(daemon: &Daemon) -> Option<String> {
    let list = daemon.get("/api/v1/incidents?state=open&cause=leak");
    let of_building_15 = |i: &&Value| i["points"].as_array().is_some_and(|p| p.iter().any(|p| p == "b15-bulk"));
    Some(list["incidents"].as_array()?.iter().find(of_building_15)?["id"].as_str()?.to_owned())
}
