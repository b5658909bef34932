//! Every sentence that the web says, in Chinese and in English. Codes and arguments come from elsewhere; words come from here.

use super::dto::{Decimal, Text};
use super::error::Error;
use super::zone::Stamp;
use crate::domain::finding::FindingKind;
use crate::domain::incident::{Change, Closer};
use crate::domain::reading::Reject;
use crate::domain::time::{Ms, Ts};
use crate::domain::topology::Topology;
use crate::domain::units::{Millilitres, MillilitresPerHour, Quantity};
use jiff::tz::TimeZone;
use std::fmt::Display;

fn tonnes(v: Millilitres) -> Decimal {
    Decimal::tonnes(v).rounded(2)
}

/// Litres per minute, as people at a tap think.
fn per_minute(v: MillilitresPerHour) -> Decimal {
    Decimal::litres(Millilitres(v.0 / 60)).rounded(1)
}

fn short(ts: Ts, tz: &TimeZone) -> impl Display {
    Stamp::new(ts, tz).short()
}

/// Longest unit that the span is at least two of.
fn duration(d: Ms) -> (String, String) {
    let minutes = d.0 / 60_000;
    match minutes {
        2_880.. => (format!("{} 天", minutes / 1_440), format!("{} days", minutes / 1_440)),
        120.. => (format!("{} 小时", minutes / 60), format!("{} hours", minutes / 60)),
        1 => ("1 分钟".to_owned(), "1 minute".to_owned()),
        _ => (format!("{minutes} 分钟"), format!("{minutes} minutes")),
    }
}

/// What a rule states about a point. `name` is the point's.
pub fn finding(name: &str, kind: &FindingKind, tz: &TimeZone) -> Text {
    match kind {
        FindingKind::LeakHourlyLimit { from, to, limit, seen } => {
            let flow = per_minute(seen.per((*to - *from).0));
            let (seen, limit, from, to) = (tonnes(*seen), tonnes(*limit), short(*from, tz), short(*to, tz));
            Text::new(
                format!("{name}：疑似漏水。{from} 至 {to} 水量 {seen} 吨（平均 {flow} 升/分钟），超过每小时限值 {limit} 吨"),
                format!("{name}: suspected leak. {seen} t from {from} to {to} (about {flow} L/min), over the hourly limit of {limit} t"),
            )
        }
        FindingKind::LeakMonthlyLimit { month, limit, used } => {
            let (used, limit, y, m) = (tonnes(*used), tonnes(*limit), month.year, month.month);
            Text::new(
                format!("{name}：疑似漏水。{y} 年 {m} 月累计水量 {used} 吨，超过每月限值 {limit} 吨"),
                format!("{name}: suspected leak. {used} t so far in {month}, over the monthly limit of {limit} t"),
            )
        }
        FindingKind::LeakMonthlyProjection { month, limit, used, last_day, projected } => {
            let flow = per_minute(last_day.per(Ms::days(1).0));
            let (used, limit, day, end) = (tonnes(*used), tonnes(*limit), tonnes(*last_day), tonnes(*projected));
            let (y, m) = (month.year, month.month);
            Text::new(
                format!(
                    "{name}：疑似漏水。{y} 年 {m} 月已计 {used} 吨，近一天 {day} 吨（平均 {flow} 升/分钟），照此到月底约 {end} 吨，将超过每月限值 {limit} 吨"
                ),
                format!(
                    "{name}: suspected leak. {used} t so far in {month}, {day} t in the last day (mean {flow} L/min): about {end} t by the month's end, over the limit of {limit} t"
                ),
            )
        }
        FindingKind::MeterSilent { last, limit } => {
            let ((zh, en), last) = (duration(*limit), short(*last, tz));
            Text::new(
                format!("{name}：失联。自 {last} 起没有收到新读数，已超过 {zh}。请检查电池、信号和主题（topic）配置"),
                format!("{name}: silent. No reading since {last}, for more than {en}. Check its battery, its signal and its topic"),
            )
        }
        FindingKind::MeterReset { before, after } => {
            let (a, b, at) = (tonnes(before.register), tonnes(after.register), short(after.ts, tz));
            Text::new(
                format!("{name}：表示数清零或换表。{at} 由 {a} 吨变为 {b} 吨，其间用水量未知"),
                format!("{name}: register reset or meter replaced. At {at} it went from {a} t to {b} t; what passed in between is unknown"),
            )
        }
        FindingKind::MeterJump { before, after, max_flow } => {
            let (a, b, at, most) = (tonnes(before.register), tonnes(after.register), short(after.ts, tz), per_minute(*max_flow));
            Text::new(
                format!("{name}：表示数跳变。{at} 由 {a} 吨变为 {b} 吨，快于该表可能的最大流量 {most} 升/分钟，不计为用水"),
                format!(
                    "{name}: register jumped. At {at} it went from {a} t to {b} t, faster than the {most} L/min that can pass; not counted as water"
                ),
            )
        }
    }
}

