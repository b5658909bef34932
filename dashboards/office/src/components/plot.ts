// What uPlot is told, and what is painted beside its lines.

import uPlot from 'uplot';
import type { Drawn, Stretch } from '../lib/flow';
import { num } from '../lib/format';
import type { Span } from '../lib/span';

export interface Marks {
  /** A hard limit in the unit of the axis, with its name. */
  limit: { at: number; name: string } | null;
  /** When it began, as well as can be told. */
  start: { from: number; to: number; name: string } | null;
}

export interface Look {
  width: number;
  height: number;
  wall: (epochMs: number) => Date;
  marks: Marks;
  stretches: () => Stretch[];
  /** When there were readings that do not count. */
  ignored: () => number[];
  bars: boolean;
}

const css = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const two = (n: number): string => String(n).padStart(2, '0');

/** Labels of the time axis: the day where one begins, else the minute; months on long spans. */
function timeLabels(wall: Look['wall'], splits: number[], step: number): string[] {
  let shown = '';
  return splits.map((s) => {
    const d = wall(s * 1000);
    const day = `${two(d.getMonth() + 1)}-${two(d.getDate())}`;
    const year = String(d.getFullYear());
    if (step >= 28 * 86_400) return `${year}-${two(d.getMonth() + 1)}`;
    const [label, context] = step >= 86_400 ? [day, year] : [`${two(d.getHours())}:${two(d.getMinutes())}`, day];
    if (context === shown) return label;
    shown = context;
    return `${label}\n${context}`;
  });
}

function hatch(ctx: CanvasRenderingContext2D, x: number, y: number, w: number, h: number, colour: string, gap: number): void {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, w, h);
  ctx.clip();
  ctx.strokeStyle = colour;
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  for (let at = x - h - ((x - h) % gap); at < x + w; at += gap) {
    ctx.moveTo(at, y + h);
    ctx.lineTo(at + h, y);
  }
  ctx.stroke();
  ctx.restore();
}

/** Text that can be read on lines: with a rim of the ground's colour. */
function label(ctx: CanvasRenderingContext2D, text: string, x: number, y: number, colour: string): void {
  ctx.strokeStyle = css('--card');
  ctx.lineWidth = 4 * devicePixelRatio;
  ctx.lineJoin = 'round';
  ctx.setLineDash([]);
  ctx.strokeText(text, x, y);
  ctx.fillStyle = colour;
  ctx.fillText(text, x, y);
}

/** Behind the lines: what is not known, and the range of the start. */
function behind(u: uPlot, look: Look): void {
  const { ctx, bbox } = u;
  const band = (from: number, to: number): [number, number] => {
    const a = Math.max(bbox.left, u.valToPos(from / 1000, 'x', true));
    const b = Math.min(bbox.left + bbox.width, u.valToPos(to / 1000, 'x', true));
    return [a, Math.max(0, b - a)];
  };
  for (const s of look.stretches()) {
    const [x, w] = band(s.from, s.to);
    if (w <= 0) continue;
    // Too thin to see is not shown at all otherwise.
    const width = Math.max(w, 3 * devicePixelRatio);
    if (s.why === 'unknown' && width < 6 * devicePixelRatio) {
      ctx.save();
      ctx.fillStyle = css('--bad');
      ctx.fillRect(x, bbox.top, width, bbox.height);
      ctx.restore();
    } else if (s.why === 'unknown') {
      ctx.save();
      ctx.fillStyle = css('--bad-tint');
      ctx.fillRect(x, bbox.top, width, bbox.height);
      ctx.restore();
      hatch(ctx, x, bbox.top, width, bbox.height, css('--bad'), 8 * devicePixelRatio);
    } else {
      hatch(ctx, x, bbox.top, width, bbox.height, css('--line-strong'), 10 * devicePixelRatio);
    }
  }
  const start = look.marks.start;
  if (start) {
    const [x, w] = band(start.from, start.to);
    ctx.save();
    ctx.fillStyle = css('--start');
    ctx.fillRect(x, bbox.top, Math.max(w, 3 * devicePixelRatio), bbox.height);
    ctx.font = u.axes[0]?.font?.[0] ?? '12px sans-serif';
    const room = bbox.left + bbox.width - x;
    const text = ctx.measureText(start.name).width;
    ctx.textAlign = room > text + 20 ? 'left' : 'right';
    ctx.textBaseline = 'top';
    if (x <= bbox.left + bbox.width) label(ctx, start.name, x + (room > text + 20 ? 4 : -4) * devicePixelRatio, bbox.top + 4 * devicePixelRatio, css('--ink'));
    ctx.restore();
  }
}

