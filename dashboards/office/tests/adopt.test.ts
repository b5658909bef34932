import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Choice, entryOf, kindsAt, linesOf, suggestedId, valueOf } from '../src/lib/adopt';
import type { HeardDevice, Proposal } from '../src/lib/discovery';

const METER = '[[meters]]\nid = "ID"\nkind = "bulk"\nat = "PLACE"\nsubscription = "w"\ndevice = "a"\npulse_weight = "1 L"     # what one pulse is: see the meter\n';
const choice = (more: Partial<Choice> = {}): Choice => ({ wanted: true, id: 'b15', name: '', place: 'b15', kind: 'bulk', pulse: '10 L', ...more });
const device = (more: Partial<HeardDevice> = {}): HeardDevice => ({
  device: 'a', topics: ['w/a/state'], label: null, values: {}, flags: null, entries: [{ kind: 'meter', toml: METER }], ...more,
});

test('what a person knows is filled in, and the rest stays', () => {
  assert.equal(
    entryOf(METER, choice({ name: '15号楼 "总表"', kind: 'make-up' })),
    '[[meters]]\nid = "b15"\nname = "15号楼 \\"总表\\""\nkind = "make-up"\nat = "b15"\nsubscription = "w"\ndevice = "a"\npulse_weight = "10 L"\n',
  );
  assert.equal(entryOf('[[sensors]]\nid = "ID"\nat = "PLACE"\n', choice()), '[[sensors]]\nid = "b15"\nat = "b15"\n');
  assert.equal(valueOf(METER, 'pulse_weight'), '1 L');
  assert.equal(valueOf(METER, 'column'), null);
});

test('a name does not become a line of its own', () => {
  const lines = entryOf('[[sensors]]\nid = "ID"\nat = "PLACE"\n', choice({ name: 'a\n[store]\npath = "x"\u007f' })).split('\n');
  assert.deepEqual(lines, ['[[sensors]]', 'id = "b15"', 'name = "a [store] path = \\"x\\""', 'at = "b15"', '']);
});

test('only what is wanted is adopted, with its subscription, and a guess is decided', () => {
  const p: Proposal = {
    certainty: 'guess', subscription: 'w', profile: null, title: null, profile_toml: null,
    subscription_toml: '[[mqtt.subscriptions]]\nname = "w"\nunit = "m³"     # a guess: does the meter show m\u00b3 or L?\n', devices: [device(), device({ device: 'b' })],
  };
  const both = linesOf(p, [[choice({ wanted: false })], [choice({ id: 'two' })]], 'L');
  assert.ok(both.startsWith('[[mqtt.subscriptions]]\nname = "w"\nunit = "L"\n\n[[meters]]\nid = "two"\n'), both);
  assert.equal(both.split('[[meters]]').length, 2);
  assert.equal(linesOf(p, [[choice({ wanted: false })], []], null), '');
});

test('an id is suggested that nobody has', () => {
  assert.equal(suggestedId(device({ device: 'Leak_B15 Bath' }), new Set()), 'leak-b15-bath');
  assert.equal(suggestedId(device({ device: null }), new Set(['state', 'state-2'])), 'state-3');
  assert.equal(suggestedId(device({ device: '水表' }), new Set()), 'device');
});

test('a meter at a household is a sub-meter', () => {
  const place = { key: 'h', name: '', parent: null, households: null, residents: null };
  assert.deepEqual(kindsAt({ ...place, kind: 'household' }, METER), ['sub']);
  assert.deepEqual(kindsAt({ ...place, kind: 'building' }, METER), ['bulk', 'make-up']);
  assert.deepEqual(kindsAt({ ...place, kind: 'building' }, METER.replace('at =', 'medium = "heat"\nat =')), ['bulk']);
});
