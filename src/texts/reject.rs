//! Why a message was not stored.

use super::{Arg, Stamp, Text, say};
use crate::domain::reading::Reject;
use crate::domain::time::Ts;
use crate::domain::units::Quantity;
use jiff::tz::TimeZone;

fn quantity(q: Quantity) -> Text {
    let key = match q {
        Quantity::Volume => "quantity.volume",
        Quantity::Pulses => "quantity.pulses",
        Quantity::Flow => "quantity.flow",
        Quantity::Temperature => "quantity.temperature",
        Quantity::Ratio => "quantity.ratio",
        Quantity::Energy => "quantity.energy",
        Quantity::Voltage => "quantity.voltage",
        Quantity::Number => "quantity.number",
        Quantity::Power => "quantity.power",
        Quantity::Pressure => "quantity.pressure",
        Quantity::Flags => "quantity.flags",
    };
    say(key, &[])
}

/// Why a message was not stored.
pub fn reject(r: &Reject, tz: &TimeZone) -> Text {
    let full = |ts: Ts| Arg::from(Stamp::new(ts, tz).full().to_string());
    // As it was sent, with what cannot be seen made visible.
    let quoted = |s: &str| Arg::from(format!("{s:?}"));
    match r {
        Reject::Size { bytes, limit } => say("reject.size", &[("bytes", (*bytes).into()), ("limit", (*limit).into())]),
        Reject::Utf8 { at } => say("reject.utf8", &[("at", (*at).into())]),
        Reject::Json { line, column } => say("reject.json", &[("line", (*line).into()), ("column", (*column).into())]),
        Reject::Missing { at } if at.is_empty() => say("reject.empty", &[]),
        Reject::Missing { at } => say("reject.missing", &[("at", at.into())]),
        Reject::Number { at, found } if at.is_empty() => say("reject.number", &[("found", quoted(found))]),
        Reject::Number { at, found } => say("reject.number_at", &[("at", at.into()), ("found", quoted(found))]),
        Reject::Unit { at, found, expected } if at.is_empty() => {
            say("reject.unit", &[("found", quoted(found)), ("expected", quantity(*expected).into())])
        }
        Reject::Unit { at, found, expected } => {
            say("reject.unit_at", &[("at", at.into()), ("found", quoted(found)), ("expected", quantity(*expected).into())])
        }
        Reject::Range { at, found } if at.is_empty() => say("reject.range", &[("found", quoted(found))]),
        Reject::Range { at, found } => say("reject.range_at", &[("at", at.into()), ("found", quoted(found))]),
        Reject::TimeSyntax { at, found } => say("reject.time_syntax", &[("at", at.into()), ("found", quoted(found))]),
        Reject::TimeOld { ts, since } => say("reject.time_old", &[("ts", full(*ts)), ("since", full(*since))]),
        Reject::TimeAhead { ts, now } => say("reject.time_ahead", &[("ts", full(*ts)), ("now", full(*now))]),
        Reject::Retained => say("reject.retained", &[]),
        Reject::Frame { what } => say("reject.frame", &[("what", what.into())]),
        Reject::NoReading => say("reject.no_reading", &[]),
        Reject::Topic => say("reject.topic", &[]),
        Reject::Conflict { ts, .. } => say("reject.conflict", &[("ts", full(*ts))]),
        Reject::Sources { limit } => say("reject.sources", &[("limit", (*limit).into())]),
        Reject::Columns { limit } => say("reject.columns", &[("limit", (*limit).into())]),
    }
}
