// The words of sensors: their flags, the names of their numbers, the units. What these pages have not heard of is shown as it is.

import { type Key, t } from './i18n.svelte';

const FLAGS = [
  'leak', 'burst', 'wet', 'emergency', 'open', 'tamper', 'reverse', 'dry', 'battery_low', 'valve_fault', 'device_fault', 'no_answer', 'unknown_status',
];
const VALUES = ['room', 'water', 'supply', 'return', 'setpoint', 'valve', 'position', 'battery', 'signal', 'total', 'flow', 'power', 'energy'];

export const flagWord = (code: string): string => (FLAGS.includes(code) ? t(`ui.flag.${code}` as Key) : code);
export const valueName = (name: string): string => (VALUES.includes(name) ? t(`ui.value.${name}` as Key) : name);
/** A bare number has none. */
export const unitWord = (unit: string): string => (unit === 'L' ? t('ui.unit.l') : unit === 'L/h' ? t('ui.unit.lph') : unit === '1' ? '' : unit);
