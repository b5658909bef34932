//! The pictures of `docs/detection.md`: small made-up series through the real rules, drawn as each incident's page draws them.
//!
//! A test compares them with the files, so that a picture never shows what a rule no longer does; `HEYUN_WRITE_DOCS=1 cargo test --test
//! pictures` writes them anew.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]

mod drawing;
mod series;

use series::Told;
use std::path::Path;

/// Nobody waits for a picture.
const MOST_BYTES: usize = 60_000;

/// Compares a picture with its file, or writes it.
fn same(told: &Told) -> Option<String> {
    let svg = drawing::svg(told);
    assert!(svg.len() < MOST_BYTES, "{} has {} bytes", told.code(), svg.len());
    let path = format!("docs/pictures/{}.svg", told.code().replace('_', "-"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
    if std::env::var_os("HEYUN_WRITE_DOCS").is_some() {
        std::fs::write(&file, &svg).unwrap();
    }
    (std::fs::read_to_string(&file).unwrap_or_default() != svg).then_some(path)
}

#[test]
fn each_kind_of_leak_has_a_picture_that_the_rules_have_made() {
    let all = series::all();
    for told in &all {
        let hours = (told.alarms[0].0 - told.begins).0 / 3_600_000;
        assert!((0..=168).contains(&hours), "{}: told after {hours} hours", told.code());
        assert!(told.steps.iter().all(|s| s.expected.is_some()), "{}: what is expected is known", told.code());
        let at_alarm = told.steps.iter().rfind(|s| s.seen.from < told.alarms[0].0).unwrap();
        let before = told.steps.iter().rfind(|s| s.seen.from < told.begins).unwrap();
        assert!(at_alarm.statistic > before.statistic, "{}: the figure has risen", told.code());
    }
    let old: Vec<String> = all.iter().filter_map(same).collect();
    assert!(old.is_empty(), "{old:?} are not what the rules say: HEYUN_WRITE_DOCS=1 cargo test --test pictures");
}

#[test]
fn the_page_shows_each_of_them() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detection.md")).unwrap();
    for told in series::all() {
        let name = told.code().replace('_', "-");
        assert!(page.contains(&format!("(pictures/{name}.svg)")), "docs/detection.md does not show {name}");
    }
}
