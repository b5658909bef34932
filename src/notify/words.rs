//! The words of a message: all that somebody needs at three in the morning without opening anything.

use super::facts::{Facts, Flow, short_path};
use crate::domain::finding::{Cause, StartRange};
use crate::domain::incident::{Change, NoticeKind};
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{Point, Responsible, Topology, ValveCard};
use crate::domain::units::Amount;
use crate::texts::{self, Arg, Decimal, Stamp, Text, say};

/// A start that is known no better than this is told as a span.
const VAGUE: Ms = Ms::minutes(30);
/// As much of an incident's id as is read out over the telephone.
const ID_CHARS: usize = 6;
/// Of a name or a reason in a digest.
const BRIEF_CHARS: usize = 40;

/// The whole message about one incident. What matters most stands first: it may be cut at its end.
pub fn message(f: &Facts, t: &Topology) -> Text {
    let place = || Arg::from(short_path(&f.place));
    let leak = f.incident.cause == Cause::Leak;
    let point = f.point(t);
    let water = point.is_none_or(|p| p.medium.is_water());
    let head = match f.kind() {
        NoticeKind::Accepted => say("notice.head.accepted", &[("place", place())]),
        NoticeKind::Closed => say("notice.head.closed", &[("place", place())]),
        _ if f.incident.cause == Cause::Emergency => say("notice.head.emergency", &[("place", place())]),
        _ if f.incident.cause == Cause::Access => say("notice.head.access", &[("place", place())]),
        _ if f.incident.cause == Cause::Heating => say("notice.head.heating", &[("place", place())]),
        _ if !leak => say("notice.head.fault", &[("place", place())]),
        // Of gas, or of a heating circuit, its device says so itself.
        _ if !water => say("notice.head.leak_other", &[("place", place())]),
        NoticeKind::Opened => say("notice.head.leak", &[("place", place())]),
        NoticeKind::Grown => say("notice.head.leak_grown", &[("place", place())]),
        NoticeKind::Joined => say("notice.head.leak_joined", &[("place", place())]),
    };
    let mut lines = vec![head];
    // Who was told of it before needs no more than that somebody is on it, or that it is over.
    let told_before = f.kinds.iter().all(|k| matches!(k, NoticeKind::Accepted | NoticeKind::Closed));
    let over = f.kind() == NoticeKind::Closed;
    if over {
        lines.extend(closing(f, t));
    } else if f.incident.accepted.is_some() {
        lines.extend(taken(f, t));
    }
    // A rope has no meter behind it that could tell how much, and a meter of something else tells no water.
    if leak && point.is_none_or(Point::measures_water) {
        lines.push(flow_line(f, t, over));
        if over || !told_before {
            lines.extend(amount(f, t));
        }
        if !over && !told_before {
            lines.extend(first_steps(f, t));
        }
    } else if leak && !over && !told_before {
        lines.extend(point.and_then(|p| p.valve.as_ref()).map(valve));
    }
    if !over && !told_before {
        lines.push(say("notice.reason", &[("finding", what(f, t).into())]));
    }
    lines.push(say("notice.incident", &[("id", short_id(f).into())]));
    joined(&lines, "\n")
}

/// One line of a digest.
pub fn line(f: &Facts, t: &Topology) -> Text {
    let (place, id) = (("place", Arg::from(short_path(&f.place))), ("id", Arg::from(short_id(f))));
    let since = ("since", short(f.incident.start.latest, t));
    match (f.kind(), f.incident.cause) {
        (NoticeKind::Accepted, _) => {
            let by = f.incident.accepted.as_ref().map_or("", |(_, by)| by.as_str());
            say("notice.digest_accepted", &[place, ("by", brief(by).into()), id])
        }
        (NoticeKind::Closed, _) => {
            let how = closing(f, t).unwrap_or_default();
            say("notice.digest_closed", &[place, since, ("how", Text::new(brief(&how.zh), brief(&how.en)).into()), id])
        }
        (_, Cause::Data | Cause::Emergency | Cause::Access | Cause::Heating) => {
            say("notice.digest_fault", &[("rule", texts::rule(f.finding.kind.code()).into()), place, since, id])
        }
        (_, Cause::Leak) if f.point(t).is_some_and(|p| !p.medium.is_water()) => {
            say("notice.digest_fault", &[("rule", texts::rule(f.finding.kind.code()).into()), place, since, id])
        }
        (_, Cause::Leak) => match f.flow {
            Some(flow) => say("notice.digest_leak", &[place, ("flow", litres_per_minute(flow).into()), since, id]),
            None => say("notice.digest_leak_plain", &[place, since, id]),
        },
    }
}

/// A digest of these lines and of `more` that are only counted.
pub fn digest(lines: &[Text], more: usize) -> Text {
    let mut all = vec![digest_head(lines.len() + more)];
    all.extend(lines.iter().cloned());
    if more > 0 {
        all.push(digest_more(more));
    }
    joined(&all, "\n")
}

pub fn digest_head(n: usize) -> Text {
    say("notice.digest_head", &[("n", n.into())])
}

pub fn digest_more(n: usize) -> Text {
    say("notice.digest_more", &[("n", n.into())])
}

/// What an installer sends to see whether anything arrives.
pub fn test(gateway: &str) -> Text {
    say("notice.test", &[("gateway", gateway.into())])
}

