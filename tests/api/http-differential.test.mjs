// The whole server against Node's own, on requests that a generator damages: what Weir takes, Node must take as well, and both must understand the same method, target, headers and body and see the same
// beginning of the next request. Node may take more: it is a lenient reader in places (chunk extensions, equal lengths, unknown codings, other versions and methods, missing Hosts), and Weir refuses what two
// readers may read in two ways. So wherever the two differ, Weir must be the one that refuses, in words: 4xx or 5xx with Connection: close.
//
// Each case is a connection of its own: one to three requests (valid ones, damaged), then a sentinel with "Connection: close", then our side is shut. Nothing depends on chance: the seed is WEIR_SEED (1), the number of
// cases WEIR_CASES (3000); a failure prints the bytes, which belong into the table KNOWN below once they are understood.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { converse, guessHead, readReplies } from '../lib/conversation.mjs';
import { startDemo } from '../lib/weir.mjs';

const CASES = Number(process.env.WEIR_CASES ?? 3000);
const SEED = Number(process.env.WEIR_SEED ?? 1);
const AT_ONCE = 16;
const ECHO = '/api/debug/echo';
const SENTINEL = `GET ${ECHO}?sentinel HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n`;

let weir;
let node;
const seenByNode = new Map();                                      // port of the client -> requests

before(async () => {
  weir = await startDemo();
  node = http.createServer({ insecureHTTPParser: false, keepAliveTimeout: 60_000 }, (request, response) => {
    const list = seenByNode.get(request.socket.remotePort) ?? [];
    const one = { method: request.method, target: request.url, names: namesOf(request.rawHeaders), whole: false };
    const chunks = [];
    list.push(one);
    seenByNode.set(request.socket.remotePort, list);
    request.on('error', () => {});
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => { one.whole = true; one.body = digest(Buffer.concat(chunks)); response.end('{}'); });
  });
  node.httpAllowHalfOpen = true;                                   // a client that shuts its side still wants its answers
  node.on('clientError', (error, socket) => { if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'); else socket.destroy(); });
  await new Promise((resolve) => { node.listen(0, '127.0.0.1', resolve); });
});
after(async () => {
  await weir.stop();
  node.closeAllConnections?.();
  await new Promise((resolve) => { node.close(resolve); });
});

const digest = (body) => `${body.length}:${createHash('sha256').update(body).digest('hex')}`;
/** The distinct names of header lines, as both see them. */
const namesOf = (raw) => [...new Set(raw.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase()))].sort().join();

// ---- the generator ----

function dice(seed) {                                              // xorshift: the same everywhere
  let state = (seed * 2654435761 + 88675123) >>> 0;
  return (n) => {
    state ^= state << 13; state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5; state >>>= 0;
    return state % n;
  };
}
const oneOf = (pick, list) => list[pick(list.length)];

/* No Upgrade line: with one, Node reads nothing behind the request, whatever it answers. */
const LINES = ['Accept: */*', 'User-Agent: x/1 (y; z)', 'Content-Type: text/plain', 'X-Empty:', 'X-List: a, b', 'x-list: c', 'Connection: keep-alive', 'Connection: close', 'Connection: Upgrade', 'Cookie: a=b; c="d"',
  'Expect: 100-continue', 'TE: trailers', 'Trailer: X', 'Via: 1.1 x', 'Forwarded: for="[::1]"', 'Content-Encoding: gzip', 'Accept-Encoding: gzip;q=0.5', 'Keep-Alive: timeout=5', 'Max-Forwards: 0', 'X-Bytes: \xe4\xbd\xa0\xff', 'X-Tab: a\tb'];
