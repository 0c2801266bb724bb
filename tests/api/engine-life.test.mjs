// A server's life: settings that are wrong, a second server beside it, repeats with an Idempotency-Key, being stopped and being killed in the middle of writing. Nothing acknowledged is ever lost.
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { png } from '../lib/pictures.mjs';
import { openRaw } from '../lib/raw.mjs';
import { runWeir, startDemo, startServe, temporaryFolder } from '../lib/weir.mjs';

let weir, scratch;
before(async () => { weir = await startDemo(); scratch = temporaryFolder(); });
after(async () => { await weir.stop(); rmSync(scratch, { recursive: true, force: true }); });

let names = 0;
const fresh = () => `l${++names}`;
const write = (openId, content, key, { on = weir, ...more } = {}) => on.form('/matching/emotion/', { openId, title: '', content, ...more }, key ? { headers: { 'Idempotency-Key': key } } : {});
const diaries = async (openId, on = weir) => (await on.get('/matching/get_user_diary_action/', { openId })).body.data.diaries;

/* ---- settings ---- */

const config = (text) => { const file = path.join(scratch, `${fresh()}.ini`); writeFileSync(file, text, { mode: 0o600 }); return file; };
/** A start that must fail: what it said. */
function refusal(args, env = {}) {
  const done = runWeir(['serve', '--listen', '127.0.0.1:0', '--data', path.join(scratch, 'data'), ...args], { env });
  assert.ok(done.status === 1 || done.status === 2, `${args}: ended with ${done.status ?? done.signal}\n${done.err}`);
  assert.equal(done.out, '');
  return done.err;
}

test('a setting that is wrong ends the start with a sentence that says where and what', () => {
  const file = config('; my server\n[server]\nlisten = 127.0.0.1:0\nratte = 5\n\n[diary]\naccess = opne\n');
  const said = refusal(['--config', file]);
  assert.match(said, new RegExp(`${path.basename(file)}:4: .*server\\.ratte.*server\\.rate`));
  assert.match(said, new RegExp(`${path.basename(file)}:7: .*diary\\.access.*open.*opne`));
  assert.match(refusal(['--config', config('[nothing]\na = b\n')]), /:2: .*nothing\.a/);
  assert.match(refusal(['--config', config('listen = x\n')]), /:1: /);
  assert.match(refusal(['--config', config('[server]\nrate = 1\nrate = 2\n')]), /:3: .*server\.rate.*line 2/);
  assert.match(refusal(['--config', path.join(scratch, 'missing.ini')]), /missing\.ini/);
  assert.match(refusal(['--set', 'server.rate=many']), /server\.rate/);
  assert.match(refusal(['--set', 'diary.salient=2']), /diary\.salient/);
  assert.match(refusal(['--set', 'server.timezone=Mars/Olympus']), /timezone|zone/i);
  assert.match(refusal(['--set', 'nothing=1']), /./);
  assert.match(refusal(['--port', '70000']), /port/);
  assert.match(refusal(['--prot', '1']), /--prot/);
  assert.match(refusal([], { WEIR_DIARY_ACCESS: 'nobody' }), /WEIR_DIARY_ACCESS/);
  assert.match(refusal(['--set', 'wechat.appid=wx1']), /wechat\.secret/);
  assert.match(refusal(['--set', 'diary.content_check=wechat']), /wechat/);
});

test('the environment goes over the file, and flags over both', async () => {
  const file = config('[diary]\naccess = open\n[server]\npublic_url = https://file.example\n');
  const address = async (settings, env) => {
    const own = await startServe(settings, { args: ['--config', file], env });
    const shown = (await own.get('/matching/show_img_action/', { img_name: 'x' })).body.data.image.photourl;
    const { status } = await write('a', 'x', '', { on: own });
    await own.stop();
    return [new URL(shown).host, status];
  };
  assert.deepEqual(await address({}, {}), ['file.example', 200]);
  assert.deepEqual(await address({}, { WEIR_SERVER_PUBLIC_URL: 'https://env.example' }), ['env.example', 200]);
  assert.deepEqual(await address({ 'server.public_url': 'https://flag.example', 'diary.access': 'handle' }, { WEIR_SERVER_PUBLIC_URL: 'https://env.example' }), ['flag.example', 404]);
});

test('a second server on the same folder or port does not start', () => {
  for (const args of [['serve', '--listen', '127.0.0.1:0', '--data', weir.folder], ['demo', '--port', '0', '--data', weir.folder]]) {
    const done = runWeir(args);
    assert.equal(done.status, 1, args.join(' '));
    assert.match(done.err, /another Weir is running/);
  }
  const done = runWeir(['serve', '--listen', `127.0.0.1:${weir.port}`, '--data', path.join(scratch, 'second')]);
  assert.equal(done.status, 1);
  assert.match(done.err, new RegExp(`${weir.port}`));
});

