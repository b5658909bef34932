//! The shape of the project, kept by a machine: who may import whom, and a few habits that no compiler knows.
//!
//! Every rule is a function from a file's path and text to complaints, so that the lower half of this file can show each of them bad code.
#![allow(clippy::unwrap_used, reason = "a test that cannot read the sources has to stop")]

mod source;
mod words;

use source::{At, Token, before_tests, code_lines, find, paths, tokens};
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom. A module may always name itself; what is not written here is forbidden. `docs/design/01-architecture.md` tells why.
const IMPORTS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    ("cli", &["config", "broker", "daemon", "store", "export", "sim", "notify", "texts", "domain", "ingest", "mirror", "replay"]),
    (
        "daemon",
        &[
            "config", "broker", "ingest", "announce", "notify", "mirror", "export", "backtest", "web", "store", "systemd", "history",
            "texts", "domain",
        ],
    ),
    ("config", &["domain"]),
    ("ingest", &["broker", "domain"]),
    ("ingest::decode", &["domain"]),
    ("announce", &["broker", "texts", "domain"]),
    ("notify", &["store", "history", "texts", "domain"]),
    ("mirror", &["store", "domain"]),
    ("export", &["store", "history", "texts", "domain"]),
    ("replay", &["store", "domain"]),
    ("backtest", &["store", "history", "replay", "domain"]),
    ("web", &["store", "history", "texts", "export", "replay", "backtest", "domain"]),
    ("history", &["store", "domain"]),
    ("texts", &["domain"]),
    ("store", &["domain"]),
    ("sim", &["broker", "domain", "texts"]),
    ("systemd", &[]),
    ("broker", &[]),
    ("domain", &[]),
];

/// Only one may write: everybody else that sees the store reads from it.
const WRITERS: &[&str] = &["daemon", "store"];

/// The pure part, and the packages of Cargo.toml that it may name.
const PURE: &[(&str, &[&str])] = &[("domain", &["serde", "jiff"]), ("ingest::decode", &["serde", "serde_json", "jiff"])];

const CODE_LINES: usize = 700;
const MAIN_LINES: usize = 30;
/// A table of C functions for SQLite: a crate of its own, and of the tests alone.
const UNSAFE: &str = "tests/faulty-disk/";
/// Names that say nothing about what is inside.
const NAMELESS: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc"];

// ---- the rules ----

/// `src/web/live.rs` is `["web", "live"]`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if inner == "lib" || inner == "main" { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
}

/// The line of [`IMPORTS`] that a module path belongs to.
fn room(segments: &[String]) -> String {
    match segments {
        [a, b, ..] if a == "ingest" && b == "decode" => "ingest::decode".into(),
        [a, ..] => a.clone(),
        [] => "lib".into(),
    }
}

fn room_of(path: &str) -> String {
    if path == "src/main.rs" { "main".into() } else { room(&module_of(path)) }
}

fn imports(path: &str, text: &str) -> Vec<String> {
    let from = room_of(path);
    let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == from) else {
        return vec![format!("{path}: `{from}` has no line in the import table: decide who may see it and whom it may see")];
    };
    let library = (from == "main").then_some("heyun");
    let mut out = Vec::new();
    for named in paths(&tokens(text), &module_of(path), library) {
        let to = room(&named.segments);
        let shown = named.segments.join("::");
        let at = format!("{path}:{}", named.line);
        // Who may import `ingest`, and `ingest` itself, may import its decoder; the decoder sees nothing of the shell around it.
        let may = |to: &str| to == from || allowed.contains(&to);
        if !may(&to) && !to.split("::").next().is_some_and(may) && !named.segments.is_empty() {
            out.push(format!("{at}: `{from}` may not import `{to}` (crate::{shown})"));
        }
        if let [store, what, ..] = named.segments.as_slice()
            && store == "store"
            && !WRITERS.contains(&from.as_str())
            && (what.to_lowercase().starts_with("writer") || what == "*")
        {
            out.push(format!("{at}: only the daemon writes to the store; `{from}` takes its Reader and records by name (crate::{shown})"));
        }
    }
    out
}

