// The measurements of `make bench`, one function a part. Each takes the run ({ host, table, quick, rounds, … }) and adds its rows to the table.
//
// The rule for ratios: both sides are measured in the same rounds, one right after the other, in an order that turns from round to round; the ratio is the median of the rounds' ratios, so
// that what the machine does besides hits both. Absolute figures are medians of the rounds.
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { corpusFiles, descriptorLimit, figures, median, memoryOf, nginx, output, pause, running, say, serve, serveArguments } from './host.mjs';

export const USERS = 2000;
const DIARIES = 10;
const STRANGERS = 900_000;                                         /* one for each post of a part that uses them up */
const FIRST_DIARY = 1_000_001;
const HOLE = '########';

const us = (value) => (value >= 10_000 ? `${(value / 1000).toFixed(1)} ms` : value >= 1000 ? `${(value / 1000).toFixed(2)} ms` : `${Math.round(value)} us`);
const latency = (rounds) => `p50 ${us(median(rounds.map((r) => r.p50_us)))}, p99 ${us(median(rounds.map((r) => r.p99_us)))}`;
const of = (rounds, key) => median(rounds.map((r) => r[key]));
const ratio = (ours, theirs, key, theirKey = key) => median(ours.map((r, i) => r[key] / theirs[i][theirKey]));
const turned = (list, round) => (round % 2 ? [...list].reverse() : list);

/** Measures every case once a round, in turning order: { name: [figures of round 1, …] }. */
async function interleaved(run, what, cases) {
  const all = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let round = 0; round < run.rounds; round++) {
    say(`${what}: round ${round + 1} of ${run.rounds}`);
    for (const name of turned(Object.keys(cases), round)) all[name].push(await cases[name](round));
  }
  return all;
}

/* ---- files ---- */

const requestFile = (file, requests) => writeFileSync(file, requests.map((r) => `${Buffer.byteLength(r)}\n${r}`).join(''));
const get = (target) => `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;

function post(target, pairs) {
  const body = pairs.map(([name, value]) => `${name}=${value}`).join('&');
  return `POST ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** The corpus: [{ code, title, content }], contents of at most 200 characters. */
export function corpus(root) {
  const rows = corpusFiles(root).flatMap((file) => readFileSync(file, 'utf8').split('\n')).map((line) => line.split('\t')).filter((row) => row.length === 3 && /^[0-7]$/.test(row[0]));
  return rows.map(([code, title, content]) => ({ code: Number(code), title, content: content.slice(0, 200) })).filter((text) => text.content);
}

const openId = (prefix, n, digits) => prefix + String(n).padStart(digits, '0');
const userId = (n) => openId('u', n, 7);

/** A data folder with its migrated, empty database, filled by `rows`. */
async function seeded(run, name, args) {
  const data = path.join(run.host.folder, name);
  mkdirSync(data);
  await (await serve(run.host, data)).stop();
  await output(run.host.tool('rows'), [...args, '--db', path.join(data, 'weir.db')]);
  return data;
}

/** The folder that most parts work on: USERS people in pairs with ten diaries each, and strangers. */
async function mainData(run) {
  if (run.data) return run.data;
  say('seeding');
  run.texts = corpus(run.root);
  run.textFile = path.join(run.host.folder, 'texts');
  writeFileSync(run.textFile, run.texts.map((t) => `${t.title}\t${t.content}${HOLE}\n`).join(''));
  const file = (name, requests) => { requestFile(path.join(run.host.folder, name), requests); return path.join(run.host.folder, name); };
  const some = Array.from({ length: USERS }, (_, i) => (i * 7919) % USERS);
  run.requests = {
    diary: file('get_diary', some.map((n) => get(`/matching/get_diary_action/?diaryId=${FIRST_DIARY + n}`))),
    user: file('get_user', some.map((n) => get(`/matching/get_user_action/?openId=${userId(n)}`))),
    nginx: Object.fromEntries(READS.map(({ what }) => [what, file(`nginx_${what}`, [get(`/${what}`)])])),
    paired: file('post_paired', some.map((n, i) => emotionPost(userId(n), run.texts[i % run.texts.length]))),
    strangers: file('post_strangers', run.texts.map((t) => emotionPost(`s${HOLE}`, t))),
  };
  run.data = await seeded(run, 'data', ['seed', '--texts', run.textFile, '--users', USERS, '--diaries', DIARIES, '--strangers', STRANGERS]);
  run.pristine = path.join(run.host.folder, 'pristine.db');
  copyFileSync(path.join(run.data, 'weir.db'), run.pristine);
  return run.data;
}

