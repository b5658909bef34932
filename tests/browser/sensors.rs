//! Sensors, as somebody meets them who has no mouse: a wet rope, a call for help.

use super::driver::{Browser, DESK, PHONE};
use super::harness::{Broker, Daemon};
use tempfile::TempDir;

const CONFIG: &str = r#"
households = [{ id = "b15-101", name = "15号楼101", building = "b15" }]
meters = [{ id = "b15-bulk", kind = "bulk", at = "b15", device = "b15", subscription = "own", valve = { place = "东侧水表井", key_holder = "王师傅" } }]
sensors = [
  { id = "rope", name = "101 厨房水浸", at = "b15-101", device = "rope", subscription = "own" },
  { id = "leak", name = "101 阳台水浸", at = "b15-101", device = "leak", subscription = "zigbee" },
  { id = "button", name = "101 紧急按钮", at = "b15-101", device = "button", subscription = "own" },
]

[gateway]
id = "test-1"
timezone = "Asia/Shanghai"

[[compounds]]
id = "heyun"
name = "和韵小区"

[[buildings]]
id = "b15"
name = "15号楼"
compound = "heyun"

[mqtt]
url = "mqtt://127.0.0.1:PORT"

[[mqtt.subscriptions]]
name = "own"
profile = "heyun"

[[mqtt.subscriptions]]
name = "zigbee"
profile = "zigbee2mqtt"

[store]
path = "STORE"

[web]
listen = "127.0.0.1:0"
"#;

struct Flat {
    broker: Broker,
    daemon: Daemon,
    _folder: TempDir,
}

impl Flat {
    fn new() -> Flat {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start();
        let store = folder.path().join("heyun.db");
        let config = CONFIG.replace("PORT", &broker.port.to_string()).replace("STORE", &store.display().to_string());
        let daemon = Daemon::start(folder.path(), &config);
        Flat { broker, daemon, _folder: folder }
    }

    fn says(&self, device: &str, flags: &str) {
        let payload = format!(r#"{{"time":"{}","battery_pct":91,"flags":[{flags}]}}"#, jiff::Timestamp::now());
        self.broker.publish(&["-q", "1", "-t", &format!("heyun/{device}/reading"), "-m", &payload]);
    }
}

/// Waits until a sensor is shown in this state.
#[track_caller]
fn stands(browser: &Browser, sensor: &str, state: &str) {
    browser.until(
        &format!("{sensor} is {state}"),
        &format!("document.querySelector('[data-testid=\"sensor-state-{sensor}\"]')?.dataset.state === '{state}'"),
    );
}

#[test]
fn a_wet_rope_is_seen_and_taken_on_without_a_mouse() {
    let flat = Flat::new();
    let browser = Browser::open(flat.daemon.http, DESK);
    browser.visit("");
    browser.tab_to("nav-sensors");
    browser.press("Enter");
    stands(&browser, "rope", "no_data");
    flat.says("rope", "");
    stands(&browser, "rope", "ok");
    let row = browser.text("sensor-rope");
    assert!(row.contains("电池 91 %") && row.contains("15号楼101"), "{row}");

    flat.says("rope", "\"wet\",\"battery_low\"");
    stands(&browser, "rope", "leak");
    let row = browser.text("sensor-rope");
    assert!(row.contains("水浸") && row.contains("电池电量低") && row.contains("疑似漏水"), "{row}");
    browser.picture("sensors-wet");
    browser.tab_to("sensor-incident-rope");
    browser.press("Enter");
    browser.shown("incident-state");
    browser.gone("chart");
    let leak = browser.page_text();
    for word in ["东侧水表井", "王师傅", "打电话给住户：15号楼101", "传感器：101 厨房水浸"] {
        assert!(leak.contains(word), "{word}: {leak}");
    }
    browser.tab_to("accept-name");
    browser.write("李网格");
    browser.press("Enter");
    browser.until("it is accepted", "document.querySelector('[data-testid=\"incident-state\"]').innerText.includes('已签收')");
    browser.picture("incident-wet");

    // An address of older times, or one that was typed.
    browser.visit("#/meter/rope");
    stands(&browser, "rope", "leak");
    browser.gone("chart");
    browser.is_quiet();
}

#[test]
fn a_device_that_has_gone_is_said_on_its_page_and_among_the_sources() {
    let flat = Flat::new();
    let browser = Browser::open(flat.daemon.http, DESK);
    browser.visit("#/sensors");
    let wet = r#"{"battery":92,"battery_low":false,"tamper":false,"water_leak":false}"#;
    flat.broker.publish(&["-q", "1", "-t", "zigbee2mqtt/leak", "-m", wet]);
    flat.broker.publish(&["-q", "1", "-t", "zigbee2mqtt/leak/availability", "-m", r#"{"state":"offline"}"#]);
    stands(&browser, "leak", "away");
    let row = browser.text("sensor-leak");
    assert!(row.contains("离线") && row.contains("自"), "{row}");
    browser.visit("#/health");
    browser.until(
        "the source says so",
        "[...document.querySelectorAll('tbody tr')].some((r) => /zigbee2mqtt.leak[^]*离线/.test(r.innerText))",
    );
    browser.picture("health-presence");
    browser.is_quiet();
}

#[test]
fn a_call_for_help_stands_before_everything_else() {
    let flat = Flat::new();
    let mut browser = Browser::open(flat.daemon.http, DESK);
    browser.visit("");
    browser.shown("tile-b15");
    flat.says("rope", "\"wet\"");
    browser.shown("leak-banner");
    flat.says("button", "\"emergency\"");
    let banner = browser.text("call-banner");
    assert!(banner.contains("15号楼101 紧急呼叫") && banner.contains("还没有人签收"), "{banner}");
    let first = "document.querySelector('main section').dataset.testid === 'call-banner'";
    browser.until("the call stands above the leak", first);
    browser.until("the tile says so", "document.querySelector('[data-testid=\"tile-b15\"]').dataset.state === 'emergency'");
    browser.picture("overview-emergency-desk");
    browser.stand_on(PHONE);
    browser.picture("overview-emergency-phone");
    browser.visit("#/sensors");
    stands(&browser, "button", "emergency");
    let first = browser.js("document.querySelector('tbody tr').dataset.testid");
    assert_eq!(first, "sensor-button", "what is most urgent stands first");
    browser.picture("sensors-emergency-phone");
    browser.is_quiet();
}
