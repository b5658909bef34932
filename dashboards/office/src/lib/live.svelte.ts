// The state of everything, and its one owner: what the gateway last said, how old that is, and whether it can be believed.

import {
  api, type ChangedMeters, type ChangedSensors, type Health, type Hello, type Incident, type IncidentEvent, type MeterState, type Overview, type Point,
  type SensorNow, type Stamp, type Topology,
} from './api';
import { ms, offsetMinutes, wallClock } from './format';
import { after, backOff, type Link, type LinkEvent, type LinkState, START, state } from './link';

/** Health is asked for this often; much oftener while something is wrong, and all is asked for at this pace while there is no stream. */
const PROBE_MS = 10_000;
const TROUBLED_PROBE_MS = 2_000;
/** The overview is computed by the gateway: not for every meter event. */
const OVERVIEW_MS = 5_000;
/** Today's use and the usual move without any reading too. */
const OVERVIEW_IDLE_MS = 60_000;

class Live {
  topology = $state.raw<Topology | null>(null);
  overview = $state.raw<Overview | null>(null);
  health = $state.raw<Health | null>(null);
  /** Open incidents, newest first. */
  open = $state.raw<Incident[] | null>(null);
  /** Every meter's state, by key. Replaced whole, so that one comparison shows a change. */
  meters = $state.raw<Record<string, MeterState>>({});
  /** Every sensor's, likewise. */
  sensors = $state.raw<Record<string, SensorNow>>({});
  /** Stamp of the newest thing that was told. */
  at = $state<Stamp | null>(null);
  /** The gateway's clock, as far as it was told, going on by this machine's. Ages are against it: a PC's clock may be wrong. */
  now = $state(Date.now());
  link = $state<LinkState>('starting');
  /** Why the first load failed; null once it did not. */
  error = $state.raw<unknown>(null);
  /** Rises with every incident event: whoever shows an incident reads it anew. */
  incidentTick = $state(0);
  /** The newest event, for those who must hear of it. */
  newest = $state.raw<IncidentEvent | null>(null);

  #link: Link = START;
  #ahead = 0;
  #stream: EventSource | null = null;
  #lastEvent = 0;
  #tries = 0;
  #reopen: ReturnType<typeof setTimeout> | undefined;
  #probed = 0;
  #probing = false;
  #overviewAt = 0;
  #overviewDue = false;
  #loading = false;

  points = $derived(new Map<string, Point>((this.topology?.points ?? []).map((p) => [p.key, p])));

  /** Wall time at the compound, as uPlot wants it. */
  wall = $derived(wallClock(this.topology?.time_zone ?? null, this.at === null ? 0 : offsetMinutes(this.at)));

  get stale(): boolean {
    return this.link === 'stale';
  }

  /** Begins, once for the life of the page. */
  start(): void {
    void this.reload();
    setInterval(() => this.#tick(), 1_000);
    document.addEventListener('visibilitychange', () => {
      // A hidden page's timers sleep: what it shows may be old.
      if (!document.hidden) void this.reload();
    });
    addEventListener('online', () => void this.reload());
  }

  /** Asks for everything, then opens the stream where that ends. */
  async reload(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    try {
      const [topology, overview, meters, sensors, open, health] = await Promise.all([
        api.topology(), api.overview(), api.meters(), api.sensors(), api.incidents('open'), api.health(),
      ]);
      this.topology = topology;
      this.overview = overview;
      this.health = health;
      this.open = open.incidents;
      this.#take(meters);
      this.#takeSensors(sensors);
      // What came between those answers is told again by the stream.
      this.#lastEvent = Math.min(overview.last_event, open.last_event);
      this.#overviewAt = performance.now();
      this.incidentTick += 1;
      this.error = null;
      if (this.#stream === null) this.#openStream();
    } catch (error) {
      this.error = error;
      this.#happened('failed');
    } finally {
      this.#loading = false;
    }
  }

  /** After a command: the stream tells it too, but a person is waiting. */
  async refreshIncidents(): Promise<void> {
    try {
      this.open = (await api.incidents('open')).incidents;
      this.#happened('heard');
      this.incidentTick += 1;
    } catch {
      this.#happened('failed');
    }
  }

  #happened(event: LinkEvent, at = performance.now()): void {
    this.#link = after(this.#link, event, at);
    this.link = state(this.#link, performance.now());
  }

  #take({ at, meters }: ChangedMeters): void {
    this.meters = { ...this.meters, ...Object.fromEntries(meters.map((m) => [m.key, m])) };
    this.#heard(at);
  }

  #takeSensors({ at, sensors }: ChangedSensors): void {
    this.sensors = { ...this.sensors, ...Object.fromEntries(sensors.map((s) => [s.key, s])) };
    this.#heard(at);
  }

