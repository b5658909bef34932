//! Any payload, read as a plain number and as JSON with and without a stamp: never a panic, and what is accepted keeps the rules.
//!
//! `cargo +nightly fuzz run decode -- -dict=fuzz/decode.dict -max_len=4096`
#![no_main]

use heyun::domain::time::Ts;
use heyun::domain::topology::FeedIx;
use heyun::domain::units::Unit;
use heyun::domain::engine::AHEAD;
use heyun::ingest::decode::{Clock, Format, JsonColumn, Message, Pointer, Spec, decode};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static SPECS: LazyLock<[Spec; 3]> = LazyLock::new(|| {
    let at = |s: &str| Pointer::parse(s).expect("a pointer");
    let columns: Vec<JsonColumn> =
        [("/v", Unit::CubicMetre), ("/a/1/b", Unit::Pulse), ("/a", Unit::One), ("/flow", Unit::LitrePerHour), ("/m/~0~1", Unit::Celsius)]
            .map(|(s, unit)| JsonColumn { pointer: at(s), unit })
            .into();
    let tz = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let spec = |format| Spec { feed: FeedIx(0), format, tz: tz.clone() };
    [
        spec(Format::Plain { unit: Unit::CubicMetre }),
        spec(Format::Json { time: None, columns: columns.clone() }),
        spec(Format::Json { time: Some(at("/t")), columns }),
    ]
});

fuzz_target!(|payload: &[u8]| {
    let clock = Clock { now: Ts(1_795_489_445_000), sure: true, since: Ts(1_262_304_000_000) };
    for (i, spec) in SPECS.iter().enumerate() {
        let read = |retained| decode(spec, Message { topic: "t".into(), payload, retained }, clock);
        match read(false) {
            Ok(reading) => {
                assert!(reading.values.get(0).is_some());
                assert_eq!(reading.ts.is_some(), i == 2);
                assert!(reading.ts.is_none_or(|ts| clock.since <= ts && ts <= clock.now + AHEAD));
                assert_eq!(read(true).is_ok(), i == 2);
            }
            Err(refused) => assert!(refused.reason.to_string().len() < 2_000),
        }
    }
});
