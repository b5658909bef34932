//! The rules that learn what is usual at a point: which of them look at it, and all that they know.

use super::balance::{Balance, Subs};
use super::heat::loss::LoopLoss;
use super::home::Home;
use super::least::LeastFlow;
use super::sight::Sights;
use super::sudden::Sudden;
use super::{Passage, Said};
use crate::domain::topology::PointKind;
use crate::domain::units::{Amount, Rate};
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

    /// What the rules can show at this point, with what they know now. More than `max_flow` cannot flow.
    pub fn sees(&self, kind: PointKind, pulse: Amount, subs: Subs, max_flow: Rate) -> Sights {
        let mut sights = Sights::default();
        match kind {
            PointKind::Sub => {
                let none = Home::default();
                let home = self.home.as_deref().unwrap_or(&none);
                sights.learning.extend(home.learning());
                sights.add(Ok(home.sees(pulse)));
            }
            PointKind::Bulk => {
                let none = Bulk::default();
                let bulk = self.bulk.as_deref().unwrap_or(&none);
                sights.add(bulk.least.sees(pulse));
                sights.add(bulk.sudden.sees(pulse));
                if subs.count > 0 {
                    sights.add(bulk.balance.sees(subs));
                }
            }
            PointKind::MakeUp => sights.add(self.heating.as_deref().unwrap_or(&LoopLoss::default()).sees(pulse)),
            PointKind::Sensor => {}
        }
        sights.sorted(max_flow)
    }

    /// Takes what passed a meter behind this one.
    pub fn sub_passed(&mut self, p: Passage) {
        self.bulk.get_or_insert_default().balance.sub_passed(p);
    }
}
