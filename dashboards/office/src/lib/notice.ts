// What is said of an incident to the people who must act: on the page, and as the text to pass on.

import type { IncidentFile } from './api';
import { figures, num, when } from './format';
import { type Key, said, t } from './i18n.svelte';
import { isWater } from './medium';
import { noticeHead } from './says';
import type { Scene } from './sensor';

const KNOWN = [
  'meter_silent', 'meter_reset', 'meter_jump', 'meter_battery', 'emergency_call', 'access_open',
  'air_lock', 'stuck_shut', 'stuck_open', 'sensor_dead', 'room_cold', 'frost_risk',
];

/** What to do first, in order: by the newest finding's code. */
export function firstSteps(file: IncidentFile, { point, valve, home }: Scene): string[] {
  const code = file.findings[file.findings.length - 1]?.code ?? '';
  const sensor = point?.kind === 'sensor';
  const shut = (): string[] => (valve === null ? [] : [
    valve.key_holder === null ? t('ui.steps.leak.valve', { place: valve.place }) : t('ui.steps.leak.valve.key', { place: valve.place, key: valve.key_holder }),
    valve.may_close === null ? t('ui.steps.leak.close') : t('ui.steps.leak.close.who', { who: valve.may_close }),
  ]);
  if (file.cause === 'leak' && sensor) {
    const steps = [t('ui.steps.leak_wet.go'), ...(valve === null ? [t('ui.steps.leak_wet.novalve')] : shut())];
    if (home !== null) steps.push(t('ui.steps.leak_wet.call', { place: home }));
    return [...steps, t('ui.steps.leak_wet.dry')];
  }
  // Of gas, or of a heating circuit: its device says so.
  if (file.cause === 'leak' && !isWater(point?.medium ?? 'water')) {
    return [t(point?.medium === 'gas' ? 'ui.steps.leak_other.gas' : 'ui.steps.leak_other.look'), ...shut().slice(0, 1)];
  }
  if (file.cause === 'leak') {
    const look = point?.kind === 'sub' ? 'ui.steps.leak.household' : point?.kind === 'make_up' ? 'ui.steps.leak.makeup' : 'ui.steps.leak.bulk';
    const steps = [t(look), ...(valve === null ? [t('ui.steps.leak.novalve')] : shut())];
    steps.push(t('ui.steps.leak.repair', { who: t(`ui.responsible.${point?.responsible ?? 'owners'}`) }));
    return steps;
  }
  const known = sensor && code === 'meter_silent' ? 'sensor_silent' : KNOWN.includes(code) ? code : sensor ? 'sensor_other' : 'other';
  return ([1, 2] as const).map((n) => t(`ui.steps.${known}.${n}` as Key));
}

/** The start range in words, in parts that should not be broken. */
export function startWords(file: IncidentFile, now: string): string[] {
  const { earliest, latest } = file.start;
  if (earliest === latest) return [when(latest, now)];
  return [t('ui.start.earliest', { time: when(earliest, now) }), t('ui.start.latest', { time: when(latest, now) })];
}

/** The text to pass on: place, flow, since when, tonnes so far, what to do first. Suffices without a tap. */
export function noticeText(file: IncidentFile, scene: Scene, now: string): string {
  const dry = !isWater(scene.point?.medium ?? 'water');
  const lines = [noticeHead(file, dry, file.place.join(' ') || file.points.join(', '))];
  if (file.headline) lines.push(said(file.headline));
  const w = file.water;
  if (w && w.litres_per_minute !== null) lines.push(t('ui.notice.flow', { n: figures(w.litres_per_minute, 1) }));
  lines.push(t('ui.notice.since', { start: startWords(file, now).join(t('ui.start.and')) }));
  if (w && w.tonnes !== null) lines.push(t('ui.notice.tonnes', { n: figures(w.tonnes) }) + (w.yuan === null ? '' : t('ui.leak.yuan', { n: num(w.yuan) })));
  lines.push(t('ui.notice.steps'), ...firstSteps(file, scene).map((s, i) => `${i + 1}. ${s}`));
  if (file.accepted) lines.push(t('ui.leak.accepted', { by: file.accepted.by }));
  lines.push(t('ui.notice.at', { time: when(now, '0000'), id: file.id }));
  return lines.join('\n');
}
