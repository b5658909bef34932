// Asks for a span of flow, in the detail that a chart can show.

import { api, type Flow } from './api';
import { joined } from './flow';
import { ms } from './format';
import { amountOf } from './medium';
import { type Pick, picks } from './ledger';

/** More steps than a screen has columns, and still quick to draw on an old PC. */
const PAGES = 4;
/** A span by the hour of at most this is answered at once. */
const HOURLY_MS = 100 * 86_400_000;
/** No meter reports oftener than this span could tell at once. */
const LEAST_MS = 60_000;

export async function flowOf(meter: string, from: number, to: number): Promise<Flow> {
  const first = await api.flow(meter, Math.round(from), Math.round(to), 'auto');
  if (first.next === null) return first;
  const reached = first.intervals.length > 0 ? ms((first.intervals[first.intervals.length - 1] as Flow['intervals'][0]).to) : from;
  // A meter that reports every few seconds: the span is too long to be told reading by reading.
  if (first.resolution !== 'raw' || (reached - from) * PAGES < to - from) {
    return api.flow(meter, Math.round(from), Math.round(to), to - from <= HOURLY_MS ? 'hour' : 'day');
  }
  const pages = [first];
  for (let next: string | null = first.next; next !== null; ) {
    const page: Flow = await api.more(next);
    pages.push(page);
    next = page.next;
  }
  return joined(pages);
}

/** The readings before `to`, newest first, that are no further back than `span`: fewer where the meter reports more than one answer holds. */
export async function readingsOf(meter: string, to: number, span: number, pulse: number): Promise<Pick[]> {
  for (let length = span; ; length /= 4) {
    const from = Math.round(to - length);
    const [readings, flow] = await Promise.all([api.readings(meter, from, to), api.flow(meter, from, to, 'raw')]);
    if ((readings.next === null && flow.next === null) || length < LEAST_MS) return picks(readings, flow, pulse);
  }
}

/** Litres or kilowatt-hours since local midnight, from the ledger; null where nothing is known. `day` is the local date. */
export async function today(meter: string, day: string): Promise<number | null> {
  const next = new Date(`${day}T00:00:00Z`);
  next.setUTCDate(next.getUTCDate() + 1);
  const flow = await api.flow(meter, day, next.toISOString().slice(0, 10), 'day');
  const bucket = flow.buckets[0];
  return bucket === undefined ? null : amountOf(bucket);
}
