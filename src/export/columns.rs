//! What stands in the first line, and the few words that stand in cells: a code for programs, which never changes, and the glossary's Chinese
//! for people.

use super::Lang;
use crate::domain::reading::Flags;
use crate::domain::topology::{Medium, PointKind};
use crate::texts;

/// A key of the glossary. Its last part is the code.
pub type Word = &'static str;

/// Where a metering point is and which meter is in it. Every export of metering points begins with these.
pub const POINT: [Word; 9] = [
    "export.column.community",
    "export.column.compound",
    "export.column.building",
    "export.column.unit",
    "export.column.household",
    "export.column.meter",
    "export.column.name",
    "export.column.serial",
    "export.column.kind",
];

/// After [`POINT`]: every reading of a metering point.
pub const RAW: [Word; 3] = ["export.column.time", "export.column.register_m3", "export.column.quality"];

/// At the end of [`RAW`], where other things than water are in it.
pub const RAW_MIXED: [Word; 2] = ["export.column.medium", "export.column.register_kwh"];

/// After [`POINT`]: a local day of a metering point.
pub const DAILY: [Word; 9] = [
    "export.column.date",
    "export.column.used_m3",
    "export.column.start_m3",
    "export.column.start_time",
    "export.column.end_m3",
    "export.column.end_time",
    "export.column.readings",
    "export.column.complete",
    "export.column.quality",
];

/// At the end of [`DAILY`], where other things than water are in it.
pub const DAILY_MIXED: [Word; 4] = ["export.column.medium", "export.column.used_kwh", "export.column.start_kwh", "export.column.end_kwh"];

/// A heading that speaks of water, as it is where other things are in it; the code is the same.
pub fn mixed(word: Word) -> Word {
    if word == "export.column.used_m3" { "export.mixed.used_m3" } else { word }
}

/// Every number of every message.
pub const VALUES: [Word; 7] = [
    "export.column.time",
    "export.column.topic",
    "export.column.item",
    "export.column.value",
    "export.column.value_unit",
    "export.column.quality",
    "export.column.meters",
];

pub fn say(word: Word, lang: Lang) -> String {
    match lang {
        Lang::Zh => texts::say(word, &[]).zh,
        Lang::En => word.rsplit('.').next().unwrap_or(word).to_owned(),
    }
}

pub const fn kind(kind: PointKind) -> Word {
    match kind {
        PointKind::Bulk => "export.kind.bulk",
        PointKind::Sub => "export.kind.sub",
        PointKind::MakeUp => "export.kind.make_up",
        PointKind::Sensor => "export.kind.sensor",
    }
}

pub const fn medium(medium: Medium) -> Word {
    match medium {
        Medium::Water => "export.medium.water",
        Medium::HotWater => "export.medium.hot_water",
        Medium::Heat => "export.medium.heat",
        Medium::Electricity => "export.medium.electricity",
        Medium::Gas => "export.medium.gas",
    }
}

/// Several words of one cell.
pub fn joined(words: &[Word], lang: Lang) -> String {
    let between = texts::say("export.and", &[]);
    let words: Vec<String> = words.iter().map(|w| say(w, lang)).collect();
    words.join(if lang == Lang::Zh { &between.zh } else { &between.en })
}

/// `,medium,` for each, by its place in [`Medium::ALL`].
pub fn mediums(lang: Lang) -> Vec<Vec<u8>> {
    Medium::ALL.iter().map(|m| format!(",{},", say(medium(*m), lang)).into_bytes()).collect()
}

/// What can be said against a reading, for every value of the flags.
pub fn qualities(lang: Lang) -> Vec<Vec<u8>> {
    const WORDS: [(Flags, Word); 3] = [
        (Flags::CLOCK_UNSURE, "export.quality.clock_unsure"),
        (Flags::ARRIVAL_TIME, "export.quality.arrival_time"),
        (Flags::AHEAD, "export.quality.ahead"),
    ];
    (0..=u8::MAX)
        .map(|flags| {
            let mut said: Vec<Word> = WORDS.iter().filter(|(f, _)| Flags(flags).contains(*f)).map(|(_, w)| *w).collect();
            if said.is_empty() {
                said.push("export.quality.measured");
            }
            joined(&said, lang).into_bytes()
        })
        .collect()
}
