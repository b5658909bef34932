//! Adopting what was heard: tried as a proposal is, then written into the database. The config file stays as it is.

use super::proof::{newest, topics};
use super::shown;
use crate::config::{self, Adopted, AdoptedKind, Config, LoadError};
use crate::daemon::configured;
use crate::domain::device::FLAGS_COLUMN;
use crate::domain::flag::{Flag, FlagSet};
use crate::domain::time::Ts;
use crate::domain::topology::Point;
use crate::ingest::decode::Clock;
use crate::ingest::discover::Heard;
use crate::store::AdoptedRecord;
use crate::web::{AdoptProblem, AdoptWish, AdoptedPoint};
use std::path::Path;

/// What may be written, and what the daemon will read by it.
#[derive(Debug)]
pub struct Tested {
    pub entries: Vec<Adopted>,
    pub points: Vec<AdoptedPoint>,
}

/// Where a problem stands that is in none of the entries.
const WISH: &str = "what is to be adopted";

/// Tries it: the config file as it is now, with all that was adopted before and this, must be a config; its profile must prove itself; and of
/// what was heard of its devices the daemon must make readings.
pub fn test(
    path: &Path,
    stored: &[(u64, AdoptedRecord)],
    wish: &AdoptWish,
    heard: Option<&Heard>,
    (now, sure): (Ts, bool),
) -> Result<Tested, Vec<AdoptProblem>> {
    let written = configured::file(path).map_err(|e| told(&e))?;
    let mut entries = vec![];
    if let Some((name, text)) = &wish.profile {
        entries.push(Adopted { kind: AdoptedKind::Profile, key: name.clone(), toml: text.clone() });
    }
    let of_text = |p: config::Problem| problem(WISH.to_owned(), p);
    entries.extend(config::entries(&wish.toml).map_err(|p| p.into_iter().map(of_text).collect::<Vec<_>>())?);
    let before = configured::adopted(stored);
    let mut problems: Vec<AdoptProblem> = entries.iter().filter_map(|e| taken(e, &before, written.config())).collect();
    if let Some((name, _)) = &wish.profile {
        let used = entries.iter().any(|e| e.kind == AdoptedKind::Subscription && config::profile_of(&e.toml).as_deref() == Some(name));
        let wrong = match () {
            // It is the name of a file, should it be exported.
            () if !config::is_slug(name) => Some(("its name is none", "a-z, 0-9 and -")),
            () if written.has_profile(name) => Some(("there is a profile of this name", "a name of its own")),
            () if !used => Some(("no subscription here names it", "profile = \"…\" in [[mqtt.subscriptions]], or no profile")),
            () => None,
        };
        problems.extend(wrong.map(|(what, right)| of_entry(&entries[0], what, right)));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let all: Vec<Adopted> = before.into_iter().chain(entries.iter().cloned()).collect();
    let joined = configured::joined(written, &all).map_err(|e| told(&e))?;
    let clock = Clock { now, sure, since: joined.config.topology.since };
    let mut points = vec![];
    let mut topics = topics(&joined.config);
    let is_new = |p: &&Point| entries.iter().any(|e| matches!(e.kind, AdoptedKind::Meter | AdoptedKind::Sensor) && e.key == p.key);
    for p in joined.config.topology.points.iter().filter(is_new) {
        let Some(binding) = &p.source else { continue };
        let read = newest(heard.into_iter().flat_map(Heard::topics), &mut topics, binding, clock);
        let columns = &joined.config.topology.feed(binding.feed).columns;
        let missing = match binding.column {
            Some(c) => read.values.get(usize::from(c)).is_none(),
            None => read.values.is_empty(),
        };
        if read.topics > 0 && missing {
            let what = read.why.unwrap_or_else(|| "nothing that came by its topic is a reading of it".to_owned());
            let right = "what the device sends: compare topic, profile, column and unit with its newest message";
            problems.extend(entries.iter().find(|e| e.key == p.key).map(|e| of_entry(e, &what, right)));
        }
        let values: Vec<_> = read.values.iter().filter_map(|(c, v)| Some((columns.get(c)?, v))).collect();
        let numbers = values.iter().filter(|(c, _)| c.name != FLAGS_COLUMN).map(|(c, v)| (c.name.clone(), shown(c, *v)));
        let flags = values
            .iter()
            .filter(|(c, _)| c.name == FLAGS_COLUMN)
            .flat_map(|(_, v)| FlagSet::of_column(*v).iter().map(Flag::code).collect::<Vec<_>>());
        points.push(AdoptedPoint { key: p.key.clone(), heard: read.topics > 0, values: numbers.collect(), flags: flags.collect() });
    }
    if problems.is_empty() { Ok(Tested { entries, points }) } else { Err(problems) }
}

/// Whether what was adopted still is a config without this entry.
pub fn test_drop(path: &Path, stored: &[(u64, AdoptedRecord)], (kind, key): (AdoptedKind, &str)) -> Result<(), Vec<AdoptProblem>> {
    let written = configured::file(path).map_err(|e| told(&e))?;
    let mut left = configured::adopted(stored);
    left.retain(|a| !(a.kind == kind && a.key == key));
    configured::joined(written, &left).map_err(|e| told(&e))?;
    Ok(())
}

/// The name of an entry may be given once.
fn taken(e: &Adopted, before: &[Adopted], config: &Config) -> Option<AdoptProblem> {
    let right = "a name of its own";
    if before.iter().any(|b| b.kind == e.kind && b.key == e.key) {
        return Some(of_entry(e, "it is adopted already", right));
    }
    let in_file = match e.kind {
        AdoptedKind::Profile => false,
        AdoptedKind::Subscription => config.mqtt.iter().flat_map(|m| &m.subscriptions).any(|s| s.name == e.key),
        AdoptedKind::Meter | AdoptedKind::Sensor => config.topology.points.iter().any(|p| p.key == e.key),
    };
    in_file.then(|| of_entry(e, "the config file has one of this name", right))
}

fn told(e: &LoadError) -> Vec<AdoptProblem> {
    match e {
        LoadError::Io { path, source } => vec![AdoptProblem {
            at: path.display().to_string(),
            line: None,
            key: None,
            what: source.to_string(),
            right: "a config file that the gateway may read".to_owned(),
            quote: None,
        }],
        LoadError::Problems(files) => {
            let of = |f: &config::FileProblems| {
                let at = f.file.display().to_string();
                f.problems.iter().map(move |p| problem(at.clone(), p.clone())).collect::<Vec<_>>()
            };
            files.iter().flat_map(of).collect()
        }
    }
}

fn problem(at: String, p: config::Problem) -> AdoptProblem {
    AdoptProblem { at, line: Some(p.line), key: Some(p.key), what: p.what, right: p.right, quote: Some(p.quote) }
}

fn of_entry(e: &Adopted, what: &str, right: &str) -> AdoptProblem {
    AdoptProblem { at: e.to_string(), line: None, key: None, what: what.to_owned(), right: right.to_owned(), quote: None }
}
