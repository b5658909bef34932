//! What a scenario wants to see.

use super::run::Run;
use super::words::{Say, Words, window};
use heyun::domain::engine::{PointState, SourceState};
use heyun::domain::incident::{Change, Closer, Event, Incident, IncidentState};
use heyun::domain::reading::{Counts, Flags, Reject};
use heyun::domain::time::Ts;
use heyun::domain::units::{Decimal, Quantity, Unit};
use std::sync::Arc;

pub fn line(run: &mut Run, words: &mut Words<'_>) -> Say<()> {
    if let Some(w) = window(words.peek(), run.start, &run.zone) {
        words.next("a time")?;
        words.expect("incident")?;
        return happened(run, w, words);
    }
    match words.peek() {
        "none" => {
            words.next("none")?;
            none(run)
        }
        "source" => {
            words.next("source")?;
            let topic = words.next("a topic")?;
            let counts = source(run, topic)?.counts;
            count(&counts, words)
        }
        "rows" => {
            words.next("rows")?;
            let wanted = words.number("number of rows")?;
            same(wanted, run.gateway.store.rows.len() as u64)
        }
        "row" => {
            words.next("row")?;
            row(run, words)
        }
        "open" => {
            words.next("open")?;
            let wanted = words.number("number of incidents")?;
            let open = run.gateway.engine.snapshot(run.now).incidents.iter().filter(|i| i.state != IncidentState::Closed).count();
            same(wanted, open as u64)
        }
        "last" => about_incident(run, words),
        w if w.starts_with("no.") => about_incident(run, words),
        w if run.gateway.topology.point_by_key(w).is_some() => about_point(run, words),
        _ => count(&run.gateway.engine.snapshot(run.now).counts, words),
    }
}

/// The newest incident or the `n`th.
pub fn incident(run: &Run, word: &str) -> Say<Arc<Incident>> {
    let mut all = run.gateway.engine.snapshot(run.now).incidents;
    all.reverse();
    let found = match word.strip_prefix("no.") {
        Some(n) => n.parse::<usize>().ok().and_then(|n| all.get(n.checked_sub(1)?).cloned()),
        None if word == "last" => all.last().cloned(),
        None => return Err(format!("{word:?} is no incident; `last` or `no.1`")),
    };
    found.ok_or_else(|| format!("there are only {} incidents", all.len()))
}

fn same<T: PartialEq + std::fmt::Debug>(wanted: T, seen: T) -> Say<()> {
    if wanted == seen { Ok(()) } else { Err(format!("wanted {wanted:?}, saw {seen:?}")) }
}

/// One thing that happened to an incident without a person.
struct Happened {
    seq: u64,
    at: Ts,
    code: String,
    point: String,
    what: &'static str,
    historic: bool,
    grown: bool,
}

impl Happened {
    fn say(&self, run: &Run) -> String {
        let marks = [(self.historic, " historic"), (self.grown, " grown")].map(|(is, word)| if is { word } else { "" }).concat();
        format!("{} incident {} {} {}{marks}", run.say(self.at), self.code, self.point, self.what)
    }
}

/// The events so far, as a reader of scenarios thinks of them.
fn history(run: &Run) -> Vec<Happened> {
    let waiting = run.gateway.out.list.iter().filter_map(|e| match e {
        heyun::domain::engine::Effect::Event(e) => Some(e),
        _ => None,
    });
    let events: Vec<&Event> = run.gateway.store.events.iter().chain(waiting).collect();
    let mut out: Vec<Happened> = vec![];
    for (i, e) in events.iter().enumerate() {
        let before = || events[..i].iter().filter(|b| b.incident == e.incident);
        let happened = match &e.change {
            Change::Opened { .. } | Change::Accepted { .. } => continue,
            Change::Found { finding } => {
                let earlier = || before().filter_map(|b| if let Change::Found { finding } = &b.change { Some(finding) } else { None });
                let what = if earlier().next().is_none() {
                    "opened"
                } else if earlier().any(|f| f.point == finding.point && f.kind.code() == finding.kind.code()) {
                    "again"
                } else {
                    "joined"
                };
                let (code, point) = (finding.kind.code().to_owned(), finding.point.clone());
                Happened { seq: e.seq, at: e.at, code, point, what, historic: finding.historic, grown: finding.grown }
            }
            Change::Cleared { point, code } => {
                let (code, point) = (code.clone(), point.clone());
                Happened { seq: e.seq, at: e.at, code, point, what: "cleared", historic: false, grown: false }
            }
            Change::Closed { by: Closer::Person { .. }, .. } => continue,
            Change::Closed { by: Closer::Meter, reason, .. } => {
                let mut cleared =
                    before().filter_map(|b| if let Change::Cleared { point, .. } = &b.change { Some(point.clone()) } else { None });
                let point = cleared.next_back().unwrap_or_default();
                Happened { seq: e.seq, at: e.at, code: reason.clone(), point, what: "closed", historic: false, grown: false }
            }
        };
        out.push(happened);
    }
    out
}

