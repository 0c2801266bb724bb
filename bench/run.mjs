// `make bench`: measures Weir against nginx, a bare SQLite loop and itself, and prints one table. docs/why/bench.md tells how it measures and what it does not.
//
//   node bench/run.mjs BUILD_FOLDER [--json FILE] [--only reads,posts,chat,idle,start,emotion,match] [--strict]
//
// Progress goes to standard error, the table to standard output. QUICK=1 measures in short windows (under three minutes) for a first look. Ends with 0 when everything could be measured,
// with 1 when something could not be; --strict: also when a target was missed.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostOf, machine, otherWork, pause, say, stopAll } from './host.mjs';
import * as parts from './parts.mjs';
import { Table } from './table.mjs';

const NAMES = ['reads', 'posts', 'chat', 'idle', 'start', 'emotion', 'match'];

function optionsOf(argv) {
  const options = { build: '', json: '', only: process.env.ONLY ? process.env.ONLY.split(',') : NAMES, strict: false };
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--json') options.json = argv[++i] ?? '';
    else if (argv[i] === '--only') options.only = (argv[++i] ?? '').split(',');
    else if (argv[i] === '--strict') options.strict = true;
    else if (!options.build && !argv[i].startsWith('-')) options.build = argv[i];
    else throw new Error(`there is no option ${argv[i]}`);
  }
  const unknown = options.only.filter((name) => !NAMES.includes(name));
  if (unknown.length) throw new Error(`there is no part ${unknown.join(', ')}: ${NAMES.join(', ')}`);
  if (!existsSync(path.join(options.build, 'weir'))) throw new Error('name a build folder with the program in it (make build)');
  return options;
}

async function main() {
  const options = optionsOf(process.argv.slice(2));
  const quick = Boolean(process.env.QUICK) && process.env.QUICK !== '0';
  const began = performance.now(), host = hostOf(options.build), box = machine(), loadBefore = box.load(), other = await otherWork();
  const run = { host, table: new Table(), quick, rounds: 5, window: quick ? 0.5 : 1.5, counters: {}, root: path.dirname(path.dirname(fileURLToPath(import.meta.url))) };
  say(`${box.text}; load ${loadBefore}; other work takes ${other.toFixed(0)} % of the processors`);
  if (host.memoryDisk) say('the build folder is in memory: durable posts say nothing here');
  const failed = [];
  for (const name of NAMES.filter((n) => options.only.includes(n))) {
    try {
      await parts[name](run);
    } catch (e) {
      say(`${name} could not be measured: ${e.stack ?? e}`);
      failed.push(name);
      stopAll();
      await pause(500);
    }
  }
  const loadAfter = box.load(), seconds = Math.round((performance.now() - began) / 1000), stolen = box.stolen();
  const missed = run.table.missed();
  process.stdout.write(`${box.text}
load ${loadBefore} at the start (other work: ${other.toFixed(0)} % of the processors), ${loadAfter} at the end; ${stolen.toFixed(1)} % stolen by the host; ${seconds} s${quick ? '; QUICK' : ''}${host.memoryDisk ? '; DATA IN MEMORY' : ''}
medians of ${run.rounds} interleaved rounds of ${run.window} s; a ratio is the median of the rounds' ratios

${run.table.text()}

${failed.length ? `NOT MEASURED: ${failed.join(', ')}; ` : ''}${missed.length ? `${missed.length} of the targets missed` : 'all targets reached'}${other > 20 ? '; the machine was busy with other things, so absolute figures are too low' : ''}
`);
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ machine: box.text, load_before: loadBefore, load_after: loadAfter, other_work_percent: other, stolen_percent: stolen, seconds, quick, failed, rows: run.table.rows }, null, 1)}\n`);
  process.exit(failed.length || (options.strict && missed.length) ? 1 : 0);
}

main().catch((e) => {
  process.stderr.write(`bench: ${e.stack ?? e}\n`);
  process.exit(1);
});
