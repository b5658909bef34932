// A round of hand readings: what is to be said of a number before it is sent, and the order of the book. Pure.

import type { BookLine, Point, Topology } from './api';
import { smallestOf, typedOf } from './dial';
import { ms } from './format';
import { registerOf } from './medium';
import { up } from './sensor';

/** Less than this after the last reading, a use per day says nothing. */
const TELLING_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** `used` is what passed since the last reading, in litres or kilowatt-hours. */
export type Verdict =
  | { kind: 'unreadable' | 'first' }
  | { kind: 'lower' | 'more' | 'fine'; used: number; perDay: number | null };

/** What is to be said of what somebody typed as it stood on the dial at `at`; null where nothing is typed. */
export function verdict(typed: string, line: BookLine, at: number): Verdict | null {
  if (typed.trim() === '') return null;
  const written = typedOf(line.medium, typed);
  if (written === null) return { kind: 'unreadable' };
  const last = line.last === null ? null : registerOf(line.last);
  if (line.last === null || last === null) return { kind: 'first' };
  const smallest = (of: number): number => Math.round(of * 1000);
  const now = smallestOf(written);
  const used = (now - smallest(last)) / 1000;
  const most = line.most_litres ?? line.most_kilowatt_hours;
  const passed = at - ms(line.last.time);
  const perDay = passed < TELLING_MS ? null : (used / passed) * DAY_MS;
  const kind = used < 0 ? 'lower' : most !== null && now > smallest(most) ? 'more' : 'fine';
  return { kind, used, perDay };
}

/** Somebody goes there and reads it. */
export const byHand = (point: Point): boolean => point.source?.topic.startsWith('manual/') ?? false;

/** The meters of one building (or of a compound, where they are in none), as a page of the book. */
export interface Sheet {
  key: string;
  /** Compound and building, each named once. */
  title: string;
  lines: { line: BookLine; where: string }[];
}

export function sheets(lines: BookLine[], topology: Topology): Sheet[] {
  const found: Sheet[] = [];
  for (const line of lines) {
    const place = topology.points.find((p) => p.key === line.key)?.place;
    const path = place === undefined ? [] : up(topology, place);
    const building = path.find((p) => p.kind === 'building');
    const compound = path.find((p) => p.kind === 'compound');
    const key = (building ?? compound)?.key ?? '';
    let sheet = found.find((s) => s.key === key);
    if (sheet === undefined) {
      const whole = compound?.name ?? '';
      const part = building?.name ?? '';
      sheet = { key, title: part.startsWith(whole) ? part : `${whole} ${part}`.trim(), lines: [] };
      found.push(sheet);
    }
    const within = path.filter((p) => p.kind === 'unit' || p.kind === 'household').reverse();
    sheet.lines.push({ line, where: within.map((p) => p.name).join(' › ') });
  }
  return found;
}
