//! The config from outside: the shipped files pass, every rule has a file that breaks it, and nothing makes the check panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it is surprised")]

use heyun::config::{self, Catalogue, Config, LoadError, Problem};
use heyun::domain::heating::{Measure, MonthDay, Season};
use heyun::domain::topology::{Boundary, Medium, PlaceIx, PlaceKind, PointKind, Responsible};
use heyun::domain::units::{Amount, Quantity, Rate};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn good(text: &str) -> Config {
    config::parse(text, Catalogue::default()).unwrap_or_else(|p| panic!("{}", config::render(Path::new("config"), &p)))
}

fn problems(path: &Path) -> Vec<Problem> {
    match config::load(path) {
        Ok(_) => vec![],
        Err(LoadError::Problems(files)) => files.into_iter().flat_map(|f| f.problems).collect(),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn every_shipped_config_passes() {
    let mut seen = 0;
    for entry in std::fs::read_dir(shipped("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let found = problems(&path);
            assert!(found.is_empty(), "{}", config::render(&path, &found));
            seen += 1;
        }
    }
    assert!(seen >= 3, "only {seen} files");
}

#[test]
fn a_valve_a_room_and_the_weather_are_understood() {
    let reference = config::load(&shipped("heyun.toml")).unwrap_or_else(|e| panic!("{e}"));
    let (t, heating) = (&reference.topology, &reference.topology.heating);
    let day = |month, day| MonthDay { month, day };
    assert_eq!(heating.season, Some(Season { first: day(11, 1), last: day(3, 31) }));
    let senses: Vec<_> = heating
        .senses
        .iter()
        .map(|s| (t.point(s.point).key.as_str(), s.measures, t.feed(s.feed).columns[usize::from(s.column)].name.as_str()))
        .collect();
    let expected = [
        ("b15-101-radiator", Measure::Supply, "value"),
        ("b15-101-radiator", Measure::Return, "return"),
        ("b15-101-radiator", Measure::Position, "position"),
        ("b15-101-room", Measure::Room, "room"),
        ("weather", Measure::Outdoor, "room"),
    ];
    assert_eq!(senses, expected);
    assert!(heating.senses.iter().all(|s| t.point(s.point).source.as_ref().is_some_and(|b| b.topic == s.topic)));
}

/// One file per rule, the message as a snapshot. The name of the file says the rule.
#[test]
fn every_rule_has_its_message() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/bad");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 30, "only {} files", files.len());
    for path in files {
        let found = problems(&path);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(!found.is_empty(), "{name} has no problem");
        assert!(found.is_sorted_by_key(|p| (p.line, p.column)), "{name}");
        insta::assert_snapshot!(name.trim_end_matches(".toml"), config::render(Path::new(name), &found));
    }
}

/// Lines of the reference that are left out there: `#key = value`.
fn left_out(reference: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_setting = |l: &str| l.strip_prefix('#').is_some_and(|l| l.starts_with(|c: char| c.is_ascii_lowercase()) && l.contains(" = "));
    reference.lines().enumerate().filter(move |(_, l)| is_setting(l))
}

/// The reference with line `i` put in.
fn with(reference: &str, i: usize) -> String {
    reference.lines().enumerate().map(|(j, l)| format!("{}\n", if i == j { &l[1..] } else { l })).collect()
}

fn keys(value: &toml::Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(t) => {
            for (k, v) in t {
                let path = if path.is_empty() { k.clone() } else { format!("{path}.{k}") };
                out.insert(path.clone());
                keys(v, &path, out);
            }
        }
        toml::Value::Array(a) => a.iter().for_each(|v| keys(v, &format!("{path}[]"), out)),
        _ => {}
    }
}

/// The reference can't drift: it shows each key that is read, and each key that it shows, also those left out, is read.
#[test]
fn the_reference_shows_exactly_the_keys_that_are_read() {
    let reference = text(&shipped("heyun.toml"));
    let mut shown = BTreeSet::new();
    let mut collect = |text: &str| keys(&toml::Value::Table(text.parse().unwrap()), "", &mut shown);
    collect(&reference);
    left_out(&reference).for_each(|(i, _)| collect(&with(&reference, i)));
    let known: BTreeSet<String> = config::known_keys().collect();
    assert_eq!(known.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new(), "read, but not in heyun.toml");
    assert_eq!(shown.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "in heyun.toml, but not read");
}

