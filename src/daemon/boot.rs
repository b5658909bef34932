//! From the file to a running engine: last checkpoint, then what was committed after it.

use super::error::Error;
use crate::domain::engine::{CHECKPOINT_FORM, Checkpoint, Engine};
use crate::domain::incident::Event;
use crate::domain::topology::Topology;
use crate::history;
use crate::store::{self, FoldItem, Reader};
use crate::systemd;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::io::{BufWriter, IntoInnerError};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How often a long fold says how far it is.
const PROGRESS: Duration = Duration::from_secs(2);

/// The engine as of the newest commit, and that commit's number.
pub fn fold(topology: Arc<Topology>, reader: &Reader) -> Result<(Engine, u64), Error> {
    let began = Instant::now();
    let (sources, identities) = (reader.sources()?, reader.identities()?);
    let head = reader.last_batch()?;
    let last_batch = head.map_or(0, |h| h.batch);
    let (checkpoint, batch_by_batch) = beginning(&topology, reader)?;
    let after = checkpoint.as_ref().map_or(0, |c| c.batch);
    if after == 0 && last_batch > 0 {
        info!(batches = last_batch, "no checkpoint: folding everything that is stored");
    }
    let ledger = history::entries(reader.ledger()?)?;
    let mut engine = Engine::restore(topology, &sources, &identities, ledger, checkpoint);
    let (mut rows, mut bad, mut said) = (0u64, None, Instant::now());
    let total = head.map_or(0, |h| h.total_rows);
    let mut each = |item| {
        match item {
            FoldItem::Row { batch, row, .. } => {
                engine.fold_row(batch, &row);
                rows += 1;
                if rows.is_multiple_of(65_536) && said.elapsed() > PROGRESS {
                    said = Instant::now();
                    systemd::still_starting(10 * PROGRESS);
                    info!(rows, of_at_most = total, "folding");
                }
            }
            FoldItem::Event { event, .. } => match serde_json::from_str::<Event>(&event.body) {
                Ok(e) => engine.fold_event(&e),
                Err(e) => {
                    bad = Some(Error::Event { seq: event.seq, source: e });
                    return ControlFlow::Break(());
                }
            },
            FoldItem::Commit { .. } => {}
        }
        ControlFlow::Continue(())
    };
    if batch_by_batch {
        reader.fold_from(after, &mut each)?;
    } else {
        reader.refold(&mut each)?;
    }
    if let Some(e) = bad {
        return Err(e);
    }
    info!(rows, after_batch = after, last_batch, ms = began.elapsed().as_millis(), "state folded");
    Ok((engine, last_batch))
}

/// The newest state that can be read (the store keeps two) and from which the commits can be followed. False: there is none, and everything
/// is folded in order of time, because older commits are no longer told one by one.
fn beginning(topology: &Topology, reader: &Reader) -> Result<(Option<Checkpoint>, bool), Error> {
    let (mut stored, stated) = (reader.checkpoint()?, reader.ledger_batch()?);
    while let Some(c) = stored {
        if let Some(good) = read_checkpoint(&c.checkpoint)
            // What people have stated since changes what is in it.
            && good.batch >= stated
            && counts_so(&good, topology)
            && reader.folds_from(good.batch)?
        {
            return Ok((Some(good), true));
        }
        stored = reader.checkpoint_before(c.batch)?;
    }
    // In the order of arrival a statement would come too late for the rows that it speaks of.
    Ok((None, stated == 0 && reader.folds_from(0)?))
}

fn counts_so(c: &Checkpoint, topology: &Topology) -> bool {
    let fits = c.fits(topology);
    if !fits {
        info!("the config says that a meter counts otherwise than before: its past is told anew, from the readings");
    }
    fits
}

/// None if it is of another form or damaged: the rows tell the same, only slower.
fn read_checkpoint(stored: &store::Checkpoint) -> Option<Checkpoint> {
    if stored.format != CHECKPOINT_FORM {
        warn!(found = stored.format, wanted = CHECKPOINT_FORM, "the checkpoint is of another version");
        return None;
    }
    match serde_json::from_reader(GzDecoder::new(stored.body.as_slice())) {
        Ok(c) => Some(c),
        Err(e) => {
            warn!(error = %e, "the checkpoint cannot be read");
            None
        }
    }
}

/// A checkpoint as the store keeps it: compressed JSON, because it is written every hour to a card that wears.
pub fn stored_checkpoint(c: &Checkpoint) -> Result<store::Checkpoint, serde_json::Error> {
    // The encoder works on whole pieces: JSON comes in bits of a few bytes.
    let mut out = BufWriter::with_capacity(16 << 10, GzEncoder::new(Vec::new(), Compression::fast()));
    serde_json::to_writer(&mut out, c)?;
    let body = out.into_inner().map_err(IntoInnerError::into_error).and_then(GzEncoder::finish).map_err(serde_json::Error::io)?;
    Ok(store::Checkpoint { format: c.form, body })
}
