//! What people read, in Chinese and in English: sentences, numbers, instants.
//!
//! Elsewhere there are codes and typed arguments; words are in `glossary.json` alone, which the pages read too. This module puts the
//! arguments into the words, in both languages at once.

mod decimal;
mod deed;
mod finding;
mod glossary;
mod incident;
mod measure;
mod reject;
mod rests;
mod stamp;

pub use decimal::Decimal;
pub use deed::deed;
pub use finding::{finding, rule};
pub use glossary::{Arg, say};
pub use incident::{change, point_name};
pub use measure::{amount, rate, register};
pub use reject::reject;
pub use rests::{clears, expected, seen, statistic};
pub use stamp::Stamp;

use serde::Serialize;
use utoipa::ToSchema;

/// One sentence in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Text {
    pub zh: String,
    pub en: String,
}

impl Text {
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Text {
        Text { zh: zh.into(), en: en.into() }
    }

    /// What needs no translation: a name, a number.
    pub fn same(text: impl Into<String>) -> Text {
        let text = text.into();
        Text { zh: text.clone(), en: text }
    }
}
