//! What people know better: a replacement stated and taken back without a mouse, a dial read in a cellar with a phone.

use super::driver::{Browser, DESK, PHONE};
use super::harness::{Broker, Daemon, config};
use serde_json::{Value, json};
use tempfile::TempDir;

const METERS: &str = r#"
meters = [
  { id = "b15-bulk", name = "15号楼总表", kind = "bulk", at = "b15", device = "b15", subscription = "meters", max_flow = "5 m3/h" },
  { id = "cellar", name = "地下室表", kind = "bulk", at = "b15", device = false, max_flow = "5 m3/h", serial = "LXS-15" },
  { id = "gate", name = "门卫室表", kind = "bulk", at = "c", device = false },
]
"#;

struct House {
    broker: Broker,
    daemon: Daemon,
    config: String,
    folder: TempDir,
}

impl House {
    fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let broker = Broker::start();
        let text = format!("{METERS}{}", config(broker.port, &folder.path().join("heyun.db"), ""));
        let daemon = Daemon::start(folder.path(), &text);
        House { broker, daemon, config: text, folder }
    }

    /// A reading of so many minutes ago.
    fn reports(&self, minutes: i64, litres: i64) {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
        let payload = format!(r#"{{"ts":"{at}","total_l":{litres}}}"#);
        self.broker.publish(&["-q", "1", "-t", "meters/b15/state", "-m", &payload]);
    }

    fn entries(&self, meter: &str) -> Vec<Value> {
        self.daemon.get(&format!("/api/v1/meters/{meter}/ledger"))["entries"].as_array().unwrap().clone()
    }
}

#[test]
fn a_replacement_is_stated_and_taken_back_without_a_mouse() {
    let house = House::new();
    for (minutes, litres) in [(60, 500_000), (45, 500_100), (30, 500_200), (15, 500_300)] {
        house.reports(minutes, litres);
    }
    let browser = Browser::open(house.daemon.http, DESK);
    browser.visit("#/meter/b15-bulk");
    browser.shown("chart");
    browser.tab_to("state-open");
    browser.press("Enter");
    browser.tab_to("state-end");
    browser.write("500,310");
    browser.tab_to("state-serial");
    browser.write("LXLC-42");
    browser.tab_to("state-by");
    browser.write("王师傅");
    browser.press("Enter");
    // Nothing was sent: the fields say what is wrong, and the first of them has the focus.
    browser.until(
        "the field says so",
        "document.activeElement.dataset.testid === 'state-end' && document.activeElement.ariaInvalid === 'true'",
    );
    let said = browser.js("document.getElementById(document.activeElement.getAttribute('aria-describedby').split(' ')[0]).innerText");
    assert!(said.as_str().is_some_and(|s| s.contains("338.304")), "{said}");
    assert_eq!(house.entries("b15-bulk"), Vec::<Value>::new());
    let text = browser.page_text();
    assert!(!text.contains("NaN"), "{text}");
    browser.picture("ledger-wrong");
    // What has the focus by Tab is selected whole.
    browser.js("document.activeElement.select()");
    browser.write("00500.3105");
    browser.tab_to("state-why");
    browser.write("换表单 12 号");
    browser.press("Enter");
    browser.shown("entry-1");
    let entry = browser.text("entry-1");
    for word in ["换表", "500.3105 m³", "LXLC-42", "王师傅", "换表单 12 号", "有效"] {
        assert!(entry.contains(word), "{word}: {entry}");
    }
    browser.picture("ledger-stated");

    browser.tab_to("undo-1");
    browser.press("Enter");
    browser.tab_to("undo-why");
    browser.write("写错了楼");
    browser.press("Enter");
    browser.until("it is undone", "document.querySelector('[data-testid=\"entry-1\"]').dataset.undone === 'true'");
    let entry = browser.text("entry-1");
    assert!(entry.contains("已由第 2 条撤销"), "{entry}");
    browser.gone("undo-1");
    let entries = house.entries("b15-bulk");
    assert_eq!((&entries[0]["deed"], &entries[0]["why"], &entries[1]["undone_by"]), (&json!("undone"), &json!("写错了楼"), &json!(2)));
    browser.picture("ledger-undone");
    browser.is_quiet();
}

