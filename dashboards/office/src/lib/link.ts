// Whether what is on the screen can be believed. Pure: every function gets the time that it is, on a clock that never jumps.

/** How the page hears from the gateway. */
export interface Link {
  /** The newest sign of life: a live message or an answer. Null before the first. */
  heard: number | null;
  /** When something first failed with no sign of life since. */
  lost: number | null;
  /** The live stream is open. Where it is not, but answers come, the page asks at intervals. */
  open: boolean;
}

export type LinkState = 'starting' | 'live' | 'polling' | 'unsure' | 'stale';

/** A hiccup shorter than this is nobody's business. */
export const LOST_MS = 5_000;
/** Silence longer than this is a loss, even if nothing failed: health is asked for far more often. */
export const SILENT_MS = 40_000;

export const START: Link = { heard: null, lost: null, open: false };

export type LinkEvent = 'heard' | 'opened' | 'broken' | 'failed';

export function after(link: Link, event: LinkEvent, now: number): Link {
  switch (event) {
    case 'heard':
      return { ...link, heard: now, lost: null };
    case 'opened':
      return { heard: now, lost: null, open: true };
    case 'broken':
      // A stream that was not open is only refused again: whether the gateway is there, its answers tell.
      return { ...link, open: false, lost: link.open ? (link.lost ?? now) : link.lost };
    case 'failed':
      return { ...link, lost: link.lost ?? now };
  }
}

export function state(link: Link, now: number): LinkState {
  const silent = link.heard !== null && now - link.heard > SILENT_MS;
  if (silent || (link.lost !== null && now - link.lost > LOST_MS)) return 'stale';
  if (link.heard === null) return 'starting';
  if (link.lost !== null) return 'unsure';
  return link.open ? 'live' : 'polling';
}

/** Pause before try number `n` (from 0) to open the stream again: 1 s, doubled, 30 s at most. */
export const backOff = (n: number): number => Math.min(30_000, 1_000 * 2 ** Math.min(n, 5));