/// What the reference calls a default is one: written out, it changes nothing.
#[test]
fn the_reference_tells_the_true_defaults() {
    let reference = text(&shipped("heyun.toml"));
    let plain = format!("{:?}", good(&reference));
    let mut seen = 0;
    for (i, line) in left_out(&reference).filter(|(_, l)| l.contains("# default")) {
        assert_eq!(format!("{:?}", good(&with(&reference, i))), plain, "{line}");
        seen += 1;
    }
    assert!(seen >= 9, "only {seen} defaults");
}

#[test]
fn the_reference_is_understood() {
    let c = good(&text(&shipped("heyun.toml")));
    let t = &c.topology;
    assert_eq!((t.gateway.as_str(), t.since.to_string().as_str()), ("guanfang-1", "2010-01-01T00:00:00Z"));
    let kinds: Vec<PlaceKind> = t.places.iter().map(|p| p.kind).collect();
    assert!(kinds.is_sorted() && kinds.len() == 6);
    assert!((0u32..).zip(&t.places).all(|(i, p)| p.parent.is_none_or(|q| q.0 < i)), "parents stand before children");

    let bulk = t.point(t.point_by_key("b15-bulk").unwrap());
    assert_eq!((bulk.kind, bulk.boundary, bulk.responsible), (PointKind::Bulk, Boundary::Settlement, Responsible::WaterCompany));
    assert_eq!(bulk.meter.pulse_weight, Amount::litres(10));
    assert_eq!(bulk.meter.rollover_at, Some(Amount::tonnes(1_000_000)));
    assert_eq!(bulk.meter.max_flow, Rate::litres(100_000));
    assert_eq!(bulk.limits.per_hour, Some(Amount::litres(3_000)));
    assert_eq!(bulk.limits.per_month, Some(Amount::tonnes(1_000)));
    assert_eq!(bulk.price_milliyuan_per_tonne, Some(3_600));
    let b = bulk.source.as_ref().unwrap();
    assert_eq!((b.topic.as_str(), b.column), ("meters/b15/state", Some(0)));

    let shop = t.point(t.point_by_key("b15-shop-sub").unwrap());
    assert_eq!((shop.name.as_str(), shop.parent), ("15号楼商铺", t.point_by_key("b15-bulk")));
    assert_eq!(shop.source.as_ref().unwrap().topic, "water/shop/main");
    assert_eq!(shop.limits.per_month, None);

    let by_hand = t.point(t.point_by_key("b15-101-sub").unwrap());
    let source = by_hand.source.as_ref().unwrap();
    assert!(source.is_by_hand() && source.topic == "manual/b15-101-sub" && by_hand.limits.silent_after.is_none());

    let mqtt = c.mqtt.unwrap();
    assert_eq!((mqtt.host.as_str(), mqtt.port, mqtt.tls, mqtt.client_id.as_str()), ("127.0.0.1", 1883, false, "heyun-guanfang-1"));
    for s in &mqtt.subscriptions {
        assert_eq!(t.feed(s.feed).name, s.name);
    }
}

#[test]
fn the_demo_is_understood() {
    let c = good(&text(&shipped("demo.toml")));
    let t = &c.topology;
    let of = |kind| t.points.iter().filter(|p| p.kind == kind).count();
    assert_eq!([PointKind::Bulk, PointKind::Sub, PointKind::MakeUp, PointKind::Sensor].map(of), [9, 61, 1, 9]);
    let by_hand: Vec<&str> = t
        .points
        .iter()
        .filter(|p| p.source.as_ref().is_some_and(heyun::domain::topology::Binding::is_by_hand))
        .map(|p| p.key.as_str())
        .collect();
    assert_eq!(by_hand, ["h2-pumps", "h3-cellar", "b16-cellar"]);
    let topic = |id| t.point(t.point_by_key(id).unwrap()).source.as_ref().map(|b| b.topic.as_str());
    assert_eq!((topic("b15-bulk"), topic("heyun-garden")), (Some("meters/b15/state"), Some("water/garden/main")));
    // What goes wrong in the simulation hangs on these.
    use heyun::sim::trouble;
    for id in [
        trouble::LEAK,
        trouble::ROOF_TANK,
        trouble::RUNNING_TOILET,
        trouble::STUTTER,
        trouble::ONCE_A_DAY,
        trouble::GARDEN,
        trouble::BY_HAND,
    ] {
        assert!(t.point_by_key(id).is_some(), "config/demo.toml has no meter {id}");
    }
    let people = |compound: &str| {
        let compound = t.places.iter().position(|p| p.key == compound).map(|i| PlaceIx(u32::try_from(i).unwrap()));
        let of: Vec<_> = t.places.iter().filter(|p| p.kind == PlaceKind::Building && p.parent == compound).collect();
        (of.iter().filter_map(|p| p.households).sum::<u32>(), of.iter().filter_map(|p| p.residents).sum::<u32>())
    };
    assert_eq!((people("heyun"), people("beixi")), ((138, 310), (60, 133)));
    assert_eq!(c.store.path, Path::new("target/demo/heyun.db"));
    assert_eq!(c.mqtt.unwrap().port, 18830);
}

