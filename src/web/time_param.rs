//! `from` and `to`: instants as a person or a program writes them into a query.

use super::error::Error;
use super::params::Params;
use crate::domain::time::{self, Ms, Ts};
use crate::history::Span;
use crate::texts::say;
use jiff::tz::TimeZone;

/// What is shown when nobody says a span.
const DEFAULT: Ms = Ms::days(1);
/// The longest span of one query: a year and a bit. Reading on is what `next` is for.
const LONGEST: Ms = Ms::days(400);

/// The span that a query names. A date is its first instant, as `from` and as `to`: November is `from=2026-11-01&to=2026-12-01`.
pub fn span(params: &Params, tz: &TimeZone, now: Ts) -> Result<Span, Error> {
    let from = params.get("from").map(|v| instant("from", v, tz)).transpose()?;
    let to = params.get("to").map(|v| instant("to", v, tz)).transpose()?;
    let to = to.unwrap_or(now);
    let from = from.unwrap_or(to - DEFAULT);
    let value = || params.get("from").or(params.get("to")).unwrap_or_default().to_owned();
    if from >= to {
        let expected = say("expected.before_to", &[]);
        return Err(Error::BadParameter { name: "from", value: value(), expected });
    }
    if to - from > LONGEST {
        let expected = say("expected.days", &[("days", (LONGEST.0 / Ms::days(1).0).into())]);
        return Err(Error::BadParameter { name: "from", value: value(), expected });
    }
    Ok(Span { from, to })
}

/// The instant that a parameter's value names.
pub fn instant(name: &'static str, value: &str, tz: &TimeZone) -> Result<Ts, Error> {
    parse(value, tz).ok_or_else(|| Error::BadParameter { name, value: value.to_owned(), expected: say("expected.time", &[]) })
}

fn parse(value: &str, tz: &TimeZone) -> Option<Ts> {
    // A plus sign that was not escaped arrives as a space; no RFC 3339 time has one there.
    let restored = value.rsplit_once(' ').filter(|(head, _)| head.contains([':'])).map(|(head, tail)| format!("{head}+{tail}"));
    time::instant(restored.as_deref().unwrap_or(value), tz)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(value: &str) -> Option<String> {
        parse(value, &TimeZone::get("Asia/Shanghai").unwrap()).map(|t| t.to_string())
    }

    #[test]
    fn times_dates_and_numbers_are_understood() {
        for value in ["2026-11-01T00:00:00+08:00", "2026-11-01T00:00:00 08:00", "2026-10-31T16:00:00Z", "2026-11-01", "1793462400000"] {
            assert_eq!(at(value).as_deref(), Some("2026-10-31T16:00:00Z"), "{value}");
        }
        for value in ["yesterday", "2026-13-01", "2026-11-01T00:00:00", "2026-11-1", "1e9", "", "99999999999999999999"] {
            assert_eq!(at(value), None, "{value}");
        }
    }
}
