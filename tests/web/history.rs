use crate::gateway::{DAY, Gateway, ts};
use heyun::domain::amendment::Entries;
use heyun::domain::time::Ms;
use serde_json::{Value, json};

const SPAN: &str = "from=2026-11-10&to=2026-11-11";

/// (from, to, litres, kind, gap) with times as `hh:mm` of the day.
fn intervals(flow: &Value) -> Vec<(String, String, Value, String, bool)> {
    let clock = |v: &Value| v.as_str().unwrap()[11..16].to_owned();
    let list = flow["intervals"].as_array().unwrap();
    list.iter()
        .map(|i| {
            let kind = i["kind"].as_str().unwrap().to_owned();
            (clock(&i["from"]), clock(&i["to"]), i["litres"].clone(), kind, i["gap"].as_bool().unwrap())
        })
        .collect()
}

fn row(from: &str, to: &str, litres: impl Into<Value>, kind: &str, gap: bool) -> (String, String, Value, String, bool) {
    (from.into(), to.into(), litres.into(), kind.into(), gap)
}

#[tokio::test]
async fn raw_readings_come_with_their_columns_and_in_pages() {
    let g = Gateway::new();
    {
        let mut core = g.core();
        core.hear("water/101", 1, ts(DAY), &[12_345, 21_500]);
        core.hear("water/101", 1, ts(DAY) + Ms(1_500), &[12_345]);
        core.hear("water/101", 1, ts(DAY) + Ms::minutes(30), &[13_000, -500]);
        core.commit();
    }
    let r = g.get(&format!("/api/v1/meters/101/readings?{SPAN}&limit=2")).await.ok();
    assert_eq!((r["from"].clone(), r["to"].clone()), (json!("2026-11-10T00:00:00+08:00"), json!("2026-11-11T00:00:00+08:00")));
    assert_eq!(
        (r["columns"][0]["unit"].clone(), r["columns"][1]["unit"].clone(), r["register"].clone()),
        (json!("L"), json!("°C"), json!(0))
    );
    assert_eq!(
        r["readings"],
        json!([
            { "time": "2026-11-10T00:00:00+08:00", "values": [12.345, 21.5] },
            { "time": "2026-11-10T00:00:01.5+08:00", "values": [12.345, null] },
        ])
    );
    let rest = g.get(r["next"].as_str().unwrap()).await.ok();
    assert_eq!(rest["readings"], json!([{ "time": "2026-11-10T00:30:00+08:00", "values": [13, -0.5] }]));
    assert_eq!(rest["next"], Value::Null);

    let from_rfc = "/api/v1/meters/101/readings?from=2026-11-10T00:00:01+08:00&to=2026-11-09T16:30:00Z";
    assert_eq!(g.get(from_rfc).await.ok()["readings"].as_array().unwrap().len(), 1, "half-open");
    let from_ms = format!("/api/v1/meters/101/readings?from={}&to={}", ts(DAY).0, ts(DAY).0 + 1);
    assert_eq!(g.get(&from_ms).await.ok()["readings"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_span_the_last_day_is_shown_and_a_silent_source_has_none() {
    let g = Gateway::new();
    let r = g.get("/api/v1/meters/b15/readings").await.ok();
    assert_eq!((r["readings"].clone(), r["columns"].clone(), r["register"].clone()), (json!([]), json!([]), Value::Null));
    let f = g.get("/api/v1/meters/b15/flow").await.ok();
    assert_eq!((f["intervals"].clone(), f["litres"].clone(), f["unknown"].clone()), (json!([]), json!(0), json!(0)));
}

#[tokio::test]
async fn flows_are_exact_over_a_reset_a_late_reading_and_a_gap() {
    let g = Gateway::new();
    {
        let mut core = g.core();
        // The evening before, then the day; the reading of 00:15 comes last of all.
        core.bulk(&[(-30, 50_000), (-15, 50_010), (0, 50_020), (30, 50_045), (45, 50_050)]);
        // The register restarts at 3: believed with the second reading that goes on from it.
        core.bulk(&[(60, 3), (75, 5), (90, 9)]);
        core.bulk(&[(15, 50_031)]);
        core.bulk(&[(330, 69)]);
    }
    let f = g.get(&format!("/api/v1/meters/b15/flow?{SPAN}")).await.ok();
    assert_eq!(
        intervals(&f),
        [
            row("23:45", "00:00", 10, "forward", false),
            row("00:00", "00:15", 11, "forward", false),
            row("00:15", "00:30", 14, "forward", false),
            row("00:30", "00:45", 5, "forward", false),
            row("00:45", "01:00", Value::Null, "reset", false),
            row("01:00", "01:30", 6, "forward", false),
            row("01:30", "05:30", 60, "forward", true),
        ]
    );
    assert_eq!((f["litres"].clone(), f["unknown"].clone(), f["ignored"].clone()), (json!(106), json!(1), json!([])));
    assert_eq!(f["intervals"][1]["litres_per_hour"], json!(44));
    assert_eq!(f["intervals"][4]["litres_per_hour"], Value::Null);

    // In pages of any size it is the same water.
    for limit in [1, 2, 3, 5] {
        let (mut path, mut litres) = (format!("/api/v1/meters/b15/flow?{SPAN}&limit={limit}"), 0);
        loop {
            let page = g.get(&path).await.ok();
            litres += page["litres"].as_i64().unwrap();
            match page["next"].as_str() {
                Some(next) => path = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(litres, 106, "pages of {limit}");
    }
}

#[tokio::test]
async fn a_misreading_is_ignored_by_name_and_a_mean_flow_ends_with_its_span() {
    let g = Gateway::new();
    {
        let mut core = g.core();
        core.bulk(&[(0, 100), (15, 90_100), (30, 120)]);
        for (quarter, flow) in [(0, 40_000), (1, 80_000)] {
            core.hear("heat/loop", 2, ts(DAY) + Ms::minutes(15 * quarter), &[flow]);
        }
        core.commit();
    }
    let f = g.get(&format!("/api/v1/meters/b15/flow?{SPAN}")).await.ok();
    assert_eq!(intervals(&f), [row("00:00", "00:30", 20, "forward", false)]);
    assert_eq!(
        f["ignored"],
        json!([{ "time": "2026-11-10T00:00:00+08:00", "why": "first" }, { "time": "2026-11-10T00:15:00+08:00", "why": "spike" }])
    );
    let f = g.get(&format!("/api/v1/meters/loop/flow?{SPAN}")).await.ok();
    assert_eq!(intervals(&f), [row("00:00", "00:15", 10, "forward", false), row("00:15", "00:30", 20, "forward", false)]);
    assert_eq!(f["intervals"][1]["litres_per_hour"], json!(80));
}

#[tokio::test]
async fn what_passed_in_a_span_is_cut_at_its_edges() {
    use heyun::domain::topology::PointIx;
    use heyun::domain::units::Amount;
    use heyun::history::{Passed, Register, Span, passed};
    let (handles, core, _health, _dir) = crate::gateway::handles();
    core.lock().unwrap().bulk(&[(-10, 1_000), (10, 1_020), (20, 1_030), (30, 3), (40, 5), (50, 9), (60, 29)]);
    let sources = handles.reader.sources().unwrap();
    let register = Register::stored(&handles.topology, &sources, &Entries::default(), PointIx(0)).unwrap();
    assert_eq!(Register::now(&handles.topology, &handles.snapshot.borrow(), PointIx(0)), Some(register.clone()));
    let at = |minute: i64| ts(DAY) + Ms::minutes(minute);
    let of = |from, to| passed(&handles.reader, &handles.topology, PointIx(0), &register, Span { from: at(from), to: at(to) }).unwrap();
    let litres = Amount::litres;
    assert_eq!(of(0, 61), Passed { volume: litres(10 + 10 + 6 + 20), until: Some(at(60)) });
    assert_eq!(of(5, 15), Passed { volume: litres(10), until: Some(at(15)) });
    assert_eq!(of(55, 90), Passed { volume: litres(10), until: Some(at(60)) });
    assert_eq!(of(61, 90), Passed::default());
    assert_eq!(Register::stored(&handles.topology, &sources, &Entries::default(), PointIx(1)), None);
}

/// (from, to, litres, litres per hour, complete), times as `MM-DDThh:mm`.
fn rows_of(flow: &Value) -> Vec<(String, String, Value, Value, bool)> {
    let clock = |v: &Value| v.as_str().unwrap()[5..16].to_owned();
    let list = flow["buckets"].as_array().unwrap().iter();
    list.map(|b| (clock(&b["from"]), clock(&b["to"]), b["litres"].clone(), b["litres_per_hour"].clone(), b["complete"].as_bool().unwrap()))
        .collect()
}

#[tokio::test]
async fn hours_and_days_sum_to_what_flowed_and_say_what_is_missing() {
    let g = Gateway::new();
    {
        let mut core = g.core();
        // Half past and full, with an hour at 100 L and one at 50; then the register restarts, and the evening is silent.
        core.bulk(&[(-30, 1_000), (30, 1_100), (60, 1_150), (90, 1_175), (120, 1_200), (125, 5), (130, 6), (135, 7), (180, 7)]);
        core.bulk(&[(1_470, 307)]);
    }
    let f = g.get("/api/v1/meters/b15/flow?from=2026-11-10T00:20:00%2B08:00&to=2026-11-10T04:00:00%2B08:00&resolution=hour").await.ok();
    let hour = |a: &str, b: &str, l: Value, lh: Value, c| (format!("11-10T{a}"), format!("11-10T{b}"), l, lh, c);
    assert_eq!(
        rows_of(&f),
        [
            hour("00:00", "01:00", json!(100), json!(100), true),
            hour("01:00", "02:00", json!(50), json!(50), true),
            // Of the five minutes over the restart nobody knows.
            hour("02:00", "03:00", json!(2), json!(2.181), false),
            hour("03:00", "04:00", json!(13.953), json!(13.953), false),
        ]
    );
    assert_eq!((f["resolution"].clone(), f["litres"].clone(), f["unknown"].clone()), (json!("hour"), json!(165.953), json!(2)));
    assert_eq!(
        (f["from"].clone(), f["intervals"].clone(), f["next"].clone()),
        (json!("2026-11-10T00:00:00+08:00"), json!([]), Value::Null)
    );

    let f = g.get("/api/v1/meters/b15/flow?from=2026-11-10&to=2026-11-12&resolution=day").await.ok();
    let days = rows_of(&f);
    assert_eq!((days[0].2.clone(), days[0].4, days[1].2.clone(), days[1].4), (json!(445.023), false, json!(6.977), false));
    assert_eq!(f["litres"], json!(452), "50 + 100 + 2 + 300: the hour before midnight is half in");
    let none = g.get("/api/v1/meters/101/flow?from=2026-11-10&to=2026-11-12&resolution=day").await.ok();
    assert_eq!(rows_of(&none)[1], ("11-11T00:00".into(), "11-12T00:00".into(), Value::Null, Value::Null, false));
}

#[tokio::test]
async fn the_resolution_follows_the_span_where_it_is_told_to() {
    let g = Gateway::new();
    for (to, word, resolution) in [
        ("2026-11-18", "auto", "raw"),
        ("2026-11-19", "auto", "hour"),
        ("2027-02-18", "auto", "hour"),
        ("2027-02-19", "auto", "day"),
        ("2027-11-10", "raw", "raw"),
        ("2027-11-10", "", "raw"),
    ] {
        let f = g.get(&format!("/api/v1/meters/b15/flow?from=2026-11-10&to={to}&resolution={word}")).await.ok();
        assert_eq!(f["resolution"], json!(resolution), "{to} {word}");
    }
    let p = g.get("/api/v1/meters/b15/flow?from=2026-11-10&to=2027-02-19&resolution=hour").await.problem(400);
    assert_eq!((p["code"].clone(), p["parameter"].clone()), (json!("bad_parameter"), json!("from")));
    let p = g.get("/api/v1/meters/b15/flow?resolution=week").await.problem(400);
    assert_eq!((p["parameter"].clone(), p["value"].clone()), (json!("resolution"), json!("week")));
    let year = g.get("/api/v1/meters/b15/flow?from=2026-11-10&to=2027-11-10&resolution=day").await.ok();
    assert_eq!(rows_of(&year).len(), 365);
}
