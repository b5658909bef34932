//! `heyun channels`.

use super::{Error, answer, config};
use crate::{daemon, notify};
use std::path::Path;

/// Sends a test message by each channel, or by the one that is named, and says what became of it.
pub fn test(path: &Path, name: Option<&str>) -> Result<(), Error> {
    let config = config::file(path)?.config().clone();
    let mut channels = daemon::channels(&config)?;
    if let Some(name) = name {
        let known = channels.iter().map(|c| c.name.to_string()).collect();
        channels.retain(|c| &*c.name == name);
        if channels.is_empty() {
            return Err(Error::UnknownChannel { name: name.to_owned(), known });
        }
    }
    if channels.is_empty() {
        return Err(Error::NoChannel { path: path.to_owned() });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(daemon::Error::Thread)?;
    let mut failed = 0;
    for c in &channels {
        match runtime.block_on(notify::test(c, &config.topology, daemon::now())) {
            Ok(()) => answer(&format!("{} ({}): taken", c.name, c.form.kind())),
            Err(trouble) => {
                failed += 1;
                answer(&format!("{} ({}): not taken. {}", c.name, c.form.kind(), trouble.text().en));
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(Error::ChannelsFailed { failed, of: channels.len() }) }
}
