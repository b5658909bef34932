//! Payload bytes to [`Reading`] or [`Refused`]. Pure: no clock, no I/O, no async, no locks, no logging.
//!
//! Nothing is guessed: what can be read in two ways is refused, with its place and its text, so that whoever installs the meter
//! sees it on the first day. Numbers and stamps are taken from their text; neither passes through a float.
//!
//! A message is a whole: one bad column refuses all of it. Only a column that says nothing (absent, `null`, `""`) is left out,
//! and the first column must say something.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros))]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr))]

mod json;
mod number;
mod plain;
mod pointer;
#[cfg(test)]
mod properties;
mod stamp;
#[cfg(test)]
mod tests;

pub use pointer::{Pointer, PointerError};

use crate::domain::engine::AHEAD;
use crate::domain::reading::{Reading, Refused, Reject, Values, excerpt};
use crate::domain::time::Ts;
use crate::domain::topology::FeedIx;
use crate::domain::units::Unit;
use jiff::tz::TimeZone;
use std::sync::Arc;

/// The largest payload that is taken: far above any meter's, far below what could hurt.
pub const PAYLOAD_LIMIT: usize = 64 * 1024;

/// How the messages of one subscription are read.
#[derive(Clone, Debug)]
pub struct Spec {
    pub feed: FeedIx,
    pub format: Format,
    /// The compound's zone: a stamp that names none is a wall clock's in it.
    pub tz: TimeZone,
}

/// What a payload looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// The payload is one number, perhaps with a unit behind it.
    Plain { unit: Unit },
    /// The payload is JSON. Without `time`, a message is keyed by its arrival; with it, a message must have it.
    Json {
        time: Option<Pointer>,
        /// In the order of the feed's columns.
        columns: Vec<JsonColumn>,
    },
}

/// Where a column's number stands, and in which unit where the number names none itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonColumn {
    pub pointer: Pointer,
    pub unit: Unit,
}

/// What the gateway knows of the time when a message arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The arrival.
    pub now: Ts,
    /// The system clock is synchronised.
    pub sure: bool,
    /// Stamps before it are refused: no meter here is older.
    pub since: Ts,
}

/// A message as the broker handed it over.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    pub topic: Arc<str>,
    pub payload: &'a [u8],
    pub retained: bool,
}

/// Reads `message` as `spec` says.
pub fn decode(spec: &Spec, message: Message<'_>, clock: Clock) -> Result<Reading, Refused> {
    let Message { topic, payload, retained } = message;
    match content(spec, payload, retained, clock) {
        Ok((ts, values)) => Ok(Reading { feed: spec.feed, topic, ts, received: clock.now, values, retained, clock_sure: clock.sure }),
        Err(reason) => Err(Refused { feed: Some(spec.feed), topic, received: clock.now, reason, excerpt: excerpt(payload) }),
    }
}

fn content(spec: &Spec, payload: &[u8], retained: bool, clock: Clock) -> Result<(Option<Ts>, Values), Reject> {
    if payload.len() > PAYLOAD_LIMIT {
        return Err(Reject::Size { bytes: payload.len(), limit: PAYLOAD_LIMIT });
    }
    if retained && !matches!(spec.format, Format::Json { time: Some(_), .. }) {
        return Err(Reject::Retained);
    }
    let text = std::str::from_utf8(payload).map_err(|e| Reject::Utf8 { at: e.valid_up_to() })?;
    match &spec.format {
        Format::Plain { unit } => Ok((None, plain::read(text, *unit)?)),
        Format::Json { time, columns } => {
            let (ts, values) = json::read(text, time.as_ref(), columns, &spec.tz)?;
            Ok((ts.map(|ts| in_window(ts, clock)).transpose()?, values))
        }
    }
}

fn in_window(ts: Ts, clock: Clock) -> Result<Ts, Reject> {
    let since = clock.since.max(Ts::EARLIEST);
    if ts < since {
        Err(Reject::TimeOld { ts, since })
    } else if (clock.sure && ts > clock.now + AHEAD) || ts > Ts::LATEST {
        Err(Reject::TimeAhead { ts, now: clock.now })
    } else {
        Ok(ts)
    }
}

/// What devices put around a text: white space of any kind, a byte order mark, the NUL of a C string.
fn blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}' || c == '\0'
}

/// A bad value as an error shows it: harmless and short.
fn shown(text: &str) -> String {
    const LIMIT: usize = 60;
    let head = text.char_indices().nth(LIMIT).map_or(text, |(i, _)| &text[..i]);
    let mut out = excerpt(head.as_bytes());
    // Escapes are longer than what they stand for, so the length is judged behind them.
    if let Some((i, _)) = out.char_indices().nth(LIMIT) {
        out.truncate(i);
        out.push('…');
    } else if head.len() < text.len() {
        out.push('…');
    }
    out
}
