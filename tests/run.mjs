// Runs the tests of one build folder and counts them: `node tests/run.mjs BUILD [--only REGEX]`.
//
// First what meson knows (unit tests, replays of the fuzzers' inputs, tidy), then the API tests (tests/api/*.test.mjs) by Node's own runner against BUILD/weir, then the pages in a browser
// (tests/browser/*.test.mjs), if there is one: `make browser` installs it.
// A cmocka program counts as many tests as it says it ran, everything else as one. --only takes meson tests by name, API files as "api-NAME" and browser files as "browser-NAME".
// The last line is always `N passed, N failed`; the exit code is 1 if anything failed or nothing ran at all.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const args = process.argv.slice(2);
const build = path.resolve(args.shift() ?? 'build-test');
let only = /^/;
while (args.length) {
  const flag = args.shift();
  if (flag !== '--only' || !args.length) {
    console.error('usage: node tests/run.mjs BUILD [--only REGEX]');
    process.exit(2);
  }
  only = new RegExp(args.shift());
}

const totals = { passed: 0, failed: 0, skipped: 0 };
const API_LIMIT_MS = 10 * 60 * 1000;

/** True while a process of the group lives; one that has ended and that nobody waited for (containers without an init) does not count. */
function groupLives(group) {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).some((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const [state, , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(pgrp) === group && state !== 'Z' && state !== 'X';
    } catch {
      return false;                                          // gone meanwhile
    }
  });
}

/** Runs a program; `capture` collects its standard output instead of showing it. A run past its limit is ended and counts as failed. With `group` it gets a
 * process group of its own, and what is left of that at the end is ended too: then `left` is true. */
function run(program, argv, { capture = false, env = process.env, limitMs = 0, group = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, argv, { cwd: root, env, stdio: ['ignore', capture ? 'pipe' : 'inherit', 'inherit'], detached: group });
    const signal = (name) => {
      try {
        process.kill(group ? -child.pid : child.pid, name);
      } catch {
        // nobody there
      }
    };
    let out = '';
    if (capture) child.stdout.setEncoding('utf8').on('data', (text) => { out += text; });
    const watch = limitMs ? setTimeout(() => { console.error(`${program}: longer than ${limitMs / 60000} minutes`); signal('SIGTERM'); }, limitMs) : null;
    const interrupted = () => {
      signal('SIGKILL');
      process.exit(130);
    };
    if (group) for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, interrupted);
    child.on('error', (error) => { console.error(`${program}: ${error.message}`); resolve({ code: 127, out, left: false }); });
    child.on('exit', async (code) => {
      clearTimeout(watch);
      let left = group && groupLives(child.pid);
      for (let i = 0; i < 30 && left; i++) {                 // what is just ending may take 3 s
        await new Promise((wake) => { setTimeout(wake, 100); });
        left = groupLives(child.pid);
      }
      if (left) signal('SIGKILL');
      if (group) for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeListener(name, interrupted);
      if (child.stdout && !child.stdout.readableEnded) child.stdout.once('close', () => resolve({ code: code ?? 1, out, left }));
      else resolve({ code: code ?? 1, out, left });
    });
  });
}

const sum = (text, pattern) => [...text.matchAll(pattern)].reduce((n, match) => n + Number(match[1]), 0);

/** Adds what one entry of meson's log tells. */
function count(entry) {
  const text = `${entry.stdout ?? ''}\n${entry.stderr ?? ''}`;
  const passed = sum(text, /\[ {2}PASSED {2}\] (\d+) test/g);
  const failed = sum(text, /\[ {2}FAILED {2}\] (\d+) test/g);
  const good = entry.result === 'OK' || entry.result === 'EXPECTEDFAIL';
  if (entry.result === 'SKIP') totals.skipped += 1;
  else if (good && failed === 0) totals.passed += passed || 1;
  else {
    totals.passed += passed;
    totals.failed += failed || 1;                            // a crash fails without saying so
  }
}

async function mesonTests() {
  const listed = await run('meson', ['introspect', '--tests', build], { capture: true });
  if (listed.code !== 0) {
    totals.failed += 1;
    return;
  }
  const names = JSON.parse(listed.out).map((test) => test.name).filter((name) => only.test(name));
  if (!names.length) return;
  const log = path.join(build, 'meson-logs', 'testlog.json');
  rmSync(log, { force: true });
  const slow = /\b(address|thread)\b/.test(options().join());
  const result = await run('meson', ['test', '-C', build, '--no-rebuild', '--print-errorlogs', '--timeout-multiplier', slow ? '6' : '2', ...names]);
  const before = totals.failed;
  const entries = existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line)) : [];
  entries.forEach(count);
  if (entries.length !== names.length || (result.code !== 0 && totals.failed === before)) {
    console.error(`meson: ${entries.length} of ${names.length} tests reported, exit code ${result.code}`);
    totals.failed += 1;
  }
}

/** The options a build folder was configured with. */
function options() {
  const file = path.join(build, 'meson-info', 'intro-buildoptions.json');
  if (!existsSync(file)) return [];
  return JSON.parse(readFileSync(file, 'utf8')).filter((option) => option.name === 'b_sanitize').map((option) => option.value);
}

/** The test files of tests/KIND that are asked for. */
function filesOf(kind) {
  const folder = path.join(root, 'tests', kind);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => name.endsWith('.test.mjs')).sort().filter((name) => only.test(`${kind}-${name.slice(0, -'.test.mjs'.length)}`)).map((name) => path.join(folder, name));
}

/** True if chromium is there and playwright-core, which drives it (tests/package.json). */
const browserThere = () => existsSync(process.env.CHROMIUM ?? '/usr/bin/chromium') && existsSync(path.join(root, 'tests', 'node_modules', 'playwright-core'));

async function nodeTests(files) {
  if (!files.length) return;
  const program = path.join(build, 'weir');
  if (!existsSync(program)) {
    console.error(`there are tests of the program but no ${program}`);
    totals.failed += 1;
    return;
  }
  const scratch = mkdtempSync(path.join(tmpdir(), 'weir-run-'));
  const tap = path.join(scratch, 'api.tap');
  const [major, minor] = process.versions.node.split('.').map(Number);
  const reporters = major > 19 || (major === 19 && minor >= 6) || (major === 18 && minor >= 15);
  const flags = reporters ? ['--test-reporter=spec', '--test-reporter-destination=stdout', '--test-reporter=tap', `--test-reporter-destination=${tap}`] : [];
  const env = { ...process.env, WEIR_TEST_PROGRAM: program };
  const result = await run(process.execPath, ['--test', ...flags, ...files], { capture: !reporters, env, limitMs: API_LIMIT_MS, group: true });
  if (!reporters) process.stdout.write(result.out);
  const text = reporters ? (existsSync(tap) ? readFileSync(tap, 'utf8') : '') : result.out;
  rmSync(scratch, { recursive: true, force: true });
  const told = (what) => sum(text, new RegExp(`^# ${what} (\\d+)$`, 'gm'));
  const failed = told('fail') + told('cancelled');
  totals.passed += told('pass');
  totals.skipped += told('skipped') + told('todo');
  if (result.left) {
    console.error('a test left processes behind; they were ended');
    totals.failed += 1;
  }
  totals.failed += failed || (result.code !== 0 || !/^# pass \d+$/m.test(text) ? 1 : 0);
}

await mesonTests();
await nodeTests(filesOf('api'));
if (browserThere()) await nodeTests(filesOf('browser'));
if (totals.skipped) console.log(`${totals.skipped} skipped`);
if (totals.passed + totals.failed === 0) console.error('no tests ran');
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);
