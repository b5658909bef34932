//! The report for people. What is meant for the config stands at the beginning of its line, and everything around it is a comment there.

use crate::daemon::discover::{Report, Tried, shown};
use crate::domain::flag::FlagSet;
use crate::domain::reading::excerpt;
use crate::domain::topology::Column;
use crate::domain::units::Quantity;
use crate::ingest::discover::heard::Topic;
use crate::ingest::discover::{Certainty, Device, How, ID, Label, PLACE};
use std::collections::BTreeSet;

/// The most lines of a list; `--format json` has no such limit.
const LINES: usize = 100;

pub fn told(r: &Report<'_>) -> String {
    let mut out = Lines(String::new());
    let (messages, on) = (counted(r.heard.messages(), "message"), count(r.heard.topics().count(), "topic"));
    let announced = match r.heard.announcements().count() {
        0 => String::new(),
        n => format!(", {}", count(n, "announcement")),
    };
    out.say(&format!("{}: {messages} on {on}{announced}", r.broker));
    for (_, n, says) in r.heard.dropped().by_reason().iter().filter(|(_, n, _)| *n > 0) {
        out.say(&format!("dropped: {} {says}", counted(*n, "message")));
    }
    if r.proposals.is_empty() {
        out.say("");
        out.say("nothing to propose");
    }
    if !r.proposals.is_empty() {
        out.say(&format!(
            "{ID} is yours to choose, for ever (a-z, 0-9 and -); {PLACE} is the id of a place; kind may be sub (one household) or make-up"
        ));
    }
    for (i, t) in r.proposals.iter().enumerate() {
        out.gap();
        proposal(&mut out, i + 1, t, r);
    }
    if r.plan.more_proposals > 0 {
        out.gap();
        out.say(&format!("{} more: ask for less with --filter", count(r.plan.more_proposals, "proposal")));
    }
    let amend = r.amend.iter().map(|(id, subscription)| format!("{id}: subscription = \"{subscription}\""));
    out.list("add a line to these of your own, for there is more than one subscription with devices then", &amend.collect::<Vec<_>>());
    let failed = r.failed.iter().map(|f| format!("{} by {}: {}", f.topics.join(", "), f.by, f.why));
    out.list("could be read, but not as it stands", &failed.collect::<Vec<_>>());
    let refused = r.plan.refusals.iter().map(|f| match &f.topic {
        Some(topic) => format!("{} ({topic}): {}", f.what, f.why),
        None => format!("{}: {}", f.what, f.why),
    });
    out.list("announced, and to be set up by hand", &refused.collect::<Vec<_>>());
    let unheard = r.plan.unheard.iter().map(|(topic, label)| match label {
        Some(label) => format!("{topic}: {label}"),
        None => topic.clone(),
    });
    out.list("announced, and nothing heard of it: listen longer", &unheard.collect::<Vec<_>>());
    topics(&mut out, r);
    out.0
}

fn proposal(out: &mut Lines, n: usize, t: &Tried, r: &Report<'_>) {
    let p = &t.proposal;
    let what = match &p.how {
        How::Existing => format!("subscription {} reads it already, but no meter or sensor is there for it", p.name),
        How::Profile { profile, title, .. } => format!("{title} (profile {profile})"),
        How::Inline { .. } if p.certainty == Certainty::Guess => "a number that may be the register of a water meter".to_owned(),
        How::Inline { .. } | How::Own(_) => "as the device announces itself".to_owned(),
    };
    let how_sure = match p.certainty {
        Certainty::Likely => "; likely: its topic or its payload could be another's",
        Certainty::Guess => "; a guess: make sure what it counts",
        Certainty::Subscribed | Certainty::Known | Certainty::Announced => "",
    };
    out.say(&format!("{n}. {what}{how_sure}"));
    if let Some(own) = &t.own {
        out.say(&format!("---- first a file of its own: devices/{}.toml ----", p.name));
        out.raw(own);
        out.say("---- then in the config ----");
    }
    if let Some(toml) = p.subscription_toml() {
        out.raw(&toml);
    }
    for (d, values) in p.devices.iter().zip(&t.values) {
        out.gap();
        out.say(&device(d, r));
        out.say(&format!("    {}", values_of(values)));
        for entry in &d.entries {
            out.raw(&p.entry_toml(d, entry, None));
        }
    }
}

