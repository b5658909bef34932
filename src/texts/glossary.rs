//! `glossary.json`: every word that people see, once, under a dotted key: `{"zh": "…{name}…", "en": "…{name}…"}`.

use super::{Decimal, Text};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

const JSON: &str = include_str!("../../glossary.json");

#[derive(Deserialize)]
struct Entry {
    zh: String,
    en: String,
}

/// The pages' own words (`ui.`) are not ours to keep in memory.
static GLOSSARY: LazyLock<BTreeMap<String, Entry>> = LazyLock::new(|| {
    let mut all: BTreeMap<String, Entry> = serde_json::from_str(JSON).unwrap_or_default();
    all.retain(|key, _| !key.starts_with("ui."));
    all
});

/// What is put where a text says `{name}`.
pub struct Arg(Text);

impl From<Text> for Arg {
    fn from(t: Text) -> Arg {
        Arg(t)
    }
}
impl From<&str> for Arg {
    fn from(s: &str) -> Arg {
        Arg(Text::same(s))
    }
}
impl From<&String> for Arg {
    fn from(s: &String) -> Arg {
        Arg(Text::same(s.as_str()))
    }
}
impl From<String> for Arg {
    fn from(s: String) -> Arg {
        Arg(Text::same(s))
    }
}
impl From<Decimal> for Arg {
    fn from(d: Decimal) -> Arg {
        Arg(Text::same(d.to_string()))
    }
}
macro_rules! whole_numbers {
    ($($t:ty),*) => {$(impl From<$t> for Arg {
        fn from(n: $t) -> Arg {
            Arg(Text::same(n.to_string()))
        }
    })*};
}
whole_numbers!(i8, i16, u32, u64, i64, usize);

/// The words under `key`, with the arguments in their places. A key that the glossary does not have is shown as it is: a missing word must
/// not keep an alarm back. (A test holds every key in the code against the glossary.)
pub fn say(key: &str, args: &[(&str, Arg)]) -> Text {
    match GLOSSARY.get(key) {
        Some(entry) => Text { zh: fill(&entry.zh, args, |t| &t.zh), en: fill(&entry.en, args, |t| &t.en) },
        None => Text::same(key),
    }
}

/// Arguments are put in once: what looks like a placeholder within a person's words stays as it is.
fn fill(template: &str, args: &[(&str, Arg)], language: impl Fn(&Text) -> &String) -> String {
    let mut out = String::with_capacity(template.len() + 16 * args.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match args.iter().find(|(n, _)| *n == name) {
            Some((_, arg)) => out.push_str(language(&arg.0)),
            // Writing to a string cannot fail.
            None => drop(write!(out, "{{{name}}}")),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn entries() -> BTreeMap<String, Entry> {
        serde_json::from_str(JSON).unwrap()
    }

    fn places(template: &str) -> BTreeSet<&str> {
        template.split('{').skip(1).filter_map(|s| s.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn arguments_find_their_places_once() {
        let args = [("a", "{b}".into()), ("b", Text::new("乙", "B").into())];
        assert_eq!(fill("{a} {b} {c} {", &args, |t| &t.en), "{b} B {c} {");
        assert_eq!(fill("{b}", &args, |t| &t.zh), "乙");
    }

    #[test]
    fn both_languages_have_the_same_arguments_and_english_has_no_chinese() {
        for (key, e) in entries() {
            assert!(!e.zh.is_empty() && !e.en.is_empty(), "{key} is empty");
            assert_eq!(places(&e.zh), places(&e.en), "{key}");
            let han = |c: char| ('\u{3000}'..='\u{9fff}').contains(&c) || ('\u{ff00}'..='\u{ffef}').contains(&c);
            // The programme's own name, and the switch to the other language, stand in their own script.
            let own_script = ["ui.name", "ui.lang.other"].contains(&key.as_str());
            assert!(own_script || !e.en.chars().any(han), "{key}: {}", e.en);
        }
    }
}