#[test]
fn a_doubtful_reading_is_decided_from_the_chart() {
    let house = House::new();
    for (minutes, litres) in [(60, 500_000), (45, 500_100), (30, 900_000), (15, 500_300)] {
        house.reports(minutes, litres);
    }
    let browser = Browser::open(house.daemon.http, PHONE);
    browser.visit("#/meter/b15-bulk");
    browser.shown("doubts");
    let doubts = browser.text("doubts");
    assert!(doubts.contains("单次误读，未计"), "{doubts}");
    browser.js("document.querySelector('[data-testid^=\"refuse-\"]').click()");
    browser.until(
        "the form is filled",
        "document.querySelector('[data-testid=\"state-reading\"]')?.value && document.activeElement.dataset.testid === 'state-why'",
    );
    browser.until(
        "the reading is known",
        "document.querySelector('[data-testid=\"state-reading\"]').selectedOptions[0].innerText.includes('900.000')",
    );
    browser.picture("ledger-doubt-phone");
    let wide = browser.js("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= u64::from(PHONE.width), "{wide} pixels wide");
    browser.type_into("state-by", "李网格员");
    browser.type_into("state-why", "看过表盘");
    browser.click("state-send");
    browser.shown("entry-1");
    let entries = house.entries("b15-bulk");
    assert_eq!((&entries[0]["deed"], entries.len()), (&json!("refused"), 1));
    browser.until("the chart follows", "document.querySelector('[data-testid=\"doubts\"]').innerText.includes('已作废')");
    browser.is_quiet();
}

#[test]
fn a_dial_is_read_in_a_cellar_with_a_phone() {
    let house = House::new();
    let ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(240);
    let first = json!({"by": "李网格员", "time": ago.to_string(), "register_litres": 115_250});
    assert_eq!(house.daemon.post("/api/v1/meters/cellar/hand-readings", &first).0, 200);
    let mut browser = Browser::open(house.daemon.http, PHONE);
    browser.visit("");
    browser.click("nav-rounds");
    let card = browser.text("round-cellar");
    assert!(card.contains("LXS-15") && card.contains("115.250 m³"), "{card}");
    let verdict = |kind: &str| browser_says("cellar", kind);
    browser.type_into("round-field-cellar", "25.25");
    browser.until("lower", &verdict("lower"));
    browser.picture("rounds-lower-phone");
    browser.type_into("round-field-cellar", "99115.25");
    browser.until("more", &verdict("more"));
    browser.type_into("round-field-cellar", "125.25");
    browser.until("fine", &verdict("fine"));
    let said = browser.text("round-verdict-cellar");
    assert!(said.contains("10.000 m³") && said.contains("1,000 升"), "{said}");
    let wide = browser.js("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= u64::from(PHONE.width), "{wide} pixels wide");

    // What is typed outlives the page. Nobody has signed yet.
    browser.reload();
    browser.until("it is there again", "document.querySelector('[data-testid=\"round-field-cellar\"]')?.value === '125.25'");
    browser.click("round-send-cellar");
    browser.until("the name is asked for", "document.activeElement.dataset.testid === 'round-by'");
    browser.type_into("round-by", "李网格员");
    // A picture as a phone's camera makes it, of several megapixels; and before it a file that is none.
    let choose = |file: &str| {
        browser.js(&format!(
            "(async () => {{ const file = await (async () => {{ {file} }})(); const list = new DataTransfer(); list.items.add(file); \
             const input = document.querySelector('[data-testid=\"round-photo-cellar\"]'); input.files = list.files; \
             input.dispatchEvent(new Event('change', {{ bubbles: true }})); }})() && null"
        ))
    };
    choose("return new File(['no picture'], 'a.txt');");
    browser.until("it is refused", "document.querySelector('[data-testid=\"round-cellar\"]').innerText.includes('不是照片')");
    choose(
        "const c = document.createElement('canvas'); c.width = 4000; c.height = 3000; const p = c.getContext('2d'); \
         for (let i = 0; i < 3000; i += 1) { p.fillStyle = `hsl(${i * 7} 80% 50%)`; p.fillRect((i * 37) % 4000, (i * 91) % 3000, 200, 60); } \
         p.fillStyle = '#000'; p.font = '400px sans-serif'; p.fillText('00125.250', 900, 1600); \
         return new File([await new Promise((done) => c.toBlob(done, 'image/png'))], 'dial.png');",
    );
    browser.shown("round-photo-kept-cellar");
    browser.picture("rounds-photo-phone");
    browser.click("round-send-all");
    browser.shown("round-sent-cellar");
    browser.until("the picture is there", "document.querySelector('[data-testid=\"round-photo-state-cellar\"]')?.dataset.state === 'sent'");
    assert_eq!(house.daemon.get("/api/v1/meters/cellar")["register_litres"], json!(125_250));
    let entry = house.entries("cellar")[0].clone();
    assert_eq!((&entry["deed"], &entry["photo"]), (&json!("read"), &json!(true)), "{entry}");
    let bytes: i64 = house.daemon.database().query_row("SELECT bytes FROM v_photos WHERE point = 'cellar'", [], |r| r.get(0)).unwrap();
    assert!((1_000..=120 * 1024).contains(&bytes), "{bytes} bytes");
    browser.until("it is the last one now", "document.querySelector('[data-testid=\"round-cellar\"]').innerText.includes('125.250')");
    assert_eq!(browser.js("sessionStorage.getItem('heyun.round')"), json!("{}"));
    browser.picture("rounds-phone");
    browser.stand_on(DESK);
    browser.picture("rounds-desk");
    browser.visit("#/meter/cellar");
    let picture = format!("document.querySelector('[data-testid=\"photo-{}\"] img')", entry["entry"]);
    browser.until("the entry is there", &format!("{picture} !== null"));
    // It is fetched when it comes into view.
    browser.js(&format!("{picture}.scrollIntoView()"));
    browser.until("the picture is shown", &format!("{picture}.naturalWidth >= 800"));
    browser.picture("ledger-photo-desk");
    browser.visit("#/rounds");
    browser.shown("round-cellar");

    // The book on paper: one page for the compound's own, one for the building.
    browser.as_printed(true);
    let paper = browser.page_text();
    for word in ["抄表本 和韵小区", "15号楼", "抄表日期", "LXS-15", "125.250"] {
        assert!(paper.contains(word), "{word}: {paper}");
    }
    assert!(!paper.contains("全部送出") && !paper.contains("表盘读数"), "{paper}");
    browser.picture("rounds-paper");
    browser.as_printed(false);
    assert_eq!(browser.paper("rounds"), 2);
    browser.is_quiet();
}

#[test]
fn what_is_not_taken_is_kept_and_sent_again() {
    let mut house = House::new();
    let browser = Browser::open(house.daemon.http, PHONE);
    browser.visit("#/rounds");
    browser.type_into("round-by", "李网格员");
    browser.type_into("round-field-gate", "7.5");
    browser.type_into("round-field-cellar", "125.25");
    let http = house.daemon.http;
    house.daemon.kill9();
    browser.click("round-send-all");
    for meter in ["gate", "cellar"] {
        browser.until("it failed", &format!("document.querySelector('[data-testid=\"round-{meter}\"]').dataset.state === 'failed'"));
    }
    browser.picture("rounds-failed-phone");
    let config = house.config.replace("127.0.0.1:0\"", &format!("127.0.0.1:{http}\""));
    house.daemon = Daemon::start(house.folder.path(), &config);
    browser.click("round-send-all");
    browser.shown("round-sent-gate");
    browser.shown("round-sent-cellar");
    let registers = ["gate", "cellar"].map(|m| house.daemon.get(&format!("/api/v1/meters/{m}"))["register_litres"].clone());
    assert_eq!(registers, [json!(7_500), json!(125_250)]);
    browser.stays_on_the_host();
}

/// An expression: this is said of what is typed.
fn browser_says(meter: &str, verdict: &str) -> String {
    format!("document.querySelector('[data-testid=\"round-verdict-{meter}\"]').dataset.verdict === '{verdict}'")
}
