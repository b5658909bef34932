//! Device profiles: those that come with the program prove themselves, and what a user gets wrong in one is told with its place.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use heyun::config::{self, Catalogue, LoadError, SHIPPED};
use heyun::domain::device::Profile;
use heyun::domain::flag::Flag;
use heyun::domain::time::Ts;
use heyun::domain::topology::{MAX_COLUMNS, Medium};
use heyun::ingest::decode::{Clock, prove};
use heyun::ingest::discover::{Around, Certainty, Entry, Heard, How, Proposal, plan};
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn shanghai() -> TimeZone {
    TimeZone::get("Asia/Shanghai").unwrap()
}

fn shipped() -> impl Iterator<Item = Profile> {
    SHIPPED
        .iter()
        .map(|(name, text)| config::parse_device(name, text).unwrap_or_else(|p| panic!("{}", config::render(Path::new(name), &p))))
}

#[test]
fn every_example_of_every_shipped_profile_gives_what_it_says() {
    let (mut examples, mut failures) = (0, vec![]);
    for profile in shipped() {
        assert!(profile.columns.len() <= MAX_COLUMNS);
        examples += profile.examples.len();
        failures.extend(prove(&profile, &shanghai()).into_iter().map(|f| format!("{}:{}: {f:#?}", profile.name, f.line)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(examples >= 150, "{examples} examples");
}

#[test]
fn the_table_of_devices_tells_what_the_profiles_say() {
    let page = heyun::cli::devices_table();
    if std::env::var_os("HEYUN_REGENERATE").is_some() {
        fs::write("docs/devices.md", &page).unwrap();
    }
    assert!(
        fs::read_to_string("docs/devices.md").unwrap_or_default() == page,
        "docs/devices.md is old: HEYUN_REGENERATE=1 cargo test --test devices"
    );
}

/// The guide can't drift: it names every key that a profile may have, every flag, and every format.
#[test]
fn the_guide_names_every_key_and_every_flag() {
    let guide = fs::read_to_string("docs/guide/devices.md").unwrap();
    let keys = config::known_device_keys().map(|k| k.rsplit('.').next().unwrap().to_owned());
    let flags = heyun::domain::flag::Flag::ALL.map(|f| f.code().to_owned());
    for word in keys.chain(flags).chain(["plain", "json", "senml", "cjt188"].map(str::to_owned)) {
        assert!(
            guide.contains(&format!("`{word}`")) || guide.contains(&format!("`{word} =")),
            "docs/guide/devices.md does not name `{word}`"
        );
    }
}

/// What the guide shows works as it says.
#[test]
fn the_profiles_of_the_guide_prove_themselves() {
    let guide = fs::read_to_string("docs/guide/devices.md").unwrap();
    let blocks = guide.split("```toml\n").skip(1).filter_map(|b| b.split_once("\n```")).map(|(b, _)| b);
    let profiles: Vec<&str> = blocks.filter(|b| b.contains("[[example]]")).collect();
    assert_eq!(profiles.len(), 2);
    for text in profiles {
        let text = if text.contains("title =") { text.to_owned() } else { format!("title = \"x\"\n{text}") };
        let profile = config::parse_device("guide", &text).unwrap_or_else(|p| panic!("{}", config::render(Path::new("guide"), &p)));
        assert_eq!(prove(&profile, &shanghai()), []);
    }
}

#[test]
fn every_file_of_the_directory_is_shipped() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/devices");
    let files: BTreeSet<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(files, SHIPPED.iter().map(|(n, _)| n.to_string()).collect());
}

/// Every column, flag, and sort of refusal is an example's of at least one profile: nothing is described that nobody proves.
#[test]
fn every_message_of_every_shipped_profile_is_proven() {
    use heyun::domain::device::Expect;
    for profile in shipped() {
        let mut told = BTreeSet::new();
        let mut flagged = false;
        for e in &profile.examples {
            if let Expect::Readings(all) = &e.expect {
                told.extend(all.iter().flat_map(|r| r.values.iter().map(|(c, _)| usize::from(*c))));
                flagged |= all.iter().any(|r| !r.flags.is_empty());
            }
        }
        for (i, column) in profile.columns.iter().enumerate() {
            let proven = told.contains(&i) || (flagged && column.name == "flags");
            assert!(proven, "{}: no example shows the column {}", profile.name, column.name);
        }
        let presence = profile.messages.iter().any(|m| matches!(m.says, heyun::domain::device::Says::Presence { .. }));
        let shown = profile.examples.iter().any(|e| matches!(e.expect, Expect::Presence { .. }));
        assert_eq!(presence, shown, "{}: presence", profile.name);
    }
}

const CONFIG: &str = r#"
[gateway]
id = "g"
timezone = "Asia/Shanghai"
[[compounds]]
id = "heyun"
name = "Heyun"
[[meters]]
id = "bulk"
kind = "bulk"
at = "heyun"
device = "b15"
[mqtt]
url = "mqtt://127.0.0.1"
[[mqtt.subscriptions]]
name = "own"
profile = "own"
"#;

const OWN: &str = r#"
title = "A meter of our own"
[[messages]]
topic = "own/{device}"
format = "json"
values = [{ name = "total", at = "/v", unit = "m3", required = true }]
[[example]]
topic = "own/b15"
payload = '{"v": 12.5}'
expect = { device = "b15", total = "12500 L" }
"#;

/// A directory with a config, and a profile `own` beside it; what `heyun check` says of them: exit code, stdout, stderr.
fn check(config: &str, own: &str) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("devices")).unwrap();
    fs::write(dir.path().join("heyun.toml"), config).unwrap();
    fs::write(dir.path().join("devices/own.toml"), own).unwrap();
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_heyun"))
        .args(["check", "--config", "heyun.toml"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn a_profile_beside_the_config_is_used() {
    let (code, out, err) = check(CONFIG, OWN);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("1 meter, 1 device profile, 1 subscription"), "{out}");
}

#[test]
fn a_bad_example_names_file_example_expected_and_got() {
    let (code, _, err) = check(CONFIG, &OWN.replace("12500 L", "12.5 L"));
    assert_eq!(code, 78);
    let want = "devices/own.toml:7: example[0]: the example gives something else than it expects
    expected: device \"b15\", keyed by arrival, total = 12.5 L
    got:      device \"b15\", keyed by arrival, total = 12500 L
    right: if what it got is right, expect that; if not, mend the message that reads it

1 problem in devices/own.toml
";
    assert_eq!(err, want);
}

#[test]
fn a_message_of_tomorrow_is_told_how_to_be_an_example() {
    let timed =
        OWN.replace("format = \"json\"", "format = \"json\"\ntime = \"/ts\"").replace("\"v\": 12.5", "\"v\": 12.5, \"ts\": 1800000000");
    let (code, _, err) = check(CONFIG, &timed.replace("total = \"12500 L\"", "time = \"2027-01-15T08:00:00Z\", total = \"12500 L\""));
    assert_eq!(code, 78);
    assert!(err.contains("time_ahead") && err.contains("right: arrived = \"…\" in the example"), "{err}");
    let timed = timed.replace("total = \"12500 L\"", "time = \"2027-01-15T08:00:00Z\", total = \"12500 L\"");
    let (code, _, err) = check(CONFIG, &timed.replace("expect =", "arrived = \"2027-01-15T08:00:05Z\"\nexpect ="));
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn a_run_refuses_a_profile_that_does_not_do_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("devices")).unwrap();
    fs::write(dir.path().join("heyun.toml"), CONFIG).unwrap();
    fs::write(dir.path().join("devices/own.toml"), OWN.replace("12500 L", "12.5 L")).unwrap();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_heyun"))
        .args(["run", "--config", "heyun.toml"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(78));
}

#[test]
fn every_mistake_in_a_profile_is_told_at_once() {
    let own = r#"
title = "Wrong in many ways"
wake = "1d"
[[messages]]
topic = "own/x{device}"
format = "json"
time = "ts"
values = [
  { name = "total", at = "/v", unit = "m4" },
  { name = "Flow", at = ["/f", "g"], unit = "L/h" },
  { name = "flow", at = "/f", unit = "L/h", words = { off = "none" } },
]
flags = [{ at = "/s", raise = { DRY = "dri" }, bits = { 64 = "wet" } }]
[[example]]
topic = "own/b15"
payload = "{}"
expect = { totl = "1 m3", refused = "never" }
"#;
    let (code, _, err) = check(CONFIG, own);
    assert_eq!(code, 78);
    for part in [
        "devices/own.toml:3: wake: unknown key `wake`",
        "did you mean `wakes`?",
        "messages[0].flags[0].bits.64: \"64\" is the number of no bit",
        "own.toml:5: messages[0].topic: \"own/x{device}\": the level \"x{device}\" is neither a fixed text nor one variable",
        "own.toml:7: messages[0].time: \"ts\": a JSON pointer begins with \"/\"",
        "own.toml:9: messages[0].values[0].unit: the unit \"m4\" is not known",
        "own.toml:10: messages[0].values[1].name",
        "own.toml:10: messages[0].values[1].at[1]",
        "own.toml:11: messages[0].values[2].words.off",
        "own.toml:13: messages[0].flags[0].raise.DRY: there is no flag \"dri\"",
        "did you mean `dry`?",
        "own.toml:17: example[0].expect.totl: `totl` means nothing beside `refused`",
    ] {
        assert!(err.contains(part), "{part}\n---\n{err}");
    }
    // What follows from a profile that could not be read is no mistake of the config.
    assert!(!err.contains("heyun.toml:"), "{err}");
}

#[test]
fn a_profile_without_an_example_proves_nothing() {
    let (own, _) = OWN.split_once("[[example]]").unwrap();
    let (code, _, err) = check(CONFIG, own);
    assert_eq!(code, 78);
    assert!(err.contains("nothing proves that it is right"), "{err}");
}

#[test]
fn the_user_s_own_file_stands_for_the_shipped_one_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("devices")).unwrap();
    fs::write(dir.path().join("heyun.toml"), CONFIG.replace("\"own\"", "\"waterius\"")).unwrap();
    fs::write(dir.path().join("devices/waterius.toml"), OWN).unwrap();
    let config = config::load(&dir.path().join("heyun.toml")).unwrap();
    assert_eq!(config.mqtt.unwrap().subscriptions[0].profile.title, "A meter of our own");
    fs::write(dir.path().join("devices/waterius.toml"), "title = ").unwrap();
    let Err(LoadError::Problems(files)) = config::load(&dir.path().join("heyun.toml")) else { panic!("it was read") };
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].file.ends_with("devices/waterius.toml"));
}

