//! Every stored reading of the metering points: by time, then by source, then in the order of the config.

use super::columns;
use super::number::decimal;
use super::points::{self, Measure};
use super::stamp::Stamps;
use super::{Form, Selection};
use crate::domain::engine::SourceRecord;
use crate::domain::reading::Row;
use crate::domain::topology::Topology;

struct Line {
    column: usize,
    /// Amount of one step of the number: 1 for a register, the pulse weight for a counter.
    weight: i64,
    /// Where the point is and which meter is in it, as it begins every one of its rows.
    head: Vec<u8>,
}

pub struct Raw {
    /// By the source's number.
    lines: Vec<Vec<Line>>,
    stamps: Stamps,
    /// By the flags; with the line end.
    qualities: Vec<Vec<u8>>,
}

impl Raw {
    pub fn new(topology: &Topology, sources: &[SourceRecord], selection: &Selection, form: Form) -> Raw {
        let line = |f: &points::Feeds| {
            let weight = match f.measure {
                Measure::Register => 1,
                Measure::Pulses(weight) => weight.0,
                // A mean flow has no register; its numbers are among the values.
                Measure::MeanFlow => return None,
            };
            Some(Line { column: f.column, weight, head: points::head(topology, f.point, form) })
        };
        let lines = points::by_source(topology, sources, selection);
        let mut qualities = columns::qualities(form.lang);
        qualities.iter_mut().for_each(|q| q.extend_from_slice(b"\r\n"));
        Raw {
            lines: lines.iter().map(|l| l.iter().filter_map(line).collect()).collect(),
            stamps: Stamps::new(topology.tz.clone()),
            qualities,
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
            decimal(out, value.saturating_mul(line.weight), 6);
            out.push(b',');
            out.extend_from_slice(&self.qualities[usize::from(row.flags.0)]);
            rows += 1;
        }
        rows
    }
}
