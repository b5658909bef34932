//! `heyun replay`: the progress bar, the notices and the summary around [`crate::replay`].

use super::Error;
use super::args::{LogFormat, Replay};
use crate::replay::{self, Report, Settings};
use std::io::{self, Write};
use tracing::{info, warn};

pub fn run(args: &Replay, format: LogFormat) -> Result<(), Error> {
    let settings = Settings { meters: args.meters.clone(), readings: args.readings.clone(), alerts_out: args.alerts_out.clone() };
    let bar = replay::progress(&settings);
    let report = replay::run(&settings, &bar, &mut |notice| bar.suspend(|| warn!("{notice}")))?;
    match format {
        LogFormat::Text => {
            let _ = writeln!(io::stderr(), "{report}");
        }
        LogFormat::Json => summary(&report),
    }
    Ok(())
}

fn summary(report: &Report) {
    for (code, s) in &report.findings {
        info!(code, raised = s.first, grown = s.grown, historic = s.historic, "findings");
    }
    for (reason, n) in &report.tally.rejected {
        info!(reason, rows = n, "rejected");
    }
    let t = &report.tally;
    info!(rows = t.rows, stored = t.stored, duplicate = t.duplicate, rejected = t.rejected_total(), seconds = report.seconds, "replayed");
}