/// What happened to an incident.
pub fn change(change: &Change, topology: &Topology) -> Text {
    match change {
        Change::Opened { .. } => Text::new("已发现", "Detected"),
        Change::Found { finding: f } => finding(point_name(topology, &f.point), &f.kind, &topology.tz),
        Change::Cleared { point, code } => {
            let name = point_name(topology, point);
            let (zh, en) = rule(code);
            Text::new(format!("{name}：{zh}已解除"), format!("{name}: {en} is over"))
        }
        Change::Accepted { by, note } => {
            let (zh, en) = (note.as_ref().map(|n| format!("：{n}")), note.as_ref().map(|n| format!(": {n}")));
            Text::new(format!("{by} 已签收{}", zh.unwrap_or_default()), format!("Accepted by {by}{}", en.unwrap_or_default()))
        }
        Change::Closed { by: Closer::Person { name }, reason } => {
            Text::new(format!("{name} 已结案：{reason}"), format!("Closed by {name}: {reason}"))
        }
        Change::Closed { by: Closer::Meter, reason } => {
            let (zh, en) = rule(reason);
            Text::new(format!("{zh}已解除，自动结案"), format!("Closed by the meter itself: {en} is over"))
        }
    }
}

/// The point's name; its key where the config no longer names it.
pub fn point_name<'a>(topology: &'a Topology, key: &'a str) -> &'a str {
    topology.point_by_key(key).map_or(key, |ix| &topology.point(ix).name)
}

/// A rule, by its code.
fn rule(code: &str) -> (&str, &str) {
    match code {
        "leak_hourly_limit" => ("每小时水量超限", "the hourly limit"),
        "leak_monthly_limit" => ("每月水量超限", "the monthly limit"),
        "leak_monthly_projection" => ("每月水量预计超限", "the monthly projection"),
        "meter_silent" => ("失联", "the silence"),
        "meter_reset" => ("清零", "the reset"),
        "meter_jump" => ("跳变", "the jump"),
        other => (other, other),
    }
}

fn quantity(q: Quantity) -> (&'static str, &'static str) {
    match q {
        Quantity::Volume => ("水量", "a volume"),
        Quantity::Pulses => ("脉冲数", "pulses"),
        Quantity::Flow => ("流量", "a flow"),
        Quantity::Temperature => ("温度", "a temperature"),
        Quantity::Ratio => ("比例", "a ratio"),
        Quantity::Energy => ("热量或电量", "an energy"),
        Quantity::Voltage => ("电压", "a voltage"),
        Quantity::Number => ("无单位的数", "a bare number"),
    }
}

