//! `heyun export` from outside: files, exit codes, what is said.

use crate::store::{MAKE_UP, World, row};
use heyun::domain::time::Ms;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn world(messages: i64) -> World {
    let mut w = World::new();
    let from = w.at("2026-11-01");
    w.commit((0..messages).map(|i| row(MAKE_UP, from + Ms::minutes(i), &[Some(i)])).collect());
    w
}

fn command(w: &World, more: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_heyun"));
    c.arg("export").arg("--config").arg(w.config()).args(more).env_remove("HEYUN_LOG");
    c
}

fn run(w: &World, more: &[&str]) -> (i32, Vec<u8>, String) {
    let Output { status, stdout, stderr } = command(w, more).output().unwrap();
    (status.code().unwrap(), stdout, String::from_utf8(stderr).unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_whole_and_is_what_stdout_gets() {
    let w = world(3);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("十一月.csv");
    let name = out.to_str().unwrap();
    let (code, stdout, err) = run(&w, &["--out", name, "--lang", "en"]);
    assert_eq!((code, stdout.as_slice()), (0, &b""[..]), "{err}");
    let written = fs::read(&out).unwrap();
    assert_eq!(run(&w, &["--lang", "en"]).1, written);
    assert_eq!(names(folder.path()), ["十一月.csv"]);
    let digest = ring::digest::digest(&ring::digest::SHA256, &written);
    let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    assert!(err.contains(&format!("3 rows, {} bytes, sha256 {hex}, as of commit 2 of 2026-11-2", written.len())), "{err}");
    assert!(!err.contains('\x1b'), "no bar where there is no terminal");

    let (code, _, err) = run(&w, &["--out", name, "--from", "2026-11-02"]);
    assert_eq!(code, 73, "{err}");
    assert!(err.contains("stands already; --force replaces it"), "{err}");
    assert_eq!(fs::read(&out).unwrap(), written, "untouched");
    let (code, _, err) = run(&w, &["--out", name, "--from", "2026-11-02", "--force"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 1);
}

#[test]
fn an_export_that_fails_leaves_nothing_that_looks_whole() {
    let w = world(3);
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = run(&w, &["--out", folder.path().join("no/such/a.csv").to_str().unwrap()]);
    assert_eq!(code, 74, "{err}");
    assert!(err.contains("cannot write") && err.contains("no/such/a.csv: No such file or directory"), "{err}");
    let (code, _, err) = run(&w, &["--out", folder.path().to_str().unwrap()]);
    assert_eq!(code, 74, "{err}");
    assert_eq!(names(folder.path()), [""; 0]);

    // A disk that is full: stdout says so.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let out = command(&w, &[]).stdout(full).output().unwrap();
    assert_eq!(out.status.code(), Some(74));
    let err = String::from_utf8(out.stderr).unwrap();
    assert!(err.contains("cannot write to stdout: No space left on device"), "{err}");
}

#[test]
fn two_exports_do_not_write_into_one_file() {
    let w = world(3);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a.csv");
    // What a killed export leaves is no obstacle; what a living one holds is.
    let part = fs::File::create(folder.path().join("a.csv.part")).unwrap();
    part.lock().unwrap();
    let (code, _, err) = run(&w, &["--out", out.to_str().unwrap()]);
    assert_eq!(code, 74, "{err}");
    assert!(err.contains("another export is writing"), "{err}");
    drop(part);
    fs::write(folder.path().join("a.csv.part"), "x".repeat(100_000)).unwrap();
    assert_eq!(run(&w, &["--out", out.to_str().unwrap()]).0, 0);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);
    assert_eq!(names(folder.path()), ["a.csv"]);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let w = world(20_000);
    let mut child = command(&w, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut head = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut head).unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), String::from_utf8(out.stderr).unwrap()), (Some(141), String::new()));
}

#[test]
fn what_is_not_understood_is_said_with_what_would_be_right() {
    let w = world(1);
    for (args, says) in [
        (&["--from", "yesterday"][..], "--from \"yesterday\" is not a time; right would be a date such as 2026-11-01"),
        (&["--from", "2026-11-01", "--to", "2026-11-01"], "--from 2026-11-01 is not before --to 2026-11-01; the end is left out"),
        (&["--meter", "h1-999"], "there is no meter \"h1-999\"; right would be one of: h1-bulk, h1-101, makeup"),
        (&["--place", "h1,h9"], "there is no place \"h9\"; right would be one of: guanfang, heyun"),
        (&["--format", "xlsx"], "[possible values: csv]"),
        (&["--force"], "--out <FILE>"),
    ] {
        let (code, out, err) = run(&w, args);
        assert_eq!((code, out.as_slice()), (64, &b""[..]), "{err}");
        assert!(err.contains(says), "{err}");
    }
    let nowhere = World::new();
    let gone = nowhere.config();
    let text = fs::read_to_string(&gone).unwrap();
    fs::write(&gone, text.replace("heyun.db", "other.db")).unwrap();
    assert_eq!(run(&nowhere, &[]).0, 66);
}
