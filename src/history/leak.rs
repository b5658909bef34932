//! What a leak's file and a message about it both say of the water.

use super::{Register, Span, passed};
use crate::domain::engine::Snapshot;
use crate::domain::finding::Cause;
use crate::domain::incident::Incident;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::domain::units::Amount;
use crate::store::{ReadError, Reader};

/// All that flowed through a leak's first water meter since it can have begun, whether lost or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinceStart {
    pub point: PointIx,
    /// The earliest that it can have begun.
    pub since: Ts,
    /// Until the leak was closed, or until now. None where nothing of that time was read.
    pub volume: Option<Amount>,
}

/// None for an incident that is no leak, and where none of its points is a water meter that is configured, or that one has no register.
pub fn since_start(
    i: &Incident,
    topology: &Topology,
    snapshot: &Snapshot,
    reader: &Reader,
    now: Ts,
) -> Result<Option<SinceStart>, ReadError> {
    if i.cause != Cause::Leak {
        return Ok(None);
    }
    // A rope may have been wet before the meter of its flat noticed.
    let point = i.points.iter().filter_map(|key| topology.point_by_key(key)).find(|p| topology.point(*p).measures_water());
    let Some((point, register)) = point.and_then(|p| Some((p, Register::now(topology, snapshot, p)?))) else { return Ok(None) };
    let since = i.start.earliest;
    // The newest reading may be of this very moment, and a span ends before its end.
    let to = i.closed.as_ref().map_or(now + Ms(1), |(at, ..)| *at);
    let passed = passed(reader, topology, point, &register, Span { from: since, to })?;
    Ok(Some(SinceStart { point, since, volume: passed.until.map(|_| passed.volume) }))
}