/// What the newest statement says, as it stands in the incident's file.
pub fn what(f: &Facts, t: &Topology) -> Text {
    texts::finding(texts::point_name(t, &f.finding.point), t.medium_of(&f.finding.point), &f.finding.kind, &t.tz)
}

/// Litres per minute, as people at a tap think.
pub fn litres_per_minute(flow: Flow) -> Decimal {
    Decimal::litres(Amount(flow.value().0 / 60)).rounded(1)
}

/// Tonnes as people say them.
pub fn tonnes(v: Amount) -> Decimal {
    Decimal::tonnes(v).rounded(if v.0 < 10_000_000 { 2 } else { 1 })
}

/// What it costs, to the fen; None where no price is configured.
pub fn yuan(v: Amount, point: Option<&Point>) -> Option<Decimal> {
    Some(Decimal::yuan(v, point?.price_milliyuan_per_tonne?))
}

pub fn responsible(r: Responsible) -> Text {
    match r {
        Responsible::WaterCompany => say("notice.repair_water_company", &[]),
        Responsible::Owners => say("notice.repair_owners", &[]),
        Responsible::Household => say("notice.repair_household", &[]),
    }
}

fn short_id(f: &Facts) -> &str {
    let id = &*f.incident.id;
    id.get(id.len().saturating_sub(ID_CHARS)..).unwrap_or(id)
}

fn short(ts: Ts, t: &Topology) -> Arg {
    Stamp::new(ts, &t.tz).short().to_string().into()
}

fn since(start: StartRange, t: &Topology) -> Text {
    let (earliest, latest) = (("earliest", short(start.earliest, t)), ("latest", short(start.latest, t)));
    match start.latest - start.earliest {
        Ms(..60_000) => say("notice.since", &[latest]),
        span if span <= VAGUE => say("notice.since_range", &[earliest, latest]),
        _ => say("notice.since_long", &[earliest, latest]),
    }
}

fn flow_words(flow: Flow) -> Text {
    let value = ("flow", litres_per_minute(flow).into());
    match flow {
        Flow::Now(_) => say("notice.flow_now", &[value]),
        Flow::Mean(_) => say("notice.flow_mean", &[value]),
    }
}

fn flow_line(f: &Facts, t: &Topology, over: bool) -> Text {
    let since = since(f.incident.start, t);
    match f.flow {
        Some(flow) if !over => say("notice.flow_line", &[("flow", flow_words(flow).into()), ("since", since.into())]),
        _ => since,
    }
}

fn amount(f: &Facts, t: &Topology) -> Option<Text> {
    let passed = f.passed?;
    let tonnes = ("tonnes", tonnes(passed).into());
    Some(match yuan(passed, f.point(t)) {
        Some(yuan) => say("notice.passed_yuan", &[tonnes, ("yuan", yuan.rounded(1).into())]),
        None => say("notice.passed", &[tonnes]),
    })
}

fn first_steps(f: &Facts, t: &Topology) -> Vec<Text> {
    let Some(point) = f.point(t) else { return vec![] };
    let first = point.valve.as_ref().map_or_else(|| say("notice.no_valve", &[]), valve);
    vec![first, say("notice.repair", &[("who", responsible(point.responsible).into())])]
}

fn valve(card: &ValveCard) -> Text {
    let close = say("notice.valve", &[("place", (&card.place).into())]);
    let details: Vec<Text> = [
        card.key_holder.as_ref().map(|who| say("notice.valve_key", &[("who", who.into())])),
        card.shuts_off.as_ref().map(|what| say("notice.valve_dry", &[("what", what.into())])),
        card.may_close.as_ref().map(|who| say("notice.valve_who", &[("who", who.into())])),
    ]
    .into_iter()
    .flatten()
    .collect();
    if details.is_empty() {
        return close;
    }
    let and = say("notice.and", &[]);
    let details = Text::new(
        details.iter().map(|d| d.zh.as_str()).collect::<Vec<_>>().join(&and.zh),
        details.iter().map(|d| d.en.as_str()).collect::<Vec<_>>().join(&and.en),
    );
    say("notice.valve_details", &[("valve", close.into()), ("details", details.into())])
}

fn taken(f: &Facts, t: &Topology) -> Option<Text> {
    let (at, by) = f.incident.accepted.as_ref()?;
    Some(say("notice.taken", &[("by", one_line(by).into()), ("at", short(*at, t))]))
}

fn closing(f: &Facts, t: &Topology) -> Option<Text> {
    let (_, by, reason) = f.incident.closed.as_ref()?;
    Some(texts::change(&Change::Closed { by: by.clone(), reason: one_line(reason), granted: vec![] }, t))
}

/// A person's words without line breaks: they could look like another message.
fn one_line(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// As much of a person's words as a line of a digest has room for.
fn brief(words: &str) -> String {
    let words = one_line(words);
    match words.char_indices().nth(BRIEF_CHARS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

fn joined(lines: &[Text], by: &str) -> Text {
    Text::new(
        lines.iter().map(|l| l.zh.as_str()).collect::<Vec<_>>().join(by),
        lines.iter().map(|l| l.en.as_str()).collect::<Vec<_>>().join(by),
    )
}

#[cfg(test)]
mod tests;
