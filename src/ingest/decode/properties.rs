//! What holds for every payload, stamp and number.

use super::*;
use crate::domain::device::{Format, Place, Pointer};
use crate::domain::reading::Reading;
use crate::domain::units::Unit;
use jiff::Timestamp;
use proptest::prelude::*;

fn specs() -> Vec<Spec> {
    let at = |s: &str| Place::Pointer(Pointer::parse(s).unwrap());
    let columns = [("/v", Unit::CubicMetre), ("/a/1/b", Unit::Pulse), ("/a", Unit::One), ("/flow", Unit::LitrePerHour)];
    let columns: Vec<_> = columns.into_iter().map(|(s, unit)| (s.trim_matches('/').replace('/', "_"), at(s), unit)).collect();
    let tz = TimeZone::fixed(jiff::tz::offset(8));
    let of = |format, time, columns| Spec::whole(FeedIx(0), tz.clone(), &Profile::of_one_message(format, time, columns));
    vec![
        of(Format::Plain, vec![], vec![("value".into(), Place::Name("".into()), Unit::CubicMetre)]),
        of(Format::Json, vec![], columns.clone()),
        of(Format::Json, vec![at("/t")], columns),
    ]
}

const ANY_TIME: Clock = Clock { now: Ts(0), sure: false, since: Ts(i64::MIN) };

fn one(spec: &Spec, payload: &[u8]) -> Result<Reading, Refused> {
    let mut out = vec![];
    decode(spec, &Message { source: Some("t".into()), topic: "t".into(), payload, retained: false }, ANY_TIME, &mut out);
    match <[Input; 1]>::try_from(out) {
        Ok([Input::Reading(r)]) => Ok(r),
        Ok([Input::Refused(r)]) => Err(r),
        other => panic!("{other:?}"),
    }
}

fn all(payload: &[u8]) {
    for spec in specs() {
        if let Err(refused) = one(&spec, payload) {
            assert!(refused.reason.to_string().chars().count() < 600, "{refused:?}");
        }
    }
}