fn device(d: &Device, r: &Report<'_>) -> String {
    let of = |f: fn(&Topic) -> u64| d.topics.iter().filter_map(|t| r.heard.topic(t)).map(f).sum::<u64>();
    let label = d.label.as_ref().map_or(String::new(), |l| format!("{l}: "));
    let identity = d.identity.as_ref().map_or(String::new(), |id| format!(" {id}"));
    let old = of(|t| u64::from(!t.retained)) == 0;
    let kept = if old { ", kept by the broker: it may be old" } else { "" };
    format!("{label}{}{identity}, {}{kept}", d.topics.join(", "), counted(of(|t| t.messages), "message"))
}

/// `total = 338304 L, flags: wet`
fn values_of(values: &[(Column, i64)]) -> String {
    let one = |(c, v): &(Column, i64)| match c.quantity {
        Quantity::Flags => format!("flags: {}", FlagSet::of_column(*v)),
        _ => format!("{} = {}", c.name, shown(c, *v)),
    };
    values.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn topics(out: &mut Lines, r: &Report<'_>) {
    let shown: BTreeSet<&String> = r.proposals.iter().flat_map(|t| t.proposal.devices.iter().flat_map(|d| &d.topics)).collect();
    let (mut read, mut subscribed, mut brought, mut unknown) = (vec![], vec![], vec![], vec![]);
    for (name, topic) in r.heard.topics() {
        let trouble = r.plan.troubles.get(name).map_or(String::new(), |why| format!("; its newest message is refused: {why}"));
        match r.plan.labels.get(name) {
            Some(Label::Read { subscription, points }) => read.push(format!("{name}: {} ({subscription}){trouble}", points.join(", "))),
            Some(Label::Subscribed { subscription }) => subscribed.push(format!("{name} ({subscription}){trouble}")),
            Some(Label::Unknown) | None => match r.brought.get(name) {
                Some(_) if shown.contains(&name.to_owned()) => {}
                Some(subscription) => brought.push(format!("{name} ({subscription})")),
                None => unknown.push(format!("{name}: {}", newest(topic))),
            },
        }
    }
    out.list("read already", &read);
    out.list("subscribed to, and no meter or sensor reads it", &subscribed);
    out.list("comes with what is proposed", &brought);
    out.list("not known here", &unknown);
}

/// What a topic nobody knows looks like.
fn newest(t: &Topic) -> String {
    const SHOWN: usize = 60;
    let Some(payload) = t.newest() else {
        return if t.bytes == 0 { "empty".to_owned() } else { count(t.bytes, "byte") };
    };
    let text = excerpt(&payload[..payload.len().min(SHOWN)]);
    if payload.len() > SHOWN { format!("{text}… ({} bytes)", payload.len()) } else { text }
}

struct Lines(String);

impl Lines {
    /// For people.
    fn say(&mut self, line: &str) {
        // Whoever publishes decides what stands in it.
        let harmless = |c: char| if c.is_control() { c.escape_default().collect() } else { String::from(c) };
        let line = format!("# {}", line.chars().map(harmless).collect::<String>());
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    /// For a file.
    fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }

    fn list(&mut self, head: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.gap();
        self.say(&format!("{head}: {}", lines.len()));
        for line in lines.iter().take(LINES) {
            self.say(&format!("    {line}"));
        }
        if lines.len() > LINES {
            self.say(&format!("    … {} more: --format json", lines.len() - LINES));
        }
    }
}

fn counted(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

fn count(n: usize, noun: &str) -> String {
    counted(u64::try_from(n).unwrap_or(u64::MAX), noun)
}
