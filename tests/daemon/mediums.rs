//! A month of a house with every kind of meter: heat over a rollover and a replacement, electricity as S0 pulses, gas, cold and hot water. Each comes out
//! to the watt-hour or the millilitre in its own unit, and nothing of it leaks or gets into the sums of water.

use crate::harness::{Broker, Daemon, config, request};
use crate::publisher::{Message, publish};
use serde_json::{Value, json};

const METERS: &str = r#"
meters = [
  { id = "cold", kind = "bulk", at = "b15", device = "cold", subscription = "meters" },
  { id = "hot", kind = "sub", at = "h101", medium = "hot-water", parent = "cold", device = "hot", subscription = "meters" },
  { id = "heat", kind = "bulk", at = "b15", medium = "heat", device = "1", subscription = "heat", digits = 7 },
  { id = "power", kind = "sub", at = "h101", medium = "electricity", device = "s0", subscription = "s0", pulse_weight = "1 Wh" },
  { id = "gas", kind = "sub", at = "h101", medium = "gas", device = "g4", subscription = "gas" },
  { id = "stairs", kind = "bulk", at = "b15", medium = "electricity", device = false },
]
"#;

const MORE: &str = r#"
[[households]]
id = "h101"
name = "101"
building = "b15"
[[mqtt.subscriptions]]
name = "heat"
topic = "heat/+"
format = "json"
value = "/m3"
unit = "m3"
time = "/ts"
also = [{ name = "energy", value = "/kwh", unit = "kWh" }]
[[mqtt.subscriptions]]
name = "s0"
topic = "s0/+"
format = "json"
value = "/pulses"
unit = "pulse"
time = "/ts"
[[mqtt.subscriptions]]
name = "gas"
topic = "gas/+"
format = "json"
value = "/m3"
unit = "m3"
time = "/ts"
"#;

/// Hours of October.
const HOURS: i64 = 31 * 24;

/// What passes in an hour, in mL or Wh. Of heat more than the tonnes that a building's water may be in a month, were they tonnes.
const COLD: i64 = 300_000;
const HOT: i64 = 21_007;
const HEAT: i64 = 2_000_123;
const POWER: i64 = 1_503;
const GAS: i64 = 137_001;

/// The old heat meter is taken out half an hour after this, and the new one begins with 7 kWh.
const REPLACED: i64 = 600;
const BEFORE_END: i64 = HEAT / 2;
const NEW_BEGINS: i64 = 7_000;

/// The wall clock, so many hours after October begins.
fn clock(hour: i64) -> String {
    let (month, date) = match hour.div_euclid(24) {
        -1 => (9, 30),
        31 => (11, 1),
        d => (10, d + 1),
    };
    format!("2026-{month:02}-{date:02}T{:02}:00:00+08:00", hour.rem_euclid(24))
}

