//! Plays every `tests/scenarios/*.txt` on the real engine: see `tests/support/script/mod.rs` for how they are written.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    reason = "worlds of a few meters, chosen here"
)]

#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/script/mod.rs"]
mod script;

use heyun::domain::incident::Event;
use script::{End, Mode, play};
use std::fs;
use std::path::Path;

/// (name, text), by name.
fn scenarios() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> =
        fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    let named = |p: &Path| (p.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string(), fs::read_to_string(p).unwrap());
    files.iter().map(|p| named(p)).collect()
}

/// Where two runs first differ.
fn difference(name: &str, a: (&str, &End), b: (&str, &End)) -> Option<String> {
    let line = |e: Option<&Event>| e.map_or("nothing".to_owned(), |e| format!("{e:?}"));
    let both = a.1.events.len().max(b.1.events.len());
    if let Some(i) = (0..both).find(|i| a.1.events.get(*i) != b.1.events.get(*i)) {
        let (one, other) = (line(a.1.events.get(i)), line(b.1.events.get(i)));
        return Some(format!("{name}: event {} differs\n    {}: {one}\n    {}: {other}", i + 1, a.0, b.0));
    }
    let same = a.1.checkpoint == b.1.checkpoint;
    (!same).then(|| format!("{name}: the checkpoint differs\n    {}: {}\n    {}: {}", a.0, a.1.checkpoint, b.0, b.1.checkpoint))
}

fn report(failures: &[String]) {
    assert!(failures.is_empty(), "\n\n{}\n", failures.join("\n"));
}

#[test]
fn what_is_wanted_is_seen() {
    let all = scenarios();
    assert!(all.len() >= 12, "{} scenarios", all.len());
    let failures: Vec<String> = all.iter().flat_map(|(name, text)| play(name, text, Mode::Plain).failures).collect();
    report(&failures);
}

#[test]
fn a_crash_after_every_commit_changes_nothing() {
    let mut failures = vec![];
    for (name, text) in scenarios() {
        let plain = play(&name, &text, Mode::Plain);
        let again = play(&name, &text, Mode::Reconnect);
        let crashed = play(&name, &text, Mode::Crash);
        failures.extend(again.failures.iter().chain(&crashed.failures).cloned());
        failures.extend(difference(&name, ("connected anew", &again), ("crashed", &crashed)));
        if !plain.untimed {
            failures.extend(difference(&name, ("undisturbed", &plain), ("crashed", &crashed)));
        }
    }
    report(&failures);
}

#[test]
fn a_failure_names_line_wish_and_sight() {
    let text = "zone Asia/Shanghai\nstart 2026-10-01T00:00\nplace b building\nmeter m bulk at b silent 1h topic w/m\n\n+0 w/m 1 m3\n\
                want m register 2 m3\nwant +1h incident meter_silent m cleared\nmeter n\n+30m oops\nwant stored 1 duplicate 3\n";
    let failures = play("x.txt", text, Mode::Plain).failures;
    let expected = [
        "x.txt:7: wanted 2 m3, saw 1 m3\n    want m register 2 m3",
        "x.txt:8: wanted it between 2026-10-01T00:59:00 (+0d00h59m) and 2026-10-01T01:00:00 (+0d01h00m), saw only\n      \
         2026-10-01T01:00:00 (+0d01h00m) incident meter_silent m opened\n    want +1h incident meter_silent m cleared",
        "x.txt:9: \"meter\" is no step; a topic has a slash\n    meter n",
        "x.txt:10: it is 2026-10-01T01:00:00 (+0d01h00m) already\n    +30m oops",
        "x.txt:11: duplicate: wanted 3, saw 0\n    want stored 1 duplicate 3",
        "x.txt: nobody wanted: 2026-10-01T01:00:00 (+0d01h00m) incident meter_silent m opened",
    ];
    assert_eq!(failures, expected);
}
