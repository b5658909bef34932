// What a sensor says, by how urgent it is, and what stands around it. Pure.

import type { Incident, Place, Point, SensorNow, Topology, Valve } from './api';

/** What it says, as states that are shown; the most urgent first. */
const URGENCY = ['emergency', 'leak', 'access', 'fault', 'silent', 'away', 'no_data', 'ok'] as const;
export type SensorMark = (typeof URGENCY)[number];

const FLAGS: Record<string, SensorMark> = { emergency: 'emergency', wet: 'leak', leak: 'leak', burst: 'leak', open: 'access', tamper: 'access' };

/** What is shown of one flag; one that these pages have not heard of is a fault. */
export const flagMark = (flag: string): SensorMark => FLAGS[flag] ?? 'fault';

/** The worst that is true of it. */
export function sensorMark(s: SensorNow | undefined): SensorMark {
  if (s === undefined) return 'no_data';
  const holds: SensorMark[] = s.flags.map(flagMark);
  if (s.silent) holds.push('silent');
  if (s.presence?.online === false) holds.push('away');
  if (s.last_reading_at === null) holds.push('no_data');
  return URGENCY.find((mark) => holds.includes(mark)) ?? 'ok';
}

export const urgency = (s: SensorNow | undefined): number => URGENCY.indexOf(sensorMark(s));

const CAUSES: Incident['cause'][] = ['emergency', 'leak', 'access', 'heating', 'data'];

/** Those that speak of it, the most urgent first. */
export const incidentsOf = (key: string, open: Incident[]): Incident[] =>
  open.filter((i) => i.points.includes(key)).sort((a, b) => CAUSES.indexOf(a.cause) - CAUSES.indexOf(b.cause));

/** The cause of open incidents that a point shows before anything else; null where nothing is urgent. */
export const urgentCause = (causes: (Incident['cause'] | undefined)[]): 'emergency' | 'leak' | 'access' | null =>
  (['emergency', 'leak', 'access'] as const).find((c) => causes.includes(c)) ?? null;

/** Digits that a value of this unit deserves. */
export const digits = (unit: string): number => (unit === '°C' ? 1 : unit === 'V' ? 2 : unit === '1' ? 1 : 0);

/** A place and all above it, from itself up. */
export function up(topology: Topology, key: string): Place[] {
  const path: Place[] = [];
  const at = (k: string | null): Place | undefined => topology.places.find((p) => p.key === k);
  for (let p = at(key); p !== undefined; p = at(p.parent)) path.push(p);
  return path;
}

/** Where an incident is. */
export interface Scene {
  /** The first that it speaks of. */
  point: Point | undefined;
  /** The first of them at which water is measured. */
  meter: Point | undefined;
  /** Of the point; above a sensor that of the nearest meter that has one. */
  valve: Valve | null;
  /** Name of the household, where it is in one. */
  home: string | null;
}

export function scene(points: string[], topology: Topology): Scene {
  const found = points.map((key) => topology.points.find((p) => p.key === key)).filter((p): p is Point => p !== undefined);
  const point = found[0];
  const above = point === undefined ? [] : up(topology, point.place);
  const valves = above.map((place) => topology.points.find((p) => p.place === place.key && p.valve !== null)?.valve ?? null);
  return {
    point,
    meter: found.find((p) => p.kind !== 'sensor'),
    valve: point?.valve ?? (point?.kind === 'sensor' ? valves.find((v) => v !== null) : null) ?? null,
    home: above[0]?.kind === 'household' ? above[0].name : null,
  };
}