#[test]
fn the_least_config_has_the_defaults() {
    let c = good(&text(&shipped("minimal.toml")));
    let p = &c.topology.points[0];
    assert_eq!((p.limits.per_hour, p.limits.per_month), (None, Some(Amount::tonnes(1_000))));
    assert_eq!(p.limits.silent_after.map(|d| d.0), Some(86_400_000));
    assert_eq!((p.boundary, p.responsible, p.price_milliyuan_per_tonne), (Boundary::Settlement, Responsible::Owners, None));
    assert_eq!((p.meter.pulse_weight, p.meter.rollover_at), (Amount::litres(1), None));
    assert_eq!((c.store.path.to_str(), c.store.linger.0), (Some("/var/lib/heyun/heyun.db"), 5_000));
    assert_eq!(c.web.listen.to_string(), "127.0.0.1:8480");
    assert_eq!(p.source.as_ref().unwrap().topic, "water/b15/main");
}

#[test]
fn readings_are_kept_for_ever_unless_it_is_said() {
    let minimal = text(&shipped("minimal.toml"));
    assert_eq!(good(&minimal).store.retention, config::Retention::default());
    let some = good(&format!("{minimal}\n[store.retention]\nother = \"100d\"\n")).store.retention;
    assert_eq!((some.metering, some.other.map(|d| d.0)), (None, Some(100 * 86_400_000)));
}

const OF_ALL_MEDIUMS: &str = r#"
[gateway]
id = "g"
timezone = "Asia/Shanghai"
[prices]
water = "3.60"
[[compounds]]
id = "c"
name = "c"
[[buildings]]
id = "b"
name = "b"
[[households]]
id = "h"
name = "h"
building = "b"
[[meters]]
id = "heat"
kind = "bulk"
medium = "heat"
at = "b"
subscription = "mbus"
device = "73500219"
digits = 8
[[meters]]
id = "circuit"
kind = "bulk"
at = "b"
subscription = "mbus"
device = "73500219"
column = "total"
limits = { tonnes_per_month = false }
[[meters]]
id = "power"
kind = "sub"
medium = "electricity"
at = "h"
subscription = "pulses"
device = "1"
pulse_weight = "1 Wh"
max_power = "8.05 kW"
[[meters]]
id = "gas"
kind = "sub"
medium = "gas"
at = "h"
subscription = "pulses"
device = "2"
pulse_weight = "0.01 m3"
limits = { silent_after = "2d" }
[[meters]]
id = "cold"
kind = "bulk"
at = "b"
device = false
[[meters]]
id = "hot"
kind = "sub"
medium = "hot-water"
at = "h"
parent = "cold"
device = false
limits = { litres_per_hour = 200 }
[[meters]]
id = "old-meter"
kind = "bulk"
medium = "electricity"
at = "b"
device = false
[mqtt]
url = "mqtt://localhost"
[[mqtt.subscriptions]]
name = "mbus"
profile = "cjt188-heat"
topic = "cjt188/bus1"
[[mqtt.subscriptions]]
name = "pulses"
topic = "pulses/+"
format = "plain"
unit = "pulse"
"#;

