//! Over files: `heyun replay` itself, once with the limits that it chooses and once with those that are tried.

use super::pace::Pace;
use super::report::{Report, Run};
use super::shelf::Files;
use super::trial::Tried;
use super::{Error, Progress, Watch};
use crate::domain::finding::Finding;
use crate::domain::time::Ts;
use crate::domain::topology::{PointIx, Topology};
use crate::replay::{self, Listener, Notice};
use indicatif::ProgressBar;
use std::sync::Arc;
use std::time::Instant;

/// So many odd things are told.
const NOTES: usize = 50;

pub fn run(tried: &Tried, files: &Files, watch: &mut Watch<'_>) -> Result<Report, Error> {
    let began = Instant::now();
    let whole = replay::bytes(&files.readings);
    let passes = if tried.is_as_now() { 1 } else { 2 };
    let folder = format!("{}/", files.folder.display());
    let bar = ProgressBar::hidden();
    let mut hand = Hand {
        tried: None,
        topology: None,
        run: Run::default(),
        notes: vec![],
        folder: &folder,
        passes,
        done: 0,
        whole,
        bar: &bar,
        pace: Pace::new(),
        watch,
    };
    let report = replay::listen(&files.meters, &files.readings, &bar, &mut hand).map_err(|e| Error::of_replay(e, &folder))?;
    let as_now = std::mem::take(&mut hand.run);
    let other = if tried.is_as_now() {
        None
    } else {
        bar.reset();
        (hand.tried, hand.done) = (Some(*tried), 1);
        replay::listen(&files.meters, &files.readings, &bar, &mut hand).map_err(|e| Error::of_replay(e, &folder))?;
        Some(std::mem::take(&mut hand.run))
    };
    let (topology, notes) = (hand.topology.take(), hand.notes);
    // It has taken a row, so it has begun.
    let (topology, (from, to)) = topology.zip(report.span).ok_or(Error::Empty)?;
    Ok(Report {
        points: topology.points.len(),
        topology,
        from,
        to,
        learned_from: from,
        rows: report.tally.rows,
        seconds: began.elapsed().as_secs_f64(),
        as_now,
        tried: other,
        notes,
    })
}

/// Listens to a replay.
struct Hand<'a, 'w> {
    /// None: the limits that the replay chooses.
    tried: Option<Tried>,
    topology: Option<Arc<Topology>>,
    run: Run,
    notes: Vec<String>,
    folder: &'a str,
    passes: u64,
    done: u64,
    /// Bytes of one pass.
    whole: u64,
    bar: &'a ProgressBar,
    pace: Pace,
    watch: &'a mut Watch<'w>,
}

impl Listener for Hand<'_, '_> {
    fn begins(&mut self, topology: &mut Topology) -> Result<(), replay::Error> {
        if let Some(tried) = self.tried {
            let all: Vec<PointIx> = topology.point_ixs().collect();
            tried.in_place(topology, &all);
        }
        if self.topology.is_none() {
            self.topology = Some(Arc::new(topology.clone()));
        }
        Ok(())
    }

    fn found(&mut self, at: Ts, finding: &Finding) -> Result<(), replay::Error> {
        let Some(topology) = &self.topology else { return Ok(()) };
        self.run.push(at, finding.clone(), &topology.tz);
        Ok(())
    }

    fn tell(&mut self, notice: Notice) {
        // Told in the first pass; the second meets the same.
        if self.tried.is_none() && self.notes.len() < NOTES {
            self.notes.push(notice.to_string().replace(self.folder, ""));
        }
    }

    fn goes_on(&mut self, rows: u64) -> bool {
        self.pace.step();
        let read = self.bar.position().min(self.whole);
        let per_mille = (self.done * self.whole + read).saturating_mul(1_000) / (self.passes * self.whole).max(1);
        (self.watch)(Progress { per_mille: u32::try_from(per_mille).unwrap_or(1_000), rows })
    }
}
