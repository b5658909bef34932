// What this browser remembers. Storage may be switched off or full: then nothing is remembered, and nothing breaks.

const PREFIX = 'heyun.';

/** For good; only for as long as the window is open. */
const always = (): Storage => localStorage;
export const session = (): Storage => sessionStorage;

export function recall(key: string, where: () => Storage = always): string | null {
  try {
    return where().getItem(PREFIX + key);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string, where: () => Storage = always): void {
  try {
    where().setItem(PREFIX + key, value);
  } catch {
    // See above.
  }
}
