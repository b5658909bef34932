//! 规则试算: an office worker without a mouse tries a lower limit over the past, and then a history in files.

use super::driver::{Browser, DESK, PHONE};
use super::living::Community;
use super::office::speak;
use serde_json::json;
use std::path::Path;

/// Nothing is cut off at this width, and nothing but words is shown.
#[track_caller]
fn fits(browser: &Browser, width: u32) {
    // A page that has just changed its language is laid out anew a moment later.
    browser.until(&format!("nothing is wider than {width}"), &format!("document.documentElement.scrollWidth <= {width}"));
    let text = browser.page_text();
    for slip in ["ui.", "NaN", "undefined", "Invalid", "[object"] {
        assert!(!text.contains(slip), "{slip}: {text}");
    }
}

/// How many alarms this figure tells.
#[track_caller]
fn alarms(browser: &Browser, figure: &str) -> u64 {
    browser.shown(figure);
    browser.js(&format!("Number(document.querySelector('[data-testid=\"{figure}\"] b').innerText.replace(/,/g, ''))")).as_u64().unwrap()
}

/// The gateway's open leaks.
fn open(community: &Community) -> Vec<String> {
    let open = community.daemon.get("/api/v1/incidents?state=open&cause=leak");
    open["incidents"].as_array().unwrap().iter().map(|i| i["id"].to_string()).collect()
}

#[test]
fn a_lower_limit_is_tried_over_the_past_without_a_mouse() {
    let community = Community::live();
    let before = open(&community);
    let mut browser = Browser::open(community.daemon.http, DESK);
    browser.visit("#/health");
    browser.tab_to("to-backtest");
    browser.press("Enter");
    browser.tab_to("backtest-which");
    // The first after "all" and the places; whichever meter it is, it is one of the gateway's.
    browser.press("ArrowDown");
    browser.until("a place is chosen", "document.querySelector('[data-testid=\"backtest-which\"]').value.startsWith('place:')");
    browser.visit("#/meter/b15-bulk");
    browser.tab_to("meter-backtest");
    browser.press("Enter");
    browser.until("the meter is chosen", "document.querySelector('[data-testid=\"backtest-which\"]')?.value === 'point:b15-bulk'");
    browser.tab_to("backtest-litres_per_hour");
    browser.write("much");
    browser.press("Enter");
    browser.until("the field says what is wrong", "document.activeElement.getAttribute('aria-invalid') === 'true'");
    let console = browser.console();
    assert!(console.len() == 1 && console[0].contains("400"), "{console:#?}");
    browser.js("document.activeElement.select()");
    browser.write("300");
    browser.picture("backtest-form");
    browser.press("Enter");
    browser.shown("backtested");
    browser.until("the focus is at the result", "document.activeElement.tagName === 'H2'");
    let (now, tried) = (alarms(&browser, "backtest-now"), alarms(&browser, "backtest-tried"));
    assert!(tried > now, "as now {now}, with 300 L/h {tried}");
    let table = browser.text("backtest-findings");
    assert!(table.contains("每小时水量超限") && table.contains("15号楼"), "{table}");
    fits(&browser, DESK.width);
    browser.picture("backtest-result-zh");
    browser.tab_to("show-now");
    browser.press("Enter");
    browser.until("those of now are shown", "document.querySelector('[data-testid=\"show-now\"]').getAttribute('aria-pressed') === 'true'");
    browser.stand_on(PHONE);
    fits(&browser, PHONE.width);
    browser.picture("backtest-result-phone-zh");
    speak(&browser, "en");
    assert!(browser.text("backtested").contains("With the limits tried"));
    fits(&browser, PHONE.width);
    browser.picture("backtest-result-phone-en");
    // It is kept: another page comes between.
    browser.visit("#/incidents");
    browser.visit("#/backtest");
    browser.shown("backtested");
    // The incidents of the gateway are as they were.
    assert_eq!(open(&community), before);
    browser.is_quiet();
}

/// Puts a file into a field, as its dialogue would.
fn put(browser: &Browser, field: &str, name: &str) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay/b15").join(name)).unwrap();
    let script = format!(
        "(() => {{ const f = document.querySelector('[data-testid=\"{field}\"]'), d = new DataTransfer(); \
         d.items.add(new File([{}], {})); f.files = d.files; f.dispatchEvent(new Event('change', {{ bubbles: true }})); return f.files.length; }})()",
        json!(text),
        json!(name)
    );
    assert_eq!(browser.js(&script), json!(1));
}

#[test]
fn a_history_in_files_is_uploaded_and_tried() {
    let community = Community::live();
    let browser = Browser::open(community.daemon.http, DESK);
    browser.visit("#/backtest");
    browser.tab_to("backtest-files");
    browser.press("Enter");
    browser.tab_to("backtest-start");
    browser.press("Enter");
    assert!(browser.text("error-box").contains("meters.csv") || browser.text("error-box").contains("清单"));
    put(&browser, "backtest-meters", "meters.csv");
    put(&browser, "backtest-readings", "readings.csv");
    browser.tab_to("backtest-start");
    browser.press("Enter");
    browser.shown("backtested");
    let table = browser.text("backtest-findings");
    assert!(table.contains("B15"), "{table}");
    assert!(
        browser.js("document.querySelector('[data-testid=\"backtest-notes\"]').textContent").as_str().unwrap().contains("1-readings.csv:")
    );
    browser.is_quiet();
}
