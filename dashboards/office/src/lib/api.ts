// What the gateway answers, as docs/api/openapi.json has it, and how to ask.

import type { Backtest } from './backtest';
import type { Discovery } from './discovery';
import type { Medium } from './medium';
import { photoOf } from './photo';
import type { Picture } from './picture';

/** RFC 3339, with the offset of the compound's clocks. */
export type Stamp = string;
export interface Text {
  zh: string;
  en: string;
}
export interface Start {
  earliest: Stamp;
  latest: Stamp;
}
export type PlaceState = 'emergency' | 'leak' | 'access' | 'fault' | 'no_data' | 'ok';

export interface PlaceNow {
  key: string;
  kind: 'compound' | 'building';
  name: string;
  parent: string | null;
  community: string | null;
  households: number | null;
  residents: number | null;
  state: PlaceState;
  open_incidents: number;
  flow_litres_per_hour: number | null;
  today_tonnes: number | null;
  usual_tonnes: number | null;
  usual_days: number;
  newest_reading_at: Stamp | null;
  meters: number;
  silent_meters: number;
  sensors: number;
  silent_sensors: number;
  head_meters: string[];
}
export interface Overview {
  at: Stamp;
  last_event: number;
  places: PlaceNow[];
}
export interface Place {
  key: string;
  kind: 'community' | 'compound' | 'building' | 'unit' | 'household';
  name: string;
  parent: string | null;
  households: number | null;
  residents: number | null;
}
export interface Valve {
  place: string;
  key_holder: string | null;
  shuts_off: string | null;
  may_close: string | null;
}
export type PointKind = 'bulk' | 'sub' | 'make_up' | 'sensor';
export type Responsible = 'water_company' | 'owners' | 'household';
/** A metering point or a sensor, as configured. */
export interface Point {
  key: string;
  name: string;
  kind: PointKind;
  /** Null for a sensor. */
  medium: Medium | null;
  place: string;
  parent: string | null;
  boundary: 'settlement' | 'assessment';
  /** Null where a meter measures no water. */
  responsible: Responsible | null;
  meter: {
    serial: string | null;
    pulse_weight_litres: number | null;
    pulse_weight_kilowatt_hours: number | null;
    max_litres_per_hour: number | null;
    max_kilowatts: number | null;
    mean_flow_over_seconds: number | null;
  } | null;
  limits: { litres_per_hour: number | null; tonnes_per_month: number | null; silent_after_seconds: number | null };
  source: { topic: string; feed: string; column: string | null } | null;
  valve: Valve | null;
  yuan_per_tonne: number | null;
}
export interface Topology {
  gateway: string;
  time_zone: string | null;
  places: Place[];
  points: Point[];
}
/** The part of a metering point that changes. */
export interface MeterState {
  key: string;
  medium: Medium;
  last_reading_at: Stamp | null;
  register_litres: number | null;
  register_kilowatt_hours: number | null;
  flow_litres_per_hour: number | null;
  power_kilowatts: number | null;
  /** Of the three amounts the one of its medium; `yuan` only where a price is configured. */
  month: { month: string; tonnes: number | null; cubic_metres: number | null; kilowatt_hours: number | null; yuan?: number } | null;
  silent: boolean;
  incidents: string[];
}
export interface ChangedMeters {
  at: Stamp;
  meters: MeterState[];
}
/** Whether a device is there, by its own word or its broker's. */
export interface Presence {
  online: boolean;
  since: Stamp;
}
/** What a sensor said last. */
export interface SensorNow {
  key: string;
  place: string[];
  last_reading_at: Stamp | null;
  values: { name: string; value: number; unit: string }[];
  flags: string[];
  silent: boolean;
  presence: Presence | null;
  incidents: string[];
}
export interface ChangedSensors {
  at: Stamp;
  sensors: SensorNow[];
}
export interface Hello {
  time: Stamp;
  after: number;
}

