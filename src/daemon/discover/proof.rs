//! Whether a proposal is right: the config with it must be a config, and the daemon must read by it what was heard.

use super::{Failed, Tried, settings};
use crate::config::{self, Config, Joined, Problem};
use crate::domain::device::FLAGS_COLUMN;
use crate::domain::engine::Input;
use crate::domain::flag::FlagSet;
use crate::domain::reading::{Reading, Values};
use crate::domain::topology::{Binding, Column, FeedIx, PlaceKind};
use crate::ingest::decode::{Clock, Message, Spec, decode, prove, shown_number};
use crate::ingest::discover::heard::Topic;
use crate::ingest::discover::{Device, Heard, How, Proposal};
use crate::ingest::mqtt::Topics;
use std::collections::BTreeMap;

/// How often the config is read with one more proposal in it. Beyond, a proposal that does not go with the others is told as such, untried.
const TRIES: usize = 400;

/// What proposals are tried on.
pub struct Bench<'a> {
    joined: &'a Joined,
    heard: &'a Heard,
    clock: Clock,
    /// Of the config, where a meter of any kind but a household's may stand.
    place: Option<String>,
}

pub struct Settled {
    pub tried: Vec<Tried>,
    pub failed: Vec<Failed>,
    /// Meters and sensors that must name their subscription beside what is proposed: there was only one that could be meant.
    pub amend: Vec<(String, String)>,
    /// The config with all that was accepted.
    config: Option<Config>,
}

/// A proposal with the text of its profile, if it needs one.
struct Drafted {
    proposal: Proposal,
    own: Option<String>,
}

/// What was taken in so far.
#[derive(Default)]
struct Gathered {
    accepted: Vec<Drafted>,
    failed: Vec<Failed>,
    tries: usize,
}

