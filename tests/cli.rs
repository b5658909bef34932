//! The command line from outside: what it prints, where, and with which exit code it ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot run the program has to stop")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const B15: &str = "tests/data/replay/b15";

fn heyun(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_heyun")).args(args).env_remove("HEYUN_LOG").output().unwrap()
}

/// Exit code, stdout, stderr.
fn said(args: &[&str]) -> (i32, String, String) {
    let out = heyun(args);
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn replay(meters: &str, readings: &str, out: &Path) -> (i32, String, String) {
    said(&["replay", "--meters", meters, "--readings", readings, "--alerts-out", out.to_str().unwrap()])
}

/// `HEYUN_REGENERATE=1` writes the page anew.
#[test]
fn the_reference_page_tells_what_the_program_tells() {
    let page = heyun::cli::reference();
    if std::env::var_os("HEYUN_REGENERATE").is_some() {
        fs::write("docs/cli.md", &page).unwrap();
    }
    assert!(fs::read_to_string("docs/cli.md").unwrap_or_default() == page, "docs/cli.md is old: HEYUN_REGENERATE=1 cargo test --test cli");
}

#[test]
fn usage_is_64_and_help_is_0() {
    let (code, out, err) = said(&["--version"]);
    assert_eq!((code, out.trim(), err.as_str()), (0, concat!("heyun ", env!("CARGO_PKG_VERSION")), ""));
    assert_eq!(said(&["replay", "--help"]).0, 0);
    for wrong in [&["flood"][..], &[], &["replay"], &["check", "--config"], &["--log-format", "xml", "check", "--config", "x"]] {
        let (code, out, err) = said(wrong);
        assert_eq!((code, out.as_str()), (64, ""), "{wrong:?}: {err}");
        assert!(!err.is_empty());
    }
    let out = Command::new(env!("CARGO_BIN_EXE_heyun"))
        .args(["check", "--config", "config/minimal.toml"])
        .env("HEYUN_LOG", "a=b=c")
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(64));
    assert!(String::from_utf8(out.stderr).unwrap().starts_with("heyun: HEYUN_LOG: \"a=b=c\" is not a filter"));
}

#[test]
fn check_tells_one_line_or_every_problem() {
    let (code, out, err) = said(&["check", "--config", "config/minimal.toml"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("config/minimal.toml: ok (") && out.lines().count() == 1, "{out}");

    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.toml");
    fs::write(&bad, "no_such_key = 1\n[gateway]\nid = \"Not A Slug\"\n").unwrap();
    let (code, out, err) = said(&["check", "--config", bad.to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (78, ""));
    assert!(err.contains("bad.toml:1: no_such_key") && err.contains("bad.toml:3: gateway.id") && err.contains("right:"), "{err}");

    let (code, _, err) = said(&["check", "--config", "no/such.toml"]);
    assert_eq!((code, err.as_str()), (66, "heyun: cannot read the config no/such.toml: No such file or directory (os error 2)\n"));
    assert_eq!(said(&["check", "--config", "config"]).0, 66, "a directory");
}

#[test]
fn discover_says_what_is_no_filter_no_time_and_no_broker() {
    for (args, says) in [
        (&["--filter", "meters/#/x"][..], "right would be a topic in which + stands for a level"),
        (&["--filter", "a+/b"], "this is no filter"),
        (&["--for", "soon"], "a whole number with ms, s, min, h or d"),
        (&["--for", "0s"], "is out of range"),
        (&["--prefix", "homeassistant/"], "this is no topic"),
    ] {
        let (code, out, err) = said(&[&["discover", "--config", "config/minimal.toml"], args].concat());
        assert!((code, out.as_str()) == (64, "") && err.contains(says), "{says}: {err}");
    }
    assert_eq!(said(&["discover", "--config", "no/such.toml"]).0, 66);
    let dir = tempfile::tempdir().unwrap();
    let alone = dir.path().join("alone.toml");
    fs::write(&alone, "[gateway]\nid = \"g\"\ntimezone = \"Asia/Shanghai\"\n[[compounds]]\nid = \"c\"\nname = \"C\"\n").unwrap();
    let (code, _, err) = said(&["discover", "--config", alone.to_str().unwrap()]);
    assert!(code == 78 && err.contains("has no [mqtt]: there is no broker to speak to"), "{code} {err}");
}

#[test]
fn replay_ends_with_the_code_of_what_was_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("alerts.csv");
    let (meters, readings) = (format!("{B15}/meters.csv"), format!("{B15}/readings.csv"));

    let (code, stdout, err) = replay(&meters, &readings, &out);
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(err.contains("824 rows = 820 stored + 3 duplicate + 1 rejected (conflict 1)"), "{err}");
    assert!(err.contains("leak_monthly_projection: 1 raised") && err.contains(" rows/s"), "{err}");
    assert!(!err.contains('\x1b'), "no colours and no bar where there is no terminal: {err:?}");

    for (meters, readings, wanted, says) in [
        ("no/meters.csv", readings.as_str(), 66, "cannot open no/meters.csv: No such file"),
        (meters.as_str(), "no/readings.csv", 66, "cannot open no/readings.csv: No such file"),
        (readings.as_str(), readings.as_str(), 65, "the header has no column `kind`"),
        (meters.as_str(), meters.as_str(), 65, "the header has no column `ts`"),
    ] {
        let (code, _, err) = replay(meters, readings, &out);
        assert_eq!(code, wanted, "{err}");
        assert!(err.contains(says), "{err}");
    }
    let (code, _, err) = replay(&meters, &readings, Path::new("no/such/directory/a.csv"));
    assert_eq!(code, 74, "{err}");

    let nonsense = dir.path().join("nonsense.csv");
    fs::write(&nonsense, "ts,meter,value,unit\nyesterday,B15-BULK,1,L\n").unwrap();
    let (code, _, err) = replay(&meters, nonsense.to_str().unwrap(), &out);
    assert_eq!(code, 65);
    assert!(err.contains("nothing could be read: 1 rows = 0 stored + 0 duplicate + 1 rejected (time_syntax 1)"), "{err}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "ts,meter,kind\n");
}

#[test]
fn machines_get_json() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("alerts.csv");
    let (meters, readings) = (format!("{B15}/meters.csv"), format!("{B15}/readings.csv"));
    let args = ["--log-format", "json", "replay", "--meters", &meters, "--readings", &readings, "--alerts-out", out.to_str().unwrap()];
    let (code, _, err) = said(&args);
    assert_eq!(code, 0);
    let lines: Vec<serde_json::Value> = err.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["message"], &last["rows"], &last["stored"]), (&"replayed".into(), &824.into(), &820.into()), "{err}");

    let (code, _, err) = said(&["--log-format", "json", "check", "--config", "no/such.toml"]);
    assert_eq!(code, 66);
    let line: serde_json::Value = serde_json::from_str(err.trim()).unwrap();
    assert_eq!(line["exit"], 66);
}