/// What would be proposed if only these messages were heard, beside [`CONFIG`] with the profile `own`.
fn proposed(messages: &[(&str, &[u8])]) -> Vec<Proposal> {
    let mut catalogue = Catalogue::default();
    catalogue.add("own", OWN).unwrap();
    let config = config::parse(CONFIG, catalogue.clone()).unwrap();
    let mqtt = config.mqtt.as_ref().unwrap();
    let profiles: Vec<Profile> = catalogue.names().iter().filter_map(|n| catalogue.get(n).flatten()).collect();
    // As the examples of profiles arrive.
    let now = Ts(1_795_824_000_000);
    let mut heard = Heard::new("homeassistant", "g-1");
    for (topic, payload) in messages {
        heard.take(topic, payload, false, now);
    }
    let around = Around {
        topology: &config.topology,
        subscriptions: heyun::daemon::subscriptions(&config, mqtt),
        primary: mqtt.subscriptions.iter().map(|s| s.primary.as_str().to_owned()).collect(),
        profiles: &profiles,
        clock: Clock { now, sure: true, since: Ts(0) },
    };
    plan(&heard, &around).proposals
}

#[test]
fn a_device_is_recognised_by_each_of_its_readings() {
    use heyun::domain::device::Expect;
    let mut wrong = vec![];
    for profile in shipped() {
        for e in &profile.examples {
            let Expect::Readings(all) = &e.expect else { continue };
            // A word that the profile does not know is no sign of its device.
            let foreign = [Flag::UnknownStatus].into_iter().collect();
            if all.iter().all(|r| r.values.is_empty() && r.flags == foreign) {
                continue;
            }
            let found = proposed(&[(&e.topic, &e.payload)]);
            let by = |p: &Proposal| match &p.how {
                How::Profile { profile, .. } => profile.clone(),
                other => format!("{other:?}"),
            };
            if !matches!(found.as_slice(), [only] if by(only) == profile.name) {
                wrong.push(format!("{}:{}: {:?}", profile.name, e.line, found.iter().map(by).collect::<Vec<_>>()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_usual_topic_counts_more_than_a_column_and_a_column_more_than_nothing() {
    let only = |topic: &str, payload: &str| {
        let mut found = proposed(&[(topic, payload.as_bytes())]);
        assert!(found.len() <= 1, "{found:?}");
        found.pop().map(|p| (p.certainty, p.name, p.devices[0].entries.clone()))
    };
    let of = |medium| Entry::Meter { column: None, pulses: false, medium };
    let meter = || vec![of(Medium::Water)];
    let water = r#"{"total_m3":12.5,"timestamp":"2026-11-27T00:00:00Z"}"#;
    let heat = r#"{"total_volume_m3":12.5,"total_energy_consumption_kwh":3,"timestamp":"2026-11-27T00:00:00Z"}"#;
    assert_eq!(only("wmbusmeters/1", water), Some((Certainty::Known, "wmbusmeters".into(), meter())));
    assert_eq!(only("wmbusmeters/1", heat), Some((Certainty::Known, "wmbusmeters-heat".into(), vec![of(Medium::Heat), Entry::Sensor])));
    assert_eq!(only("home/cellar", water), Some((Certainty::Likely, "wmbusmeters".into(), meter())));
    // Anybody's: one column that need not be there, a word that no profile knows, a number that nothing explains.
    assert_eq!(only("home/remote", r#"{"battery":90}"#), None);
    assert_eq!(only("zigbee2mqtt/bridge/state", r#"{"state":"online"}"#), None);
    assert_eq!(only("stat/uptime", "4711"), None);
    assert_eq!(only("node/sensor/room/state", "21.5"), None);
    assert_eq!(only("water/b15", "21.5"), Some((Certainty::Likely, "plain".into(), meter())));
    assert_eq!(only("cellar/cold_water", "21.5"), Some((Certainty::Guess, "cellar-cold-water".into(), meter())));
    assert_eq!(only("cellar/water_temperature", "21.5"), None);
    assert_eq!(only("cellar/x", "21.5 m3"), Some((Certainty::Guess, "cellar-x".into(), meter())));
}

#[test]
fn what_the_config_reads_is_not_proposed_and_what_it_only_hears_needs_a_meter() {
    assert_eq!(proposed(&[("own/b15", br#"{"v":1}"#)]), []);
    let found = proposed(&[("own/b15", br#"{"v":1}"#), ("own/b16", br#"{"v":2}"#), ("own/b17", b"{}")]);
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((only.certainty, &only.how, only.subscription_toml()), (Certainty::Subscribed, &How::Existing, None));
    assert_eq!(only.devices.iter().map(|d| only.device_key(d)).collect::<Vec<_>>(), [Some("b16".to_owned())]);
}

#[test]
fn what_a_device_announces_counts_more_than_what_a_profile_takes_it_for() {
    let announced = |unit: &str| {
        format!(
            r#"{{"stat_t":"zigbee2mqtt/meter","val_tpl":"{{{{ value_json.water_consumed }}}}","unit_of_meas":"{unit}","dev_cla":"water","name":"W"}}"#
        )
    };
    let of = |unit: &str| {
        let announced = announced(unit);
        let found =
            proposed(&[("homeassistant/sensor/meter/config", announced.as_bytes()), ("zigbee2mqtt/meter", br#"{"water_consumed":12}"#)]);
        let [only] = found.as_slice() else { panic!("{found:?}") };
        (only.certainty, only.subscription_toml().unwrap())
    };
    assert_eq!(of("L"), (Certainty::Known, "[[mqtt.subscriptions]]\nname = \"zigbee2mqtt\"\nprofile = \"zigbee2mqtt\"\n".into()));
    let own = "[[mqtt.subscriptions]]\nname = \"w\"\ntopic = \"zigbee2mqtt/meter\"\nformat = \"json\"\nvalue = \"/water_consumed\"\nunit = \"m³\"\n";
    assert_eq!(of("m³"), (Certainty::Announced, own.into()));
}
