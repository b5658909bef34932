//! A profile's examples, run by the very code that reads the messages of its devices.

use super::{Clock, Message, Spec, decode};
use crate::domain::device::{Example, Expect, Expected, Profile};
use crate::domain::engine::Input;
use crate::domain::flag::FlagSet;
use crate::domain::reading::{Reading, Reject};
use crate::domain::time::Ts;
use crate::domain::topology::{Column, FeedIx};
use crate::domain::units::Quantity;
use jiff::tz::TimeZone;

/// An example of a profile that gives something else than it expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its place among the examples, and its line in the file.
    pub example: usize,
    pub line: usize,
    pub says: Option<String>,
    pub expected: String,
    pub got: String,
    /// Its stamp lies ahead of its arrival: as likely the example is newer than the arrival that is taken for it.
    pub ahead: bool,
}

/// When the messages of examples arrive that do not say: 2026-11-28T00:00:00Z.
const RECEIVED: Ts = Ts(1_795_824_000_000);

/// Stamps of examples without a zone are read in `tz`. Empty: the profile does what it says.
pub fn prove(profile: &Profile, tz: &TimeZone) -> Vec<Failure> {
    let failure = |(i, e): (usize, &Example)| {
        let (got, expected) = (run(profile, e, tz), wanted(profile, &e.expect));
        let ahead = got.starts_with(&refused("time_ahead"));
        (got != expected).then(|| Failure { example: i, line: e.line, says: e.says.clone(), expected, got, ahead })
    };
    profile.examples.iter().enumerate().filter_map(failure).collect()
}

fn run(profile: &Profile, example: &Example, tz: &TimeZone) -> String {
    let fitting: Vec<(usize, Option<String>)> = profile
        .messages
        .iter()
        .enumerate()
        .filter_map(|(i, m)| Some((i, m.topic.bind(&example.topic)?.device().map(str::to_owned))))
        .collect();
    let Some((_, device)) = fitting.first() else {
        let topics: Vec<&str> = profile.messages.iter().map(|m| m.topic.as_str()).collect();
        return format!("no message has such a topic; there are {}", topics.join(", "));
    };
    let spec = Spec::new(FeedIx(0), tz.clone(), profile, fitting.iter().map(|(i, _)| *i));
    let message =
        Message { source: device.as_deref().map(Into::into), topic: "".into(), payload: &example.payload, retained: example.retained };
    let mut out = vec![];
    decode(&spec, &message, Clock { now: example.arrived.unwrap_or(RECEIVED), sure: true, since: Ts(0) }, &mut out);
    // Only what the example asks about is told, so that `device` can be left out.
    let asked = |i: usize| match &example.expect {
        Expect::Readings(all) => all.get(i).is_none_or(|e| e.device.is_some()),
        Expect::Presence { device, .. } => device.is_some(),
        Expect::Refused(_) | Expect::Nothing => false,
    };
    let told: Vec<String> = out.iter().enumerate().map(|(i, input)| told(profile, input, &example.expect, asked(i))).collect();
    told.join("; ")
}

fn told(profile: &Profile, input: &Input, expect: &Expect, with_device: bool) -> String {
    let device = |name: &str| if with_device { format!("device {name:?}, ") } else { String::new() };
    match input {
        Input::Reading(r) => format!("{}{}", device(&r.topic), reading(profile, r)),
        Input::Presence(p) => format!("{}{}", device(p.topic.as_deref().unwrap_or("")), presence(p.online)),
        Input::Refused(r) if r.reason == Reject::NoReading => NOTHING.to_owned(),
        Input::Refused(r) if matches!(expect, Expect::Refused(code) if code == r.reason.code()) => refused(r.reason.code()),
        Input::Refused(r) => format!("{} ({})", refused(r.reason.code()), r.reason),
    }
}

fn wanted(profile: &Profile, expect: &Expect) -> String {
    let device = |name: &Option<String>| name.as_ref().map_or(String::new(), |n| format!("device {n:?}, "));
    match expect {
        Expect::Readings(all) => {
            let each: Vec<String> = all.iter().map(|e| format!("{}{}", device(&e.device), expected(profile, e))).collect();
            each.join("; ")
        }
        Expect::Presence { device: name, online } => format!("{}{}", device(name), presence(*online)),
        Expect::Refused(code) => refused(code),
        Expect::Nothing => NOTHING.to_owned(),
    }
}

const NOTHING: &str = "no reading";

fn refused(code: &str) -> String {
    format!("refused: {code}")
}

fn presence(online: bool) -> &'static str {
    if online { "online" } else { "offline" }
}

fn reading(profile: &Profile, r: &Reading) -> String {
    let of = |(i, v): (usize, i64)| Some((profile.columns.get(i)?, v));
    line(r.ts, r.values.iter().filter_map(of), FlagSet::NONE)
}

fn expected(profile: &Profile, e: &Expected) -> String {
    let mut values = e.values.clone();
    values.sort_unstable();
    let of = |(i, v): &(u8, i64)| Some((profile.columns.get(usize::from(*i))?, *v));
    line(e.time, values.iter().filter_map(of), e.flags)
}

/// A reading as one line: what is equal here is equal.
fn line<'c>(ts: Option<Ts>, values: impl Iterator<Item = (&'c Column, i64)>, mut flags: FlagSet) -> String {
    let mut out = ts.map_or("keyed by arrival".to_owned(), |ts| format!("time {ts}"));
    for (column, v) in values {
        if column.quantity == Quantity::Flags {
            flags = FlagSet::of_column(v);
        } else {
            out.push_str(&format!(", {} = {}", column.name, number(column.quantity, v)));
        }
    }
    if !flags.is_empty() {
        out.push_str(&format!(", flags: {flags}"));
    }
    out
}

/// `338304 L`: exact, and as an example of a profile may say it.
pub fn number(q: Quantity, v: i64) -> String {
    let (unit, places) = q.shown();
    let (sign, n, one) = (if v < 0 { "-" } else { "" }, v.unsigned_abs(), 10u64.pow(u32::from(places)));
    let fraction = if n % one == 0 { String::new() } else { format!(".{:0width$}", n % one, width = usize::from(places)) };
    format!("{sign}{}{} {unit}", n / one, fraction.trim_end_matches('0'))
}
