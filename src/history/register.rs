//! Where a metering point's register stands in the store.

use crate::domain::engine::{Snapshot, SourceRecord};
use crate::domain::reading::{Row, SourceId};
use crate::domain::topology::{Column, PointIx, Topology};
use crate::domain::units::Quantity;

/// The column of a source that is a point's register (or mean flow).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    pub source: SourceId,
    /// Position in the source's stored columns.
    pub column: usize,
    pub quantity: Quantity,
}

impl Register {
    /// By what the engine knows now. None while nothing of the point is stored.
    pub fn now(topology: &Topology, snapshot: &Snapshot, point: PointIx) -> Option<Register> {
        let topic = &topology.point(point).source.as_ref()?.topic;
        let source = snapshot.sources.iter().find(|s| *s.topic == **topic)?;
        Register::among(topology, point, source.source?, &source.columns)
    }

    /// By what the store knows ([`crate::store::Reader::sources`]). None where nothing of the point is stored.
    pub fn stored(topology: &Topology, sources: &[SourceRecord], point: PointIx) -> Option<Register> {
        let topic = &topology.point(point).source.as_ref()?.topic;
        let source = sources.iter().find(|s| *s.topic == **topic)?;
        Register::among(topology, point, source.source, &source.columns)
    }

    fn among(topology: &Topology, point: PointIx, source: SourceId, columns: &[Column]) -> Option<Register> {
        let binding = topology.point(point).source.as_ref()?;
        let wanted = topology.feed(binding.feed).columns.get(usize::from(binding.column))?;
        let column = columns.iter().position(|c| c == wanted)?;
        Some(Register { source, column, quantity: wanted.quantity })
    }

    /// What it shows in a row of its source; a device may leave it out.
    pub fn value(self, row: &Row) -> Option<i64> {
        row.values.get(self.column)
    }
}
