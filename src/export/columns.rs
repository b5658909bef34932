//! What stands in the first line, and the few words that stand in cells: a code for programs, which never changes, and Chinese for people.

use super::Lang;
use crate::domain::reading::Flags;
use crate::domain::topology::PointKind;

/// A code and its Chinese.
pub type Word = (&'static str, &'static str);

/// Where a metering point is and which meter is in it. Every export of metering points begins with these.
pub const POINT: [Word; 9] = [
    ("community", "社区"),
    ("compound", "小区"),
    ("building", "楼栋"),
    ("unit", "单元"),
    ("household", "户"),
    ("meter", "表计编号"),
    ("name", "表名"),
    ("serial", "表号"),
    ("kind", "类型"),
];

/// After [`POINT`]: every reading of a metering point.
pub const RAW: [Word; 3] = [("time", "时间"), ("register_m3", "表示数(m³)"), ("quality", "数据质量")];

/// Every number of every message.
pub const VALUES: [Word; 7] = [
    ("time", "时间"),
    ("topic", "主题"),
    ("name", "数据项"),
    ("value", "数值"),
    ("unit", "单位"),
    ("quality", "数据质量"),
    ("meters", "表计编号"),
];

pub fn say(word: Word, lang: Lang) -> &'static str {
    match lang {
        Lang::Zh => word.1,
        Lang::En => word.0,
    }
}

pub const fn kind(kind: PointKind) -> Word {
    match kind {
        PointKind::Bulk => ("bulk", "总表"),
        PointKind::Sub => ("sub", "户表"),
        PointKind::MakeUp => ("make_up", "补水表"),
    }
}

/// What can be said against a reading, for every value of the flags.
pub fn qualities(lang: Lang) -> Vec<Vec<u8>> {
    const WORDS: [(Flags, Word); 3] = [
        (Flags::CLOCK_UNSURE, ("clock_unsure", "时钟未校准")),
        (Flags::ARRIVAL_TIME, ("arrival_time", "按到达时间")),
        (Flags::AHEAD, ("ahead", "时间超前")),
    ];
    (0..=u8::MAX)
        .map(|flags| {
            let said: Vec<&str> = WORDS.iter().filter(|(f, _)| Flags(flags).contains(*f)).map(|(_, w)| say(*w, lang)).collect();
            let (none, between) = match lang {
                Lang::Zh => ("实测", "、"),
                Lang::En => ("measured", " "),
            };
            if said.is_empty() { none.as_bytes().to_vec() } else { said.join(between).into_bytes() }
        })
        .collect()
}