const TARGETS = [ECHO, `${ECHO}?a=b&c=%20`, `${ECHO}/?x`, `http://weir${ECHO}?y`, `${ECHO}?%00%zz`, `${ECHO}?"<>^{|}`, '/nothing', '/healthz', `https://weir${ECHO}`];
const CODINGS = ['chunked', 'Chunked', 'identity', 'gzip, chunked', 'chunked, chunked', ' chunked', 'chunked ', '\x0bchunked', 'chunked;a', '"chunked"', 'xchunked', 'chunked\t', 'chunk', ', chunked', 'chunked,', 'trailers, chunked'];
const LENGTHS = ['+3', '-1', '03', '3 ', ' 3', '3,3', '3, 3', '0x3', '3 3', '', '3;', '4294967299', '18446744073709551619', '1e1', '٣', '3\t'];
const SIZES = ['3;a=b', '3 ', ' 3', '+3', '0x3', '03', '0000000000000003', '00000000000000003', '3\t', '', 'g', '3;', '-3', 'ffffffffffffffff', '10000000000000003', '3\r'];
const BITS = ['\r', '\n', '\r\n', '\0', ' ', '\t', ':', ';', ',', '\x0b', '\x0c', '\x7f', '\x80', '\x85', '\xa0', '\xff', '0', '1', 'a', '/', '?', '#', '%', '"', '\\', '\r\n ', '\n\t', '\r\r\n', '\n\n', 'HTTP/1.1', 'chunked', '\r\n\r\n'];
const BODIES = ['', 'a', 'abc', 'x=y&z', '\r\n\r\n', '0\r\n\r\n', SENTINEL, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\0\x01\xff', 'z'.repeat(300)];

/** A valid request as its parts, so that damage can be aimed. */
function valid(pick) {
  const body = pick(2) ? oneOf(pick, BODIES) : '';
  const framing = !body && pick(2) ? 'none' : oneOf(pick, ['length', 'chunked']);
  const lines = ['Host: weir', ...[...Array(pick(5))].map(() => oneOf(pick, LINES))];
  if (framing === 'length') lines.splice(pick(lines.length + 1), 0, `Content-Length: ${body.length}`);
  if (framing === 'chunked') lines.splice(pick(lines.length + 1), 0, 'Transfer-Encoding: chunked');
  let rest = framing === 'length' ? [body] : [];
  if (framing === 'chunked') {
    const cut = body.length ? pick(body.length) + 1 : 0;
    const pieces = [body.slice(0, cut), body.slice(cut)].filter(Boolean);
    const trailer = pick(4) ? '' : oneOf(pick, ['X: y\r\n', 'Content-Length: 5\r\n', 'A: b\r\nC: d\r\n', 'Host: evil\r\n']);
    rest = [...pieces.flatMap((piece) => [piece.length.toString(16), '\r\n', piece, '\r\n']), '0', '\r\n', trailer, '\r\n'];
  }
  const version = pick(8) ? 'HTTP/1.1' : framing === 'chunked' ? 'HTTP/1.1' : 'HTTP/1.0';
  return { words: [oneOf(pick, ['GET', 'POST', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']), oneOf(pick, TARGETS), version], gaps: [' ', ' ', '\r\n'], lines, ends: lines.map(() => '\r\n'), end: '\r\n', rest };
}

const AIMED = [
  (r, pick) => { r.lines.splice(pick(r.lines.length), 1); },                                               // a line is missing
  (r, pick) => { r.lines.splice(pick(r.lines.length + 1), 0, oneOf(pick, r.lines) ?? ''); },               // a line twice
  (r, pick) => { r.lines.splice(pick(r.lines.length + 1), 0, `Content-Length: ${oneOf(pick, LENGTHS)}`); },
  (r, pick) => { r.lines.splice(pick(r.lines.length + 1), 0, `Content-Length: ${pick(12)}`); },
  (r, pick) => { r.lines.splice(pick(r.lines.length + 1), 0, `Transfer-Encoding: ${oneOf(pick, CODINGS)}`); },
  (r, pick) => { r.lines = r.lines.map((line) => line.replace(/^Transfer-Encoding: .*/, () => `Transfer-Encoding: ${oneOf(pick, CODINGS)}`)); },
  (r, pick) => { r.lines = r.lines.map((line) => line.replace(/^Content-Length: .*/, () => `Content-Length: ${oneOf(pick, LENGTHS)}`)); },
  (r, pick) => { r.lines = r.lines.map((line) => (pick(3) ? line : line.replace(':', oneOf(pick, [' :', '\t:', ':\t', ':', ': \t ', '::', '\x0b:', '\0:'])))); },
  (r, pick) => { r.lines = r.lines.map((line) => (pick(3) ? line : line.replace(/-/, oneOf(pick, ['_', '--', ' ', '\0'])))); },
  (r, pick) => { r.lines = r.lines.map((line) => (pick(2) ? line : line.toUpperCase())); },
  (r, pick) => { r.ends[pick(r.ends.length || 1)] = oneOf(pick, ['\n', '\r', '\r\r\n', '\n\r', '\r\n ', '\r\n\t', ' \r\n', '\x85', '\0\r\n', '']); },
  (r, pick) => { r.gaps[pick(3)] = oneOf(pick, ['', '  ', '\t', '\x0b', '\n', '\r\n', '\r', ' \r\n', '\x0c', '\xa0']); },
  (r, pick) => { r.end = oneOf(pick, ['', '\n', '\r', '\r\n\r\n', ' \r\n', '\r\r\n']); },
  (r, pick) => { r.words[0] = oneOf(pick, ['get', 'Get', 'GETT', 'HEAD', 'TRACE', 'CONNECT', 'QUERY', 'G\0T', '', 'LOCK', 'PRI', '"GET"', 'OPTIONS']); },
  (r, pick) => { r.words[1] = oneOf(pick, ['*', 'weir:80', `//weir${ECHO}`, `http://evil${ECHO}`, `ftp://weir${ECHO}`, `${ECHO}#f`, `${ECHO}?a b`, '', 'x', `${ECHO}/\xe9`, `${ECHO}\\..`, '/api/../api/debug/echo', `http://weir:80${ECHO}`, `http://weir@evil${ECHO}`, `${ECHO}\0`, 'http://weir']); },
  (r, pick) => { r.words[2] = oneOf(pick, ['HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'HTTP/0.9', 'http/1.1', 'HTTP/1.10', 'HTTP/1', 'HTTP/1.1 ', 'ICE/1.0', 'RTSP/1.0', '', 'HTTP/11']); },
  (r, pick) => { if (r.rest.length > 1) r.rest[0] = oneOf(pick, SIZES); },
  (r, pick) => { const at = r.rest.lastIndexOf('0'); if (at >= 0) r.rest[at] = oneOf(pick, ['00', '-0', '0 ', '0;x', '+0', '0x0', '', '0000000000000000', '00000000000000000']); },
  (r, pick) => { const ends = r.rest.map((piece, i) => (piece === '\r\n' ? i : -1)).filter((i) => i >= 0); if (ends.length) r.rest[oneOf(pick, ends)] = oneOf(pick, ['\n', '\r', '', '\r\r\n', 'XX', '\r\n\r\n']); },
  (r, pick) => { if (r.rest.length > 1) r.rest[r.rest.length - 2] = oneOf(pick, ['X : y\r\n', 'X\r\n', ' X: y\r\n', 'X: y\n', 'X: y\r\n z\r\n', ': y\r\n', 'X: \0\r\n', 'X: y\r\n\r\n']); },
  (r, pick) => { if (r.rest.length) r.rest[0] += oneOf(pick, BITS); },
];

const joined = (r) => r.words.map((word, i) => word + r.gaps[i]).join('') + r.lines.map((line, i) => line + (r.ends[i] ?? '\r\n')).join('') + r.end + r.rest.join('');

const BLIND = [
  (bytes, pick) => { const at = pick(bytes.length); return bytes.slice(0, at) + String.fromCharCode(bytes.charCodeAt(at) ^ (1 << pick(8))) + bytes.slice(at + 1); },
  (bytes, pick) => { const at = pick(bytes.length); return bytes.slice(0, at) + String.fromCharCode(pick(256)) + bytes.slice(at + 1); },
  (bytes, pick) => { const at = pick(bytes.length + 1); return bytes.slice(0, at) + oneOf(pick, BITS) + bytes.slice(at); },
  (bytes, pick) => { const at = pick(bytes.length); return bytes.slice(0, at) + bytes.slice(at + 1 + pick(3)); },
  (bytes, pick) => { const at = pick(bytes.length), n = pick(20) + 1; return bytes.slice(0, at + n) + bytes.slice(at); },
  (bytes, pick) => bytes.slice(0, pick(bytes.length)),
  (bytes, pick) => { const lines = bytes.split('\r\n'), a = pick(lines.length), b = pick(lines.length); [lines[a], lines[b]] = [lines[b], lines[a]]; return lines.join('\r\n'); },
];

function generate(number) {
  const pick = dice(SEED * 1_000_003 + number);
  for (let i = 0; i < 8; i++) pick(2);
  const out = [];
  for (let n = pick(3); n >= 0; n--) {
    const request = valid(pick);
    if (number % 5) {
      for (let k = pick(3); k > 0; k--) oneOf(pick, AIMED)(request, pick);
      let bytes = joined(request);
      if (!pick(3) && bytes) bytes = oneOf(pick, BLIND)(bytes, pick);
      out.push(bytes);
    } else {
      out.push(joined(request));                                   // one in five is left whole
    }
  }
  return out.join('') + SENTINEL;
}

// ---- the two readings ----

async function readByWeir(bytes) {
  const { bytes: back, end } = await converse(weir.port, bytes, { half: true });
  const replies = readReplies(back, { heads: /HEAD/.test(bytes) ? guessHead : [], what: JSON.stringify(bytes) });
  return { replies: replies.filter((reply) => reply.status >= 200), end };
}

function readByNode(bytes) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port: node.address().port, host: '127.0.0.1', allowHalfOpen: true });
    let port = 0;
    const watch = setTimeout(() => { socket.destroy(); reject(new Error(`Node does not end: ${JSON.stringify(bytes)}`)); }, 20_000);
    socket.on('connect', () => { port = socket.localPort; socket.end(Buffer.from(bytes, 'latin1')); });
    socket.resume();
    socket.on('error', () => {});
    socket.on('end', () => socket.destroy());
    socket.on('close', () => setImmediate(() => {
      clearTimeout(watch);
      const list = seenByNode.get(port) ?? [];
      seenByNode.delete(port);
      resolve(list.filter((one) => one.whole));
    }));
  });
}

/** What a reply of Weir tells about the request that it understood; nothing for refusals. */
function understood(reply) {
  if (reply.status !== 200 || !reply.text.startsWith('{"method"')) return null;
  const echo = JSON.parse(reply.text);
  const body = echo.body === undefined ? Buffer.from(echo.body_base64, 'base64') : Buffer.from(echo.body, 'utf8');
  const query = echo.query ?? Buffer.from(echo.query_base64, 'base64').toString('latin1');
  return { method: echo.method, target: echo.path + (query ? `?${query}` : ''), names: Object.keys(echo.headers).sort().join(), body: digest(body) };
}

/** Node tells the target as it was sent: absolute-form is cut down to what Weir tells, an empty query too. */
function cutDown(target) {
  const rest = /^https?:\/\//i.test(target) ? target.replace(/^https?:\/\/[^/?]*/i, '') : target;
  return (rest.startsWith('/') ? rest : `/${rest}`).replace(/^([^?]*)\?$/, '$1');
}

/** Where Weir may take what Node refuses, each with its reason. */
const KNOWN = [
  // a tab behind a length or a coding is optional white space (RFC 9110 5.5, 5.6.3); llhttp skips spaces only
  (bytes) => /^(content-length:[ \t]*\d+|transfer-encoding:[ \t]*chunked) *\t[ \t]*\r$/im.test(bytes),
];
const REFUSALS = [400, 408, 413, 414, 417, 431, 501, 505];

async function compare(bytes, count) {
  const [mine, theirs] = await Promise.all([readByWeir(bytes), readByNode(bytes)]);
  const what = `${JSON.stringify(bytes)}\nWeir: ${mine.replies.map((reply) => reply.status).join()} Node: ${JSON.stringify(theirs)}`;
  assert.equal(mine.end, 'fin', what);
  const last = mine.replies.at(-1);
  assert.ok(last, `no answer at all: ${what}`);
  const early = last.status !== 200;                               // a refusal; or the answer to a head (404, 405, 204) whose body may be bad
  const refused = early && REFUSALS.includes(last.status) && last.header('connection') === 'close';
  const taken = early ? mine.replies.slice(0, -1) : mine.replies;
  for (const reply of mine.replies.slice(0, -1)) assert.notEqual(reply.header('connection'), 'close', what);
  if (!early) assert.equal(last.header('connection'), 'close', what);
  assert.ok(!mine.replies.some((reply) => reply.status === 500 || reply.status === 503), what);
  if (taken.length > theirs.length && !KNOWN.some((known) => known(bytes))) assert.fail(`Node is stricter: ${what}`);
  taken.forEach((reply, i) => {
    const one = understood(reply);
    if (!one || !theirs[i]) return;
    assert.deepEqual(one, { method: theirs[i].method, target: cutDown(theirs[i].target), names: theirs[i].names, body: theirs[i].body }, what);
    count.compared++;
  });
  if (mine.replies.length - (refused ? 1 : 0) === theirs.length) count.same++;
  else count.stricter++;
  if (refused) count.refused++;
}

test('whole requests are understood alike by both', async () => {
  const count = { compared: 0, same: 0, stricter: 0, refused: 0 };
  const bytes = BODIES.map((body) => `POST ${ECHO}?q HTTP/1.1\r\nHost: weir\r\nContent-Length: ${body.length}\r\n\r\n${body}`).join('') + SENTINEL;
  await compare(bytes, count);
  assert.deepEqual(count, { compared: BODIES.length + 1, same: 1, stricter: 0, refused: 0 });
});

test(`${CASES} generated requests: where the two differ, Weir refuses`, { timeout: CASES * 100 + 60_000 }, async (t) => {
  const count = { compared: 0, same: 0, stricter: 0, refused: 0 };
  const wrong = [];
  let next = 0;
  const worker = async () => {
    while (next < CASES && wrong.length < 20) {
      const number = next++;
      await compare(generate(number), count).catch((error) => wrong.push(`case ${number}: ${error.message}`));
    }
  };
  await Promise.all([...Array(AT_ONCE)].map(worker));
  t.diagnostic(JSON.stringify(count));
  assert.deepEqual(wrong, []);
  assert.ok(count.compared > CASES / 2 && count.refused > CASES / 5 && count.same > CASES / 4, `the generator makes too much of one kind: ${JSON.stringify(count)}`);
  assert.equal((await weir.plain('GET', '/healthz')).status, 200);
});