/// The pure part names no package but its own few. `dependencies` are those that ship: what tests use, tests alone can name.
fn purity(path: &str, text: &str, dependencies: &[String]) -> Vec<String> {
    let from = room_of(path);
    let Some((_, allowed)) = PURE.iter().find(|(name, _)| *name == from) else { return Vec::new() };
    let all = tokens(text);
    let code = before_tests(&all);
    let foreign = |w: &str| dependencies.iter().any(|d| d.replace('-', "_") == w) && !allowed.contains(&w);
    code.windows(2)
        .filter(|w| w[1].is("::") && w[0].word().is_some_and(foreign))
        .map(|w| format!("{path}:{}: `{from}` is pure and may not name `{}`", w[0].lines.0, w[0].word().unwrap_or_default()))
        .collect()
}

/// The gate of clippy.toml must be closed at the door of the pure part.
fn gate(path: &str, text: &str) -> Vec<String> {
    let all = tokens(text);
    let denied = |lint: &str| {
        let mut rest = all.as_slice();
        while let Some(i) = find(rest, "# ! [") {
            let end = rest[i..].iter().position(|t| t.is("]")).map_or(rest.len(), |n| i + n);
            let attribute = &rest[i..end];
            if find(attribute, "deny (").is_some() && find(attribute, &format!("clippy :: {lint}")).is_some() {
                return true;
            }
            rest = &rest[end..];
        }
        false
    };
    ["disallowed_methods", "disallowed_types", "disallowed_macros"]
        .iter()
        .filter(|lint| !denied(lint))
        .map(|lint| format!("{path}: #![deny(clippy::{lint})] is missing: nothing keeps the clock and the world out"))
        .collect()
}

fn habits(path: &str, text: &str) -> Vec<String> {
    let all = tokens(text);
    let mut out = Vec::new();
    let mut complain = |at: &At, what: &str| out.push(format!("{path}:{}: {what}", at.lines.0));

    for (i, t) in all.iter().enumerate() {
        let next = |n: usize, what: &str| all.get(i + n).is_some_and(|t| t.is(what));
        match &t.token {
            Token::Word(w) if w == "unsafe" && !path.starts_with(UNSAFE) => complain(t, "no unsafe code"),
            Token::Word(w) if (w == "todo" || w == "unimplemented") && next(1, "!") => complain(t, "unfinished code does not land"),
            Token::Word(w) if w.starts_with("sleep") && path.starts_with("tests/") => {
                complain(t, "a test that sleeps is slow on one machine and wrong on another: wait for the event, with a limit");
            }
            Token::Word(w) if w == "mod" && all.get(i + 1).and_then(At::word).is_some_and(|n| NAMELESS.contains(&n)) => {
                complain(t, "name the module by a noun of the field");
            }
            Token::Mark('#') if next(1, "[") && next(2, "ignore") => complain(t, "a test that is ignored is a test that is gone"),
            Token::Word(w) if w == "let" && next(1, "_") && next(2, "=") => {
                let statement = all[i..].split(|t| t.is(";")).next().unwrap_or_default();
                // An answer to a caller that no longer waits (`reply.send`) is nobody's loss.
                let sends = |w: &[At]| !w[0].is("reply") && w[1].is(".") && w[2].word().is_some_and(|n| n.contains("send")) && w[3].is("(");
                if statement.windows(4).any(sends) {
                    complain(t, "what could not be sent is lost unseen: handle it or count it");
                }
            }
            _ => {}
        }
    }
    out
}

fn size(path: &str, text: &str) -> Vec<String> {
    if path == "src/main.rs" && text.lines().count() > MAIN_LINES {
        return vec![format!("{path}: {} lines, at most {MAIN_LINES}: main is a name for a library function", text.lines().count())];
    }
    let n = code_lines(before_tests(&tokens(text)));
    if n > CODE_LINES {
        vec![format!("{path}: {n} lines of code, at most {CODE_LINES}: where are its two reasons to change?")]
    } else {
        Vec::new()
    }
}