/* ---- repeats ---- */

test('a repeat with the same Idempotency-Key is answered as the first time and does nothing', async () => {
  const openId = fresh();
  const first = await write(openId, '今天很平常', 'k');                     /* a user who does not exist yet */
  assert.equal(first.headers['idempotent-replayed'], undefined);
  for (const again of [await write(openId, '今天很平常', 'k'), await weir.json('/matching/emotion/', { openId, title: '', content: '今天很平常' }, { headers: { 'Idempotency-Key': 'k' } })])
    assert.deepEqual([again.status, again.body, again.headers['idempotent-replayed']], [200, first.body, 'true']);
  assert.equal((await diaries(openId)).length, 1);
  const other = await write(openId, '另一篇', 'k');
  assert.deepEqual([other.status, other.body.status], [422, 'fail']);
  assert.equal((await write(openId, '另一篇', 'k2')).status, 200);
  assert.equal((await diaries(openId)).length, 2);
});

test('a key is its user\'s and its command\'s, and refusals do not use it up', async () => {
  const [a, b] = [fresh(), fresh()];
  for (const openId of [a, b]) assert.equal((await write(openId, `${openId}写的`, 'same')).headers['idempotent-replayed'], undefined);
  const said = await weir.form('/matching/send_message_via_http/', { pair_id: 'keys', openId: a, content: '一句' }, { headers: { 'Idempotency-Key': 'same' } });
  assert.equal(said.status, 200);
  const send = (content) => weir.form('/matching/send_message_via_http/', { pair_id: 'keys', openId: a, content }, { headers: { 'Idempotency-Key': 'refused' } });
  assert.equal((await send('')).status, 400);
  assert.equal((await send('字'.repeat(10001))).status, 400);
  assert.equal((await send('好了')).status, 200);
  assert.equal((await write(a, 'x', 'x'.repeat(256))).status, 400);
  assert.equal((await write(a, 'x', 'x'.repeat(255))).status, 200);
  assert.equal((await weir.get('/matching/get_user_action/', { openId: a }, { headers: { 'Idempotency-Key': 'same' } })).headers['idempotent-replayed'], undefined, 'reading needs none');
});

test('many repeats at once store one', async () => {
  const openId = fresh();
  const replies = await Promise.all([...Array(20)].map(() => write(openId, '只有一篇', 'once')));
  assert.equal(new Set(replies.map((reply) => reply.text)).size, 1);
  assert.ok(replies.every((reply) => reply.status === 200));
  assert.equal(replies.filter((reply) => reply.headers['idempotent-replayed']).length, 19);
  assert.equal((await diaries(openId)).length, 1);
  const parts = [{ name: 'img', filename: 'once.png', type: 'image/png', bytes: png(5, 5) }, { name: 'openId', value: openId }];
  const uploads = await Promise.all([...Array(4)].map(() => weir.multipart('/matching/upload_img_action/', parts, { headers: { 'Idempotency-Key': 'picture' } })));
  assert.equal(new Set(uploads.map((reply) => reply.text)).size, 1, uploads.map((reply) => reply.text).join('\n'));
});

