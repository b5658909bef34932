//! What the page says when a part is away, and that it heals by itself.

use super::driver::{Browser, DESK};
use super::harness::Daemon;
use super::living::Community;

#[test]
fn new_readings_move_the_tile() {
    let community = Community::live();
    let browser = Browser::open(community.daemon.http, DESK);
    browser.visit("");
    let before = browser.text("tile-flow-b15");
    let state = community.daemon.get("/api/v1/meters/b15-bulk");
    let register = state["register_litres"].as_f64().unwrap();
    let last: jiff::Timestamp = state["last_reading_at"].as_str().unwrap().parse().unwrap();
    // 100 litres in a minute: no flow that the tile could show already.
    let at = last + jiff::SignedDuration::from_mins(1);
    let payload = format!(r#"{{"ts":"{at}","total_l":{}}}"#, register.round() + 100.0);
    community.broker.publish(&["-q", "1", "-t", "meters/b15/state", "-m", &payload]);
    let quoted = serde_json::to_string(&before).unwrap();
    browser.until("the tile moves", &format!("document.querySelector('[data-testid=\"tile-flow-b15\"]').innerText !== {quoted}"));
    browser.is_quiet();
}

#[test]
fn a_broker_that_is_away_is_said_and_heals() {
    let mut community = Community::live();
    let browser = Browser::open(community.daemon.http, DESK);
    browser.visit("");
    browser.shown("tile-b15");
    browser.gone("broker-banner");
    community.broker.stop();
    browser.shown("broker-banner");
    browser.picture("overview-broker-away");
    community.broker.restart();
    browser.gone("broker-banner");
    browser.is_quiet();
}

#[test]
fn a_daemon_that_is_killed_is_said_loudly_and_heals() {
    let mut community = Community::live();
    let browser = Browser::open(community.daemon.http, DESK);
    browser.visit("");
    browser.shown("tile-b15");
    browser.gone("stale-banner");
    let http = community.daemon.http;
    community.daemon.kill9();
    browser.shown("stale-banner");
    browser.picture("overview-stale");
    let config = community.config.replace("127.0.0.1:0\"", &format!("127.0.0.1:{http}\""));
    let folder = community.folder().to_owned();
    community.daemon = Daemon::start(&folder, &config);
    browser.gone("stale-banner");
    browser.shown("tile-b15");
    browser.stays_on_the_host();
}
