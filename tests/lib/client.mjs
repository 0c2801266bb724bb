// The HTTP client of the tests. Whatever passes through it is judged besides the test's own assertions: a success must have exactly the shape that `weir openapi` tells for its path, a refusal the shape
// of its app, nothing may be a 500, everything carries a request id.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { mismatches, operationOf } from './shapes.mjs';
import { openSocket } from './ws.mjs';

const REPLY_MS = 60_000;

/** A multipart body: parts are { name, value } or { name, filename, type, bytes }. */
export function multipart(parts, boundary = `----weir${randomBytes(8).toString('hex')}`) {
  const pieces = parts.flatMap((part) => {
    const file = part.filename === undefined ? '' : `; filename="${part.filename}"`;
    const type = part.type ? `Content-Type: ${part.type}\r\n` : '';
    return [`--${boundary}\r\nContent-Disposition: form-data; name="${part.name}"${file}\r\n${type}\r\n`, part.bytes ?? part.value, '\r\n'];
  });
  return { type: `multipart/form-data; boundary=${boundary}`, bytes: Buffer.concat([...pieces, `--${boundary}--\r\n`].map((piece) => Buffer.from(piece))) };
}

const encoded = (fields) => new URLSearchParams(Object.entries(fields).map(([key, value]) => [key, String(value)])).toString();

function bodyOf(options) {
  if (options.form !== undefined) return { type: 'application/x-www-form-urlencoded', bytes: Buffer.from(typeof options.form === 'string' ? options.form : encoded(options.form)) };
  if (options.json !== undefined) return { type: 'application/json', bytes: Buffer.from(typeof options.json === 'string' ? options.json : JSON.stringify(options.json)) };
  if (options.parts) return multipart(options.parts);
  if (options.body !== undefined) return { type: options.type ?? 'application/octet-stream', bytes: Buffer.from(options.body) };
  return null;
}

function exchange(agent, url, method, headers, bytes) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { agent, method, headers, timeout: REPLY_MS }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const all = Buffer.concat(chunks);
        resolve({ status: response.statusCode, headers: response.headers, bytes: all, text: all.toString('utf8') });
      });
    });
    request.on('timeout', () => request.destroy(new Error(`${method} ${url}: no answer in ${REPLY_MS} ms`)));
    request.on('error', reject);
    request.end(bytes);
  });
}

/* the ensemble's clients show `msg`, whatever stands beside it */
const telling = (path) => /^\/(account|absence|manager|api\/absence)(\/|$)/.test(path);
const failing = (path) => path === '/matching' || ['/matching/', '/ws/chat/', '/upload/'].some((prefix) => path.startsWith(prefix));

const msgs = (path) => ['/absence', '/manager', '/account/login/', '/account/refresh', '/api/absence/'].some((prefix) => path.startsWith(prefix));

/** What every answer of the server must be like. */
export function judge(method, path, reply) {
  const what = `${method} ${path}: ${reply.status} ${reply.text.slice(0, 300)}`;
  assert.notEqual(reply.status, 500, what);
  assert.match(reply.headers['x-request-id'] ?? '', /^[0-9a-f]{16}$/, `${what}\nhas no request id`);
  if (method === 'HEAD' || !reply.bytes.length) return;
  const json = /^application\/json; charset=utf-8$/.test(reply.headers['content-type'] ?? '');
  if (reply.status >= 400) {
    assert.ok(json, `${what}\nis no JSON`);
    const keys = Object.keys(reply.body).sort();
    if (msgs(path)) {
      assert.ok(typeof reply.body.msg === 'string' && reply.body.msg, what);
      if (path.startsWith('/api/')) assert.deepEqual([keys, reply.body.errcode, reply.body.errmsg], [['errcode', 'errmsg', 'msg'], reply.status, reply.body.msg], what);
    } else if (failing(path)) {
      assert.deepEqual([keys, reply.body.status, typeof reply.body.msg], [['msg', 'status'], 'fail', 'string'], what);
    } else if (telling(path)) {
      assert.ok(typeof reply.body.msg === 'string' && reply.body.msg.trim(), what);
    } else {
      assert.deepEqual([keys, reply.body.errcode, typeof reply.body.errmsg], [['errcode', 'errmsg'], reply.status, 'string'], what);
    }
    return;
  }
  const operation = operationOf(method, path);
  const schema = operation?.responses[200].content?.['application/json']?.schema;
  if (!schema || !json) return;
  assert.deepEqual(mismatches(schema, reply.body), [], `${what}\nis not what the table says`);
}

/** What a server object gets: requests, the clock, sockets, WeChat's phone. */
export function clientOf(weir) {
  const agent = new http.Agent({ keepAlive: true });
  const plain = async (base, method, target, options = {}) => {
    const query = options.query && Object.keys(options.query).length ? `?${encoded(options.query)}` : '';
    const body = bodyOf(options);
    const headers = { ...options.headers };
    if (body) {
      if (!Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')) headers['Content-Type'] = body.type;
      headers['Content-Length'] = body.bytes.length;
    }
    const reply = await exchange(agent, `${base}${target}${query}`, method, headers, body?.bytes);
    if (/json/.test(reply.headers['content-type'] ?? '') && reply.bytes.length) reply.body = JSON.parse(reply.text);
    return reply;
  };
  const request = async (method, target, options = {}) => {
    const reply = await plain(weir.url, method, target, options);
    judge(method, decodeURIComponent(new URL(target, weir.url).pathname), reply);
    return reply;
  };
  const control = async (method, call, body) => {
    const reply = await plain(weir.sandbox, method, `/_sandbox/${call}`, body === undefined ? {} : { json: body });
    assert.equal(reply.status, 200, `${call}: ${reply.text}`);
    return reply.body;
  };
  return {
    request,
    /** without any judgement */
    plain: (method, target, options) => plain(weir.url, method, target, options),
    get: (target, query = {}, options = {}) => request('GET', target, { query, ...options }),
    form: (target, form = {}, options = {}) => request('POST', target, { form, ...options }),
    json: (target, json = {}, options = {}) => request('POST', target, { json, ...options }),
    multipart: (target, parts, options = {}) => request('POST', target, { parts, ...options }),
    /** Moves the server's wall clock: to a time in ms, or 0 for the real one. `hold`: and it stands still there. */
    clock: async (now, { hold = false } = {}) => {
      const reply = await request('POST', '/api/debug/clock', { json: { now, ...(hold ? { hold: 1 } : {}) } });
      assert.equal(reply.status, 200, reply.text);
      return reply.body.data.now;
    },
    /** WeChat as the sandbox plays it. */
    wechat: {
      faults: (knobs = {}) => control('POST', 'faults', knobs),
      code: async (person) => (await control('POST', 'mp/code', { person })).code,
      world: () => control('GET', 'world'),
      requests: async (since = 0) => (await control('GET', `requests?since=${since}`)),
      /** `person` will take so many more subscribe messages of a template. */
      consent: (person, template_id, count) => control('POST', 'mp/consent', { person, template_id, count }),
      /** What clients sent after the item `since`: { items, last }; waits for some when there are none yet. */
      sent: (since = 0, waitMs = 0) => control('GET', `sent?since=${since}${waitMs ? `&wait=${waitMs}` : ''}`),
    },
    /** Opens a WebSocket; fails with .status and .body when it is refused. */
    socket: (target, options = {}) => openSocket(weir.port, target, options),
    quit: () => agent.destroy(),
  };
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
