//! Heat and electricity on the pages: each in its own table, unit and words, stated and read by hand in kWh.

use super::driver::{Browser, DESK, PHONE};
use super::harness::{Broker, Daemon, config};
use serde_json::json;

const METERS: &str = r#"
meters = [
  { id = "cold", name = "15号楼总表", kind = "bulk", at = "b15", device = "cold", subscription = "meters" },
  { id = "heat", name = "15号楼供热", kind = "bulk", at = "b15", medium = "heat", device = "1", subscription = "heat" },
  { id = "stairs", name = "楼道照明", kind = "bulk", at = "b15", medium = "electricity", device = false },
]
"#;

const MORE: &str = r#"
[[mqtt.subscriptions]]
name = "heat"
topic = "heat/+"
format = "json"
value = "/kwh"
unit = "kWh"
time = "/ts"
"#;

#[test]
fn each_medium_is_shown_and_stated_in_its_own_unit() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let text = format!("{METERS}{}", config(broker.port, &folder.path().join("heyun.db"), MORE));
    let daemon = Daemon::start(folder.path(), &text);
    let now = jiff::Timestamp::now();
    for (minutes, kwh, litres) in [(60, "5000", 100), (45, "5005.5", 130), (30, "5011", 160), (15, "5016.5", 190)] {
        let at = now - jiff::SignedDuration::from_mins(minutes);
        broker.publish(&["-q", "1", "-t", "heat/1", "-m", &format!(r#"{{"ts":"{at}","kwh":{kwh}}}"#)]);
        broker.publish(&["-q", "1", "-t", "meters/cold/state", "-m", &format!(r#"{{"ts":"{at}","total_l":{litres}}}"#)]);
    }
    super::harness::until("all is stored", || daemon.get("/api/v1/sources")["totals"]["stored"] == 8);
    let mut browser = Browser::open(daemon.http, DESK);

    // The place: its water is water, and each other medium has a table of its own.
    browser.visit("#/place/b15");
    browser.shown("meter-heat");
    let row = |id: &str| browser.text(&format!("meter-{id}"));
    browser.until("its flow", "document.querySelector('[data-testid=\"meter-cold\"]').innerText.includes('2.0')");
    assert!(row("heat").contains("22.0") && row("heat").contains("5,017"), "{}", row("heat"));
    let page = browser.page_text();
    for word in ["水表", "热量表", "电表", "kW", "kWh", "吨"] {
        assert!(page.contains(word), "{word}: {page}");
    }
    browser.picture("mediums-place");

    browser.visit("#/meter/heat");
    browser.shown("chart");
    browser.until("the chart has its sum", "document.querySelector('.sums').innerText.includes('16.5 kWh')");
    assert_eq!((browser.text("medium"), browser.text("register")), ("热量表".to_owned(), "5,016.5 kWh".to_owned()));
    let page = browser.page_text();
    assert!(page.contains("最大功率") && page.contains("10,000 kW"), "{page}");
    for water in ["m³", "升", "维修责任", "每小时限值", "NaN", "null"] {
        assert!(!page.contains(water), "{water}: {page}");
    }
    browser.picture("mediums-meter");

    // A replacement, in kWh.
    browser.click("state-open");
    browser.type_into("state-end", "5,016.5");
    browser.type_into("state-by", "王师傅");
    browser.type_into("state-why", "换表单 12 号");
    browser.click("state-send");
    browser.until("the field says so", "document.querySelector('[data-testid=\"state-end\"]').ariaInvalid === 'true'");
    assert!(browser.page_text().contains("13187.2"), "{}", browser.page_text());
    browser.type_into("state-end", "5016.75");
    browser.click("state-send");
    browser.shown("entry-1");
    let entry = browser.text("entry-1");
    assert!(entry.contains("旧表止数 5016.75 kWh") && entry.contains("新表起数 0 kWh"), "{entry}");

    // A dial of electricity, with a phone.
    let ago = now - jiff::SignedDuration::from_hours(240);
    let first = json!({"by": "李网格员", "time": ago.to_string(), "register_kilowatt_hours": 1_234.5});
    assert_eq!(daemon.post("/api/v1/meters/stairs/hand-readings", &first).0, 200);
    browser.stand_on(PHONE);
    browser.visit("#/rounds");
    browser.type_into("round-by", "李网格员");
    let card = browser.text("round-stairs");
    assert!(card.contains("电表") && card.contains("1,234.5 kWh") && !card.contains("m³"), "{card}");
    browser.type_into("round-field-stairs", "1354.5");
    browser.until("fine", "document.querySelector('[data-testid=\"round-verdict-stairs\"]').dataset.verdict === 'fine'");
    let said = browser.text("round-verdict-stairs");
    assert!(said.contains("120.0 kWh") && said.contains("每天 12.0 kWh"), "{said}");
    browser.picture("mediums-round-phone");
    let wide = browser.js("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= u64::from(PHONE.width), "{wide} pixels wide");
    browser.click("round-send-stairs");
    browser.shown("round-sent-stairs");
    assert_eq!(daemon.get("/api/v1/meters/stairs")["register_kilowatt_hours"], json!(1_354.5));
    browser.is_quiet();
}
