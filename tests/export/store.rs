//! A store with a few readings of `community.toml`, written as the daemon writes.

use heyun::domain::engine::SourceRecord;
use heyun::domain::reading::{Flags, Row, SourceId, Values};
use heyun::domain::time::{Ms, Ts, instant};
use heyun::domain::topology::{Column, Topology};
use heyun::domain::units::Quantity;
use heyun::store::{Batch, Reader, Settings, Writer};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

pub struct World {
    pub topology: Topology,
    pub reader: Reader,
    /// None once it was closed.
    writer: Option<Writer>,
    photos: heyun::store::Photos,
    batch: u64,
    pub dir: TempDir,
}

/// Numbers of the sources.
pub const BULK: u32 = 1;
pub const FLAT: u32 = 2;
pub const MAKE_UP: u32 = 3;
/// Heard, but no metering point reads it.
pub const VALVE: u32 = 4;
/// Of [`World::mixed`] alone.
pub const HEAT: u32 = 5;
pub const GAS: u32 = 6;

/// A heat meter, and a gas meter by pulses.
const MORE_METERS: &str = r#"
[[meters]]
id = "h1-heat"
name = "供热表"
kind = "bulk"
medium = "heat"
at = "h1"
device = "h1"
subscription = "heat"
[[meters]]
id = "h1-101-gas"
name = "燃气表"
kind = "sub"
medium = "gas"
at = "h1-101"
pulse_weight = "10 L"
device = "gas"
subscription = "pulses"
[[mqtt.subscriptions]]
name = "heat"
topic = "heat/+"
format = "plain"
unit = "kWh"
"#;

impl World {
    pub fn new() -> World {
        World::in_zone("Asia/Shanghai")
    }

    pub fn in_zone(zone: &str) -> World {
        World::of(&include_str!("community.toml").replace("Asia/Shanghai", zone))
    }

    /// With meters of more than water.
    pub fn mixed() -> World {
        World::of(&format!("{}{MORE_METERS}", include_str!("community.toml")))
    }

    fn of(text: &str) -> World {
        let config = heyun::config::parse(text, heyun::config::Catalogue::default()).unwrap_or_else(|p| panic!("{p:?}"));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("heyun.toml"), text.replace("\"heyun.db\"", &format!("{:?}", dir.path().join("heyun.db")))).unwrap();
        let (writer, reader) = heyun::store::open(&Settings { path: dir.path().join("heyun.db") }).unwrap();
        let source = |n: u32, topic: &str, columns: &[(&str, Quantity)]| SourceRecord {
            source: SourceId(n),
            id: format!("export-1.{n}").into(),
            topic: topic.into(),
            columns: columns.iter().map(|(name, quantity)| Column { name: (*name).into(), quantity: *quantity }).collect(),
        };
        let sources = vec![
            source(BULK, "meters/h1/state", &[("value", Quantity::Temperature), ("total", Quantity::Volume)]),
            source(FLAT, "pulses/101", &[("value", Quantity::Pulses)]),
            source(MAKE_UP, "water/makeup", &[("value", Quantity::Volume)]),
            source(VALVE, "+evil,topic", &[("value", Quantity::Temperature)]),
            source(HEAT, "heat/h1", &[("value", Quantity::Energy)]),
            source(GAS, "pulses/gas", &[("value", Quantity::Pulses)]),
        ];
        let mut world = World { topology: config.topology, reader, photos: writer.photos(), writer: Some(writer), batch: 0, dir };
        world.commit_with(vec![], sources);
        world
    }

    pub fn photos(&self) -> heyun::store::Photos {
        self.photos.clone()
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("heyun.toml")
    }

    pub fn at(&self, text: &str) -> Ts {
        instant(text, &self.topology.tz).unwrap()
    }

    /// Ends the writing; everything is in the file then, nothing in the log beside it.
    pub fn close(&mut self) {
        self.writer.take().unwrap().close().unwrap();
    }

    /// As many readings of the make-up meter, one a minute.
    pub fn fill(&mut self, readings: i64) {
        let from = self.at("2026-01-01");
        for part in (0..readings).collect::<Vec<_>>().chunks(5_000) {
            self.commit(part.iter().map(|i| row(MAKE_UP, from + Ms::minutes(*i), &[Some(i * 7_000)])).collect());
        }
    }

    pub fn commit(&mut self, rows: Vec<Row>) {
        self.commit_with(rows, vec![]);
    }

    fn commit_with(&mut self, rows: Vec<Row>, sources: Vec<SourceRecord>) {
        self.batch += 1;
        let received = Ts(self.at("2026-11-24").0 + i64::try_from(self.batch).unwrap());
        let writer = self.writer.as_ref().unwrap();
        writer.commit(Arc::new(Batch { id: self.batch, received, rows, sources, ..Batch::default() })).unwrap();
    }
}

/// A message of a source: its values in smallest units, by column.
pub fn row(source: u32, ts: Ts, values: &[Option<i64>]) -> Row {
    flagged(source, ts, values, Flags::NONE)
}

pub fn flagged(source: u32, ts: Ts, values: &[Option<i64>], flags: Flags) -> Row {
    let mut v = Values::NONE;
    values.iter().enumerate().filter_map(|(i, n)| n.map(|n| (i, n))).for_each(|(i, n)| v.set(i, n));
    Row { ts, source: SourceId(source), values: v, flags }
}
