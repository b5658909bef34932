// Where one is, by the address behind the #: a server of plain files suffices.

import type { Point } from './api';

export type Route =
  | { view: 'overview' | 'incidents' | 'sensors' | 'rounds' | 'health' | 'unknown' }
  | { view: 'place' | 'meter' | 'sensor' | 'incident'; id: string }
  | { view: 'discovery' }
  /** With a metering point to begin with, or none. */
  | { view: 'backtest'; id: string | null };

export function parse(hash: string): Route {
  const [view = '', id] = hash.replace(/^#?\/?/, '').split('/');
  if (view === '') return { view: 'overview' };
  if (view === 'incidents' || view === 'sensors' || view === 'rounds' || view === 'health') return { view };
  if ((view === 'place' || view === 'meter' || view === 'sensor' || view === 'incident') && id) {
    try {
      return { view, id: decodeURIComponent(id) };
    } catch {
      return { view: 'unknown' };
    }
  }
  if (view === 'backtest') {
    try {
      return { view, id: id ? decodeURIComponent(id) : null };
    } catch {
      return { view: 'unknown' };
    }
  }
  return { view: view === 'discovery' ? view : 'unknown' };
}

export const link = {
  place: (key: string) => `#/place/${encodeURIComponent(key)}`,
  meter: (key: string) => `#/meter/${encodeURIComponent(key)}`,
  sensor: (key: string) => `#/sensor/${encodeURIComponent(key)}`,
  /** To the page of a point, whatever it is. */
  point: (key: string, point: Point | undefined) => (point?.kind === 'sensor' ? link.sensor(key) : link.meter(key)),
  backtest: (key: string) => `#/backtest/${encodeURIComponent(key)}`,
  incident: (id: string) => `#/incident/${encodeURIComponent(id)}`,
};

class Router {
  route = $state.raw<Route>(parse(location.hash));

  constructor() {
    addEventListener('hashchange', () => {
      this.route = parse(location.hash);
      scrollTo(0, 0);
    });
  }
}

export const router = new Router();
