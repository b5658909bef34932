//! What people state about a meter's past.

use super::{Arg, Stamp, Text, register, say};
use crate::domain::amendment::{Deed, Replaced};
use crate::domain::time::Ts;
use crate::domain::topology::Medium;
use crate::domain::units::Amount;
use jiff::tz::TimeZone;

/// What an entry of the ledger states about a meter of this medium.
pub fn deed(deed: &Deed, medium: Medium, tz: &TimeZone) -> Text {
    let at = |ts: Ts| Arg::from(Stamp::new(ts, tz).full().to_string());
    // As on the dial.
    let dial_of = |v: Amount| Arg::from(register(medium, v));
    let or_none = |t: &Option<String>| t.as_deref().map_or_else(|| say("ledger.none", &[]), Text::same);
    match deed {
        Deed::Replaced(Replaced { ts, end, start, serial, seal, verified, old: _ }) => say(
            "ledger.replaced",
            &[
                ("at", at(*ts)),
                ("end", end.map_or_else(|| say("ledger.unread", &[]), |v| register(medium, v)).into()),
                ("start", dial_of(*start)),
                ("serial", or_none(serial).into()),
                ("seal", or_none(seal).into()),
                ("verified", or_none(verified).into()),
            ],
        ),
        Deed::Calibrated { ts, dial, offset, counts } => {
            let key = if *counts { "ledger.calibrated_counts" } else { "ledger.calibrated" };
            say(key, &[("at", at(*ts)), ("dial", dial_of(*dial)), ("offset", dial_of(*offset))])
        }
        Deed::Corrected { ts, register } => say("ledger.corrected", &[("at", at(*ts)), ("register", dial_of(*register))]),
        Deed::Believed { ts } => say("ledger.believed", &[("at", at(*ts))]),
        Deed::Refused { from, to: Some(to) } => say("ledger.refused", &[("from", at(*from)), ("to", at(*to))]),
        Deed::Refused { from, to: None } => say("ledger.refused_on", &[("from", at(*from))]),
        Deed::Read { ts, register } => say("ledger.read", &[("at", at(*ts)), ("register", dial_of(*register))]),
        Deed::Undone { entry } => say("ledger.undone", &[("entry", usize::try_from(*entry).unwrap_or(usize::MAX).into())]),
    }
}