/// Thousandths as a decimal.
fn thousandths(n: i64) -> String {
    let text = format!("{}.{:03}", n / 1_000, n % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Seven digits of a kilowatt-hour run full at 10 000 MWh.
fn old_heat(hour: i64) -> i64 {
    (9_000_000_000 + HEAT * hour) % 10_000_000_000
}

fn heat(hour: i64) -> i64 {
    if hour > REPLACED { NEW_BEGINS + (HEAT - BEFORE_END) + HEAT * (hour - REPLACED - 1) } else { old_heat(hour) }
}

fn readings(hour: i64) -> [Message; 5] {
    let ts = clock(hour);
    let message = |topic: &str, rest: String| Message { topic: topic.to_owned(), payload: format!(r#"{{"ts":"{ts}",{rest}}}"#) };
    let begun = |n: i64| n + 3 * HOURS;
    [
        message("meters/cold/state", format!(r#""total_l":{}"#, thousandths(COLD * begun(hour)))),
        message("meters/hot/state", format!(r#""total_l":{}"#, thousandths(HOT * begun(hour)))),
        message("heat/1", format!(r#""m3":{},"kwh":{}"#, 5 * begun(hour), thousandths(heat(hour)))),
        message("s0/s0", format!(r#""pulses":{}"#, POWER * begun(hour))),
        message("gas/g4", format!(r#""m3":"{}.{:06}""#, GAS * begun(hour) / 1_000_000, GAS * begun(hour) % 1_000_000)),
    ]
}

/// What is told of a meter in the first period of that answer: as it is written, with its unit.
fn told(answer: &Value, key: &str) -> (String, String, Value) {
    let meter = answer["meters"].as_array().unwrap().iter().find(|m| m["key"] == key).unwrap();
    let total = &meter["totals"][0];
    let of = |field: &str| total[field].to_string();
    assert!(total["litres"].is_null() != total["kilowatt_hours"].is_null(), "{meter}");
    let number = if total["litres"].is_null() { of("kilowatt_hours") } else { of("litres") };
    (number, meter["unit"].as_str().unwrap().to_owned(), total["complete"].clone())
}

fn meter(d: &Daemon, key: &str) -> Value {
    d.get(&format!("/api/v1/meters/{key}"))
}

#[test]
fn every_medium_is_counted_in_its_own_unit_and_only_water_is_water() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let text = format!("{METERS}{}", config(broker.port, &folder.path().join("heyun.db"), MORE));
    let mut d = Daemon::start(folder.path(), &text);
    let mut sent = 0;
    // The month, and then November on its own: how far the readings have gone on, a batch of many days says only roughly.
    for hours in [-2..HOURS, HOURS..HOURS + 5] {
        let messages: Vec<Message> = hours.flat_map(readings).collect();
        sent += messages.len();
        publish(broker.port, 1_000, messages, |_| {});
        d.until("all are stored", |d| d.get("/api/v1/sources")["totals"]["stored"] == sent);
    }

    // The new heat meter looks like a reset of the old one, until somebody says so; told in its own unit.
    let open = d.get("/api/v1/incidents?state=open");
    // Hot water that runs all day and all night is a leak; nothing else leaks.
    let (leaks, incidents): (Vec<_>, Vec<_>) = open["incidents"].as_array().unwrap().iter().partition(|i| i["cause"] == "leak");
    assert!(leaks.len() == 1 && leaks[0]["points"] == json!(["hot"]), "{open}");
    assert_eq!(incidents.len(), 1, "{open}");
    assert_eq!((&incidents[0]["cause"], &incidents[0]["points"]), (&json!("data"), &json!(["heat"])), "{open}");
    let headline = incidents[0]["headline"]["en"].as_str().unwrap();
    assert!(headline.contains("from 200073.8 kWh to 1007.06 kWh"), "{headline}");
    replace_the_heat_meter(&d);
    let is_data = |i: &Value| i["cause"] == "data";
    d.until("the reset is explained", |d| !d.get("/api/v1/incidents?state=open")["incidents"].as_array().unwrap().iter().any(is_data));

    let month = "/api/v1/totals?by=month&from=2026-10-01&to=2026-11-01";
    let metered = ["cold", "hot", "heat", "power", "gas"];
    let whole = |d: &Daemon| d.get(month)["meters"].as_array().unwrap().iter().filter(|m| m["totals"][0]["days"] == 31).count();
    d.until("October is told", |d| whole(d) == metered.len());
    let by_month = d.get(month);
    let by_day = d.get("/api/v1/totals?by=day&from=2026-10-26&to=2026-10-27");
    for (key, an_hour, unit) in [("cold", COLD, "L"), ("hot", HOT, "L"), ("heat", HEAT, "kWh"), ("power", POWER, "kWh"), ("gas", GAS, "L")]
    {
        let whole = |smallest| (thousandths(smallest), unit.to_owned(), json!(true));
        assert_eq!(told(&by_day, key), whole(24 * an_hour), "{key}");
        assert_eq!(told(&by_month, key), whole(HOURS * an_hour), "{key}");
        // Whoever reads the file finds it in the column of its unit.
        for (view, period, smallest) in
            [("v_monthly", "month = '2026-10'", HOURS * an_hour), ("v_daily", "date = '2026-10-26'", 24 * an_hour)]
        {
            let ask = format!("SELECT volume_ml, energy_wh FROM {view} WHERE point = ?1 AND {period}");
            let seen: (Option<i64>, Option<i64>) = d.database().query_row(&ask, [key], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
            assert_eq!(seen, if unit == "L" { (Some(smallest), None) } else { (None, Some(smallest)) }, "{key} in {view}");
        }
    }
    // The day of the replacement and that of the rollover are days like others.
    let flow = d.get("/api/v1/meters/heat/flow?resolution=day&from=2026-10-01&to=2026-11-01");
    assert_eq!(
        (&flow["medium"], &flow["litres"], flow["kilowatt_hours"].to_string()),
        (&json!("heat"), &Value::Null, thousandths(HEAT * HOURS))
    );
    let days = flow["buckets"].as_array().unwrap();
    let a_day = |b: &Value| (b["kilowatt_hours"].to_string(), b["litres"].clone(), b["complete"].clone());
    assert!(days.len() == 31 && days.iter().all(|b| a_day(b) == (thousandths(24 * HEAT), Value::Null, json!(true))), "{flow}");
    assert_eq!(days[3]["kilowatts"].to_string(), thousandths(HEAT));

    now(&d);
    exported(&d);
    by_hand(&d);
    assert!(d.stop().contains("stopped"));
}

fn replace_the_heat_meter(d: &Daemon) {
    let state = |more: Value| {
        let mut body = json!({"by": "测试员", "why": "换表", "deed": "replaced", "time": "2026-10-26T00:30:00+08:00"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        d.post("/api/v1/meters/heat/ledger", &body)
    };
    let (status, body) = state(json!({"end_litres": 1}));
    assert_eq!(status, 400, "{body}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&problem["code"], &problem["parameter"]), (&json!("bad_parameter"), &json!("end_litres")));
    assert!(problem["expected"]["en"].as_str().unwrap().contains("end_kilowatt_hours"), "{problem}");
    let end = thousandths(old_heat(REPLACED) + BEFORE_END);
    let (status, body) = state(json!({"end_kilowatt_hours": end, "start_kilowatt_hours": thousandths(NEW_BEGINS), "serial": "W-2"}));
    assert_eq!(status, 200, "{body}");
    let said: Value = serde_json::from_str(&body).unwrap();
    assert!(said["text"]["en"].as_str().unwrap().contains(&format!("ended at {end} kWh, the new one began at 7 kWh")), "{said}");
}

/// What the state, the overview and the metrics say.
fn now(d: &Daemon) {
    let m = meter(d, "heat");
    assert_eq!(m["register_kilowatt_hours"].to_string(), thousandths(heat(HOURS + 4)), "{m}");
    assert_eq!((m["power_kilowatts"].to_string(), &m["medium"]), (thousandths(HEAT), &json!("heat")), "{m}");
    for none in ["register_litres", "flow_litres_per_hour", "responsible"] {
        assert!(m[none].is_null(), "{none}: {m}");
    }
    assert_eq!((&m["month"]["tonnes"], m["month"]["kilowatt_hours"].to_string()), (&Value::Null, thousandths(4 * HEAT)), "{m}");
    let gas = meter(d, "gas");
    assert!(gas["month"]["tonnes"].is_null() && gas["month"]["cubic_metres"].is_number() && gas["register_litres"].is_number(), "{gas}");
    assert_eq!(meter(d, "hot")["medium"], "hot_water");

    let overview = d.get("/api/v1/overview");
    for place in overview["places"].as_array().unwrap() {
        // What is made into hot water has come through the bulk meter before.
        assert_eq!((&place["head_meters"], &place["flow_litres_per_hour"]), (&json!(["cold"]), &json!(300)), "{place}");
        assert_eq!(place["meters"], 6, "{place}");
    }

    let (_, metrics) = request(d.http, "GET", "/metrics", None);
    let of = |name: &str| {
        let lines = metrics.lines().filter(|l| l.starts_with(&format!("{name}{{"))).map(|l| l[name.len()..].to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(of("heyun_meter_power_watts"), [format!("{{meter=\"heat\"}} {HEAT}"), format!("{{meter=\"power\"}} {POWER}")]);
    assert_eq!(of("heyun_meter_flow_litres_per_hour").len(), 3, "{metrics}");
}

/// A day as the clerk and as a program get it.
fn exported(d: &Daemon) {
    let sheet = |more: &str| {
        let (status, csv) = request(d.http, "GET", &format!("/api/v1/export?kind=daily&from=2026-10-05&to=2026-10-06&lang=en{more}"), None);
        assert_eq!(status, 200, "{csv}");
        let mut lines = csv.lines().map(|l| l.split(',').map(str::to_owned).collect::<Vec<_>>());
        let heads = lines.next().unwrap();
        let at = |name: &str| heads.iter().position(|h| h == name);
        let cell = |l: &Vec<String>, name: &str| at(name).map_or("-", |i| l[i].as_str()).to_owned();
        lines.map(|l| ["meter", "used_m3", "used_kwh", "medium"].map(|name| cell(&l, name))).collect::<Vec<_>>()
    };
    let cubic_metres = |ml: i64| format!("{}.{:06}", ml / 1_000_000, ml % 1_000_000).trim_end_matches('0').to_owned();
    let (volume, energy) = (|ml: i64| [cubic_metres(24 * ml), String::new()], |wh: i64| [String::new(), thousandths(24 * wh)]);
    let line = |meter: &str, [m3, kwh]: [String; 2], medium: &str| [meter.to_owned(), m3, kwh, medium.to_owned()];
    let none = || [String::new(), String::new()];
    assert_eq!(
        sheet(""),
        [
            line("cold", volume(COLD), "water"),
            line("hot", volume(HOT), "hot_water"),
            line("heat", energy(HEAT), "heat"),
            line("power", energy(POWER), "electricity"),
            line("gas", volume(GAS), "gas"),
            line("stairs", none(), "electricity"),
        ]
    );
    assert_eq!(sheet("&medium=water"), [line("cold", [cubic_metres(24 * COLD), "-".to_owned()], "-")], "as it always was");
}

/// A meter of electricity that people read.
fn by_hand(d: &Daemon) {
    let hand_in = |time: &str, more: Value| {
        let mut body = json!({"by": "李网格员", "time": time});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, body) = d.post("/api/v1/meters/stairs/hand-readings", &body);
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    for wrong in [json!({}), json!({"register_litres": 5}), json!({"register_litres": 5, "register_kilowatt_hours": 5})] {
        let (status, problem) = hand_in("2026-10-02T08:00:00+08:00", wrong);
        assert_eq!((status, &problem["code"]), (400, &json!("bad_parameter")), "{problem}");
    }
    assert_eq!(hand_in("2026-10-02T08:00:00+08:00", json!({"register_kilowatt_hours": "1234.5"})).0, 200);
    let (status, report) = hand_in("2026-10-03T08:00:00+08:00", json!({"register_kilowatt_hours": 1_246.5}));
    assert_eq!((status, &report["used_kilowatt_hours"], &report["used_litres"]), (200, &json!(12), &Value::Null), "{report}");
    assert!(report["text"]["zh"].as_str().unwrap().contains("1246.5 kWh"), "{report}");
    let book = d.get("/api/v1/rounds");
    let line = &book["meters"][0];
    assert_eq!(
        (&line["key"], &line["medium"], &line["last"]["register_kilowatt_hours"]),
        (&json!("stairs"), &json!("electricity"), &json!(1_246.5))
    );
    assert_eq!((&line["kilowatt_hours_per_day"], &line["litres_per_day"]), (&json!(12), &Value::Null), "{book}");
}
