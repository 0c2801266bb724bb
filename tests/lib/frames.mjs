// A WebSocket as a list of frames, for tests that must see every frame that came and send what no client would. ws.mjs is the client that behaves.
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';
import { encodeFrame } from './ws.mjs';

const WAIT_MS = 30_000;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
export const CONT = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

/** A frame's bytes; flags: fin, rsv (0..7), mask (null: none). */
export function frame(opcode, payload = '', { fin = true, rsv = 0, mask } = {}) {
  const bytes = encodeFrame(opcode, payload, mask === undefined ? { fin } : { fin, mask });
  bytes[0] |= rsv << 4;
  return bytes;
}
export const closing = (code, reason = '') => frame(CLOSE, code === undefined ? '' : Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
/** The same bytes in pieces of n. */
export const chopped = (bytes, n) => [...Array(Math.ceil(bytes.length / n)).keys()].map((i) => bytes.subarray(i * n, (i + 1) * n));

/** The handshake by hand: { status, headers, socket, rest }. */
export function handshake(port, target, { extensions, lines = {}, method = 'GET', version = 'HTTP/1.1', body = '' } = {}) {
  const key = randomBytes(16).toString('base64');
  const head = { Host: `127.0.0.1:${port}`, Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key, ...(extensions ? { 'Sec-WebSocket-Extensions': extensions } : {}), ...lines };
  const text = Object.entries(head).flatMap(([name, value]) => (value === undefined ? [] : [value].flat().map((one) => `${name}: ${one}\r\n`))).join('');
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const watch = setTimeout(() => { socket.destroy(); reject(new Error('no answer to the handshake')); }, WAIT_MS);
    const failed = (error) => { clearTimeout(watch); reject(error ?? new Error('the handshake was cut off')); };
    const read = (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      clearTimeout(watch);
      socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('error').on('error', () => {}).pause();
      const [first, ...rest] = bytes.subarray(0, end).toString('latin1').split('\r\n');
      const headers = Object.fromEntries(rest.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]));
      const right = headers['sec-websocket-accept'] === createHash('sha1').update(key + GUID).digest('base64');
      resolve({ status: Number(first.split(' ')[1]), headers, right, socket, rest: bytes.subarray(end + 4) });
    };
    socket.on('data', read);
    socket.on('end', () => failed());
    socket.on('error', failed);
    socket.write(Buffer.from(`${method} ${target} ${version}\r\n${text}\r\n${body}`, 'latin1'));
  });
}

/** An open WebSocket: send(bytes…), next() gives a frame or null when the server has ended the connection (then `end` is 'fin' or 'reset'). */
export async function openFrames(port, target, options = {}) {
  const { status, headers, right, socket, rest } = await handshake(port, target, options);
  if (status !== 101 || !right) { socket.destroy(); throw new Error(`the handshake was answered ${status}`); }
  let parts = [rest], have = rest.length, wake = () => {};
  const link = { extensions: headers['sec-websocket-extensions'] ?? '', end: '', socket, received: 0 };
  const over = (how) => { link.end ||= how; wake(); };
  socket.on('data', (chunk) => { parts.push(chunk); have += chunk.length; link.received += chunk.length; wake(); });
  socket.on('end', () => over('fin'));
  socket.on('error', () => over('reset'));
  socket.on('close', () => over('reset'));
  socket.resume();
  const peek = (n) => {
    if (have < n) return null;
    if (parts[0].length < n) parts = [Buffer.concat(parts)];
    return parts[0];
  };
  const take = () => {
    const head = peek(2) && peek(Math.min(have, 14));
    if (!head) return null;
    const small = head[1] & 127, at = small === 126 ? 4 : small === 127 ? 10 : 2;
    if (have < at) return null;
    const n = small === 126 ? head.readUInt16BE(2) : small === 127 ? Number(head.readBigUInt64BE(2)) : small;
    const all = peek(at + n);
    if (!all) return null;
    parts[0] = all.subarray(at + n);
    have -= at + n;
    return { fin: all[0] >> 7 === 1, rsv: (all[0] >> 4) & 7, opcode: all[0] & 15, masked: all[1] > 127, shortest: n < 126 ? at === 2 : n < 65536 ? at === 4 : at === 10, payload: Buffer.from(all.subarray(at, at + n)) };
  };
  return Object.assign(link, {
    /** What cannot be written any more, because the server has closed, is dropped. */
    send: async (pieces) => {
      for (const piece of [pieces].flat()) {
        if (socket.destroyed || link.end === 'reset') return;
        if (!socket.write(piece)) await new Promise((resolve) => { socket.once('drain', resolve); socket.once('close', resolve); });
        else await new Promise((resolve) => { setImmediate(resolve); });
      }
    },
    next: async (waitMs = WAIT_MS) => {
      for (const until = Date.now() + waitMs; ;) {
        const found = take();
        if (found || (link.end && have === 0)) return found;
        if (link.end) throw new Error(`${have} bytes of a frame that never ended`);
        if (Date.now() > until) throw new Error(`no frame in ${waitMs} ms`);
        await new Promise((resolve) => {
          const timer = setTimeout(resolve, 500);
          wake = () => { clearTimeout(timer); resolve(); };
        });
      }
    },
    finish: () => socket.end(),
    destroy: () => socket.destroy(),
  });
}
