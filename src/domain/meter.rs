//! The ledger of a metering point: register readings in, volumes out.

use serde::{Deserialize, Serialize};

/// How often the register did what, since the store began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCounts {
    pub forward: u64,
    pub equal: u64,
    /// Fell by no more than its resolution: a flicker, not water.
    pub jitter: u64,
    pub reset: u64,
    pub rollover: u64,
    /// Further than any real flow; held until later readings confirm it.
    pub jump: u64,
    /// Older than the newest accepted reading: stored, changes no total.
    pub late: u64,
}
