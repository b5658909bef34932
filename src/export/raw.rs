//! Every stored reading of the metering points: by time, then by source, then in the order of the config.

use super::columns;
use super::number::decimal;
use super::points::{self, Measure};
use super::stamp::Stamps;
use super::{Form, Selection};
use crate::domain::amendment::{Amendments, Entries};
use crate::domain::engine::SourceRecord;
use crate::domain::reading::Row;
use crate::domain::topology::{Medium, Scale, Topology};
use std::sync::Arc;

struct Line {
    column: usize,
    medium: Medium,
    /// How the meter that is in now counts; None where the number is the register.
    pulses: Option<Scale>,
    amended: Arc<Amendments>,
    /// Where the point is and which meter is in it, as it begins every one of its rows.
    head: Vec<u8>,
}

pub struct Raw {
    /// By the source's number.
    lines: Vec<Vec<Line>>,
    stamps: Stamps,
    /// By the flags.
    qualities: Vec<Vec<u8>>,
    /// By the medium: what stands between the quality and the number in kWh; None where all measure water.
    mediums: Option<Vec<Vec<u8>>>,
}

impl Raw {
    pub fn new(topology: &Topology, (sources, ledger): (&[SourceRecord], &Entries), selection: &Selection, form: Form) -> Raw {
        let line = |f: &points::Feeds| {
            let point = topology.point(f.point);
            let pulses = match f.measure {
                Measure::Register => None,
                Measure::Pulses => Some(point.meter.scale()),
                // A mean flow has no register; its numbers are among the values.
                Measure::MeanFlow => return None,
            };
            let head = points::head(topology, f.point, form);
            Some(Line { column: f.column, medium: point.medium, pulses, amended: f.amended.clone(), head })
        };
        let lines = points::by_source(topology, sources, ledger, selection);
        Raw {
            lines: lines.iter().map(|l| l.iter().filter_map(line).collect()).collect(),
            stamps: Stamps::new(topology.tz.clone()),
            qualities: columns::qualities(form.lang),
            mediums: selection.mixed.then(|| columns::mediums(form.lang)),
        }
    }

    /// How many values of a row are needed.
    pub fn width(&self) -> usize {
        self.lines.iter().flatten().map(|l| l.column + 1).max().unwrap_or(0)
    }

    /// Appends the rows that a stored row makes; how many.
    pub fn row(&mut self, row: &Row, out: &mut Vec<u8>) -> u64 {
        let mut rows = 0;
        for line in self.lines.get(row.source.0 as usize).map_or(&[][..], Vec::as_slice) {
            let Some(value) = row.values.get(line.column) else { continue };
            out.extend_from_slice(&line.head);
            self.stamps.write(out, row.ts);
            out.push(b',');
            let weight = line.pulses.map_or(1, |scale| line.amended.scale(scale, row.ts).pulse_weight.0);
            let register = value.saturating_mul(weight);
            if !line.medium.is_energy() {
                decimal(out, register, 6);
            }
            out.push(b',');
            out.extend_from_slice(&self.qualities[usize::from(row.flags.0)]);
            if let Some(mediums) = &self.mediums {
                out.extend_from_slice(&mediums[line.medium as usize]);
                if line.medium.is_energy() {
                    decimal(out, register, 3);
                }
            }
            out.extend_from_slice(b"\r\n");
            rows += 1;
        }
        rows
    }
}
