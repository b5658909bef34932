//! The words of a line: times, spans, volumes.

use heyun::domain::time::{Ms, Ts};
use heyun::domain::units::{Decimal, Quantity, Unit};
use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, tz::TimeZone};
use std::collections::VecDeque;

pub type Say<T> = Result<T, String>;

/// What is left of a line.
pub struct Words<'a>(VecDeque<&'a str>);

impl<'a> Words<'a> {
    /// A comment begins with a `#` that stands alone.
    pub fn of(line: &'a str) -> Words<'a> {
        Words(line.split_whitespace().take_while(|w| *w != "#").collect())
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn peek(&self) -> &'a str {
        self.0.front().copied().unwrap_or("")
    }
    pub fn next(&mut self, what: &str) -> Say<&'a str> {
        self.0.pop_front().ok_or_else(|| format!("{what} is missing at the end of the line"))
    }
    /// True if the next word is `word`, which is then taken.
    pub fn took(&mut self, word: &str) -> bool {
        let took = self.peek() == word;
        if took {
            self.0.pop_front();
        }
        took
    }
    pub fn expect(&mut self, word: &str) -> Say<()> {
        if self.took(word) { Ok(()) } else { Err(format!("{word:?} should stand where {:?} stands", self.peek())) }
    }
    pub fn rest(&mut self) -> String {
        self.0.drain(..).collect::<Vec<_>>().join(" ")
    }
    pub fn end(&self) -> Say<()> {
        if self.is_empty() { Ok(()) } else { Err(format!("{:?} is not understood here", self.peek())) }
    }
    pub fn number(&mut self, what: &str) -> Say<u64> {
        let w = self.next(what)?;
        w.parse().map_err(|_| format!("{w:?} is no {what}"))
    }
    /// `338.304 m3`
    pub fn quantity(&mut self) -> Say<(i64, Unit)> {
        let number = self.next("a number")?;
        let unit = self.next("a unit")?;
        amount(number, unit)
    }
}

fn amount(number: &str, unit: &str) -> Say<(i64, Unit)> {
    let unit = Unit::parse(unit).ok_or_else(|| format!("{unit:?} is no unit"))?;
    let n = Decimal::parse(number).and_then(|d| d.in_smallest(unit)).map_err(|e| format!("{number:?} is no number: {e:?}"))?;
    Ok((n, unit))
}

/// `10L`, `1000t`, `100m3/h`
pub fn glued(word: &str, wanted: Quantity) -> Say<i64> {
    let at = word.find(|c: char| !matches!(c, '0'..='9' | '.' | ',' | '-')).unwrap_or(word.len());
    match amount(&word[..at], &word[at..])? {
        (n, unit) if unit.quantity() == wanted => Ok(n),
        (_, unit) => Err(format!("{word:?} is {:?}, it should be {wanted:?}", unit.quantity())),
    }
}

/// `15m`, `2h30m`, `9d`, `500ms`
pub fn span(word: &str) -> Say<Ms> {
    let wrong = || format!("{word:?} is no span of time (15m, 2h30m, 9d, 500ms)");
    let (mut total, mut rest) = (0i64, word);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let n: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let factor = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        total += n * factor;
        rest = &rest[letters..];
    }
    Ok(Ms(total))
}

/// `+2h` after the start, `2026-10-31T23:50` on the compound's wall clock, or RFC 3339; None if it is something else.
pub fn time(word: &str, start: Ts, zone: &TimeZone) -> Option<Ts> {
    if let Some(rest) = word.strip_prefix('+') {
        return if rest == "0" { Some(start) } else { span(rest).ok().map(|d| start + d) };
    }
    if !word.starts_with(|c: char| c.is_ascii_digit()) || !word.contains('-') {
        return None;
    }
    let civil = |d: DateTime| Some(Ts(zone.to_timestamp(d).ok()?.as_millisecond()));
    if let Ok(t) = word.parse::<Timestamp>() {
        return Some(Ts(t.as_millisecond()));
    }
    if let Ok(d) = word.parse::<DateTime>() {
        return civil(d);
    }
    word.parse::<Date>().ok().and_then(|d| civil(d.to_datetime(jiff::civil::Time::midnight())))
}

/// `+7h` (the minute up to it) or `+7h..+8h`
pub fn window(word: &str, start: Ts, zone: &TimeZone) -> Option<(Ts, Ts)> {
    match word.split_once("..") {
        Some((a, b)) => Some((time(a, start, zone)?, time(b, start, zone)?)),
        None => time(word, start, zone).map(|t| (t - Ms::minutes(1), t)),
    }
}