export type IncidentState = 'detected' | 'accepted' | 'closed';
export interface Incident {
  id: string;
  cause: 'leak' | 'data' | 'emergency' | 'access' | 'heating';
  state: IncidentState;
  headline: Text | null;
  opened_at: Stamp;
  accepted: { by: string; at: Stamp } | null;
  closed: { by: string | null; at: Stamp; reason: string } | null;
  points: string[];
  place: string[];
  start: Start;
  historic: boolean;
}
export interface Incidents {
  at: Stamp;
  last_event: number;
  incidents: Incident[];
  more: boolean;
}
export interface Register {
  time: Stamp;
  register_litres: number | null;
  register_kilowatt_hours: number | null;
}
export interface Finding {
  point: string;
  code: string;
  text: Text;
  at: Stamp;
  start: Start;
  historic: boolean;
  evidence: Register[];
  cleared_at: Stamp | null;
  rule: Text;
  expected: Text | null;
  seen: Text | null;
  loss: { least_litres_per_hour: number; most_litres_per_hour: number } | null;
  clears: Text;
}
export interface IncidentEvent {
  seq: number;
  at: Stamp;
  incident: string;
  code: 'opened' | 'found' | 'cleared' | 'accepted' | 'closed';
  text: Text;
}
export interface Water {
  since: Stamp;
  litres_per_minute: number | null;
  tonnes: number | null;
  yuan: number | null;
}
export interface IncidentFile extends Incident {
  findings: Finding[];
  history: IncidentEvent[];
  /** Who closes it can say that it was no leak. */
  can_be_usual: boolean;
  water: Water | null;
}

export interface Interval {
  from: Stamp;
  to: Stamp;
  litres: number | null;
  litres_per_hour: number | null;
  kilowatt_hours: number | null;
  kilowatts: number | null;
  kind: 'forward' | 'equal' | 'jitter' | 'rollover' | 'reset' | 'jump' | 'replaced';
  gap: boolean;
}
export interface Bucket {
  from: Stamp;
  to: Stamp;
  litres: number | null;
  litres_per_hour: number | null;
  kilowatt_hours: number | null;
  kilowatts: number | null;
  complete: boolean;
}
export type Resolution = 'raw' | 'hour' | 'day';
export interface Flow {
  from: Stamp;
  to: Stamp;
  resolution: Resolution;
  medium: Medium;
  litres: number | null;
  kilowatt_hours: number | null;
  intervals: Interval[];
  buckets: Bucket[];
  ignored: { time: Stamp; why: 'first' | 'held' | 'spike' | 'late' | 'ahead' | 'old' | 'refused' }[];
  next: string | null;
}
/** What a source sent, as it came. */
export interface Readings {
  columns: { name: string; quantity: string; unit: string }[];
  /** Which of the columns is the register. */
  register: number | null;
  readings: { time: Stamp; values: (number | null)[] }[];
  next: string | null;
}

/** What somebody stated about a meter. */
export interface Entry {
  entry: number;
  written_at: Stamp;
  by: string;
  why: string;
  deed: 'replaced' | 'calibrated' | 'corrected' | 'believed' | 'refused' | 'read' | 'undone';
  time: Stamp | null;
  text: Text;
  undone_by: number | null;
  /** There is a picture of it. */
  photo: boolean;
}
export interface Ledger {
  point: string;
  entries: Entry[];
}
/** Registers are texts in litres or kilowatt-hours, times Unix milliseconds or stamps, as texts. */
export interface Statement {
  by: string;
  why: string;
  deed: string;
  time: string;
  to?: string;
  end_litres?: string;
  end_kilowatt_hours?: string;
  start_litres?: string;
  start_kilowatt_hours?: string;
  old_pulse_weight_litres?: string;
  old_pulse_weight_kilowatt_hours?: string;
  old_rollover_at_litres?: string;
  old_rollover_at_kilowatt_hours?: string;
  serial?: string;
  seal?: string;
  verified?: string;
  register_litres?: string;
  register_kilowatt_hours?: string;
  counts?: boolean;
}
/** A meter that is read by hand. */
export interface BookLine {
  key: string;
  name: string;
  medium: Medium;
  place: string[];
  serial: string | null;
  last: Register | null;
  litres_per_day: number | null;
  kilowatt_hours_per_day: number | null;
  expected_litres: number | null;
  expected_kilowatt_hours: number | null;
  most_litres: number | null;
  most_kilowatt_hours: number | null;
}
export interface Book {
  at: Stamp;
  meters: BookLine[];
}
export interface ReadReport extends Entry {
  plausible: boolean;
  used_litres: number | null;
  used_kilowatt_hours: number | null;
}

/** What a meter can show, and what counts as usual by a person's word. */
export interface Sight {
  at: Stamp;
  sights: { text: Text }[];
  learning: { text: Text }[];
  granted: { text: Text }[];
}

