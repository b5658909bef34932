// Looks in dist for what Chrome 88 does not have. esbuild lowers syntax (target chrome88); calls and CSS it leaves as they are.
import { readdirSync, readFileSync } from 'node:fs';

const SCRIPT = [
  [/\.at\(/, 'Array.at (92)'], [/\bstructuredClone\(/, 'structuredClone (98)'], [/\bObject\.hasOwn\b/, 'Object.hasOwn (93)'],
  [/\.findLast(Index)?\(/, 'findLast (97)'], [/\.to(Sorted|Reversed|Spliced)\(/, 'copying array methods (110)'], [/\bObject\.groupBy\b/, 'groupBy (117)'],
  [/\bAbortSignal\.(timeout|any)\b/, 'AbortSignal.timeout (103)'], [/\bPromise\.withResolvers\b/, 'withResolvers (119)'],
  [/\bcrypto\.randomUUID\b/, 'randomUUID (92)'], [/\.replaceChildren\b\.call/, 'replaceChildren'], [/\bstatic\s*\{/, 'static blocks (94)'],
];
const STYLE = [
  [/:has\(/, ':has() (105)'], [/color-mix\(/, 'color-mix (111)'], [/\d(d|s|l)v(h|w)\b/, 'dvh (108)'], [/@container\b/, 'container queries (105)'],
  [/@layer\b/, '@layer (99)'], [/[{;]\s*&/, 'nesting (112)'], [/\binset-inline\b|\baccent-color\b/, 'inset-inline (87)/accent-color (93)'],
];
const PAGE = [[/\sstyle="/, 'inline style: the Content-Security-Policy refuses it'], [/<script(?![^>]*\ssrc=)[^>]*>/, 'inline script'], [/https?:\/\//, 'another host']];
const EVERYWHERE = [[/url\(["']?data:/, 'data: URL: the Content-Security-Policy refuses it'], [/(?:src|href)=["']https?:/, 'another host']];

const dist = new URL('../dist/', import.meta.url).pathname;
let bad = 0;
for (const entry of readdirSync(dist, { recursive: true })) {
  const rules = entry.endsWith('.js') ? SCRIPT : entry.endsWith('.css') ? STYLE : entry.endsWith('.html') ? PAGE : null;
  if (rules === null) continue;
  const text = readFileSync(dist + entry, 'utf8');
  for (const [pattern, what] of [...rules, ...EVERYWHERE]) {
    const hit = pattern.exec(text);
    if (hit === null) continue;
    bad += 1;
    console.error(`${entry}: ${what}: …${text.slice(Math.max(0, hit.index - 60), hit.index + 60)}…`);
  }
}
console.log(bad === 0 ? 'nothing in dist is newer than Chrome 88' : `${bad} findings`);
process.exit(bad === 0 ? 0 : 1);