impl<'a> Bench<'a> {
    pub fn new(joined: &'a Joined, heard: &'a Heard, clock: Clock) -> Bench<'a> {
        let topology = &joined.config.topology;
        let place = topology.places.iter().find(|p| p.kind != PlaceKind::Household).map(|p| p.key.clone());
        Bench { joined, heard, clock, place }
    }

    /// What goes, together; what does not, with the reason.
    pub fn settle(&self, proposals: Vec<Proposal>) -> Settled {
        let mut joined = Gathered::default();
        let drafts = self.drafts(proposals, &mut joined.failed);
        self.join(drafts, &mut joined);
        let Gathered { accepted, mut failed, .. } = joined;
        let Ok(config) = self.config(&accepted, Where::Behind) else {
            return Settled { tried: vec![], failed, amend: vec![], config: None };
        };
        let amend = if self.config(&accepted, Where::InFile).is_ok() { vec![] } else { self.joined.unnamed() };
        let mut topics = topics(&config);
        let mut tried = vec![];
        for (i, Drafted { proposal, own }) in accepted.into_iter().enumerate() {
            let (mut devices, mut values) = (vec![], vec![]);
            for (j, device) in proposal.devices.iter().enumerate() {
                match self.read(&config, &mut topics, device, (i, j)) {
                    Ok(read) => {
                        devices.push(device.clone());
                        values.push(read);
                    }
                    Err(why) => failed.push(Failed { topics: device.topics.clone(), by: proposal.name.clone(), why }),
                }
            }
            if !devices.is_empty() {
                tried.push(Tried { proposal: Proposal { devices, ..proposal }, own, values });
            }
        }
        Settled { tried, failed, amend, config: Some(config) }
    }

    /// Takes these in beside what is accepted: all at once, or one half after the other, so that few that do not go cost few tries. What does
    /// not go alone goes device by device, or not at all.
    fn join(&self, drafts: Vec<Drafted>, joined: &mut Gathered) {
        if drafts.is_empty() {
            return;
        }
        joined.tries += 1;
        if joined.tries > TRIES {
            let why = "not tried: too many others do not go together; --filter asks for less";
            joined.failed.extend(drafts.iter().map(|d| not(&d.proposal, why.to_owned())));
            return;
        }
        let before = joined.accepted.len();
        joined.accepted.extend(drafts);
        let Err(why) = self.config(&joined.accepted, Where::Behind) else { return };
        let mut first = joined.accepted.split_off(before);
        if first.len() > 1 {
            let second = first.split_off(first.len() / 2);
            self.join(first, joined);
            self.join(second, joined);
            return;
        }
        let Some(Drafted { proposal, .. }) = first.pop() else { return };
        let alone = proposal.written_out();
        if alone.is_empty() {
            joined.failed.push(not(&proposal, why));
        }
        let drafts = self.drafts(alone, &mut joined.failed);
        self.join(drafts, joined);
    }

    /// Those that can be drafted.
    fn drafts(&self, proposals: Vec<Proposal>, failed: &mut Vec<Failed>) -> Vec<Drafted> {
        let mut drafts = vec![];
        for p in proposals {
            match self.draft(p) {
                Ok(d) => drafts.push(d),
                Err(f) => failed.push(f),
            }
        }
        drafts
    }

    /// With the text of the profile that has to be written: what its example gives is what the decoder makes of the message.
    fn draft(&self, proposal: Proposal) -> Result<Drafted, Failed> {
        let How::Own(form) = &proposal.how else { return Ok(Drafted { proposal, own: None }) };
        let problems = |p: Vec<Problem>| p.first().map_or_else(String::new, |p| p.what.clone());
        let made = || -> Result<String, String> {
            let mut why = "nothing came by its topic".to_owned();
            let devices = proposal.devices.iter().filter_map(|d| Some((d, self.heard.topic(&d.exact)?)));
            for (device, payload) in devices.flat_map(|(d, t)| t.samples().map(move |s| (d, s))) {
                let with = |expect: &str| form.text((&device.exact, payload, expect));
                let profile = config::parse_device(&proposal.name, &with("{ nothing = true }")).map_err(problems)?;
                let spec = Spec::whole(FeedIx(0), jiff::tz::TimeZone::UTC, &profile);
                let message = Message { source: None, topic: device.exact.as_str().into(), payload, retained: false };
                let mut out = vec![];
                decode(&spec, &message, self.clock, &mut out);
                let reading = match out.first() {
                    Some(Input::Reading(r)) => r,
                    Some(Input::Refused(r)) => {
                        why = r.reason.to_string();
                        continue;
                    }
                    _ => continue,
                };
                let text = with(&expectation(&profile.columns, reading));
                let profile = config::parse_device(&proposal.name, &text).map_err(problems)?;
                return match prove(&profile, &jiff::tz::TimeZone::UTC).first() {
                    None => Ok(text),
                    Some(f) => Err(format!("its example gives {}", f.got)),
                };
            }
            Err(why)
        };
        match made() {
            Ok(text) => Ok(Drafted { own: Some(text), proposal }),
            Err(why) => Err(not(&proposal, why)),
        }
    }

    /// The config with these proposals, or the first thing that is wrong then.
    fn config(&self, drafts: &[Drafted], place: Where) -> Result<Config, String> {
        const PLACE: &str = "heyun-discover-place";
        let first = |p: Vec<Problem>| p.first().map_or_else(String::new, |p| format!("{}: {}", p.key, p.what));
        let mut catalogue = self.joined.catalogue.clone();
        let mut text = format!("{}\n", self.joined.added);
        if self.place.is_none() {
            text.push_str(&format!("[[compounds]]\nid = \"{PLACE}\"\nname = \"x\"\n"));
        }
        for (i, Drafted { proposal, own }) in drafts.iter().enumerate() {
            if let Some(own) = own {
                catalogue.add(&proposal.name, own).map_err(first)?;
            }
            text.push_str(&proposal.subscription_toml().unwrap_or_default());
            for (j, device) in proposal.devices.iter().enumerate() {
                for (k, entry) in device.entries.iter().enumerate() {
                    text.push_str(&proposal.entry_toml(device, entry, Some((&id(i, j, k), self.place.as_deref().unwrap_or(PLACE)))));
                }
            }
        }
        let written = &self.joined.written;
        match place {
            Where::Behind => config::parse_with(written, &text, catalogue),
            Where::InFile => config::parse(&format!("{written}\n{text}"), catalogue),
        }
        .map_err(first)
    }

    /// What the daemon would read of a device, the newest of each column.
    fn read(&self, config: &Config, topics: &mut Topics, device: &Device, (i, j): (usize, usize)) -> Result<Vec<(Column, i64)>, String> {
        let point = |k| config.topology.points.iter().find(|p| p.key == id(i, j, k)).and_then(|p| p.source.as_ref());
        let binding = point(0).ok_or("it has no source")?;
        let columns = config.topology.feeds.get(usize::from(binding.feed.0)).map(|f| f.columns.as_slice()).unwrap_or_default();
        let names = device.topics.iter().filter_map(|name| Some((name.as_str(), self.heard.topic(name)?)));
        let Read { values, why, .. } = newest(names, topics, binding, self.clock);
        let registers = (0..device.entries.len()).filter_map(|k| point(k)?.column).map(usize::from);
        let missing = registers.into_iter().any(|c| values.get(c).is_none());
        if values.is_empty() || missing {
            return Err(why.unwrap_or_else(|| "the daemon would not read its messages".to_owned()));
        }
        Ok(values.iter().filter_map(|(c, v)| Some((columns.get(c)?.clone(), v))).collect())
    }
}

