import assert from 'node:assert/strict';
import { test } from 'node:test';
import { after, backOff, type Link, type LinkEvent, START, state } from '../src/lib/link';

const run = (...steps: [LinkEvent, number][]): Link => steps.reduce((link, [event, at]) => after(link, event, at), START);

test('a stream that breaks is stale after five seconds, and no sooner', () => {
  const link = run(['opened', 0], ['broken', 10_000]);
  assert.equal(state(link, 14_000), 'unsure');
  assert.equal(state(link, 15_001), 'stale');
});

test('a probe that answers says that only the stream is missing', () => {
  const link = run(['opened', 0], ['broken', 10_000], ['heard', 11_000]);
  assert.equal(state(link, 20_000), 'polling');
});

test('a stream that is refused again and again leaves the page polling', () => {
  assert.equal(state(run(['heard', 0], ['broken', 1_000], ['heard', 9_000], ['broken', 12_000]), 20_000), 'polling');
});

test('failed probes count from the first, not from the last', () => {
  const link = run(['opened', 0], ['failed', 10_000], ['failed', 14_000]);
  assert.equal(state(link, 15_001), 'stale');
});

test('silence alone is a loss after forty seconds', () => {
  const link = run(['opened', 0], ['heard', 1_000]);
  assert.equal(state(link, 41_000), 'live');
  assert.equal(state(link, 41_001), 'stale');
});

test('it heals by itself', () => {
  assert.equal(state(run(['opened', 0], ['broken', 1_000], ['failed', 2_000], ['opened', 60_000]), 61_000), 'live');
});

test('a page that has never heard anything is starting, then stale', () => {
  assert.equal(state(START, 1e6), 'starting');
  assert.equal(state(run(['failed', 0]), 5_001), 'stale');
});

test('the pause before trying again grows and ends', () => {
  assert.deepEqual([0, 1, 2, 5, 50].map(backOff), [1_000, 2_000, 4_000, 30_000, 30_000]);
});
