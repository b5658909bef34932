// Light, dark, or as the system has it.

import { flushSync } from 'svelte';
import { recall, remember } from './memory';

export type Theme = 'auto' | 'light' | 'dark';
const ORDER: Theme[] = ['auto', 'light', 'dark'];
const system = matchMedia('(prefers-color-scheme: dark)');

class Themes {
  chosen = $state<Theme>(ORDER.find((x) => x === recall('theme')) ?? 'auto');
  #systemDark = $state(system.matches);
  /** Paper is white, and a chart is painted before the printer sees it. */
  printing = $state(false);
  dark = $derived(!this.printing && (this.chosen === 'dark' || (this.chosen === 'auto' && this.#systemDark)));

  constructor() {
    system.addEventListener('change', (e) => (this.#systemDark = e.matches));
    const printing = (now: boolean) => (): void =>
      flushSync(() => {
        this.printing = now;
      });
    addEventListener('beforeprint', printing(true));
    addEventListener('afterprint', printing(false));
  }

  next(): void {
    this.chosen = ORDER[(ORDER.indexOf(this.chosen) + 1) % ORDER.length] ?? 'auto';
    remember('theme', this.chosen);
  }
}

export const theme = new Themes();
