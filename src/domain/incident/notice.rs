//! What of an incident is told to people who are not looking: decided where the event is made, once.
//!
//! A fold makes no notices: what was told, or is still to be told, stands in the store.

use super::{Change, Event, Incident};
use crate::domain::finding::Cause;
use crate::domain::time::Ts;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Something that people must hear of. Where it goes and how it is worded is decided at the edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Sequence number of the event that it is about.
    pub event: u64,
    pub at: Ts,
    /// Global id of the incident.
    pub incident: Arc<str>,
    pub kind: NoticeKind,
    pub urgency: Urgency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A new incident, or one that was over and goes on.
    Opened,
    /// It has grown by half since it was told.
    Grown,
    /// Another rule speaks of it, or the same about another point: a slow leak has become a burst, or its place is better known.
    Joined,
    /// Somebody has taken it on: the others can stand down.
    Accepted,
    /// It is over, by the meter's own proof or a person's reason.
    Closed,
}

impl NoticeKind {
    pub const ALL: [NoticeKind; 5] = [NoticeKind::Opened, NoticeKind::Grown, NoticeKind::Joined, NoticeKind::Accepted, NoticeKind::Closed];

    /// The stable name of the kind.
    pub fn code(self) -> &'static str {
        match self {
            NoticeKind::Opened => "opened",
            NoticeKind::Grown => "grown",
            NoticeKind::Joined => "joined",
            NoticeKind::Accepted => "accepted",
            NoticeKind::Closed => "closed",
        }
    }
}

/// How soon it must reach somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Worth knowing: a fault of a meter, an open lid, a step of somebody's work.
    Ordinary,
    /// Water is running away, or somebody called for help, and nobody has taken it on.
    Urgent,
}

