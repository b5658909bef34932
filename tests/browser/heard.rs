//! What is at the broker and not configured: heard from the page by somebody who has no mouse, and read by the office's eyes.

use super::driver::{Browser, DESK, PHONE, Screen};
use super::harness::{Broker, Daemon, config};
use super::office::speak;
use serde_json::json;

const LEAK: &str = r#"{"battery":92,"battery_low":false,"tamper":false,"water_leak":true}"#;

const ROPE: &str = r#"{"dev":{"ids":1,"name":"Rope 1","mf":"Acme","mdl":"R1"},"state_topic":"ropes/1/state","cmps":{
"wet":{"p":"binary_sensor","dev_cla":"moisture","val_tpl":"{{ value_json.wet }}","pl_on":true,"pl_off":false},
"bat":{"p":"sensor","dev_cla":"battery","unit_of_meas":"%","val_tpl":"{{ value_json.bat }}"}}}"#;

/// Nothing is cut off at this width, and nothing but words is shown.
#[track_caller]
fn fits(browser: &Browser, width: u32) {
    let wide = browser.js("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= u64::from(width), "{wide} pixels wide on {width}");
    let text = browser.page_text();
    for slip in ["ui.", "NaN", "undefined", "Invalid", "[object"] {
        assert!(!text.contains(slip), "{slip}: {text}");
    }
}

#[test]
fn a_device_is_heard_and_its_lines_are_copied_without_a_mouse() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Broker::start();
    let meter = "[[meters]]\nid = \"m\"\nname = \"M\"\nkind = \"bulk\"\nat = \"b15\"\nsubscription = \"meters\"\ndevice = \"m\"\n";
    let daemon = Daemon::start(folder.path(), &config(broker.port, &folder.path().join("heyun.db"), meter));
    let retained = |topic: &str, payload: &str| broker.publish(&["-r", "-q", "1", "-t", topic, "-m", payload]);
    retained("zigbee2mqtt/leak_b15_bath", LEAK);
    // Without a place to break the line at.
    let long = "x".repeat(150);
    retained(&format!("zigbee2mqtt/{long}"), LEAK);
    retained(&format!("odd/{long}"), &long);
    // One that says itself what is wet needs a profile of its own.
    retained("homeassistant/device/rope/config", ROPE);
    retained("ropes/1/state", r#"{"wet":false,"bat":91}"#);
    let odd = r#"<b>odd</b><img src="x" onerror="document.title='taken'">"#;
    retained("odd/<i>thing</i>", odd);
    retained("homeassistant/sensor/computes/config", r#"{"stat_t":"computes","val_tpl":"{{ value_json.v * 2 }}","unit_of_meas":"L"}"#);
    retained("meters/n/state", r#"{"total":"12"}"#);
    retained("long/payload", &"1".repeat(20_000));

    let mut browser = Browser::open(daemon.http, DESK);
    browser.visit("#/health");
    browser.tab_to("to-discovery");
    browser.press("Enter");
    browser.tab_to("hear-5m");
    browser.press("Enter");
    browser.until("five minutes are chosen", "document.querySelector('[data-testid=\"hear-5m\"]').getAttribute('aria-pressed') === 'true'");
    browser.picture("discovery-idle");
    browser.tab_to("hear-filters");
    browser.write("a/#/b");
    browser.press("Enter");
    let refused = browser.text("error-box");
    assert!(refused.contains('#'), "{refused}");
    // The console tells of every answer that is an error: that was meant.
    let console = browser.console();
    assert!(console.len() == 1 && console[0].contains("400"), "{console:#?}");
    browser.js("document.querySelector('[data-testid=\"hear-filters\"]').select()");
    browser.write("#, zigbee2mqtt/#");
    browser.tab_to("hear-start");
    browser.press("Enter");
    browser.shown("hearing");
    browser.gone("error-box");
    // Two more are announcements.
    browser.until(
        "seven topics are counted",
        "/听到 7 个主题/.test(document.querySelector('[role=progressbar]').getAttribute('aria-valuetext'))",
    );
    let now = browser.text("hearing-now");
    assert!(now.contains("还剩 4 分钟") && now.contains("条消息"), "{now}");
    assert_eq!(browser.js("document.activeElement.dataset.testid"), json!("hear-stop"), "the focus goes along");
    browser.picture("discovery-hearing");
    browser.press("Enter");
    browser.shown("heard");
    browser.until("the focus is at the result", "document.activeElement.tagName === 'H2'");

    browser.js("document.querySelectorAll('[data-testid=\"by-hand\"]').forEach((d) => { d.open = true; })");
    let proposal = browser.text("proposal-zigbee2mqtt");
    for word in ["认识", "zigbee2mqtt/leak_b15_bath", "电池 92 %", "水浸", "[[sensors]]", "device = \"leak_b15_bath\"", "PLACE"] {
        assert!(proposal.contains(word), "{word}: {proposal}");
    }
    let announced = browser.text("proposal-rope-1-acme-r1");
    for word in
        ["设备自报", "Rope 1 (Acme R1)", "91 %", "[[messages]]", "无报警", "devices/rope-1-acme-r1.toml", "profile = \"rope-1-acme-r1\""]
    {
        assert!(announced.contains(word), "{word}: {announced}");
    }
    let page = browser.page_text();
    assert!(page.contains("heyun check") && page.contains("重启网关"), "{page}");
    let unknown = browser.text("heard-unknown");
    assert!(unknown.contains(odd) && unknown.contains("odd/<i>thing</i>"), "{unknown}");
    let made = browser.js("document.querySelectorAll('[data-testid=\"heard-unknown\"] :is(b, i, img)').length");
    assert_eq!((made, browser.js("document.title.includes('taken')")), (json!(0), json!(false)), "payloads are text");
    for (list, word) in [("heard-announced", "* 2"), ("heard-refused", "/total_l"), ("heard-dropped", "消息太长")] {
        assert_eq!(browser.js(&format!("document.querySelector('[data-testid=\"{list}\"]').open")), json!(false));
        let all = browser.js(&format!("document.querySelector('[data-testid=\"{list}\"]').textContent"));
        assert!(all.as_str().unwrap().contains(word), "{list}: {all}");
    }

    browser.tab_to("copy-toml");
    browser.press("Enter");
    let outcome = "document.querySelector('[data-testid=\"copy-state\"]').dataset.state";
    browser.until("it is copied", &format!("{outcome} === 'copied'"));
    // As in the office's network: plain HTTP, where there is no clipboard, and a browser that refuses the old way.
    browser.js("Object.defineProperty(window, 'isSecureContext', { value: false }) && (document.execCommand = () => false)");
    browser.press("Enter");
    browser.until("it is to be copied by hand", &format!("{outcome} === 'byhand'"));
    let selected = browser.js("getSelection().toString()");
    let lines = browser.js("document.querySelector('[data-testid=\"toml\"]').textContent");
    assert_eq!(selected.as_str().unwrap().trim(), lines.as_str().unwrap().trim());

    for (name, screen) in
        [("desk", DESK), ("phone", PHONE), ("desk-dark", Screen { dark: true, ..DESK }), ("phone-dark", Screen { dark: true, ..PHONE })]
    {
        browser.stand_on(screen);
        for language in ["zh", "en"] {
            browser.reload();
            speak(&browser, language);
            browser.shown("heard");
            browser.js("document.querySelectorAll('details').forEach((d) => { d.open = true; })");
            browser.picture(&format!("discovery-done-{name}-{language}"));
            fits(&browser, screen.width);
        }
    }
    browser.is_quiet();

    // It is asked for only while somebody is being heard.
    let asked = "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/discovery')).length";
    assert_eq!(browser.js(asked), json!(1), "one question since the page was loaded");

    // Somebody else was quicker: theirs is shown. It goes on without the page, which asks no more once it is left.
    assert_eq!(daemon.post("/api/v1/discovery", &json!({"seconds": 600})).0, 200);
    browser.click("hear-start");
    browser.shown("hearing");
    browser.js("location.hash = '#/health'");
    browser.shown("to-discovery");
    let before = browser.js(asked).as_u64().unwrap();
    let sources = "performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/sources')).length";
    browser.until("the other page has gone on for seconds", &format!("{sources} > 1"));
    let after = browser.js(asked).as_u64().unwrap();
    assert!(after <= before + 1, "only what was on its way: {before}, {after}");
    browser.click("to-discovery");
    browser.click("hear-stop");
    browser.shown("heard");

    broker.kill9();
    browser.click("hear-start");
    browser.shown("hear-failed");
    let failed = browser.text("hear-failed");
    assert!(failed.contains("cannot be reached") && failed.contains("start again"), "{failed}");
    fits(&browser, PHONE.width);
    speak(&browser, "zh");
    let failed = browser.text("hear-failed");
    assert!(failed.contains("连接不上"), "{failed}");
    browser.picture("discovery-failed-phone");
    browser.stays_on_the_host();
}

#[test]
fn a_device_is_adopted_and_dropped_without_a_mouse() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let meter = "[[meters]]\nid = \"m\"\nname = \"M\"\nkind = \"bulk\"\nat = \"b15\"\nsubscription = \"meters\"\ndevice = \"m\"\n";
    let daemon = Daemon::start(folder.path(), &config(broker.port, &folder.path().join("heyun.db"), meter));
    broker.publish(&["-r", "-q", "1", "-t", "zigbee2mqtt/leak_b15_bath", "-m", LEAK]);
    broker.publish(&["-r", "-q", "1", "-t", "site/water/garden", "-m", "12.345"]);
    let mut browser = Browser::open(daemon.http, DESK);
    browser.visit("#/discovery");
    browser.click("hear-30s");
    browser.click("hear-start");
    browser.shown("hearing");
    browser.until("both are counted", "/听到 2 个主题/.test(document.querySelector('[role=progressbar]').getAttribute('aria-valuetext'))");
    browser.click("hear-stop");
    browser.shown("proposal-zigbee2mqtt");

    // The first button is the leak sensor's; the focus goes into its form.
    browser.tab_to("adopt-open");
    browser.press("Enter");
    browser.until("the focus is at the id", "document.activeElement.dataset.testid === 'adopt-id'");
    assert_eq!(browser.js("document.activeElement.value"), json!("leak-b15-bath"), "an id is suggested");
    browser.tab_to("adopt-name");
    browser.write("卫生间");
    browser.tab_to("adopt-place");
    browser.press("ArrowDown");
    browser.press("ArrowDown");
    assert_eq!(browser.js("document.activeElement.value"), json!("b15"), "the place is chosen");
    browser.tab_to("adopt-by");
    browser.write("值班员");
    for (name, screen, language) in [("desk", DESK, "zh"), ("phone", PHONE, "en")] {
        browser.stand_on(screen);
        speak(&browser, language);
        browser.picture(&format!("adopt-form-{name}-{language}"));
        fits(&browser, screen.width);
    }
    browser.stand_on(DESK);
    speak(&browser, "zh");
    browser.tab_to("adopt-send");
    browser.press("Enter");
    browser.until("it is read", "document.querySelector('[data-testid=\"anew\"]').dataset.state === 'read'");
    browser.shown("adopted-sensor-leak-b15-bath");
    browser.gone("proposal-zigbee2mqtt");
    browser.until("the focus is at what is left", "document.activeElement.tagName === 'H2'");
    assert!(browser.text("adopted").contains("值班员"));
    let sensors = daemon.get("/api/v1/sensors");
    assert_eq!(sensors["sensors"][0]["key"], "leak-b15-bath", "{sensors:#}");

    // What would not be right says why, in its form, and changes nothing.
    browser.click("adopt-open");
    browser.js("document.querySelector('[data-testid=\"adopt-id\"]').select()");
    browser.write("m");
    browser.tab_to("adopt-place");
    browser.press("ArrowDown");
    browser.press("ArrowDown");
    browser.tab_to("adopt-unit");
    browser.press("ArrowDown");
    browser.tab_to("adopt-send");
    browser.press("Enter");
    browser.shown("adopt-problems");
    let said = browser.text("adopt-problems");
    assert!(said.contains("meter m") && said.contains("the config file has one of this name"), "{said}");
    let console = browser.console();
    assert!(console.iter().all(|l| l.contains("422") || l.contains("ERR_") || l.contains("503")), "{console:#?}");
    browser.picture("adopt-refused-desk-zh");
    browser.js("document.querySelector('[data-testid=\"adopt-id\"]').select()");
    browser.write("garden");
    browser.tab_to("adopt-send");
    browser.press("Enter");
    browser.shown("adopted-meter-garden");
    browser.until("it is read", "document.querySelector('[data-testid=\"anew\"]').dataset.state === 'read'");
    let adopted = daemon.get("/api/v1/adopted");
    assert!(adopted["entries"].to_string().contains("unit = \\\"L\\\""), "the unit on the dial was chosen: {adopted:#}");

    browser.tab_to("drop-sensor-leak-b15-bath");
    browser.press("Enter");
    browser.until("the focus is at the name", "document.activeElement.dataset.testid === 'drop-by'");
    browser.tab_to("drop-send");
    browser.press("Enter");
    browser.gone("adopted-sensor-leak-b15-bath");
    browser.picture("adopted-desk-zh");
    assert_eq!(daemon.get("/api/v1/sensors")["sensors"], json!([]));
    browser.stays_on_the_host();
}

#[test]
fn without_a_broker_the_page_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let whole = config(1, &folder.path().join("heyun.db"), "");
    let daemon = Daemon::start_alone(folder.path(), whole.split("[mqtt]").next().unwrap());
    let browser = Browser::open(daemon.http, PHONE);
    browser.visit("#/discovery");
    let said = browser.text("no-broker");
    assert!(said.contains("[mqtt]"), "{said}");
    browser.gone("hear-start");
    browser.stays_on_the_host();
}
