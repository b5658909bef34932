import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, deviation, figures, full, num, offsetMinutes, perMinute, wallClock, wallText, when } from '../src/lib/format';

test('numbers keep their digits and group their thousands', () => {
  assert.equal(num(1234567.5, 1), '1,234,567.5');
  assert.equal(num(0.005, 2), '0.01');
  assert.equal(num(-0.4), '0');
  assert.equal(num(-1200), '\u22121,200');
  assert.equal(num(999), '999');
  assert.equal(figures(101.36), '101');
  assert.equal(figures(10.25), '10.3');
  assert.equal(figures(0.876), '0.88');
  assert.equal(perMinute(1390), '23.2');
});

test('an age is told in one unit', () => {
  assert.deepEqual(age(-5_000), { unit: 'seconds', n: 0 });
  assert.deepEqual(age(59_999), { unit: 'seconds', n: 59 });
  assert.deepEqual(age(180_000), { unit: 'minutes', n: 3 });
  assert.deepEqual(age(47 * 3_600_000), { unit: 'hours', n: 47 });
  assert.deepEqual(age(48 * 3_600_000), { unit: 'days', n: 2 });
});

test('nothing is claimed where the usual is not known', () => {
  assert.equal(deviation(11.2, 10, 7), 12);
  assert.equal(deviation(9, 10, 1), -10);
  assert.equal(deviation(9, 10, 0), null);
  assert.equal(deviation(9, null, 0), null);
  assert.equal(deviation(null, 10, 7), null);
  assert.equal(deviation(9, 0, 7), null);
});

test('a stamp is read as the compound wrote it', () => {
  const now = '2026-11-24T15:31:52.885+08:00';
  assert.equal(when('2026-11-24T08:05:00+08:00', now), '08:05');
  assert.equal(when('2026-11-22T03:31:00+08:00', now), '11-22 03:31');
  assert.equal(when('2025-11-24T08:05:00+08:00', now), '2025-11-24 08:05');
  assert.equal(full(now), '2026-11-24 15:31:52');
  assert.equal(offsetMinutes(now), 480);
  assert.equal(offsetMinutes('2026-11-24T07:31:52-03:30'), -210);
  assert.equal(offsetMinutes('2026-11-24T07:31:52Z'), 0);
});

test('the chart shows the clocks of the compound, whatever zone the browser is in', () => {
  const at = Date.parse('2026-11-24T23:30:00Z');
  assert.equal(wallText(wallClock('Asia/Shanghai', 0)(at)), '2026-11-25 07:30');
  assert.equal(wallText(wallClock(null, 480)(at)), '2026-11-25 07:30');
  assert.equal(wallText(wallClock('No/Such_Zone', -210)(at)), '2026-11-24 20:00');
  assert.equal(wallText(wallClock('Asia/Shanghai', 0)(at), true), '2026-11-25');
});
