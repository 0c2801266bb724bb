// A WebSocket client of a few lines: text frames of any length, close codes, nothing else. Node 18 has none of its own.
import { randomBytes } from 'node:crypto';
import net from 'node:net';

/** Opens ws://…; frames() waits for the next text, closed() for the close code (1006: without a close frame). */
export async function openSocket(url) {
  const { hostname, port, pathname, search, host } = new URL(url);
  const socket = net.connect(Number(port), hostname);
  let bytes = Buffer.alloc(0);
  let upgraded;
  const texts = [];
  const waiting = [];
  let end;
  const closed = new Promise((resolve) => { end = resolve; });
  const opened = new Promise((resolve, reject) => { upgraded = { resolve, reject }; });
  let open = false;

  function take() {
    if (!open) {
      const head = bytes.indexOf('\r\n\r\n');
      if (head < 0) return;
      const status = bytes.subarray(9, 12).toString();
      if (status !== '101') { upgraded.reject(new Error(`handshake: ${status}`)); socket.destroy(); return; }
      bytes = bytes.subarray(head + 4);
      open = true;
      upgraded.resolve();
    }
    while (bytes.length >= 2) {
      const opcode = bytes[0] & 15;
      let length = bytes[1] & 127;
      let at = 2;
      if (length === 126) { if (bytes.length < 4) return; length = bytes.readUInt16BE(2); at = 4; }
      else if (length === 127) { if (bytes.length < 10) return; length = Number(bytes.readBigUInt64BE(2)); at = 10; }
      if (bytes.length < at + length) return;
      const payload = bytes.subarray(at, at + length);
      bytes = bytes.subarray(at + length);
      if (opcode === 8) { end(length >= 2 ? payload.readUInt16BE(0) : 1005); socket.end(); return; }
      if (opcode === 9) frame(10, payload);
      if (opcode === 1) { const text = payload.toString(); if (waiting.length) waiting.shift()(text); else texts.push(text); }
    }
  }

  function frame(opcode, payload) {
    const mask = randomBytes(4);
    const head = payload.length < 126 ? Buffer.from([0x80 | opcode, 0x80 | payload.length]) : Buffer.from([0x80 | opcode, 0x80 | 126, payload.length >> 8, payload.length & 255]);
    socket.write(Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i & 3])]));
  }

  socket.on('data', (chunk) => { bytes = Buffer.concat([bytes, chunk]); take(); });
  socket.on('error', (error) => { upgraded.reject(error); end(1006); });
  socket.on('close', () => { upgraded.reject(new Error('closed in the handshake')); end(1006); });
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n`
    + `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`);
  await opened;
  return {
    send: (value) => frame(1, Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))),
    next: () => (texts.length ? Promise.resolve(texts.shift()) : new Promise((resolve) => waiting.push(resolve))),
    closed: () => closed,
    close: () => socket.destroy(),
  };
}
