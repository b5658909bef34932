// What a dial shows: typed by people in m³ or kWh, taken by the gateway in litres or kilowatt-hours. By text, never through a float. Pure.

import { isEnergy, type Medium } from './medium';

/** Full-width digits and points, as a Chinese keyboard gives them, made plain. */
const plain = (typed: string): string => typed.normalize('NFKC').replace(/\u3002/g, '.').trim();

/** Litres as text, of what somebody typed in m³; null where no dial shows that. A comma is refused: here it may stand for a point or for nothing. */
export function litresOf(typed: string): string | null {
  // The gateway counts in millilitres; a finer digit would have to be rounded.
  const found = /^0*(\d{1,9})(?:\.(\d{0,6}))?$/.exec(plain(typed));
  if (found === null) return null;
  const fine = (found[2] ?? '').padEnd(6, '0');
  const whole = `${found[1] ?? ''}${fine.slice(0, 3)}`.replace(/^0+(?=\d)/, '');
  const part = fine.slice(3).replace(/0+$/, '');
  return part === '' ? whole : `${whole}.${part}`;
}

/** Kilowatt-hours as text, of what somebody typed in kWh; null where no dial shows that. */
export function kilowattHoursOf(typed: string): string | null {
  // The gateway counts in watt-hours.
  const found = /^0*(\d{1,12})(?:\.(\d{0,3}))?$/.exec(plain(typed));
  if (found === null) return null;
  const part = (found[2] ?? '').replace(/0+$/, '');
  return part === '' ? (found[1] ?? '0') : `${found[1] ?? '0'}.${part}`;
}

/** Litres or kilowatt-hours as text, of what somebody typed as it stood on the dial. */
export const typedOf = (medium: Medium, typed: string): string | null => (isEnergy(medium) ? kilowattHoursOf(typed) : litresOf(typed));

/** Whole millilitres or watt-hours of litres or kilowatt-hours as they are written above: fifteen digits at most, which a number holds exactly. */
export function smallestOf(written: string): number {
  const [whole = '0', part = ''] = written.split('.');
  return Number(whole + part.padEnd(3, '0'));
}
