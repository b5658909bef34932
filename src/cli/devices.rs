//! `heyun devices`.

use super::args::Devices;
use super::{Error, answer};
use crate::config::{self, Catalogue};
use crate::domain::device::{FlagRule, Format, Profile, Says};
use crate::domain::flag::Flag;
use crate::domain::time::Ms;
use std::fmt::Write as _;

/// Lists the profiles, or tells all of one.
pub fn list(args: &Devices) -> Result<(), Error> {
    let catalogue = match &args.config {
        None => Catalogue::default(),
        Some(path) => {
            let (catalogue, wrong) = config::own_devices(path).map_err(|e| Error::config(path, e))?;
            if !wrong.is_empty() {
                return Err(Error::ConfigProblems { path: path.clone(), files: wrong });
            }
            catalogue
        }
    };
    let names = catalogue.names();
    let profiles = || names.iter().filter_map(|n| catalogue.get(n).flatten());
    match &args.name {
        Some(name) => match profiles().find(|p| p.name == *name) {
            Some(profile) => answer(&all_of(&profile)),
            None => return Err(Error::UnknownDevice { name: name.clone(), known: names.iter().map(|n| (*n).to_owned()).collect() }),
        },
        None => {
            let width = names.iter().map(|n| n.len()).max().unwrap_or(0);
            profiles().for_each(|p| answer(&format!("{:width$}  {}", p.name, p.title)));
        }
    }
    Ok(())
}

/// The topics of its messages, each once.
fn topics(p: &Profile) -> Vec<&str> {
    let mut topics: Vec<&str> = vec![];
    for m in &p.messages {
        if !topics.contains(&m.topic.as_str()) {
            topics.push(m.topic.as_str());
        }
    }
    topics
}

fn format(f: Format) -> &'static str {
    match f {
        Format::Plain => "plain",
        Format::Json => "JSON",
        Format::Senml => "SenML",
        Format::Cjt188 => "CJ/T 188",
    }
}

fn formats(p: &Profile) -> String {
    let mut all: Vec<&str> = vec![];
    for m in p.messages.iter().filter(|m| matches!(m.says, Says::Values { .. })) {
        if !all.contains(&format(m.format)) {
            all.push(format(m.format));
        }
    }
    all.join(", ")
}

fn hours(d: Ms) -> String {
    format!("{} h", d.0 / 3_600_000)
}

/// True if a message of it tells when it was measured.
fn is_timed(p: &Profile) -> bool {
    p.messages.iter().any(|m| matches!(&m.says, Says::Values { time, .. } if !time.is_empty()))
}

fn columns(p: &Profile) -> Vec<String> {
    p.columns.iter().map(|c| c.name.clone()).collect()
}

fn flags(p: &Profile) -> Vec<&'static str> {
    let mut out: Vec<&'static str> = vec![];
    for m in &p.messages {
        let Says::Values { flags, .. } = &m.says else { continue };
        let of = |f: &FlagRule| {
            let sets = f.raise.iter().map(|(_, set)| *set).chain(f.bits.iter().map(|(_, set)| *set));
            // That something is not known is no property of the device.
            let otherwise = Some(f.otherwise).filter(|flag| *flag != Flag::UnknownStatus);
            sets.flat_map(|set| set.iter().collect::<Vec<_>>()).chain(otherwise).collect::<Vec<_>>()
        };
        for flag in flags.iter().flat_map(of) {
            if !out.contains(&flag.code()) {
                out.push(flag.code());
            }
        }
    }
    out
}

fn all_of(p: &Profile) -> String {
    let mut out = format!("{}: {}\n\n{}\n\n", p.name, p.title, wrapped(&p.about));
    let mut line = |name: &str, text: &str| {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{name:10}{text}");
    };
    line("topics", &topics(p).join("\n          "));
    line("format", &formats(p));
    line("columns", &columns(p).join(", "));
    line("flags", &if flags(p).is_empty() { "none".to_owned() } else { flags(p).join(", ") });
    line("presence", if p.messages.iter().any(|m| matches!(m.says, Says::Presence { .. })) { "told" } else { "not told" });
    line("time", if is_timed(p) { "its own" } else { "that of arrival" });
    if let Some(wakes) = p.wakes {
        line("wakes", &format!("at least every {}", hours(wakes)));
    }
    line("examples", &p.examples.len().to_string());
    line("source", &p.source);
    out.truncate(out.trim_end().len());
    out
}

/// A text of one line as one of several, of at most 100 characters.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let n = word.chars().count();
        if width > 0 && width + 1 + n > 100 {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += n;
    }
    out
}

/// The table of all shipped profiles, as `docs/devices.md` has it.
pub fn table() -> String {
    let mut out = String::from(
        "# Devices that are understood\n\n\
         Made from the profiles in `config/devices` by `HEYUN_REGENERATE=1 cargo test --test devices`; do not edit. `heyun devices NAME` tells more of \
         one; how to add one of your own: [guide/devices.md](guide/devices.md).\n\n\
         | profile | device | topic | format | columns | flags | time | wakes | examples |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    let catalogue = Catalogue::default();
    let mut examples = 0;
    for p in catalogue.names().iter().filter_map(|n| catalogue.get(n).flatten()) {
        examples += p.examples.len();
        let topics: Vec<String> = topics(&p).iter().map(|t| format!("`{t}`")).collect();
        let wakes = p.wakes.map_or_else(|| "–".to_owned(), hours);
        let time = if is_timed(&p) { "own" } else { "arrival" };
        let cells = [&topics.join("<br>"), &formats(&p), &columns(&p).join(", "), &flags(&p).join(", ")];
        let cells = cells.map(|c| if c.is_empty() { "–" } else { c }).join(" | ");
        // Writing into a String cannot fail.
        let _ = writeln!(out, "| `{}` | {} | {cells} | {time} | {wakes} | {} |", p.name, p.title, p.examples.len());
    }
    // Writing into a String cannot fail.
    let _ = writeln!(out, "\n{examples} examples, all of which are run by the tests. What an installer should know of each:\n");
    for p in catalogue.names().iter().filter_map(|n| catalogue.get(n).flatten()) {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "- **{}**: {} (Source: {})", p.name, p.about.trim(), p.source.trim_end_matches('.'));
    }
    out
}
