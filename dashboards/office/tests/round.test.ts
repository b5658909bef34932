import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BookLine, Flow, Place, Point, Readings, Topology } from '../src/lib/api';
import { draw } from '../src/lib/flow';
import { instantOf, wallClock } from '../src/lib/format';
import { doubtful, picks } from '../src/lib/ledger';
import { byHand, sheets, verdict } from '../src/lib/round';

const LAST = '2026-10-16T09:00:00+08:00';
const DAYS = (n: number): number => Date.parse(LAST) + n * 86_400_000;
const line = (more: Partial<BookLine> = {}): BookLine => ({
  key: 'cellar', name: '地下室表', medium: 'water', place: [], serial: null, last: { time: LAST, register_litres: 115_250.25, register_kilowatt_hours: null },
  litres_per_day: 1000, expected_litres: 125_250, most_litres: 1_315_250, kilowatt_hours_per_day: null, expected_kilowatt_hours: null, most_kilowatt_hours: null, ...more,
});

test('nothing is said of nothing', () => {
  assert.equal(verdict('', line(), DAYS(10)), null);
  assert.equal(verdict('  ', line(), DAYS(10)), null);
});

test('a reading that can be', () => {
  assert.deepEqual(verdict('125.250', line(), DAYS(10)), { kind: 'fine', used: 9_999.75, perDay: 999.975 });
  assert.deepEqual(verdict('115.25025', line(), DAYS(1)), { kind: 'fine', used: 0, perDay: 0 });
  assert.deepEqual(verdict('1.5', line({ last: null, most_litres: null }), DAYS(1)), { kind: 'first' });
});

test('a reading that should be looked at again', () => {
  assert.deepEqual(verdict('115.250', line(), DAYS(1)), { kind: 'lower', used: -0.25, perDay: -0.25 });
  assert.equal(verdict('1315.250', line(), DAYS(10))?.kind, 'fine');
  assert.equal(verdict('1315.251', line(), DAYS(10))?.kind, 'more');
  assert.equal(verdict('125,250', line(), DAYS(10))?.kind, 'unreadable');
});

test('a meter of electricity is judged in kWh', () => {
  const energy = (more: Partial<BookLine> = {}): BookLine => line({
    medium: 'electricity', last: { time: LAST, register_litres: null, register_kilowatt_hours: 1_234.5 }, most_litres: null, most_kilowatt_hours: 3_634.5, ...more,
  });
  assert.deepEqual(verdict('1246.5', energy(), DAYS(1)), { kind: 'fine', used: 12, perDay: 12 });
  assert.deepEqual(verdict('1234.25', energy(), DAYS(1)), { kind: 'lower', used: -0.25, perDay: -0.25 });
  assert.equal(verdict('3634.501', energy(), DAYS(1))?.kind, 'more');
  assert.equal(verdict('1246.5001', energy(), DAYS(1))?.kind, 'unreadable');
});

test('so soon after the last reading nothing is said of a day', () => {
  assert.deepEqual(verdict('115.26', line(), DAYS(0) + 60_000), { kind: 'fine', used: 9.75, perDay: null });
});

const place = (key: string, kind: Place['kind'], parent: string | null): Place => ({ key, kind, name: key.toUpperCase(), parent, households: null, residents: null });
const point = (key: string, at: string, topic: string): Point => ({ key, name: key, place: at, source: { topic, feed: 'manual', column: null } }) as Point;

test('the book has a page for each building, and one for what is the compound\'s own', () => {
  const topology: Topology = {
    gateway: 'test-1', time_zone: null,
    places: [place('c', 'compound', null), place('b1', 'building', 'c'), place('u1', 'unit', 'b1'), place('f1', 'household', 'u1'), { ...place('b2', 'building', 'c'), name: 'C-roof' }],
    points: [point('gate', 'c', 'manual/gate'), point('cellar', 'b1', 'manual/cellar'), point('flat', 'f1', 'manual/flat'), point('roof', 'b2', 'meters/roof/state')],
  };
  assert.deepEqual(topology.points.map(byHand), [true, true, true, false]);
  const made = sheets(['gate', 'cellar', 'roof', 'flat'].map((key) => line({ key })), topology);
  assert.deepEqual(made.map((s) => [s.title, s.lines.map((l) => [l.line.key, l.where])]), [
    ['C', [['gate', '']]],
    ['C B1', [['cellar', ''], ['flat', 'U1 › F1']]],
    ['C-roof', [['roof', '']]],
  ]);
});

test('the compound\'s clock tells an instant', () => {
  const wall = wallClock('Asia/Shanghai', 480);
  assert.equal(instantOf('2026-10-15T14:30', wall), Date.parse('2026-10-15T14:30:00+08:00'));
  assert.equal(instantOf('2026-10-15T14:30:15', wall), Date.parse('2026-10-15T14:30:15+08:00'));
  for (const wrong of ['', '2026-10-15', '2026-13-15T14:30', 'yesterday']) assert.equal(instantOf(wrong, wall), null, wrong);
});

test('what does not count is marked among the readings', () => {
  const at = (minute: number): string => `2026-11-24T00:${String(minute).padStart(2, '0')}:00+08:00`;
  const flow: Flow = {
    from: at(0), to: at(59), resolution: 'raw', medium: 'water', litres: 0, kilowatt_hours: null, buckets: [], next: null,
    intervals: [{ from: at(0), to: at(30), litres: null, litres_per_hour: null, kilowatt_hours: null, kilowatts: null, kind: 'jump', gap: false }],
    ignored: [{ time: at(0), why: 'first' }, { time: at(15), why: 'spike' }, { time: at(45), why: 'held' }],
  };
  assert.deepEqual(doubtful(flow).map((d) => d.why), ['spike', 'jump', 'held']);
  assert.deepEqual(draw(flow, 0).ignored, [at(15), at(45)].map((t) => Date.parse(t)));
  const readings: Readings = {
    columns: [{ name: 'battery', quantity: 'voltage', unit: 'V' }, { name: 'total', quantity: 'pulses', unit: '1' }], register: 1, next: null,
    readings: [0, 15, 20, 30, 45].map((m) => ({ time: at(m), values: [3.6, m === 20 ? null : m] })),
  };
  assert.deepEqual(picks(readings, flow, 10).map((p) => [p.time, p.register, p.why]), [
    [at(45), 450, 'held'], [at(30), 300, 'jump'], [at(15), 150, 'spike'], [at(0), 0, null],
  ]);
});
