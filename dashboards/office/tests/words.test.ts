import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

/** Every file of the pages, as one text. The runner starts in dashboards/office. */
const source = (readdirSync('src', { recursive: true }) as string[])
  .filter((f) => /\.(ts|svelte)$/.test(f))
  .map((f) => readFileSync(`src/${f}`, 'utf8'))
  .concat(readFileSync('index.html', 'utf8'))
  .join('\n');
const keys = Object.keys(JSON.parse(readFileSync('../../glossary.json', 'utf8')) as object).filter((k) => k.startsWith('ui.'));

test('no word of the pages is left over', () => {
  // `ui.state.${mark}` uses all below it.
  const below = [...source.matchAll(/`(ui\.[\w.]+\.)\$\{/g)].map((m) => m[1] as string);
  const unused = keys.map((k) => k.replace(/\.one$/, '')).filter((k) => !new RegExp(`['%]${k.replace(/\./g, '\\.')}['%]`).test(source) && !below.some((b) => k.startsWith(b)));
  assert.deepEqual(unused, []);
});