test('a key is kept for a day, through a restart', async () => {
  const folder = temporaryFolder();
  try {
    let own = await startServe({ 'diary.access': 'open' }, { folder });
    const start = Date.parse('2026-04-01T00:00:00Z');
    await own.clock(start);
    assert.equal((await write('a', '第一篇', 'day', { on: own })).status, 200);
    await own.stop();
    own = await startServe({ 'diary.access': 'open' }, { folder });
    await own.clock(start + 23 * 3_600_000);
    assert.equal((await write('a', '第一篇', 'day', { on: own })).headers['idempotent-replayed'], 'true');
    await own.clock(start + 25 * 3_600_000);
    assert.equal((await write('a', '第一篇', 'day', { on: own })).headers['idempotent-replayed'], undefined);
    assert.equal((await diaries('a', own)).length, 2);
    await own.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/* ---- stopping ---- */

test('a stop finishes what was accepted, also a request that is still arriving', async () => {
  const folder = temporaryFolder();
  try {
    const first = await startServe({ 'diary.access': 'open' }, { folder });
    await first.form('/matching/store_action/', { openId: 'half', nickName: '', avatarUrl: '', gender: 0, province: '', city: '', country: '' });
    const body = 'openId=half&title=&content=arriving';
    const half = openRaw(first.port), idle = openRaw(first.port);
    await idle.send('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal((await idle.reply()).status, 200);
    await half.send(`POST /matching/emotion/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`);
    assert.equal((await half.reply()).status, 100);
    await half.send(body.slice(0, 10));
    const stored = [];
    const post = async (i) => { for (let n = 0; ; n++) { const reply = await write(`w${i}`, `${i}-${n}`, '', { on: first }); assert.equal(reply.status, 200); stored.push([`w${i}`, `${i}-${n}`]); } };
    const posting = [...Array(16)].map((_, i) => post(i).catch((error) => error));
    while (stored.length < 200) await new Promise((resolve) => setImmediate(resolve));
    const stopped = first.stop({ keep: true });
    await idle.closed();                                            /* the drain has begun */
    await half.send(body.slice(10));
    const last = await half.reply();
    assert.deepEqual([last.status, last.header('connection')], [200, 'close']);
    await stopped;
    for (const error of await Promise.all(posting)) assert.match(String(error.code ?? error.message), /ECONN|EPIPE|socket hang up/, 'refused or cut between two requests, never answered wrongly');
    const second = await startServe({ 'diary.access': 'open' }, { folder });
    const found = new Map();
    for (const openId of new Set(stored.map(([who]) => who))) found.set(openId, new Set((await diaries(openId, second)).map((one) => one.content)));
    for (const [openId, content] of stored) assert.ok(found.get(openId).has(content), content);
    assert.deepEqual((await diaries('half', second)).map((one) => one.content), ['arriving']);
    await second.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a second SIGTERM, and one before anything happened, change nothing', async () => {
  const own = await startServe();
  own.child.kill('SIGTERM');
  own.child.kill('SIGTERM');
  await own.stop();
});

test('killed in the middle of writing, nothing acknowledged is lost and nothing repeated is stored twice', async () => {
  const folder = temporaryFolder();
  const tasks = new Map();                                          /* what each writer wants stored, by its key */
  const acknowledged = new Set();
  const WRITERS = 12;
  const settings = { 'diary.access': 'open', 'debug.rehearse': 'false' };
  const perform = async (on, [key, task]) => {
    const headers = { 'Idempotency-Key': key };
    const reply = task.kind === 'diary' ? await on.form('/matching/emotion/', { openId: task.openId, title: '', content: task.text }, { headers })
      : await on.form('/matching/send_message_via_http/', { pair_id: task.room, openId: task.openId, content: task.text }, { headers });
    assert.equal(reply.status, 200, reply.text);
    if (task.id) assert.equal(reply.body.id, task.id, 'a repeat gives the same id');
    if (task.kind === 'message') task.id = reply.body.id;
    acknowledged.add(key);
  };
  try {
    for (let round = 0; round < 3; round++) {
      const own = await startServe(settings, { folder });
      for (const entry of tasks) await perform(own, entry);         /* everybody sends again, whether he was answered or not */
      const before = acknowledged.size;
      const worker = async (i) => {
        for (let n = 0; ; n++) {
          const key = `${round}-${i}-${n}`;
          tasks.set(key, i % 2 ? { kind: 'diary', openId: `k${i}`, text: `日记${key}` } : { kind: 'message', openId: 'k1', room: `r${i % 4}`, text: `消息${key}` });
          await perform(own, [key, tasks.get(key)]);
        }
      };
      if (round === 0) await perform(own, ['first', { kind: 'diary', openId: 'k1', text: '先有这个人' }]);
      const working = [...Array(WRITERS)].map((_, i) => worker(i).catch((error) => error));
      while (acknowledged.size < before + 150 + 60 * round) await new Promise((resolve) => setImmediate(resolve));
      await own.stop({ signal: 'SIGKILL', keep: true });
      for (const error of await Promise.all(working)) assert.ok(error.code || /hang up/.test(error.message), `${error.message}`);
    }
    const last = await startServe(settings, { folder });
    const stored = [];
    for (let i = 1; i < WRITERS; i += 2) stored.push(...(await diaries(`k${i}`, last)).map((one) => one.content));
    for (const room of ['r0', 'r2']) {
      const { messages } = (await last.get('/matching/get_history_action/', { pair_id: room })).body.data;
      assert.deepEqual(messages.map((one) => Number(one.id)), messages.map((_, i) => i + 1), 'ids without a gap');
      stored.push(...messages.map((one) => one.content));
    }
    assert.equal(new Set(stored).size, stored.length, 'nothing is there twice');
    for (const key of acknowledged) if (tasks.has(key)) assert.ok(stored.includes(tasks.get(key).text), `${key} was acknowledged and is gone`);
    await last.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
