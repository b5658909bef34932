//! What a question about the past names: which point, which span, how much at once; and the address of what follows.

use super::error::Error;
use super::meters::{self, Bound};
use super::params::Params;
use super::{clock, time_param};
use crate::domain::engine::Snapshot;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::{PointIx, Topology};
use crate::history::Span;
use std::fmt::Write as _;

/// A question about a point's past.
pub struct Past {
    pub point: PointIx,
    /// None where nothing was heard of it.
    pub bound: Option<Bound>,
    pub span: Span,
    pub limit: usize,
}

impl Past {
    /// `limit`: what it is where nothing is said, and at most.
    pub fn of(id: &str, params: &Params, limit: (usize, usize), topology: &Topology, snapshot: &Snapshot) -> Result<Past, Error> {
        let limit = params.limit(limit.0, limit.1)?;
        let span = time_param::span(params, &topology.tz, clock::now())?;
        let point = meters::find(topology, snapshot, id)?;
        Ok(Past { point, bound: meters::source(topology, snapshot, point), span, limit })
    }

    /// The address of everything after `last`, of the same kind.
    pub fn next(&self, id: &str, what: &str, last: Option<Ts>) -> Option<String> {
        let (from, to, limit) = (last? + Ms(1), self.span.to, self.limit);
        (from < to).then(|| format!("/api/v1/meters/{}/{what}?from={}&to={}&limit={limit}", escaped(id), from.0, to.0))
    }
}

/// A path segment; keys may be written in any script.
fn escaped(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for b in segment.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}
