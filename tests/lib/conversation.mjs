// HTTP as a suspicious client speaks it: bytes out, all bytes back until the server ends the connection, and a reader of replies that forgives nothing.
//
// A conversation ends when the server ends it; so a test that wants to know where the server believes a request to end sends another one with "Connection: close" behind it and counts the replies.
import assert from 'node:assert/strict';
import net from 'node:net';

const WAIT_MS = 20_000;

export const bytesOf = (data) => (typeof data === 'string' ? Buffer.from(data, 'latin1') : data);

/** Sends the pieces, one write each, and reads to the end: { bytes, end: 'fin' | 'reset' | 'timeout', ms }. `half`: our side is shut behind the last piece. `pauseMs` between pieces. */
export function converse(port, pieces, { half = false, pauseMs = 0, waitMs = WAIT_MS } = {}) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const chunks = [];
    const begun = performance.now();
    let rest = null;
    const over = (end) => {
      clearTimeout(watch);
      clearTimeout(rest);
      socket.destroy();
      resolve({ bytes: Buffer.concat(chunks), end, ms: performance.now() - begun });
    };
    const watch = setTimeout(() => over('timeout'), waitMs);
    socket.setNoDelay(true);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => over('fin'));
    socket.on('error', () => over('reset'));
    const list = [pieces].flat();
    const next = (i) => {
      if (socket.destroyed) return;
      if (i < list.length) socket.write(bytesOf(list[i]), () => { if (pauseMs) rest = setTimeout(next, pauseMs, i + 1); else setImmediate(next, i + 1); });
      else if (half) socket.end();
    };
    socket.on('connect', () => next(0));
  });
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/;
const ONCE = ['date', 'server', 'content-length', 'transfer-encoding', 'content-type', 'etag', 'last-modified', 'x-request-id', 'connection', 'content-range'];

function headOf(bytes, at, what) {
  const end = bytes.indexOf('\r\n\r\n', at);
  assert.ok(end >= 0, `${what}: a head without its end`);
  const text = bytes.subarray(at, end).toString('latin1');
  assert.doesNotMatch(text, /[^\r]\n|\r[^\n]|[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/, `${what}: control bytes in a head`);
  const [first, ...lines] = text.split('\r\n');
  const status = /^HTTP\/1\.1 ([1-5]\d\d) ([\x20-\x7e]+)$/.exec(first);
  assert.ok(status, `${what}: status line ${JSON.stringify(first)}`);
  const headers = lines.map((line) => {
    const colon = line.indexOf(':');
    assert.ok(colon > 0 && TOKEN.test(line.slice(0, colon)) && line[colon + 1] === ' ', `${what}: header line ${JSON.stringify(line)}`);
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)];
  });
  return { status: Number(status[1]), reason: status[2], headers, next: end + 4 };
}

function chunksOf(bytes, at, what) {
  const parts = [];
  for (;;) {
    const end = bytes.indexOf('\r\n', at);
    const line = bytes.subarray(at, end).toString('latin1');
    assert.ok(end >= 0 && /^[0-9a-fA-F]+$/.test(line), `${what}: chunk size ${JSON.stringify(line)}`);
    const size = parseInt(line, 16);
    assert.equal(bytes.subarray(end + 2 + size, end + 4 + size).toString('latin1'), '\r\n', `${what}: the end of a chunk`);
    if (!size) return { body: Buffer.concat(parts), next: end + 4 };
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 4 + size;
  }
}

/** What every reply must be like, whatever it answers. */
function judge(reply, what) {
  const { status, header, body } = reply;
  for (const name of ONCE) assert.ok(reply.headers.filter(([key]) => key === name).length <= 1, `${what}: ${name} more than once`);
  if (status < 200) return;
  assert.match(header('date') ?? '', DATE, `${what}: Date`);
  assert.ok(Math.abs(Date.parse(header('date')) - Date.now()) < 3_600_000, `${what}: Date is far away`);
  if (status === 204) assert.deepEqual([header('content-length'), header('transfer-encoding')], [undefined, undefined], `${what}: 204 with a length (RFC 9110 8.6)`);
  if (status < 400 || !body.length) return;
  assert.match(header('content-type') ?? '', /^application\/json(; charset=utf-8)?$/, what);
  const error = JSON.parse(body.toString('utf8'));
  const shape = error.status === 'fail' ? { status: 'fail', msg: error.msg } : { errcode: status, errmsg: error.errmsg };
  assert.deepEqual(error, shape, `${what}: ${body}`);
  assert.ok((error.msg ?? error.errmsg).length > 0, what);
}

/** For who does not know what was asked: no body of ours begins like a reply. */
export const guessHead = (n, rest) => rest.length === 0 || rest.subarray(0, 5).toString('latin1') === 'HTTP/';

/** All replies in the bytes, judged; nothing may be left over. `heads`: the numbers (from 0, 1xx not counted) of those that answer a HEAD, or what tells it from number and following bytes. */
export function readReplies(bytes, { heads = [], what = '' } = {}) {
  const isHead = typeof heads === 'function' ? heads : (number) => heads.includes(number);
  const replies = [];
  let at = 0, n = 0;
  while (at < bytes.length) {
    const name = `${what} reply ${replies.length + 1}`;
    const { status, reason, headers, next } = headOf(bytes, at, name);
    const header = (key) => headers.find(([one]) => one === key.toLowerCase())?.[1];
    const reply = { status, reason, headers, header, body: Buffer.alloc(0) };
    const length = header('content-length');
    at = next;
    assert.ok(length === undefined || (/^\d+$/.test(length) && header('transfer-encoding') === undefined), `${name}: Content-Length ${length}`);
    if (status >= 200 && status !== 204 && status !== 304 && !isHead(n, bytes.subarray(at))) {
      if (header('transfer-encoding') !== undefined) {
        assert.equal(header('transfer-encoding'), 'chunked', name);
        ({ body: reply.body, next: at } = chunksOf(bytes, at, name));
      } else if (length !== undefined) {
        assert.ok(bytes.length - at >= Number(length), `${name}: ${bytes.length - at} of ${length} bytes came`);
        reply.body = bytes.subarray(at, at += Number(length));
      } else {
        assert.equal(header('connection'), 'close', `${name}: no length and no close`);
        reply.body = bytes.subarray(at);
        at = bytes.length;
      }
    }
    if (status >= 200) n++;
    reply.text = reply.body.toString('utf8');
    judge(reply, name);
    replies.push(reply);
  }
  return replies;
}
