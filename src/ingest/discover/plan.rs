//! Of everything that was heard: what the config reads already, and what could be written to have the rest read.

use super::announced::{self, Announced, Form, Refusal};
use super::heard::{Heard, Topic};
use super::proposal::{Certainty, Column, Device, Entry, How, OwnForm, Proposal, slug};
use super::rank::{self, Reads};
use crate::domain::device::Profile;
use crate::domain::engine::Input;
use crate::domain::reading::Reject;
use crate::domain::topology::{self, FeedIx, Topology};
use crate::domain::units::Unit;
use crate::ingest::decode::{Clock, IDENTITY_MARK, Message, decode};
use crate::ingest::mqtt::{Subscription, Topics, matches};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most subscriptions that are proposed. Full: others are counted, and a smaller filter tells them.
const PROPOSALS: usize = 200;

/// The config's column where a subscription reads a value by keys of its own.
const FIRST_COLUMN: &str = "value";

/// What the gateway knows already.
pub struct Around<'a> {
    pub topology: &'a Topology,
    /// As the daemon hears them.
    pub subscriptions: Vec<Subscription>,
    /// By feed: the filter that names its sources.
    pub primary: Vec<String>,
    /// Profiles that may be proposed.
    pub profiles: &'a [Profile],
    pub clock: Clock,
}

/// How a topic stands to the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// Meters or sensors read it.
    Read {
        subscription: String,
        points: Vec<String>,
    },
    /// A subscription hears it, and no meter or sensor is there for it.
    Subscribed {
        subscription: String,
    },
    Unknown,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Plan {
    /// The surest first. Untried.
    pub proposals: Vec<Proposal>,
    /// Proposals beyond the most.
    pub more_proposals: usize,
    /// Of every topic, by name.
    pub labels: BTreeMap<String, Label>,
    /// Why the newest message of a topic that is subscribed to is not read.
    pub troubles: BTreeMap<String, String>,
    /// Announced, and not to be followed.
    pub refusals: Vec<Refusal>,
    pub more_refusals: usize,
    /// Announced topics that would be of use, and by which nothing came.
    pub unheard: Vec<(String, Option<String>)>,
    /// Announced, and nothing that is read here.
    pub skipped: usize,
}

/// Proposes what it can.
pub fn plan(heard: &Heard, around: &Around<'_>) -> Plan {
    let mut announced = Announced::read(heard);
    let mut forms: BTreeMap<&str, Form> = BTreeMap::new();
    let mut refused = vec![];
    for (topic, entities) in &announced.by_topic {
        let (form, not) = announced::form(entities);
        refused.extend(not);
        if let Some(form) = form {
            forms.insert(topic, form);
        }
    }
    let labels = |topic: &str| announced.by_topic.get(topic).and_then(|e| announced::label(e));
    let mut plan = Plan::default();
    let mut desk = Desk::new(around);
    let (mut profiled, mut told) = (Groups::default(), vec![]);
    for (name, topic) in heard.topics() {
        let label = desk.look(name, topic);
        if label == Label::Unknown {
            let entities: Vec<_> = announced.by_topic.get(name).into_iter().flatten().collect();
            let best = rank::best(around.profiles, name, topic, &entities, &around.topology.tz, around.clock);
            match (best, forms.get(name)) {
                (Some(reads), form) if form.is_none() || reads.certainty < Certainty::Announced => {
                    profiled.add(name, &reads, labels(name).as_deref());
                }
                (_, Some(form)) if topic.newest().is_some() => told.push((name, form)),
                _ => {}
            }
        }
        plan.labels.insert(name.to_owned(), label);
    }
    plan.troubles = std::mem::take(&mut desk.troubles);
    let mut proposals = desk.unread();
    proposals.extend(profiled.proposals());
    let kinds = |topic: &str| announced.by_topic.get(topic).and_then(|e| announced::kind(e));
    proposals.extend(announced_proposals(heard, &told, &labels, &kinds));
    plan.unheard = forms.keys().filter(|t| heard.topic(t).is_none()).map(|t| ((*t).to_owned(), labels(t))).collect();
    // Stable: within one certainty those with the most devices, then by name.
    proposals.sort_by_key(|p| (p.certainty, std::cmp::Reverse(p.devices.len())));
    plan.more_proposals = proposals.len().saturating_sub(PROPOSALS);
    proposals.truncate(PROPOSALS);
    let mut taken: BTreeSet<String> = around.topology.feeds.iter().map(|f| f.name.clone()).collect();
    for p in proposals.iter_mut().filter(|p| p.how != How::Existing) {
        p.name = slug(&p.name, |n| taken.contains(n));
        taken.insert(p.name.clone());
    }
    plan.proposals = proposals;
    refused.into_iter().for_each(|r| announced.refuse(r));
    (plan.refusals, plan.more_refusals, plan.skipped) = (announced.refusals, announced.more_refusals, announced.skipped);
    plan
}

