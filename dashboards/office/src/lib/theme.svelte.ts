// Light, dark, or as the system has it.

import { recall, remember } from './memory';

export type Theme = 'auto' | 'light' | 'dark';
const ORDER: Theme[] = ['auto', 'light', 'dark'];
const system = matchMedia('(prefers-color-scheme: dark)');

class Themes {
  chosen = $state<Theme>(ORDER.find((x) => x === recall('theme')) ?? 'auto');
  #systemDark = $state(system.matches);
  dark = $derived(this.chosen === 'dark' || (this.chosen === 'auto' && this.#systemDark));

  constructor() {
    system.addEventListener('change', (e) => (this.#systemDark = e.matches));
  }

  next(): void {
    this.chosen = ORDER[(ORDER.indexOf(this.chosen) + 1) % ORDER.length] ?? 'auto';
    remember('theme', this.chosen);
  }
}

export const theme = new Themes();