fn happened(run: &mut Run, (from, to): (Ts, Ts), words: &mut Words<'_>) -> Say<()> {
    let code = words.next("the rule")?;
    let point = words.next("the meter")?;
    let what = words.next("what happened")?;
    let (historic, grown) = (words.took("historic"), words.took("grown"));
    run.advance(to);
    let all = history(run);
    let found = all.iter().find(|h| {
        h.at >= from
            && h.at <= to
            && h.code == code
            && h.point == point
            && h.what == what
            && h.historic == historic
            && h.grown == grown
            && !run.wanted.contains(&h.seq)
    });
    match found {
        Some(h) => {
            run.wanted.insert(h.seq);
            Ok(())
        }
        None => {
            let others: Vec<String> = all.iter().filter(|h| !run.wanted.contains(&h.seq)).map(|h| h.say(run)).collect();
            let seen = if others.is_empty() { "nothing new".to_owned() } else { format!("only\n      {}", others.join("\n      ")) };
            Err(format!("wanted it between {} and {}, saw {seen}", run.say(from), run.say(to)))
        }
    }
}

/// What happened and no line wanted.
pub fn unwanted(run: &Run) -> Vec<String> {
    history(run).iter().filter(|h| !run.wanted.contains(&h.seq)).map(|h| h.say(run)).collect()
}

fn none(run: &Run) -> Say<()> {
    let seen = unwanted(run);
    if seen.is_empty() { Ok(()) } else { Err(format!("wanted nothing, saw\n      {}", seen.join("\n      "))) }
}

fn source(run: &Run, topic: &str) -> Say<SourceState> {
    let all = run.gateway.engine.snapshot(run.now).sources;
    all.into_iter().find(|s| &*s.topic == topic).ok_or_else(|| format!("nothing came by {topic}"))
}