fn stamp_of(json: &str) -> Result<Option<Ts>, Reject> {
    one(&specs()[2], format!(r#"{{"v":1,"t":{json}}}"#).as_bytes()).map(|r| r.ts).map_err(|e| e.reason)
}

/// From 2010 up to 2099.
fn instants() -> impl Strategy<Value = i64> {
    1_262_304_000_000i64..4_070_908_800_000
}

/// How devices write milliseconds since 1970, with the milliseconds that the form keeps.
fn forms(ms: i64, offset_minutes: i64, micros: u32) -> Vec<(String, i64)> {
    let clock = |shift_minutes: i64, format: &str| {
        let t = Timestamp::from_millisecond(ms + shift_minutes * 60_000).unwrap_or(Timestamp::MIN);
        t.strftime(format).to_string()
    };
    let (s, frac) = (ms - ms.rem_euclid(1_000), ms.rem_euclid(1_000));
    let (sign, h, m) = (if offset_minutes < 0 { '-' } else { '+' }, offset_minutes.abs() / 60, offset_minutes.abs() % 60);
    let there = |format: &str| clock(offset_minutes, format);
    let hours = offset_minutes - offset_minutes % 60;
    let quoted = |t: String| format!("\"{t}\"");
    vec![
        (quoted(clock(0, "%Y-%m-%dT%H:%M:%SZ")), s),
        (quoted(format!("{}.{frac:03}Z", clock(0, "%Y-%m-%dT%H:%M:%S"))), ms),
        (quoted(format!("{}.{frac:03}{micros:03}Z", clock(0, "%Y-%m-%d %H:%M:%S"))), ms),
        (quoted(format!("{}.{frac:03}{sign}{h:02}:{m:02}", there("%Y-%m-%dT%H:%M:%S"))), ms),
        (quoted(format!("{}{sign}{h:02}{m:02}", there("%Y-%m-%dT%H:%M:%S"))), s),
        (quoted(format!("{} {sign}{h:02}{m:02}", there("%Y-%m-%d %H:%M:%S"))), s),
        (quoted(format!("{}{sign}{h:02}", clock(hours, "%Y%m%dT%H%M%S"))), s),
        (quoted(clock(0, "%Y%m%dT%H%M%SZ")), s),
        // Without a zone: the clock of the compound, eight hours ahead.
        (quoted(clock(480, "%Y-%m-%dT%H:%M:%S")), s),
        (quoted(format!("{}.{frac:03}", clock(480, "%Y-%m-%d %H:%M:%S"))), ms),
        (quoted(clock(480, "%Y%m%dT%H%M%S")), s),
        (quoted(clock(480, "%Y%m%d%H%M%S")), s),
        (clock(480, "%Y%m%d%H%M%S"), s),
        (quoted(clock(480, "%Y-%m-%d %H:%M")), ms - ms.rem_euclid(60_000)),
        ((s / 1_000).to_string(), s),
        (quoted((s / 1_000).to_string()), s),
        (format!("{}.{frac:03}{micros:03}", s / 1_000), ms),
        (quoted(format!("{}.{frac:03}", s / 1_000)), ms),
        (ms.to_string(), ms),
        (quoted(ms.to_string()), ms),
        (format!("{ms}{micros:03}"), ms),
        (format!("{ms}{micros:03}000"), ms),
    ]
}

proptest! {
    #[test]
    fn no_bytes_break_it(payload in prop::collection::vec(any::<u8>(), 0..400)) {
        all(&payload);
    }

    #[test]
    fn no_text_breaks_it(payload in "\\PC{0,80}", json in r#"[\[\]{}:,"\\0-9.eE+\-tva /u]{0,60}"#) {
        all(payload.as_bytes());
        all(json.as_bytes());
    }

    #[test]
    fn no_change_of_a_good_payload_breaks_it(at in 0usize..120, with in prop::collection::vec(any::<u8>(), 0..4), cut in 0usize..120) {
        let good = [
            r#"{"t":"2026-11-24T03:04:05.123+08:00","v":"338,304 m³","a":[1,{"b":12345}],"flow":12.5e0}"#,
            r#"{"t":1795489445.04,"v":338.304,"a":true,"x":{"y":[[],"\u00b3\\"]},"v":-1}"#,
            " 338,304 m³\r\n\0",
        ];
        for payload in good {
            let (at, cut) = (at % payload.len(), cut % payload.len());
            let mut changed = payload.as_bytes().to_vec();
            changed.splice(at..(at + with.len()).min(payload.len()), with.iter().copied());
            all(&changed);
            all(&changed[..cut.min(changed.len())]);
            all(&payload.as_bytes()[at..]);
        }
    }

    #[test]
    fn every_stamp_comes_back(ms in instants(), offset in -14 * 60i64..=14 * 60, micros in 0u32..1_000) {
        for (written, want) in forms(ms, offset, micros) {
            prop_assert_eq!(stamp_of(&written), Ok(Some(Ts(want))), "{}", written);
        }
    }

    #[test]
    fn every_number_comes_back(ml in any::<i64>(), small in -1_000_000_000_000i64..1_000_000_000_000) {
        for ml in [ml, small] {
            let (sign, n) = (if ml < 0 { "-" } else { "" }, ml.unsigned_abs());
            let (m3, l) = (format!("{sign}{}.{:06}", n / 1_000_000, n % 1_000_000), format!("{sign}{}.{:03}", n / 1_000, n % 1_000));
            let forms = [m3.clone(), m3.replace('.', ","), format!(" {m3} m³"), format!("{l} L"), format!("{l}升"), format!("{ml}mL"), format!("{m3}000")];
            let want = if ml == i64::MIN { None } else { Some(ml) };
            for written in forms {
                let plain = one(&specs()[0], written.as_bytes()).ok().and_then(|r| r.values.get(0));
                prop_assert_eq!(plain, want, "{}", &written);
                let text = one(&specs()[1], format!(r#"{{"v":"{written}"}}"#).as_bytes()).ok().and_then(|r| r.values.get(0));
                prop_assert_eq!(text, want, "{}", &written);
            }
            let number = one(&specs()[1], format!(r#"{{"v":{m3}}}"#).as_bytes()).ok().and_then(|r| r.values.get(0));
            prop_assert_eq!(number, want);
        }
    }
}
