// The readings that somebody can state something about. Pure.

import type { Flow, Readings } from './api';
import { amountOf } from './medium';

export const DEEDS = ['replaced', 'dial', 'corrected', 'believed', 'refused'] as const;
export type DeedKind = (typeof DEEDS)[number];

/** Why a reading is marked: it does not count, or its volume is not known. */
export type Doubt = 'held' | 'spike' | 'refused' | 'jump';
const DOUBTS: string[] = ['held', 'spike', 'refused'];

/** A reading that does not count or that ends a jump, by time. */
export interface Doubtful {
  time: string;
  why: Doubt;
}

export function doubtful(flow: Flow): Doubtful[] {
  const ignored = flow.ignored.filter((i) => DOUBTS.includes(i.why)).map((i) => ({ time: i.time, why: i.why as Doubt }));
  const jumps = flow.intervals.filter((i) => i.kind === 'jump' && amountOf(i) === null).map((i) => ({ time: i.to, why: 'jump' as const }));
  return [...ignored, ...jumps].sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
}

export interface Pick {
  time: string;
  /** What the device said, in litres or kilowatt-hours; null where it is no register. */
  register: number | null;
  why: Doubt | null;
}

/** The gateway tells a column of energy in watt-hours. */
const PER_WATT_HOUR = 1 / 1000;

/** Newest first. `pulse` is what one pulse stands for, in litres or kilowatt-hours. */
export function picks(readings: Readings, flow: Flow, pulse: number): Pick[] {
  const column = readings.register;
  const unit = column === null ? undefined : readings.columns[column];
  const factor = unit?.quantity === 'volume' ? 1 : unit?.quantity === 'energy' ? PER_WATT_HOUR : unit?.quantity === 'pulses' ? pulse : null;
  const doubts = new Map(doubtful(flow).map((d) => [Date.parse(d.time), d.why]));
  const found: Pick[] = [];
  for (const r of readings.readings) {
    const value = column === null ? null : r.values[column];
    if (value === null || value === undefined) continue;
    found.push({ time: r.time, register: factor === null ? null : value * factor, why: doubts.get(Date.parse(r.time)) ?? null });
  }
  return found.reverse();
}
