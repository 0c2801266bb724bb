// The edge as every app has it: statuses and shapes of errors, methods, limits, the engine's own routes, rates, and what the access log must not hold. What a parser must refuse is told byte by byte.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { openRaw, rawRequest } from '../lib/raw.mjs';
import { startDemo, startServe } from '../lib/weir.mjs';

let weir;
before(async () => { weir = await startDemo(); });
after(async () => { await weir.stop(); });

const raw = (bytes) => rawRequest(weir.port, bytes);
/** The shape of an error whose path is not under /matching. */
const plain = (reply, status) => {
  assert.equal(reply.status, status, reply.text);
  assert.equal(JSON.parse(reply.text).errcode, status);
};
const failing = (reply, status) => {
  assert.equal(reply.status, status, reply.text);
  assert.equal(JSON.parse(reply.text).status, 'fail');
};

/* ---- routing ---- */

test('what is not there is 404 in the shape of the app whose path it is', async () => {
  for (const target of ['/matching/nothing', '/matching/emotion/more', '/ws/chat', '/upload', '/upload/']) assert.equal((await weir.get(target)).status, 404, target);
  for (const target of ['/nothing', '/api/', '/api/diary/nothing', '/api', '/metrics/x', '/Matching/emotion', '/favicon.icon']) assert.equal((await weir.get(target)).status, 404, target);
  assert.equal((await weir.get('/api/diary/nothing')).body.errcode, 404);
  assert.equal((await weir.get('/matching/nothing')).body.status, 'fail');
});