#[test]
fn meters_of_more_than_water_are_understood() {
    let c = good(OF_ALL_MEDIUMS);
    let t = &c.topology;
    let point = |id| t.point(t.point_by_key(id).unwrap());
    let bound = |id| point(id).source.as_ref().unwrap();
    let column = |id| t.feed(bound(id).feed).columns[usize::from(bound(id).column.unwrap())].clone();

    // Two registers of one device, each a meter of its own.
    let heat = point("heat");
    assert_eq!((bound("heat").topic.as_str(), bound("circuit").topic.as_str()), ("cjt188/bus1#73500219", "cjt188/bus1#73500219"));
    assert_eq!((column("heat").name.as_str(), column("heat").quantity), ("energy", Quantity::Energy));
    assert_eq!((column("circuit").name.as_str(), column("circuit").quantity), ("total", Quantity::Volume));
    assert_eq!((heat.medium, point("circuit").medium), (Medium::Heat, Medium::Water));
    assert_eq!(heat.meter.pulse_weight, Amount::kilowatt_hours(1));
    assert_eq!(heat.meter.rollover_at, Some(Amount::kilowatt_hours(100_000_000)));
    assert_eq!(heat.meter.max_flow, Rate(10_000_000), "watts");

    let power = point("power");
    assert_eq!((power.meter.pulse_weight, power.meter.max_flow), (Amount(1), Rate(8_050)));
    assert_eq!(column("power").quantity, Quantity::Pulses);
    let gas = point("gas");
    assert_eq!((gas.meter.pulse_weight, gas.meter.max_flow), (Amount::litres(10), Rate::litres(10_000)));

    let none = |id| (point(id).limits.per_hour, point(id).limits.per_month, point(id).price_milliyuan_per_tonne);
    for id in ["heat", "power", "gas", "old-meter"] {
        assert_eq!(none(id), (None, None, None), "{id}");
    }
    assert_eq!(gas.limits.silent_after.map(|d| d.0), Some(2 * 86_400_000));
    assert_eq!(none("hot"), (Some(Amount::litres(200)), None, None), "the price is that of cold water");
    assert_eq!(point("hot").parent, t.point_by_key("cold"));

    // Dials that people read count what the meter measures.
    assert_eq!((bound("hot").topic.as_str(), bound("old-meter").topic.as_str()), ("manual/hot", "manual/old-meter"));
    assert_eq!((column("hot").quantity, column("old-meter").quantity), (Quantity::Volume, Quantity::Energy));
    let names: Vec<&str> = t.feeds.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["mbus", "pulses", "manual", "manual_energy"]);
}

#[test]
fn false_switches_a_limit_off() {
    let all = "limits = { litres_per_hour = false, tonnes_per_month = false, silent_after = false }";
    let c = good(&text(&shipped("minimal.toml")).replace("at = \"b15\"", &format!("at = \"b15\"\n{all}")));
    assert_eq!(c.topology.points[0].limits, Default::default());
}

#[test]
fn numbers_are_taken_as_they_are_written() {
    let price = |water: &str| {
        good(&format!("{}\n[prices]\nwater = {water}", text(&shipped("minimal.toml")))).topology.points[0].price_milliyuan_per_tonne
    };
    assert_eq!((price("3.6"), price("\"3.605\""), price("4"), price("1_0.0")), (Some(3_600), Some(3_605), Some(4_000), Some(10_000)));
}