export interface Peer<S> {
  state: S;
  since: Stamp;
  last_error: string | null;
}
/** A way to tell people. */
export interface Channel {
  name: string;
  kind: string;
  state: 'ok' | 'failing';
  pending: number;
  sent: number;
  failed: number;
  failing_since: Stamp | null;
  last_sent_at: Stamp | null;
  last_error: { code: string; text: Text } | null;
}
export interface Health {
  status: 'ok' | 'failing';
  reasons: { code: string; text: Text }[];
  version: string;
  gateway: string;
  started_at: Stamp;
  ready: boolean;
  clock_sure: boolean;
  broker: Peer<'connecting' | 'connected' | 'away'>;
  store: Peer<'ok' | 'failing'>;
  disk: { state: 'ok' | 'nearly_full'; free_bytes: number; total_bytes: number } | null;
  batches_committed: number;
  batches_failed: number;
  last_commit_at: Stamp | null;
  resident_bytes: number | null;
  channels: Channel[];
  backup: Backup | null;
}
export interface Backup {
  state: 'ok' | 'failing';
  last_ok_at: Stamp | null;
  failing_since: Stamp | null;
  last_error: string | null;
  next_at: Stamp | null;
  same_disk: boolean;
}
export interface Counts {
  received: number;
  stored: number;
  duplicate: number;
  rejected: Record<string, number>;
  rejected_total: number;
  in_flight: number;
}
export interface Source {
  topic: string;
  feed: string | null;
  points: string[];
  last_reading_at: Stamp | null;
  presence: Presence | null;
  counts: Counts;
  last_bad: { received_at: Stamp; code: string; text: Text; excerpt: string } | null;
}
export interface Sources {
  at: Stamp;
  sources: Source[];
  totals: Counts;
  next: string | null;
}
interface Problem {
  code: string;
  message: Text;
  expected?: Text | null;
  /** The field at fault. */
  parameter?: string | null;
  /** All that is wrong with a config that was to be. */
  problems?: ConfigProblem[];
}
export interface ConfigProblem {
  at: string;
  key: string | null;
  /** In English. */
  what: string;
  right: string;
}
/** Something that was taken over from what was heard. */
export interface AdoptedEntry {
  kind: 'profile' | 'subscription' | 'meter' | 'sensor';
  key: string;
  by: string;
  time: Stamp;
  toml: string;
}

/** A request that failed: `problem` in the gateway's own words, or null where it could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem | null,
  ) {
    super(problem?.code ?? `status ${status}`);
  }
}

/** Longer than the slowest answer, shorter than a person's patience. */
const PATIENCE_MS = 15_000;

async function ask<T>(path: string, init: RequestInit = {}, patience = PATIENCE_MS, also: number[] = []): Promise<T> {
  const cut = new AbortController();
  const timer = setTimeout(() => cut.abort(), patience);
  try {
    const answer = await fetch(path, { ...init, signal: cut.signal, cache: 'no-store' });
    const body: unknown = await answer.json().catch(() => null);
    if (answer.ok || also.includes(answer.status)) {
      if (body === null) throw new ApiError(0, null);
      return body as T;
    }
    const problem = body as Problem | null;
    throw new ApiError(answer.status, problem?.message ? problem : null);
  } catch (error) {
    throw error instanceof ApiError ? error : new ApiError(0, null);
  } finally {
    clearTimeout(timer);
  }
}

