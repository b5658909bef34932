//! The one place that reads the wall clock.

use crate::domain::time::Ts;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Written by systemd-timesyncd once it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Made by systemd-timesyncd when it starts.
const TIMESYNC: &str = "/run/systemd/timesync";

/// 2026-01-01: a clock before it was never set.
const BUILT_AFTER: Ts = Ts(1_767_225_600_000);

/// Now, by the system's clock.
pub fn now() -> Ts {
    let ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(d) => i64::try_from(d.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Ts(ms)
}

/// Now, and whether it can be believed: a Pi has no battery behind its clock and may start years in the past.
///
/// Where systemd-timesyncd runs, it says when it has set the clock. Where it does not (another time daemon, a container), a clock
/// that is not in the past of this program is believed.
pub fn now_and_sure() -> (Ts, bool) {
    let now = now();
    let set = !Path::new(TIMESYNC).exists() || Path::new(SYNCHRONISED).exists();
    (now, set && now > BUILT_AFTER)
}
