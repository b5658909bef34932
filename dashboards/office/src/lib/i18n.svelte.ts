// The reader's language. Every word of the pages comes from glossary.json.

import texts from 'virtual:glossary';
import type glossary from '../../../../glossary.json';
import type { Stamp, Text } from './api';
import { ApiError } from './api';
import { age, ms } from './format';
import { recall, remember } from './memory';

/** A key of the glossary; one that is not there does not compile. */
export type Key = Extract<keyof typeof glossary, `ui.${string}`>;
export type Lang = 'zh' | 'en';

class Language {
  now = $state<Lang>(recall('lang') === 'en' ? 'en' : 'zh');

  toggle(): void {
    this.now = this.now === 'zh' ? 'en' : 'zh';
    remember('lang', this.now);
  }
}

export const lang = new Language();

/** The words under `key`; of one thing (`n` is 1) those under `key.one`, where there are any. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const one = values.n === 1 ? texts[`${key}.one`] : undefined;
  return said(one ?? texts[key] ?? { zh: key, en: key }).replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** A sentence of the gateway in the reader's language. */
export const said = (text: Text): string => text[lang.now];

/** `3 minutes ago` by the gateway's clock. */
export function ago(stamp: Stamp, nowMs: number): string {
  const { unit, n } = age(nowMs - ms(stamp));
  return unit === 'seconds' && n < 10 ? t('ui.ago.now') : t(`ui.ago.${unit}`, { n });
}

/** A span in words. */
export function lasting(spanMs: number): string {
  const { unit, n } = age(spanMs);
  return t(`ui.span.${unit}`, { n });
}

/** Why a request failed, in words. */
export function failure(error: unknown): string {
  if (!(error instanceof ApiError)) return t('ui.error.page');
  if (error.problem) return said(error.problem.message);
  return error.status === 0 ? t('ui.error.unreachable') : t('ui.error.status', { status: error.status });
}
