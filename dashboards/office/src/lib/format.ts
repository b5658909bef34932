// Numbers, ages and times as people read them. Pure: the time that it is comes in as an argument.

import type { Stamp } from './api';

/** A span in the longest unit that it is at least one of; what is said of it is chosen by the caller. */
export interface Age {
  unit: 'seconds' | 'minutes' | 'hours' | 'days';
  n: number;
}

export const ms = (stamp: Stamp): number => Date.parse(stamp);

export function age(spanMs: number): Age {
  const s = Math.max(0, Math.floor(spanMs / 1000));
  if (s < 60) return { unit: 'seconds', n: s };
  if (s < 3600) return { unit: 'minutes', n: Math.floor(s / 60) };
  if (s < 172_800) return { unit: 'hours', n: Math.floor(s / 3600) };
  return { unit: 'days', n: Math.floor(s / 86_400) };
}

/** `1234.5` as `1,234.5`. Digits are those after the point; trailing zeros stay, so that columns do not dance. */
export function num(value: number, digits = 0): string {
  const [whole = '', part] = Math.abs(value).toFixed(digits).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  const text = part === undefined ? grouped : `${grouped}.${part}`;
  return value < 0 && /[1-9]/.test(text) ? `\u2212${text}` : text;
}

/** Digits that a quantity deserves: three figures, no more than `most` digits. */
export function figures(value: number, most = 2): string {
  const v = Math.abs(value);
  return num(value, v >= 100 ? 0 : Math.min(most, v >= 10 ? 1 : 2));
}

export const perMinute = (litresPerHour: number): string => figures(litresPerHour / 60, 1);

/** Use against the usual, in per cent; null where the usual says nothing. */
export function deviation(today: number | null, usual: number | null, days: number): number | null {
  if (today === null || usual === null || days === 0 || usual <= 0) return null;
  return Math.round((today / usual - 1) * 100);
}

/** The parts of a stamp as the compound's clocks showed them: they stand in it, whatever zone the browser is in. */
export function parts(stamp: Stamp): { year: string; day: string; time: string; seconds: string } {
  return { year: stamp.slice(0, 4), day: stamp.slice(5, 10), time: stamp.slice(11, 16), seconds: stamp.slice(11, 19) };
}

/** `15:31` for today, `11-22 03:31` this year, `2025-11-22 03:31` before. `now` is a stamp of the gateway's clock. */
export function when(stamp: Stamp, now: Stamp): string {
  const [a, b] = [parts(stamp), parts(now)];
  if (a.year !== b.year) return `${a.year}-${a.day} ${a.time}`;
  return a.day === b.day ? a.time : `${a.day} ${a.time}`;
}

export const full = (stamp: Stamp): string => stamp.slice(0, 19).replace('T', ' ');

/** Minutes that the compound's clocks were ahead of UTC at that stamp. */
export function offsetMinutes(stamp: Stamp): number {
  const m = /([+-])(\d\d):(\d\d)$/.exec(stamp);
  return m ? (m[1] === '-' ? -1 : 1) * (Number(m[2]) * 60 + Number(m[3])) : 0;
}

/** Turns an instant into a `Date` whose *local* fields are what the compound's clocks show; uPlot reads those fields. */
export function wallClock(timeZone: string | null, offset: number): (epochMs: number) => Date {
  const shifted = (epochMs: number, minutes: number): Date => {
    const d = new Date(epochMs + minutes * 60_000);
    return new Date(d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds());
  };
  if (timeZone === null) return (epochMs) => shifted(epochMs, offset);
  let fields: Intl.DateTimeFormat;
  try {
    fields = new Intl.DateTimeFormat('en-US', {
      timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric',
    });
  } catch {
    // A zone that this browser has not heard of.
    return (epochMs) => shifted(epochMs, offset);
  }
  return (epochMs) => {
    const f: Record<string, number> = {};
    for (const part of fields.formatToParts(epochMs)) f[part.type] = Number(part.value);
    return new Date(f.year ?? 0, (f.month ?? 1) - 1, f.day, f.hour, f.minute, f.second);
  };
}

const two = (n: number): string => String(n).padStart(2, '0');

/** Wall time as `2026-11-22 03:31`, or its day only. */
export function wallText(wall: Date, dayOnly = false): string {
  const day = `${wall.getFullYear()}-${two(wall.getMonth() + 1)}-${two(wall.getDate())}`;
  return dayOnly ? day : `${day} ${two(wall.getHours())}:${two(wall.getMinutes())}`;
}

/** The instant at which the compound's clocks show `2026-11-22T03:31`; null where that is no time, or they leap over it. */
export function instantOf(local: string, wall: (epochMs: number) => Date): number | null {
  const wanted = Date.parse(`${local}Z`);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(local) || Number.isNaN(wanted)) return null;
  const shown = (at: number): number => {
    const d = wall(at);
    return Date.UTC(d.getFullYear(), d.getMonth(), d.getDate(), d.getHours(), d.getMinutes(), d.getSeconds());
  };
  let at = wanted;
  // The second step is for a change of the clocks between here and there.
  for (let i = 0; i < 2; i += 1) at += wanted - shown(at);
  return shown(at) === wanted ? at : null;
}
