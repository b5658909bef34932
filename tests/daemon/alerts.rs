//! People are told: through a real daemon, a real broker, and a robot that checks what it is sent.

use crate::harness::{Broker, Daemon, config, open};
use crate::publisher;
use crate::robot::{KEY, Mood, Robot, Taken};
use crate::tls::{authority, server_certificate};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

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

/// Two hundred flats, each with a limit that one quarter of an hour passes.
fn flats() -> String {
    let flat = |n: u32| {
        format!(
            r#"
[[households]]
id = "f{n:03}"
name = "15号楼户{n:03}"
building = "b15"
[[meters]]
id = "m{n:03}"
kind = "sub"
at = "f{n:03}"
subscription = "meters"
device = "m{n:03}"
limits = {{ litres_per_hour = 100 }}
"#
        )
    };
    (0..200).map(flat).collect()
}

/// All of these flats begin to leak: two readings each, in two rounds.
fn storm(broker: &Broker, flats: std::ops::Range<u32>) {
    let now = jiff::Timestamp::now();
    let round = |minutes: i64, litres: u32| {
        let ts = (now - jiff::SignedDuration::from_mins(minutes)).to_string();
        let flats = flats.clone();
        flats.map(move |n| publisher::Message {
            topic: format!("meters/m{n:03}/state"),
            payload: json!({ "ts": ts, "total_l": litres }).to_string(),
        })
    };
    publisher::publish(broker.port, 10_000, round(15, 0).chain(round(0, 470)).collect(), |_| {});
}

/// How often each flat was told of.
fn tellings(taken: &[Taken]) -> Vec<usize> {
    (0..200).map(|n| taken.iter().filter(|t| t.text.contains(&format!("户{n:03}"))).count()).collect()
}

#[test]
fn two_hundred_leaks_at_once_are_all_told_within_the_robots_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, robot) = (Broker::start(), Robot::wecom());
    let channels = channel(folder.path(), &robot, "mention_all = true");
    let mut d = Daemon::start(folder.path(), &with_channels(&broker, folder.path(), &flats(), &channels));
    storm(&broker, 0..200);
    let taken = robot.until("all are told", |t, _| tellings(t).iter().all(|n| *n > 0));
    robot.had_no_reason_to_complain();
    assert!(taken.len() <= 18, "{} messages", taken.len());
    assert_eq!(tellings(&taken), vec![1; 200], "each once");
    assert!(taken.iter().any(|t| t.text.starts_with("【通知汇总】")), "{taken:#?}");
    assert!(taken.iter().all(|t| t.body["text"]["mentioned_list"] == json!(["@all"])));
    d.until("all is marked", |d| office(d)["pending"] == 0);
    d.stop();
}

#[test]
fn a_crash_while_a_message_is_on_its_way_loses_none_and_repeats_at_most_that_one() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, robot) = (Broker::start(), Robot::wecom());
    let channels = channel(folder.path(), &robot, "");
    let text = with_channels(&broker, folder.path(), &flats(), &channels);
    let mut d = Daemon::start(folder.path(), &text);
    storm(&broker, 0..1);
    robot.until("the first is told", |t, _| t.len() == 1);
    d.until("it is marked", |d| office(d)["sent"] == 1);
    // The robot has it, the gateway does not know.
    robot.moods([Mood::TakeAndHang]);
    storm(&broker, 1..40);
    let hung = robot.until("the second is taken", |t, _| t.len() == 2).remove(1);
    d.until("all are found", |d| d.get("/api/v1/incidents?state=open&limit=100")["incidents"].as_array().unwrap().len() == 40);
    d.kill9();
    let mut d = Daemon::start(folder.path(), &text);
    let taken = robot.until("all are told", |t, _| tellings(t)[..40].iter().all(|n| *n > 0));
    d.until("all is marked", |d| office(d)["pending"] == 0);
    let repeated: Vec<usize> = tellings(&taken).iter().enumerate().filter(|(_, n)| **n > 1).map(|(i, _)| i).collect();
    assert!(repeated.iter().all(|n| hung.text.contains(&format!("户{n:03}"))), "{repeated:?} in\n{}", hung.text);
    assert!(tellings(&taken).iter().all(|n| *n <= 2));
    robot.had_no_reason_to_complain();
    // A third start tells nothing again, and knows what the robot was sent before it.
    let calls = robot.calls();
    d.stop();
    let mut d = Daemon::start(folder.path(), &text);
    d.until("it has looked", |d| office(d)["last_sent_at"] != Value::Null);
    storm(&broker, 40..200);
    robot.until("what is new", |t, _| tellings(t)[40..].iter().all(|n| *n > 0));
    let new = robot.taken().split_off(calls);
    assert_eq!(tellings(&new), [vec![0; 40], vec![1; 160]].concat(), "only what is new, each once");
    robot.had_no_reason_to_complain();
    d.stop();
}

