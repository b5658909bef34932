//! What systemd is told. Without it (no `NOTIFY_SOCKET`) every call does nothing.

use sd_notify::NotifyState;
use std::time::Duration;
use tracing::warn;

/// The daemon serves: state folded, store writable, HTTP bound.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The start takes longer than usual, but goes on: do not give up for so long.
pub fn still_starting(wait: Duration) {
    tell(&[NotifyState::ExtendTimeoutUsec(u32::try_from(wait.as_micros()).unwrap_or(u32::MAX))]);
}

/// The orderly stop has begun, and a start follows in the same process, which ends with [`ready`].
pub fn reloading() {
    tell(&[NotifyState::Reloading]);
}

/// The orderly stop has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Engine and store have just answered.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often [`alive`] must be called; None if nobody watches.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        warn!(error = %e, "systemd could not be told");
    }
}