  #heard(at: Stamp): void {
    if (this.at === null || ms(at) > ms(this.at)) this.at = at;
    this.#ahead = ms(at) - Date.now();
    this.now = ms(at);
    this.#happened('heard');
  }

  #openStream(): void {
    clearTimeout(this.#reopen);
    this.#stream?.close();
    const stream = new EventSource(`/api/v1/live?after=${this.#lastEvent}`);
    this.#stream = stream;
    stream.addEventListener('hello', (e) => {
      const hello = JSON.parse((e as MessageEvent<string>).data) as Hello;
      const again = this.#tries > 0 || this.#link.lost !== null || hello.after < this.#lastEvent;
      this.#lastEvent = hello.after;
      this.#tries = 0;
      this.#happened('opened');
      this.#ahead = ms(hello.time) - Date.now();
      // The gateway may be another one now: new config, new store.
      if (again) void this.reload();
    });
    stream.addEventListener('meters', (e) => {
      this.#take(JSON.parse((e as MessageEvent<string>).data) as ChangedMeters);
      this.#overviewDue = true;
    });
    stream.addEventListener('sensors', (e) => {
      this.#takeSensors(JSON.parse((e as MessageEvent<string>).data) as ChangedSensors);
      this.#overviewDue = true;
    });
    stream.addEventListener('incident', (e) => {
      const event = JSON.parse((e as MessageEvent<string>).data) as IncidentEvent;
      if (event.seq <= this.#lastEvent) return;
      this.#lastEvent = event.seq;
      this.newest = event;
      this.#overviewDue = true;
      this.#overviewAt = 0;
      void this.refreshIncidents();
    });
    stream.addEventListener('error', () => {
      this.#happened('broken');
      this.#probed = 0;
      this.#tries += 1;
      if (stream.readyState !== EventSource.CLOSED) return;
      // Refused (all streams taken, a proxy without a gateway behind it): the browser gives up, we do not.
      this.#reopen = setTimeout(() => this.#openStream(), backOff(this.#tries - 1));
    });
  }

  #tick(): void {
    const now = performance.now();
    this.now = Date.now() + this.#ahead;
    this.link = state(this.#link, now);
    const pace = this.#link.lost !== null || this.error !== null ? TROUBLED_PROBE_MS : PROBE_MS;
    if (!this.#probing && now - this.#probed > pace) void this.#probe();
    const idle = this.#link.open ? OVERVIEW_IDLE_MS : PROBE_MS;
    const due = (this.#overviewDue && now - this.#overviewAt > OVERVIEW_MS) || now - this.#overviewAt > idle;
    if (due && !document.hidden && this.overview !== null && this.link !== 'stale') void this.#refreshOverview();
  }

  async #probe(): Promise<void> {
    this.#probing = true;
    const asked = (this.#probed = performance.now());
    try {
      this.health = await api.health();
      const healed = this.#link.lost !== null;
      this.#happened('heard');
      if (this.error !== null || (healed && !this.#link.open && this.#stream === null)) await this.reload();
    } catch {
      // Unanswered: it was lost when it was asked, not when patience ended.
      this.#happened('failed', asked);
    } finally {
      this.#probing = false;
    }
  }

  async #refreshOverview(): Promise<void> {
    this.#overviewAt = performance.now();
    this.#overviewDue = false;
    try {
      this.overview = await api.overview();
      this.#heard(this.overview.at);
      if (!this.#link.open) {
        this.#take(await api.meters());
        this.#takeSensors(await api.sensors());
        await this.refreshIncidents();
      }
    } catch {
      this.#happened('failed');
    }
  }
}

export const live = new Live();