/// What the config's own subscriptions make of the messages.
struct Desk<'a> {
    around: &'a Around<'a>,
    topics: Topics,
    /// Sources that meters or sensors read, with their keys.
    bound: BTreeMap<&'a str, Vec<&'a str>>,
    /// Sources that nobody reads: their feed, the topics that they were heard by, and the columns that said something.
    unread: BTreeMap<Arc<str>, (FeedIx, BTreeSet<String>, BTreeSet<usize>)>,
    troubles: BTreeMap<String, String>,
}

impl<'a> Desk<'a> {
    fn new(around: &'a Around<'a>) -> Desk<'a> {
        let mut bound: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for p in &around.topology.points {
            if let Some(b) = &p.source {
                bound.entry(&b.topic).or_default().push(&p.key);
            }
        }
        Desk { around, topics: Topics::new(around.subscriptions.clone()), bound, unread: BTreeMap::new(), troubles: BTreeMap::new() }
    }

    fn look(&mut self, name: &str, topic: &Topic) -> Label {
        let (known, spec) = self.topics.find(name);
        let Some(spec) = spec else { return Label::Unknown };
        let feed = spec.feed();
        let subscription = self.around.topology.feeds.get(usize::from(feed.0)).map(|f| f.name.clone()).unwrap_or_default();
        let mut out = vec![];
        for (i, payload) in topic.samples().enumerate() {
            let message = Message { source: known.source.clone(), topic: known.topic.clone(), payload, retained: false };
            decode(spec, &message, self.around.clock, &mut out);
            if let (0, [Input::Refused(r)]) = (i, out.as_slice())
                && r.reason != Reject::NoReading
            {
                self.troubles.insert(name.to_owned(), r.reason.to_string());
            }
        }
        for input in out {
            let Input::Reading(r) = input else { continue };
            if !self.bound.contains_key(&*r.topic) {
                let (_, topics, columns) = self.unread.entry(r.topic).or_insert_with(|| (feed, BTreeSet::new(), BTreeSet::new()));
                topics.insert(name.to_owned());
                columns.extend(r.values.iter().map(|(i, _)| i));
            }
        }
        let Some(source) = known.source else { return Label::Subscribed { subscription } };
        let of_it = |s: &str| s.strip_prefix(&*source).is_some_and(|rest| rest.is_empty() || rest.starts_with(IDENTITY_MARK));
        let points: Vec<String> = self.bound.iter().filter(|(s, _)| of_it(s)).flat_map(|(_, keys)| keys).map(|k| (*k).to_owned()).collect();
        if points.is_empty() { Label::Subscribed { subscription } } else { Label::Read { subscription, points } }
    }

    /// Devices that only want a meter or a sensor.
    fn unread(self) -> Vec<Proposal> {
        let mut by_feed: BTreeMap<u16, Vec<Device>> = BTreeMap::new();
        for (source, (feed, topics, columns)) in self.unread {
            let i = usize::from(feed.0);
            let (Some(f), Some(primary)) = (self.around.topology.feeds.get(i), self.around.primary.get(i)) else { continue };
            let (topic, identity) = match source.rsplit_once(IDENTITY_MARK) {
                Some((topic, id)) => (topic.to_owned(), Some(id.to_owned())),
                None => (source.to_string(), None),
            };
            let named = primary.split('/').zip(topic.split('/')).find(|(f, _)| *f == "+").map(|(_, t)| t.to_owned());
            let seen: Vec<usize> = columns.into_iter().collect();
            let device = Device {
                topics: topics.into_iter().collect(),
                exact: topic,
                named,
                identity,
                label: None,
                entries: Entry::of(&f.columns, &seen),
            };
            by_feed.entry(feed.0).or_default().push(device);
        }
        let name = |feed: u16| self.around.topology.feeds.get(usize::from(feed)).map(|f| f.name.clone()).unwrap_or_default();
        let proposal = |(feed, devices)| Proposal { certainty: Certainty::Subscribed, name: name(feed), how: How::Existing, devices };
        by_feed.into_iter().map(proposal).collect()
    }
}

/// Devices that one subscription with a profile could bring: by certainty, profile and topic.
#[derive(Default)]
struct Groups(BTreeMap<(Certainty, String, Option<String>), Group>);

struct Group {
    how: How,
    /// By their own topics and the ids in their messages.
    parts: BTreeMap<(String, Option<String>), Part>,
}

/// What is known of one device so far: each of its topics adds to it.
struct Part {
    device: Device,
    seen: BTreeSet<usize>,
    columns: Vec<topology::Column>,
}

