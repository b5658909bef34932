// Why a message was refused, by its code. A code that these pages have not heard of is shown as it is.

import type { Counts } from './api';
import { type Key, t } from './i18n.svelte';

const KNOWN = [
  'size', 'utf8', 'json', 'missing', 'number', 'unit', 'range', 'time_syntax', 'time_old', 'time_ahead', 'retained', 'frame', 'no_reading', 'topic',
  'conflict', 'sources', 'columns',
];

export const reason = (code: string): string => (KNOWN.includes(code) ? t(`ui.reason.${code}` as Key) : code);

/** Refused messages that somebody should look at: that a device is there, or has gone, is no reading and no fault. */
export const faulty = (counts: Counts): boolean => counts.rejected_total > (counts.rejected.no_reading ?? 0);
