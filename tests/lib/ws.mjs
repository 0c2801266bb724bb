// A WebSocket client (RFC 6455) over node:net: Node 18 has none, and the tests must be able to send what a good client would not. permessage-deflate only without context takeover.
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';
import zlib from 'node:zlib';

const WAIT_MS = 20_000;
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

/** A refused handshake: .status, .body (parsed JSON) and .headers. */
export class Refused extends Error {
  constructor(status, headers, text) {
    super(`the handshake was answered ${status}: ${text.slice(0, 300)}`);
    this.status = status;
    this.headers = headers;
    this.text = text;
    try { this.body = JSON.parse(text); } catch { this.body = undefined; }
  }
}

/** One frame as bytes, masked as a client must. */
export function encodeFrame(opcode, payload, { fin = true, rsv1 = false, mask = randomBytes(4) } = {}) {
  const data = Buffer.from(payload);
  const n = data.length;
  const first = Buffer.from([(fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode]);
  const bit = mask ? 0x80 : 0;
  let size;
  if (n < 126) size = Buffer.from([bit | n]);
  else if (n < 65536) size = Buffer.from([bit | 126, n >> 8, n & 255]);
  else { size = Buffer.alloc(9); size[0] = bit | 127; size.writeBigUInt64BE(BigInt(n), 1); }
  const body = mask ? Buffer.from(data.map((byte, i) => byte ^ mask[i & 3])) : data;
  return Buffer.concat(mask ? [first, size, mask, body] : [first, size, body]);
}

class Client {
  constructor(socket, deflate) {
    Object.assign(this, { socket, deflate, bytes: Buffer.alloc(0), texts: [], waiting: [], parts: [], rsv1: false, over: null });
    this.closed = new Promise((resolve) => { this.end = (code, reason) => { if (!this.over) { this.over = { code, reason }; resolve(this.over); for (const one of this.waiting.splice(0)) one.fail(); } }; });
    socket.on('data', (chunk) => { this.bytes = this.bytes.length ? Buffer.concat([this.bytes, chunk]) : chunk; this.take(); });
    socket.on('error', () => this.end(1006, ''));
    socket.on('close', () => this.end(1006, ''));
  }

  take() {
    while (this.bytes.length >= 2) {
      const b = this.bytes;
      let n = b[1] & 127, at = 2;
      if (n === 126) { if (b.length < 4) return; n = b.readUInt16BE(2); at = 4; } else if (n === 127) { if (b.length < 10) return; n = Number(b.readBigUInt64BE(2)); at = 10; }
      if (b.length < at + n) return;
      this.bytes = b.subarray(at + n);
      this.frame(b[0] & 15, (b[0] & 0x80) !== 0, (b[0] & 0x40) !== 0, b.subarray(at, at + n));
    }
  }

  frame(opcode, fin, rsv1, payload) {
    if (opcode === PING) { this.write(PONG, payload); return; }
    if (opcode === PONG) { this.pong?.(payload); return; }
    if (opcode === CLOSE) {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      if (!this.closing) this.write(CLOSE, payload.subarray(0, 2));
      this.end(code, payload.subarray(2).toString());
      this.socket.end();
      return;
    }
    if (opcode !== 0) { this.kind = opcode; this.rsv1 = rsv1; this.parts = []; }
    this.parts.push(payload);
    if (!fin) return;
    let all = Buffer.concat(this.parts);
    this.deflated = this.rsv1;
    if (this.rsv1) all = zlib.inflateRawSync(Buffer.concat([all, Buffer.from([0, 0, 255, 255])]), { finishFlush: zlib.constants.Z_SYNC_FLUSH });
    const message = this.kind === TEXT ? all.toString('utf8') : all;
    const one = this.waiting.shift();
    if (one) one.take(message);
    else this.texts.push(message);
  }

  write(opcode, payload, options) { if (!this.socket.destroyed) this.socket.write(encodeFrame(opcode, payload, options)); }
  sendText(text) {
    if (!this.deflate) { this.write(TEXT, text); return; }
    const packed = zlib.deflateRawSync(Buffer.from(text), { finishFlush: zlib.constants.Z_SYNC_FLUSH });
    this.write(TEXT, packed.subarray(0, packed.length - 4), { rsv1: true });
  }
  sendBinary(bytes) { this.write(BINARY, bytes); }
  /** A JSON object as a text frame. */
  say(object) { this.sendText(JSON.stringify(object)); }
  sendRaw(bytes) { this.socket.write(bytes); }

  /** The next message; fails when the socket closes first or nothing comes. */
  next(waitMs = WAIT_MS) {
    if (this.texts.length) return Promise.resolve(this.texts.shift());
    if (this.over) return Promise.reject(new Error(`the socket was closed with ${this.over.code} ${this.over.reason}`));
    return new Promise((resolve, reject) => {
      const one = {
        take: (text) => { clearTimeout(timer); resolve(text); },
        fail: () => { clearTimeout(timer); reject(new Error(`the socket was closed with ${this.over.code} ${this.over.reason}`)); },
      };
      const timer = setTimeout(() => { this.waiting.splice(this.waiting.indexOf(one), 1); reject(new Error(`nothing came in ${waitMs} ms`)); }, waitMs);
      this.waiting.push(one);
    });
  }
  async frameObject() { return JSON.parse(await this.next()); }

  /** Everything that was sent to us before this moment has arrived when the pong is back. */
  async ping() {
    const payload = randomBytes(4);
    const back = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no pong')), WAIT_MS);
      this.pong = (got) => { if (got.equals(payload)) { clearTimeout(timer); resolve(); } };
      this.closed.then(() => { clearTimeout(timer); reject(new Error(`closed with ${this.over.code} before the pong`)); });
    });
    this.write(PING, payload);
    await back;
  }

  async close(code = 1000) {
    if (this.over) return;
    this.closing = true;
    this.write(CLOSE, Buffer.from([code >> 8, code & 255]));
    const timer = setTimeout(() => this.socket.destroy(), WAIT_MS);
    await this.closed;
    clearTimeout(timer);
    this.socket.destroy();
  }
  destroy() { this.socket.destroy(); }
}

