// What is at the broker and is not configured: the shape of what was heard, and the lines to copy. Pure.

import type { Stamp, Text } from './api';

export type Certainty = 'subscribed' | 'known' | 'announced' | 'likely' | 'guess';
export interface HeardDevice {
  device: string | null;
  topics: string[];
  label: string | null;
  /** By column, as text with the unit. */
  values: Record<string, string>;
  /** Null where it has no flags at all. */
  flags: string[] | null;
  entries: { kind: 'meter' | 'sensor'; toml: string }[];
}
export interface Proposal {
  certainty: Certainty;
  subscription: string;
  profile: string | null;
  title: string | null;
  /** A profile that has to be written first. */
  profile_toml: string | null;
  /** Null where the config has it already. */
  subscription_toml: string | null;
  devices: HeardDevice[];
}
export interface HeardTopic {
  topic: string;
  label: 'read' | 'subscribed' | 'proposed' | 'unknown';
  messages: number;
  /** In UTC: not the compound's clocks. */
  last: Stamp;
  retained: boolean;
  refused: string | null;
  newest: string | null;
}
export interface HeardReport {
  broker: string;
  messages: number;
  dropped: Record<string, number>;
  proposals: Proposal[];
  more_proposals: number;
  amend: { id: string; subscription: string }[];
  failed: { topics: string[]; by: string; why: string }[];
  announced: {
    refused: { what: string; topic: string; why: string }[];
    more_refused: number;
    unheard: { topic: string; device: string | null }[];
    skipped: number;
  };
  topics: HeardTopic[];
}
export interface Discovery {
  at: Stamp;
  state: 'idle' | 'hearing' | 'done' | 'failed';
  began_at: Stamp | null;
  /** Of a hearing: when it will end by itself; else when it ended. */
  ends_at: Stamp | null;
  topics: number | null;
  messages: number | null;
  code: string | null;
  text: Text | null;
  report: HeardReport | null;
}

/** The most lines of one list that are shown: an old PC draws them at once. */
export const MOST = 100;

/** The filters in a field: between spaces and commas, also full-width ones. */
export const filtersOf = (typed: string): string[] => typed.split(/[\s,\uff0c\u3001]+/).filter((f) => f !== '');

/** How far a hearing is, from 0 to 1, and the seconds that are left, by the gateway's clock. */
export function progress(began: number, ends: number, now: number): { share: number; left: number } {
  const span = Math.max(1, ends - began);
  const share = Math.min(1, Math.max(0, (now - began) / span));
  return { share, left: Math.max(0, Math.ceil((ends - now) / 1000)) };
}

/** What a comment can hold: a device's own words must not end its line and go on as config. */
const inComment = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();

/** What stands above a device's entries, so that one finds it again in the config. */
function comment(d: HeardDevice): string {
  const values = Object.entries(d.values).map(([name, value]) => `${name} = ${value}`).concat(d.flags?.length ? [`flags: ${d.flags.join(', ')}`] : []);
  const name = d.label === null ? '' : `${d.label}: `;
  const more = d.topics.length > 1 ? ` + ${d.topics.length - 1}` : '';
  return `# ${inComment(`${name}${d.topics[0] ?? ''}${more}`)}\n${values.length > 0 ? `#     ${inComment(values.join(', '))}\n` : ''}`;
}

/** The lines for the config: the subscription, where there is none, and what it reads. */
export function configOf(p: Proposal): string {
  const devices = p.devices.map((d) => comment(d) + d.entries.map((e) => e.toml.trimEnd()).join('\n\n'));
  return [p.subscription_toml?.trimEnd(), ...devices].filter((part) => part !== undefined).join('\n\n') + '\n';
}

/** How many topics there are of each kind, in this order. */
export function tally(topics: HeardTopic[]): [HeardTopic['label'], number][] {
  const kinds = ['proposed', 'subscribed', 'read', 'unknown'] as const;
  return kinds.map((kind): [HeardTopic['label'], number] => [kind, topics.filter((t) => t.label === kind).length]).filter(([, n]) => n > 0);
}