#[test]
fn a_robot_that_says_no_in_a_200_is_asked_again_and_the_state_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, robot) = (Broker::start(), Robot::wecom());
    let channels = channel(folder.path(), &robot, "");
    let mut d = Daemon::start_loud(folder.path(), &with_channels(&broker, folder.path(), METER, &channels));
    robot.moods([Mood::Errcode(-1)]);
    leak(&broker, "b15");
    d.until("it fails", |d| office(d)["state"] == "failing");
    let c = office(&d);
    assert_eq!((&c["last_error"]["code"], &c["last_error"]["number"], &c["pending"]), (&json!("errcode"), &json!(-1), &json!(1)), "{c}");
    assert_eq!(crate::harness::request(d.http, "GET", "/healthz", None).0, 200, "the gateway itself is well");
    robot.until("it is told", |t, _| t.len() == 1);
    d.until("it is well again", |d| office(d)["state"] == "ok" && office(d)["pending"] == 0);
    let db = open(&folder.path().join("heyun.db"));
    let states: Vec<(String, bool)> = db
        .prepare("SELECT state, done_at > at FROM outbox")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(states, [("delivered".to_owned(), true)]);
    nothing_shows_the_key(&d, folder.path());
    d.stop();
}

/// While a program is away, a leak is found, taken on and closed; another channel is told meanwhile.
#[test]
fn a_program_that_was_away_is_told_once_how_it_stands_and_can_check_who_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, robot, program) = (Broker::start(), Robot::wecom(), Robot::webhook());
    let (port, url) = (program.port, program.url());
    drop(program);
    std::fs::write(folder.path().join("secret"), "geheim\n").unwrap();
    let program = format!(
        "[[channels]]\nname = \"program\"\nkind = \"webhook\"\nurl = \"{url}\"\nsecret_file = \"{}\"\n",
        folder.path().join("secret").display()
    );
    let channels = format!("{program}{}", channel(folder.path(), &robot, ""));
    let mut d = Daemon::start(folder.path(), &with_channels(&broker, folder.path(), METER, &channels));
    leak(&broker, "b15");
    d.until("the program is away", |d| d.get("/api/v1/channels")["channels"][0]["last_error"]["code"] == "unreachable");
    let id = incident(&d);
    for (what, body) in [("accept", json!({ "by": "网格员甲" })), ("close", json!({ "by": "网格员甲", "reason": "阀门已换" }))]
    {
        assert_eq!(d.post(&format!("/api/v1/incidents/{id}/{what}"), &body).0, 200);
    }
    robot.until("the robot hears all of it", |t, _| t.len() == 3);
    let program = Robot::webhook_at(port);
    let told = program.until("the program is told", |t, _| !t.is_empty()).remove(0);
    d.until("all is marked", |d| d.get("/api/v1/channels")["channels"][0]["pending"] == 0);
    assert_eq!(program.calls(), 1);
    program.had_no_reason_to_complain();
    assert_eq!(told.body["kinds"], json!(["opened", "accepted", "closed"]));
    let i = &told.body["incident"];
    assert_eq!(
        (&i["id"], &i["state"], &i["place"][0], &i["closed_by"]),
        (&json!(id), &json!("closed"), &json!("和韵小区"), &json!("网格员甲"))
    );
    assert_eq!((&i["valve"]["place"], &i["responsible"]), (&json!("15号楼北侧井"), &json!("owners")));
    check_with_the_guide(folder.path(), &told);
    d.stop();
}

/// The program of the guide, as it stands there, takes what was sent and refuses what was changed.
fn check_with_the_guide(folder: &Path, told: &Taken) {
    let guide = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/alerts.md")).unwrap();
    let code = guide.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let head = |name: &str| told.headers[name].to_str().unwrap().to_owned();
    std::fs::write(folder.join("body"), &told.raw).unwrap();
    let ask = |timestamp: &str, signature: &str| {
        let program = format!(
            "{code}\nimport sys\nsys.exit(0 if genuine(b'geheim', {timestamp:?}, open({:?}, 'rb').read(), {signature:?}) else 1)\n",
            folder.join("body").display().to_string()
        );
        Command::new("python3").arg("-c").arg(program).status().ok().and_then(|s| s.code())
    };
    let (timestamp, signature) = (head("x-heyun-timestamp"), head("x-heyun-signature"));
    match ask(&timestamp, &signature) {
        None => crate::harness::skip("check_with_the_guide", "python3 is missing"),
        Some(code) => assert_eq!(code, 0, "{told:?}"),
    }
    assert_ne!(ask("1", &signature), Some(0), "an old message with a new time");
}

