import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Flow, Interval } from '../src/lib/api';
import { draw, joined, rowAt, summary } from '../src/lib/flow';
import { DAY, fit, pan, zoom } from '../src/lib/span';

const at = (minute: number): string => new Date(Date.UTC(2026, 10, 24, 0, minute)).toISOString();
const T = (minute: number): number => Date.parse(at(minute));
const NOW = T(600);
const interval = (from: number, to: number, litres: number | null, more: Partial<Interval> = {}): Interval => ({
  from: at(from), to: at(to), litres, litres_per_hour: litres === null ? null : (litres * 60) / (to - from), kilowatt_hours: null, kilowatts: null, kind: 'forward', gap: false, ...more,
});
const raw = (...intervals: Interval[]): Flow => ({ from: at(0), to: at(600), resolution: 'raw', medium: 'water', litres: 0, kilowatt_hours: null, intervals, buckets: [], ignored: [], next: null });

test('raw flow is steps that end where nothing follows', () => {
  const d = draw(raw(interval(0, 15, 10), interval(15, 30, 20), interval(60, 75, 5)), NOW);
  assert.deepEqual(d.xs.map((x) => (x * 1000 - T(0)) / 60_000), [0, 15, 30, 60, 75]);
  assert.deepEqual(d.sure, [40, 80, null, 20, null]);
});

test('what is not known and what is only a mean are drawn apart', () => {
  const d = draw(raw(interval(0, 15, 10), interval(15, 30, null, { kind: 'reset' }), interval(30, 300, 45, { gap: true })), NOW);
  assert.deepEqual(d.sure, [40, null, null, null]);
  assert.deepEqual(d.rough, [null, null, 10, null]);
  assert.deepEqual(d.stretches.map((s) => s.why), ['unknown', 'gap']);
  assert.deepEqual(summary(d), { amount: 55, max: { value: 40, at: T(0) }, unknown: 1, gaps: 1, partial: 0 });
});

test('energy is drawn from its own fields', () => {
  const heat = (from: number, to: number, kwh: number | null, kw: number | null): Interval => ({ ...interval(from, to, null), kilowatt_hours: kwh, kilowatts: kw });
  const d = draw({ ...raw(heat(0, 15, 0.5, 2), heat(15, 30, 1, 4), heat(30, 45, null, null)), medium: 'heat', litres: null, kilowatt_hours: 1.5 }, NOW);
  assert.deepEqual(d.sure, [2, 4, null, null]);
  assert.deepEqual(summary(d), { amount: 1.5, max: { value: 4, at: T(15) }, unknown: 1, gaps: 0, partial: 0 });
});

test('buckets: empty ends say nothing, an empty middle is a gap, an incomplete one is rough', () => {
  const bucket = (hour: number, litres: number | null, complete = true) => ({ from: at(hour * 60), to: at(hour * 60 + 60), litres, litres_per_hour: litres, kilowatt_hours: null, kilowatts: null, complete });
  const d = draw({ ...raw(), resolution: 'hour', buckets: [bucket(0, null, false), bucket(1, 5, false), bucket(2, null, false), bucket(3, 7), bucket(4, 2, false), bucket(5, null, false)] }, T(290));
  assert.deepEqual(d.rows.map((r) => r.note), ['partial', 'none', null, 'running']);
  assert.deepEqual(d.sure, [null, null, 7, null]);
  assert.deepEqual(d.rough, [5, null, null, 2]);
  assert.equal(draw({ ...raw(), resolution: 'day', buckets: [bucket(0, null, false)] }, NOW).rows.length, 0);
});

test('the value under the pointer', () => {
  const { rows } = draw(raw(interval(0, 15, 10), interval(15, 30, 20), interval(60, 75, 5)), NOW);
  assert.equal(rowAt(rows, T(14))?.amount, 10);
  assert.equal(rowAt(rows, T(15))?.amount, 20);
  assert.equal(rowAt(rows, T(45)), null);
  assert.equal(rowAt(rows, T(75)), null);
  assert.equal(rowAt(rows, T(-1)), null);
});

test('pages become one', () => {
  const one = joined([{ ...raw(interval(0, 15, 1)), next: 'more' }, { ...raw(interval(15, 30, 2)), to: at(900) }]);
  assert.equal(one.intervals.length, 2);
  assert.equal(one.next, null);
  assert.equal(one.to, at(900));
});

test('a span stays within what can be asked, and does not reach beyond now', () => {
  const now = 1000 * DAY;
  assert.deepEqual(pan({ from: now - DAY, to: now }, 0.5, now), { from: now - DAY, to: now });
  assert.deepEqual(pan({ from: now - DAY, to: now }, -1, now), { from: now - 2 * DAY, to: now - DAY });
  assert.deepEqual(zoom({ from: now - 2 * DAY, to: now }, 0.5, now), { from: now - 1.5 * DAY, to: now - 0.5 * DAY });
  assert.equal(fit({ from: 0, to: now }, now).to - fit({ from: 0, to: now }, now).from, 400 * DAY);
  const least = fit({ from: now - 1000, to: now }, now);
  assert.equal(least.to - least.from, 600_000);
});
