//! How the stored columns of sources become the registers of metering points, and what stands before each of their rows.

use super::cell::{self, Reader};
use super::columns::{self, POINT, say};
use super::{Form, Selection};
use crate::domain::amendment::{Amendments, Entries};
use crate::domain::engine::SourceRecord;
use crate::domain::topology::{PlaceKind, PointIx, Topology};
use crate::domain::units::Quantity;
use crate::history::Register;
use std::sync::Arc;

/// What the number in a metering point's column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Millilitres or watt-hours on a register.
    Register,
    /// Pulses on a counter, of the meter's pulse weight each.
    Pulses,
    /// Millilitres per hour, on average.
    MeanFlow,
}

/// A metering point that reads a column of a source.
#[derive(Clone, Debug)]
pub struct Feeds {
    pub point: PointIx,
    /// As stored.
    pub column: usize,
    pub measure: Measure,
    /// What was stated about the meter changes no reading, but how many litres a pulse was.
    pub amended: Arc<Amendments>,
}

/// For every source, by its number: the selected points that read it, in the order of the config. A point whose source was never heard has
/// no readings.
pub fn by_source(topology: &Topology, sources: &[SourceRecord], ledger: &Entries, selection: &Selection) -> Vec<Vec<Feeds>> {
    let mut out: Vec<Vec<Feeds>> = vec![];
    for ix in &selection.points {
        let Some(Register { source, column, quantity, amended }) = Register::stored(topology, sources, ledger, *ix) else { continue };
        let measure = match quantity {
            Quantity::Flow => Measure::MeanFlow,
            Quantity::Pulses => Measure::Pulses,
            // No other quantity can be a register: the config refuses it.
            _ => Measure::Register,
        };
        let at = source.0 as usize;
        if out.len() <= at {
            out.resize_with(at + 1, Vec::new);
        }
        out[at].push(Feeds { point: *ix, column, measure, amended });
    }
    out
}

/// The cells of [`POINT`], each with the comma behind it.
pub fn head(topology: &Topology, ix: PointIx, form: Form) -> Vec<u8> {
    let point = topology.point(ix);
    let reader = form.reader();
    let mut out = vec![];
    for kind in [PlaceKind::Community, PlaceKind::Compound, PlaceKind::Building, PlaceKind::Unit, PlaceKind::Household] {
        let name = topology.path(point.place).map(|p| topology.place(p)).find(|p| p.kind == kind).map_or("", |p| p.name.as_str());
        cell::text(&mut out, name, reader);
        out.push(b',');
    }
    cell::text(&mut out, &point.key, reader);
    out.push(b',');
    cell::text(&mut out, &point.name, reader);
    out.push(b',');
    cell::label(&mut out, point.meter.serial.as_deref().unwrap_or_default(), reader);
    out.push(b',');
    cell::text(&mut out, &say(columns::kind(point.kind), form.lang), Reader::Any);
    out.push(b',');
    debug_assert_eq!(POINT.len(), 9);
    out
}