impl Groups {
    fn add(&mut self, name: &str, reads: &Reads<'_>, label: Option<&str>) {
        let profile = reads.profile;
        // What is only guessed gets a subscription for this topic alone, and a number one whose unit can be changed.
        let guess = reads.certainty == Certainty::Guess;
        let (topic, how) = if guess && reads.plain {
            let column = Column { name: FIRST_COLUMN.to_owned(), at: None, unit: Unit::CubicMetre };
            (Some(name.to_owned()), How::Inline { topic: name.to_owned(), columns: vec![column] })
        } else {
            let topic = if guess { Some(reads.exact.clone()) } else { reads.filter.clone() };
            let wide = reads.wide && !guess;
            (topic.clone(), How::Profile { profile: profile.name.clone(), title: profile.title.clone(), topic, wide })
        };
        let key = (reads.certainty, profile.name.clone(), topic);
        let group = self.0.entry(key).or_insert_with(|| Group { how, parts: BTreeMap::new() });
        let inline = matches!(group.how, How::Inline { .. });
        for (identity, seen) in &reads.devices {
            let exact = if inline { name.to_owned() } else { reads.exact.clone() };
            let part = group.parts.entry((exact.clone(), identity.clone())).or_insert_with(|| {
                let device = Device {
                    topics: vec![],
                    exact,
                    named: reads.named.clone().filter(|_| !inline),
                    identity: identity.clone(),
                    label: label.map(str::to_owned),
                    entries: vec![],
                };
                Part { device, seen: BTreeSet::new(), columns: profile.columns.clone() }
            });
            part.device.topics.push(name.to_owned());
            part.seen.extend(seen);
        }
    }

    fn proposals(self) -> Vec<Proposal> {
        let finished = |part: Part| {
            let seen: Vec<usize> = part.seen.into_iter().collect();
            Device { entries: Entry::of(&part.columns, &seen), ..part.device }
        };
        let mut out = vec![];
        for ((certainty, profile, topic), Group { how, parts }) in self.0 {
            let name = if matches!(how, How::Inline { .. }) { topic.unwrap_or(profile) } else { profile };
            out.push(Proposal { certainty, name, how, devices: parts.into_values().map(finished).collect() });
        }
        out
    }
}

/// What is announced of a topic.
type Says<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Topics of one form that differ in one level come by one subscription, if nothing else comes by it.
fn announced_proposals(heard: &Heard, told: &[(&str, &Form)], label: Says<'_>, kind: Says<'_>) -> Vec<Proposal> {
    let mut by_form: BTreeMap<&Form, Vec<&str>> = BTreeMap::new();
    for (topic, form) in told {
        by_form.entry(form).or_default().push(topic);
    }
    let mut out = vec![];
    for (form, topics) in by_form {
        match common_filter(&topics).filter(|(filter, _)| heard.topics().all(|(t, _)| !matches(filter, t) || topics.contains(&t))) {
            Some((filter, level)) => {
                let called = topics.iter().find_map(|t| kind(t));
                out.push(of_form(form, &filter, &topics, Some(level), label, called));
            }
            None => out.extend(topics.iter().map(|t| of_form(form, t, &[t], None, label, label(t)))),
        }
    }
    out
}

/// The filter with one + of topics that differ in one level, and which level that is.
fn common_filter(topics: &[&str]) -> Option<(String, usize)> {
    let first: Vec<&str> = topics.first()?.split('/').collect();
    let mut differing = BTreeSet::new();
    for t in topics {
        let levels: Vec<&str> = t.split('/').collect();
        if levels.len() != first.len() {
            return None;
        }
        differing.extend((0..first.len()).filter(|i| levels.get(*i) != first.get(*i)));
    }
    let level = *differing.first().filter(|_| differing.len() == 1)?;
    let filter: Vec<&str> = first.iter().enumerate().map(|(i, l)| if i == level { "+" } else { l }).collect();
    Some((filter.join("/"), level))
}

fn of_form(form: &Form, filter: &str, topics: &[&str], level: Option<usize>, label: Says<'_>, called: Option<String>) -> Proposal {
    let labels: Vec<Option<String>> = topics.iter().map(|t| label(t)).collect();
    let title = called.unwrap_or_else(|| filter.to_owned());
    let mut columns = form.columns.clone();
    let how = if form.flags.is_empty() {
        if let Some(first) = columns.first_mut() {
            first.name = FIRST_COLUMN.to_owned();
        }
        How::Inline { topic: filter.to_owned(), columns }
    } else {
        let topic = filter.split('/').map(|l| if l == "+" { "{device}" } else { l }).collect::<Vec<_>>().join("/");
        How::Own(OwnForm { title: title.clone(), topic, columns, flags: form.flags.clone() })
    };
    let mut proposal = Proposal { certainty: Certainty::Announced, name: title, how, devices: vec![] };
    let columns = proposal.own_columns().unwrap_or_default();
    let seen: Vec<usize> = (0..columns.len()).collect();
    let device = |(topic, label): (&&str, Option<String>)| Device {
        topics: vec![(*topic).to_owned()],
        exact: (*topic).to_owned(),
        named: level.and_then(|l| topic.split('/').nth(l)).map(str::to_owned),
        identity: None,
        label,
        entries: Entry::of(&columns, &seen),
    };
    proposal.devices = topics.iter().zip(labels).map(device).collect();
    proposal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_differ_in_one_level_have_a_filter() {
        assert_eq!(common_filter(&["a/1/s", "a/2/s", "a/3/s"]), Some(("a/+/s".into(), 1)));
        assert_eq!(common_filter(&["a/1/s"]), None);
        assert_eq!(common_filter(&["a/1/s", "a/2/t"]), None);
        assert_eq!(common_filter(&["a/1/s", "a/2"]), None);
        assert_eq!(common_filter(&["1", "2"]), Some(("+".into(), 0)));
    }
}