fn name(path: &str) -> Vec<String> {
    let bad = path.split(['/', '.']).find(|part| NAMELESS.contains(part));
    bad.map(|part| format!("{path}: `{part}` says nothing: name it by a noun of the field")).into_iter().collect()
}

/// The names under every table of a Cargo.toml that `wanted` picks by its header.
fn dependencies(manifest: &str, wanted: fn(&str) -> bool) -> Vec<String> {
    let mut inside = false;
    let mut out = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = wanted(line);
        } else if inside && let Some((name, _)) = line.split_once('=') {
            out.push(name.trim().to_owned());
        }
    }
    out
}

fn shipped(header: &str) -> bool {
    header == "[dependencies]" || (header.starts_with("[target.") && header.ends_with(".dependencies]"))
}

fn any(header: &str) -> bool {
    header.ends_with("dependencies]")
}

/// Every dependency has its row under "Direct dependencies" of the page, and no row outlives its dependency.
fn explained(manifest: &str, page: &str) -> Vec<String> {
    let wanted = dependencies(manifest, any);
    let section = page.split("\n## ").find(|s| s.starts_with("Direct dependencies")).unwrap_or_default();
    let rows: Vec<&str> = section.lines().filter_map(|l| l.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect();
    let missing = wanted.iter().filter(|d| !rows.contains(&d.as_str())).map(|d| format!("`{d}` has no row: why is it here?"));
    let stale = rows.iter().filter(|r| !wanted.iter().any(|d| d == *r)).map(|r| format!("`{r}` has a row, but Cargo.toml knows it not"));
    missing.chain(stale).collect()
}

// ---- the project under them ----

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Every Rust file below `folder`, as (path from the project's root, text).
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut folders = vec![PathBuf::from(folder)];
    let mut out = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let path = path.to_str().unwrap().to_owned();
                let text = read(&path);
                out.push((path, text));
            }
        }
    }
    out.sort();
    out
}

#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[track_caller]
fn none_in(folders: &[&str], rule: impl Fn(&str, &str) -> Vec<String>) {
    let files: Vec<_> = folders.iter().flat_map(|f| rust_files(f)).collect();
    assert!(!files.is_empty(), "no Rust files under {folders:?}");
    none(&files.iter().flat_map(|(path, text)| rule(path, text)).collect::<Vec<_>>());
}

#[test]
fn modules_import_only_what_the_table_allows() {
    none_in(&["src"], imports);
}

#[test]
fn the_pure_part_names_no_package_of_the_shell() {
    let dependencies = dependencies(&read("Cargo.toml"), shipped);
    none_in(&["src"], |path, text| purity(path, text, &dependencies));
}

#[test]
fn the_pure_part_closes_its_gate() {
    let decode = if root().join("src/ingest/decode.rs").exists() { "src/ingest/decode.rs" } else { "src/ingest/decode/mod.rs" };
    none(&["src/domain/mod.rs", decode].iter().flat_map(|path| gate(path, &read(path))).collect::<Vec<_>>());
}

#[test]
fn habits_are_kept() {
    none_in(&["src", "tests", "benches"], habits);
}

#[test]
fn files_are_small_and_named_by_what_they_hold() {
    none_in(&["src"], size);
    none_in(&["src", "tests"], |path, _| name(path));
}

#[test]
fn every_dependency_is_explained() {
    none(&explained(&read("Cargo.toml"), &read("docs/design/02-dependencies.md")));
}

// ---- the rules under bad code ----

#[track_caller]
fn complains(complaints: &[String], of: &str) {
    assert!(complaints.iter().any(|c| c.contains(of)), "expected a complaint of {of:?}, got {complaints:?}");
}

