// The stretch of time that a chart shows, and how one moves it. Pure.

export interface Span {
  from: number;
  to: number;
}

export const DAY = 86_400_000;
export const PRESETS = { '24h': DAY, '7d': 7 * DAY, '30d': 30 * DAY, '1y': 365 * DAY } as const;
export type Preset = keyof typeof PRESETS;

/** Below this a meter says nothing more. */
const LEAST = 10 * 60_000;
/** What the gateway answers at once. */
const MOST = 400 * DAY;

/** Within what can be asked, and not beyond now. */
export function fit(span: Span, now: number): Span {
  const length = Math.min(MOST, Math.max(LEAST, span.to - span.from));
  const middle = (span.from + span.to) / 2;
  const to = Math.min(middle + length / 2, now);
  return { from: Math.round(to - length), to: Math.round(to) };
}

/** `part` of its length later; negative is earlier. */
export function pan(span: Span, part: number, now: number): Span {
  const by = (span.to - span.from) * part;
  return fit({ from: span.from + by, to: span.to + by }, now);
}

/** `factor` times as long around the same middle. */
export function zoom(span: Span, factor: number, now: number): Span {
  const [middle, half] = [(span.from + span.to) / 2, ((span.to - span.from) / 2) * factor];
  return fit({ from: middle - half, to: middle + half }, now);
}