#[test]
fn store_stats_tells_what_is_there_and_how_large_it_is() {
    let (code, _, err) = said(&["store", "stats", "--config", "no/such.toml"]);
    assert_eq!(code, 66, "{err}");
    assert_eq!(said(&["store", "stats"]).0, 64, "a database has to be named");
    assert_eq!(said(&["store", "stats", "--config", "a", "--store", "b"]).0, 64, "one database");

    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("heyun.db");
    let (code, _, err) = said(&["store", "stats", "--store", db.to_str().unwrap()]);
    assert_eq!(code, 66, "{err}");
    let (writer, _) = heyun::store::open(&heyun::store::Settings { path: db.clone() }).unwrap();
    let rows = (0..500).map(|i| heyun::domain::reading::Row {
        ts: heyun::domain::time::Ts(1_795_489_445_000 + i * 900_000),
        source: heyun::domain::reading::SourceId(0),
        values: heyun::domain::reading::Values::single(i),
        flags: heyun::domain::reading::Flags::NONE,
    });
    let batch =
        heyun::store::Batch { id: 1, received: heyun::domain::time::Ts(1_795_939_445_000), rows: rows.collect(), ..Default::default() };
    writer.commit(std::sync::Arc::new(batch)).unwrap();
    let (code, out, err) = said(&["store", "stats", "--store", db.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    for line in ["readings  500 in 1 batches", "span      2026-11-24T03:04:05Z to 2026-11-29T07:49:05Z", "per day   96 readings"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let (_, out, _) = said(&["store", "stats", "--format", "json", "--store", db.to_str().unwrap()]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["readings"], &told["per_day"]["of_days"]), (&500.into(), &5.into()), "{told}");
    let commits = told["tables"].as_array().unwrap().iter().find(|t| t["name"] == "commits").unwrap();
    assert_eq!(commits["rows"], 1, "{told}");
}

#[test]
fn store_backup_and_restore_say_what_they_did() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (db, copy) = (at("heyun.db"), at("copy.db"));
    let (writer, _) = heyun::store::open(&heyun::store::Settings { path: db.clone().into() }).unwrap();
    let batch =
        |id| std::sync::Arc::new(heyun::store::Batch { id, received: heyun::domain::time::Ts(1_795_489_445_000), ..Default::default() });
    writer.commit(batch(1)).unwrap();

    let (code, out, err) = said(&["store", "backup", &copy, "--store", &db]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for line in ["verified", "sha256    ", "commit    1 of 2026-11-24T03:04:05Z, 0 readings", "newest    no reading"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    for (args, exit, says) in [
        (&["store", "backup", &copy, "--store", &db][..], 73, "stands already; --force replaces it"),
        (&["store", "backup", &at("no/copy.db"), "--store", &db], 66, "no such directory; is the disk mounted?"),
        (&["store", "backup", &copy], 64, "--config"),
        (&["store", "restore", &copy], 64, "--to"),
        (&["store", "restore", &copy, "--to", &copy], 64, "one file"),
        (&["store", "restore", &at("none.db"), "--to", &db], 66, "No such file"),
        (&["store", "restore", &copy, "--to", &db], 74, "in use by another heyun (process"),
    ] {
        let (code, out, err) = said(args);
        assert_eq!((code, out.as_str()), (exit, ""), "{err}");
        assert!(err.contains(says), "{says}: {err}");
    }
    assert_eq!(said(&["store", "backup", &copy, "--force", "--store", &db]).0, 0);
    writer.commit(batch(2)).unwrap();
    writer.close().unwrap();
    let (code, out, err) = said(&["store", "restore", &copy, "--to", &db]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains(".before-restore-") && out.contains("not in it 0 readings and 0 events, stored from"), "{out}");
}
