//! `heyun run`.

use super::{Error, devices};
use crate::daemon;
use std::path::Path;

pub fn run(path: &Path) -> Result<(), Error> {
    let config = devices::load(path)?;
    Ok(daemon::run(&config, path)?)
}
