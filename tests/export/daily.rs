//! Days: what was used on each, and what is said where that cannot be known.

use crate::rows::{EN, ZH, export, golden, request};
use crate::store::{BULK, FLAT, GAS, HEAT, MAKE_UP, World, flagged, row};
use heyun::domain::reading::{Flags, Row};
use heyun::domain::time::{Ms, Ts};
use heyun::domain::topology::Medium;
use heyun::export::{Form, Kind, Wanted};
use proptest::prelude::*;

fn days(w: &World, span: (&str, &str), meter: &str, form: Form) -> String {
    let wanted = Wanted { meters: if meter.is_empty() { vec![] } else { vec![meter.to_owned()] }, ..Wanted::default() };
    export(w, &request(w, Kind::Daily, span, &wanted, form)).0
}

/// A register of the make-up meter every quarter of an hour, at 10 litres an hour, from a time on, so many of them.
fn quarters(from: Ts, litres: i64, count: i64) -> Vec<Row> {
    (0..count).map(|i| row(MAKE_UP, from + Ms::minutes(15 * i), &[Some(litres * 1_000 + i * 2_500)])).collect()
}

/// Everything behind the cells that say where the point is.
fn told(csv: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader
        .records()
        .map(|r| r.unwrap().iter().skip(9).collect::<Vec<_>>().join(",").replace("2026-11-", "").replace(":00+08:00", ""))
        .collect()
}

#[test]
fn days_for_programs_and_for_the_clerk() {
    let mut w = World::new();
    let day = w.at("2026-11-01");
    // The make-up meter runs through; the flat's pulses begin on the first day at nine, ten litres each; of the bulk meter nothing is heard.
    w.commit(quarters(day, 100, 3 * 96 + 1));
    w.commit((0..30).map(|h| row(FLAT, day + Ms::hours(9) + Ms::minutes(7) + Ms::hours(h), &[Some(50 + h)])).collect());
    golden("daily-en.csv", &days(&w, ("2026-11-01", "2026-11-04"), "", EN));
    golden("daily-zh.csv", &days(&w, ("2026-11-01", "2026-11-04"), "", ZH));
}

#[test]
fn what_is_no_water_stands_in_columns_of_its_own_unit() {
    let mut w = World::mixed();
    let day = w.at("2026-11-01");
    let hours = |source, from: i64, step: i64| (0..50).map(move |h| row(source, day + Ms::hours(h), &[Some(from + h * step)]));
    // 20.125 kWh of heat an hour, two pulses of gas of 10 L each, 10 L of water.
    w.commit(hours(HEAT, 5_000_000, 20_125).chain(hours(GAS, 700, 2)).chain(hours(MAKE_UP, 100_000, 10_000)).collect());
    let span = ("2026-11-01", "2026-11-03");
    golden("daily-mixed-en.csv", &days(&w, span, "", EN));
    golden("daily-mixed-zh.csv", &days(&w, span, "", ZH));
    let raw = |wanted: &Wanted| export(&w, &request(&w, Kind::Raw, ("2026-11-01", "2026-11-01T02:00:00+08:00"), wanted, EN)).0;
    golden("raw-mixed-en.csv", &raw(&Wanted::default()));

    // Water alone is as it always was.
    let water = Wanted { mediums: vec![Medium::Water], ..Wanted::default() };
    let csv = raw(&water);
    assert!(csv.lines().next().unwrap().ends_with("register_m3,quality") && csv.lines().count() == 3, "{csv}");
    let values = export(&w, &request(&w, Kind::Values, span, &Wanted { mediums: vec![Medium::Heat], ..Wanted::default() }, EN)).0;
    assert!(values.lines().nth(1).unwrap().contains(",5000000,Wh,measured,h1-heat"), "{values}");
}

#[test]
fn a_reset_and_a_jump_make_no_number() {
    let mut w = World::new();
    let day = w.at("2026-11-01");
    let mut rows = quarters(day, 500_000, 96);
    rows.extend(quarters(day + Ms::hours(24), 3, 96));
    // On the third day the device misreads once, and is replaced by one that stands far higher at four in the morning.
    rows.extend(quarters(day + Ms::hours(48), 243, 16));
    rows[2 * 96 + 8] = row(MAKE_UP, day + Ms::hours(50), &[Some(9_000_000_000)]);
    rows.extend(quarters(day + Ms::hours(52), 800_000, 3 * 96));
    w.commit(rows);
    assert_eq!(
        told(&days(&w, ("2026-11-01", "2026-11-05"), "makeup", EN)),
        [
            // The reading of midnight closes the first day, and is the one that fell.
            "01,,500,01T00:00,0.003,02T00:00,96,no,reset",
            "02,0.24,0.003,02T00:00,0.243,03T00:00,96,yes,measured",
            "03,,0.243,03T00:00,800.2,04T00:00,96,no,jump",
            "04,0.24,800.2,04T00:00,800.44,05T00:00,96,yes,measured",
        ]
    );
}

