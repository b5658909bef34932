//! What office staff do: see the leak, open it, take it on; in both languages, at a desk and on a phone.

use super::driver::{Browser, DESK, PHONE, Screen};
use super::living::Community;
use serde_json::json;

/// Chooses a language by what the page remembers, as its switch does.
pub fn speak(browser: &Browser, language: &str) {
    browser.until("the page is there", "document.querySelector('[data-testid=\"lang-switch\"]')");
    for _ in 0..2 {
        if browser.js("document.documentElement.lang").as_str().is_some_and(|l| l.starts_with(language)) {
            return;
        }
        browser.click("lang-switch");
    }
    panic!("the page does not speak {language}");
}

#[test]
fn the_leak_is_seen_opened_and_accepted() {
    let community = Community::live();
    let id = community.leak();
    let browser = Browser::open(community.daemon.http, DESK);
    browser.visit("");
    browser.until("Chinese comes first", "document.documentElement.lang.startsWith('zh')");
    let banner = browser.text("leak-banner");
    assert!(banner.contains("15号楼"), "{banner}");
    let tile = browser.text("tile-b15");
    assert!(tile.contains("15号楼"), "{tile}");
    browser.click("nav-incidents");
    browser.click(&format!("incident-row-{id}"));
    browser.shown("chart");
    let state = browser.text("incident-state");
    assert!(state.contains("已发现"), "{state}");
    browser.type_into("accept-name", "李网格");
    browser.click("accept-button");
    browser.until("it is accepted", "document.querySelector('[data-testid=\"incident-state\"]').innerText.includes('已签收')");
    let file = community.daemon.get(&format!("/api/v1/incidents/{id}"));
    assert_eq!((&file["state"], &file["accepted"]["by"]), (&json!("accepted"), &json!("李网格")));
    speak(&browser, "en");
    let state = browser.text("incident-state");
    assert!(state.contains("Accepted"), "{state}");
    browser.reload();
    browser.until("it stays English", "document.documentElement.lang.startsWith('en')");
    browser.is_quiet();
}

#[test]
fn every_page_fits_desk_and_phone_in_both_languages_and_themes() {
    let community = Community::live();
    let id = community.leak();
    let views = [
        ("overview", "#/".to_owned(), "tile-b15"),
        ("building", "#/place/b15".to_owned(), "chart"),
        ("meter", "#/meter/b15-bulk".to_owned(), "chart"),
        ("sensors", "#/sensors".to_owned(), "sensor-state-h2-pumps-door"),
        ("sensor", "#/sensor/b15-601-room".to_owned(), "sensor-state-b15-601-room"),
        ("rounds", "#/rounds".to_owned(), "round-h2-pumps"),
        ("incidents", "#/incidents".to_owned(), "nav-incidents"),
        ("incident", format!("#/incident/{id}"), "incident-state"),
        ("health", "#/health".to_owned(), "health-equation"),
        ("discovery", "#/discovery".to_owned(), "hear-start"),
        ("backtest", "#/backtest".to_owned(), "backtest-start"),
    ];
    let mut browser = Browser::open(community.daemon.http, DESK);
    for (name, screen) in
        [("desk", DESK), ("phone", PHONE), ("desk-dark", Screen { dark: true, ..DESK }), ("phone-dark", Screen { dark: true, ..PHONE })]
    {
        browser.stand_on(screen);
        for language in ["zh", "en"] {
            for (view, address, landmark) in &views {
                browser.visit(address);
                browser.reload();
                speak(&browser, language);
                browser.shown(landmark);
                browser.until("nothing is loading", "!document.querySelector('[aria-busy=\"true\"]')");
                browser.picture(&format!("{view}-{name}-{language}"));
                let wide = browser.js("document.documentElement.scrollWidth").as_u64().unwrap();
                assert!(wide <= u64::from(screen.width), "{view} on {name} in {language} is {wide} pixels wide");
                let text = browser.page_text();
                assert!(!text.contains("ui."), "{view} in {language} shows a key: {text}");
                assert!(!text.contains("NaN") && !text.contains("undefined") && !text.contains("Invalid"), "{view} in {language}: {text}");
            }
        }
    }
    browser.is_quiet();
}

#[test]
fn a_chart_is_zoomed_from_a_year_to_a_day() {
    let community = Community::live();
    let browser = Browser::open(community.daemon.http, DESK);
    browser.visit("#/meter/b15-bulk");
    browser.shown("chart");
    for range in ["range-1y", "range-30d", "range-7d", "range-24h"] {
        browser.click(range);
        browser.until(
            "the chart is drawn anew",
            "!document.querySelector('[aria-busy=\"true\"]') && document.querySelector('[data-testid=\"chart\"] canvas')",
        );
    }
    browser.is_quiet();
}
