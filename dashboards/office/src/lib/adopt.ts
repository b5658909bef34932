// Adopting a device that was heard: the lines of a proposal, filled in. Pure.

import type { Place } from './api';
import type { HeardDevice, Proposal } from './discovery';

export type MeterKind = 'bulk' | 'sub' | 'make-up';
/** What only a person knows of a device. */
export interface Choice {
  wanted: boolean;
  id: string;
  name: string;
  /** Key of the place. */
  place: string;
  /** Of a meter. */
  kind: MeterKind;
  /** Of a counter: what one pulse is. */
  pulse: string;
}

/** A text as TOML has it, on one line. */
const quoted = (text: string): string => JSON.stringify(text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim());

/** The value of a key on a line of its own, without quotes; null where there is none. */
export function valueOf(toml: string, key: string): string | null {
  return new RegExp(`^${key} = "([^"]*)"`, 'm').exec(toml)?.[1] ?? null;
}

/** An entry with what a person chose; the rest stays as it was proposed. */
export function entryOf(toml: string, c: Choice): string {
  const filled: Record<string, string> = { id: c.id, at: c.place, kind: c.kind, pulse_weight: c.pulse };
  const line = (l: string): string[] => {
    const key = /^(\w+) = /.exec(l)?.[1];
    if (key === undefined || !(key in filled)) return [l];
    const out = [`${key} = ${quoted(filled[key] ?? '')}`];
    return key === 'id' && c.name.trim() !== '' ? [...out, `name = ${quoted(c.name)}`] : out;
  };
  return toml.trimEnd().split('\n').flatMap(line).join('\n') + '\n';
}

/** A proposal with what was chosen for each device and entry; empty where nothing was. `unit`: what a guessed number counts. */
export function linesOf(p: Proposal, choices: Choice[][], unit: string | null): string {
  const entries = p.devices.flatMap((d, i) => d.entries.flatMap((e, j) => {
    const c = choices[i]?.[j];
    return c?.wanted ? [entryOf(e.toml, c)] : [];
  }));
  if (entries.length === 0) return '';
  let subscription = p.subscription_toml;
  if (subscription !== null && unit !== null) subscription = subscription.replace(/^unit = "[^"]*".*$/m, () => `unit = ${quoted(unit)}`);
  return [subscription?.trimEnd(), ...entries].filter((part) => part !== undefined).join('\n\n') + '\n';
}

/** An id that looks like the device, is allowed, and is not taken. */
export function suggestedId(d: HeardDevice, taken: Set<string>): string {
  const from = d.device ?? d.topics[0]?.split('/').pop() ?? '';
  const slug = from.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 40) || 'device';
  for (let n = 1; ; n += 1) {
    const id = n === 1 ? slug : `${slug}-${n}`;
    if (!taken.has(id)) return id;
  }
}

/** What a meter at this place can be; only water is made up for. */
export function kindsAt(place: Place | undefined, toml: string): MeterKind[] {
  if (place?.kind === 'household') return ['sub'];
  return valueOf(toml, 'medium') === null ? ['bulk', 'make-up'] : ['bulk'];
}