fn count(counts: &Counts, words: &mut Words<'_>) -> Say<()> {
    let mut wrong = vec![];
    while !words.is_empty() {
        let name = words.next("a counter")?;
        let (name, seen) = match name {
            "received" => (name.to_owned(), counts.received),
            "stored" => (name.to_owned(), counts.stored),
            "duplicate" => (name.to_owned(), counts.duplicate),
            "in-flight" => (name.to_owned(), counts.in_flight()),
            "rejected" => {
                let code = words.next("a reason")?;
                let at = Reject::CODES.iter().position(|c| *c == code).ok_or_else(|| format!("{code:?} is no reason to reject"))?;
                (format!("rejected {code}"), counts.rejected[at])
            }
            other => return Err(format!("{other:?} is not understood here")),
        };
        let wanted = words.number("count")?;
        if wanted != seen {
            wrong.push(format!("{name}: wanted {wanted}, saw {seen}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn row(run: &Run, words: &mut Words<'_>) -> Say<()> {
    let topic = words.next("a topic")?;
    let id = source(run, topic)?.source.ok_or("no row of it was ever taken on")?;
    let ts = run.time(words.next("the row's time")?)?;
    let (wanted, _) = words.quantity()?;
    let mut flags = Flags::NONE;
    for (word, flag) in [("unsure", Flags::CLOCK_UNSURE), ("arrival", Flags::ARRIVAL_TIME), ("ahead", Flags::AHEAD)] {
        if words.took(word) {
            flags = flags | flag;
        }
    }
    let row = run.gateway.store.rows.get(&(id, ts)).ok_or_else(|| format!("no row is stored for {}", run.say(ts)))?;
    same((Some(wanted), flags), (row.values.get(0), row.flags))
}

/// True if `seen` is what `number` says, to the digits that are written.
fn written(number: &str, unit: Unit, seen: i64) -> Say<bool> {
    let n = Decimal::parse(number).and_then(|d| d.in_smallest(unit)).map_err(|e| format!("{number:?} is no number: {e:?}"))?;
    let digits = number.split_once(['.', ',']).map_or(0, |(_, d)| d.len() as u32);
    let grain = (unit.ratio().0 / 10i64.pow(digits)).max(1);
    Ok((seen - n).abs() * 2 <= if grain == 1 { 0 } else { grain })
}

fn shown(words: &mut Words<'_>, quantity: Quantity, seen: Option<i64>) -> Say<()> {
    let number = words.next("a number")?;
    let name = words.next("a unit")?;
    let unit = Unit::parse(name).filter(|u| u.quantity() == quantity).ok_or_else(|| format!("{name:?} does not measure {quantity:?}"))?;
    match seen {
        Some(seen) if written(number, unit, seen)? => Ok(()),
        Some(seen) => Err(format!("wanted {number} {name}, saw {} {name}", seen as f64 / unit.ratio().0 as f64)),
        None => Err(format!("wanted {number} {name}, saw none")),
    }
}

fn point(run: &Run, key: &str) -> Say<PointState> {
    let ix = run.gateway.topology.point_by_key(key).ok_or_else(|| format!("there is no meter {key:?}"))?;
    let all = run.gateway.engine.snapshot(run.now).points;
    all.into_iter().find(|p| p.point == ix).ok_or_else(|| format!("the snapshot lacks {key}"))
}

fn about_point(run: &Run, words: &mut Words<'_>) -> Say<()> {
    let p = point(run, words.next("a meter")?)?;
    match words.next("what about it")? {
        "month" => {
            let wanted = words.next("a month")?;
            let (month, used) = p.month.ok_or("no month was begun")?;
            same(wanted.to_owned(), month.to_string())?;
            shown(words, Quantity::Volume, Some(used.0))
        }
        "register" => shown(words, Quantity::Volume, p.last.map(|m| m.register.0)),
        "flow" => shown(words, Quantity::Flow, p.flow.map(|f| f.0)),
        "silent" => same(true, p.silent),
        "heard" => same(false, p.silent),
        "steps" => {
            let seen = serde_json::to_value(p.steps).unwrap();
            let mut wrong = vec![];
            while !words.is_empty() {
                let name = words.next("a step")?;
                let seen = seen.get(name).and_then(serde_json::Value::as_u64).ok_or_else(|| format!("{name:?} is no step"))?;
                let wanted = words.number("number of steps")?;
                if wanted != seen {
                    wrong.push(format!("{name}: wanted {wanted}, saw {seen}"));
                }
            }
            if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
        }
        other => Err(format!("nothing is known of {other:?}")),
    }
}

fn about_incident(run: &Run, words: &mut Words<'_>) -> Say<()> {
    let i = incident(run, words.next("an incident")?)?;
    match words.next("what about it")? {
        "detected" => same(IncidentState::Detected, i.state),
        "accepted" => {
            words.expect("by")?;
            same(IncidentState::Accepted, i.state)?;
            same(Some(words.next("a name")?.to_owned()), i.accepted.as_ref().map(|(_, by)| by.clone()))
        }
        "closed" => {
            words.expect("by")?;
            let name = words.next("who")?;
            let by = if name == "meter" { Closer::Meter } else { Closer::Person { name: name.to_owned() } };
            same(Some(by), i.closed.as_ref().map(|(_, by, _)| by.clone()))
        }
        "points" => same(words.rest(), i.points.join(" ")),
        "findings" => same(words.number("number of findings")?, i.findings.len() as u64),
        "historic" => same(true, i.historic),
        "says" => {
            let (code, point, field) = (words.next("a rule")?, words.next("a meter")?, words.next("an argument")?);
            let mut findings = i.findings.iter().map(|f| &f.finding);
            let f = findings.find(|f| f.point == point && f.kind.code() == code).ok_or_else(|| format!("no {code} of {point} is in it"))?;
            let kind = serde_json::to_value(&f.kind).unwrap();
            let seen = kind.get(field).and_then(serde_json::Value::as_i64).ok_or_else(|| format!("{code} has no number {field:?}"))?;
            shown(words, Quantity::Volume, Some(seen))
        }
        "start" => {
            let word = words.next("a range")?;
            let (from, to) = word.split_once("..").ok_or_else(|| format!("{word:?} is no range"))?;
            let wanted = (run.say(run.time(from)?), run.say(run.time(to)?));
            same(wanted, (run.say(i.start.earliest), run.say(i.start.latest)))
        }
        other => Err(format!("nothing is known of {other:?}")),
    }
}
