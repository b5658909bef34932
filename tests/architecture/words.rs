//! `glossary.json` is the one place of words: no Chinese stands elsewhere, no key is missing, none is left over.

use super::source::{Token, before_tests, tokens};
use super::{complains, none, none_in, read, root, rust_files};
use std::collections::BTreeMap;
use std::fs;

/// Chinese that is no text for people: units that meters send, punctuation that does not belong into a config, the tags of the API's own
/// description, signs by which a spreadsheet guesses.
const NO_TEXT: &[&str] = &["src/domain/units.rs", "src/config/syntax.rs", "src/web/app.rs", "src/export/cell.rs"];

fn is_han(c: char) -> bool {
    ('\u{3000}'..='\u{9fff}').contains(&c) || ('\u{ff00}'..='\u{ffef}').contains(&c)
}

/// The string literals of a source text, tests left out: line and text between the quotes.
fn literals(text: &str) -> Vec<(usize, String)> {
    let all = tokens(text);
    let strings = before_tests(&all).iter().filter_map(|t| match &t.token {
        Token::Literal(s) if s.contains('"') => Some((t.lines.0, s.trim_matches(|c| c != '"').trim_matches('"').to_owned())),
        _ => None,
    });
    strings.collect()
}

fn chinese(path: &str, text: &str) -> Vec<String> {
    if NO_TEXT.contains(&path) || path.ends_with("/tests.rs") || path.ends_with("/properties.rs") {
        return vec![];
    }
    let outside = literals(text).into_iter().filter(|(_, s)| s.chars().any(is_han));
    outside.map(|(line, s)| format!("{path}:{line}: {s:?} belongs into glossary.json")).collect()
}

fn glossary() -> BTreeMap<String, serde_json::Value> {
    serde_json::from_str(&read("glossary.json")).unwrap()
}

/// `finding.meter_silent`: what looks like a key, with a first part that the glossary has.
fn is_key(s: &str, glossary: &BTreeMap<String, serde_json::Value>) -> bool {
    let plain = s.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    let Some((first, _)) = s.split_once('.') else { return false };
    plain && glossary.keys().any(|k| k.split_once('.').is_some_and(|(f, _)| f == first))
}

fn unknown_keys(path: &str, text: &str, glossary: &BTreeMap<String, serde_json::Value>) -> Vec<String> {
    let unknown = literals(text).into_iter().filter(|(_, s)| is_key(s, glossary) && !glossary.contains_key(s));
    unknown.map(|(line, s)| format!("{path}:{line}: glossary.json has no `{s}`")).collect()
}

#[test]
fn chinese_stands_in_the_glossary_alone() {
    none_in(&["src"], chinese);
    let mut folders = vec![root().join("dashboards/office/src")];
    let mut complaints = vec![];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let found = text.lines().enumerate().filter(|(_, line)| line.chars().any(is_han));
            complaints.extend(found.map(|(n, line)| format!("{}:{}: {}", path.display(), n + 1, line.trim())));
        }
    }
    none(&complaints);
}

#[test]
fn every_word_is_there_and_every_word_is_used() {
    let glossary = glossary();
    none_in(&["src"], |path, text| unknown_keys(path, text, &glossary));
    let files = rust_files("src");
    let used: Vec<String> = files.iter().flat_map(|(_, text)| literals(text)).map(|(_, s)| s).collect();
    let left: Vec<String> =
        glossary.keys().filter(|k| !k.starts_with("ui.") && !used.contains(k)).map(|k| format!("nobody says `{k}`")).collect();
    none(&left);
}

#[test]
fn words_outside_the_glossary_are_seen() {
    complains(&chinese("src/a.rs", "fn f() { g(\"漏水\") }"), "src/a.rs:1: \"漏水\"");
    none(&chinese("src/a.rs", "// 漏水\n#[cfg(test)]\nmod tests { fn f() { g(\"漏水\") } }"));
    let glossary = BTreeMap::from([("finding.a".to_owned(), serde_json::Value::Null)]);
    complains(&unknown_keys("src/a.rs", "say(\"finding.b\", &[])", &glossary), "no `finding.b`");
    none(&unknown_keys("src/a.rs", "say(\"finding.a\", &[]); f(\"mosquitto.conf\"); f(\"finding\")", &glossary));
}
