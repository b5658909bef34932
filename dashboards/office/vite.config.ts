import { readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

const GLOSSARY = new URL('../../glossary.json', import.meta.url);

/** The pages' part of the one glossary, as `virtual:glossary`; `%ui.key%` in index.html is said in both languages. */
function glossary(): Plugin {
  const file = GLOSSARY.pathname;
  const read = (): [string, { zh: string; en: string }][] =>
    Object.entries<{ zh: string; en: string }>(JSON.parse(readFileSync(file, 'utf8'))).filter(([key]) => key.startsWith('ui.'));
  return {
    name: 'glossary',
    resolveId: (id) => (id === 'virtual:glossary' ? '\0glossary' : undefined),
    load(id) {
      if (id !== '\0glossary') return undefined;
      this.addWatchFile(file);
      return `export default ${JSON.stringify(Object.fromEntries(read()))}`;
    },
    transformIndexHtml: (html) => {
      const texts = new Map(read());
      return html.replace(/%(ui\.[\w.]+)%/g, (_, key) => {
        const text = texts.get(key);
        if (!text) throw new Error(`index.html: ${key} is not in glossary.json`);
        return `${text.zh} ${text.en}`;
      });
    },
  };
}

export default defineConfig({
  plugins: [glossary(), svelte()],
  build: {
    target: 'chrome88',
    // A data: URL is not let in by the daemon's Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { '^/(api|healthz)': { target: process.env.HEYUN ?? 'http://127.0.0.1:8480' } },
  },
});
