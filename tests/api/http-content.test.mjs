// What is served as a file (RFC 9110 8, 12–14): types, codings, validators, conditions, ranges, of built-in assets and of uploads; and a server that is treated badly: connections dropped anywhere,
// clients that ask and never read. Bytes are compared with what a plain GET gives.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { after, before, test } from 'node:test';
import zlib from 'node:zlib';
import { converse, readReplies } from '../lib/conversation.mjs';
import { png } from '../lib/pictures.mjs';
import { startDemo } from '../lib/weir.mjs';

const CSS = '/matching/static/weir.css';
const SMALL = '/healthz';
let weir;
let picture;
before(async () => {
  weir = await startDemo();
  const noise = png(300, 300, { text: [...Array(40_000).keys()].join('') });
  const stored = await weir.multipart('/matching/upload_img_action/', [{ name: 'img', filename: 'p.png', type: 'image/png', bytes: noise }, { name: 'img_name', value: 'p' }]);
  assert.equal(stored.status, 200, stored.text);
  picture = new URL(stored.body.data.image.photourl).pathname;
});
after(async () => { await weir.stop(); });

const ask = async (target, headers = {}, method = 'GET') => {
  const lines = Object.entries({ Host: 'weir', ...headers, Connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const { bytes, end } = await converse(weir.port, `${method} ${target} HTTP/1.1\r\n${lines}\r\n`);
  assert.equal(end, 'fin');
  return readReplies(bytes, { heads: method === 'HEAD' ? [0] : [], what: `${target} ${JSON.stringify(headers)}` })[0];
};
const each = async (work) => { for (const target of [CSS, picture]) await work(target, await ask(target)); };

test('an asset and an upload have a type, a length, a validator, and are not sniffed', () => each((target, whole) => {
  assert.equal(whole.status, 200);
  assert.equal(whole.header('content-type'), target === CSS ? 'text/css; charset=utf-8' : 'image/png');
  assert.equal(whole.header('accept-ranges'), 'bytes');
  assert.equal(whole.header('x-content-type-options'), 'nosniff');
  assert.match(whole.header('etag'), /^"[\x21\x23-\x7e]+"$/);
}));

test('gzip for who wants it, and for nobody else', async () => {
  const whole = await ask(CSS);
  assert.ok(whole.body.length > 512 && whole.header('content-encoding') === undefined);
  assert.match(whole.header('vary'), /\baccept-encoding\b/i, 'caches must know');
  for (const accept of ['gzip', 'GZIP', 'br, gzip', 'deflate , gzip , br']) {
    const packed = await ask(CSS, { 'Accept-Encoding': accept });
    assert.equal(packed.header('content-encoding'), 'gzip', accept);
    assert.match(packed.header('vary'), /\baccept-encoding\b/i);
    assert.notEqual(packed.header('etag'), whole.header('etag'), 'other bytes, another strong tag');
    assert.deepEqual(zlib.gunzipSync(packed.body), whole.body);
    assert.ok(packed.body.length < whole.body.length);
    const again = await ask(CSS, { 'Accept-Encoding': accept, 'If-None-Match': packed.header('etag') });
    assert.equal(again.status, 304);
  }
  for (const accept of ['identity', 'br', 'gzip;q=0', 'x-gzip-like', '', 'gzipx', 'x gzip']) {
    const plain = await ask(CSS, { 'Accept-Encoding': accept });
    assert.deepEqual([plain.header('content-encoding'), plain.body.equals(whole.body)], [undefined, true], accept);
  }
  assert.equal((await ask(picture, { 'Accept-Encoding': 'gzip' })).header('content-encoding'), undefined, 'pictures are packed already');
});

test('conditions in the order of RFC 9110 13.2.2', () => each(async (target, whole) => {
  const tag = whole.header('etag'), modified = whole.header('last-modified'), past = 'Sat, 01 Jan 2000 00:00:00 GMT', future = 'Fri, 01 Jan 2100 00:00:00 GMT';
  const cases = [
    [{ 'If-None-Match': tag }, 304], [{ 'If-None-Match': `W/${tag}` }, 304], [{ 'If-None-Match': '*' }, 304], [{ 'If-None-Match': `"x", ${tag} , "y"` }, 304], [{ 'If-None-Match': `${tag},"y"` }, 304],
    [{ 'If-None-Match': '"x"' }, 200], [{ 'If-None-Match': tag.slice(1, -1) }, 200], [{ 'If-None-Match': tag.toUpperCase() === tag ? '"X"' : tag.toUpperCase() }, 200], [{ 'If-None-Match': 'x"' }, 200], [{ 'If-None-Match': ',' }, 200],
    [{ 'If-None-Match': '"x"', 'If-Modified-Since': future }, 200], [{ 'If-Modified-Since': 'yesterday' }, 200], [{ 'If-Modified-Since': '32 13 99' }, 200],
    [{ 'If-Match': tag }, 200], [{ 'If-Match': `"x", ${tag}` }, 200], [{ 'If-Match': '*' }, 200], [{ 'If-Match': '"x"' }, 412], [{ 'If-Match': `W/${tag}` }, 412], [{ 'If-Match': '"x"', 'If-None-Match': tag }, 412],
    [{ 'If-Match': tag, 'If-Unmodified-Since': past }, 200], [{ 'If-Match': tag, 'If-None-Match': tag }, 304], [{ 'If-Unmodified-Since': 'never' }, 200], [{ 'If-None-Match': tag, Range: 'bytes=0-1' }, 304],
    ...(modified ? [[{ 'If-Modified-Since': modified }, 304], [{ 'If-Modified-Since': future }, 304], [{ 'If-Modified-Since': past }, 200], [{ 'If-Unmodified-Since': past }, 412], [{ 'If-Unmodified-Since': modified }, 200],
      [{ 'If-Unmodified-Since': past, Range: 'bytes=0-1' }, 412]] : []),
  ];
  assert.equal(modified !== undefined, target === picture);
  for (const [headers, status] of cases) {
    const got = await ask(target, headers);
    assert.equal(got.status, status, JSON.stringify(headers));
    if (status === 304) assert.deepEqual([got.header('etag'), got.header('content-length'), got.header('content-encoding')], [tag, undefined, undefined], '304 tells the validator and no length');
    if (status === 412) assert.equal(got.body.length, 0);
    if (status === 200) assert.ok(got.body.equals(whole.body));
    assert.equal((await ask(target, headers, 'HEAD')).status, status, `HEAD ${JSON.stringify(headers)}`);
  }
}));

test('one range is served, what cannot be is 416, what is no range is answered whole', () => each(async (target, whole) => {
  const n = whole.body.length, tag = whole.header('etag');
  const cases = [['0-0', 0, 0], ['0-1', 0, 1], ['1-', 1, n - 1], ['-1', n - 1, n - 1], [`-${n}`, 0, n - 1], [`-${n + 9}`, 0, n - 1], [`${n - 1}-`, n - 1, n - 1], [`${n - 1}-${n + 9}`, n - 1, n - 1], ['0-9223372036854775807', 0, n - 1],
    [`5-${n - 1}`, 5, n - 1], ['00005-7', 5, 7], ['-9223372036854775807', 0, n - 1]];
  for (const [range, from, to] of cases) {
    for (const unit of ['bytes', 'Bytes']) {
      const got = await ask(target, { Range: `${unit}=${range}` });
      assert.deepEqual([got.status, got.header('content-range')], [206, `bytes ${from}-${to}/${n}`], range);
      assert.ok(got.body.equals(whole.body.subarray(from, to + 1)), range);
      assert.equal(got.header('etag'), tag);
    }
    const head = await ask(target, { Range: `bytes=${range}` }, 'HEAD');
    assert.deepEqual([head.status, head.header('content-length')], [200, String(n)], 'a range is for GET alone (RFC 9110 14.2)');
  }
  for (const range of [`${n}-`, `${n}-${n + 1}`, '9223372036854775807-', '-0']) {
    const got = await ask(target, { Range: `bytes=${range}` });
    assert.deepEqual([got.status, got.header('content-range'), got.body.length], [416, `bytes */${n}`, 0], range);
  }
  for (const range of ['bytes=', 'bytes=-', 'bytes=a-b', 'bytes=2-1', 'bytes=1', 'bytes 0-1', 'items=0-1', 'bytes=0-1,3-4', 'bytes=0-0,-1', 'bytes=0-1,', 'bytes=-1-2', 'bytes=0--1', 'bytes=+0-1', 'bytes=0x0-1', 'bytes=99999999999999999999-',
    'bytes=0-18446744073709551616', '0-1', `bytes=${'0-1,'.repeat(1000)}5-6`]) {
    const got = await ask(target, { Range: range });
    assert.deepEqual([got.status, got.header('content-range'), got.body.length], [200, undefined, n], range);
  }
  for (const [validator, status] of [[tag, 206], ['"x"', 200], [`W/${tag}`, 200], ['Sat, 01 Jan 2000 00:00:00 GMT', 200]])
    assert.equal((await ask(target, { Range: 'bytes=0-1', 'If-Range': validator })).status, status, `If-Range ${validator}`);
}));

test('a range of a packed asset counts the packed bytes', async () => {
  const packed = await ask(CSS, { 'Accept-Encoding': 'gzip' });
  const part = await ask(CSS, { 'Accept-Encoding': 'gzip', Range: 'bytes=10-19' });
  assert.deepEqual([part.status, part.header('content-range'), part.header('content-encoding')], [206, `bytes 10-19/${packed.body.length}`, 'gzip']);
  assert.ok(part.body.equals(packed.body.subarray(10, 20)));
});

test('a compressed request body is 415', async () => {
  const body = zlib.gzipSync('openId=a');
  for (const [coding, status] of [['gzip', 415], ['br', 415], ['gzip, gzip', 415], ['identity', 400], ['IDENTITY', 400]]) {
    const head = `POST /matching/store_action/ HTTP/1.1\r\nHost: weir\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`;
    assert.equal(readReplies((await converse(weir.port, [head, body])).bytes)[0].status, status, coding);
  }
});

test('nothing outside the folder is served, whatever the path', async () => {
  for (const base of ['/matching/static', '/upload', '/upload/thumb'])
    for (const name of ['../weir.ini', '../../weir.db', '%2e%2e/weir.db', '..%2fweir.db', '....//weir.db', '%252e%252e%252fweir.db', 'thumb', '.', '%00', 'weir.css%00.png', '~root', 'C:%5c', '-', '*', `${'a'.repeat(5000)}`, '%e2%80%ae', 'nul', 'secret_key']) {
      const got = await ask(`${base}/${name}`);
      assert.ok([400, 404].includes(got.status), `${base}/${name}: ${got.status}`);
      assert.doesNotMatch(got.text, /SQLite|\[server\]/);
    }
});

// ---- bad company ----

/** A generator of numbers below n that gives the same every time. */
function dice(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const metric = async (name) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec((await weir.plain('GET', '/metrics')).text)?.[1]);
const settled = async (ready, what) => {
  for (const end = Date.now() + 20_000; ;) {
    if (await ready()) return;
    assert.ok(Date.now() < end, what);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
};
const processMiB = (what) => Number(new RegExp(`^${what}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${weir.pid}/status`, 'utf8'))[1]) / 1024;
const sanitized = () => processMiB('VmSize') > 1e6;              // ASan maps terabytes, and keeps what was freed

test('a thousand connections are dropped anywhere, and nothing is left of them', { timeout: 60_000 }, async () => {
  const pick = dice(7);
  const script = [`GET ${CSS} HTTP/1.1\r\nHost: weir\r\nX-Long: ${'x'.repeat(300)}\r\n\r\n`, `POST /api/debug/echo HTTP/1.1\r\nHost: weir\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n`,
    `POST /matching/store_action/ HTTP/1.1\r\nHost: weir\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 75\r\n\r\nopenId=dropped&nickName=a&avatarUrl=&gender=1&province=&city=&country=&x=12`, `GET ${picture} HTTP/1.1\r\nHost: weir\r\n\r\n`,
    'POST /api/debug/upload HTTP/1.1\r\nHost: weir\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 400\r\n\r\n--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nxxxxxxxxxxxxxxxx',
    `GET /api/debug/ws HTTP/1.1\r\nHost: weir\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x85\0\0\0\0hello\x01\x85\0\0\0\0hel`].map((text) => Buffer.from(text, 'latin1'));
  const drop = () => new Promise((resolve) => {
    const bytes = script[pick(script.length)];
    const at = pick(bytes.length + 1), way = pick(4), wait = pick(3);
    const socket = net.connect(weir.port, '127.0.0.1');
    socket.on('error', () => {}).on('close', resolve);
    socket.on('connect', () => {
      const leave = () => (way === 0 ? socket.resetAndDestroy?.() ?? socket.destroy() : way === 1 ? socket.end() : socket.destroy());
      if (way === 1) socket.resume();                              // shut our side, and read to the end
      if (way === 3) { leave(); return; }
      socket.write(bytes.subarray(0, at), () => (wait === 0 ? leave() : setImmediate(leave)));
    });
    setTimeout(() => socket.destroy(), 15_000).unref();
  });
  await weir.plain('GET', SMALL);
  const before = await metric('weir_connections_open');
  for (let i = 0; i < 20; i++) await Promise.all([...Array(50)].map(drop));
  assert.equal((await weir.plain('GET', SMALL)).status, 200);
  await settled(async () => (await metric('weir_connections_open')) <= before + 1, 'connections stay open');
});

test('clients that ask and never read are no burden, and others are served meanwhile', { timeout: 60_000 }, async () => {
  const before = processMiB('VmRSS');
  const wanted = Buffer.from(`GET ${picture} HTTP/1.1\r\nHost: weir\r\n\r\nGET ${CSS} HTTP/1.1\r\nHost: weir\r\n\r\n`.repeat(20_000));
  const greedy = [...Array(20)].map(() => {
    const socket = net.connect(weir.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.pause();
    socket.write(wanted);
    return socket;
  });
  await settled(async () => greedy.every((socket) => socket.writableLength > 0 || socket.destroyed), 'they are read without end');
  for (let i = 0; i < 200; i++) assert.equal((await weir.plain('GET', SMALL)).status, 200);
  const more = processMiB('VmRSS') - before;
  assert.ok(more < 60 || sanitized(), `${more} MiB more for twenty of them`);
  greedy.forEach((socket) => socket.destroy());
  assert.equal((await ask(CSS)).status, 200);
});
