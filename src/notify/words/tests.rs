use super::*;
use crate::domain::finding::{Finding, FindingKind, Mark};
use crate::domain::incident::{Closer, Event, Incident};
use crate::domain::topology::{Boundary, Limits, Medium, Meter, Place, PlaceIx, PlaceKind, PointKind};
use crate::domain::units::Rate;
use crate::notify::wecom::TEXT_BYTES;

const T: Ts = Ts(1_763_900_100_000); // 2025-11-23T20:15:00+08:00

fn topology(valve: Option<ValveCard>) -> Topology {
    let place = |key: &str, kind, name: &str, parent: Option<u32>| Place {
        key: key.into(),
        kind,
        name: name.into(),
        parent: parent.map(PlaceIx),
        households: None,
        residents: None,
    };
    let meter =
        Meter { serial: None, pulse_weight: Amount::litres(1), rollover_at: None, max_flow: Rate::litres(5_000), mean_flow_over: None };
    let point = Point {
        key: "b15".into(),
        name: "15号楼总表".into(),
        kind: PointKind::Bulk,
        place: PlaceIx(2),
        parent: None,
        medium: Medium::Water,
        boundary: Boundary::Assessment,
        responsible: Responsible::Owners,
        valve,
        meter,
        source: None,
        limits: Limits::default(),
        price_milliyuan_per_tonne: Some(3_600),
    };
    Topology {
        gateway: "g1".into(),
        tz: jiff::tz::TimeZone::get("Asia/Shanghai").unwrap(),
        since: Ts(0),
        places: vec![
            place("cy", PlaceKind::Community, "朝阳街社区", None),
            place("bx", PlaceKind::Compound, "北西小区", Some(0)),
            place("b15", PlaceKind::Building, "北西小区15号楼", Some(1)),
        ],
        points: vec![point],
        heating: crate::domain::heating::Heating::default(),
        feeds: vec![],
    }
}

fn card() -> ValveCard {
    ValveCard {
        place: "15号楼东侧水表井".into(),
        key_holder: Some("王师傅 000-0000-0000".into()),
        shuts_off: Some("15号楼全楼 36 户".into()),
        may_close: Some("楼栋长或网格员".into()),
        photo: None,
    }
}

fn facts(kind: FindingKind, cause: Cause, kinds: Vec<NoticeKind>, later: Vec<Change>) -> Facts {
    let start = StartRange { earliest: T - Ms::minutes(15), latest: T };
    let finding = Finding { point: "b15".into(), kind, at: T, start, grown: false, historic: false, evidence: vec![] };
    let changes = [Change::Opened { cause }, Change::Found { finding: finding.clone() }].into_iter().chain(later);
    let events: Vec<Event> =
        (1..).zip(changes).map(|(seq, change)| Event { seq, at: T, incident: "g1.01KAS5Y9ABCDEF123456VBKAYT".into(), change }).collect();
    let incident = Incident::from_events(&events).unwrap();
    let place = vec!["朝阳街社区".into(), "北西小区".into(), "北西小区15号楼".into(), "15号楼总表".into()];
    let (flow, passed) = (Some(Flow::Now(Rate::litres(1_890))), Some(Amount::litres(12_400)));
    let leak = cause == Cause::Leak;
    Facts { event: 2, at: T, kinds, incident, finding, place, flow: flow.filter(|_| leak), passed: passed.filter(|_| leak) }
}

fn hourly() -> FindingKind {
    FindingKind::LeakHourlyLimit {
        from: T - Ms::minutes(45),
        to: T + Ms::minutes(15),
        limit: Amount::litres(1_000),
        seen: Amount::litres(1_890),
    }
}

fn accepted() -> Change {
    Change::Accepted { by: "网格员甲".into(), note: None }
}
fn closed() -> Change {
    Change::Closed { by: Closer::Person { name: "网格员甲".into() }, reason: "阀门已换".into(), granted: vec![] }
}

#[test]
fn what_leaks_and_is_no_water_is_told_without_litres_and_with_its_valve() {
    let mut t = topology(Some(card()));
    t.points[0].medium = Medium::Gas;
    let f = facts(FindingKind::LeakReported { since: T }, Cause::Leak, vec![NoticeKind::Opened], vec![]);
    assert_eq!(
        message(&f, &t).zh,
        "【泄漏】朝阳街社区 北西小区 15号楼 总表\n\
         先做：关 15号楼东侧水表井 的阀门（钥匙：王师傅 000-0000-0000；停水：15号楼全楼 36 户；可关阀：楼栋长或网格员）\n\
         依据：15号楼总表：设备报告泄漏。自 11-23 20:15 起，设备自身的规则判断为泄漏\n\
         事件号 VBKAYT"
    );
    assert_eq!(line(&f, &t).zh, "设备报告泄漏 朝阳街社区 北西小区 15号楼 总表，自 11-23 20:15，#VBKAYT");
}

#[test]
fn a_new_leak_says_all_that_is_needed_at_three_in_the_morning() {
    let t = topology(Some(card()));
    let f = facts(hourly(), Cause::Leak, vec![NoticeKind::Opened], vec![]);
    assert_eq!(
        message(&f, &t).zh,
        "【漏水】朝阳街社区 北西小区 15号楼 总表\n\
         现约 31.5 升/分钟，自 11-23 20:15 起（最早 11-23 20:00）\n\
         其间过水约 12.4 吨（约 44.6 元）\n\
         先做：关 15号楼东侧水表井 的阀门（钥匙：王师傅 000-0000-0000；停水：15号楼全楼 36 户；可关阀：楼栋长或网格员）\n\
         负责维修：业主共有\n\
         依据：15号楼总表：疑似漏水。11-23 19:30 至 11-23 20:30 水量 1.89 吨（平均 31.5 升/分钟），超过每小时限值 1 吨\n\
         事件号 VBKAYT"
    );
    let en = message(&f, &t).en;
    for part in
        ["[Leak]", "31.5 L/min now", "since 11-23 20:15", "12.4 t", "44.6 yuan", "First: close the valve", "owners in common", "VBKAYT"]
    {
        assert!(en.contains(part), "{part} is missing in\n{en}");
    }
}

