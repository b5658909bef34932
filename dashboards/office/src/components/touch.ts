// One finger drags the time along, two stretch it. A mouse is uPlot's own affair.

import type { Span } from '../lib/span';

export function touch(area: HTMLElement, now: () => Span, moving: (span: Span) => void, done: (span: Span) => void): () => void {
  const fingers = new Map<number, number>();
  let begin: { span: Span; xs: number[] } | null = null;
  let latest: Span | null = null;

  const restart = (): void => {
    begin = fingers.size > 0 ? { span: latest ?? now(), xs: [...fingers.values()] } : null;
  };
  const down = (e: PointerEvent): void => {
    if (e.pointerType !== 'touch') return;
    fingers.set(e.pointerId, e.clientX);
    area.setPointerCapture(e.pointerId);
    restart();
  };
  const move = (e: PointerEvent): void => {
    if (!fingers.has(e.pointerId) || begin === null) return;
    fingers.set(e.pointerId, e.clientX);
    const { left, width } = area.getBoundingClientRect();
    const { span, xs } = begin;
    const at = (x: number): number => span.from + ((x - left) / width) * (span.to - span.from);
    const [a0, b0] = [xs[0] ?? 0, xs[1]];
    const [a1 = a0, b1] = [...fingers.values()];
    if (b0 === undefined || b1 === undefined) {
      if (latest === null && Math.abs(a1 - a0) < 8) return;
      const by = at(a0) - at(a1);
      latest = { from: span.from + by, to: span.to + by };
    } else {
      // The times under the two fingers stay under them.
      const perPixel = Math.abs((at(b0) - at(a0)) / (b1 - a1 || 1));
      const [t0, x0] = [(at(a0) + at(b0)) / 2, (a1 + b1) / 2 - left];
      latest = { from: t0 - x0 * perPixel, to: t0 + (width - x0) * perPixel };
    }
    moving(latest);
  };
  const up = (e: PointerEvent): void => {
    if (!fingers.delete(e.pointerId)) return;
    restart();
    if (fingers.size > 0 || latest === null) return;
    const span = latest;
    latest = null;
    done(span);
  };
  const events: [string, (e: PointerEvent) => void][] = [['pointerdown', down], ['pointermove', move], ['pointerup', up], ['pointercancel', up]];
  for (const [name, handle] of events) area.addEventListener(name, handle as EventListener);
  return () => {
    for (const [name, handle] of events) area.removeEventListener(name, handle as EventListener);
  };
}
