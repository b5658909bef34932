//! What stands in the file.

use crate::store::{BULK, FLAT, MAKE_UP, VALVE, World, flagged, row};
use heyun::domain::reading::Flags;
use heyun::domain::time::{Ms, Ts};
use heyun::domain::topology::PointKind;
use heyun::export::{Error, Export, Form, Kind, Lang, Request, Selection, Summary, Wanted};
use std::io;
use std::ops::ControlFlow;

pub const EN: Form = Form { lang: Lang::En, bom: false };
pub const ZH: Form = Form { lang: Lang::Zh, bom: false };
const EXCEL: Form = Form { lang: Lang::Zh, bom: true };

pub fn request(w: &World, kind: Kind, span: (&str, &str), wanted: &Wanted, form: Form) -> Request {
    let at = |t: &str| (!t.is_empty()).then(|| w.at(t));
    Request { kind, from: at(span.0), to: at(span.1), selection: Selection::new(&w.topology, wanted).unwrap(), form }
}

pub fn export(w: &World, request: &Request) -> (String, Summary) {
    let mut out = vec![];
    let export = Export::prepare(&w.reader, &w.topology, request).unwrap();
    let summary = export.write(&mut out, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(summary.bytes, out.len() as u64);
    (String::from_utf8(out).unwrap(), summary)
}

fn some(w: &World, kind: Kind, span: (&str, &str), wanted: &Wanted, form: Form) -> String {
    export(w, &request(w, kind, span, wanted, form)).0
}

fn all(w: &World, kind: Kind, form: Form) -> String {
    some(w, kind, ("", ""), &Wanted::default(), form)
}

/// Compared byte for byte with a file beside this test; `HEYUN_REGENERATE=1` writes it anew.
pub fn golden(name: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/golden").join(name);
    if std::env::var_os("HEYUN_REGENERATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == text, "{name}:\n{text}\nwanted:\n{wanted}");
}

/// A day of little water: every quantity, every flag, an absent value, a late reading, a source that no meter reads.
fn small() -> World {
    let mut w = World::new();
    let day = w.at("2026-11-01");
    w.commit(vec![
        row(BULK, day, &[Some(21_500), Some(338_304_000)]),
        row(FLAT, day, &[Some(12)]),
        row(BULK, day + Ms::minutes(30), &[Some(-500), Some(338_304_125)]),
        row(VALVE, day + Ms::minutes(30), &[Some(48_000)]),
        flagged(MAKE_UP, day + Ms(1_250), &[Some(-5)], Flags::ARRIVAL_TIME | Flags::CLOCK_UNSURE),
        flagged(FLAT, day + Ms::days(1), &[Some(13)], Flags::AHEAD),
    ]);
    // It comes last and stands where it belongs. The bulk meter's register is missing in it.
    w.commit(vec![row(FLAT, day + Ms::minutes(15), &[Some(13)]), row(BULK, day + Ms::minutes(15), &[Some(21_000)])]);
    w
}

#[test]
fn readings_for_programs_and_for_the_clerk() {
    let w = small();
    golden("raw-en.csv", &all(&w, Kind::Raw, EN));
    golden("raw-zh.csv", &all(&w, Kind::Raw, ZH));
    golden("raw-excel.csv", &all(&w, Kind::Raw, EXCEL));
}

#[test]
fn every_number_of_every_message() {
    let w = small();
    golden("values-en.csv", &all(&w, Kind::Values, EN));
    golden("values-zh.csv", &all(&w, Kind::Values, ZH));
}

/// Times of the rows, as `dd hh:mm`, and their meters.
fn rows(csv: &str) -> Vec<(String, String)> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let headings = reader.headers().unwrap().clone();
    let column = |name: &str| headings.iter().position(|h| h == name).unwrap();
    let (time, meter) = (column("time"), column("meter"));
    reader
        .records()
        .map(|r| {
            let r = r.unwrap();
            assert_eq!(r.len(), headings.len());
            (r[time][8..16].replace('T', " "), r[meter].to_owned())
        })
        .collect()
}

#[test]
fn spans_are_half_open_and_selections_add_up() {
    let w = small();
    let raw = |span, wanted: &Wanted| rows(&some(&w, Kind::Raw, span, wanted, EN));
    let named = |meters: &[&str], places: &[&str], kinds: &[PointKind]| Wanted {
        meters: meters.iter().map(|s| (*s).to_owned()).collect(),
        places: places.iter().map(|s| (*s).to_owned()).collect(),
        kinds: kinds.to_vec(),
        mediums: vec![],
    };
    let everything = Wanted::default();
    assert_eq!(raw(("2026-11-01", "2026-11-02"), &everything).len(), 5, "the reading of the second midnight is the next day's");
    assert_eq!(raw(("2026-11-02", ""), &everything), [("02 00:00".to_owned(), "h1-101".to_owned())]);
    assert_eq!(raw(("2026-11-01T00:15:00+08:00", "2026-10-31T16:30:00Z"), &everything), [("01 00:15".to_owned(), "h1-101".to_owned())]);
    assert!(raw(("2026-12-01", ""), &everything).is_empty());
    assert!(raw(("", "2026-11-01"), &everything).is_empty());

    let meters = |wanted| {
        let mut keys: Vec<String> = raw(("", ""), &wanted).into_iter().map(|(_, meter)| meter).collect();
        keys.sort();
        keys.dedup();
        keys
    };
    assert_eq!(meters(named(&["makeup"], &[], &[])), ["makeup"]);
    assert_eq!(meters(named(&["makeup"], &["h1-101"], &[])), ["h1-101", "makeup"]);
    assert_eq!(meters(named(&[], &["h1"], &[])), ["h1-101", "h1-bulk"]);
    assert_eq!(meters(named(&[], &["heyun"], &[PointKind::Bulk, PointKind::MakeUp])), ["h1-bulk", "makeup"]);
    assert_eq!(meters(named(&["makeup"], &[], &[PointKind::Sub])), [""; 0]);

    let values = some(&w, Kind::Values, ("", ""), &named(&["h1-bulk"], &[], &[]), EN);
    assert!(values.lines().skip(1).all(|l| l.contains("meters/h1/state")) && values.lines().count() == 6, "{values}");

    let unknown = Selection::new(&w.topology, &named(&[], &["h9"], &[])).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no place \"h9\"");
}

