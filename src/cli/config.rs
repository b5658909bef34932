//! The config as the commands see it; `heyun config`: what was adopted, for the config file, or gone.

use super::args::{Adoptable, ConfigDrop, ConfigExport};
use super::{Error, answer};
use crate::config::{AdoptedKind, Joined, Written};
use crate::daemon;
use crate::store::{self, AdoptedRecord};
use crate::texts::Stamp;
use jiff::tz::TimeZone;
use std::fmt::Write as _;
use std::path::Path;
use tracing::warn;

/// The config with what was adopted. Where that cannot be read, it is said, and the file holds alone.
pub fn load(path: &Path) -> Result<Joined, Error> {
    let (joined, unread) = daemon::configured(path).map_err(|e| Error::config(path, e))?;
    if let Some(e) = unread {
        warn!(error = %e, "what was adopted cannot be read: only the config file counts here");
    }
    Ok(joined)
}

/// The config file alone, its profiles proven.
pub fn file(path: &Path) -> Result<Written, Error> {
    daemon::config_file(path).map_err(|e| Error::config(path, e))
}

/// Prints what was adopted, or the text of one profile.
pub fn export(args: &ConfigExport) -> Result<(), Error> {
    let file = file(&args.config)?;
    let config = file.config();
    let records = store::adopted(&store::Settings { path: config.store.path.clone() })?;
    let of = |kind: AdoptedKind| records.iter().map(|(_, r)| r).filter(move |r| r.kind == kind.code());
    if let Some(name) = &args.profile {
        let known = || of(AdoptedKind::Profile).map(|r| r.key.clone()).collect();
        let found = of(AdoptedKind::Profile).find(|r| r.key == *name);
        let text = found.and_then(|r| r.toml.as_deref()).ok_or_else(|| Error::NotAdopted { name: name.clone(), known: known() })?;
        answer(text.trim_end());
        return Ok(());
    }
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(out, "# adopted: {} into {}", counted(records.len()), config.store.path.display());
    for r in of(AdoptedKind::Profile) {
        let _ = writeln!(
            out,
            "# devices/{0}.toml: heyun config export --config … --profile {0} > devices/{0}.toml ({1})",
            r.key,
            who(r, &config.topology.tz)
        );
    }
    // Where both do not go together nothing can be said of it: `heyun check` tells why.
    if let Ok((joined, None)) = daemon::configured(&args.config) {
        for (id, subscription) in joined.to_amend() {
            let _ =
                writeln!(out, "# with these lines in the file, {id} must say of which subscription it is: subscription = {subscription:?}");
        }
    }
    for kind in [AdoptedKind::Subscription, AdoptedKind::Meter, AdoptedKind::Sensor] {
        for r in of(kind) {
            let also = if file.has(kind, &r.key) { "; the config file has it too, and the file's counts" } else { "" };
            let _ = write!(out, "\n# {}{also}\n{}", who(r, &config.topology.tz), r.toml.as_deref().unwrap_or_default());
        }
    }
    answer(out.trim_end());
    Ok(())
}

fn who(r: &AdoptedRecord, tz: &TimeZone) -> String {
    // What ends a line would make config of the rest of the name.
    let by: String = r.by.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("by {by}, {}", Stamp::new(r.at, tz).full())
}

fn counted(n: usize) -> String {
    if n == 1 { "1 entry".to_owned() } else { format!("{n} entries") }
}

/// Drops an entry from the database of a gateway that does not run.
pub fn drop_adopted(args: &ConfigDrop) -> Result<(), Error> {
    let database = file(&args.config)?.config().store.path.clone();
    let kind = match args.kind {
        Adoptable::Profile => AdoptedKind::Profile,
        Adoptable::Subscription => AdoptedKind::Subscription,
        Adoptable::Meter => AdoptedKind::Meter,
        Adoptable::Sensor => AdoptedKind::Sensor,
    };
    daemon::drop_adopted(&database, (kind, &args.key), &args.by, daemon::now())?;
    answer(&format!("{} {}: dropped", kind.code(), args.key));
    Ok(())
}