const emotionPost = (who, text) => post('/matching/emotion/', [['openId', who], ['title', encodeURIComponent(text.title)], ['content', encodeURIComponent(text.content) + HOLE]]);

/* ---- reads ---- */

const READS = [
  { what: 'diary', title: 'get_diary', requests: 'diary' },
  { what: 'user', title: 'get_user as in the document, two diaries', requests: 'user', folder: 'example' },
  { what: 'user10', title: 'get_user at its longest, ten diaries', requests: 'user' },
];

async function bodyBytes(port, target) {
  const answer = await fetch(`http://127.0.0.1:${port}${target}`);
  const bytes = (await answer.arrayBuffer()).byteLength;
  if (answer.status !== 200) throw new Error(`${target} answers ${answer.status}`);
  return bytes;
}

export async function reads(run) {
  const full = await serve(run.host, await mainData(run));
  const example = await serve(run.host, await seeded(run, 'example', ['seed', '--texts', run.textFile, '--users', USERS, '--diaries', 2, '--strangers', 0]));
  const target = { diary: `/matching/get_diary_action/?diaryId=${FIRST_DIARY}`, user: `/matching/get_user_action/?openId=${userId(0)}` };
  const bytes = {};
  for (const { what, requests, folder } of READS) bytes[what] = await bodyBytes((folder ? example : full).port, target[requests]);
  const peer = await nginx(run.host, bytes);
  const load = (port, pids, requests, clients, body) => figures(run.host.tool('load'), ['--port', port, '--pids', pids, '--requests', requests, '--clients', clients, '--body', body, '--seconds', run.window, '--warm', 0.3]);
  const cases = {};
  for (const { what, requests, folder } of READS)
    for (const clients of [64, 256]) {
      const server = folder ? example : full;
      cases[`nginx ${what} ${clients}`] = () => load(peer.port, peer.pids, run.requests.nginx[what], clients, bytes[what]);
      cases[`weir ${what} ${clients}`] = () => load(server.port, server.pid, run.requests[requests], clients, bytes[what]);
    }
  const all = await interleaved(run, 'reads against nginx', cases);
  for (const { what, title } of READS)
    for (const clients of [64, 256]) {
      const [ours, theirs] = [all[`weir ${what} ${clients}`], all[`nginx ${what} ${clients}`]];
      run.table.add({ what: `${title} (${bytes[what]} B), ${clients} clients`, weir: of(ours, 'per_second'), unit: 'req/s', peer: of(theirs, 'per_second'), peerName: 'nginx', ratio: ratio(ours, theirs, 'per_second'),
        atLeast: 0.6, note: latency(ours) });
      run.table.add({ what: '  processor time a request', weir: of(ours, 'server_cpu_us'), unit: 'us', peer: of(theirs, 'server_cpu_us'), peerName: 'nginx', ratio: ratio(ours, theirs, 'server_cpu_us'), atMost: 2,
        note: `the load generator itself: ${of(ours, 'own_cpu_us').toFixed(1)} us` });
    }
  await peer.stop();
  await example.stop();
  await full.stop();
}

/* ---- durable posts ---- */

function bareCase(run, db, kind, batch) {
  return async () => {
    const found = await figures(run.host.tool('rows'), ['bare', '--db', db, '--texts', run.textFile, '--kind', kind, '--batch', batch, '--users', USERS, '--first', run.counters[db] ?? 0,
      '--seconds', run.window, '--warm', 0.2]);
    run.counters[db] = found.next;
    if (kind === 'strangers' && found.next > STRANGERS) throw new Error('the strangers are used up: raise STRANGERS');
    return found;
  };
}

function postCase(run, server, kind, clients) {
  return async () => {
    const key = `posts ${kind}`;
    const found = await figures(run.host.tool('load'), ['--port', server.port, '--pids', server.pid, '--requests', run.requests[kind], '--clients', clients, '--first', run.counters[key] ?? 0, '--find', '"match"',
      '--seconds', run.window, '--warm', 0.3]);
    run.counters[key] = found.next;
    if (kind === 'strangers' && found.next > STRANGERS) throw new Error('the strangers are used up: raise STRANGERS');
    found.share = found.found / found.answers;
    return found;
  };
}

