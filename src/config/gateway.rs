//! `[gateway]`: who this gateway is and by which clock it lives. `[prices]`: what a tonne costs.

use super::reader::{Shape, Table};
use super::values::{exact, since, slug, time_zone};
use crate::domain::time::Ts;
use jiff::tz::TimeZone;

pub(super) static GATEWAY: Shape = Shape { path: "gateway", keys: &["id", "timezone", "since"], hints: &[] };

pub(super) static PRICES: Shape = Shape { path: "prices", keys: &["water"], hints: &[] };

/// 2010-01-01T00:00:00Z. Meters that speak MQTT are younger; a device whose clock fell back to 1970 or 2000 is caught.
const SINCE: Ts = Ts(1_262_304_000_000);

/// Dearer than this is a slip of the point: water costs 2 to 10 yuan.
const MAX_YUAN: i64 = 1_000;

pub(super) struct Gateway {
    pub id: String,
    pub tz: TimeZone,
    pub since: Ts,
}

pub(super) fn gateway(root: &Table<'_>) -> Option<Gateway> {
    if root.get("gateway").is_none() {
        root.absent("gateway", "the table [gateway] is missing", "[gateway] with id = \"…\" and timezone = \"Asia/Shanghai\"");
    }
    let t = root.table("gateway", &GATEWAY)?;
    let id = t.need("id", "id = \"guanfang-1\": permanent, the first part of every global id").and_then(|f| f.parsed(slug));
    let tz = t.need("timezone", "timezone = \"Asia/Shanghai\"").and_then(|f| f.parsed(time_zone));
    let since = t.get("since").map_or(Some(SINCE), |f| f.date(since));
    Some(Gateway { id: id?, tz: tz?, since: since? })
}

/// Thousandths of a yuan per tonne. None where no price is given (or where it is wrong, which is noted).
pub(super) fn price(root: &Table<'_>) -> Option<u32> {
    let f = root.table("prices", &PRICES)?.get("water")?;
    let right = "yuan per tonne, more than 0 and at most 1000, with at most 3 decimals: \"3.60\"";
    let milliyuan = exact(f.decimal(right)?, 1_000).filter(|n| (1..=MAX_YUAN * 1_000).contains(n)).and_then(|n| u32::try_from(n).ok());
    milliyuan.or_else(|| f.wrong("this is not a price of a tonne of water", right))
}
