//! No reading for too long. The only rule that time alone can wake: it is asked at deadlines, and remembers nothing itself.

use crate::domain::finding::{FindingKind, StartRange};
use crate::domain::time::{Ms, Ts};

/// When a point that was last heard at `last` becomes silent. `listening` is since when the gateway could have heard it at all:
/// what was sent while the gateway or its broker was away is still on its way.
pub fn deadline(last: Ts, listening: Ts, limit: Ms) -> Ts {
    last.max(listening) + limit
}

/// The finding's arguments and start for a point that is silent now.
pub fn statement(last: Ts, limit: Ms) -> (FindingKind, StartRange) {
    (FindingKind::MeterSilent { last, limit }, StartRange { earliest: last, latest: last + limit })
}
