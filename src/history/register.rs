//! Where a metering point's register stands in the store.

use super::account::Why;
use crate::domain::amendment::{Amendments, Entries};
use crate::domain::engine::{Snapshot, SourceRecord};
use crate::domain::reading::{Flags, Row, SourceId};
use crate::domain::time::Ts;
use crate::domain::topology::{Column, Point, PointIx, Topology};
use crate::domain::units::{Amount, Quantity};
use crate::store::Series;
use std::sync::Arc;

/// Counts the changes of the fold that make other volumes of the same rows.
const FOLD: u32 = 1;

/// The column of a source that is a point's register (or mean flow), and what people have stated about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    pub source: SourceId,
    /// Position in the source's stored columns.
    pub column: usize,
    pub quantity: Quantity,
    pub amended: Arc<Amendments>,
}

impl Register {
    /// By what the engine knows now. None while nothing of the point is stored.
    pub fn now(topology: &Topology, snapshot: &Snapshot, point: PointIx) -> Option<Register> {
        let topic = &topology.point(point).source.as_ref()?.topic;
        let source = snapshot.sources.iter().find(|s| *s.topic == **topic)?;
        let amended = snapshot.points.get(point.0 as usize)?.amended.clone();
        Register::among(topology, point, source.source?, &source.columns, amended)
    }

    /// By what the store knows ([`crate::store::Reader::sources`] and [`crate::store::Reader::ledger`]). None where nothing of the point is stored.
    pub fn stored(topology: &Topology, sources: &[SourceRecord], ledger: &Entries, point: PointIx) -> Option<Register> {
        let topic = &topology.point(point).source.as_ref()?.topic;
        let source = sources.iter().find(|s| *s.topic == **topic)?;
        let amended = Arc::new(ledger.amendments(&topology.point(point).key));
        Register::among(topology, point, source.source, &source.columns, amended)
    }

    fn among(topology: &Topology, point: PointIx, source: SourceId, columns: &[Column], amended: Arc<Amendments>) -> Option<Register> {
        let binding = topology.point(point).source.as_ref()?;
        let wanted = topology.feed(binding.feed).columns.get(usize::from(binding.column?))?;
        let column = columns.iter().position(|c| c == wanted)?;
        Some(Register { source, column, quantity: wanted.quantity, amended })
    }

    /// What an account takes on of a row, or why it does not; None where the device left the register out.
    pub(super) fn reading(&self, row: &Row, since: Ts) -> Option<Result<i64, Why>> {
        let value = self.value(row)?;
        Some(match row {
            row if row.flags.contains(Flags::AHEAD) => Err(Why::Ahead),
            row if row.ts < since => Err(Why::Old),
            _ => Ok(value),
        })
    }

    /// So many of a row's first values must be read for it.
    pub(super) fn width(&self) -> usize {
        self.column + 1
    }

    /// Its name in the store. None where the store has no room for the column.
    pub fn series(&self) -> Option<Series> {
        Some(Series { source: self.source, column: u8::try_from(self.column).ok()? })
    }

    /// What a day's volume depends on besides the rows and the calendar, in words that anybody can compare.
    pub(super) fn made_with(&self, point: &Point, since: Ts) -> String {
        let meter = &point.meter;
        // The views tell by it which unit a day is in.
        let unit = if point.medium.is_energy() { " of=Wh" } else { "" };
        let ml = |v: Option<Amount>| v.map_or_else(|| "-".to_owned(), |v| v.0.to_string());
        let span = meter.mean_flow_over.map_or_else(|| "-".to_owned(), |ms| ms.0.to_string());
        let (pulse, most) = (meter.pulse_weight.0, meter.max_flow.0);
        format!(
            "fold={FOLD} {:?} pulse={pulse} full={} most={most} mean={span} since={}{unit}",
            self.quantity,
            ml(meter.rollover_at),
            since.0
        )
    }

    /// What it shows in a row of its source; a device may leave it out.
    pub fn value(&self, row: &Row) -> Option<i64> {
        row.values.get(self.column)
    }
}
