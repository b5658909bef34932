import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Incident, Place, Point, SensorNow, Topology, Valve } from '../src/lib/api';
import { digits, flagMark, incidentsOf, scene, sensorMark, urgency, urgentCause } from '../src/lib/sensor';

const said = (more: Partial<SensorNow> = {}): SensorNow => ({
  key: 'rope', place: [], last_reading_at: '2026-11-24T08:00:00+08:00', values: [], flags: [], silent: false, presence: null, incidents: [], ...more,
});

test('a sensor shows the most urgent of what is true of it', () => {
  assert.equal(sensorMark(said()), 'ok');
  assert.equal(sensorMark(undefined), 'no_data');
  assert.equal(sensorMark(said({ last_reading_at: null })), 'no_data');
  assert.equal(sensorMark(said({ last_reading_at: null, silent: true })), 'silent');
  assert.equal(sensorMark(said({ presence: { online: false, since: '' } })), 'away');
  assert.equal(sensorMark(said({ flags: ['battery_low'], silent: true })), 'fault');
  assert.equal(sensorMark(said({ flags: ['open', 'wet', 'battery_low'] })), 'leak');
  assert.equal(sensorMark(said({ flags: ['wet', 'emergency'] })), 'emergency');
  assert.equal(flagMark('a_flag_of_tomorrow'), 'fault');
  assert.ok(urgency(said({ flags: ['emergency'] })) < urgency(said({ silent: true })) && urgency(said({ silent: true })) < urgency(said()));
});

test('of its incidents the most urgent stands first', () => {
  const of = (id: string, cause: Incident['cause'], points: string[]): Incident => ({ id, cause, points }) as Incident;
  const open = [of('1', 'data', ['rope']), of('2', 'leak', ['b15', 'rope']), of('3', 'emergency', ['button'])];
  assert.deepEqual(incidentsOf('rope', open).map((i) => i.id), ['2', '1']);
  assert.equal(urgentCause(['data', 'access', undefined, 'leak']), 'leak');
  assert.equal(urgentCause(['data', undefined]), null);
});

test('a value has the digits that its unit deserves', () => {
  assert.deepEqual(['°C', '%', 'V', '1', 'L'].map(digits), [1, 0, 2, 1, 0]);
});

const place = (key: string, kind: Place['kind'], parent: string | null): Place => ({ key, kind, name: key.toUpperCase(), parent, households: null, residents: null });
const valve = (where: string): Valve => ({ place: where, key_holder: null, shuts_off: null, may_close: null });
const point = (key: string, kind: Point['kind'], at: string, more: Partial<Point> = {}): Point => ({
  key, name: key, kind, place: at, parent: null, boundary: 'assessment', responsible: 'owners', meter: null,
  limits: { litres_per_hour: null, tonnes_per_month: null, silent_after_seconds: null }, source: null, valve: null, yuan_per_tonne: null, ...more,
});
const topology: Topology = {
  gateway: 'g', time_zone: null,
  places: [place('heyun', 'compound', null), place('b15', 'building', 'heyun'), place('b15-101', 'household', 'b15'), place('b16', 'building', 'heyun')],
  points: [
    point('all', 'bulk', 'heyun', { valve: valve('the street') }), point('b15', 'bulk', 'b15', { valve: valve('the well') }),
    point('rope', 'sensor', 'b15-101'), point('door', 'sensor', 'b16'),
  ],
};

test('above a sensor stands the valve of the nearest meter', () => {
  assert.equal(scene(['rope'], topology).valve?.place, 'the well');
  assert.equal(scene(['rope'], topology).home, 'B15-101');
  assert.equal(scene(['door'], topology).valve?.place, 'the street');
  assert.equal(scene(['door'], topology).home, null);
});

test('an incident that a rope began has its water from the meter', () => {
  const both = scene(['rope', 'b15'], topology);
  assert.deepEqual([both.point?.key, both.meter?.key], ['rope', 'b15']);
  assert.equal(scene(['rope'], topology).meter, undefined);
  assert.deepEqual(scene(['gone'], topology), { point: undefined, meter: undefined, valve: null, home: null });
});