export async function posts(run) {
  const server = await serve(run.host, await mainData(run));
  const copy = (name) => { const to = path.join(run.host.folder, name); copyFileSync(run.pristine, to); return to; };
  const [diaries, pairs] = [copy('bare-paired.db'), copy('bare-strangers.db')];
  const cases = {};
  for (const batch of [1, 32, 128, 256]) cases[`bare ${batch}`] = bareCase(run, diaries, 'paired', batch);
  for (const clients of [1, 64, 256]) cases[`weir ${clients}`] = postCase(run, server, 'paired', clients);
  cases['bare strangers'] = bareCase(run, pairs, 'strangers', 256);
  cases['weir strangers'] = postCase(run, server, 'strangers', 256);
  const all = await interleaved(run, 'durable posts against a bare loop', cases);
  const row = (what, ours, theirs, batch, target) => run.table.add({ what, weir: of(ours, 'per_second'), unit: 'posts/s', peer: of(theirs, 'per_second'), peerName: `batches of ${batch}`,
    ratio: ratio(ours, theirs, 'per_second'), ...target, note: latency(ours) });
  row('emotion, durable, 1 client', all['weir 1'], all['bare 1'], 1);
  row('emotion, durable, 64 clients', all['weir 64'], all['bare 32'], 32);
  row('emotion, durable, 256 clients', all['weir 256'], all['bare 128'], 128);
  row('emotion, durable, 256 clients', all['weir 256'], all['bare 256'], 256, { atLeast: 0.6 });
  run.table.add({ what: '  processor time a post', weir: of(all['weir 256'], 'server_cpu_us'), unit: 'us' });
  row(`  by people without a partner (${Math.round(100 * of(all['weir strangers'], 'share'))} % matched)`, all['weir strangers'], all['bare strangers'], 256);
  await server.stop();
}

/* ---- chat ---- */

export async function chat(run) {
  const server = await serve(run.host, await mainData(run));
  const bare = path.join(run.host.folder, 'bare-chat.db');
  copyFileSync(run.pristine, bare);
  const rooms = (count, members, speakers) => (round) => figures(run.host.tool('rooms'), ['--port', server.port, '--pids', server.pid, '--rooms', count, '--members', members, '--speakers', speakers,
    '--people', 'u%07d', '--name', `bench${round}-${members}`, '--seconds', run.window, '--warm', 0.4]);
  const all = await interleaved(run, 'chat', { bare: bareCase(run, bare, 'chat', 200), pairs: rooms(200, 2, 1), hall: rooms(1, 1000, 16) });
  run.table.add({ what: 'chat, 200 rooms of 2, stored and delivered', weir: of(all.pairs, 'messages_per_second'), unit: 'msg/s', peer: of(all.bare, 'per_second'), peerName: 'batches of 200',
    ratio: ratio(all.pairs, all.bare, 'messages_per_second', 'per_second'), note: `to the last member: ${latency(all.pairs)}` });
  run.table.add({ what: 'chat, one room of 1,000, 16 speak', weir: of(all.hall, 'messages_per_second'), unit: 'msg/s', note: `to the last member: ${latency(all.hall)}` });
  run.table.add({ what: '  deliveries', weir: of(all.hall, 'deliveries_per_second'), unit: 'frames/s', note: `${of(all.hall, 'server_cpu_us').toFixed(2)} us of processor time each` });
  await server.stop();
}

/* ---- idle sockets ---- */

const sockets = { http: '/healthz', ws: `/ws/chat/idle/?openId=${userId(1)}` };

function crowdSize() {
  const most = descriptorLimit() - 300;
  return Math.min(10_000, Math.floor(most / 100) * 100);
}

const holdIdle = (run, port, kind, count) => running(run.host.tool('idle'), ['--port', port, '--kind', kind, '--count', count, '--target', sockets[kind]], { stdin: 'pipe' });

/** A server of its own each time: what a former crowd left in its pools would hide what this one costs. */
async function socketBytes(run, kind, count) {
  const server = await serve(run.host, run.data);
  for (const target of [sockets.http, `/matching/get_user_action/?openId=${userId(2)}`]) await bodyBytes(server.port, target);
  const few = await holdIdle(run, server.port, kind, 20);          /* one-time costs of the first sockets of a kind */
  await few.stop();
  await pause(200);
  const before = memoryOf(server.pid, 'Private_Dirty');
  const crowd = await holdIdle(run, server.port, kind, count);
  await pause(500);
  const after = memoryOf(server.pid, 'Private_Dirty');
  await crowd.stop();
  await server.stop();
  return { bytes: (after - before) * 1024 / count };
}

