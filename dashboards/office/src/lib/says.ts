// The words of sensors: their flags, the names of their numbers, the units. What these pages have not heard of is shown as it is.

import type { Incident, Point } from './api';
import { type Key, t } from './i18n.svelte';
import { isWater } from './medium';

const FLAGS = [
  'leak', 'burst', 'wet', 'emergency', 'open', 'tamper', 'reverse', 'dry', 'battery_low', 'valve_fault', 'device_fault', 'no_answer', 'unknown_status',
];
const VALUES = ['room', 'outdoor', 'water', 'supply', 'return', 'setpoint', 'valve', 'position', 'battery', 'signal', 'total', 'flow', 'power', 'energy'];

export const flagWord = (code: string): string => (FLAGS.includes(code) ? t(`ui.flag.${code}` as Key) : code);
export const valueName = (name: string): string => (VALUES.includes(name) ? t(`ui.value.${name}` as Key) : name);
/** True if none of the points is one of water: it leaks all the same, but no water. */
const isDry = (points: string[], known: Map<string, Point>): boolean => points.length > 0 && points.every((key) => !isWater(known.get(key)?.medium ?? 'water'));
/** What an incident is about. */
export const causeWord = (i: Pick<Incident, 'cause' | 'points'>, known: Map<string, Point>): string =>
  t(i.cause === 'leak' && isDry(i.points, known) ? 'ui.cause.leak.dry' : `ui.cause.${i.cause}`);
/** How its notice begins. */
export const noticeHead = (i: Pick<Incident, 'cause' | 'points'>, dry: boolean, place: string): string =>
  t(i.cause === 'leak' && dry ? 'ui.notice.leak.dry' : `ui.notice.${i.cause}`, { place });
/** A bare number has none. */
export const unitWord = (unit: string): string => (unit === 'L' ? t('ui.unit.l') : unit === 'L/h' ? t('ui.unit.lph') : unit === '1' ? '' : unit);
