// The shape of what a back-test tells, what is asked for, and the bars of its months. Pure.

import type { Point, Stamp, Text, Topology } from './api';

export interface Found {
  point: string;
  code: string;
  rule: Text;
  text: Text;
  told_at: Stamp;
  start: { earliest: Stamp; latest: Stamp };
  grown: boolean;
  hours_to_alarm: number;
  hours_to_alarm_at_most: number;
  tonnes_above: number | null;
}
export interface Run {
  alarms: number;
  grown: number;
  earlier: number;
  median_hours_to_alarm: number | null;
  findings: Found[];
  left_off: number;
}
export interface Month {
  month: string;
  days: number;
  as_now: number;
  tried: number | null;
}
export interface BacktestResult {
  from: Stamp;
  to: Stamp;
  learned_from: Stamp;
  points: number;
  rows: number;
  seconds: number;
  as_now: Run;
  tried: Run | null;
  months: Month[];
  rules: { code: string; rule: Text; as_now: number; tried: number | null }[];
  notes: string[];
}
export interface Asked {
  files: boolean;
  point: string | null;
  place: string | null;
  /** A number, `off`, or null: as configured. */
  litres_per_hour: string | null;
  tonnes_per_month: string | null;
  silent_after_hours: string | null;
}
export interface Backtest {
  at: Stamp;
  state: 'idle' | 'running' | 'done' | 'stopped' | 'failed';
  began_at: Stamp | null;
  ended_at: Stamp | null;
  progress_percent: number | null;
  rows: number | null;
  asked: Asked | null;
  code: string | null;
  text: Text | null;
  result: BacktestResult | null;
}

export const LIMITS = ['litres_per_hour', 'tonnes_per_month', 'silent_after_hours'] as const;
export type Limit = (typeof LIMITS)[number];

/** What stands in the form. `chosen` is `all`, `place:KEY` or `point:KEY`; dates are days at the compound, both included. */
export interface Form {
  files: boolean;
  chosen: string;
  from: string;
  to: string;
  limits: Record<Limit, { text: string; off: boolean }>;
}

/** The day after `2026-11-30`: a span ends before its end. */
export function nextDay(date: string): string {
  const d = new Date(`${date}T00:00:00Z`);
  return Number.isNaN(d.getTime()) ? date : new Date(d.getTime() + 86_400_000).toISOString().slice(0, 10);
}

/** What the gateway is asked: nothing that was left empty. */
export function requestOf(form: Form): Record<string, string | boolean> {
  const out: Record<string, string | boolean> = {};
  if (form.files) {
    out.files = true;
  } else {
    const cut = form.chosen.indexOf(':');
    if (cut > 0) out[form.chosen.slice(0, cut)] = form.chosen.slice(cut + 1);
    if (form.from) out.from = form.from;
    if (form.to) out.to = nextDay(form.to);
  }
  for (const name of LIMITS) {
    const { text, off } = form.limits[name];
    if (off) out[name] = 'off';
    else if (text.trim() !== '') out[name] = text.trim();
  }
  return out;
}

/** More meters than this no list bears: then those of households are left to their own pages. */
const MOST_POINTS = 400;

/** What can be chosen in a list; `kept` stands in it in any case. */
export function choices(topology: Topology, kept: string): { places: { key: string; name: string }[]; points: Point[] } {
  const places = topology.places.filter((p) => p.kind !== 'household' && p.kind !== 'community');
  const few = topology.points.length <= MOST_POINTS;
  return { places, points: topology.points.filter((p) => few || p.kind === 'bulk' || p.kind === 'make_up' || `point:${p.key}` === kept) };
}

/** One month's bars: where they stand and how high, of a drawing of `width` by `height`. */
export interface Bar {
  x: number;
  width: number;
  y: number;
  height: number;
  n: number;
  run: 'now' | 'tried';
  month: string;
}

/** Bars side by side; the highest is as high as the drawing. */
export function bars(months: Month[], width: number, height: number): Bar[] {
  const top = Math.max(1, ...months.map((m) => Math.max(m.as_now, m.tried ?? 0)));
  const slot = width / Math.max(1, months.length);
  return months.flatMap((m, i) => {
    const runs: { run: 'now' | 'tried'; n: number }[] = m.tried === null ? [{ run: 'now', n: m.as_now }] : [{ run: 'now', n: m.as_now }, { run: 'tried', n: m.tried }];
    const thick = Math.min(36, (slot * 0.8) / runs.length);
    const first = i * slot + (slot - thick * runs.length) / 2;
    return runs.map(({ run, n }, k) => {
      const tall = (n / top) * height;
      return { x: first + k * thick, width: thick * 0.9, y: height - tall, height: tall, n, run, month: m.month };
    });
  });
}

/** Found with the limits tried, and not about the same meter by the same rule within a day with those of now. */
export function isNew(found: Found, now: Run): boolean {
  const at = Date.parse(found.told_at);
  return !now.findings.some((f) => f.point === found.point && f.code === found.code && Math.abs(Date.parse(f.told_at) - at) < 86_400_000);
}
