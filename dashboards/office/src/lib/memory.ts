// What this browser remembers. Storage may be switched off or full: then nothing is remembered, and nothing breaks.

const PREFIX = 'heyun.';

export function recall(key: string): string | null {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // See above.
  }
}