export async function idle(run) {
  await mainData(run);
  const count = crowdSize();
  if (count < 10_000) say(`only ${count} idle sockets: the hard limit of descriptors is ${descriptorLimit()} (ulimit -Hn)`);
  const bytes = { http: [], ws: [] };
  for (let i = 0; i < 3; i++) {
    say(`memory of ${count} idle sockets: round ${i + 1} of 3`);
    for (const kind of ['http', 'ws']) bytes[kind].push(await socketBytes(run, kind, count));
  }
  const names = { http: 'HTTP connection', ws: 'WebSocket in a room' };
  for (const kind of ['http', 'ws']) run.table.add({ what: `memory of an idle ${names[kind]} (${count} of them)`, weir: of(bytes[kind], 'bytes'), unit: 'B', judged: of(bytes[kind], 'bytes'), atMost: 512 });
  await crowded(run, count);
}

async function crowded(run, count) {
  const server = await serve(run.host, run.data);
  const one = () => figures(run.host.tool('load'), ['--port', server.port, '--requests', run.requests.user, '--clients', 1, '--seconds', run.window, '--warm', 0.2]);
  const all = await interleaved(run, `one active client among ${count} idle sockets`, {
    alone: one,
    crowd: async () => {
      const crowd = [await holdIdle(run, server.port, 'http', count / 2), await holdIdle(run, server.port, 'ws', count / 2)];
      const found = await one();
      for (const c of crowd) await c.stop();
      await pause(300);                                            /* until the server has closed its ends */
      return found;
    },
  });
  run.table.add({ what: `one active client among ${count} idle sockets`, weir: of(all.crowd, 'p50_us'), unit: 'us', peer: of(all.alone, 'p50_us'), peerName: 'alone', ratio: of(all.crowd, 'p50_us') / of(all.alone, 'p50_us'),
    atMost: 1.1, note: `${latency(all.crowd)}; alone ${latency(all.alone)}` });
  await server.stop();
}

/* ---- start-up ---- */

export async function start(run) {
  const data = await mainData(run);
  say('start-up');
  const found = await figures(run.host.tool('starts'), [run.quick ? 7 : 15, run.host.weir, ...serveArguments(data)]);
  run.table.add({ what: 'start to "ready"', weir: found.ready_us / 1000, unit: 'ms', judged: found.ready_us / 1000, atMost: 100, note: `worst ${us(found.worst_us)}` });
  run.table.add({ what: 'resident memory, idle', weir: found.resident_kb / 1024, unit: 'MB', judged: found.resident_kb / 1024, atMost: 20, note: `${(found.dirty_kb / 1024).toFixed(1)} MB of it private and dirty` });
  const stripped = path.join(run.host.folder, 'stripped');
  await output('strip', ['-o', stripped, run.host.weir]);
  run.table.add({ what: 'the program, stripped', weir: statSync(stripped).size / 1e6, unit: 'MB', note: `${(statSync(run.host.weir).size / 1e6).toFixed(1)} MB with its debug information` });
}

/* ---- emotion ---- */

export async function emotion(run) {
  say('emotion');
  const rounds = [];
  const texts = path.join(run.host.folder, 'emotion-texts');
  for (let i = 0; i < run.rounds; i++)
    rounds.push({
      ...(await figures(run.host.tool('emotion_bench'), ['--texts', texts, ...corpusFiles(run.root)])), ...(await figures(run.host.tool('segmenters'), [texts])),
      ...(await figures('/usr/bin/python3', [path.join(run.root, 'bench/jieba_bench.py'), texts])),
    });
  const bytes = Math.round(of(rounds, 'short_bytes'));
  run.table.add({ what: `emotion of ${bytes} bytes`, weir: of(rounds, 'short_us'), unit: 'us', judged: of(rounds, 'short_us'), atMost: 5 });
  run.table.add({ what: 'emotion of 10,000 characters', weir: of(rounds, 'long_us'), unit: 'us', note: `${Math.round(of(rounds, 'long_bytes')).toLocaleString('en-US')} bytes`, judged: of(rounds, 'long_us'), atMost: 400 });
  for (const [key, peerName] of [['jieba_us', 'python3-jieba'], ['friso_us', 'friso'], ['icu_us', 'ICU']])
    if (of(rounds, key) >= 0)
      run.table.add({ what: `  the words of ${bytes} bytes, which is no feeling yet`, weir: of(rounds, 'cut_us'), unit: 'us', peer: of(rounds, key), peerName, ratio: ratio(rounds, rounds, 'cut_us', key),
        note: 'as jieba cuts them, for the lexicon method' });
}

