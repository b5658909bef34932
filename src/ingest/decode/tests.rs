//! Whole messages: the payloads of the field, and what each rule refuses.

use super::*;
use crate::domain::device::{Format, Place, Pointer};
use crate::domain::engine::AHEAD;
use crate::domain::reading::{Reading, Values};
use crate::domain::time::Ms;
use crate::domain::units::{Quantity, Unit};
use Unit::*;

/// 2026-11-24T03:04:05Z
const NOW: Ts = Ts(1_795_489_445_000);
const CLOCK: Clock = Clock { now: NOW, sure: true, since: Ts(1_262_304_000_000) };

fn spec(profile: &Profile) -> Spec {
    Spec::whole(FeedIx(7), TimeZone::fixed(jiff::tz::offset(8)), profile)
}

fn plain(unit: Unit) -> Spec {
    spec(&Profile::of_one_message(Format::Plain, vec![], vec![("value".into(), Place::Name("".into()), unit)]))
}

fn json(time: &str, columns: &[(&str, Unit)]) -> Spec {
    let at = |s: &str| Place::Pointer(Pointer::parse(s).unwrap());
    let columns = (0..).zip(columns).map(|(i, (p, unit))| (format!("c{i}"), at(p), *unit)).collect();
    let time = if time.is_empty() { vec![] } else { vec![at(time)] };
    spec(&Profile::of_one_message(Format::Json, time, columns))
}

fn message(payload: &[u8]) -> Message<'_> {
    Message { source: Some("water/b15/main".into()), topic: "water/b15/main".into(), payload, retained: false }
}

/// What the only input of a message is.
fn decode(spec: &Spec, message: &Message<'_>, clock: Clock) -> Result<Reading, Refused> {
    let mut out = vec![];
    super::decode(spec, message, clock, &mut out);
    match <[Input; 1]>::try_from(out) {
        Ok([Input::Reading(r)]) => Ok(r),
        Ok([Input::Refused(r)]) => Err(r),
        other => panic!("{other:?}"),
    }
}

type Content = (Option<Ts>, Vec<Option<i64>>);

/// The stamp and the values up to the last that is there.
fn content(spec: &Spec, payload: impl AsRef<[u8]>) -> Result<Content, Reject> {
    let r = decode(spec, &message(payload.as_ref()), CLOCK).map_err(|e| e.reason)?;
    let n = r.values.iter().last().map_or(0, |(i, _)| i + 1);
    Ok((r.ts, (0..n).map(|i| r.values.get(i)).collect()))
}

fn missing(at: &str) -> Result<Content, Reject> {
    Err(Reject::Missing { at: at.into() })
}

