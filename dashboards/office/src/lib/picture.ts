// From the picture of a finding, as the gateway tells it, to lines on a plane. Pure: words and colours are chosen by the caller.

import type { Stamp, Start, Text } from './api';
import { ms } from './format';

export interface PictureStep {
  from: Stamp;
  litres_per_hour: number | null;
  expected_litres_per_hour: number | null;
  expected_low_litres_per_hour: number | null;
  expected_high_litres_per_hour: number | null;
  statistic: number | null;
}
export interface Picture {
  point: string;
  code: string;
  rule: Text;
  from: Stamp;
  to: Stamp;
  more: boolean;
  step_seconds: number;
  expected_days: number;
  steps: PictureStep[];
  statistic: { code: string; name: Text; unit: string; usual: number | null } | null;
  start: Start;
  alarms: { at: Stamp; grown: boolean }[];
  closed_at: Stamp | null;
}

/** A stretch of a value: it holds from `from` to `to`. */
interface Level {
  from: number;
  to: number;
  value: number | null;
}

/** Where things stand, in pixels. */
export interface Plane {
  left: number;
  right: number;
  top: number;
  bottom: number;
  /** Milliseconds at the left and right edge. */
  from: number;
  to: number;
  /** Values at the bottom and top. */
  low: number;
  high: number;
}

export const x = (p: Plane, at: number): number => p.left + ((Math.min(Math.max(at, p.from), p.to) - p.from) / Math.max(1, p.to - p.from)) * (p.right - p.left);
export const y = (p: Plane, value: number): number => p.bottom - ((value - p.low) / Math.max(1e-9, p.high - p.low)) * (p.bottom - p.top);

const round = (n: number): string => String(Math.round(n * 10) / 10);

export function levels(picture: Picture, of: (s: PictureStep) => number | null): Level[] {
  return picture.steps.map((s) => ({ from: ms(s.from), to: ms(s.from) + picture.step_seconds * 1000, value: of(s) }));
}

/** A line that goes level through each step and ends where nothing is known. */
export function line(p: Plane, all: Level[]): string {
  let path = '';
  let goesOn = false;
  for (const l of all) {
    if (l.value === null) {
      goesOn = false;
      continue;
    }
    path += `${goesOn ? 'L' : 'M'}${round(x(p, l.from))} ${round(y(p, l.value))}H${round(x(p, l.to))}`;
    goesOn = true;
  }
  return path;
}

/** The area between two such lines. */
export function area(p: Plane, low: Level[], high: Level[]): string {
  let path = '';
  low.forEach((l, i) => {
    const top = high[i]?.value ?? null;
    if (l.value === null || top === null) return;
    path += `M${round(x(p, l.from))} ${round(y(p, l.value))}V${round(y(p, top))}H${round(x(p, l.to))}V${round(y(p, l.value))}Z`;
  });
  return path;
}

/** Round numbers from `low` to beyond `high`, some `n` of them. */
export function ticks(low: number, high: number, n: number): number[] {
  const raw = Math.max(high - low, 1e-6) / n;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const size = ([1, 2, 5, 10].find((m) => m * unit >= raw) ?? 10) * unit;
  const first = Math.floor(low / size);
  const out: number[] = [];
  for (let i = first; out.length < 2 || (i - 1) * size < high; i += 1) out.push(Math.round(i * size * 1e6) / 1e6);
  return out;
}

/** Digits that tell such numbers apart. */
export const tickDigits = (all: number[]): number => Math.max(0, -Math.floor(Math.log10(Math.max(1e-6, (all[1] ?? 1) - (all[0] ?? 0)))));

/** Midnights, or each sixth hour of a short picture; `wall`: what the compound's clocks show. */
export function times(picture: Picture, wall: (epochMs: number) => Date): { at: number; midnight: boolean; wall: Date }[] {
  const short = picture.step_seconds < 3600;
  const all = picture.steps.map((s) => ({ at: ms(s.from), wall: wall(ms(s.from)) }));
  const marked = all.filter((s) => s.wall.getMinutes() === 0 && (s.wall.getHours() === 0 || (short && s.wall.getHours() % 6 === 0)));
  return marked.map((s) => ({ ...s, midnight: s.wall.getHours() === 0 }));
}

/** So many of them that each has its room: every one, every second, … */
export function roomy<T extends { at: number }>(p: Plane, all: T[], room: number): T[] {
  const between = all.length < 2 ? room : x(p, (all[1] as T).at) - x(p, (all[0] as T).at);
  const each = Math.max(1, Math.ceil(room / Math.max(1, between)));
  return all.filter((_, i) => i % each === 0);
}

/** The ends of an axis that holds all of these, and nothing if there is nothing. */
export function ends(values: (number | null)[]): { low: number; high: number } {
  const known = values.filter((v): v is number => v !== null);
  return { low: Math.min(0, ...known), high: Math.max(0, ...known) };
}
