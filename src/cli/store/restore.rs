//! `heyun store restore`.

use super::super::args::StoreRestore;
use super::super::{Error, answer};
use super::{Bar, backup, settings};
use crate::daemon;
use crate::store::{self, Kept, Newer};

pub fn run(args: &StoreRestore) -> Result<(), Error> {
    let settings = settings(args.to.as_ref(), args.config.as_ref())?;
    let bar = Bar::new();
    let result = store::restore(&args.from, &settings, daemon::now(), &mut |step| bar.step(step));
    drop(bar);
    let done = result?;
    backup::tell(&done.copy);
    if !done.digest_checked {
        answer("no FILE.sha256 stood beside the copy: that it is whole was checked, not that it is the very same");
    }
    if let Some(Kept { path, newer }) = &done.kept {
        answer(&format!("kept      {}", path.display()));
        answer(&format!("not in it {}", not_in_it(newer)));
    }
    if done.copy.contents.schema < store::VERSION {
        answer(&format!("the next start of the daemon migrates it to version {}", store::VERSION));
    }
    Ok(())
}

/// What the database that was replaced had and the copy has not.
fn not_in_it(newer: &Newer) -> String {
    match newer {
        Newer::Nothing => "nothing: the copy holds all that the replaced database held".to_owned(),
        Newer::Readings { readings, events, from, to } => format!("{readings} readings and {events} events, stored from {from} to {to}"),
        Newer::Unrelated { readings } => {
            format!("{readings} readings: the replaced database did not come from the same beginnings as the copy")
        }
        Newer::Unreadable(why) => format!("unknown: the replaced database cannot be read ({why})"),
    }
}