#[test]
fn a_silent_meter_has_no_days_and_its_next_reading_tells_all_that_passed() {
    let mut w = World::new();
    let day = w.at("2026-11-01");
    w.commit(quarters(day, 100, 60));
    // It comes back on the sixth; another meter goes on reporting all the time.
    w.commit(quarters(day + Ms::days(5) + Ms::hours(12), 1_300, 60));
    w.commit((0..200).map(|h| row(BULK, day + Ms::hours(h), &[None, Some(h * 1_000)])).collect());
    let makeup = told(&days(&w, ("2026-11-01", "2026-11-08"), "makeup", EN));
    assert_eq!(
        makeup,
        [
            "01,0.1475,0.1,01T00:00,0.2475,01T14:45,60,no,open",
            "02,,,,,,0,no,no_reading",
            "03,,,,,,0,no,no_reading",
            "04,,,,,,0,no,no_reading",
            "05,,,,,,0,no,no_reading",
            "06,1.1725,0.2475,01T14:45,1.42,07T00:00,48,no,gap",
            "07,0.0275,1.42,07T00:00,1.4475,07T02:45,12,no,open",
        ]
    );
}

#[test]
fn a_day_with_a_clock_change_has_its_hours() {
    let mut w = World::in_zone("Europe/Rome");
    let from = w.at("2026-10-24");
    // Ten litres an hour, and two hours more so that the day is closed.
    w.commit((0..51).map(|h| row(MAKE_UP, from + Ms::hours(h), &[Some(h * 10_000)])).collect());
    let csv = days(&w, ("2026-10-24", "2026-10-26"), "makeup", EN);
    assert!(csv.contains("2026-10-24,0.24,0,2026-10-24T00:00:00+02:00,0.24,2026-10-25T00:00:00+02:00,24,yes,measured"), "{csv}");
    assert!(csv.contains("2026-10-25,0.25,0.24,2026-10-25T00:00:00+02:00,0.49,2026-10-26T00:00:00+01:00,25,yes,measured"), "{csv}");
}

#[test]
fn a_late_reading_falls_into_its_day_and_a_clock_far_ahead_draws_out_none() {
    let mut w = World::new();
    let day = w.at("2026-11-01");
    w.commit(vec![
        row(MAKE_UP, day, &[Some(0)]),
        row(MAKE_UP, day + Ms::hours(47), &[Some(900_000)]),
        row(MAKE_UP, day + Ms::hours(49), &[Some(950_000)]),
        flagged(MAKE_UP, w.at("2090-01-01"), &[Some(1)], Flags::AHEAD),
    ]);
    assert_eq!(told(&days(&w, ("", "2026-11-03"), "makeup", EN))[1], "02,0.9,0,01T00:00,0.9,02T23:00,1,yes,measured");
    w.commit(vec![row(MAKE_UP, day + Ms::hours(23), &[Some(400_000)])]);
    let after = told(&days(&w, ("", "2026-11-03"), "makeup", EN));
    assert_eq!(after[0], "01,0.4,0,01T00:00,0.4,01T23:00,2,yes,measured");
    assert_eq!(after[1], "02,0.5,0.4,01T23:00,0.9,02T23:00,1,yes,measured");
    assert_eq!(told(&days(&w, ("", ""), "makeup", EN)).len(), 24, "no day after the newest commit");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever the readings: a day is told alike in every span, and days sum to the register.
    #[test]
    fn days_chain_and_do_not_depend_on_the_span(
        steps in prop::collection::vec((1i64..900, 0i64..2_000), 20..150),
        cut in 1u8..8,
    ) {
        let mut w = World::new();
        let mut at = w.at("2026-11-02") - Ms::minutes(1_000);
        let mut register = 0;
        let mut rows = vec![];
        for (minutes, ml) in &steps {
            at = at + Ms::minutes(*minutes);
            register += ml;
            rows.push(row(MAKE_UP, at, &[Some(register)]));
        }
        w.commit(rows);
        let text = |d: u8| format!("2026-11-{:02}", d + 1);
        let all = days(&w, (&text(0), &text(20)), "makeup", EN);
        let (first, second) = (days(&w, (&text(0), &text(cut)), "makeup", EN), days(&w, (&text(cut), &text(20)), "makeup", EN));
        let mut joined = first.clone();
        joined.extend(second.lines().skip(1).map(|l| format!("{l}\r\n")));
        prop_assert_eq!(&all, &joined);
        // 0.000123 as 123.
        let ml = |cell: &str| heyun::domain::units::Decimal::parse(cell).unwrap().in_smallest(heyun::domain::units::Unit::CubicMetre).unwrap();
        let rows: Vec<Vec<String>> = told(&all).iter().map(|l| l.split(',').map(str::to_owned).collect()).collect();
        let used: i64 = rows.iter().filter(|r| !r[1].is_empty()).map(|r| ml(&r[1])).sum();
        let registers: Vec<i64> = rows.iter().flat_map(|r| [&r[2], &r[4]]).filter(|c| !c.is_empty()).map(|c| ml(c)).collect();
        if let (Some(first), Some(last)) = (registers.first(), registers.last()) {
            prop_assert_eq!(used, last - first);
        }
        prop_assert_eq!(rows.iter().map(|r| r[6].parse::<usize>().unwrap()).sum::<usize>(), steps_within(&steps, &w));
    }
}

/// How many of the readings lie within 2026-11-01 to 2026-11-21.
fn steps_within(steps: &[(i64, i64)], w: &World) -> usize {
    let mut at = w.at("2026-11-02") - Ms::minutes(1_000);
    let times = steps.iter().map(|(minutes, _)| {
        at = at + Ms::minutes(*minutes);
        at
    });
    times.filter(|t| (w.at("2026-11-01")..w.at("2026-11-21")).contains(t)).count()
}
