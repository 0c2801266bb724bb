// Which commands the suite has called with success, whatever client it used: counted by the servers themselves (/metrics), as the difference between their start and their stop.
//
// Each test file runs in a process of its own, so each leaves what it saw in a folder that belongs to the run, and the file that ends last looks whether any command of the table was left out;
// if so, it fails. A run of some files only proves nothing and is not judged. Pages, debug routes and deferred jobs are not asked for.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { program } from './weir.mjs';

const seen = new Set();
const folder = path.join(path.dirname(path.dirname(fileURLToPath(import.meta.url))), 'api');
const own = path.basename(process.argv[1] ?? '');

/** The runner that started this file, as "PID-STARTTIME"; empty if it was started by hand. */
function runner() {
  try {
    if (!readFileSync(`/proc/${process.ppid}/cmdline`, 'utf8').split('\0').includes('--test')) return '';
    return `${process.ppid}-${readFileSync(`/proc/${process.ppid}/stat`, 'utf8').split(') ').pop().split(' ')[19]}`;
  } catch {
    return '';
  }
}

async function counts(weir) {
  const { text } = await weir.plain('GET', '/metrics');
  const found = new Map();
  for (const [, command, n] of text.matchAll(/^weir_requests_total\{command="([^"]+)",status="2xx"\} (\d+)$/gm)) found.set(command, Number(n));
  return found;
}

/** From now on this server's calls count; they are read when it is stopped. */
export async function notice(weir) {
  const before = await counts(weir);
  weir.finish = async () => {
    weir.finish = async () => {};
    if (weir.running()) {
      const after = await counts(weir).catch(() => new Map());   // it may be meant to be out of order
      for (const [command, n] of after) if (n > (before.get(command) ?? 0)) seen.add(command);
    }
    weir.quit();
  };
}

function missing(all) {
  const rows = JSON.parse(execFileSync(program, ['routes', '--json'], { encoding: 'utf8', maxBuffer: 1 << 26 }));
  return rows.filter((row) => row.kind !== 'job' && !row.debug && !row.name.startsWith('diary.page.')).map((row) => row.name)
    .filter((name) => !all.has(name) && !(rows.find((row) => row.name === name).channel && all.has(rows.find((row) => row.name === name).channel)));
}

process.on('exit', (code) => {
  const run = runner();
  if (!run || !own.endsWith('.test.mjs') || code !== 0) return;
  const place = path.join(tmpdir(), `weir-covered-${run}`);
  for (const old of readdirSync(tmpdir())) {                   // of runs that are over
    const pid = /^weir-covered-(\d+)-/.exec(old)?.[1];
    if (pid && !existsSync(`/proc/${pid}`)) rmSync(path.join(tmpdir(), old), { recursive: true, force: true });
  }
  mkdirSync(place, { recursive: true });
  writeFileSync(path.join(place, own), JSON.stringify([...seen]));
  const files = readdirSync(folder).filter((name) => name.endsWith('.test.mjs') && readFileSync(path.join(folder, name), 'utf8').includes('/lib/'));
  if (!files.every((name) => existsSync(path.join(place, name)))) return;
  const left = missing(new Set(files.flatMap((name) => JSON.parse(readFileSync(path.join(place, name), 'utf8')))));
  rmSync(place, { recursive: true, force: true });
  if (!left.length) return;
  console.error(`no test called with success: ${left.join(', ')}`);
  process.exitCode = 1;
});
