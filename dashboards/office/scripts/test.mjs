// Bundles tests/*.test.ts with the esbuild that Vite brings, and hands them to node's own runner.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = new URL('..', import.meta.url).pathname;
const out = mkdtempSync(join(tmpdir(), 'heyun-office-'));
const tests = readdirSync(`${root}tests`).filter((f) => f.endsWith('.test.ts')).map((f) => `${root}tests/${f}`);
await build({ entryPoints: tests, bundle: true, platform: 'node', format: 'esm', outdir: out, outExtension: { '.js': '.mjs' }, logLevel: 'error' });
const files = readdirSync(out).map((f) => join(out, f));
const { status } = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit', cwd: root });
rmSync(out, { recursive: true });
process.exit(status ?? 1);
