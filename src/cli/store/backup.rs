//! `heyun store backup`.

use super::super::args::StoreBackup;
use super::super::{Error, answer};
use super::{Bar, settings};
use crate::store::{self, Copy};

pub fn run(args: &StoreBackup) -> Result<(), Error> {
    let settings = settings(args.database.store.as_ref(), args.database.config.as_ref())?;
    let bar = Bar::new();
    let result = store::backup(&settings, &args.to, args.force, &mut |step| bar.step(step));
    drop(bar);
    tell(&result?);
    Ok(())
}

/// What a copy holds.
pub fn tell(Copy { path, bytes, sha256, contents }: &Copy) {
    answer(&format!("file      {}", path.display()));
    answer(&format!("bytes     {bytes}, verified"));
    answer(&format!("sha256    {sha256}"));
    answer(&format!("schema    version {}", contents.schema));
    answer(&format!("commit    {} of {}, {} readings", contents.head.batch, contents.head.received, contents.head.total_rows));
    answer(&format!("newest    {}", contents.newest.map_or("no reading".to_owned(), |t| t.to_string())));
}
