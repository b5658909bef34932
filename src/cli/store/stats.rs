//! `heyun store stats`.

use super::super::args::{StatsFormat, StoreStats};
use super::super::{Error, answer};
use super::settings;
use crate::store::{self, Growth, Stats, TableSize};
use serde::Serialize;
use std::path::Path;

pub fn run(args: &StoreStats) -> Result<(), Error> {
    let settings = settings(args.database.store.as_ref(), args.database.config.as_ref())?;
    let reader = store::open_reader(&settings)?;
    let (stats, tables, growth) = (reader.stats()?, reader.table_sizes()?, reader.growth()?);
    match args.format {
        StatsFormat::Table => table(&settings.path, &stats, &tables, growth),
        StatsFormat::Json => json(&settings.path, &stats, &tables, growth),
    }
}

fn table(path: &Path, stats: &Stats, tables: &[TableSize], growth: Option<Growth>) -> Result<(), Error> {
    let Stats { file_bytes, wal_bytes, rows, batches, events, expired, first, last } = stats;
    answer(&format!("file      {}", path.display()));
    answer(&format!("bytes     {file_bytes} and {wal_bytes} in the log beside it"));
    answer(&format!("readings  {rows} in {batches} batches"));
    if *expired > 0 {
        answer(&format!("expired   {expired} readings, older than they are to be kept"));
    }
    answer(&format!("events    {events}"));
    if let (Some(first), Some(last)) = (first, last) {
        answer(&format!("span      {first} to {last}"));
    }
    if let Some(Growth { days, readings_per_day, bytes_per_day }) = growth {
        answer(&format!("per day   {readings_per_day} readings, about {bytes_per_day} bytes (mean of the last {days} days)"));
    }
    answer("");
    answer(&format!("{:<24} {:>14} {:>14}", "table or index", "rows", "bytes"));
    for TableSize { name, rows, bytes } in tables {
        answer(&format!("{name:<24} {rows:>14} {bytes:>14}"));
    }
    Ok(())
}

fn json(path: &Path, stats: &Stats, tables: &[TableSize], growth: Option<Growth>) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Report<'a> {
        file: String,
        file_bytes: u64,
        log_bytes: u64,
        readings: u64,
        expired: u64,
        batches: u64,
        events: u64,
        first: Option<String>,
        last: Option<String>,
        per_day: Option<PerDay>,
        tables: Vec<Table<'a>>,
    }
    #[derive(Serialize)]
    struct PerDay {
        of_days: u64,
        readings: u64,
        bytes: u64,
    }
    #[derive(Serialize)]
    struct Table<'a> {
        name: &'a str,
        rows: u64,
        bytes: u64,
    }
    let report = Report {
        file: path.display().to_string(),
        file_bytes: stats.file_bytes,
        log_bytes: stats.wal_bytes,
        readings: stats.rows,
        expired: stats.expired,
        batches: stats.batches,
        events: stats.events,
        first: stats.first.map(|t| t.to_string()),
        last: stats.last.map(|t| t.to_string()),
        per_day: growth.map(|g| PerDay { of_days: g.days, readings: g.readings_per_day, bytes: g.bytes_per_day }),
        tables: tables.iter().map(|t| Table { name: &t.name, rows: t.rows, bytes: t.bytes }).collect(),
    };
    answer(&serde_json::to_string_pretty(&report).map_err(Error::Json)?);
    Ok(())
}
