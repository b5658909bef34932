import assert from 'node:assert/strict';
import { test } from 'node:test';
import { area, ends, levels, line, type Picture, type Plane, roomy, tickDigits, ticks, times } from '../src/lib/picture';

const hours = (flows: (number | null)[]): Picture => ({
  point: 'b15', code: 'leak_least_flow', rule: { zh: '', en: '' }, from: '2026-11-29T22:00:00+08:00', to: '2026-11-30T02:00:00+08:00', more: false,
  step_seconds: 3600, expected_days: 28, statistic: null, start: { earliest: '2026-11-29T22:00:00+08:00', latest: '2026-11-29T22:00:00+08:00' }, alarms: [], closed_at: null,
  steps: flows.map((f, i) => ({
    from: new Date(Date.UTC(2026, 10, 29, 14 + i)).toISOString(), litres_per_hour: f, expected_litres_per_hour: 10, expected_low_litres_per_hour: 5, expected_high_litres_per_hour: 15, statistic: null,
  })),
});
const plane: Plane = { left: 0, right: 400, top: 0, bottom: 100, from: Date.UTC(2026, 10, 29, 14), to: Date.UTC(2026, 10, 29, 18), low: 0, high: 100 };
const shanghai = (at: number): Date => {
  const d = new Date(at + 8 * 3_600_000);
  return new Date(d.getUTCFullYear(), d.getUTCMonth(), d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes());
};

test('a line goes level through each hour and ends where nothing is known', () => {
  const all = levels(hours([10, 50, null, 100]), (s) => s.litres_per_hour);
  assert.equal(line(plane, all), 'M0 90H100L100 50H200M300 0H400');
});

test('a band is the area between its quartiles', () => {
  const p = hours([1]);
  const band = area(plane, levels(p, (s) => s.expected_low_litres_per_hour), levels(p, (s) => s.expected_high_litres_per_hour));
  assert.equal(band, 'M0 95V85H100V95Z');
});

test('an axis has round numbers beyond its ends', () => {
  assert.deepEqual(ticks(0, 1435, 4), [0, 500, 1000, 1500]);
  assert.deepEqual(ticks(-12, 95, 4), [-50, 0, 50, 100]);
  assert.deepEqual(ticks(0, 0, 3).length >= 2, true);
  const small = ticks(0, 0.7, 3);
  assert.deepEqual([small, tickDigits(small)], [[0, 0.5, 1], 1]);
  assert.deepEqual(ends([null, -3, 7]), { low: -3, high: 7 });
  assert.deepEqual(ends([]), { low: 0, high: 0 });
});

test('days are marked at the midnight of the compound, as far as there is room', () => {
  const marks = times(hours([1, 2, 3, 4]), shanghai);
  assert.deepEqual(marks.map((m) => [m.at, m.midnight]), [[Date.UTC(2026, 10, 29, 16), true]]);
  const many = [0, 1, 2, 3].map((i) => ({ at: plane.from + i * 600_000 }));
  assert.equal(roomy(plane, many, 30).length, 2);
});