#[test]
fn without_price_or_card_nothing_is_guessed() {
    let mut t = topology(None);
    t.points[0].price_milliyuan_per_tonne = None;
    let text = message(&facts(hourly(), Cause::Leak, vec![NoticeKind::Grown], vec![]), &t).zh;
    assert!(text.starts_with("【漏水加大】") && text.contains("没有登记阀门") && !text.contains('元'), "{text}");
}

#[test]
fn what_was_told_before_is_not_told_again_when_somebody_takes_it_on_or_ends_it() {
    let t = topology(Some(card()));
    let f = facts(hourly(), Cause::Leak, vec![NoticeKind::Accepted], vec![accepted()]);
    let text = message(&f, &t).zh;
    assert!(text.starts_with("【已签收】朝阳街社区") && text.contains("网格员甲 已于 11-23 20:15 签收"), "{text}");
    assert!(!text.contains("阀门") && !text.contains("依据"), "{text}");
    let f = facts(hourly(), Cause::Leak, vec![NoticeKind::Closed], vec![accepted(), closed()]);
    let text = message(&f, &t).zh;
    assert_eq!(
        text,
        "【已结案】朝阳街社区 北西小区 15号楼 总表\n网格员甲 已结案：阀门已换\n自 11-23 20:15 起（最早 11-23 20:00）\n其间过水约 12.4 吨（约 44.6 元）\n事件号 VBKAYT"
    );
}

#[test]
fn what_was_never_told_is_told_whole_with_who_is_on_it() {
    let t = topology(Some(card()));
    let f = facts(hourly(), Cause::Leak, vec![NoticeKind::Opened, NoticeKind::Accepted], vec![accepted()]);
    let text = message(&f, &t).zh;
    assert!(text.starts_with("【已签收】") && text.contains("网格员甲") && text.contains("阀门") && text.contains("31.5"), "{text}");
    // Taken on, and grown all the same: that is urgent again.
    let f = facts(hourly(), Cause::Leak, vec![NoticeKind::Accepted, NoticeKind::Grown], vec![accepted()]);
    assert_eq!(f.urgency(), crate::domain::incident::Urgency::Urgent);
    assert!(message(&f, &t).zh.starts_with("【漏水加大】"));
}

#[test]
fn a_fault_says_what_to_look_at_and_nothing_of_water() {
    let t = topology(Some(card()));
    let kind = FindingKind::MeterSilent { last: T, limit: Ms::hours(6) };
    let f = facts(kind, Cause::Data, vec![NoticeKind::Opened], vec![]);
    let text = message(&f, &t).zh;
    assert_eq!(
        text,
        "【仪表故障】朝阳街社区 北西小区 15号楼 总表\n依据：15号楼总表：失联。自 11-23 20:15 起没有收到新读数，已超过 6 小时。请检查电池、信号和主题（topic）配置\n事件号 VBKAYT"
    );
    let before = Mark { ts: T, register: Amount::tonnes(5) };
    let f = facts(
        FindingKind::MeterReset { before, after: Mark { ts: T, register: Amount(0) } },
        Cause::Data,
        vec![NoticeKind::Opened],
        vec![],
    );
    assert_eq!(line(&f, &t).zh, "清零 朝阳街社区 北西小区 15号楼 总表，自 11-23 20:15，#VBKAYT");
}

#[test]
fn a_digest_has_a_line_for_each_and_counts_the_rest() {
    let t = topology(None);
    let one = |kinds, later| line(&facts(hourly(), Cause::Leak, kinds, later), &t);
    let lines = [
        one(vec![NoticeKind::Opened], vec![]),
        one(vec![NoticeKind::Accepted], vec![accepted()]),
        one(vec![NoticeKind::Closed], vec![accepted(), closed()]),
    ];
    assert_eq!(
        digest(&lines, 7).zh,
        "【通知汇总】10 条\n\
         漏水 朝阳街社区 北西小区 15号楼 总表，31.5 升/分钟，自 11-23 20:15，#VBKAYT\n\
         已签收 朝阳街社区 北西小区 15号楼 总表，网格员甲，#VBKAYT\n\
         已结案 朝阳街社区 北西小区 15号楼 总表，自 11-23 20:15，网格员甲 已结案：阀门已换，#VBKAYT\n\
         …另有 7 条"
    );
    assert!(!digest(&lines, 0).zh.contains("另有"));
}

#[test]
fn a_persons_words_stay_on_one_line_and_leave_room_for_others() {
    let t = topology(None);
    let reason = format!("换好了\n【漏水】{}", "长".repeat(500));
    let closed = Change::Closed { by: Closer::Person { name: "甲".into() }, reason, granted: vec![] };
    let f = facts(hourly(), Cause::Leak, vec![NoticeKind::Closed], vec![closed]);
    assert!(message(&f, &t).zh.contains("换好了 【漏水】长"));
    let line = line(&f, &t).zh;
    assert!(line.len() < 250 && line.contains("长…") && line.ends_with("#VBKAYT") && !line.contains('\n'), "{line}");
}

#[test]
fn an_ordinary_message_fits_whole() {
    let t = topology(Some(card()));
    let f = facts(hourly(), Cause::Leak, vec![NoticeKind::Opened], vec![]);
    assert!(message(&f, &t).zh.len() * 2 < TEXT_BYTES, "{}", message(&f, &t).zh.len());
}
