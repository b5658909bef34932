//! `heyun run`.

use super::Error;
use crate::{config, daemon};
use std::path::Path;

pub fn run(path: &Path) -> Result<(), Error> {
    let config = config::load(path).map_err(|e| Error::config(path, e))?;
    Ok(daemon::run(&config)?)
}
