//! Device profiles: those that come with the program prove themselves, and what a user gets wrong in one is told with its place.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

use heyun::config::{self, LoadError, SHIPPED};
use heyun::domain::device::Profile;
use heyun::domain::topology::MAX_COLUMNS;
use heyun::ingest::decode::prove;
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
flags = [{ at = "/s", raise = { DRY = "dri" } }]
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