test('a method that a path does not have is 405 and says which it has', async () => {
  for (const [method, target, allow] of [['GET', '/matching/emotion/', 'OPTIONS, POST'], ['PUT', '/matching/emotion', 'OPTIONS, POST'], ['POST', '/matching/get_user_action', 'GET, HEAD, OPTIONS'], ['DELETE', '/matching/depair_action/', 'GET, HEAD, OPTIONS, POST'],
    ['PATCH', '/api/diary/block', 'DELETE, GET, HEAD, OPTIONS, POST'], ['POST', '/healthz', 'GET, HEAD, OPTIONS'], ['POST', '/', 'GET, HEAD, OPTIONS']]) {
    const reply = await weir.request(method, target);
    assert.deepEqual([reply.status, reply.headers.allow.split(/, */).sort().join(', ')], [405, allow], `${method} ${target}`);
  }
  const options = await weir.request('OPTIONS', '/matching/depair_action/');
  assert.deepEqual([options.status, options.headers.allow.split(/, */).sort().join(', ')], [204, 'GET, HEAD, OPTIONS, POST']);
  assert.equal((await raw('OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).status, 204);
  assert.equal((await weir.request('OPTIONS', '/nothing')).status, 404);
});

test('HEAD is GET without the body', async () => {
  for (const target of ['/', '/matching/get_user_action/?openId=666', '/healthz', '/matching/static/weir.css', '/nothing']) {
    const [get, head] = [await weir.request('GET', target), await weir.request('HEAD', target)];
    assert.deepEqual([head.status, head.headers['content-type'], head.headers['content-length'], head.bytes.length], [get.status, get.headers['content-type'], String(get.bytes.length), 0], target);
  }
});

/* ---- what a parser must refuse ---- */

test('malformed requests are 400 and end the connection', async () => {
  const bad = ['GET / HTTP/1.1\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /\r\nHost: a\r\n\r\n', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n', 'GET nothing HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n',
    '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'.padEnd(200, 'x') + '\r\n\r\n', 'GET / FTP/1.1\r\nHost: a\r\n\r\n', 'GET / HTTP/1\r\nHost: a\r\n\r\n'];
  for (const bytes of bad) {
    const reply = await raw(bytes);
    plain(reply, 400);
    assert.equal(reply.header('connection'), 'close', JSON.stringify(bytes));
  }
  failing(await raw('POST /matching/emotion/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'), 400);
  failing(await raw('POST /matching/emotion/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;extension\r\nx\r\n'), 400);
  failing(await raw('GET /matching//emotion HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), 400);
  failing(await raw('GET /matching/%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), 400);
});

test('what is well-formed and too much, or not known, has its own status', async () => {
  plain(await raw(`GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`), 414);
  for (const headers of [`X: ${'a'.repeat(20000)}\r\n`, 'X: a\r\n'.repeat(101)]) assert.equal((await raw(`GET /matching/get_user_action/ HTTP/1.1\r\nHost: a\r\n${headers}\r\n`)).status, 431);
  plain(await raw('BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n'), 501);
  plain(await raw('get / HTTP/1.1\r\nHost: a\r\n\r\n'), 501);
  assert.ok([400, 501].includes((await raw('POST /matching/emotion/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n')).status));
  plain(await raw('GET / HTTP/2.0\r\nHost: a\r\n\r\n'), 505);
  assert.equal((await raw('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).status, 505);
  assert.equal((await raw('GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\n\r\n')).status, 417);
  failing(await raw('POST /matching/emotion/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1048577\r\n\r\n'), 413);
  plain(await raw('DELETE /api/diary/account HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n'), 413);
  const chunked = openRaw(weir.port);
  await chunked.send('POST /matching/emotion/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
  for (let i = 0; i < 17; i++) await chunked.send(`10000\r\n${'a'.repeat(65536)}\r\n`).catch(() => {});
  failing(await chunked.reply(), 413);
  chunked.destroy();
  const many = new URLSearchParams([...Array(201)].map((_, i) => [`p${i}`, 'x'])).toString();
  assert.equal((await weir.form('/matching/emotion/', many)).status, 400);
  assert.equal((await weir.json('/matching/emotion/', `${'['.repeat(100)}${']'.repeat(100)}`)).status, 400);
});

/* ---- connections ---- */

test('requests of one connection are answered in order, writes among them', async () => {
  const connection = openRaw(weir.port);
  const form = new URLSearchParams({ openId: 'pipeline', title: '一', content: '平常的一天' }).toString();
  const post = `POST /matching/emotion/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n${form}`;
  const get = 'GET /matching/get_user_action/?openId=pipeline HTTP/1.1\r\nHost: a\r\n\r\n';
  await connection.send(`${get}${post}${get}GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n${post}${get}`);
  const replies = [];
  for (let i = 0; i < 6; i++) replies.push(await connection.reply());
  assert.deepEqual(replies.map((reply) => reply.status), [404, 200, 200, 200, 200, 200]);
  assert.deepEqual([2, 5].map((i) => JSON.parse(replies[i].text).data.diaries.length), [1, 2], 'a read sees the write before it');
  connection.destroy();
});

test('a body may come in chunks, byte by byte, after 100 Continue; trailers are passed over', async () => {
  const body = 'openId=chunks&title=&content=%e4%bd%a0%e5%a5%bd';
  const one = openRaw(weir.port);
  await one.send('POST /matching/emotion/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n');
  assert.equal((await one.reply()).status, 100);
  for (const byte of body) await one.send(`1\r\n${byte}\r\n`);
  await one.send('0\r\nTrailer: x\r\n\r\n');
  assert.equal((await one.reply()).status, 200);
  const two = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n';
  for (const byte of two) await one.send(byte);
  assert.equal((await one.reply()).status, 200);
  one.destroy();
  assert.equal((await weir.get('/matching/get_user_action/', { openId: 'chunks' })).body.data.diaries[0].title, '你好');
});

test('HTTP/1.0 and Connection: close end it, else it stays', async () => {
  for (const [bytes, header] of [['GET /healthz HTTP/1.0\r\n\r\n', 'close'], ['GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', 'close'], ['GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', 'keep-alive'], ['GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n', undefined]]) {
    const reply = await raw(bytes);
    assert.deepEqual([reply.status, reply.header('connection')], [200, header]);
  }
});

/* ---- the engine's own routes ---- */

test('healthz, readyz and metrics', async () => {
  assert.equal((await weir.get('/healthz')).body.status, 'ok');
  assert.deepEqual((await weir.get('/readyz')).body, { status: 'ready', store: 'ok' });
  await weir.get('/matching/get_user_action/', { openId: '666' });
  const { headers, text } = await weir.get('/metrics');
  assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
  const known = new Map(), helped = new Set(), samples = new Map();
  for (const line of text.trimEnd().split('\n')) {
    const help = /^# HELP ([a-z_]+) \S/.exec(line), type = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(line);
    if (help) { helped.add(help[1]); continue; }
    if (type) { assert.ok(!known.has(type[1]), line); known.set(type[1], type[2]); continue; }
    const sample = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(line);
    assert.ok(sample, `not a sample: ${line}`);
    const family = known.has(sample[1]) ? sample[1] : sample[1].replace(/_(bucket|sum|count)$/, '');
    assert.ok(known.has(family) && helped.has(family), line);
    assert.ok(!samples.has(sample[1] + sample[2]), `twice: ${line}`);
    samples.set(sample[1] + (sample[2] ?? ''), Number(sample[3]));
  }
  assert.ok(samples.get('weir_requests_total{command="diary.get_user",status="2xx"}') >= 1);
  const buckets = [...samples].filter(([name]) => name.startsWith('weir_request_seconds_bucket{command="diary.get_user"')).map(([, value]) => value);
  assert.deepEqual(buckets, [...buckets].sort((a, b) => a - b), 'buckets add up');
  assert.equal(buckets.at(-1), samples.get('weir_request_seconds_count{command="diary.get_user"}'));
  assert.equal(samples.get('weir_store_failing'), 0);
});

test('every answer has a request id of its own', async () => {
  const ids = (await Promise.all([...Array(200)].map((_, i) => weir.get(i % 2 ? '/healthz' : '/nothing')))).map((reply) => reply.headers['x-request-id']);
  assert.equal(new Set(ids).size, 200);
});

test('debug routes tell what was understood, and exist only where they are switched on', async () => {
  const echo = (await weir.request('PUT', '/api/debug/echo?a=1&b=%20', { body: 'x\0y', headers: { 'X-Two': 'a' } })).body;
  assert.deepEqual([echo.method, echo.path, echo.query, echo.headers['x-two'], echo.body], ['PUT', '/api/debug/echo', 'a=1&b=%20', 'a', 'x\0y']);
  assert.equal((await weir.json('/api/debug/json', ' { "b" : 1.0 , "a":[true,null,"\\u4f60"] } ')).text.includes('你'), true);
  assert.equal((await weir.json('/api/debug/json', '{"a":01}')).status, 400);
  const upload = await weir.multipart('/api/debug/upload', [{ name: 'a', value: '1' }, { name: 'f', filename: 'x.bin', type: 'application/x', bytes: Buffer.from('abc') }]);
  assert.deepEqual(upload.body, { fields: { a: '1' }, files: [{ name: 'f', filename: 'x.bin', type: 'application/x', size: 3, sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' }] });
  const socket = await weir.socket('/api/debug/ws');
  socket.sendBinary(Buffer.from([0, 255]));
  assert.deepEqual(await socket.next(), Buffer.from([0, 255]));
  socket.destroy();
  const own = await startServe({ 'debug.routes': 'false' });
  for (const [method, target] of [['GET', '/api/debug/echo'], ['POST', '/api/debug/clock'], ['POST', '/api/debug/upload']]) assert.equal((await own.request(method, target)).status, 404);
  await assert.rejects(own.socket('/api/debug/ws'), (error) => error.status === 404);
  await own.stop();
});

test('the demo, which believes everybody on this machine, answers to this machine\'s names only', async () => {
  const own = await startDemo({ 'debug.routes': 'false' });
  const ask = async (host) => (await rawRequest(own.port, `GET /matching/get_user_action/?openId=666 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).status;
  for (const host of ['127.0.0.1', `127.0.0.1:${own.port}`, 'localhost', 'LocalHost:80', '[::1]:8000', '127.1.2.3']) assert.equal(await ask(host), 200, host);
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '127.evil.example', '10.0.0.1', '[::2]']) assert.equal(await ask(host), 403, host);
  await own.stop();
});

test('built-in files are packed for who takes it, and cached by their tag', async () => {
  const target = '/matching/static/weir.css';
  const whole = await weir.get(target), packed = await weir.get(target, {}, { headers: { 'Accept-Encoding': 'br, gzip' } });
  assert.equal(packed.headers['content-encoding'], 'gzip');
  assert.ok(packed.bytes.length < whole.bytes.length);
  assert.match(packed.headers.vary, /Accept-Encoding/);
  assert.notEqual(packed.headers.etag, whole.headers.etag);
  assert.equal((await weir.get(target, {}, { headers: { 'If-None-Match': whole.headers.etag } })).status, 304);
  assert.deepEqual(gunzipSync(packed.bytes), whole.bytes);
});

/* ---- rates ---- */

test('an address that asks too often is told to wait, and may ask again then', async () => {
  const own = await startServe({ 'server.rate': '10', 'diary.access': 'open' });
  try {
    const replies = await Promise.all([...Array(60)].map(() => own.get('/matching/get_user_action/', { openId: 'a' })));
    const refused = replies.filter((reply) => reply.status === 429);
    assert.ok(refused.length >= 20 && refused.length < 60, `${refused.length} of 60 were refused`);
    for (const reply of refused) assert.deepEqual([reply.headers['retry-after'], reply.body.status], ['1', 'fail']);
    for (let i = 0; i < 50; i++) assert.equal((await own.get('/healthz')).status, 200, 'the engine\'s own routes are free');
    const end = Date.now() + 10_000;
    while ((await own.get('/matching/get_user_action/', { openId: 'a' })).status === 429) assert.ok(Date.now() < end, 'it is over after some seconds');
    assert.match((await own.get('/metrics')).text, /^weir_rate_refused_total [1-9]/m);
  } finally {
    await own.stop();
  }
});

test('one user who asks too often does not slow the others, over sockets neither', async () => {
  const own = await startServe({ 'server.principal_rate': '10', 'diary.access': 'open' });
  try {
    for (const openId of ['loud', 'quiet']) assert.equal((await own.form('/matching/emotion/', { openId, title: '', content: '平常的一天' })).status, 200);
    const replies = await Promise.all([...Array(60)].map(() => own.get('/matching/get_user_action/', { openId: 'loud' })));
    assert.ok(replies.filter((reply) => reply.status === 429).length >= 20);
    assert.equal((await own.get('/matching/get_user_action/', { openId: 'quiet' })).status, 200);
    const socket = await own.socket('/ws/chat/r/', { query: { openId: 'quiet' } });
    for (let i = 0; i < 60; i++) socket.say({ openid: 'quiet', message: `${i}` });
    let told = 0;
    for (let i = 0; i < 60; i++) if ((await socket.frameObject()).code === 429) told += 1;
    assert.ok(told >= 20 && told < 60, `${told} frames were refused`);
    socket.destroy();
  } finally {
    await own.stop();
  }
});

/* ---- the access log ---- */

test('the access log tells routes and statuses, never what was in a request', async () => {
  const own = await startDemo({ 'log.access': path.join(weir.folder, 'access.log') });
  const secrets = { openId: 'secretopenid', title: 'secrettitle', content: 'secretcontent', pair_id: 'secretroom', js_code: 'secretcode', session_key: 'secrettoken', img_name: 'secretname' };
  const replies = [await own.form('/matching/emotion/', secrets, { headers: { Authorization: 'Bearer secretbearer', Cookie: 'weir_session=secretcookie', Referer: 'http://x/secretreferer', 'User-Agent': 'secretagent' } }),
    await own.get('/matching/get_user_action/', secrets), await own.get('/matching/get_history_action/', secrets), await own.get('/matching/get_openId_action/', secrets), await own.form('/matching/send_message_via_http/', secrets),
    await own.get('/upload/secretname.png'), await own.get('/secretpath'), await own.get('/matching/room/secretroom/')];
  const socket = await own.socket('/ws/chat/secretroom/', { query: { openId: 'secretopenid' } });
  socket.say({ openid: 'secretopenid', message: 'secretmessage' });
  await socket.next();
  socket.destroy();
  await own.stop();
  const log = readFileSync(path.join(weir.folder, 'access.log'), 'utf8');
  assert.doesNotMatch(log + own.err, /secret/);
  for (const reply of replies) assert.match(log, new RegExp(` ${reply.status} \\d+ [\\d.]+ ${reply.headers['x-request-id']} `));
  for (const line of log.trimEnd().split('\n')) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (127\.0\.0\.1|unix) [A-Z]+ [\w.]+ \d{3} \d+ \d+\.\d{3} [0-9a-f]{16} [a-z]+$/);
});
