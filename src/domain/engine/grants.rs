//! What of the rules' words reaches the incidents, after a person has closed one.

use super::{Engine, PointIx, Spoken};
use crate::domain::incident::{Grant, HOLDS, Stands};
use crate::domain::time::{Ms, Ts};

/// A rule that learns looks back over a day or two: what it still sees so long after an incident was closed is not what was mended then.
const MENDED: Ms = Ms::days(3);

impl Engine {
    /// A leak that somebody closed and that goes on all the same is told again: by a limit a day later at the latest, by a rule that learns after
    /// [`MENDED`]. What a person has said is no leak is not.
    pub(super) fn is_worth_hearing(&self, spoken: &Spoken, now: Ts) -> bool {
        let Spoken { finding, still, stands } = spoken;
        let Some(stands) = stands else { return !still || !self.book.is_open(&finding.point, finding.kind.code()) };
        if self.book.is_granted(finding, *stands) {
            return false;
        }
        let rule = finding.kind.rule();
        let is_mended = || self.book.closed_of_rule(&finding.point, rule).is_some_and(|closed| now - closed < MENDED);
        !still || !(self.book.is_open_of_rule(&finding.point, rule) || is_mended())
    }

    /// What is to count as usual if this incident was no leak: what its rules that learn see now. Empty where none of them has spoken.
    pub(super) fn granted(&self, now: Ts, incident: &str) -> Vec<Grant> {
        let mut granted: Vec<Grant> = vec![];
        let findings = self.book.get(incident).into_iter().flat_map(|i| &i.findings);
        for f in findings.filter(|f| f.finding.kind.is_learned() && f.cleared.is_none()).map(|f| &f.finding) {
            // What was said first is often a lower bound: the rule has seen more since.
            let told = f.kind.loss().map(|(_, most)| most);
            let seen = self.point_of_key.get(&f.point).and_then(|p| Stands::excess(&self.points[p.0 as usize].stands, f.kind.rule()));
            let excess = told.max(seen);
            match granted.iter_mut().find(|g| g.point == f.point && g.rule == f.kind.rule()) {
                Some(g) => g.excess = g.excess.max(excess),
                None => {
                    let (point, rule) = (f.point.clone(), f.kind.rule().to_owned());
                    granted.push(Grant { point, rule, excess, since: now, until: now + HOLDS });
                }
            }
        }
        granted
    }

    /// What is granted to a point and not over at `now`.
    pub fn grants(&self, p: PointIx, now: Ts) -> Vec<Grant> {
        self.book.granted(&self.topology.point(p).key).filter(|g| now < g.until).cloned().collect()
    }
}