#[test]
fn a_day_with_a_clock_change_is_told_apart_by_the_offset() {
    let mut w = World::in_zone("Europe/Rome");
    let midnight = w.at("2026-10-25");
    w.commit((0..26).map(|h| row(MAKE_UP, midnight + Ms::hours(h), &[Some(h * 1_000)])).collect());
    let csv = some(&w, Kind::Raw, ("2026-10-25", "2026-10-26"), &Wanted::default(), EN);
    assert_eq!(csv.lines().count(), 1 + 25, "a day of 25 hours");
    assert!(csv.contains("2026-10-25T02:00:00+02:00,0.002,") && csv.contains("2026-10-25T02:00:00+01:00,0.003,"), "{csv}");
}

/// As many rows as several pages and chunks have.
fn large(readings: i64) -> World {
    let mut w = World::new();
    w.fill(readings);
    w
}

#[test]
fn many_rows_are_all_there_once_and_what_comes_meanwhile_is_left_out() {
    let mut w = large(20_000);
    let request = request(&w, Kind::Raw, ("", ""), &Wanted::default(), EN);
    let (before, summary) = export(&w, &request);
    assert_eq!((summary.rows, summary.as_of.unwrap().batch), (20_000, 5));
    let mut wanted = Ts(w.at("2026-01-01").0 - 60_000);
    for (line, i) in before.lines().skip(1).zip(0i64..) {
        wanted = wanted + Ms::minutes(1);
        assert!(
            line.contains(&format!("{}+08:00,{},measured", &(wanted + Ms::hours(8)).to_string()[..19], i * 7 / 1_000)) || i * 7 % 1_000 > 0
        );
    }

    // A row between the others is committed while the export is under way: it belongs to the next one.
    let topology = w.topology.clone();
    let export = Export::prepare(&w.reader, &topology, &request).unwrap();
    let late = w.at("2026-01-13") + Ms(1);
    w.commit(vec![row(MAKE_UP, late, &[Some(1)])]);
    let mut out = vec![];
    let mut seen = 0;
    export
        .write(&mut out, &mut |p| {
            assert!(p.rows >= seen);
            seen = p.rows;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(before.as_bytes() == out, "the same commit, the same bytes");
    assert_eq!(some(&w, Kind::Raw, ("", ""), &Wanted::default(), EN).lines().count(), before.lines().count() + 1);
}

#[test]
fn who_does_not_want_it_any_more_ends_it() {
    /// Takes a few chunks, then no more.
    struct Full(usize);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let w = large(20_000);
    let request = request(&w, Kind::Raw, ("", ""), &Wanted::default(), EN);
    let prepare = || Export::prepare(&w.reader, &w.topology, &request).unwrap();
    let full = prepare().write(&mut Full(3), &mut |_| ControlFlow::Continue(()));
    assert!(matches!(full, Err(Error::Write(e)) if e.kind() == io::ErrorKind::StorageFull));
    let broken = prepare().write(&mut io::sink(), &mut |p| if p.rows > 5_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
    assert!(matches!(broken, Err(Error::BrokenOff)));
}

#[test]
fn an_empty_store_has_headings_alone() {
    let w = World::new();
    let (csv, summary) = export(&w, &request(&w, Kind::Raw, ("", ""), &Wanted::default(), EN));
    assert_eq!(
        (csv.as_str(), summary.rows),
        ("community,compound,building,unit,household,meter,name,serial,kind,time,register_m3,quality\r\n", 0)
    );
}
