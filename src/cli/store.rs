//! `heyun store`.

use super::{Error, answer};
use crate::config;
use crate::store::{self, Stats};
use std::path::Path;

pub fn stats(path: &Path) -> Result<(), Error> {
    let config = config::load(path).map_err(|e| Error::config(path, e))?;
    let reader = store::open_reader(&store::Settings { path: config.store.path.clone() })?;
    let Stats { file_bytes, wal_bytes, rows, batches, events, first, last } = reader.stats()?;
    answer(&format!("file      {}", config.store.path.display()));
    answer(&format!("bytes     {file_bytes} and {wal_bytes} in the log beside it"));
    answer(&format!("readings  {rows} in {batches} batches"));
    answer(&format!("events    {events}"));
    if let (Some(first), Some(last)) = (first, last) {
        answer(&format!("span      {first} to {last}"));
    }
    Ok(())
}
