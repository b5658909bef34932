//! What became of the rows, and what was found, in numbers.

use crate::domain::finding::Finding;
use crate::domain::time::Ts;
use std::collections::BTreeMap;
use std::fmt;

/// rows = stored + duplicate + rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rows: u64,
    pub stored: u64,
    pub duplicate: u64,
    /// By the code of the reason.
    pub rejected: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// How often a rule spoke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    pub first: u64,
    /// Again, having grown by half.
    pub grown: u64,
    /// Over for more than a day when it was found: recorded, nobody is told, so not among the alerts.
    pub historic: u64,
}

/// The whole of a replay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub tally: Tally,
    /// By the code of the rule.
    pub findings: BTreeMap<&'static str, Spoken>,
    /// Series of no meter, and their rows among the above.
    pub unknown_series: u64,
    pub unknown_rows: u64,
    /// First and last moment of the replay's clock.
    pub span: Option<(Ts, Ts)>,
    pub seconds: f64,
}

impl Report {
    /// Counts a finding; true if it belongs among the alerts.
    pub(super) fn found(&mut self, finding: &Finding) -> bool {
        let spoken = self.findings.entry(finding.kind.code()).or_default();
        let counter = match (finding.historic, finding.grown) {
            (true, _) => &mut spoken.historic,
            (false, true) => &mut spoken.grown,
            (false, false) => &mut spoken.first,
        };
        *counter += 1;
        !finding.historic
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, stored, duplicate) = (self.rows, self.stored, self.duplicate);
        write!(f, "{rows} rows = {stored} stored + {duplicate} duplicate + {} rejected", self.rejected_total())?;
        let mut sep = " (";
        for (code, n) in &self.rejected {
            write!(f, "{sep}{code} {n}")?;
            sep = ", ";
        }
        if self.rejected.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.tally)?;
        if self.unknown_series > 0 {
            writeln!(f, "  of these {} rows of {} series without a meter: kept, not watched", self.unknown_rows, self.unknown_series)?;
        }
        if self.findings.is_empty() {
            writeln!(f, "no findings")?;
        }
        for (code, s) in &self.findings {
            write!(f, "{code}: {} raised", s.first)?;
            if s.grown > 0 {
                write!(f, ", {} again when grown by half", s.grown)?;
            }
            if s.historic > 0 {
                write!(f, ", {} too old to be raised", s.historic)?;
            }
            writeln!(f)?;
        }
        if let Some((from, to)) = self.span {
            writeln!(f, "from {from} to {to}")?;
        }
        let rate = self.tally.rows as f64 / self.seconds.max(1e-6);
        write!(f, "{:.2} s, {rate:.0} rows/s", self.seconds)
    }
}
