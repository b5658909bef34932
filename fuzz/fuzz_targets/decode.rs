//! Any payload, read by every shipped device profile, by the keys of a subscription and as an announcement to Home Assistant: never a panic, and
//! what is accepted keeps the rules.
//!
//! `cargo +nightly fuzz run decode -- -dict=fuzz/decode.dict -max_len=4096`; with HEYUN_FUZZ=cjt188 by this profile alone,
//! with HEYUN_FUZZ=home-assistant as an announcement alone.
#![no_main]

use heyun::config::{SHIPPED, parse_device};
use heyun::domain::device::{Format, Place, Pointer, Profile, Says};
use heyun::domain::engine::{AHEAD, Input};
use heyun::domain::time::Ts;
use heyun::domain::topology::FeedIx;
use heyun::domain::units::Unit;
use heyun::ingest::decode::discovery::read;
use heyun::ingest::decode::{Clock, Message, PAYLOAD_LIMIT, Spec, decode};
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

struct Decoder {
    spec: Spec,
    /// It may give more than one reading of a message.
    many: bool,
    columns: usize,
}

const ANNOUNCEMENT: &str = "home-assistant";

/// Whether announcements are read, too.
static ANNOUNCEMENTS: LazyLock<bool> = LazyLock::new(|| std::env::var("HEYUN_FUZZ").map_or(true, |only| only == ANNOUNCEMENT));

/// One for each topic of each profile.
static DECODERS: LazyLock<Vec<Decoder>> = LazyLock::new(|| {
    let only = std::env::var("HEYUN_FUZZ").ok();
    let shipped = SHIPPED.iter().map(|(name, text)| parse_device(name, text).expect("a shipped profile is right"));
    let all: Vec<Profile> = shipped.chain([by_keys()]).filter(|p| only.as_ref().is_none_or(|o| *o == p.name)).collect();
    assert!(!all.is_empty() || only.is_some_and(|o| o == ANNOUNCEMENT), "HEYUN_FUZZ names no profile");
    all.iter().flat_map(decoders).collect()
});

fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone")
}

fn decoders(profile: &Profile) -> Vec<Decoder> {
    let mut topics: Vec<&str> = profile.messages.iter().map(|m| m.topic.as_str()).collect();
    topics.dedup();
    let of = |topic: &str| {
        let messages = (0..profile.messages.len()).filter(|i| profile.messages[*i].topic.as_str() == topic);
        let many = |i: usize| {
            let m = &profile.messages[i];
            m.each.is_some() || matches!(m.format, Format::Senml | Format::Cjt188)
        };
        Decoder {
            many: messages.clone().any(many),
            spec: Spec::new(FeedIx(0), zone(), profile, messages),
            columns: profile.columns.len(),
        }
    };
    topics.into_iter().map(of).collect()
}

/// What the keys of a subscription can say, with places that lie in one another.
fn by_keys() -> Profile {
    let at = |s: &str| Place::Pointer(Pointer::parse(s).expect("a pointer"));
    let columns =
        [("/v", Unit::CubicMetre), ("/a/1/b", Unit::Pulse), ("/a", Unit::One), ("/flow", Unit::LitrePerHour), ("/m/~0~1", Unit::Celsius)];
    let columns = columns.into_iter().enumerate().map(|(i, (s, unit))| (format!("c{i}"), at(s), unit)).collect();
    let mut profile = Profile::of_one_message(Format::Json, vec![at("/t")], columns);
    let mut untimed = profile.messages[0].clone();
    if let Says::Values { time, .. } = &mut untimed.says {
        time.clear();
    }
    profile.messages.push(untimed);
    profile.name = "keys".into();
    profile
}

fuzz_target!(|payload: &[u8]| {
    if *ANNOUNCEMENTS {
        for topic in ["ha/sensor/a/config", "ha/binary_sensor/n/a/config", "ha/device/a/config"] {
            if let Err(e) = read("ha", topic, payload) {
                assert!(e.to_string().len() < 2_000, "a message is bounded");
            }
        }
    }
    let clock = Clock { now: Ts(1_795_489_445_000), sure: true, since: Ts(1_262_304_000_000) };
    for decoder in DECODERS.iter() {
        for retained in [false, true] {
            let mut out = vec![];
            let message = Message { source: Some("t".into()), topic: "t".into(), payload, retained };
            decode(&decoder.spec, &message, clock, &mut out);
            assert!(!out.is_empty(), "a message is always answered");
            assert!(out.len() == 1 || decoder.many);
            for input in &out {
                match input {
                    Input::Reading(r) => {
                        assert!(!r.values.is_empty());
                        assert!(r.values.iter().all(|(i, _)| i < decoder.columns));
                        assert!(r.ts.is_none_or(|ts| clock.since <= ts && ts <= clock.now + AHEAD));
                        assert!(r.topic.len() <= 1 + 1 + 64, "an id is bounded");
                    }
                    Input::Refused(r) => assert!(r.reason.to_string().len() < 2_000),
                    Input::Presence(_) => {}
                }
            }
            assert!(payload.len() <= PAYLOAD_LIMIT || matches!(&out[..], [Input::Refused(_)]));
        }
    }
});