#[test]
fn a_hundred_and_fifty_meters_need_no_hundred_and_fifty_blocks() {
    let line = |i| format!(r#"{{ id = "m{i}", kind = "sub", at = "h{i}", device = "d{i}" }},"#);
    let home = |i| format!(r#"{{ id = "h{i}", name = "{i}", building = "b" }},"#);
    let base = |what: &dyn Fn(usize) -> String| (0..150).map(what).collect::<Vec<_>>().join("\n");
    let text = format!(
        r#"
        meters = [ {} ]
        households = [ {} ]
        gateway = {{ id = "g", timezone = "Asia/Shanghai" }}
        compounds = [ {{ id = "c", name = "c" }} ]
        buildings = [ {{ id = "b", name = "b" }} ]
        [mqtt]
        url = "mqtt://localhost"
        subscriptions = [ {{ name = "s", topic = "tele/+/SENSOR", format = "json", value = "/COUNTER/C1", unit = "pulse" }} ]
        "#,
        base(&line),
        base(&home)
    );
    let c = good(&text);
    assert_eq!(c.topology.points.len(), 150);
    assert_eq!(c.topology.points[149].source.as_ref().unwrap().topic, "tele/d149/SENSOR");
}

#[test]
fn a_file_in_another_encoding_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gbk.toml");
    std::fs::write(&path, b"[gateway]\nid = \"a\" # \xba\xcd\xd4\xcf\n").unwrap();
    let found = problems(&path);
    assert_eq!((found.len(), found[0].line, found[0].column), (1, 2, 12), "{found:?}");
    assert!(found[0].right.contains("GBK"));
    assert!(matches!(config::load(&dir.path().join("none.toml")), Err(LoadError::Io { .. })));
}

#[test]
fn every_prefix_of_the_reference_is_answered() {
    let reference = text(&shipped("heyun.toml"));
    for (i, _) in reference.char_indices().step_by(7) {
        if let Err(p) = config::parse(&reference[..i], Catalogue::default()) {
            assert!(!p.is_empty(), "refused without a reason at {i}");
        }
    }
}

/// The reference with a piece of it replaced by something else that may stand in such a file.
fn mutilated() -> impl Strategy<Value = String> {
    let reference = text(&shipped("heyun.toml"));
    let boundaries: Vec<usize> = reference.char_indices().map(|(i, _)| i).collect();
    let piece = prop::sample::select(vec![
        "",
        "\"",
        "= ",
        "\n",
        "[",
        "]]",
        "{",
        "}",
        "false",
        "0",
        "-1",
        "1e999",
        "99999999999999999999",
        "\"\"",
        "\"x\"",
        "nan",
        "[[meters]]\n",
        "[mqtt]\n",
        "#",
        "0x",
        "2010-01-01",
        "\"\"\"",
        "，",
        "“",
        "\u{0}",
        "a.b.c = 1\n",
    ]);
    (prop::sample::select(boundaries), 0usize..30, piece).prop_map(move |(at, len, piece)| {
        let end = reference[at..].char_indices().nth(len).map_or(reference.len(), |(i, _)| at + i);
        format!("{}{piece}{}", &reference[..at], &reference[end..])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_check_panic(text in any::<String>()) {
        if let Err(p) = config::parse(&text, Catalogue::default()) {
            prop_assert!(!p.is_empty());
        }
    }

    #[test]
    fn no_slip_in_the_reference_makes_it_panic(text in mutilated()) {
        if let Err(p) = config::parse(&text, Catalogue::default()) {
            prop_assert!(!p.is_empty());
            let lines = text.lines().count().max(1);
            prop_assert!(p.iter().all(|p| p.line >= 1 && p.line <= lines + 1));
        }
    }
}

#[test]
fn a_large_file_is_read_like_a_small_one_and_what_is_added_has_lines_of_its_own() {
    // More than 64 KiB, with characters of several bytes, and without an end of the last line.
    let meters: String = (0..1_500)
        .map(|i| format!("[[meters]]\nid = \"m{i}\"\nname = \"{i}号表\"\nkind = \"bulk\"\nat = \"b\"\ndevice = \"d{i}\"\n"))
        .collect();
    let text = format!(
        "[gateway]\nid = \"g\"\ntimezone = \"Asia/Shanghai\"\n[[compounds]]\nid = \"c\"\nname = \"和韵\"\n[[buildings]]\nid = \"b\"\nname = \"15\"\n\
         [mqtt]\nurl = \"mqtt://localhost\"\n[[mqtt.subscriptions]]\nname = \"own\"\ntopic = \"own/+\"\nformat = \"plain\"\nunit = \"m3\"\n{}",
        meters.trim_end()
    );
    assert!(text.len() > 1 << 16);
    let lines = text.lines().count();
    let added = "[[mqtt.subscriptions]]\nname = \"more\"\ntopic = \"more/+\"\nformat = \"plain\"\nunit = \"L\"\n[[meters]]\nid = \"added\"\nkind = \"bulk\"\nat = \"b\"\nsubscription = \"more\"\ndevice = \"x\"\n";
    // With a second + the file's devices would be of nobody knows which; as an addition it changes nothing of the file.
    assert!(config::parse(&format!("{text}\n{added}"), Catalogue::default()).is_err());
    let config =
        config::parse_with(&text, added, Catalogue::default()).unwrap_or_else(|p| panic!("{}", config::render(Path::new("config"), &p)));
    assert_eq!(config.topology.points.len(), 1_501);
    let source = |key: &str| config.topology.points.iter().find(|p| p.key == key).and_then(|p| p.source.as_ref()).unwrap().topic.clone();
    assert_eq!((source("m7"), source("added")), ("own/d7".to_owned(), "more/x".to_owned()));
    let wrong = config::parse_with(&text, &added.replace("at = \"b\"", "at = \"水\""), Catalogue::default()).unwrap_err();
    let [only] = wrong.as_slice() else { panic!("{wrong:?}") };
    assert_eq!((only.line - lines, only.quote.as_str(), only.key.as_str()), (9, "at = \"水\"", "meters[1500].at"));
}
