// A Weir for a test: the real program on a free port with a folder of its own, ended by its pid.
//
// startDemo and startServe give a server with an HTTP client on it (client.mjs); startSandbox gives WeChat alone. Every server runs with debug.rehearse, so each write handler is run twice and must answer
// the same; without rate limits, since a test's hundred users share one address. stop() is a test too: the exit code must be 0 and the error output free of bugs and of what sanitizers say.
// The program is WEIR_BIN, else WEIR_TEST_PROGRAM (tests/run.mjs sets it), else build-test/weir. What a test file forgot to stop ends with its process.
import { spawn, spawnSync } from 'node:child_process';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { after } from 'node:test';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { clientOf } from './client.mjs';
import { notice } from './coverage.mjs';

export const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
export const program = path.resolve(process.env.WEIR_BIN ?? process.env.WEIR_TEST_PROGRAM ?? path.join(root, 'build-test', 'weir'));

export const APPID = 'wx1234567890abcdef';
export const SECRET = 'sandbox-secret';

const READY_MS = 60_000;                                       // sanitizer builds on a busy machine
const STOP_MS = 60_000;
const TROUBLE = /\bbug\b|runtime error:|Sanitizer|rehearsal|stack smashing|double free|corrupt/;
const LEFT_MS = 20_000;
const living = new Set(), folders = new Set();
const end = () => { for (const child of living) child.kill('SIGKILL'); };
process.on('exit', () => { end(); for (const folder of folders) rmSync(folder, { recursive: true, force: true }); });
after(() => { setTimeout(end, LEFT_MS).unref(); });            // of a test that failed before its stop(): its sockets would keep this process for ever

/** The environment for the program: without settings that the caller's shell may have. */
function environment() {
  const env = { ...process.env };
  for (const name of Object.keys(env)) if (name.startsWith('WEIR_')) delete env[name];
  return env;
}

/** A new folder, removed when this process ends. */
export function temporaryFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'weir-test-'));
  folders.add(folder);
  return folder;
}

/** Runs `weir ARGS` to its end: { status, out, err }. */
export function runWeir(args, { input = '', env = {} } = {}) {
  const done = spawnSync(program, args, { input, encoding: 'utf8', maxBuffer: 1 << 28, timeout: READY_MS, env: { ...environment(), ...env } });
  return { status: done.status, signal: done.signal, out: done.stdout, err: done.stderr };
}

/** Starts `weir ARGS` and waits for its line "ready URL [sandbox URL]". */
async function start(args, folder, owned, env = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...environment(), ...env } });
  living.add(child);
  const weir = { child, pid: child.pid, folder, url: '', port: 0, sandbox: '', out: '', err: '' };
  const closed = new Promise((resolve) => child.on('close', (code, signal) => { living.delete(child); resolve({ code, signal }); }));
  const remove = () => { if (owned) rmSync(folder, { recursive: true, force: true }); };
  child.stderr.setEncoding('utf8').on('data', (text) => { weir.err += text; });
  await new Promise((resolve, reject) => {
    const watch = setTimeout(() => { child.kill('SIGKILL'); reject(new Error(`weir ${args[0]} is not ready after ${READY_MS} ms\n${weir.err}`)); }, READY_MS);
    closed.then(({ code, signal }) => {
      clearTimeout(watch);
      remove();
      reject(new Error(`weir ${args[0]} ended with ${code ?? signal}\n${weir.err}`));
    });
    child.on('error', reject);
    child.stdout.setEncoding('utf8').on('data', (text) => {
      weir.out += text;
      const ready = /^ready (\S+)(?: sandbox (\S+))?\n/m.exec(weir.out);
      if (!ready) return;
      clearTimeout(watch);
      weir.url = ready[1];
      weir.port = Number(new URL(weir.url).port);
      weir.sandbox = ready[2] ?? '';
      resolve();
    });
  });
  weir.closed = closed;
  weir.running = () => child.exitCode === null && child.signalCode === null;
  /** Ends it (SIGTERM: it drains), checks how it ended and removes its folder unless `keep`. `unclean`: it is meant to end badly. */
  weir.stop = async ({ signal = 'SIGTERM', keep = false, unclean = signal === 'SIGKILL' } = {}) => {
    await weir.finish?.();
    if (weir.running()) child.kill(signal);
    const watch = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    const ended = await closed;
    clearTimeout(watch);
    if (!keep) remove();
    if (!unclean) {
      assert.equal(ended.signal ?? ended.code, 0, `weir ${args[0]} ended with ${ended.signal ?? ended.code}\n${weir.err.slice(-4000)}`);
      assert.doesNotMatch(weir.err.replace(/^\S+ \S+ \S+ .* \d{3} \d+ .*$/gm, ''), TROUBLE, 'its error output');
    }
    return ended;
  };
  return weir;
}

const assignments = (settings) => Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);

async function server(kind, args, settings, folder, owned, env) {
  const all = { 'debug.rehearse': 'true', 'server.rate': '0', 'server.principal_rate': '0', 'log.access': 'off', ...settings };
  const weir = await start([kind, ...args, '--data', folder, '--debug-routes', ...assignments(all)], folder, owned, env);
  Object.assign(weir, clientOf(weir));
  await notice(weir);                                          // which commands are called from here on
  return weir;
}

const folderOf = (folder) => [folder ?? temporaryFolder(), !folder];

/** `weir demo`: server and sandbox in one process, with the debug routes. settings: { 'server.cors': '*' }. A given folder is not removed. */
export function startDemo(settings = {}, { folder } = {}) {
  const [data, owned] = folderOf(folder);
  return server('demo', ['--port', '0'], settings, data, owned);
}

/** `weir serve`; with `wechat`, a sandbox that plays WeChat for it. args: further flags; env: settings in the environment. */
export function startServe(settings = {}, { folder, wechat, args = [], env } = {}) {
  const [data, owned] = folderOf(folder);
  const by = wechat ? { 'wechat.api_url': wechat.url, 'wechat.appid': APPID, 'wechat.secret': SECRET } : {};
  return server('serve', ['--listen', '127.0.0.1:0', ...args], { ...by, ...settings }, data, owned, env);
}

/** `weir sandbox` alone. */
export async function startSandbox() {
  const weir = await start(['sandbox', '--port', '0', '--seed', '1'], '', false);
  weir.sandbox = weir.url;
  return Object.assign(weir, clientOf(weir));
}