/// `heyun channels test`: its exit code and what it says.
fn channels_test(folder: &Path, config: &str) -> (Option<i32>, String) {
    channels_test_trusting(folder, config, None)
}

/// The same on a machine that trusts only these authorities (PEM).
fn channels_test_trusting(folder: &Path, config: &str, authorities: Option<&Path>) -> (Option<i32>, String) {
    let file = folder.join("heyun.toml");
    std::fs::write(&file, config).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_heyun"))
        .args(["channels", "test", "--config"])
        .arg(&file)
        .envs(authorities.map(|a| ("SSL_CERT_FILE", a)))
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(!text.contains(KEY), "{text}");
    (out.status.code(), text)
}

#[test]
fn an_installer_sees_at_once_whether_a_channel_works_and_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let robot = Robot::wecom();
    let with = |channels: &str| config(1, &folder.path().join("heyun.db"), METER) + channels;
    let good = with(&channel(folder.path(), &robot, ""));
    let (code, text) = channels_test(folder.path(), &good);
    assert_eq!((code, text.contains("office (wecom): taken")), (Some(0), true), "{text}");
    assert!(robot.taken()[0].text.starts_with("【测试】test-1"), "{:?}", robot.taken());
    for (mood, why) in [
        (Mood::Status(500, "<html>".into()), "HTTP 500"),
        (Mood::Status(200, "<html>".into()), "not a robot's"),
        (Mood::Errcode(93_000), "removed from the group"),
        (Mood::Errcode(45_009), "come again later"),
        (Mood::Redirect, "another address"),
        (Mood::Endless, "not a robot's"),
        (Mood::TakeAndHang, "in time"),
    ] {
        robot.moods([mood.clone()]);
        let calls = robot.calls();
        let (code, text) = channels_test(folder.path(), &good);
        assert_eq!((code, text.contains(why)), (Some(74), true), "{mood:?}: {text}");
        assert_eq!(robot.calls(), calls + 1, "{mood:?}: a redirect is not followed, nothing is repeated");
    }
    robot.had_no_reason_to_complain();
    std::fs::write(folder.path().join("url"), robot.url().replace(KEY, "another")).unwrap();
    let (code, text) = channels_test(folder.path(), &good);
    assert_eq!((code, text.contains("does not know this key")), (Some(74), true), "{text}");
    std::fs::write(folder.path().join("url"), "https://robot.example/\n").unwrap();
    assert_eq!(channels_test(folder.path(), &good).0, Some(78), "no key in it");
    std::fs::remove_file(folder.path().join("url")).unwrap();
    let (code, text) = channels_test(folder.path(), &good);
    assert_eq!((code, text.contains("channels.office.url_file: cannot read")), (Some(78), true), "{text}");
    assert_eq!(channels_test(folder.path(), &with("")).0, Some(78), "no channel");
}

/// Answers every request over TLS as a robot would that takes it, until the test ends.
fn tls_robot(certificate: &str, key: &str) -> u16 {
    let certificates = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut tls = rustls::StreamOwned::new(connection, stream.unwrap());
            let (mut request, mut chunk) = (vec![], [0; 4_096]);
            // A client that does not trust us hangs up in the middle.
            while let Ok(n @ 1..) = tls.read(&mut chunk) {
                request.extend_from_slice(&chunk[..n]);
                if request.ends_with(b"}") {
                    let body = r#"{"errcode":0,"errmsg":"ok"}"#;
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                    tls.write_all(answer.as_bytes()).unwrap();
                    tls.conn.send_close_notify();
                    tls.flush().unwrap();
                    break;
                }
            }
        }
    });
    port
}

#[test]
fn a_robot_is_trusted_by_the_certificates_of_the_machine_and_by_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (authority("heyun test authority"), authority("another"));
    let (certificate, key) = server_certificate(&ours);
    let port = tls_robot(&certificate, &key);
    std::fs::write(folder.path().join("url"), format!("https://localhost:{port}/cgi-bin/webhook/send?key={KEY}")).unwrap();
    let channel = format!("[[channels]]\nname = \"office\"\nkind = \"wecom\"\nurl_file = \"{}\"\n", folder.path().join("url").display());
    let text = config(1, &folder.path().join("heyun.db"), METER) + &channel;
    for (name, authority, code, said) in [("ours", ours.pem(), Some(0), "taken"), ("other", other.pem(), Some(74), "is not trusted")] {
        let file = folder.path().join(name);
        std::fs::write(&file, authority).unwrap();
        let (got, told) = channels_test_trusting(folder.path(), &text, Some(&file));
        assert_eq!((got, told.contains(said)), (code, true), "{name}: {told}");
    }
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