fn named(text: &str, module: &[&str]) -> Vec<String> {
    let module: Vec<String> = module.iter().map(|s| (*s).to_owned()).collect();
    paths(&tokens(text), &module, None).into_iter().map(|n| n.segments.join("::")).collect()
}

#[test]
fn paths_are_taken_apart() {
    assert_eq!(named("use crate::{a, b::c, d::{self, e as f, g::*}};", &[]), ["a", "b::c", "d", "d::e", "d::g::*"]);
    assert_eq!(named("fn f(x: crate::a::T) { crate::b::c::<u8>(crate::d!()) }", &[]), ["a::T", "b::c", "d"]);
    assert_eq!(named("use super::x; use super::super::y; use self::z;", &["a", "b"]), ["a::x", "y", "a::b::z"]);
    assert_eq!(named("mod tests { use super::*; mod deep { use super::super::q; } } use super::x;", &["a"]), ["a::*", "a::q", "x"]);
    assert_eq!(named("fn f() { if x { super::g() } } use super::h;", &["a", "b"]), ["a::g", "a::h"]);
    assert_eq!(named("pub(crate) fn f() {} pub(in crate::a) fn g() {} use std::a; x::crate_y::z()", &[]), ["a"]);
}

#[test]
fn comments_and_literals_are_no_code() {
    assert_eq!(named("// crate::a\n/* crate::b /* */ crate::c */ /// [`crate::d`]\nuse crate::e;", &[]), ["e"]);
    assert_eq!(named(r###"f("crate::a \" crate::b", r#"crate::c " crate::d"#, b"crate::e"); use crate::f;"###, &[]), ["f"]);
    assert_eq!(named(r"fn f<'a>(c: char) { c == '\'' || c == '{' || c == '\u{1F4A7}' } use super::g;", &["m"]), ["g"]);
    assert_eq!(named("let r#type = 1; use crate::a;", &[]), ["a"]);
}

#[test]
fn forbidden_imports_are_seen() {
    complains(&imports("src/web/mod.rs", "use crate::config::Config;"), "`web` may not import `config`");
    complains(&imports("src/web/live.rs", "use super::super::{config};"), "`web` may not import `config`");
    complains(&imports("src/web/mod.rs", "#[cfg(test)] mod tests { use super::super::daemon; }"), "`web` may not import `daemon`");
    complains(&imports("src/domain/units.rs", "fn f() { crate::store::open() }"), "`domain` may not import `store`");
    complains(
        &imports("src/ingest/mqtt.rs", "use crate::{domain::time::Ts,\n  web::Live};"),
        "src/ingest/mqtt.rs:2: `ingest` may not import `web`",
    );
    complains(&imports("src/ingest/decode.rs", "use super::mqtt::Message;"), "`ingest::decode` may not import `ingest`");
    complains(&imports("src/config/mod.rs", "use crate::daemon::Settings;"), "`config` may not import `daemon`");
    complains(&imports("src/main.rs", "fn main() { heyun::daemon::run() }"), "`main` may not import `daemon`");
    complains(&imports("src/gpio/mod.rs", ""), "no line in the import table");
    none(&imports("src/daemon/mod.rs", "use crate::{config::Config, ingest::decode::Feed, store::writer::Writer, web};"));
    none(&imports("src/ingest/mqtt.rs", "use super::decode; use crate::domain::time::Ts;"));
    none(&imports("src/main.rs", "fn main() { heyun::cli::main() }"));
}

#[test]
fn a_second_writer_is_seen() {
    for text in
        ["use crate::store::Writer;", "use crate::store::writer::Job;", "use crate::store::{Reader, WriterHandle};", "use crate::store::*;"]
    {
        complains(&imports("src/web/mod.rs", text), "only the daemon writes");
        complains(&imports("src/cli/mod.rs", text), "only the daemon writes");
    }
    none(&imports("src/web/mod.rs", "use crate::store::{Reader, reader::Page};"));
}

#[test]
fn impurity_is_seen() {
    let packages = ["serde", "serde_json", "tokio", "tracing-subscriber"].map(str::to_owned);
    complains(&purity("src/domain/units.rs", "use tokio::sync::mpsc;", &packages), "may not name `tokio`");
    complains(&purity("src/domain/units.rs", "fn f() { serde_json::to_string(&1) }", &packages), "may not name `serde_json`");
    complains(&purity("src/ingest/decode/json.rs", "use tracing_subscriber::fmt;", &packages), "may not name `tracing_subscriber`");
    none(&purity("src/ingest/decode.rs", "use serde_json::Value; #[cfg(test)] mod tests { use tokio::x; }", &packages));
    none(&purity("src/web/mod.rs", "use tokio::sync::mpsc;", &packages));
}

#[test]
fn an_open_gate_is_seen() {
    complains(&gate("m.rs", "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]"), "disallowed_macros");
    complains(&gate("m.rs", "// #![deny(clippy::disallowed_methods)]\n#![warn(clippy::disallowed_methods)]"), "disallowed_methods");
    none(&gate("m.rs", "#![deny(clippy::disallowed_methods)]\n#![deny(clippy::disallowed_types, clippy::disallowed_macros)]"));
    none(&gate("m.rs", "#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros))]"));
}

#[test]
fn bad_habits_are_seen() {
    complains(&habits("src/a.rs", "fn f() { unsafe { g() } }"), "src/a.rs:1: no unsafe");
    none(&habits("tests/faulty-disk/src/vfs.rs", "fn f() { unsafe { g() } }"));
    complains(&habits("src/a.rs", "fn f() { todo!() }"), "unfinished");
    complains(&habits("src/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"), "src/a.rs:2: a test that is ignored");
    complains(&habits("tests/a.rs", "std::thread::sleep(d);"), "a test that sleeps");
    complains(&habits("tests/a.rs", "use tokio::time::sleep_until;"), "a test that sleeps");
    complains(&habits("src/a.rs", "let _ = self.tx.try_send(x);"), "lost unseen");
    complains(&habits("src/a.rs", "let _ = tx\n    .send(x)\n    .await;"), "lost unseen");
    complains(&habits("src/a.rs", "mod utils;"), "noun of the field");
    none(&habits("src/a.rs", "let _ = reply.send(answer);"));
    none(&habits("src/a.rs", "let _ = write!(s, \"unsafe todo!() {x}\"); tx.send(x)?; thread::sleep(d); // unsafe"));
    complains(&name("src/web/utils.rs"), "`utils` says nothing");
    complains(&name("tests/common/mod.rs"), "`common` says nothing");
    none(&name("src/web/commons.rs"));
}

#[test]
fn long_files_are_seen() {
    let code = |n: usize| "const X: u8 = 1;\n\n// why\n".repeat(n);
    complains(&size("src/a.rs", &code(CODE_LINES + 1)), "701 lines of code");
    none(&size("src/a.rs", &format!("{}#[cfg(test)]\nmod tests {{\n{}}}", code(CODE_LINES), code(50))));
    complains(&size("src/main.rs", &"\n".repeat(MAIN_LINES + 1)), "31 lines");
}

#[test]
fn a_drifting_dependency_page_is_seen() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\nb-c = { version = \"1\" }\n[dev-dependencies]\nd = \"1\"\n[profile.dev]\nz = 1\n";
    assert_eq!(dependencies(manifest, any), ["a", "b-c", "d"]);
    assert_eq!(dependencies(manifest, shipped), ["a", "b-c"]);
    let page = "# Title\n| `nobody` | in another section |\n\n## Direct dependencies\n| `a` | why |\n| `d` | why |\n| `gone` | why |\n";
    let complaints = explained(manifest, page);
    complains(&complaints, "`b-c` has no row");
    complains(&complaints, "`gone` has a row");
    assert_eq!(complaints.len(), 2);
}