#[test]
fn payloads_of_the_field() {
    let m3 = CubicMetre;
    let cases: &[(Spec, &str, i64, &[Option<i64>])] = &[
        (json("/ts", &[("/m/total", m3)]), r#"{"m":{"total":"338.304"},"ts":1700000000}"#, 1_700_000_000_000, &[Some(338_304_000)]),
        (
            json("/Time", &[("/COUNTER/C1", Pulse), ("/COUNTER/C2", Pulse)]),
            r#"{"Time":"2021-12-31T09:39:59","COUNTER":{"C1":3}}"#,
            1_640_914_799_000,
            &[Some(3)],
        ),
        (
            json("/timestamp", &[("/total_m3", m3), ("/max_flow_m3h", CubicMetrePerHour)]),
            r#"{"_":"telegram","media":"water","meter":"iperl","name":"MyTapWater","id":"33225544","max_flow_m3h":0,"total_m3":123.529,"timestamp":"2024-03-03T18:37:00Z"}"#,
            1_709_491_020_000,
            &[Some(123_529_000), Some(0)],
        ),
        (
            json("/timestamp", &[("/value", m3), ("/nothing", m3)]),
            r#"{"value":"353.1634","raw":"353.1634","pre":"353.1630","error":"no error","rate":"0.000101","timestamp":"2023-02-12T07:02:39+0100"}"#,
            1_676_181_759_000,
            &[Some(353_163_400)],
        ),
        (
            json("/timestamp", &[("/ch0", m3), ("/ch1", m3), ("/voltage", Volt), ("/voltage_low", One), ("/serial0", One)]),
            r#"{"delta0":0,"ch0":338.304,"ch1":535.966,"serial0":"","voltage":3.128,"voltage_low":true,"rssi":-70,"timestamp":"2023-10-22T17:01:10+0000","period_min":1440}"#,
            1_697_994_070_000,
            &[Some(338_304_000), Some(535_966_000), Some(3_128), Some(1_000)],
        ),
        (
            json("/time", &[("/object/battery", Volt), ("/rxInfo/0/rssi", One), ("/rxInfo/1/rssi", One)]),
            r#"{"deduplicationId":"…","time":"2024-07-23T03:15:37.161+00:00","deviceInfo":{"tags":{}},"data":"AA==","object":{"battery":3.98},"rxInfo":[{"gatewayId":"…","rssi":-106,"snr":-3.0}]}"#,
            1_721_704_537_161,
            &[Some(3_980), Some(-106_000)],
        ),
        (
            json("/params/ts", &[("/params/input:2/counts/total", Pulse)]),
            r#"{"src":"…","method":"NotifyStatus","params":{"ts":1631186545.04,"input:2":{"id":2,"counts":{"total":12346}}}}"#,
            1_631_186_545_040,
            &[Some(12_346)],
        ),
        (
            json("/data/0/eventTime", &[("/data/0/serviceData/currentReading", m3)]),
            r#"{"identifier":"12345678","data":[{"serviceId":"Meter","serviceData":{"currentReading":"46.3","signalStrength":16},"eventTime":"20160503T121540Z"}]}"#,
            1_462_277_740_000,
            &[Some(46_300_000)],
        ),
    ];
    for (spec, payload, ts, values) in cases {
        assert_eq!(content(spec, payload), Ok((Some(Ts(*ts)), values.to_vec())), "{payload}");
    }
}

#[test]
fn a_plain_payload_is_one_number() {
    for payload in ["338.304", "338,304", " 338.304 m³\r\n", "\u{feff}338304 L\0\0", "\u{a0}338.304\u{202f}m3\u{3000}", "338.304\n\0"] {
        assert_eq!(content(&plain(CubicMetre), payload), Ok((None, vec![Some(338_304_000)])), "{payload:?}");
    }
    assert_eq!(content(&plain(Pulse), "12345\n"), Ok((None, vec![Some(12_345)])));
    for payload in ["", " \r\n", "\0\0", "\u{feff}"] {
        assert_eq!(content(&plain(CubicMetre), payload), missing(""), "{payload:?}");
    }
    for payload in ["1,234.5", "true", "nan", "{}", "\"5\""] {
        assert_eq!(content(&plain(One), payload), Err(Reject::Number { at: String::new(), found: payload.into() }), "{payload:?}");
    }
    let unit = Reject::Unit { at: String::new(), found: "kWh".into(), expected: Quantity::Volume };
    assert_eq!(content(&plain(CubicMetre), "5 kWh"), Err(unit));
    assert_eq!(content(&plain(CubicMetre), b"338.304 m\xb3"), Err(Reject::Utf8 { at: 9 }));
}

#[test]
fn values_of_json() {
    let one = json("", &[("/v", One)]);
    let two = json("", &[("/v", One), ("/w", One)]);
    let good: &[(&Spec, &str, &[Option<i64>])] = &[
        (&one, r#"{"v":" 46,3 "}"#, &[Some(46_300)]),
        (&one, r#"{"v":"\u00a046.3\n"}"#, &[Some(46_300)]),
        (&one, r#"{"v":-0.0005}"#, &[Some(-1)]),
        (&one, r#"{"v":1.5e3}"#, &[Some(1_500_000)]),
        (&one, r#"{"v":9007199254740993.001}"#, &[Some(9_007_199_254_740_993_001)]),
        (&one, r#"{"v":true}"#, &[Some(1_000)]),
        (&one, r#"{"v":false}"#, &[Some(0)]),
        (&one, r#"{"v":1,"v":2}"#, &[Some(2_000)]),
        (&one, r#"{"\u0076":3}"#, &[Some(3_000)]),
        (&one, "\u{feff} {\"v\":3}\r\n\0", &[Some(3_000)]),
        (&one, r#"{"x":1e999,"v":3}"#, &[Some(3_000)]),
        (&two, r#"{"w":2,"v":1}"#, &[Some(1_000), Some(2_000)]),
        (&two, r#"{"v":1,"w":null}"#, &[Some(1_000)]),
        (&two, r#"{"v":1,"w":" "}"#, &[Some(1_000)]),
        (&two, r#"{"v":1,"w":2,"w":null}"#, &[Some(1_000)]),
        (&json("", &[("", One)]), "5", &[Some(5_000)]),
        (&json("", &[("/1", One)]), r#"[4,5,6]"#, &[Some(5_000)]),
        (&json("", &[("/1", One)]), r#"{"1":7}"#, &[Some(7_000)]),
        (&json("", &[("/a~1b/c~0d", One)]), r#"{"a/b":{"c~d":8}}"#, &[Some(8_000)]),
        (&json("", &[("/v", One), ("/v", Percent)]), r#"{"v":5}"#, &[Some(5_000), Some(50)]),
        (&json("", &[("/v/1/x", One), ("/v/0", One)]), r#"{"v":[1,{"x":2}]}"#, &[Some(2_000), Some(1_000)]),
    ];
    for (spec, payload, want) in good {
        assert_eq!(content(spec, payload), Ok((None, want.to_vec())), "{payload}");
    }
    let number = |at: &str, found: &str| Err(Reject::Number { at: at.into(), found: found.into() });
    let bad: &[(&Spec, &str, Result<Content, Reject>)] = &[
        (&one, r#"{}"#, missing("/v")),
        (&one, r#"{"v":null}"#, missing("/v")),
        (&one, r#"{"v":""}"#, missing("/v")),
        (&one, r#"{"v":1,"v":null}"#, missing("/v")),
        (&one, r#"[1]"#, missing("/v")),
        (&one, "", missing("")),
        (&one, "\0\n", missing("")),
        (&two, r#"{"w":2}"#, missing("/v")),
        (&json("", &[("/m/v", One)]), r#"{"m":{"v":1},"m":{}}"#, missing("/m/v")),
        (&json("", &[("/m/v", One)]), r#"{"m":5}"#, missing("/m/v")),
        (&json("", &[("/m/v", One)]), r#"{"m":"v"}"#, missing("/m/v")),
        (&json("", &[("/-", One)]), "[1]", missing("/-")),
        (&json("", &[("/01", One)]), "[1,2]", missing("/01")),
        (&two, r#"{"v":1,"w":"unknown"}"#, number("/w", "unknown")),
        (&one, r#"{"v":"NaN"}"#, number("/v", "NaN")),
        (&one, r#"{"v":{"x":1}}"#, number("/v", r#"{"x":1}"#)),
        (&one, r#"{"v":[1]}"#, number("/v", "[1]")),
        (&one, r#"{"v":"true"}"#, number("/v", "true")),
        (&one, r#"{"v":"\ud800"}"#, number("/v", r#""\ud800""#)),
        (&one, r#"{"v":"\u001b[31m"}"#, number("/v", "\\u{1b}[31m")),
        (&json("", &[("/v", Litre)]), r#"{"v":true}"#, number("/v", "true")),
        (&json("", &[("/v", Pulse)]), r#"{"v":1.5}"#, number("/v", "1.5")),
        (&json("", &[("/v", CubicMetre)]), r#"{"v":1e300}"#, Err(Reject::Range { at: "/v".into(), found: "1e300".into() })),
        (
            &json("", &[("/v", CubicMetre)]),
            r#"{"v":"5 °C"}"#,
            Err(Reject::Unit { at: "/v".into(), found: "°C".into(), expected: Quantity::Volume }),
        ),
        (&one, r#"{"v":1"#, Err(Reject::Json { line: 1, column: 6 })),
        (&one, "{\n\"v\":01}", Err(Reject::Json { line: 2, column: 6 })),
        (&one, r#"{"v":NaN}"#, Err(Reject::Json { line: 1, column: 6 })),
        (&one, r#"{"v":1}x"#, Err(Reject::Json { line: 1, column: 8 })),
        (&one, "338.304", missing("/v")),
        (&one, "offline", Err(Reject::Json { line: 1, column: 1 })),
    ];
    for (spec, payload, want) in bad {
        assert_eq!(content(spec, payload), *want, "{payload}");
    }
    let name = [b"{\"n\":\"", "\u{5317}".as_bytes(), b"\xb1\xb1\",\"v\":1}"].concat();
    assert_eq!(content(&one, name), Err(Reject::Utf8 { at: 9 }));
}

#[test]
fn a_configured_stamp_must_be_there_and_plausible() {
    let s = json("/t", &[("/v", One)]);
    let ts = |payload: &str| content(&s, payload).map(|(ts, _)| ts);
    let syntax = |found: &str| Err(Reject::TimeSyntax { at: "/t".into(), found: found.into() });
    for nothing in [r#"{"v":1}"#, r#"{"v":1,"t":null}"#, r#"{"v":1,"t":""}"#, r#"{"v":1,"t":" "}"#] {
        assert_eq!(content(&s, nothing), missing("/t"), "{nothing}");
    }
    assert_eq!(ts(r#"{"v":1,"t":true}"#), syntax("true"));
    assert_eq!(ts(r#"{"v":1,"t":["2026-11-24T03:04:05Z"]}"#), syntax(r#"["2026-11-24T03:04:05Z"]"#));
    assert_eq!(ts(r#"{"v":1,"t":"yesterday"}"#), syntax("yesterday"));
    assert_eq!(ts(r#"{"v":1,"t":35}"#), syntax("35"));
    assert_eq!(ts(r#"{"v":1,"t":1.795e9}"#), syntax("1.795e9"));
    assert_eq!(ts(&format!(r#"{{"v":1,"t":"{}"}}"#, "x".repeat(99))), syntax(&format!("{}…", "x".repeat(60))));
    // The value is named first: it says what was wrong at the meter.
    assert_eq!(content(&s, r#"{"v":"","t":""}"#), missing("/v"));

    assert_eq!(ts(r#"{"v":1,"t":1795490045}"#), Ok(Some(NOW + AHEAD)));
    assert_eq!(ts(r#"{"v":1,"t":1795490045001}"#), Err(Reject::TimeAhead { ts: NOW + AHEAD + Ms(1), now: NOW }));
    assert_eq!(ts(r#"{"v":1,"t":1262304000}"#), Ok(Some(CLOCK.since)));
    assert_eq!(ts(r#"{"v":1,"t":1262303999999}"#), Err(Reject::TimeOld { ts: CLOCK.since - Ms(1), since: CLOCK.since }));
}

#[test]
fn an_unsure_clock_judges_only_the_past() {
    let s = json("/t", &[("/v", One)]);
    let unsure = Clock { now: Ts(0), sure: false, ..CLOCK };
    let ahead = decode(&s, &message(br#"{"v":1,"t":"2026-11-24T03:04:05Z"}"#), unsure);
    assert_eq!(ahead.map(|r| (r.ts, r.received, r.clock_sure)), Ok((Some(NOW), Ts(0), false)));
    // But not beyond what the store can hold: a device must not be able to stop the gateway.
    let absurd = decode(&s, &message(br#"{"v":1,"t":"9999-12-31T23:59:59Z"}"#), unsure).map_err(|e| e.reason.code());
    assert_eq!(absurd, Err("time_ahead"));
    let old = decode(&s, &message(br#"{"v":1,"t":"2009-12-31T23:59:59Z"}"#), unsure);
    assert_eq!(old.map_err(|e| e.reason), Err(Reject::TimeOld { ts: Ts(1_262_303_999_000), since: CLOCK.since }));
}

#[test]
fn a_retained_message_needs_a_time_of_its_own() {
    let retained = |spec: &Spec, payload: &str| {
        let message = Message { retained: true, ..message(payload.as_bytes()) };
        decode(spec, &message, CLOCK).map(|r| (r.retained, r.ts)).map_err(|e| e.reason)
    };
    assert_eq!(retained(&plain(CubicMetre), "338.304"), Err(Reject::Retained));
    assert_eq!(retained(&json("", &[("/v", One)]), r#"{"v":1}"#), Err(Reject::Retained));
    assert_eq!(retained(&json("/t", &[("/v", One)]), r#"{"v":1,"t":1795489445}"#), Ok((true, Some(NOW))));
    assert_eq!(retained(&json("/t", &[("/v", One)]), r#"{"v":1}"#), Err(Reject::Missing { at: "/t".into() }));
}

#[test]
fn what_came_is_handed_on() {
    let good = decode(&plain(Litre), &message(b"5"), CLOCK);
    let want = Reading {
        feed: FeedIx(7),
        topic: "water/b15/main".into(),
        ts: None,
        received: NOW,
        values: Values::single(5_000),
        retained: false,
        clock_sure: true,
    };
    assert_eq!(good, Ok(want));
    let bad = decode(&plain(Litre), &message(b"\x1b\xff"), CLOCK);
    let want = Refused {
        feed: Some(FeedIx(7)),
        topic: "water/b15/main".into(),
        received: NOW,
        reason: Reject::Utf8 { at: 1 },
        excerpt: "\\u{1b}\\xff".into(),
    };
    assert_eq!(bad, Err(want));
}

#[test]
fn no_payload_is_large_or_deep_enough_to_hurt() {
    let s = json("", &[("/v", One)]);
    let padded = |n: usize| format!("{{\"v\":1{}}}", " ".repeat(n - 7));
    assert_eq!(content(&s, padded(PAYLOAD_LIMIT)), Ok((None, vec![Some(1_000)])));
    let size = Reject::Size { bytes: PAYLOAD_LIMIT + 1, limit: PAYLOAD_LIMIT };
    assert_eq!(content(&s, padded(PAYLOAD_LIMIT + 1)), Err(size));

    let nested = format!("{{\"x\":{}{},\"v\":1}}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(content(&s, nested), Ok((None, vec![Some(1_000)])));
    assert!(matches!(content(&s, "[".repeat(60_000)), Err(Reject::Json { .. })));
    let deep = format!("{}{}", "{\"a\":".repeat(10_000), "1".to_owned() + &"}".repeat(10_000));
    let at = "/a".repeat(32);
    assert!(matches!(content(&json("", &[(&at, One)]), deep), Err(Reject::Number { .. })));
}

#[test]
fn what_an_error_shows_is_short_and_harmless() {
    assert_eq!(shown("abc"), "abc");
    assert_eq!(shown(&"字".repeat(60)), "字".repeat(60));
    assert_eq!(shown(&"字".repeat(61)), "字".repeat(60) + "…");
    assert_eq!(shown(&"\0".repeat(60)).chars().count(), 61);
    assert_eq!(shown("a\u{1b}"), "a\\u{1b}");
}
