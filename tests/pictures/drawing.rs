//! A story as SVG, in whole numbers alone: the same on every machine.

use super::series::Told;
use heyun::domain::detect::picture::{Measure, Shown};
use heyun::domain::time::Ts;
use heyun::domain::topology::Medium;
use heyun::texts::{Text, finding, rule, statistic};
use jiff::tz::TimeZone;
use std::fmt::Write as _;

const WIDTH: i64 = 760;
const LEFT: i64 = 56;
const RIGHT: i64 = WIDTH - 14;
/// Top and bottom of the two panels.
const FLOW: (i64, i64) = (66, 226);
const FIGURE: (i64, i64) = (262, 342);
const HEIGHT: i64 = 396;

const DAY: i64 = 86_400_000;

/// A panel: what stands at its edges, in the smallest unit.
struct Plane {
    from: Ts,
    to: Ts,
    top: i64,
    bottom: i64,
    low: i64,
    high: i64,
}

/// Tenths of a pixel, as a decimal.
fn tenths(n: i64) -> String {
    if n % 10 == 0 { format!("{}", n / 10) } else { format!("{}.{}", n / 10, n % 10) }
}

impl Plane {
    fn tenth(&self, at: Ts) -> i64 {
        let at = at.0.clamp(self.from.0, self.to.0);
        LEFT * 10 + (at - self.from.0) * (RIGHT - LEFT) * 10 / (self.to.0 - self.from.0)
    }

    fn x(&self, at: Ts) -> String {
        tenths(self.tenth(at))
    }

    fn y(&self, v: i64) -> String {
        tenths(self.bottom * 10 - (v - self.low) * (self.bottom - self.top) * 10 / (self.high - self.low).max(1))
    }

    /// A panel that holds all of the values; its edges are ticks.
    fn of(told: &Told, (top, bottom): (i64, i64), values: impl Iterator<Item = i64> + Clone, unit: i64) -> (Plane, i64) {
        let (low, high) = (values.clone().min().unwrap_or(0).min(0), values.max().unwrap_or(0).max(unit));
        let tick = (0..12).flat_map(|e| [1, 2, 5].map(|m| m * 10i64.pow(e) * unit)).find(|t| (high - low) / t < 4).unwrap_or(unit);
        let (low, high) = (low.div_euclid(tick) * tick, (high + tick - 1).div_euclid(tick) * tick);
        let (from, to) = (told.steps[0].seen.from, told.steps[told.steps.len() - 1].seen.from + told.step);
        (Plane { from, to, top, bottom, low, high }, tick)
    }

    /// A line that goes level through each step and ends where nothing is known.
    fn line(&self, told: &Told, of: impl Fn(&Shown) -> Option<i64>) -> String {
        let (mut out, mut goes_on) = (String::new(), false);
        for s in &told.steps {
            let Some(v) = of(s) else {
                goes_on = false;
                continue;
            };
            let (x, y, to) = (self.x(s.seen.from), self.y(v), self.x(s.seen.from + told.step));
            let _ = if goes_on { write!(out, "V{y}H{to}") } else { write!(out, "M{x} {y}H{to}") };
            goes_on = true;
        }
        out
    }

    fn grid(&self, out: &mut String, tick: i64, unit: i64) {
        for v in (0..=(self.high - self.low) / tick).map(|i| self.low + i * tick) {
            let y = self.y(v);
            let _ = writeln!(
                out,
                r#"<path class="g" d="M{LEFT} {y}H{RIGHT}"/><text x="{}" y="{y}" dy="4" text-anchor="end">{}</text>"#,
                LEFT - 6,
                v / unit
            );
        }
    }
}

fn both(t: &Text) -> String {
    format!("{} · {}", t.zh, t.en)
}

