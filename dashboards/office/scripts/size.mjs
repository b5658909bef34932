// What / loads before anything is asked for, as it goes over the wire. Fails above the limit.
import { readFileSync, statSync } from 'node:fs';

const LIMIT = 150_000;
const dist = new URL('../dist/', import.meta.url).pathname;
const html = readFileSync(`${dist}index.html`, 'utf8');
const loaded = ['/index.html', ...[...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((m) => m[1])];
let sum = 0;
for (const path of loaded) {
  const { size } = statSync(`${dist}${path.slice(1)}.gz`);
  sum += size;
  console.log(`${String(size).padStart(7)} B  ${path}`);
}
console.log(`${String(sum).padStart(7)} B  first page, gzip; at most ${LIMIT} B`);
if (sum > LIMIT) process.exit(1);
