import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configOf, filtersOf, type HeardDevice, type HeardTopic, progress, type Proposal, tally } from '../src/lib/discovery';

const device = (more: Partial<HeardDevice> = {}): HeardDevice => ({
  device: 'a', topics: ['z/a'], label: null, values: { battery: '92 %' }, flags: ['wet'], entries: [{ kind: 'sensor', toml: '[[sensors]]\nid = "ID"\n' }], ...more,
});
const proposal = (more: Partial<Proposal> = {}): Proposal => ({
  certainty: 'known', subscription: 'z', profile: 'z', title: 'Z', profile_toml: null, subscription_toml: '[[mqtt.subscriptions]]\nname = "z"\n', devices: [device()], ...more,
});

test('filters stand between spaces and commas of either width', () => {
  assert.deepEqual(filtersOf('  a/#, +/b\uff0cc\u3001d\n'), ['a/#', '+/b', 'c', 'd']);
  assert.deepEqual(filtersOf(' '), []);
});

test('a hearing goes from nothing to the end, whatever the clock does', () => {
  assert.deepEqual(progress(0, 30_000, 7_500), { share: 0.25, left: 23 });
  assert.deepEqual(progress(0, 30_000, 40_000), { share: 1, left: 0 });
  assert.deepEqual(progress(10_000, 10_000, 0), { share: 0, left: 10 });
});

test('the lines to copy are the subscription and each device below its topic', () => {
  assert.equal(configOf(proposal()), '[[mqtt.subscriptions]]\nname = "z"\n\n# z/a\n#     battery = 92 %, flags: wet\n[[sensors]]\nid = "ID"\n');
  assert.equal(configOf(proposal({ subscription_toml: null, devices: [device({ values: {}, flags: null })] })), '# z/a\n[[sensors]]\nid = "ID"\n');
});

test('a name of a device does not become config', () => {
  const text = configOf(proposal({ subscription_toml: null, devices: [device({ label: 'a\n[store]\r\u2028path = "x"', entries: [] })] }));
  assert.ok(text.split(/[\n\r\u2028]/).every((line) => line === '' || line.startsWith('#')), text);
});

test('topics are counted by what they are', () => {
  const topic = (label: HeardTopic['label']): HeardTopic => ({ topic: label, label, messages: 1, last: '', retained: false, refused: null, newest: null });
  assert.deepEqual(tally([topic('unknown'), topic('read'), topic('unknown')]), [['read', 1], ['unknown', 2]]);
});
