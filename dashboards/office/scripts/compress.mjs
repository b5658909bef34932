// Writes a .gz beside each file of dist, for a server that sends it as it lies.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url).pathname;
for (const entry of readdirSync(dist, { recursive: true })) {
  const file = dist + entry;
  if (statSync(file).isFile() && !file.endsWith('.gz')) writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
}
