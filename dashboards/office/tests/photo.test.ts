import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fitted } from '../src/lib/photo';

test('a picture keeps its shape and is never made larger', () => {
  assert.deepEqual(fitted(4000, 3000, 1280), { width: 1280, height: 960 });
  assert.deepEqual(fitted(3000, 4000, 1280), { width: 960, height: 1280 });
  assert.deepEqual(fitted(640, 480, 1280), { width: 640, height: 480 });
  assert.deepEqual(fitted(5000, 1, 1280), { width: 1280, height: 1 });
  assert.deepEqual(fitted(0, 0, 1280), { width: 1, height: 1 });
});
