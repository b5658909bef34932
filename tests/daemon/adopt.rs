//! Devices that are adopted from what was heard: tried, written, read without a restart by hand, printed for the config file, dropped.

use crate::harness::{Broker, Daemon, config};
use crate::publisher::{Message, publish};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

const METER: &str = "[[meters]]\nid = \"b15-bulk\"\nkind = \"bulk\"\nat = \"b15\"\nsubscription = \"meters\"\ndevice = \"b15\"\n";
const ROPE: &str = r#"{"battery":92,"water_leak":true,"linkquality":120}"#;

fn heyun(args: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_heyun")).args(args).arg("--config").arg(file).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Publishes what two devices say, and has the daemon hear it.
fn heard(broker: &Broker, d: &mut Daemon) -> Value {
    broker.publish(&["-r", "-q", "1", "-t", "zigbee2mqtt/rope", "-m", ROPE]);
    broker.publish(&["-r", "-q", "1", "-t", "site/water/garden", "-m", "12.345"]);
    assert_eq!(d.post("/api/v1/discovery", &json!({ "seconds": 600 })).0, 200);
    d.until("both are heard", |d| d.get("/api/v1/discovery")["topics"].as_u64() >= Some(2));
    assert_eq!(d.post("/api/v1/discovery/stop", &json!({})).0, 200);
    d.until("it is told", |d| d.get("/api/v1/discovery")["state"] == "done");
    d.get("/api/v1/discovery")["report"].clone()
}

/// The lines of a proposal, filled in as a person would.
fn lines(report: &Value, topic: &str, id: &str) -> String {
    let proposals = report["proposals"].as_array().unwrap();
    let of = |p: &&Value| p["devices"][0]["topics"].as_array().is_some_and(|t| t.contains(&json!(topic)));
    let p = proposals.iter().find(of).unwrap_or_else(|| panic!("{topic} is not proposed: {report:#}"));
    let entry = p["devices"][0]["entries"][0]["toml"].as_str().unwrap();
    let filled = entry.replace("\"ID\"", &format!("\"{id}\"")).replace("\"PLACE\"", "\"b15\"");
    format!("{}\n{filled}", p["subscription_toml"].as_str().unwrap())
}

fn adopt(d: &Daemon, toml: &str) -> (u16, Value) {
    let (code, body) = d.post("/api/v1/adopted", &json!({ "by": "值班员", "toml": toml }));
    (code, serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")))
}

/// Waits until it reads by its new config, for the nth time since it was started. In between it may hang up on who asks.
fn anew(d: &mut Daemon, times: usize) {
    d.until("it has started anew", |d| d.log().matches(" subscribed").count() > times);
}

fn problems(body: &Value) -> String {
    assert_eq!(body["code"], "not_adoptable", "{body:#}");
    body["problems"].to_string()
}

fn keys(of: &Value) -> Vec<String> {
    of.as_array().unwrap().iter().map(|p| p["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_adopted_is_read_without_a_restart_and_becomes_lines_for_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let file = folder.path().join("heyun.toml");
    let mut d = Daemon::start(folder.path(), &config(broker.port, &folder.path().join("heyun.db"), METER));
    let report = heard(&broker, &mut d);

    let (code, said) = adopt(&d, &lines(&report, "zigbee2mqtt/rope", "rope-1"));
    assert_eq!(code, 200, "{said:#}");
    assert_eq!(said["points"][0]["key"], "rope-1");
    assert_eq!((&said["points"][0]["values"]["battery"], &said["points"][0]["flags"][0]), (&json!("92 %"), &json!("wet")), "{said:#}");
    anew(&mut d, 1);
    d.until("the leak rope is read", |d| {
        d.get("/api/v1/sensors")["sensors"].as_array().is_some_and(|s| s.iter().any(|s| s["key"] == "rope-1"))
    });
    // Retained, and older than nobody knows: only what it says from now on counts.
    d.until("the new subscription hears", |d| {
        broker.publish(&["-q", "1", "-t", "zigbee2mqtt/rope", "-m", ROPE]);
        d.get("/api/v1/incidents")["incidents"].as_array().is_some_and(|i| i.iter().any(|i| i.to_string().contains("rope-1")))
    });
    // What was heard is still there, told by the config as it is now: the second device needs no second hearing.
    let after = d.get("/api/v1/discovery");
    assert_eq!(after["state"], "done");
    let label = |topic: &str| after["report"]["topics"].as_array().unwrap().iter().find(|t| t["topic"] == topic).unwrap()["label"].clone();
    assert_eq!((label("zigbee2mqtt/rope"), label("site/water/garden")), (json!("read"), json!("proposed")), "{after:#}");
    let (code, said) = adopt(&d, &lines(&after["report"], "site/water/garden", "garden"));
    assert_eq!(code, 200, "{said:#}");
    assert_eq!(said["points"][0]["values"]["value"], "12345 L", "{said:#}");
    anew(&mut d, 2);
    assert_eq!(keys(&d.get("/api/v1/meters")["meters"]), ["b15-bulk", "garden"]);
    d.until("its register is read", |d| {
        broker.publish(&["-q", "1", "-t", "site/water/garden", "-m", "12.345"]);
        d.get("/api/v1/meters/garden")["register_litres"] == json!(12345)
    });

    // Signed, and the same for the next start.
    let adopted = d.get("/api/v1/adopted");
    assert_eq!(keys(&adopted["entries"]), ["zigbee2mqtt", "rope-1", "site-water-garden", "garden"], "{adopted:#}");
    assert!(adopted["entries"].as_array().unwrap().iter().all(|e| e["by"] == "值班员"));
    let log = d.stop();
    assert!(log.contains("the config is read anew"), "{log}");
    let files = || std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>();
    let before = files();
    let check = heyun(&["check"], &file);
    assert!(check.status.success() && text(&check.stdout).contains("4 of these adopted"), "{}{}", text(&check.stdout), text(&check.stderr));
    let exported = heyun(&["config", "export"], &file);
    let exported = text(&exported.stdout);
    assert_eq!(files(), before, "a check leaves nothing behind");
    assert!(exported.contains("[[mqtt.subscriptions]]") && exported.contains("值班员"), "{exported}");

    // In the file, the file's count, and nothing is there twice.
    let written = std::fs::read_to_string(&file).unwrap();
    let whole = format!("{written}\n{}", exported.replace("id = \"garden\"", "id = \"garden\"\nname = \"花园\""));
    let mut d = Daemon::start(folder.path(), &whole);
    let meters = d.get("/api/v1/meters");
    assert_eq!(keys(&meters["meters"]), ["b15-bulk", "garden"]);
    assert_eq!(meters["meters"][1]["name"], "花园", "the file's counts");
    assert_eq!(meters["meters"][1]["register_litres"], json!(12345), "nothing is lost");
    d.wait_for_line("the file's counts");

    // Dropped: first what needs it, then what it needs; the file has them all, so nothing changes.
    let adopted = [("meter", "garden"), ("subscription", "site-water-garden"), ("sensor", "rope-1"), ("subscription", "zigbee2mqtt")];
    for (i, (kind, key)) in adopted.into_iter().enumerate() {
        let (code, body) = d.post("/api/v1/adopted/drop", &json!({ "by": "值班员", "kind": kind, "key": key }));
        assert_eq!(code, 200, "{kind} {key}: {body}");
        anew(&mut d, i + 1);
    }
    assert_eq!(d.get("/api/v1/adopted")["entries"], json!([]));
    let (code, body) = d.post("/api/v1/adopted/drop", &json!({ "by": "值班员", "kind": "meter", "key": "garden" }));
    assert!(code == 404 && body.contains("unknown_adopted"), "{code} {body}");
    assert_eq!(keys(&d.get("/api/v1/meters")["meters"]), ["b15-bulk", "garden"]);
}

#[test]
fn what_would_not_be_right_is_refused_with_its_place_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let file = folder.path().join("heyun.toml");
    let mut d = Daemon::start(folder.path(), &config(broker.port, &folder.path().join("heyun.db"), METER));
    let report = heard(&broker, &mut d);
    let garden = lines(&report, "site/water/garden", "garden");
    let refused = |toml: &str| {
        let (code, body) = adopt(&d, toml);
        assert_eq!(code, 422, "{body:#}");
        problems(&body)
    };
    // The entry, the line in it, the value, and what would be right.
    let said = refused(&garden.replace("at = \"b15\"", "at = \"b51\""));
    assert!(said.contains("adopted meter garden") && said.contains("b51") && said.contains("b15") && said.contains("\"line\":"), "{said}");
    let said = refused(&garden.replace("id = \"garden\"", "id = \"b15-bulk\""));
    assert!(said.contains("the config file has one of this name"), "{said}");
    let said = refused(&garden.replace("kind = \"bulk\"", "kind = \"bulk\"\ncolour = \"red\""));
    assert!(said.contains("unknown key `colour`"), "{said}");
    let said = refused("[[households]]\nid = \"h\"\nname = \"h\"\n");
    assert!(said.contains("places are written into the config file"), "{said}");
    let said = refused("");
    assert!(said.contains("nothing stands here"), "{said}");
    let said = refused("[[meters]\nid = 1");
    assert!(said.contains("syntax"), "{said}");
    // It is a config, but the daemon would not read what the device sends.
    let said = refused(&garden.replace("format = \"plain\"", "format = \"json\"\nvalue = \"/total\""));
    assert!(said.contains("meter garden") && said.contains("compare topic, profile, column and unit"), "{said}");
    // A profile that does not prove itself, and one that would stand for another.
    let profile = |name: &str, expect: &str| {
        let text = format!(
            "title = \"t\"\n[[messages]]\ntopic = \"own/{{device}}\"\nformat = \"json\"\nvalues = [{{ name = \"total\", at = \"/l\", unit = \"L\" }}]\n\
             [[example]]\ntopic = \"own/a\"\npayload = '{{\"l\":5}}'\nexpect = {{ total = \"{expect}\" }}\n"
        );
        let toml = format!(
            "[[mqtt.subscriptions]]\nname = \"own\"\nprofile = \"{name}\"\n[[meters]]\nid = \"o\"\nkind = \"bulk\"\nat = \"b15\"\nsubscription = \"own\"\ndevice = \"a\"\n"
        );
        let (code, body) = d.post("/api/v1/adopted", &json!({ "by": "值班员", "toml": toml, "profile": { "name": name, "toml": text } }));
        (code, body)
    };
    let (code, body) = profile("own-l", "6 L");
    assert!(code == 422 && body.contains("expected") && body.contains("got"), "{code} {body}");
    let (code, body) = profile("tasmota", "5 L");
    assert!(code == 422 && body.contains("there is a profile of this name"), "{code} {body}");
    // It becomes the name of a file, in a line that somebody copies.
    let (code, body) = profile("../x", "5 L");
    assert!(code == 422 && body.contains("a-z, 0-9 and -"), "{code} {body}");
    let unused = json!({ "by": "值班员", "toml": garden, "profile": { "name": "unused", "toml": "" } });
    let (code, body) = d.post("/api/v1/adopted", &unused);
    assert!(code == 422 && body.contains("no subscription here names it"), "{code} {body}");
    // A topic that is written out goes before one with a +: it would take its messages away from a meter of the file.
    let said = refused("[[mqtt.subscriptions]]\nname = \"thief\"\ntopic = \"meters/b15/state\"\nformat = \"plain\"\nunit = \"m3\"\n");
    assert!(said.contains("b15-bulk") && said.contains("subscription thief"), "{said}");
    for by in ["", " ", &"长".repeat(61)] {
        let (code, body) = d.post("/api/v1/adopted", &json!({ "by": by, "toml": garden }));
        assert!(code == 400 && body.contains("bad_field"), "{code} {body}");
    }
    // A file that was spoilt since: it would not start again.
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}\n[[meters]]\n")).unwrap();
    let said = refused(&garden);
    assert!(said.contains("heyun.toml"), "{said}");
    std::fs::write(&file, good).unwrap();

    assert_eq!(d.get("/api/v1/adopted")["entries"], json!([]));
    assert_eq!(keys(&d.get("/api/v1/meters")["meters"]), ["b15-bulk"]);
    // One that was not heard may be adopted: it is said that nothing shows yet whether it is right.
    let (code, body) = profile("own-l", "5 L");
    assert!(code == 200 && body.contains("\"heard\":false"), "{code} {body}");
    anew(&mut d, 1);
    assert_eq!(keys(&d.get("/api/v1/meters")["meters"]), ["b15-bulk", "o"]);
    let (code, body) = d.post("/api/v1/adopted/drop", &json!({ "by": "值班员", "kind": "subscription", "key": "own" }));
    assert!(code == 422 && body.contains("there is no subscription"), "{code} {body}");
    let exported = heyun(&["config", "export", "--profile", "own-l"], &file);
    assert!(text(&exported.stdout).contains("topic = \"own/{device}\""), "{}", text(&exported.stdout));
    // What is dropped is heard no more: the session is told, too.
    for (i, (kind, key)) in [("meter", "o"), ("subscription", "own"), ("profile", "own-l")].into_iter().enumerate() {
        let (code, body) = d.post("/api/v1/adopted/drop", &json!({ "by": "值班员", "kind": kind, "key": key }));
        assert_eq!(code, 200, "{kind} {key}: {body}");
        anew(&mut d, i + 2);
    }
    for payload in [r#"{"l":6}"#, r#"{"l":7}"#] {
        broker.publish(&["-q", "1", "-t", "own/a", "-m", payload]);
    }
    broker.publish(&["-q", "1", "-t", "meters/b15/state", "-m", r#"{"ts":"2026-11-24T08:00:00+08:00","total_l":1000}"#]);
    d.until("what came after it is stored", |d| d.get("/api/v1/meters/b15-bulk")["register_litres"] == json!(1000));
    assert_eq!(d.get("/api/v1/sources")["totals"]["rejected"], json!({}));
    assert!(!d.stop().contains("ERROR"));
}

#[test]
fn where_file_and_adopted_no_longer_go_together_the_start_says_so_and_there_is_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let file = folder.path().join("heyun.toml");
    let written = config(broker.port, &folder.path().join("heyun.db"), METER);
    let mut d = Daemon::start(folder.path(), &written);
    let report = heard(&broker, &mut d);
    assert_eq!(adopt(&d, &lines(&report, "site/water/garden", "garden").replace("\"b15\"", "\"c\"")).0, 200);
    anew(&mut d, 1);
    assert_eq!(keys(&d.get("/api/v1/meters")["meters"]), ["b15-bulk", "garden"]);
    d.stop();
    // Somebody renames the compound in the file, which is right by itself.
    std::fs::write(&file, written.replace("id = \"c\"", "id = \"heyun\"")).unwrap();
    for command in ["check", "run"] {
        let out = heyun(&[command], &file);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(78), "{said}");
        assert!(
            said.contains("heyun.db: adopted meter garden") && said.contains("there is no place \"c\"") && said.contains("right:"),
            "{said}"
        );
    }
    let out = heyun(&["config", "drop", "meter", "gerdan", "--by", "值班员"], &file);
    assert!(out.status.code() == Some(64) && text(&out.stderr).contains("gerdan"), "{}", text(&out.stderr));
    let out = heyun(&["config", "drop", "meter", "garden", "--by", "值班员"], &file);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let d = Daemon::start(folder.path(), &std::fs::read_to_string(&file).unwrap());
    assert_eq!(keys(&d.get("/api/v1/meters")["meters"]), ["b15-bulk"]);
    // Beside a running daemon it is the daemon's to drop.
    let out = heyun(&["config", "drop", "subscription", "site-water-garden", "--by", "值班员"], &file);
    assert!(!out.status.success() && text(&out.stderr).contains("in use"), "{}", text(&out.stderr));
}

#[test]
fn no_reading_is_lost_or_counted_twice_while_it_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let mut d = Daemon::start(folder.path(), &config(broker.port, &folder.path().join("heyun.db"), METER));
    // Near now: what is older than two days is packed, and is not among the rows.
    let begin = jiff::Timestamp::now().as_second() - 5_000;
    let of = |i: i64| Message { topic: "meters/b15/state".into(), payload: format!(r#"{{"ts":{},"total_l":{}}}"#, begin + i, 1_000 + i) };
    let rope = |i: usize| {
        format!(
            "[[mqtt.subscriptions]]\nname = \"s{i}\"\ntopic = \"s{i}/+\"\nformat = \"plain\"\nunit = \"°C\"\n[[sensors]]\nid = \"r{i}\"\nat = \"b15\"\nsubscription = \"s{i}\"\ndevice = \"x\"\n"
        )
    };
    let sent = 4_000;
    publish(broker.port, 2_000, (0..sent).map(of).collect(), |n| {
        if n % 800 == 0 && n > 0 {
            let (code, said) = adopt(&d, &rope(n));
            assert_eq!(code, 200, "{said:#}");
        }
    });
    let rows = |d: &Daemon| -> (i64, i64) {
        d.database().query_row("SELECT count(*), coalesce(max(v0), 0) FROM readings", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap()
    };
    d.until("all are stored", |d| rows(d) == (sent, (1_000 + sent - 1) * 1_000));
    let log = d.stop();
    let starts = log.matches("the config is read anew").count();
    assert!(starts >= 3 && !log.contains("ERROR"), "{starts}: {log}");
}
