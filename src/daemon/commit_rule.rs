//! When to commit. Each commit costs a flush of the disk, whatever is in it: as rarely as the people and the broker can bear.

use crate::domain::time::Ms;

/// So many messages are a batch.
pub const BATCH: usize = 1_000;

/// A broker that lets only so many messages go unacknowledged may be waiting for us.
const WINDOW: usize = 20;

/// The shortest stall of that window.
const STALL: Ms = Ms(20);

/// After one urgent commit the next waits this long: a burst of events shares a flush.
const URGENT: Ms = Ms(200);

/// Decides when the open batch is due. Times are milliseconds on any clock that only goes forward.
#[derive(Clone, Debug)]
pub struct CommitRule {
    linger: Ms,
    open: Option<Open>,
    last_urgent: Option<Ms>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    first: Ms,
    last: Ms,
    messages: usize,
    unacked: usize,
    urgent: bool,
}

impl CommitRule {
    pub fn new(linger: Ms) -> CommitRule {
        CommitRule { linger, open: None, last_urgent: None }
    }

    /// A message (or a command) became part of the batch.
    pub fn arrived(&mut self, now: Ms, unacked: bool, urgent: bool) {
        let open = self.open.get_or_insert(Open { first: now, last: now, messages: 0, unacked: 0, urgent: false });
        open.last = now;
        open.messages += 1;
        open.unacked += usize::from(unacked);
        open.urgent |= urgent;
    }

    /// When the batch must be committed if nothing more arrives; None if it is empty.
    pub fn due(&self) -> Option<Ms> {
        let open = self.open?;
        let mut due = Ms(open.first.0.saturating_add(self.linger.0));
        if open.messages >= BATCH {
            due = open.last;
        }
        if open.unacked >= WINDOW {
            let gap = (open.last - open.first).0 / (open.messages as i64 - 1).max(1);
            due = due.min(Ms(open.last.0 + STALL.0.max(3 * gap)));
        }
        if open.urgent {
            due = due.min(self.last_urgent.map_or(open.last, |u| Ms(u.0 + URGENT.0).max(open.first)));
        }
        Some(due)
    }

    /// The batch was committed.
    pub fn committed(&mut self, now: Ms) {
        if self.open.take().is_some_and(|o| o.urgent) {
            self.last_urgent = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> CommitRule {
        CommitRule::new(Ms::seconds(5))
    }

    #[test]
    fn nothing_is_never_due_and_one_message_waits_for_others() {
        let mut r = rule();
        assert_eq!(r.due(), None);
        r.arrived(Ms(100), true, false);
        r.arrived(Ms(4_000), true, false);
        assert_eq!(r.due(), Some(Ms(5_100)), "five seconds from the first");
        r.committed(Ms(5_100));
        assert_eq!(r.due(), None);
    }

    #[test]
    fn a_thousand_messages_wait_no_longer() {
        let mut r = rule();
        for i in 0..1_000 {
            r.arrived(Ms(i / 10), false, false);
        }
        assert_eq!(r.due(), Some(Ms(99)));
    }

    #[test]
    fn a_stalled_window_is_committed_by_its_own_pace() {
        let mut r = rule();
        for i in 0..20 {
            r.arrived(Ms(i), true, false);
        }
        assert_eq!(r.due(), Some(Ms(19 + 20)), "a fast sender: 20 ms after the last");
        let mut r = rule();
        for i in 0..20 {
            r.arrived(Ms(i * 50), true, false);
        }
        assert_eq!(r.due(), Some(Ms(950 + 150)), "a slow one: three times the mean gap");
        let mut r = rule();
        for i in 0..30 {
            r.arrived(Ms(i), false, false);
        }
        assert_eq!(r.due(), Some(Ms(5_000)), "nobody waits for messages of QoS 0");
    }

    #[test]
    fn what_a_person_must_hear_goes_at_once_but_a_burst_of_it_shares() {
        let mut r = rule();
        r.arrived(Ms(1_000), true, true);
        assert_eq!(r.due(), Some(Ms(1_000)));
        r.committed(Ms(1_010));
        r.arrived(Ms(1_020), true, true);
        assert_eq!(r.due(), Some(Ms(1_210)));
        r.committed(Ms(1_210));
        r.arrived(Ms(9_000), true, true);
        assert_eq!(r.due(), Some(Ms(9_000)));
    }
}