/// Why a message was not stored.
pub fn reject(r: &Reject, tz: &TimeZone) -> Text {
    match r {
        Reject::Size { bytes, limit } => Text::new(
            format!("报文太大：{bytes} 字节，最多 {limit} 字节"),
            format!("The payload is too large: {bytes} bytes, at most {limit} are taken"),
        ),
        Reject::Utf8 { at } => {
            Text::new(format!("报文不是 UTF-8 文本：第 {at} 字节有误"), format!("The payload is not UTF-8 text: bad byte at {at}"))
        }
        Reject::Json { line, column } => Text::new(
            format!("报文不是合法的 JSON：第 {line} 行第 {column} 列有误"),
            format!("The payload is not JSON: error at line {line}, column {column}"),
        ),
        Reject::Missing { at } if at.is_empty() => Text::new("报文是空的", "The payload is empty"),
        Reject::Missing { at } => Text::new(format!("报文中没有 {at}"), format!("There is nothing at {at} of the payload")),
        Reject::Number { at, found } if at.is_empty() => {
            Text::new(format!("报文 {found:?} 不是数字"), format!("The payload {found:?} is not a number"))
        }
        Reject::Number { at, found } => Text::new(format!("{at} 处的 {found:?} 不是数字"), format!("{found:?} at {at} is not a number")),
        Reject::Unit { at, found, expected } => {
            let (zh, en) = quantity(*expected);
            let (zh_at, en_at) = if at.is_empty() {
                ("报文中".to_owned(), "of the payload".to_owned())
            } else {
                (format!("{at} 处"), format!("at {at}"))
            };
            Text::new(
                format!("{zh_at}的单位 {found:?} 与配置不符：应为{zh}的单位"),
                format!("The unit {found:?} {en_at} is not what the config says: it should measure {en}"),
            )
        }
        Reject::Range { at, found } if at.is_empty() => {
            Text::new(format!("报文 {found:?} 太大，水表不可能有此读数"), format!("The payload {found:?} is too large for any meter"))
        }
        Reject::Range { at, found } => {
            Text::new(format!("{at} 处的 {found:?} 太大，水表不可能有此读数"), format!("{found:?} at {at} is too large for any meter"))
        }
        Reject::TimeSyntax { at, found } => {
            Text::new(format!("{at} 处的 {found:?} 不是可识别的时间"), format!("{found:?} at {at} is not a time that is understood"))
        }
        Reject::TimeOld { ts, since } => {
            let (ts, since) = (Stamp::new(*ts, tz).full(), Stamp::new(*since, tz).full());
            Text::new(
                format!("时间 {ts} 早于 {since}：设备时钟可能未校准"),
                format!("The time {ts} lies before {since}: the device's clock is probably not set"),
            )
        }
        Reject::TimeAhead { ts, now } => {
            let (ts, now) = (Stamp::new(*ts, tz).full(), Stamp::new(*now, tz).full());
            Text::new(
                format!("时间 {ts} 比网关时间 {now} 快 10 分钟以上：设备时钟有误"),
                format!("The time {ts} lies more than 10 minutes ahead of the gateway's {now}: the device's clock is wrong"),
            )
        }
        Reject::Retained => {
            Text::new("保留消息且没有自己的时间：可能是几天前的旧数据", "A retained message without a time of its own: it may be days old")
        }
        Reject::Topic => Text::new("配置中没有订阅匹配这个主题", "No subscription of the config matches this topic"),
        Reject::Conflict { ts, .. } => {
            let ts = Stamp::new(*ts, tz).full();
            Text::new(format!("{ts} 已有不同的读数：以先到的为准"), format!("Another reading is stored for {ts}: the first one stands"))
        }
        Reject::Sources { limit } => {
            Text::new(format!("来源太多：最多 {limit} 个"), format!("Too many sources: at most {limit} are kept apart"))
        }
        Reject::Columns { limit } => Text::new(
            format!("这个主题先后出现过的数据列超过 {limit} 个"),
            format!("This topic has had more than {limit} different columns since the store began"),
        ),
    }
}

/// Why `/healthz` says that the gateway is not well.
pub fn unhealthy(code: &str) -> Text {
    match code {
        "not_ready" => Text::new("网关正在启动", "The gateway is starting"),
        "store_failing" => Text::new(
            "数据库写入失败：读数暂不确认，请检查磁盘",
            "The database cannot be written: readings are not acknowledged until it can; look at the disk",
        ),
        other => Text::new(other, other),
    }
}

