//! People are told: through a real daemon, a real broker, and a robot that checks what it is sent.

use crate::harness::{Broker, Daemon, config, open};
use crate::publisher;
use crate::robot::{KEY, Mood, Robot, Taken};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const METER: &str = r#"
[[meters]]
id = "b15"
name = "15号楼总表"
kind = "bulk"
at = "b15"
subscription = "meters"
device = "b15"
limits = { litres_per_hour = 1000 }
valve = { place = "15号楼北侧井", key_holder = "王师傅 000-0000-0000", shuts_off = "15号楼全楼", may_close = "楼栋长" }
"#;

/// A channel of the robot, its address in a file.
fn channel(folder: &Path, robot: &Robot, more: &str) -> String {
    std::fs::write(folder.join("url"), format!("{}\n", robot.url())).unwrap();
    format!("[[channels]]\nname = \"office\"\nkind = \"wecom\"\nurl_file = \"{}\"\n{more}\n", folder.join("url").display())
}

fn with_channels(broker: &Broker, folder: &Path, meters: &str, channels: &str) -> String {
    format!("{}\n[prices]\nwater = \"3.60\"\n{channels}", config(broker.port, &folder.join("heyun.db"), meters))
}

/// Two readings a quarter of an hour apart, the second just now: 1880 L/h, over the limit.
fn leak(broker: &Broker, device: &str) {
    let now = jiff::Timestamp::now();
    for (minutes, litres) in [(60, 0), (45, 470), (30, 940), (15, 1_410), (0, 1_880)] {
        let ts = now - jiff::SignedDuration::from_mins(minutes);
        broker.publish(&[
            "-q",
            "1",
            "-t",
            &format!("meters/{device}/state"),
            "-m",
            &json!({ "ts": ts.to_string(), "total_l": litres }).to_string(),
        ]);
    }
}

fn incident(d: &Daemon) -> String {
    d.get("/api/v1/incidents?state=open")["incidents"][0]["id"].as_str().unwrap().to_owned()
}

fn office(d: &Daemon) -> Value {
    d.get("/api/v1/channels")["channels"][0].clone()
}

#[test]
fn a_leak_is_told_from_the_first_message_to_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, robot) = (Broker::start(), Robot::wecom());
    let channels = channel(folder.path(), &robot, "mention_mobiles = [\"13800001111\"]");
    let mut d = Daemon::start(folder.path(), &with_channels(&broker, folder.path(), METER, &channels));
    leak(&broker, "b15");
    let told = robot.until("the leak is told", |t, _| t.len() == 1).remove(0);
    for part in [
        "【漏水】和韵小区 15号楼 总表",
        "31.3 升/分钟",
        "15号楼北侧井",
        "王师傅 000-0000-0000",
        "15号楼全楼",
        "业主共有",
        "每小时限值",
        "元",
    ] {
        assert!(told.text.contains(part), "{part} is missing in\n{}", told.text);
    }
    assert_eq!(told.body["text"]["mentioned_mobile_list"], json!(["13800001111"]));
    let id = incident(&d);
    assert!(told.text.contains(&id[id.len() - 6..]), "{}", told.text);

    assert_eq!(d.post(&format!("/api/v1/incidents/{id}/accept"), &json!({ "by": "网格员甲" })).0, 200);
    let told = robot.until("somebody has taken it on", |t, _| t.len() == 2).remove(1);
    assert!(told.text.starts_with("【已签收】") && told.text.contains("网格员甲"), "{}", told.text);
    assert_eq!(told.body["text"].get("mentioned_mobile_list"), None, "nobody is called for that");
    assert_eq!(d.post(&format!("/api/v1/incidents/{id}/close"), &json!({ "by": "网格员甲", "reason": "阀门已换" })).0, 200);
    let told = robot.until("it is over", |t, _| t.len() == 3).remove(2);
    assert!(told.text.starts_with("【已结案】") && told.text.contains("阀门已换"), "{}", told.text);

    d.until("all is marked", |d| office(d)["pending"] == 0 && office(d)["sent"] == 3);
    assert_eq!(office(&d)["state"], "ok");
    robot.had_no_reason_to_complain();
    nothing_shows_the_key(&d, folder.path());
    d.stop();
}

fn nothing_shows_the_key(d: &Daemon, folder: &Path) {
    for path in ["/api/v1/channels", "/healthz", "/api/v1/topology", "/api/v1/incidents"] {
        assert!(!d.get(path).to_string().contains(KEY), "{path}");
    }
    let metrics = crate::harness::request(d.http, "GET", "/metrics", None).1;
    assert!(metrics.contains("heyun_notices_sent_total{channel=\"office\"}"), "{metrics}");
    assert!(!metrics.contains(KEY));
    assert!(!d.log().contains(KEY), "{}", d.log());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_store = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("heyun.db"));
        if is_store {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(KEY.len()).any(|w| w == KEY.as_bytes()), "{}", path.display());
        }
    }
}