/// Where proposals are tried: behind the file, as what is adopted; or written into it.
#[derive(Clone, Copy)]
enum Where {
    Behind,
    InFile,
}

/// What the daemon makes of what was heard.
pub struct Read {
    /// The newest of each column.
    pub values: Values,
    /// Why a message was refused.
    pub why: Option<String>,
    /// Topics that belong to the source.
    pub topics: usize,
}

/// What the daemon would read of a source, in what came by these topics.
pub fn newest<'t>(heard: impl Iterator<Item = (&'t str, &'t Topic)>, topics: &mut Topics, binding: &Binding, clock: Clock) -> Read {
    let mut read = Read { values: Values::NONE, why: None, topics: 0 };
    for (name, topic) in heard {
        let (known, spec) = topics.find(name);
        let Some(spec) = spec.filter(|spec| spec.feed() == binding.feed) else { continue };
        // A device that its messages name has a source behind the topic's.
        let of_all = known
            .source
            .as_ref()
            .is_some_and(|s| binding.topic.strip_prefix(&**s).is_some_and(|rest| rest.is_empty() || rest.starts_with('#')));
        read.topics += usize::from(of_all);
        for payload in topic.samples() {
            let message = Message { source: known.source.clone(), topic: known.topic.clone(), payload, retained: false };
            let mut out = vec![];
            decode(spec, &message, clock, &mut out);
            for input in out.into_iter().rev() {
                match input {
                    Input::Reading(r) if r.feed == binding.feed && *r.topic == binding.topic => {
                        for (c, v) in r.values.iter() {
                            read.values.set(c, read.values.get(c).unwrap_or(v));
                        }
                    }
                    Input::Refused(r) if of_all => read.why = read.why.or(Some(r.reason.to_string())),
                    _ => {}
                }
            }
        }
    }
    read
}

impl Settled {
    /// The subscriptions that bring what nobody reads yet, by topic.
    pub fn brought(&self, heard: &Heard) -> BTreeMap<String, String> {
        let Some(config) = &self.config else { return BTreeMap::new() };
        let mut topics = topics(config);
        let kept: Vec<&str> = self.tried.iter().map(|t| t.proposal.name.as_str()).collect();
        let mut by = |name: &str| {
            let feed = topics.find(name).1?.feed();
            let subscription = config.topology.feeds.get(usize::from(feed.0))?.name.clone();
            kept.contains(&subscription.as_str()).then_some(subscription)
        };
        heard.topics().filter_map(|(name, _)| Some((name.to_owned(), by(name)?))).collect()
    }
}

pub fn topics(config: &Config) -> Topics {
    Topics::new(config.mqtt.as_ref().map(|m| settings::subscriptions(config, m)).unwrap_or_default())
}

/// What stands for the id while it is tried.
fn id(i: usize, j: usize, k: usize) -> String {
    format!("heyun-discover-{i}-{j}-{k}")
}

fn not(p: &Proposal, why: String) -> Failed {
    let by = match &p.how {
        How::Profile { profile, .. } => format!("profile {profile}"),
        How::Existing => format!("subscription {}", p.name),
        How::Inline { .. } | How::Own(_) => p.name.clone(),
    };
    Failed { topics: p.devices.iter().flat_map(|d| d.topics.iter().cloned()).collect(), by, why }
}

/// A reading as an example expects it.
fn expectation(columns: &[Column], r: &Reading) -> String {
    let mut parts = vec![];
    for (i, v) in r.values.iter() {
        let Some(c) = columns.get(i) else { continue };
        if c.name == FLAGS_COLUMN {
            let flags: Vec<String> = FlagSet::of_column(v).iter().map(|f| format!("\"{}\"", f.code())).collect();
            parts.push(format!("flags = [{}]", flags.join(", ")));
        } else {
            parts.push(format!("{} = \"{}\"", c.name, shown_number(c.quantity, v)));
        }
    }
    format!("{{ {} }}", parts.join(", "))
}
