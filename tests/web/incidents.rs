use crate::gateway::{DAY, Gateway, handles, ts};
use axum::body::Body;
use axum::http::Request;
use heyun::domain::engine::Command;
use heyun::domain::time::Ms;
use heyun::web::{CommandRequest, router};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt;

/// An hour of 1390 L/h against a limit of 500.
fn leak(g: &Gateway) {
    g.core().bulk(&[(0, 1_000), (30, 1_695), (60, 2_390)]);
}

#[tokio::test]
async fn a_leak_becomes_a_file_with_findings_evidence_and_history() {
    let g = Gateway::new();
    leak(&g);
    let list = g.get("/api/v1/incidents?state=open&cause=leak").await.ok();
    let i = &list["incidents"][0];
    assert_eq!((i["state"].clone(), i["cause"].clone(), i["points"].clone()), (json!("detected"), json!("leak"), json!(["b15"])));
    assert_eq!(
        i["headline"]["zh"],
        "15号楼总表：疑似漏水。11-10 00:00 至 11-10 01:00 水量 1.39 吨（平均 23.2 升/分钟），超过每小时限值 0.5 吨"
    );
    assert_eq!(i["place"], json!(["官坊街社区", "和韵小区", "15号楼"]));
    assert_eq!(g.get("/api/v1/incidents?cause=data").await.ok()["incidents"], json!([]));

    let id = g.incident().await;
    assert!(id.starts_with("g1."));
    let file = g.get(&format!("/api/v1/incidents/{id}")).await.ok();
    let f = &file["findings"][0];
    assert_eq!((f["code"].clone(), f["point"].clone(), f["cleared_at"].clone()), (json!("leak_hourly_limit"), json!("b15"), Value::Null));
    assert_eq!(f["args"]["limit_litres"], json!(500));
    assert_eq!(f["args"]["seen_litres"], json!(1_390));
    assert_eq!(f["evidence"][0], json!({ "time": "2026-11-10T00:00:00+08:00", "register_litres": 1_000, "register_kilowatt_hours": null }));
    assert_eq!(f["start"]["earliest"], "2026-11-10T00:00:00+08:00");
    // Those readings are old: nobody knows what flows now.
    let water = json!({ "since": "2026-11-10T00:00:00+08:00", "litres_per_minute": null, "tonnes": 1.39, "yuan": 5.35 });
    assert_eq!((file["water"].clone(), file["place"].clone()), (water, i["place"].clone()));
    let codes: Vec<&Value> = file["history"].as_array().unwrap().iter().map(|e| &e["code"]).collect();
    assert_eq!(codes, ["opened", "found", "found"]);
    assert_eq!(file["history"][1]["finding"]["args"]["seen_litres"], json!(695), "said as soon as it was over the limit");
    assert_eq!((f["grown"].clone(), file["history"][2]["finding"]["args"].clone()), (json!(true), f["args"].clone()));
    assert_eq!(file["last_event"], list["last_event"]);
    assert_eq!(g.get("/api/v1/meters/b15").await.ok()["incidents"], json!([id]));
}