/// What went wrong, and what would be right.
pub fn error(e: &Error) -> (Text, Option<Text>) {
    let only = |zh: &str, en: &str| (Text::new(zh, en), None);
    match e {
        Error::BadParameter { name, expected, .. } => {
            let message = Text::new(format!("参数 {name} 的值不正确"), format!("The value of parameter `{name}` is not understood"));
            (message, Some(expected.clone()))
        }
        Error::UnknownParameter { known, .. } => {
            let expected = if known.is_empty() {
                Text::new("这里不接受参数", "no parameters here")
            } else {
                Text::new(format!("每个至多一次：{}", known.join("、")), format!("each at most once: {}", known.join(", ")))
            };
            (Text::new("不认识的或重复的参数", "A parameter that is unknown here, or stands twice"), Some(expected))
        }
        Error::UnknownMeter { .. } => (
            Text::new("没有这块表", "There is no such meter"),
            Some(Text::new("/api/v1/meters 中的 key 或 id", "a `key` or `id` of /api/v1/meters")),
        ),
        Error::UnknownIncident { .. } => (
            Text::new("没有这个事件", "There is no such incident"),
            Some(Text::new("/api/v1/incidents 中的 id", "an `id` of /api/v1/incidents")),
        ),
        Error::UnknownRoute { path } => (
            Text::new(format!("没有这个地址：{path}"), format!("Nothing is found at {path}")),
            Some(Text::new("所有地址见 /api/docs", "see /api/docs for all there is")),
        ),
        Error::WrongMethod => only("这个地址不支持此方法，见响应头 Allow", "This path does not take this method, see `Allow`"),
        Error::ForeignHost { host } => (
            Text::new(format!("主机名 {host:?} 不是本机"), format!("The host {host:?} is not this machine")),
            Some(Text::new("localhost、127.0.0.1 或 [::1]", "localhost, 127.0.0.1 or [::1]")),
        ),
        Error::NotJson => (
            Text::new("请求正文须为 JSON", "The body must be JSON"),
            Some(Text::new("Content-Type: application/json", "Content-Type: application/json")),
        ),
        Error::BadBody { detail } => (
            Text::new(format!("请求正文不符合要求（{detail}）"), format!("The request cannot be read: {detail}")),
            Some(Text::new(
                r#"{"by":"姓名","reason":"原因"}，签收时可写 note"#,
                r#"{"by":"name","reason":"…"}, to accept: by and perhaps note"#,
            )),
        ),
        Error::BodyTooLarge => only("请求正文太大：最多 16 KiB", "The body is too large: at most 16 KiB"),
        Error::BadField { field, limit } => (
            Text::new(format!("{field} 缺少或太长"), format!("`{field}` is missing or too long")),
            Some(Text::new(format!("1 到 {limit} 个字"), format!("1 to {limit} characters"))),
        ),
        Error::AlreadyAccepted { by } => only(&format!("{by} 已签收此事件"), &format!("{by} has already accepted this incident")),
        Error::AlreadyClosed => only("此事件已结案", "This incident is already closed"),
        Error::Busy => only("网关忙，请稍后再试", "The gateway is busy, try again soon"),
        Error::TooManyStreams => only("实时连接太多，请稍后再试", "Too many live streams are open, try again later"),
        Error::TooManyExports => only("正在进行的导出太多，请稍后再试", "Too many exports are under way, try again soon"),
        Error::UnknownPlace { .. } => (
            Text::new("没有这个地点", "There is no such place"),
            Some(Text::new("/api/v1/topology 中地点的 key", "the `key` of a place in /api/v1/topology")),
        ),
        Error::Unanswered => only(
            "命令已送达，但未及时得到答复：请查看事件是否已更新",
            "The command was handed over but not answered in time: look whether the incident has changed",
        ),
        Error::Timeout => only("处理超时", "This took too long"),
        Error::Stopping => only("网关正在停止", "The gateway is stopping"),
        Error::Store(_) => only("数据库暂时无法读取，详见日志", "The database cannot be read at the moment, see the log"),
        Error::Internal(_) => only("网关内部错误，详见日志", "A fault of the gateway, see the log"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Mark;
    use crate::domain::time::Month;

    #[test]
    fn findings_speak_tonnes_and_litres_per_minute() {
        let tz = TimeZone::get("Asia/Shanghai").unwrap();
        let (from, to) = (Ts(1_764_000_000_000), Ts(1_764_003_600_000));
        let kind = FindingKind::LeakHourlyLimit { from, to, limit: Millilitres::litres(500), seen: Millilitres::litres(1390) };
        let text = finding("15号楼总表", &kind, &tz);
        assert_eq!(text.zh, "15号楼总表：疑似漏水。11-25 00:00 至 11-25 01:00 水量 1.39 吨（平均 23.2 升/分钟），超过每小时限值 0.5 吨");
        assert_eq!(
            text.en,
            "15号楼总表: suspected leak. 1.39 t from 11-25 00:00 to 11-25 01:00 (about 23.2 L/min), over the hourly limit of 0.5 t"
        );
        let kind = FindingKind::MeterSilent { last: from, limit: Ms::hours(6) };
        assert_eq!(
            finding("101", &kind, &tz).zh,
            "101：失联。自 11-25 00:00 起没有收到新读数，已超过 6 小时。请检查电池、信号和主题（topic）配置"
        );
    }

    #[test]
    fn every_rule_has_a_name_and_every_text_is_in_two_languages() {
        let (m, mark) = (Millilitres::ZERO, Mark { ts: Ts(0), register: Millilitres::ZERO });
        let month = Month { year: 2026, month: 11 };
        for kind in [
            FindingKind::LeakHourlyLimit { from: Ts(0), to: Ts(0), limit: m, seen: m },
            FindingKind::LeakMonthlyLimit { month, limit: m, used: m },
            FindingKind::LeakMonthlyProjection { month, limit: m, used: m, last_day: m, projected: m },
            FindingKind::MeterSilent { last: Ts(0), limit: Ms::ZERO },
            FindingKind::MeterReset { before: mark, after: mark },
            FindingKind::MeterJump { before: mark, after: mark, max_flow: MillilitresPerHour(0) },
        ] {
            assert_ne!(rule(kind.code()).0, kind.code());
            let text = finding("", &kind, &TimeZone::UTC);
            assert!(text.en.is_ascii() && !text.zh.is_ascii(), "{text:?}");
        }
    }
}
