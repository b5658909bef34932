// What a dial shows: typed by people in m³, taken by the gateway in litres. By text, never through a float. Pure.

/** Litres as text, of what somebody typed in m³; null where no dial shows that. A comma is refused: here it may stand for a point or for nothing. */
export function litresOf(typed: string): string | null {
  // Full-width digits and points, as a Chinese keyboard gives them.
  const plain = typed.normalize('NFKC').replace(/\u3002/g, '.').trim();
  // The gateway counts in millilitres; a finer digit would have to be rounded.
  const found = /^0*(\d{1,9})(?:\.(\d{0,6}))?$/.exec(plain);
  if (found === null) return null;
  const fine = (found[2] ?? '').padEnd(6, '0');
  const whole = `${found[1] ?? ''}${fine.slice(0, 3)}`.replace(/^0+(?=\d)/, '');
  const part = fine.slice(3).replace(/0+$/, '');
  return part === '' ? whole : `${whole}.${part}`;
}

/** Whole millilitres of litres as `litresOf` writes them: fifteen digits at most, which a number holds exactly. */
export function millilitresOf(litres: string): number {
  const [whole = '0', part = ''] = litres.split('.');
  return Number(whole + part.padEnd(3, '0'));
}
