// From the gateway's flow to what a chart draws, and the words beside it. Pure.

import type { Flow, Resolution } from './api';
import { ms } from './format';
import { doubtful } from './ledger';
import { amountOf, rateOf } from './medium';

/** A stretch of time on the chart that is not an ordinary measurement. */
export interface Stretch {
  from: number;
  to: number;
  /** `unknown`: the register jumped or was reset, nobody knows what flowed. `gap`: the volume is certain, its moment is not. `none`: no data. */
  why: 'unknown' | 'gap' | 'none';
}

/** One row of the table; the chart draws the same. Amounts are litres or kilowatt-hours, rates litres per hour or kilowatts. */
export interface Row {
  from: number;
  to: number;
  amount: number | null;
  rate: number | null;
  /** `partial`: a bucket of which only a part is known; `running`: one that is not over yet. */
  note: 'unknown' | 'gap' | 'none' | 'partial' | 'running' | null;
}

export interface Drawn {
  resolution: Resolution;
  rows: Row[];
  /** Seconds since the epoch, as uPlot counts. */
  xs: number[];
  /** Raw: rates, as steps. Hour and day: amounts of complete buckets. */
  sure: (number | null)[];
  /** The mean over a gap; amounts of buckets that are not complete. */
  rough: (number | null)[];
  stretches: Stretch[];
  /** When there were readings that do not count. */
  ignored: number[];
}

export interface Summary {
  amount: number;
  /** Mean of the known hours. */
  max: { value: number; at: number } | null;
  unknown: number;
  gaps: number;
  /** Buckets of which only a part is known. */
  partial: number;
}

function rows(flow: Flow, now: number): Row[] {
  if (flow.resolution === 'raw') {
    return flow.intervals.map((i) => ({
      from: ms(i.from), to: ms(i.to), amount: amountOf(i), rate: rateOf(i),
      note: amountOf(i) === null ? 'unknown' : i.gap ? 'gap' : null,
    }));
  }
  const all: Row[] = flow.buckets.map((b) => ({
    from: ms(b.from), to: ms(b.to), amount: amountOf(b), rate: rateOf(b),
    note: amountOf(b) === null ? 'none' : b.complete ? null : ms(b.to) > now ? 'running' : 'partial',
  }));
  // Before the first and after the last data there is nothing to say, and nothing is missing.
  const first = all.findIndex((r) => r.amount !== null);
  if (first < 0) return [];
  let end = all.length;
  while (all[end - 1]?.amount === null) end -= 1;
  return all.slice(first, end);
}

export function draw(flow: Flow, now: number): Drawn {
  const drawn: Drawn = { resolution: flow.resolution, rows: rows(flow, now), xs: [], sure: [], rough: [], stretches: [], ignored: [] };
  drawn.ignored = doubtful(flow).filter((d) => d.why !== 'jump').map((d) => ms(d.time));
  const put = (x: number, sure: number | null, rough: number | null): void => {
    drawn.xs.push(x / 1000);
    drawn.sure.push(sure);
    drawn.rough.push(rough);
  };
  drawn.rows.forEach((row, i) => {
    if (row.note === 'unknown' || row.note === 'gap' || row.note === 'none') drawn.stretches.push({ from: row.from, to: row.to, why: row.note });
    if (flow.resolution !== 'raw') {
      put(row.from, row.note === null ? row.amount : null, row.note === 'partial' || row.note === 'running' ? row.amount : null);
      return;
    }
    put(row.from, row.note === null ? row.rate : null, row.note === 'gap' ? row.rate : null);
    const next = drawn.rows[i + 1];
    // The step ends here; where the next does not go on from it, the line ends too.
    if (next === undefined || next.from !== row.to) put(row.to, null, null);
  });
  return drawn;
}

/** The value that holds at an instant, by binary search. */
export function rowAt(all: Row[], at: number): Row | null {
  let [low, high] = [0, all.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((all[middle] as Row).to <= at) low = middle + 1;
    else high = middle;
  }
  const row = all[low];
  return row !== undefined && row.from <= at ? row : null;
}

export function summary(drawn: Drawn): Summary {
  const s: Summary = { amount: 0, max: null, unknown: 0, gaps: 0, partial: 0 };
  for (const row of drawn.rows) {
    s.amount += row.amount ?? 0;
    if (row.note === 'unknown') s.unknown += 1;
    if (row.note === 'partial') s.partial += 1;
    if (row.note === 'gap' || row.note === 'none') s.gaps += 1;
    const value = drawn.resolution === 'raw' ? row.rate : row.amount;
    if (value !== null && (s.max === null || value > s.max.value)) s.max = { value, at: row.from };
  }
  return s;
}

/** Several pages of a raw answer as one. */
export const joined = (pages: Flow[]): Flow => ({
  ...(pages[0] as Flow),
  to: (pages[pages.length - 1] as Flow).to,
  next: null,
  intervals: ([] as Flow['intervals']).concat(...pages.map((p) => p.intervals)),
  ignored: ([] as Flow['ignored']).concat(...pages.map((p) => p.ignored)),
});
