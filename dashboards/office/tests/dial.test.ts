import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kilowattHoursOf, litresOf, smallestOf, typedOf } from '../src/lib/dial';

test('m³ become litres to the last digit', () => {
  const cases: [string, string][] = [
    ['338.304', '338304'], ['00338.304', '338304'], ['338', '338000'], ['338.', '338000'], ['0', '0'], ['000', '0'], ['0.001', '1'], ['0.0005', '0.5'],
    ['115.25025', '115250.25'], ['0.000001', '0.001'], ['0.1', '100'], [' 12.5 ', '12500'], ['123456789.123456', '123456789123.456'],
    // A Chinese keyboard.
    ['３３８．３０４', '338304'], ['338。304', '338304'],
  ];
  for (const [typed, litres] of cases) assert.equal(litresOf(typed), litres, typed);
});

test('what a float would spoil is exact', () => {
  // 4.35 * 1000 is 4350.000000000001 or 4349.999…, by the machine's way of counting.
  assert.equal(litresOf('4.35'), '4350');
  assert.equal(litresOf('1.005'), '1005');
  for (let l = 0; l < 20_000; l += 7) assert.equal(litresOf(`${Math.floor(l / 1000)}.${String(l % 1000).padStart(3, '0')}`), String(l));
});

test('what no dial shows is refused', () => {
  for (const typed of ['', ' ', '.5', '-1', '+1', '1e3', '338,304', '1,234.5', '1 234', '12.3.4', '0x10', '12m3', '0.0000001', '1234567890', 'Infinity', '一']) {
    assert.equal(litresOf(typed), null, typed);
  }
});

test('litres are whole millilitres', () => {
  assert.deepEqual(['338304', '0.5', '115250.25', '0', '123456789123.456'].map(smallestOf), [338_304_000, 500, 115_250_250, 0, 123_456_789_123_456]);
});

test('kWh stay kWh, to the watt-hour', () => {
  const cases: [string, string][] = [
    ['13187.2', '13187.2'], ['0013187.200', '13187.2'], ['13187', '13187'], ['13187.', '13187'], ['0', '0'], ['000', '0'], ['0.001', '0.001'], ['4.35', '4.35'],
    ['１３１８７。２', '13187.2'], ['123456789012.345', '123456789012.345'],
  ];
  for (const [typed, written] of cases) assert.equal(kilowattHoursOf(typed), written, typed);
  for (const typed of ['', '.5', '-1', '1,234', '0.0001', '1e3', '1234567890123']) assert.equal(kilowattHoursOf(typed), null, typed);
  assert.deepEqual(['13187.2', '0.001', '123456789012.345'].map(smallestOf), [13_187_200, 1, 123_456_789_012_345]);
});

test('the medium says which', () => {
  assert.deepEqual((['water', 'hot_water', 'gas', 'heat', 'electricity'] as const).map((m) => typedOf(m, '1.5')), ['1500', '1500', '1500', '1.5', '1.5']);
});