#[tokio::test]
async fn the_flow_of_a_leak_is_that_of_now_and_ends_with_it() {
    let g = Gateway::new();
    let now = ts(&jiff::Timestamp::now().to_string());
    for (minutes_ago, litres) in [(90, 1_000), (60, 2_000), (10, 2_500)] {
        g.core().hear("water/b15", 0, now - Ms::minutes(minutes_ago), &[litres * 1_000]);
    }
    g.core().commit();
    let id = g.incident().await;
    let water = g.get(&format!("/api/v1/incidents/{id}")).await.ok()["water"].clone();
    assert_eq!((water["litres_per_minute"].clone(), water["tonnes"].clone()), (json!(10), json!(1.5)), "not the mean of 18.75");
    g.post(&format!("/api/v1/incidents/{id}/close"), r#"{"by":"王","reason":"修好"}"#).await.ok();
    let water = g.get(&format!("/api/v1/incidents/{id}")).await.ok()["water"].clone();
    assert_eq!((water["litres_per_minute"].clone(), water["tonnes"].clone()), (Value::Null, json!(1.5)));
}

#[tokio::test]
async fn people_accept_and_close_and_what_they_are_told_is_stored() {
    let g = Gateway::new();
    leak(&g);
    let id = g.incident().await;
    let i = g.post(&format!("/api/v1/incidents/{id}/accept"), r#"{"by":" 王网格员 ","note":"去看"}"#).await.ok();
    assert_eq!((i["state"].clone(), i["accepted"]["by"].clone()), (json!("accepted"), json!("王网格员")));
    assert_eq!(g.post(&format!("/api/v1/incidents/{id}/accept"), r#"{"by":"李"}"#).await.problem(409)["code"], "already_accepted");
    let i = g.post(&format!("/api/v1/incidents/{id}/close"), r#"{"by":"王网格员","reason":"阀门已修"}"#).await.ok();
    assert_eq!(
        (i["state"].clone(), i["closed"]["reason"].clone(), i["closed"]["by"].clone()),
        (json!("closed"), json!("阀门已修"), json!("王网格员"))
    );
    assert_eq!(
        g.post(&format!("/api/v1/incidents/{id}/close"), r#"{"by":"李","reason":"x"}"#).await.problem(409)["code"],
        "already_closed"
    );
    let file = g.get(&format!("/api/v1/incidents/{id}")).await.ok();
    let texts: Vec<&str> = file["history"].as_array().unwrap().iter().rev().take(2).map(|e| e["text"]["zh"].as_str().unwrap()).collect();
    assert_eq!(texts, ["王网格员 已结案：阀门已修", "王网格员 已签收：去看"]);
    assert_eq!(g.get("/api/v1/incidents?state=closed").await.ok()["incidents"][0]["id"], json!(id));
    assert_eq!(g.get("/api/v1/incidents?state=open").await.ok()["incidents"], json!([]));
}

/// A house of 300 L/h by day and 40 by night, and from the 20th day on 100 more.
fn house(g: &Gateway, days: i64) {
    let mut litres = 0;
    let quarters = (0..days * 96).map(|q| {
        let rate = if q % 96 < 20 { 40 } else { 300 } + if q >= 20 * 96 { 100 } else { 0 };
        litres += rate / 4;
        (q * 15, 1_000 + litres)
    });
    g.core().bulk(&quarters.collect::<Vec<_>>());
}

#[tokio::test]
async fn who_closes_an_incident_can_say_that_it_was_no_leak() {
    let g = Gateway::new();
    house(&g, 23);
    let id = g.incident().await;
    assert_eq!(g.get(&format!("/api/v1/incidents/{id}")).await.ok()["can_be_usual"], json!(true));
    let path = format!("/api/v1/incidents/{id}/close");
    assert_eq!(g.post(&path, r#"{"by":"王","not_a_leak":true}"#).await.problem(400)["code"], "bad_body", "not without a reason");
    assert_eq!(g.post(&path, r#"{"by":"王","reason":" ","not_a_leak":true}"#).await.problem(400)["parameter"], "reason");
    let i = g.post(&path, r#"{"by":"王","reason":"面包房","not_a_leak":true}"#).await.ok();
    assert_eq!(i["closed"]["reason"], "面包房");
    let file = g.get(&format!("/api/v1/incidents/{id}")).await.ok();
    let last = file["history"].as_array().unwrap().last().unwrap().clone();
    let until = "2027-03-02 23:45:00";
    assert_eq!(last["text"]["zh"], format!("王 已结案，判为误报：面包房。15号楼总表 比平时多出的 1.7 升/分钟，至 {until} 按正常用水计"));
    assert_eq!(
        last["text"]["en"],
        format!("Closed by 王 as not a leak: 面包房. Usual until {until}: at 15号楼总表 1.7 L/min above what was usual")
    );
    assert_eq!(last["usual_until"], "2027-03-02T23:45:00+08:00");
}

#[tokio::test]
async fn a_meter_tells_what_it_can_show_and_what_is_granted() {
    let g = Gateway::new();
    let young = g.get("/api/v1/meters/b15/sight").await.ok();
    assert_eq!((young["sights"].clone(), young["granted"].clone()), (json!([]), json!([])));
    assert_eq!(young["learning"][0]["text"]["zh"], "每日最小流量：正在学习，第 1 天，共需 10 天；在此之前只有固定限值起作用");
    house(&g, 23);
    let old = g.get("/api/v1/meters/b15/sight").await.ok();
    let smallest = &old["sights"][0];
    assert_eq!((smallest["rule"].clone(), smallest["within_hours"].clone()), (json!("leak_least_flow"), json!(57)));
    let litres = smallest["litres_per_hour"].as_f64().unwrap();
    assert!((10.0..100.0).contains(&litres), "the 100 L/h that were found: {smallest}");
    assert_eq!(smallest["text"]["zh"], format!("不停漏水达 {litres:.0} 升/小时：57 小时内发现（每日最小流量）"));
    let id = g.incident().await;
    g.post(&format!("/api/v1/incidents/{id}/close"), r#"{"by":"王","reason":"面包房","not_a_leak":true}"#).await.ok();
    let granted = g.get("/api/v1/meters/b15/sight").await.ok()["granted"][0].clone();
    assert_eq!((granted["litres_per_hour"].clone(), granted["until"].clone()), (json!(100), json!("2027-03-02T23:45:00+08:00")));
    assert_eq!(granted["text"]["zh"], "误报后按正常用水计：比平时多出的 1.7 升/分钟，至 2027-03-02 23:45:00");

    let flat = g.get("/api/v1/meters/101/sight").await.ok();
    assert!(!flat["sights"].as_array().unwrap().is_empty(), "what any home does is known: {flat}");
    assert_eq!(g.get("/api/v1/meters/rope/sight").await.problem(404)["code"], "unknown_meter");
    assert_eq!(g.get("/api/v1/meters/nobody/sight").await.problem(404)["code"], "unknown_meter");
    assert_eq!(g.get("/api/v1/meters/b15/sight?x=1").await.problem(400)["code"], "unknown_parameter");
}

#[tokio::test]
async fn a_limit_is_a_limit() {
    let g = Gateway::new();
    leak(&g);
    let id = g.incident().await;
    assert_eq!(g.get(&format!("/api/v1/incidents/{id}")).await.ok()["can_be_usual"], json!(false));
    let path = format!("/api/v1/incidents/{id}/close");
    let p = g.post(&path, r#"{"by":"王","reason":"洗水箱","not_a_leak":true}"#).await.problem(409);
    assert_eq!(p["code"], "nothing_learned");
    assert_eq!(g.get(&format!("/api/v1/incidents/{id}")).await.ok()["state"], "detected");
    let file = g.post(&path, r#"{"by":"王","reason":"洗水箱","not_a_leak":false}"#).await.ok();
    assert_eq!(file["state"], "closed");
    assert_eq!(
        g.get(&format!("/api/v1/incidents/{id}")).await.ok()["history"].as_array().unwrap().last().unwrap()["usual_until"],
        Value::Null
    );
}

#[tokio::test]
async fn a_silence_ends_by_itself_and_says_so() {
    let g = Gateway::new();
    g.core().hear("water/101", 1, ts(DAY), &[1_000]);
    g.core().pass(Ms::hours(7));
    assert_eq!(g.get("/api/v1/meters/101").await.ok()["silent"], json!(true));
    let id = g.incident().await;
    g.core().hear("water/101", 1, ts(DAY) + Ms::hours(7), &[1_001]);
    g.core().commit();
    let file = g.get(&format!("/api/v1/incidents/{id}")).await.ok();
    assert_eq!((file["state"].clone(), file["closed"]["by"].clone()), (json!("closed"), Value::Null));
    assert_eq!((file["water"].clone(), file["place"][0].clone()), (Value::Null, json!("官坊街社区")), "no leak, no water");
    assert_eq!(file["findings"][0]["args"], json!({ "last_reading_at": "2026-11-10T00:00:00+08:00", "limit_seconds": 21_600 }));
    assert_eq!(file["history"].as_array().unwrap().last().unwrap()["text"]["zh"], "失联已解除，自动结案");
}

#[tokio::test]
async fn bad_commands_are_refused_with_a_word() {
    let g = Gateway::new();
    leak(&g);
    let id = g.incident().await;
    let accept = format!("/api/v1/incidents/{id}/accept");
    assert_eq!(g.post("/api/v1/incidents/g1.X/accept", r#"{"by":"王"}"#).await.problem(404)["code"], "unknown_incident");
    assert_eq!(g.get("/api/v1/incidents/g1.X").await.problem(404)["value"], "g1.X");
    let p = g.post(&accept, r#"{"by":"  "}"#).await.problem(400);
    assert_eq!((p["code"].clone(), p["parameter"].clone()), (json!("bad_field"), json!("by")));
    for body in ["", "{", r#"{"note":"x"}"#, r#"{"by":1}"#, r#"{"by":"x","who":"y"}"#] {
        assert_eq!(g.post(&accept, body).await.problem(400)["code"], "bad_body", "{body}");
    }
    let big = format!(r#"{{"by":"{}"}}"#, "x".repeat(129 * 1024));
    assert_eq!(g.post(&accept, &big).await.problem(413)["code"], "body_too_large");
    assert_eq!(g.get(&format!("/api/v1/incidents/{id}")).await.ok()["state"], "detected");
}

#[tokio::test]
async fn what_the_engine_has_forgotten_the_store_still_knows() {
    let g = Gateway::new();
    let mut first = String::new();
    for day in 0..202 {
        let (minute, litres) = (day * 2_880, 1_000 + day * 800);
        g.core().bulk(&[(minute, litres), (minute + 30, litres + 700)]);
        let id = g.incident().await;
        g.post(&format!("/api/v1/incidents/{id}/close"), r#"{"by":"王","reason":"试验"}"#).await.ok();
        if day == 0 {
            first = id;
        }
    }
    let closed = g.get("/api/v1/incidents?state=closed&limit=500").await.ok();
    assert!(!closed["incidents"].as_array().unwrap().iter().any(|i| i["id"] == first.as_str()), "the engine keeps only the newest");
    assert_eq!(g.get(&format!("/api/v1/incidents/{first}")).await.ok()["closed"]["reason"], "试验");
    let again = g.post(&format!("/api/v1/incidents/{first}/close"), r#"{"by":"王","reason":"x"}"#).await;
    assert_eq!(again.problem(409)["code"], "already_closed");
    assert_eq!(g.get("/api/v1/incidents?state=closed&limit=3").await.ok()["more"], json!(true));
}

#[tokio::test]
async fn an_engine_that_is_busy_gone_or_silent_is_told_apart() {
    let request = || {
        let request = Request::post("/api/v1/incidents/x/accept").header("host", "localhost").header("content-type", "application/json");
        request.body(Body::from(r#"{"by":"x"}"#)).unwrap()
    };
    let (mut h, _core, _health, _dir) = handles();
    let (commands, mut orders) = mpsc::channel(1);
    h.commands = commands.clone();
    let router = router(h);

    let (reply, _answer) = oneshot::channel();
    let command = Command::Accept { incident: "y".into(), by: "y".into(), note: None };
    commands.try_send(CommandRequest::Incident(command, reply)).unwrap();
    let busy = router.clone().oneshot(request()).await.unwrap();
    assert_eq!((busy.status().as_u16(), busy.headers()["retry-after"].to_str().unwrap()), (503, "2"));

    orders.recv().await.unwrap();
    let pending = tokio::spawn(router.clone().oneshot(request()));
    drop(orders.recv().await.unwrap());
    assert_eq!(pending.await.unwrap().unwrap().status(), 504, "it may have been done");

    drop(orders);
    assert_eq!(router.oneshot(request()).await.unwrap().status(), 503);
}