/// The story's picture.
pub fn svg(told: &Told) -> String {
    let unit = if told.statistic.measure() == Measure::Hours { 1 } else { 1_000 };
    let flows = told.steps.iter().flat_map(|s| [s.seen.flow, s.expected.map(|b| b.high)]).flatten().map(|r| r.0);
    let (flow, flow_tick) = Plane::of(told, FLOW, flows, 1_000);
    let (figure, figure_tick) = Plane::of(told, FIGURE, told.steps.iter().filter_map(|s| s.statistic), unit);
    let mut out = head(told);
    let (from, to) = (flow.tenth(told.start.earliest), flow.tenth(told.start.latest));
    let (x, width, height) = (tenths(from), tenths((to - from).max(20)), FIGURE.1 - FLOW.0);
    let _ = writeln!(out, r#"<rect class="r" x="{x}" y="{}" width="{width}" height="{height}"/>"#, FLOW.0);
    flow.grid(&mut out, flow_tick, 1_000);
    figure.grid(&mut out, figure_tick, unit);
    days(&mut out, told, &flow);
    names(&mut out, told);

    let mut band = String::new();
    for s in &told.steps {
        if let Some(b) = s.expected {
            let (x, to, low, high) = (flow.x(s.seen.from), flow.x(s.seen.from + told.step), flow.y(b.low.0), flow.y(b.high.0));
            let _ = write!(band, "M{x} {low}V{high}H{to}V{low}Z");
        }
    }
    let _ = writeln!(out, r#"<path class="b" d="{band}"/>"#);
    let _ = writeln!(out, r#"<path class="e" d="{}"/>"#, flow.line(told, |s| s.expected.map(|b| b.middle.0)));
    let _ = writeln!(out, r#"<path class="f" d="{}"/>"#, flow.line(told, |s| s.seen.flow.map(|f| f.0)));
    let _ = writeln!(out, r#"<path class="s" d="{}"/>"#, figure.line(told, |s| s.statistic));
    let _ = writeln!(out, r#"<path class="t" d="M{} {}V{}"/>"#, flow.x(told.begins), FLOW.0 - 4, FIGURE.1);
    for (at, _) in &told.alarms {
        let _ = writeln!(out, r#"<path class="a" d="M{} {}V{}"/>"#, flow.x(*at), FLOW.0 - 4, FIGURE.1);
    }
    out + "</svg>\n"
}

/// Its name, what it looks like, and what each line is.
fn head(told: &Told) -> String {
    let said = finding("", Medium::Water, &told.kind, &TimeZone::UTC);
    let named = both(&rule(told.code()));
    let mut out = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" font-size="12">
<title>{named}</title>
<desc>{}</desc>
<style>.w{{fill:#fff}}text{{fill:#536271}}.h{{fill:#17222d;font-size:15px}}path{{fill:none}}.g{{stroke:#e6ebf0}}.r{{fill:#f6dfb4}}.b{{fill:#1565a8;fill-opacity:.18}}.e{{stroke:#7f8d9b;stroke-dasharray:4 3}}.f{{stroke:#1565a8;stroke-width:1.6}}.s{{stroke:#17222d;stroke-width:1.2}}.a{{stroke:#c0281f;stroke-width:2}}.t{{stroke:#2e7d4f;stroke-width:2;stroke-dasharray:2 3}}</style>
<rect class="w" width="{WIDTH}" height="{HEIGHT}"/>
<text class="h" x="10" y="22">{named}</text>
"#,
        said.en.trim_start_matches(": "),
    );
    let keys = [
        (r#"<path class="f" d="M0 0H16"/>"#, Text::new("流量", "flow")),
        (r#"<path class="e" d="M0 0H16"/>"#, Text::new("平时", "expected")),
        (r#"<rect class="r" y="-5" width="16" height="10"/>"#, Text::new("开始范围", "start range")),
        (r#"<path class="t" d="M8 -6V6"/>"#, Text::new("真正开始", "it begins")),
        (r#"<path class="a" d="M8 -6V6"/>"#, Text::new("报警", "alarm")),
    ];
    for (i, (sign, word)) in (0..).zip(keys) {
        let _ = writeln!(
            out,
            r#"<g transform="translate({} {})">{sign}<text x="22" y="4">{}</text></g>"#,
            12 + i * 146,
            HEIGHT - 12,
            both(&word)
        );
    }
    out
}

/// Of the two panels.
fn names(out: &mut String, told: &Told) {
    let measure = match told.statistic.measure() {
        Measure::Rate => "L/h",
        Measure::Volume => "L",
        Measure::Hours => "h",
    };
    let figure = both(&statistic(told.statistic));
    let _ = writeln!(out, r#"<text x="10" y="56">{} · L/h</text>"#, both(&Text::new("流量", "flow")));
    let _ = writeln!(out, r#"<text x="10" y="252">{figure} · {measure}</text>"#);
}

/// Days since it began.
fn days(out: &mut String, told: &Told, flow: &Plane) {
    let first = (flow.from.0 - told.begins.0).div_euclid(DAY) + 1;
    let last = (flow.to.0 - told.begins.0).div_euclid(DAY);
    // Less than three days: every six hours.
    let (part, name) = if last - first < 2 { (4, "h") } else { (1, "d") };
    for i in first * part - part + 1..=last * part + part {
        let at = Ts(told.begins.0 + i * DAY / part);
        if at < flow.from || at > flow.to {
            continue;
        }
        let n = if part == 4 { i * 6 } else { i };
        let x = flow.x(at);
        let sign = if n > 0 { "+" } else { "" };
        let _ = writeln!(
            out,
            r#"<path class="g" d="M{x} {}V{}"/><text x="{x}" y="{}" text-anchor="middle">{sign}{n} {name}</text>"#,
            FLOW.0,
            FIGURE.1,
            FIGURE.1 + 16
        );
    }
}