impl Notice {
    /// What is to be told of `event`, which happens to `before`. Nothing where nobody can do anything about it: an excess that was
    /// over for more than a day when it was found, and whatever happens to an incident that was never told.
    pub fn of(before: Option<&Incident>, event: &Event) -> Option<Notice> {
        // The finding that follows an `Opened` says whether it is worth telling.
        let before = before?;
        let told = !before.findings.is_empty() && !before.historic;
        let kind = match &event.change {
            Change::Opened { .. } | Change::Cleared { .. } => return None,
            Change::Found { finding } if finding.historic => return None,
            Change::Found { .. } if !told => NoticeKind::Opened,
            Change::Found { finding } if finding.grown => NoticeKind::Grown,
            Change::Found { .. } if before.cause == Cause::Data => return None,
            Change::Found { finding } => {
                let same = |f: &&super::Joined| f.finding.point == finding.point && f.finding.kind.code() == finding.kind.code();
                match before.findings.iter().find(same) {
                    None => NoticeKind::Joined,
                    Some(f) if f.cleared.is_some() => NoticeKind::Opened,
                    Some(_) => return None,
                }
            }
            Change::Accepted { .. } if told => NoticeKind::Accepted,
            Change::Closed { .. } if told => NoticeKind::Closed,
            Change::Accepted { .. } | Change::Closed { .. } => return None,
        };
        let runs = matches!(kind, NoticeKind::Opened | NoticeKind::Grown | NoticeKind::Joined)
            && matches!(&event.change, Change::Found { finding } if finding.kind.is_pressing());
        let urgency = if runs { Urgency::Urgent } else { Urgency::Ordinary };
        Some(Notice { event: event.seq, at: event.at, incident: event.incident.clone(), kind, urgency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::{Finding, FindingKind, StartRange};
    use crate::domain::incident::Closer;
    use crate::domain::time::Ms;
    use crate::domain::units::{Amount, Temperature};

    fn leak(point: &str, grown: bool, historic: bool) -> Finding {
        let kind = FindingKind::LeakHourlyLimit { from: Ts(0), to: Ts(1), limit: Amount(1), seen: Amount(2) };
        let start = StartRange { earliest: Ts(0), latest: Ts(1) };
        Finding { point: point.into(), kind, at: Ts(1), start, grown, historic, evidence: vec![] }
    }

    fn silent() -> Finding {
        Finding { kind: FindingKind::MeterSilent { last: Ts(0), limit: Ms(1) }, ..leak("a", false, false) }
    }

    /// Kind and urgency of each notice that these changes, in their order, make.
    fn told(cause: Cause, changes: Vec<Change>) -> Vec<(NoticeKind, Urgency)> {
        let mut incident: Option<Incident> = None;
        let changes = std::iter::once(Change::Opened { cause }).chain(changes);
        let mut out = vec![];
        for (seq, change) in (1..).zip(changes) {
            let event = Event { seq, at: Ts(1), incident: "g.1".into(), change };
            out.extend(Notice::of(incident.as_ref(), &event).map(|n| (n.kind, n.urgency)));
            match &mut incident {
                Some(i) => i.apply(&event),
                None => incident = Incident::from_events([&event]),
            }
        }
        out
    }

    fn found(finding: Finding) -> Change {
        Change::Found { finding }
    }
    fn accepted() -> Change {
        Change::Accepted { by: "x".into(), note: None }
    }
    fn closed() -> Change {
        Change::Closed { by: Closer::Meter, reason: "x".into(), granted: vec![] }
    }

    #[test]
    fn a_leak_is_told_when_it_opens_grows_is_taken_on_and_ends() {
        use NoticeKind as K;
        use Urgency::{Ordinary, Urgent};
        let changes = vec![found(leak("a", false, false)), found(leak("a", true, false)), accepted(), closed()];
        assert_eq!(told(Cause::Leak, changes), [(K::Opened, Urgent), (K::Grown, Urgent), (K::Accepted, Ordinary), (K::Closed, Ordinary)]);
    }

    #[test]
    fn frost_is_pressing_and_a_cold_room_is_not() {
        let of = |kind| told(Cause::Heating, vec![found(Finding { kind, ..leak("a", false, false) })]);
        let (seen, since) = (Temperature(1_000), Ts(0));
        assert_eq!(of(FindingKind::FrostRisk { seen, since }), [(NoticeKind::Opened, Urgency::Urgent)]);
        let readings = [(since, seen); 3];
        assert_eq!(of(FindingKind::RoomCold { limit: seen, readings }), [(NoticeKind::Opened, Urgency::Ordinary)]);
    }

    #[test]
    fn what_was_over_long_ago_is_never_told_unless_it_goes_on() {
        use NoticeKind as K;
        assert_eq!(told(Cause::Leak, vec![found(leak("a", false, true)), accepted(), closed()]), []);
        let goes_on = vec![found(leak("a", false, true)), found(leak("a", false, false)), closed()];
        assert_eq!(told(Cause::Leak, goes_on), [(K::Opened, Urgency::Urgent), (K::Closed, Urgency::Ordinary)]);
    }

    #[test]
    fn the_same_statement_again_is_no_news_and_another_place_is() {
        use NoticeKind as K;
        let changes = vec![found(leak("a", false, false)), found(leak("a", false, false)), found(leak("b", false, false))];
        assert_eq!(told(Cause::Leak, changes), [(K::Opened, Urgency::Urgent), (K::Joined, Urgency::Urgent)]);
    }

    #[test]
    fn what_was_over_and_begins_again_is_told_again() {
        use NoticeKind as K;
        let call = || found(Finding { kind: FindingKind::EmergencyCall { since: Ts(0) }, ..leak("a", false, false) });
        let released = Change::Cleared { point: "a".into(), code: "emergency_call".into() };
        let told = told(Cause::Emergency, vec![call(), call(), released, call()]);
        assert_eq!(told, [(K::Opened, Urgency::Urgent), (K::Opened, Urgency::Urgent)]);
    }

    #[test]
    fn a_fault_of_a_meter_is_told_without_haste() {
        let changes = vec![found(silent()), Change::Cleared { point: "a".into(), code: "meter_silent".into() }, closed()];
        assert_eq!(told(Cause::Data, changes), [(NoticeKind::Opened, Urgency::Ordinary), (NoticeKind::Closed, Urgency::Ordinary)]);
    }
}
