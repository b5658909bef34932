//! Home Assistant is told of the meters: what stands at the broker, from outside.

use crate::discover;
use crate::harness::{Broker, Daemon, PATIENCE, config};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

const METERS: &str = r#"
[[meters]]
id = "b15"
name = "15号楼总表"
kind = "bulk"
at = "b15"
serial = "LXS-0042"
topic = "plain/b15"
[[meters]]
id = "b16"
name = "16号楼总表"
kind = "bulk"
at = "b15"
device = false
"#;

const CONFIG: &str = "homeassistant/sensor/heyun_test-1/b15/config";
const STATE: &str = "heyun/gateway/test-1/meters/b15";
const STATUS: &str = "heyun/gateway/test-1/status";

/// What a `mosquitto_sub` hears: the newest payload of each topic, in the order of the topics.
struct Ear {
    child: Child,
    from: Receiver<String>,
    heard: BTreeMap<String, String>,
}

impl Ear {
    fn new(broker: &Broker) -> Ear {
        let port = broker.port.to_string();
        let args = ["-p", &port, "-q", "1", "-F", "%t %p", "-t", "homeassistant/#", "-t", "heyun/gateway/#"];
        let mut child = Command::new("mosquitto_sub").args(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (to, from) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| to.send(l)));
        Ear { child, from, heard: BTreeMap::new() }
    }

    fn until(&mut self, what: &str, done: impl Fn(&BTreeMap<String, String>) -> bool) {
        let began = Instant::now();
        while !done(&self.heard) {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let Ok(line) = self.from.recv_timeout(left) else { panic!("never: {what}; heard {:#?}", self.heard) };
            let (topic, payload) = line.split_once(' ').unwrap();
            self.heard.insert(topic.to_owned(), payload.to_owned());
        }
    }

    fn json(&self, topic: &str) -> Value {
        serde_json::from_str(&self.heard[topic]).unwrap()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn is(topic: &'static str, payload: &'static str) -> impl Fn(&BTreeMap<String, String>) -> bool {
    move |heard| heard.get(topic).is_some_and(|p| p == payload)
}

#[test]
fn home_assistant_is_told_what_the_meters_show_and_whether_that_can_be_believed() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start();
    let stale = "homeassistant/sensor/heyun_test-1/gone/config";
    let others = "homeassistant/sensor/heyun_test-2/b15/config";
    broker.publish(&["-r", "-q", "1", "-t", stale, "-m", r#"{"state_topic":"x"}"#]);
    broker.publish(&["-r", "-q", "1", "-t", others, "-m", r#"{"state_topic":"x"}"#]);
    let mut ear = Ear::new(&broker);
    let text = config(broker.port, &folder.path().join("heyun.db"), METERS);
    let announcing = text.replacen("[[mqtt.subscriptions]]", "announce = \"homeassistant\"\n[[mqtt.subscriptions]]", 1);
    let mut d = Daemon::start(folder.path(), &announcing);
    ear.until("the meter that is no more is taken back", is(stale, ""));
    ear.until("the gateway is there", is(STATUS, "online"));
    assert_eq!(ear.heard[others], r#"{"state_topic":"x"}"#, "another gateway's meters are its own");
    assert!(!ear.heard.contains_key(STATE), "nothing is known of it yet");

    let c = ear.json(CONFIG);
    assert_eq!(
        (&c["device_class"], &c["state_class"], &c["unit_of_measurement"]),
        (&"water".into(), &"total_increasing".into(), &"m³".into())
    );
    assert_eq!((&c["device"]["name"], &c["device"]["serial_number"]), (&"15号楼总表".into(), &"LXS-0042".into()));
    assert_eq!(c["device"]["suggested_area"], "15号楼");
    assert_eq!(
        (&c["state_topic"], &c["availability"][0]["topic"], &c["availability"][1]["topic"]),
        (&STATE.into(), &STATUS.into(), &STATE.into())
    );
    assert_eq!(c["value_template"], "{{ value_json.total_m3 }}");
    assert!(
        ear.json("homeassistant/sensor/heyun_test-1/b16/config")["device"].get("serial_number").is_none(),
        "Home Assistant takes no null there"
    );

    broker.publish(&["-q", "1", "-t", "plain/b15", "-m", "338.304"]);
    ear.until("the register is told", |h| h.contains_key(STATE));
    let s = ear.json(STATE);
    assert_eq!((s["total_m3"].to_string(), &s["silent"]), ("338.304".into(), &false.into()));
    assert!(s["measured_at"].as_str().unwrap().ends_with("+08:00"));
    broker.publish(&["-q", "1", "-t", "plain/b15", "-m", "338.314"]);
    ear.until("it moves", |h| h[STATE].contains("338.314"));

    // Whoever reads such announcements reads ours: another gateway, too.
    let office = tempfile::tempdir().unwrap();
    let theirs = config(broker.port, &office.path().join("heyun.db"), "").replace("test-1", "office-1");
    let file = office.path().join("heyun.toml");
    std::fs::write(&file, theirs).unwrap();
    let told = discover::report(&file, &["--for", "1s"]);
    let toml: Vec<_> = told["proposals"].as_array().unwrap().iter().map(|p| p["subscription_toml"].as_str().unwrap()).collect();
    assert!(toml.iter().any(|t| ["heyun/gateway/test-1/meters/", "\"/total_m3\"", "\"m³\""].iter().all(|w| t.contains(w))), "{told:#}");

    // Without a word to the broker, which then says it for the gateway.
    d.kill9();
    ear.until("a gateway that died is away", is(STATUS, "offline"));
    let d = Daemon::start(folder.path(), &announcing);
    ear.until("it is back", is(STATUS, "online"));
    drop(ear);

    // The broker forgets everything.
    broker.kill9();
    broker.restart();
    let mut ear = Ear::new(&broker);
    ear.until("all is said anew", |h| [CONFIG, STATE].iter().all(|t| h.contains_key(*t)) && is(STATUS, "online")(h));
    assert_eq!(ear.json(STATE)["total_m3"].to_string(), "338.314");
    d.stop();
    ear.until("a gateway that was stopped is away", is(STATUS, "offline"));
}

#[test]
fn nobody_is_told_unless_the_config_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let mut ear = Ear::new(&broker);
    let d = Daemon::start(folder.path(), &config(broker.port, &folder.path().join("heyun.db"), METERS));
    broker.publish(&["-q", "1", "-t", "plain/b15", "-m", "338.304"]);
    crate::harness::until("it is stored", || d.get("/api/v1/sources")["totals"]["stored"] == 1);
    d.stop();
    broker.publish(&["-q", "1", "-t", "heyun/gateway/end", "-m", "1"]);
    ear.until("the end", |h| h.contains_key("heyun/gateway/end"));
    assert_eq!(ear.heard.len(), 1, "{:#?}", ear.heard);
}

#[test]
fn each_medium_is_announced_as_what_it_is() {
    const MORE: &str = r#"
meters = [
  { id = "heat", kind = "bulk", at = "b15", medium = "heat", topic = "energy/heat" },
  { id = "power", kind = "bulk", at = "b15", medium = "electricity", device = false },
  { id = "gas", kind = "bulk", at = "b15", medium = "gas", device = false },
  { id = "hot", kind = "bulk", at = "b15", medium = "hot-water", device = false },
]
"#;
    const ENERGY: &str = r#"
[[mqtt.subscriptions]]
name = "energy"
topic = "energy/+"
format = "plain"
unit = "kWh"
"#;
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let mut ear = Ear::new(&broker);
    let text = format!("{MORE}{}", config(broker.port, &folder.path().join("heyun.db"), ENERGY));
    let announcing = text.replacen("[[mqtt.subscriptions]]", "announce = \"homeassistant\"\n[[mqtt.subscriptions]]", 1);
    let d = Daemon::start(folder.path(), &announcing);
    ear.until("the gateway is there", is(STATUS, "online"));
    for (meter, class, unit, field) in [
        ("heat", "energy", "kWh", "total_kwh"),
        ("power", "energy", "kWh", "total_kwh"),
        ("gas", "gas", "m³", "total_m3"),
        ("hot", "water", "m³", "total_m3"),
    ] {
        let c = ear.json(&format!("homeassistant/sensor/heyun_test-1/{meter}/config"));
        let template = format!("{{{{ value_json.{field} }}}}");
        assert_eq!((&c["device_class"], &c["unit_of_measurement"]), (&class.into(), &unit.into()), "{meter}");
        assert_eq!((&c["value_template"], &c["state_class"]), (&template.into(), &"total_increasing".into()), "{meter}");
    }
    broker.publish(&["-q", "1", "-t", "energy/heat", "-m", "13187.2"]);
    let state = "heyun/gateway/test-1/meters/heat";
    ear.until("the register is told", |h| h.contains_key(state));
    let s = ear.json(state);
    assert_eq!((s["total_kwh"].to_string(), s.get("total_m3")), ("13187.2".into(), None));
    d.stop();
}