/* ---- matching ---- */

/** The lines of match_bench: [{ world, n, first }]. */
function worldsOf(text) {
  const found = [];
  let world = '';
  for (const line of text.split('\n')) {
    const size = /^\s+(\d+): add .* first ([\d.]+) us/.exec(line);
    if (size) found.push({ world, n: Number(size[1]), first: Number(size[2]) });
    else if (/^\S/.test(line) && !line.startsWith('one reading')) world = line;
  }
  return found;
}

export async function match(run) {
  say('matching: the index alone');
  const found = worldsOf(await output(run.host.tool('match_bench'), run.quick ? ['--worlds', 2] : []));
  const worlds = [...new Set(found.map((f) => f.world))].map((world) => {
    const first = (n) => found.find((f) => f.world === world && f.n === n).first;
    return { world, small: first(10_000), middle: first(100_000), large: first(1_000_000) };
  });
  const row = (w, what, target) => run.table.add({ what, weir: w.large, unit: 'us', peer: w.small, peerName: 'at 10k', ratio: w.large / w.small, ...target, note: `${Math.round(w.middle)} us at 100k` });
  row(worlds[0], `best match of 1M, index, ${worlds[0].world}`, { atMost: 4 });
  row(worlds[1], `best match of 1M, index, ${worlds[1].world}`, { atMost: 4 });
  const worst = worlds.slice(2).sort((a, b) => b.large / b.small - a.large / a.small)[0];
  if (worst) row(worst, `  the worst other world: ${worst.world}`);
  await matchWhole(run);
}

/** The whole post: a stranger's diary that finds its match among N waiting ones, verified and paired in one durable transaction. By number and not by time: each takes one of the waiting away. */
async function matchWhole(run) {
  const texts = corpus(run.root).filter((t) => t.code !== 0);
  const requests = path.join(run.host.folder, 'post_matching');
  requestFile(requests, texts.map((t) => emotionPost(`s${HOLE}`, t)));
  const sizes = { '10k': 10_000, '100k': 100_000, '1M': 1_000_000 }, servers = {}, ready = {}, next = {};
  for (const [name, count] of Object.entries(sizes)) {
    say(`matching: seeding ${count} waiting diaries`);
    const data = await seeded(run, `waiting-${name}`, ['wait', '--count', count, '--strangers', 20_000]);
    const began = performance.now();
    servers[name] = await serve(run.host, data);
    ready[name] = performance.now() - began;
    next[name] = 0;
  }
  const cases = Object.fromEntries(Object.keys(sizes).map((name) => [name, async () => {
    const found = await figures(run.host.tool('load'), ['--port', servers[name].port, '--pids', servers[name].pid, '--requests', requests, '--clients', 16, '--first', next[name], '--find', '"match"',
      '--count', 400, '--seconds', 20, '--warm', 0.05]);
    next[name] = found.next;
    if (found.next > 20_000) throw new Error('the strangers are used up: raise their number');
    found.share = found.found / found.answers;
    return found;
  }]));
  const all = await interleaved(run, 'matching: whole posts', cases);
  run.table.add({ what: 'a post matched among 1M waiting, 16 clients', weir: of(all['1M'], 'server_cpu_us'), unit: 'us cpu', peer: of(all['10k'], 'server_cpu_us'), peerName: 'at 10k',
    ratio: ratio(all['1M'], all['10k'], 'server_cpu_us'), atMost: 4, note: `${latency(all['1M'])}; at 10k ${latency(all['10k'])}; ${Math.round(100 * of(all['1M'], 'share'))} % found a match` });
  run.table.add({ what: 'start with 1M waiting diaries', weir: ready['1M'] / 1000, unit: 's', note: `${us(ready['10k'] * 1000)} with 10k` });
  for (const server of Object.values(servers)) await server.stop();
}