/** Opens ws://127.0.0.1:PORT TARGET. options: headers, deflate (offer permessage-deflate), query. Fails with Refused. */
export function openSocket(port, target, { headers = {}, deflate = false, query = {} } = {}) {
  const key = randomBytes(16).toString('base64');
  const search = new URLSearchParams(query).toString();
  const lines = { Host: `127.0.0.1:${port}`, Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key };
  if (deflate) lines['Sec-WebSocket-Extensions'] = 'permessage-deflate; client_no_context_takeover; server_no_context_takeover';
  Object.assign(lines, headers);
  const socket = net.connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const timer = setTimeout(() => { socket.destroy(); reject(new Error('no answer to the handshake')); }, WAIT_MS);
    const early = () => { clearTimeout(timer); reject(new Error('the connection ended in the handshake')); };
    const refuse = (status, found) => {
      clearTimeout(timer);
      socket.destroy();
      const end = bytes.indexOf('\r\n\r\n');
      reject(new Refused(status, found, bytes.subarray(end + 4).toString('utf8')));
    };
    const read = (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = bytes.subarray(0, end).toString('latin1').split('\r\n');
      const found = Object.fromEntries(head.slice(1).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]));
      const status = Number(head[0].split(' ')[1]);
      if (status !== 101) {
        if (bytes.length < end + 4 + Number(found['content-length'] ?? 0)) return;
        refuse(status, found);
        return;
      }
      clearTimeout(timer);
      socket.removeAllListeners('data').removeListener('error', early).removeListener('close', early);
      if (found['sec-websocket-accept'] !== createHash('sha1').update(key + GUID).digest('base64')) { socket.destroy(); reject(new Error('a wrong Sec-WebSocket-Accept')); return; }
      const agreed = /permessage-deflate/.test(found['sec-websocket-extensions'] ?? '');
      const client = new Client(socket, agreed);
      client.extensions = found['sec-websocket-extensions'] ?? '';
      const rest = bytes.subarray(end + 4);
      if (rest.length) { client.bytes = rest; client.take(); }
      resolve(client);
    };
    socket.on('data', read);
    socket.on('error', early);
    socket.on('close', early);
    socket.write(`GET ${target}${search ? `?${search}` : ''} HTTP/1.1\r\n${Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
  });
}
