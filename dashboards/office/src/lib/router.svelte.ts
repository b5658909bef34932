// Where one is, by the address behind the #: a server of plain files suffices.

export type Route =
  | { view: 'overview' | 'incidents' | 'health' | 'unknown' }
  | { view: 'place' | 'meter' | 'incident'; id: string };

export function parse(hash: string): Route {
  const [view = '', id] = hash.replace(/^#?\/?/, '').split('/');
  if (view === '') return { view: 'overview' };
  if (view === 'incidents' || view === 'health') return { view };
  if ((view === 'place' || view === 'meter' || view === 'incident') && id) {
    try {
      return { view, id: decodeURIComponent(id) };
    } catch {
      return { view: 'unknown' };
    }
  }
  return { view: 'unknown' };
}

export const link = {
  place: (key: string) => `#/place/${encodeURIComponent(key)}`,
  meter: (key: string) => `#/meter/${encodeURIComponent(key)}`,
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
