//! The picture behind a finding: there at a desk and on a phone, in both languages, and as a table.

use super::driver::{Browser, DESK, PHONE};
use super::harness::{Broker, Daemon, config, until};
use super::office::speak;
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write as _;
use std::fs::File;
use std::process::Command;

const METER: &str =
    r#"meters = [{ id = "b15-bulk", name = "15号楼总表", kind = "bulk", at = "b15", device = "b15", subscription = "meters" }]"#;
const DAYS: i64 = 24;
/// Hours that it has leaked.
const LEAKS: i64 = 40;

/// A register each hour until now: quiet for five hours of each day, and 100 L/h more for the last hours.
fn history() -> String {
    let (now, mut litres, mut lines) = (Timestamp::now(), 0, String::new());
    for ago in (0..DAYS * 24).rev() {
        litres += if ago % 24 < 5 { 15 } else { 180 + 7 * (ago % 11) } + if ago < LEAKS { 100 } else { 0 };
        writeln!(lines, r#"{{"ts":"{}","total_l":{litres}}}"#, now - SignedDuration::from_hours(ago)).unwrap();
    }
    lines
}

#[test]
fn a_finding_shows_its_picture_and_a_table_that_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let daemon = Daemon::start(folder.path(), &format!("{METER}\n{}", config(broker.port, &folder.path().join("heyun.db"), "")));
    let lines = folder.path().join("lines");
    std::fs::write(&lines, history()).unwrap();
    let mut told = Command::new("mosquitto_pub");
    told.args(["-p", &broker.port.to_string(), "-q", "1", "-t", "meters/b15/state", "-l"]);
    assert!(told.stdin(File::open(&lines).unwrap()).status().unwrap().success());
    until("all is stored", || daemon.get("/api/v1/sources")["totals"]["stored"] == DAYS * 24);
    let list = daemon.get("/api/v1/incidents?state=open&cause=leak");
    let id = list["incidents"][0]["id"].as_str().expect("it leaks").to_owned();

    let mut browser = Browser::open(daemon.http, DESK);
    for (screen, name) in [(DESK, "desk"), (PHONE, "phone")] {
        browser.stand_on(screen);
        for (language, rests, lost, mark) in
            [("zh", "怎样算好", "约 100 升/小时", "报警"), ("en", "What would clear it", "some 100 L/h", "Alarm")]
        {
            browser.visit(&format!("#/incident/{id}"));
            browser.reload();
            speak(&browser, language);
            let told = browser.text("rests-leak_least_flow");
            assert!(told.contains(rests) && told.contains(lost), "{told}");
            browser.shown("picture-leak_least_flow");
            let svg = "document.querySelector('[data-testid=\"picture-leak_least_flow\"] svg')";
            for part in ["seen", "middle", "band", "figure"] {
                browser.until(part, &format!("{svg}.querySelector('path.{part}').getAttribute('d').length > 100"));
            }
            assert_eq!(browser.js(&format!("{svg}.querySelectorAll('line.alarm').length")), 1, "when it spoke");
            let alternative = browser.js(&format!("{svg}.getAttribute('aria-label')"));
            assert!(alternative.as_str().unwrap().contains("15号楼总表"), "whose flow, from when to when: {alternative}");
            browser.picture(&format!("picture-{name}-{language}"));

            browser.click("picture-table-leak_least_flow");
            let rows = browser.text("picture-rows");
            assert!(rows.lines().count() > 40 && rows.contains(mark) && !rows.contains("NaN"), "{rows}");
            let wide = browser.js("document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(wide <= u64::from(screen.width), "{name} in {language} is {wide} pixels wide");
        }
    }
    browser.is_quiet();
}
