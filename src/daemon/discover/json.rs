//! The report for programs.

use super::{Report, Tried, shown};
use crate::domain::flag::{Flag, FlagSet};
use crate::domain::reading::excerpt;
use crate::domain::topology::Column;
use crate::domain::units::Quantity;
use crate::ingest::discover::heard::Topic;
use crate::ingest::discover::{Device, Entry, How, Label, Refusal};
use serde_json::{Map, Value, json};

pub fn told(r: &Report<'_>) -> Value {
    let dropped: Map<String, Value> = r.heard.dropped().by_reason().iter().map(|(reason, n, _)| ((*reason).to_owned(), json!(n))).collect();
    let topic = |(name, t): (&str, &Topic)| {
        let (label, subscription, points) = match (r.plan.labels.get(name), r.brought.get(name)) {
            (Some(Label::Read { subscription, points }), _) => ("read", Some(subscription), points.as_slice()),
            (Some(Label::Subscribed { subscription }), _) => ("subscribed", Some(subscription), &[][..]),
            (_, Some(subscription)) => ("proposed", Some(subscription), &[][..]),
            (_, None) => ("unknown", None, &[][..]),
        };
        json!({
            "topic": name, "label": label, "subscription": subscription, "points": points, "messages": t.messages, "last": t.last.to_string(),
            "retained": t.retained, "refused": r.plan.troubles.get(name), "bytes": t.bytes, "newest": t.newest().map(excerpt),
        })
    };
    let refused = |f: &Refusal| json!({ "what": f.what, "topic": f.topic, "why": f.why });
    json!({
        "broker": r.broker,
        "messages": r.heard.messages(),
        "dropped": dropped,
        "proposals": r.proposals.iter().map(proposal).collect::<Vec<_>>(),
        "more_proposals": r.plan.more_proposals,
        "amend": r.amend.iter().map(|(id, subscription)| json!({ "id": id, "subscription": subscription })).collect::<Vec<_>>(),
        "failed": r.failed.iter().map(|f| json!({ "topics": f.topics, "by": f.by, "why": f.why })).collect::<Vec<_>>(),
        "announced": {
            "refused": r.plan.refusals.iter().map(refused).collect::<Vec<_>>(),
            "more_refused": r.plan.more_refusals,
            "unheard": r.plan.unheard.iter().map(|(topic, device)| json!({ "topic": topic, "device": device })).collect::<Vec<_>>(),
            "skipped": r.plan.skipped,
        },
        "topics": r.heard.topics().map(topic).collect::<Vec<_>>(),
    })
}

fn proposal(t: &Tried) -> Value {
    let p = &t.proposal;
    let (profile, title) = match &p.how {
        How::Profile { profile, title, .. } => (Some(profile), Some(title)),
        How::Own(own) => (Some(&p.name), Some(&own.title)),
        How::Existing | How::Inline { .. } => (None, None),
    };
    let device = |(d, values): (&Device, &Vec<(Column, i64)>)| {
        let entry = |e: &Entry| json!({ "kind": e.kind(), "toml": p.entry_toml(d, e, None) });
        let numbers = values.iter().filter(|(c, _)| c.quantity != Quantity::Flags);
        let flags = values.iter().find(|(c, _)| c.quantity == Quantity::Flags);
        json!({
            "device": p.device_key(d), "topics": d.topics, "label": d.label,
            "values": numbers.map(|(c, v)| (c.name.clone(), json!(shown(c, *v)))).collect::<Map<_, _>>(),
            "flags": flags.map(|(_, v)| FlagSet::of_column(*v).iter().map(Flag::code).collect::<Vec<_>>()),
            "entries": d.entries.iter().map(entry).collect::<Vec<_>>(),
        })
    };
    json!({
        "certainty": p.certainty.code(), "subscription": p.name, "profile": profile, "title": title,
        "profile_toml": t.own, "subscription_toml": p.subscription_toml(),
        "devices": p.devices.iter().zip(&t.values).map(device).collect::<Vec<_>>(),
    })
}