const enc = encodeURIComponent;
const post = <T>(path: string, body: unknown): Promise<T> =>
  ask<T>(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

/** All pages of a list; `next` is the address of the following one. */
async function all<T extends { next: string | null }>(path: string, add: (to: T, page: T) => void): Promise<T> {
  const first = await ask<T>(path);
  for (let next = first.next; next !== null; ) {
    const page = await ask<T>(next);
    add(first, page);
    next = page.next;
  }
  return first;
}

export const api = {
  overview: () => ask<Overview>('/api/v1/overview'),
  topology: () => ask<Topology>('/api/v1/topology'),
  meters: () => all<ChangedMeters & { next: string | null }>('/api/v1/meters', (to, page) => to.meters.push(...page.meters)),
  sensors: () => all<ChangedSensors & { next: string | null }>('/api/v1/sensors', (to, page) => to.sensors.push(...page.sensors)),
  incidents: (state: 'open' | 'closed', limit = 500) => ask<Incidents>(`/api/v1/incidents?state=${state}&limit=${limit}`),
  incident: (id: string) => ask<IncidentFile>(`/api/v1/incidents/${enc(id)}`),
  picture: (id: string, point: string, code: string) => ask<Picture>(`/api/v1/incidents/${enc(id)}/picture?point=${enc(point)}&code=${enc(code)}`),
  accept: (id: string, by: string, note: string) => post<Incident>(`/api/v1/incidents/${enc(id)}/accept`, note ? { by, note } : { by }),
  /** `usual`: it was no leak. */
  close: (id: string, by: string, reason: string, usual: boolean) =>
    post<Incident>(`/api/v1/incidents/${enc(id)}/close`, usual ? { by, reason, not_a_leak: true } : { by, reason }),
  sources: () => all<Sources>('/api/v1/sources', (to, page) => to.sources.push(...page.sources)),
  /** 503 is an answer too: the gateway is there and says why it is not well. */
  health: () => ask<Health>('/healthz', {}, 5_000, [503]),
  discovery: () => ask<Discovery>('/api/v1/discovery'),
  hear: (seconds: number, filters: string[]) => post<Discovery>('/api/v1/discovery', { seconds, filters }),
  stopHearing: () => post<Discovery>('/api/v1/discovery/stop', {}),
  backtest: () => ask<Backtest>('/api/v1/backtest'),
  startBacktest: (wish: Record<string, string | boolean>) => post<Backtest>('/api/v1/backtest', wish),
  stopBacktest: () => post<Backtest>('/api/v1/backtest/stop', {}),
  /** A file may be large: it is waited for longer. */
  uploadForBacktest: (part: 'meters' | 'readings', file: File) =>
    ask<unknown>(`/api/v1/backtest/upload?part=${part}&name=${enc(file.name)}`, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: file }, 60_000),
  adopted: () => ask<{ entries: AdoptedEntry[] }>('/api/v1/adopted'),
  adopt: (by: string, toml: string, profile: { name: string; toml: string } | null) => post<unknown>('/api/v1/adopted', { by, toml, ...(profile ? { profile } : {}) }),
  dropAdopted: (by: string, kind: string, key: string) => post<unknown>('/api/v1/adopted/drop', { by, kind, key }),
  /** The following page, by the address that the gateway gave. */
  more: (next: string) => ask<Flow>(next),
  /** `from` and `to` in Unix milliseconds, or a date at the compound. */
  flow: (meter: string, from: number | Stamp, to: number | Stamp, resolution: Resolution | 'auto') =>
    ask<Flow>(`/api/v1/meters/${enc(meter)}/flow?from=${enc(from)}&to=${enc(to)}&resolution=${resolution}&limit=5000`),
  readings: (meter: string, from: number, to: number) => ask<Readings>(`/api/v1/meters/${enc(meter)}/readings?from=${from}&to=${to}&limit=5000`),
  sight: (meter: string) => ask<Sight>(`/api/v1/meters/${enc(meter)}/sight`),
  ledger: (meter: string) => ask<Ledger>(`/api/v1/meters/${enc(meter)}/ledger`),
  state: (meter: string, what: Statement) => post<Entry>(`/api/v1/meters/${enc(meter)}/ledger`, what),
  undo: (entry: number, by: string, why: string) => post<Entry>(`/api/v1/ledger/${entry}/undo`, { by, why }),
  /** A JPEG. */
  keepPhoto: async (entry: number, picture: Blob): Promise<void> => {
    const answer = await fetch(photoOf(entry), { method: 'POST', headers: { 'content-type': 'image/jpeg' }, body: picture }).catch(() => null);
    if (answer?.ok) return;
    const problem = (await answer?.json().catch(() => null)) as Problem | null;
    throw new ApiError(answer?.status ?? 0, problem?.message ? problem : null);
  },
  rounds: () => ask<Book>('/api/v1/rounds'),
  /** `register` names its unit, as in a statement; `at` in Unix milliseconds. */
  handIn: (meter: string, by: string, register: Pick<Statement, 'register_litres' | 'register_kilowatt_hours'>, at: number, note: string) =>
    post<ReadReport>(`/api/v1/meters/${enc(meter)}/hand-readings`, { by, ...register, time: String(at), ...(note ? { note } : {}) }),
};
