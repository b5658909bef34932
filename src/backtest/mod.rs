//! 规则试算: what the rules would have said over the past, as they are configured and with other limits beside it.
//!
//! The past is what is stored ([`past`]) or a history in CSV files ([`files`]). Both are lived through by engines of their own, which nobody
//! else sees: nothing is written, nobody is told, and live work shares nothing with them but the disk. [`pace`] leaves it the processor.
//!
//! Nothing is known before its time. The store keeps its readings by their own time, so a reading that came late is taken as though it had
//! come in time; what people have stated about meters holds from the beginning, as at the daemon's start. Nobody accepts or closes anything.
//!
//! Reading order: [`trial`] says what is to be tried, [`past`] and [`files`] try it, [`report`] is what comes of it, [`shelf`] keeps uploaded
//! files until they were read.

mod error;
mod files;
mod pace;
mod past;
mod report;
mod shelf;
mod trial;

pub use error::Error;
pub use report::{Counted, Found, MOST, Report, Run};
pub use shelf::{Files, Incoming, METERS_BYTES, Part, READINGS_BYTES, READINGS_FILES, Refusal, Shelf};
pub use trial::{Choice, Chosen, Tried, Wish};

use crate::domain::time::Ts;
use crate::domain::topology::Topology;
use crate::store::Reader;
use std::sync::Arc;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// 0 to 1000.
    pub per_mille: u32,
    /// Readings taken so far.
    pub rows: u64,
}

/// Hears how far it is; false: enough, it shall end.
pub type Watch<'a> = dyn FnMut(Progress) -> bool + 'a;

/// Tries it, on the calling thread, which is kept busy half of the time at most. `now` ends what is stored; `files` are tried instead where
/// there are any.
pub fn run(
    wish: &Wish,
    topology: &Arc<Topology>,
    reader: &Reader,
    files: Option<&Files>,
    now: Ts,
    watch: &mut Watch<'_>,
) -> Result<Report, Error> {
    match files {
        Some(files) => files::run(&wish.tried, files, watch),
        None => past::run(wish, topology, reader, now, watch),
    }
}
