// What the benches need of the machine: the tools, servers on free ports, figures of a process, medians, and how busy the machine is with other things.
//
// Everything that is started here is stopped by its process id when the run ends, also when it ends badly; everything lies in one folder, which is removed.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';

const { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } = fs;

const living = new Set();
let folder = '';

/** What a part that failed has left running. */
export function stopAll() {
  for (const child of living) child.kill('SIGKILL');
}

function cleanUp() {
  stopAll();
  if (folder) rmSync(folder, { recursive: true, force: true });
  folder = '';
}
process.on('exit', cleanUp);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

export const say = (text) => process.stderr.write(`bench: ${text}\n`);

/** The program and the tools of a build folder, and a folder for data on the same disk. */
export function hostOf(build) {
  const root = path.resolve(build);
  folder = mkdtempSync(path.join(root, 'bench-data-'));
  const kind = fs.statfsSync?.(folder).type;                      // since Node.js 18.15
  return { weir: path.join(root, 'weir'), tool: (name) => path.join(root, 'bench', name), folder, memoryDisk: kind === 0x01021994 || kind === 0x858458f6 };
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function collect(child) {
  const text = { out: '', err: '' };
  child.stdout?.setEncoding('utf8').on('data', (more) => { text.out += more; });
  child.stderr?.setEncoding('utf8').on('data', (more) => { text.err += more; });
  return text;
}

/** Runs a tool to its end and gives what it printed. */
export function output(file, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'] });
    living.add(child);
    const text = collect(child);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      living.delete(child);
      if (code === 0) resolve(text.out);
      else reject(new Error(`${path.basename(file)} ${args.join(' ')} ended with ${code ?? signal}\n${text.err}`));
    });
  });
}

export const figures = async (file, args) => JSON.parse(await output(file, args));

/** Starts something that prints a line beginning with "ready" and runs until it is stopped. */
export async function running(file, args, { stdin = 'ignore' } = {}) {
  const child = spawn(file, args.map(String), { stdio: [stdin, 'pipe', 'pipe'] });
  living.add(child);
  const text = collect(child);
  const ended = new Promise((resolve) => child.on('close', (code, signal) => { living.delete(child); resolve(code ?? signal); }));
  const ready = await new Promise((resolve, reject) => {
    child.on('error', reject);
    ended.then((how) => reject(new Error(`${path.basename(file)} ended with ${how}\n${text.err}`)));
    child.stdout.on('data', () => { const line = /^ready (.*)\n/m.exec(text.out); if (line) resolve(line[1]); });
  });
  const stop = async () => {
    if (stdin === 'pipe') child.stdin.end();
    else child.kill('SIGTERM');
    const how = await ended;
    if (how !== 0) throw new Error(`${path.basename(file)} ended with ${how}\n${text.err}`);
  };
  return { pid: child.pid, ready, stop, text };
}

/** `weir serve` as `weir demo` has it: open access and no limits, but without the simulator in the process that is measured. */
export const serveArguments = (data) => ['serve', '--listen', '127.0.0.1:0', '--data', data, ...['log.access=off', 'log.level=error', 'diary.access=open', 'server.rate=0', 'server.principal_rate=0',
  'server.per_address=0'].flatMap((s) => ['--set', s])];

export async function serve(host, data) {
  const server = await running(host.weir, serveArguments(data));
  server.port = Number(new URL(server.ready).port);
  return server;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on('error', reject);
    probe.listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => resolve(port)); });
  });
}

const childrenOf = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/).filter(Boolean);

/** nginx as one would set it up to be quick: a worker a core, no access log, sendfile, the open file kept; `bodies` are its files. */
export async function nginx(host, bodies) {
  const at = path.join(host.folder, 'nginx');
  mkdirSync(path.join(at, 'www'), { recursive: true });
  for (const [name, bytes] of Object.entries(bodies)) writeFileSync(path.join(at, 'www', name), 'x'.repeat(bytes));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${at}/${name};`).join(' ');
  writeFileSync(path.join(at, 'nginx.conf'), `${process.getuid() === 0 ? 'user root;\n' : ''}worker_processes auto;
worker_rlimit_nofile 8192;
daemon off;
pid ${at}/pid;
error_log ${at}/error.log;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; server_tokens off; default_type application/json;
  keepalive_requests 1000000000; keepalive_timeout 600s; open_file_cache max=100 inactive=600s; open_file_cache_valid 600s;
  ${temporary}
  server { listen 127.0.0.1:${port}; root ${at}/www; }
}
`);
  const child = spawn('nginx', ['-p', at, '-c', path.join(at, 'nginx.conf'), '-e', path.join(at, 'error.log')], { stdio: ['ignore', 'ignore', 'pipe'] });
  living.add(child);
  const text = collect(child);
  const ended = new Promise((resolve) => { child.on('error', (e) => resolve(e.message)); child.on('close', (code, signal) => { living.delete(child); resolve(code ?? signal); }); });
  for (let tries = 0; ; tries++) {
    const how = await Promise.race([ended, pause(50)]);
    if (how !== undefined) throw new Error(`nginx ended with ${how}\n${text.err}`);
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/${Object.keys(bodies)[0]}`);
      await answer.arrayBuffer();
      if (answer.status === 200) break;
      throw new Error(`nginx answers ${answer.status}`);
    } catch (e) {
      if (tries > 100) throw e;
    }
  }
  return { port, pids: childrenOf(child.pid).join(','), stop: async () => { child.kill('SIGTERM'); await ended; } };
}

/** kB of a key in /proc/PID/smaps_rollup. */
export function memoryOf(pid, key) {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))[1]);
}

/** How many descriptors a process may have. */
export function descriptorLimit() {
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))[1];
  return hard === 'unlimited' ? Infinity : Number(hard);
}

const ticks = () => readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].trim().split(/\s+/).slice(1).map(Number);

/** What the machine is, and what it does besides us: the processor time that is neither idle nor that of our processes. */
export function machine() {
  const started = ticks();
  const model = os.cpus()[0]?.model ?? 'unknown processor';
  const text = `${os.cpus().length} cores (${model}), Linux ${os.release()}, Node.js ${process.version}`;
  return {
    text,
    load: () => os.loadavg().map((v) => v.toFixed(2)).join(' '),
    stolen: () => { const now = ticks().map((v, i) => v - started[i]); return 100 * (now[7] ?? 0) / now.reduce((a, b) => a + b, 0); },
  };
}

/** Share of one core that is busy while we do nothing. */
export async function otherWork() {
  const before = ticks();
  await pause(1000);
  const now = ticks().map((v, i) => v - before[i]);
  const sum = now.slice(0, 8).reduce((a, b) => a + b, 0);
  return 100 * (sum - now[3] - (now[4] ?? 0)) / sum;
}


export const corpusFiles = (root) => readdirSync(path.join(root, 'corpus')).filter((name) => name.endsWith('.tsv')).sort().map((name) => path.join(root, 'corpus', name));
