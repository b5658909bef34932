import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Topology } from '../src/lib/api';
import { bars, choices, type Form, type Found, isNew, nextDay, requestOf, type Run } from '../src/lib/backtest';

const form = (more: Partial<Form> = {}): Form => ({
  files: false, chosen: 'all', from: '', to: '',
  limits: { litres_per_hour: { text: '', off: false }, tonnes_per_month: { text: '', off: false }, silent_after_hours: { text: '', off: false } },
  ...more,
});

test('what was left empty is not asked for, and a day is asked for whole', () => {
  assert.deepEqual(requestOf(form()), {});
  const limits = { litres_per_hour: { text: ' 200 ', off: false }, tonnes_per_month: { text: '5', off: true }, silent_after_hours: { text: '', off: false } };
  assert.deepEqual(requestOf(form({ chosen: 'point:b:15', from: '2026-02-01', to: '2026-02-28', limits })), {
    point: 'b:15', from: '2026-02-01', to: '2026-03-01', litres_per_hour: '200', tonnes_per_month: 'off',
  });
  assert.deepEqual(requestOf(form({ files: true, chosen: 'place:x', from: '2026-02-01' })), { files: true });
  assert.equal(nextDay('2026-12-31'), '2027-01-01');
});

test('bars stand side by side, the highest as high as the drawing', () => {
  const all = bars([{ month: '2026-10', days: 20, as_now: 1, tried: 4 }, { month: '2026-11', days: 30, as_now: 0, tried: 2 }], 200, 80);
  assert.deepEqual(all.map((b) => [b.run, b.n, b.height]), [['now', 1, 20], ['tried', 4, 80], ['now', 0, 0], ['tried', 2, 40]]);
  assert.ok(all.every((b, i) => b.x >= 0 && b.x + b.width <= 200 && (i === 0 || b.x > (all[i - 1]?.x ?? 0))));
  assert.deepEqual(bars([{ month: '2026-10', days: 1, as_now: 0, tried: null }], 100, 50).map((b) => b.height), [0]);
  assert.deepEqual(bars([], 100, 50), []);
});

test('a finding is new if nothing like it was said within a day', () => {
  const found = (told_at: string): Found => ({ point: 'a', code: 'r', told_at }) as Found;
  const now = { findings: [found('2026-11-02T00:00:00+08:00')] } as Run;
  assert.equal(isNew(found('2026-11-02T20:00:00+08:00'), now), false);
  assert.equal(isNew(found('2026-11-04T00:00:00+08:00'), now), true);
});

test('of very many meters the list keeps those of houses, and the one that was asked for', () => {
  const points = Array.from({ length: 500 }, (_, i) => ({ key: `p${i}`, kind: i === 0 ? 'bulk' : 'sub' }));
  const topology = { places: [{ key: 'b', kind: 'building' }, { key: 'h', kind: 'household' }], points } as unknown as Topology;
  const some = choices(topology, 'point:p7');
  assert.deepEqual([some.places.map((p) => p.key), some.points.map((p) => p.key)], [['b'], ['p0', 'p7']]);
});
