//! Payload bytes to readings, or to why there is none. Pure: no clock, no I/O, no async, no locks, no logging.
//!
//! What a device's messages look like is data: a [`Profile`], of which [`Spec`] keeps the forms that fit one topic.
//!
//! Nothing is guessed: what can be read in two ways is refused, with its place and its text, so that whoever installs the meter
//! sees it on the first day. Numbers and stamps are taken from their text; neither passes through a float.
//!
//! A reading is a whole: one bad column refuses all of it. Only a column that says nothing (absent, `null`, `""`) is left out.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros))]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr))]

mod cjt188;
pub mod discovery;
mod flags;
mod form;
mod json;
mod number;
mod proof;
#[cfg(test)]
mod properties;
mod scalar;
mod senml;
mod stamp;
#[cfg(test)]
mod tests;

pub use proof::{Failure, number as shown_number, prove};

use crate::domain::device::Profile;
use crate::domain::engine::Input;
use crate::domain::reading::{Refused, Reject, excerpt};
use crate::domain::time::Ts;
use crate::domain::topology::FeedIx;
use form::{Form, Verdict};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// The largest payload that is taken: far above any meter's, far below what could hurt.
pub const PAYLOAD_LIMIT: usize = 64 * 1024;

/// Separates the topic from the device's own id, where one topic serves several. No topic has it in its name.
pub const IDENTITY_MARK: char = '#';

/// How the messages of one topic are read.
#[derive(Clone, Debug)]
pub struct Spec {
    feed: FeedIx,
    /// The compound's zone: a stamp that names none is a wall clock's in it.
    tz: TimeZone,
    forms: Vec<Form>,
}

impl Spec {
    /// Reads by those messages of `profile`, in their order.
    pub fn new(feed: FeedIx, tz: TimeZone, profile: &Profile, messages: impl IntoIterator<Item = usize>) -> Spec {
        let flags = profile.flags_column();
        let forms = messages.into_iter().filter_map(|i| profile.messages.get(i)).map(|m| Form::new(m, flags)).collect();
        Spec { feed, tz, forms }
    }

    /// Reads by all messages of `profile`.
    pub fn whole(feed: FeedIx, tz: TimeZone, profile: &Profile) -> Spec {
        Spec::new(feed, tz, profile, 0..profile.messages.len())
    }

    /// The feed that its readings belong to.
    pub fn feed(&self) -> FeedIx {
        self.feed
    }
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
    /// The source that it belongs to; a device's own id is put behind it. None: it speaks of all devices of its feed.
    pub source: Option<Arc<str>>,
    /// The topic that it came by, for errors.
    pub topic: Arc<str>,
    pub payload: &'a [u8],
    pub retained: bool,
}

/// Reads `message` as `spec` says: puts at least one input into `out`, and one for each reading where it carries several.
pub fn decode(spec: &Spec, message: &Message<'_>, clock: Clock, out: &mut Vec<Input>) {
    let reason = if message.payload.len() > PAYLOAD_LIMIT {
        Reject::Size { bytes: message.payload.len(), limit: PAYLOAD_LIMIT }
    } else {
        let mut missed = None;
        for (i, form) in spec.forms.iter().enumerate() {
            let verdict = if form.is_of_elements() {
                // Those that read the same array share it: each element is read by the first that applies to it.
                if spec.forms[..i].iter().any(|before| before.shares_array(form)) {
                    continue;
                }
                let sharing: Vec<&Form> = spec.forms[i..].iter().filter(|f| f.shares_array(form)).collect();
                Form::read_each(&sharing, spec, message, clock, out)
            } else {
                form.read(spec, message, clock, out)
            };
            match verdict {
                Verdict::Read => return,
                Verdict::Passed(reason) => missed = missed.or(reason),
            }
        }
        missed.unwrap_or(Reject::NoReading)
    };
    out.push(refused(spec, message, clock, reason));
}

fn refused(spec: &Spec, message: &Message<'_>, clock: Clock, reason: Reject) -> Input {
    let topic = message.source.as_ref().unwrap_or(&message.topic).clone();
    Input::Refused(Refused { feed: Some(spec.feed), topic, received: clock.now, reason, excerpt: excerpt(message.payload) })
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
