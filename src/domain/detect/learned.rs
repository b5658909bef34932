//! The rules that learn what is usual at a point: which of them look at it, and all that they know.

use super::balance::{Balance, Subs};
use super::heat::loss::LoopLoss;
use super::home::Home;
use super::least::LeastFlow;
use super::sudden::Sudden;
use super::{Passage, Said};
use crate::domain::topology::PointKind;
use crate::domain::units::Amount;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// What the rules know of one point. Nothing where none looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    home: Option<Box<Home>>,
    bulk: Option<Box<Bulk>>,
    #[serde(default)]
    heating: Option<Box<LoopLoss>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Bulk {
    least: LeastFlow,
    sudden: Sudden,
    balance: Balance,
}

impl Learned {
    /// Takes the next passage of water. `subs`: those that stand behind the point.
    pub fn passed(&mut self, kind: PointKind, p: Passage, pulse: Amount, subs: Subs, tz: &TimeZone, mut said: impl FnMut(Said)) {
        match kind {
            PointKind::Sub => {
                if let Some(s) = self.home.get_or_insert_default().passed(p, pulse, tz) {
                    said(s);
                }
            }
            PointKind::Bulk => {
                let bulk = self.bulk.get_or_insert_default();
                let balance = if subs.count > 0 { bulk.balance.bulk_passed(p, subs, tz) } else { None };
                for s in [bulk.sudden.passed(p, pulse, tz), bulk.least.passed(p, pulse), balance].into_iter().flatten() {
                    said(s);
                }
            }
            PointKind::MakeUp => {
                if let Some(s) = self.heating.get_or_insert_default().passed(p, pulse) {
                    said(s);
                }
            }
            PointKind::Sensor => {}
        }
    }

    /// Takes what passed a meter behind this one.
    pub fn sub_passed(&mut self, p: Passage) {
        self.bulk.get_or_insert_default().balance.sub_passed(p);
    }
}