/** A cross on the axis for each reading that does not count. */
function crosses(u: uPlot, look: Look): void {
  const { ctx, bbox } = u;
  const half = 4 * devicePixelRatio;
  const y = bbox.top + bbox.height - 2 * half;
  ctx.save();
  ctx.strokeStyle = css('--bad');
  ctx.lineWidth = 2 * devicePixelRatio;
  ctx.beginPath();
  for (const at of look.ignored()) {
    const x = u.valToPos(at / 1000, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.moveTo(x - half, y - half);
    ctx.lineTo(x + half, y + half);
    ctx.moveTo(x - half, y + half);
    ctx.lineTo(x + half, y - half);
  }
  ctx.stroke();
  ctx.restore();
}

/** Above the lines: the limit. */
function above(u: uPlot, look: Look): void {
  const limit = look.marks.limit;
  if (!limit || limit.at > (u.scales.y?.max ?? 0)) return;
  const { ctx, bbox } = u;
  const y = Math.round(u.valToPos(limit.at, 'y', true)) + 0.5;
  ctx.save();
  ctx.strokeStyle = css('--bad');
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.font = u.axes[0]?.font?.[0] ?? '12px sans-serif';
  ctx.textAlign = 'right';
  ctx.textBaseline = 'bottom';
  label(ctx, limit.name, bbox.left + bbox.width - 4 * devicePixelRatio, y - 3 * devicePixelRatio, css('--bad-ink'));
  ctx.restore();
}

export function plot(root: HTMLElement, drawn: Drawn, span: Span, look: Look, hooks: { hover: (atMs: number | null) => void; chosen: (span: Span) => void }): uPlot {
  const axis = { stroke: css('--soft'), grid: { stroke: css('--grid'), width: 1 }, ticks: { stroke: css('--grid'), width: 1 }, font: `12px ${css('--font')}` };
  const bars = look.bars ? uPlot.paths.bars?.({ size: [0.9, 80], align: 1 }) : undefined;
  const steps = look.bars ? undefined : uPlot.paths.stepped?.({ align: 1 });
  const series = (colour: string, fill: string, dash?: number[]): uPlot.Series => ({
    stroke: css(colour), fill: css(fill), width: 1.5, spanGaps: false, points: { show: false },
    ...(dash ? { dash } : {}), ...(bars ? { paths: bars } : {}), ...(steps ? { paths: steps } : {}),
  });
  const options: uPlot.Options = {
    width: look.width,
    height: look.height,
    legend: { show: false },
    tzDate: (seconds) => look.wall(seconds * 1000),
    cursor: {
      y: false,
      points: { show: false },
      drag: { x: true, y: false, setScale: false },
      // Going back is ours; uPlot would show all data.
      bind: { dblclick: () => null },
    },
    scales: {
      x: { time: true, auto: false, min: span.from / 1000, max: span.to / 1000 },
      y: {
        range: (_, __, max) => {
          const limit = look.marks.limit?.at ?? 0;
          const top = Math.max(max ?? 0, limit <= (max ?? 0) * 3 ? limit : 0);
          return [0, top > 0 ? top * 1.12 : 1];
        },
      },
    },
    axes: [
      { ...axis, space: 64, size: 44, values: (_, splits, __, ___, step) => timeLabels(look.wall, splits, step) },
      { ...axis, size: 58, values: (_, splits) => splits.map((v) => num(v, v % 1 === 0 ? 0 : 1)) },
    ],
    series: [{}, series('--accent', '--accent-tint'), series('--soft', '--hover', look.bars ? undefined : [5, 4])],
    hooks: {
      drawClear: [(u) => behind(u, look)],
      draw: [(u) => crosses(u, look), (u) => above(u, look)],
      setCursor: [(u) => hooks.hover(u.cursor.left === undefined || u.cursor.left < 0 ? null : u.posToVal(u.cursor.left, 'x') * 1000)],
      setSelect: [
        (u) => {
          const { left, width } = u.select;
          if (width < 6) return;
          hooks.chosen({ from: u.posToVal(left, 'x') * 1000, to: u.posToVal(left + width, 'x') * 1000 });
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
  return new uPlot(options, data(drawn), root);
}

export const data = (d: Drawn): uPlot.AlignedData => [d.xs, d.sure, d.rough];
