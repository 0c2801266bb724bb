// WebSockets from outside: the cases of the Autobahn fuzzing client (sections 1 to 7, 9, 10, 12, 13) against the echo of /api/debug/ws, written anew as tables, and what it does not ask: handshakes that are
// wrong, offers that are malformed, compressed data that is no DEFLATE, peers that send without reading. A case says what is sent, which frames must come back (all of them, nothing else), and which
// close code ends it; where Autobahn calls a behaviour "non-strict", the strict one is asked for.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import zlib from 'node:zlib';
import { BINARY, chopped, CLOSE, closing, CONT, frame, handshake, openFrames, PING, PONG, TEXT } from '../lib/frames.mjs';
import { startDemo } from '../lib/weir.mjs';

const WS = '/api/debug/ws';
const MiB = 1024 * 1024;
let weir;
before(async () => { weir = await startDemo(); });
after(async () => { await weir.stop(); });

const hex = (text) => Buffer.from(text.replace(/ /g, ''), 'hex');
const join = (...frames) => Buffer.concat(frames.flat());
const text = (payload) => [TEXT, payload];
const binary = (payload) => [BINARY, payload];
const pong = (payload = '') => [PONG, payload];

/** Sends, reads to the end, compares. `close`: the code the server must end with by itself; without it, we close with 1000 behind the last piece and it must answer that. */
async function play({ send, back = [], close, options = {}, reply = close ?? 1000, shut = closing(1000) }) {
  const link = await openFrames(weir.port, WS, options);
  try {
    const sent = link.send([send, close ? [] : shut].flat());
    const came = [];
    for (let one = await link.next(); one; one = await link.next()) {
      assert.deepEqual([one.fin, one.rsv, one.masked, one.shortest], [true, 0, false, true], 'a frame of a server');
      came.push(one);
      if (one.opcode === CLOSE && close) await link.send(closing(1000));
    }
    await sent;
    assert.equal(link.end, 'fin', 'TCP is ended by the server, without a reset');
    const last = came.pop();
    assert.ok(last && last.opcode === CLOSE, 'a close frame is the last');
    assert.equal(last.payload.length >= 2 ? last.payload.readUInt16BE(0) : 1005, reply);
    assert.equal(came.length, back.length, came.map((one) => `${one.opcode}:${one.payload.subarray(0, 40)}`).join());
    back.forEach(([opcode, payload], i) => {
      assert.equal(came[i].opcode, opcode);
      const wanted = Buffer.from(payload);
      assert.ok(came[i].payload.equals(wanted), `frame ${i}: ${came[i].payload.subarray(0, 80).toString('hex')} instead of ${wanted.subarray(0, 80).toString('hex')}`);
    });
  } finally {
    link.destroy();
  }
}
const cases = (section, table) => { for (const [name, one] of Object.entries(table)) test(`${section} ${name}`, () => play(one)); };

// ---- 1: framing ----

for (const n of [0, 125, 126, 127, 128, 65535, 65536]) {
  test(`1.1 text of ${n} bytes`, () => play({ send: frame(TEXT, '*'.repeat(n)), back: [text('*'.repeat(n))] }));
  test(`1.2 binary of ${n} bytes`, () => play({ send: frame(BINARY, Buffer.alloc(n, 0xfe)), back: [binary(Buffer.alloc(n, 0xfe))] }));
}
cases('1', {
  'text in pieces of 997': { send: chopped(frame(TEXT, '*'.repeat(65536)), 997), back: [text('*'.repeat(65536))] },
  'binary in pieces of 997': { send: chopped(frame(BINARY, Buffer.alloc(65536, 0xfe)), 997), back: [binary(Buffer.alloc(65536, 0xfe))] },
  'a length of 16 bits where 7 do': { send: join(hex('81fe 0005 00000000'), Buffer.from('hello')), close: 1002 },
  'a length of 64 bits where 16 do': { send: join(hex('81ff 0000000000000080 00000000'), Buffer.alloc(128, 'a')), close: 1002 },
  'a length of 2^63': { send: hex('82ff 8000000000000000 00000000'), close: 1002 },
  'a frame that is not masked': { send: frame(TEXT, 'hello', { mask: null }), close: 1002 },
  'a close frame that is not masked': { send: frame(CLOSE, '', { mask: null }), close: 1002 },
  'a mask of zeros': { send: frame(TEXT, 'hello', { mask: hex('00000000') }), back: [text('hello')] },
});

// ---- 2: pings and pongs ----

const pings = [...Array(10).keys()].map((i) => `payload-${i}`);
cases('2', {
  'ping without payload': { send: frame(PING), back: [pong()] },
  'ping with text': { send: frame(PING, 'Hello, world!'), back: [pong('Hello, world!')] },
  'ping with bytes': { send: frame(PING, hex('00fffefdfcfb00ff')), back: [pong(hex('00fffefdfcfb00ff'))] },
  'ping of 125 bytes': { send: frame(PING, Buffer.alloc(125, 0xfe)), back: [pong(Buffer.alloc(125, 0xfe))] },
  'ping of 126 bytes': { send: frame(PING, Buffer.alloc(126, 0xfe)), close: 1002 },
  'ping of 125 bytes, byte by byte': { send: chopped(frame(PING, Buffer.alloc(125, 0xfe)), 1), back: [pong(Buffer.alloc(125, 0xfe))] },
  'pong that nobody asked for': { send: frame(PONG), back: [] },
  'pong with payload that nobody asked for': { send: frame(PONG, 'unsolicited'), back: [] },
  'pong, then ping': { send: [frame(PONG, 'unsolicited'), frame(PING, 'our ping')], back: [pong('our ping')] },
  'ten pings': { send: join(pings.map((one) => frame(PING, one))), back: pings.map(pong) },
  'ten pings, byte by byte': { send: chopped(join(pings.map((one) => frame(PING, one))), 1), back: pings.map(pong) },
});

// ---- 3: reserved bits ----

const hello = frame(TEXT, 'Hello, world!');
cases('3', {
  'text with RSV1': { send: frame(TEXT, 'x', { rsv: 4 }), close: 1002 },
  'text, then text with RSV2, then ping': { send: join(hello, frame(TEXT, 'x', { rsv: 2 }), frame(PING)), back: [text('Hello, world!')], close: 1002 },
  'text, then text with RSV2+3': { send: [hello, frame(TEXT, 'x', { rsv: 3 }), frame(PING)], back: [text('Hello, world!')], close: 1002 },
  'text, then text with RSV1, byte by byte': { send: chopped(join(hello, frame(TEXT, 'x', { rsv: 4 }), frame(PING)), 1), back: [text('Hello, world!')], close: 1002 },
  'binary with RSV1+3': { send: frame(BINARY, hex('00ff'), { rsv: 5 }), close: 1002 },
  'ping with RSV1+2': { send: frame(PING, 'x', { rsv: 6 }), close: 1002 },
  'close with all of them': { send: frame(CLOSE, '', { rsv: 7 }), close: 1002 },
  'RSV1 on a continuation': { send: [frame(TEXT, 'a', { fin: false }), frame(CONT, 'b', { rsv: 4 })], close: 1002 },
});

// ---- 4: opcodes that nobody has defined ----

for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
  cases('4', {
    [`opcode ${opcode}`]: { send: frame(opcode), close: 1002 },
    [`opcode ${opcode} with payload`]: { send: frame(opcode, 'reserved'), close: 1002 },
    [`opcode ${opcode} behind a text, before a ping`]: { send: join(hello, frame(opcode, 'x'), frame(PING)), back: [text('Hello, world!')], close: 1002 },
    [`opcode ${opcode} byte by byte`]: { send: chopped(join(hello, frame(opcode, 'x'), frame(PING)), 1), back: [text('Hello, world!')], close: 1002 },
  });
}

// ---- 5: fragments ----

const part = (opcode, payload, fin = false) => frame(opcode, payload, { fin });
cases('5', {
  'a ping in two': { send: [part(PING, 'a'), part(CONT, 'b', true)], close: 1002 },
  'a pong in two': { send: [part(PONG, 'a'), part(CONT, 'b', true)], close: 1002 },
  'a close in two': { send: [part(CLOSE, hex('03e8')), part(CONT, 'b', true)], close: 1002 },
  'text in two': { send: [part(TEXT, 'fragment1'), part(CONT, 'fragment2', true)], back: [text('fragment1fragment2')] },
  'text in two, in one write': { send: join(part(TEXT, 'fragment1'), part(CONT, 'fragment2', true)), back: [text('fragment1fragment2')] },
  'text in two, byte by byte': { send: chopped(join(part(TEXT, 'fragment1'), part(CONT, 'fragment2', true)), 1), back: [text('fragment1fragment2')] },
  'a ping inside': { send: [part(TEXT, 'fragment1'), frame(PING, 'ping'), part(CONT, 'fragment2', true)], back: [pong('ping'), text('fragment1fragment2')] },
  'a ping inside, byte by byte': { send: chopped(join(part(TEXT, 'fragment1'), frame(PING, 'ping'), part(CONT, 'fragment2', true)), 1), back: [pong('ping'), text('fragment1fragment2')] },
  'a continuation of nothing': { send: part(CONT, 'x', true), close: 1002 },
  'a continuation of nothing, not the last': { send: part(CONT, 'x'), close: 1002 },
  'a continuation of nothing, then text': { send: join(part(CONT, 'x', true), hello), close: 1002 },
  'a continuation of nothing, byte by byte': { send: chopped(join(part(CONT, 'x'), hello), 1), close: 1002 },
  'text in two, then a continuation': { send: join(part(TEXT, 'a'), part(CONT, 'b', true), part(CONT, 'c'), hello), back: [text('ab')], close: 1002 },
  'a text inside a text': { send: [part(TEXT, 'a'), part(TEXT, 'b', true)], close: 1002 },
  'a binary inside a text': { send: [part(TEXT, 'a'), part(BINARY, 'b', true)], close: 1002 },
  'five fragments with pings': { send: [part(TEXT, '1'), part(CONT, '2'), frame(PING, 'p1'), part(CONT, '3'), part(CONT, '4'), frame(PING, 'p2'), part(CONT, '5', true)], back: [pong('p1'), pong('p2'), text('12345')] },
  'five fragments with pings, byte by byte': { send: chopped(join(part(TEXT, '1'), part(CONT, '2'), frame(PING, 'p1'), part(CONT, '3'), part(CONT, '4'), frame(PING, 'p2'), part(CONT, '5', true)), 1), back: [pong('p1'), pong('p2'), text('12345')] },
  'fragments without bytes': { send: [part(TEXT, ''), part(CONT, ''), part(CONT, '', true), part(BINARY, ''), part(CONT, 'x'), part(CONT, '', true)], back: [text(''), binary('x')] },
  'a thousand fragments': { send: join(part(BINARY, ''), [...Array(1000)].map(() => part(CONT, 'ab')), part(CONT, '', true)), back: [binary('ab'.repeat(1000))] },
  'a close inside': { send: [part(TEXT, 'a'), closing(1000)], shut: [] },
});

// ---- 6: UTF-8 ----

const KOSME = 'cebae1bdb9cf83cebcceb5';
const GOOD = { greek: KOSME, 'NUL': '68656c6c6f0077', 'DEL and C1': '7f c280 c29f', 'U+07FF, U+0800': 'dfbf e0a080', 'U+D7FF, U+E000': 'ed9fbf ee8080', 'U+FFFD': 'efbfbd', 'U+FFFE, U+FFFF': 'efbfbe efbfbf', 'U+FDD0': 'efb790', 'U+10000': 'f0908080',
  'U+10FFFF': 'f48fbfbf', 'U+1FFFE': 'f09fbfbe', 'U+10FFFE': 'f48fbfbe', 'U+FEFF': 'efbbbf', 'not normalised': '65cc81', chinese: 'e4bda0e5a5bdefbc8ce4b896e7958c' };
const BAD = { 'a surrogate in greek': `${KOSME} eda080 656469746564`, 'beyond U+10FFFF': 'f4908080', 'U+13FFFF': 'f4bfbfbf', 'five bytes': 'f888808080', 'six bytes': 'fc8480808080', FE: 'fe', FF: 'ff', 'FE FE FF FF': 'fefeffff', '80': '80', BF: 'bf', '80 BF': '80bf',
  'six continuations': '80bf80bf80bf', 'C0 alone': 'c020', 'E0 alone': 'e020', 'F0 alone': 'f020', 'F5': 'f5808080', 'last byte missing of 2': 'c3', 'last byte missing of 3': 'e18080'.slice(0, 4), 'last byte missing of 4': 'f18080', 'overlong slash of 2': 'c0af', 'overlong slash of 3': 'e080af',
  'overlong slash of 4': 'f08080af', 'overlong NUL': 'c080', 'overlong U+7F': 'c1bf', 'overlong U+7FF': 'e09fbf', 'overlong U+FFFF': 'f08fbfbf', 'U+D800': 'eda080', 'U+DB7F': 'edadbf', 'U+DC00': 'edb080', 'U+DFFF': 'edbfbf', 'a pair of surrogates': 'eda080edb080',
  'latin-1': 'e9', 'a char, then its half': `${KOSME}ce`, 'a continuation too many': 'c3a9a9', 'two starts': 'c3c3a9' };
for (const [name, code] of Object.entries(GOOD)) {
  const bytes = hex(code);
  cases('6 good:', {
    [name]: { send: frame(TEXT, bytes), back: [text(bytes)] },
    [`${name}, byte by byte`]: { send: chopped(frame(TEXT, bytes), 1), back: [text(bytes)] },
    [`${name}, a fragment a byte`]: { send: join(part(TEXT, ''), [...bytes].map((byte) => part(CONT, [byte])), part(CONT, '', true)), back: [text(bytes)] },
    [`${name}, behind much`]: { send: frame(TEXT, join(Buffer.alloc(4099, 'a'), bytes)), back: [text(join(Buffer.alloc(4099, 'a'), bytes))] },
  });
}
for (const [name, code] of Object.entries(BAD)) {
  const bytes = hex(code);
  cases('6 bad:', {
    [name]: { send: frame(TEXT, bytes), close: 1007 },
    [`${name}, byte by byte`]: { send: chopped(frame(TEXT, bytes), 1), close: 1007 },
    [`${name}, a fragment a byte`]: { send: join(part(TEXT, ''), [...bytes].map((byte) => part(CONT, [byte])), part(CONT, '', true)), close: 1007 },
    [`${name}, as a reason`]: { send: frame(CLOSE, join(hex('03e8'), bytes)), close: 1007 },
    [`${name} is good in binary`]: { send: frame(BINARY, bytes), back: [binary(bytes)] },
  });
}
test('6.4 a text that cannot become right fails at its first wrong byte, not at its end', async () => {
  const early = { 'the fragment after it never comes': [part(TEXT, hex(KOSME)), part(CONT, hex('f4908080'))], 'inside a frame': [frame(TEXT, join(hex(`${KOSME}f490`), Buffer.alloc(50, 'a'))).subarray(0, 6 + 13)],
    'the first byte is enough': [frame(TEXT, Buffer.alloc(100, 0xff)).subarray(0, 7)], 'behind a text that was good': [part(TEXT, 'a'), part(CONT, hex('ce')), part(CONT, hex('ce'))] };
  for (const [name, send] of Object.entries(early)) await play({ send, close: 1007 }).catch((error) => { throw new Error(`${name}: ${error.message}`); });
});

// ---- 7: closing ----

cases('7', {
  'a text, then close': { send: hello, back: [text('Hello, world!')] },
  'close twice': { send: join(closing(1000), closing(1000)), shut: [] },
  'nothing is read behind a close: a ping': { send: join(closing(1000), frame(PING)), shut: [] },
  'nothing is read behind a close: a text': { send: join(closing(1000), hello), shut: [] },
  'nothing is read behind a close: nonsense': { send: join(closing(1000), Buffer.alloc(100, 0xff)), shut: [] },
  'a fragment, close, the rest': { send: join(part(TEXT, 'a'), closing(1000), part(CONT, 'b', true)), shut: [] },
  '256 KiB, close, ping': { send: join(frame(TEXT, 'a'.repeat(256 * 1024)), closing(1000), frame(PING)), back: [text('a'.repeat(256 * 1024))], shut: [] },
  'close without a code': { send: frame(CLOSE), shut: [], reply: 1005 },
  'close with half a code': { send: frame(CLOSE, 'a'), close: 1002 },
  'close with a code': { send: closing(1000), shut: [] },
  'close with a reason': { send: closing(1000, 'Hello World!'), shut: [] },
  'close with a reason of 123 bytes': { send: closing(1000, '*'.repeat(123)), shut: [] },
  'close with a reason of 124 bytes': { send: closing(1000, '*'.repeat(124)), close: 1002 },
  'close byte by byte': { send: chopped(closing(1001, 'going'), 1), shut: [], reply: 1001 },
});
for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) test(`7.7 close with ${code} is answered with it`, () => play({ send: closing(code), shut: [], reply: code }));
for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) test(`7.9 close with ${code} may not be`, () => play({ send: closing(code), close: 1002 }));

// ---- 9: sizes; 10: automatic fragments ----

const pattern = (n) => Buffer.alloc(n, 'The quick brown fox jumps over the lazy dog; 敏捷的棕色狐狸。'.slice(0, 44));
for (const size of [64 * 1024, 256 * 1024, MiB, 4 * MiB, 8 * MiB, 16 * MiB]) {
  test(`9 text and binary of ${size / 1024} KiB`, async () => {
    await play({ send: frame(TEXT, pattern(size)), back: [text(pattern(size))] });
    await play({ send: frame(BINARY, pattern(size)), back: [binary(pattern(size))] });
  });
}
for (const size of [1024, 4096, 64 * 1024, MiB]) {
  test(`9.3 4 MiB in fragments of ${size} bytes`, () => {
    const pieces = chopped(pattern(4 * MiB), size);
    return play({ send: join(pieces.map((piece, i) => part(i ? CONT : BINARY, piece, i === pieces.length - 1))), back: [binary(pattern(4 * MiB))] });
  });
}
for (const size of [128, 997, 65536]) test(`9.5 1 MiB in writes of ${size} bytes`, () => play({ send: chopped(frame(TEXT, pattern(MiB)), size), back: [text(pattern(MiB))] }));
test('9.7 a thousand round trips', async () => {
  const link = await openFrames(weir.port, WS);
  for (let i = 0; i < 1000; i++) {
    await link.send(frame(i % 2 ? TEXT : BINARY, String(i).padStart(64)));
    assert.equal((await link.next()).payload.toString(), String(i).padStart(64));
  }
  link.destroy();
});
test('10 64 KiB in fragments of 1300 bytes', () => {
  const pieces = chopped(pattern(65536), 1300);
  return play({ send: pieces.map((piece, i) => part(i ? CONT : TEXT, piece, i === pieces.length - 1)), back: [text(pattern(65536))] });
});
cases('limits:', {
  'a frame longer than a message may be is refused by its head': { send: hex('82ff 0000000002000001 00000000'), close: 1009 },
  'fragments that grow too long': { send: join(part(BINARY, pattern(16 * MiB)), hex('80ff 0000000001000001 00000000')), close: 1009 },
});
test('whoever sends without reading gets everything in the end, in order', async () => {
  const link = await openFrames(weir.port, WS);
  link.socket.pause();
  const sizes = [...Array(60).keys()].map((i) => (i % 3 ? 300 * 1024 : 100) + i);
  const sent = link.send(sizes.map((size) => frame(BINARY, Buffer.alloc(size, size & 255))));
  await new Promise((resolve) => { link.socket.once('drain', resolve); setTimeout(resolve, 300); });
  link.socket.resume();
  for (const size of sizes) assert.deepEqual(await link.next().then((one) => [one.opcode, one.payload.length, one.payload[0]]), [BINARY, size, size & 255]);
  await sent;
  link.destroy();
});

// ---- 12, 13: compression ----

const packed = (data, options = {}) => {
  const out = zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH, ...options });
  return out.subarray(0, out.length - 4);
};
const unpacked = (data, windowBits = 15) => zlib.inflateRawSync(Buffer.concat([data, hex('0000ffff')]), { finishFlush: zlib.constants.Z_SYNC_FLUSH, windowBits });
const BOTH = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

/** offer: [answer, the window of what we are sent] */
const OFFERS = {
  'permessage-deflate': [BOTH, 15],
  'permessage-deflate; client_max_window_bits': [BOTH, 15],
  'permessage-deflate; client_max_window_bits=9': [BOTH, 15],
  'permessage-deflate; client_no_context_takeover; client_max_window_bits=15': [BOTH, 15],
  'permessage-deflate; server_no_context_takeover': [BOTH, 15],
  'permessage-deflate; server_max_window_bits=15': [`${BOTH}; server_max_window_bits=15`, 15],
  'permessage-deflate; server_max_window_bits=9': [`${BOTH}; server_max_window_bits=9`, 9],
  'permessage-deflate; server_max_window_bits="10"; client_max_window_bits': [`${BOTH}; server_max_window_bits=10`, 10],
  'permessage-deflate; server_max_window_bits=8': [`${BOTH}; server_max_window_bits=8`, 8],
  'permessage-deflate; server_no_context_takeover; server_max_window_bits=9, permessage-deflate; server_no_context_takeover, permessage-deflate': [`${BOTH}; server_max_window_bits=9`, 9],
  'permessage-deflate; mux=1, x-webkit-deflate-frame, Permessage-Deflate ; client_max_window_bits': [BOTH, 15],
  ',, permessage-deflate': [BOTH, 15],
};
const prose = (n) => Buffer.from([...Array(Math.ceil(n / 20)).keys()].map((i) => `line ${(i * 7919) % 10007} of prose\n`).join('').slice(0, n));
for (const [offer, [answer, bits]] of Object.entries(OFFERS)) {
  test(`12, 13 ${offer}`, async () => {
    const link = await openFrames(weir.port, WS, { extensions: offer });
    assert.equal(link.extensions, answer);
    let shorter = 0;
    for (const size of [0, 1, 16, 64, 256, 1024, 4096, 8192, 32768, 65536, 131072]) {
      for (const [opcode, data] of [[TEXT, prose(size)], [BINARY, Buffer.from(prose(size).map((byte, i) => byte ^ (i * i)))], [TEXT, Buffer.alloc(size, 'a')]]) {
        for (const bytes of [frame(opcode, packed(data), { rsv: 4 }), frame(opcode, data)]) {
          await link.send(bytes);
          const one = await link.next();
          assert.ok(one.opcode === opcode && one.fin && (one.rsv === 0 || one.rsv === 4), JSON.stringify(one));
          if (one.rsv && bits === 8) assert.ok(size <= 256, 'zlib has no window of 256 bytes: what is longer goes plain');
          const got = one.rsv ? unpacked(one.payload, Math.max(bits, 9)) : one.payload;
          assert.ok(got.equals(data), `${size} bytes`);
          if (one.rsv) shorter += one.payload.length < size ? 1 : -1000;
        }
      }
    }
    assert.ok(shorter > 5, 'what can be packed is packed');
    await link.send(closing(1000));
    assert.equal((await link.next()).opcode, CLOSE);
    link.destroy();
  });
}
for (const offer of ['x-webkit-deflate-frame', 'permessage-bzip2', 'permessage-deflate; unknown', 'permessage-deflate; server_max_window_bits', 'permessage-deflate; server_max_window_bits=7', 'permessage-deflate; server_max_window_bits=16', 'permessage-deflate; server_max_window_bits=09',
  'permessage-deflate; client_max_window_bits=99', 'permessage-deflate; client_max_window_bits=', 'permessage-deflate; server_no_context_takeover=1', 'permessage-deflate; client_no_context_takeover; client_no_context_takeover', 'permessage-deflate; server_max_window_bits=10; server_max_window_bits=11',
  'permessage-deflate;', 'permessage-deflate server_no_context_takeover', 'permessage-deflate=1', ';', '"permessage-deflate"', 'permessage-deflate; a="unclosed']) {
  test(`declined: ${offer}`, async () => {
    const link = await openFrames(weir.port, WS, { extensions: offer });
    assert.equal(link.extensions, '');
    await link.send(frame(TEXT, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'));
    assert.equal((await link.next()).rsv, 0);
    link.destroy();
  });
}
const deflating = { options: { extensions: 'permessage-deflate' } };
const rsv1 = { rsv: 4 };
const parts = (opcode, bytes, size) => chopped(bytes, size).map((piece, i, all) => frame(i ? CONT : opcode, piece, { fin: i === all.length - 1, rsv: i ? 0 : 4 }));
const stored = (data) => join(Buffer.from([0, data.length & 255, data.length >> 8, ~data.length & 255, (~data.length >> 8) & 255]), data);
cases('deflate:', {
  'a message in fragments, the first one marked': { ...deflating, send: parts(TEXT, packed(Buffer.from('hi')), 1), back: [text('hi')] },
  'a ping between compressed fragments': { ...deflating, send: [frame(TEXT, packed('hi').subarray(0, 2), { rsv: 4, fin: false }), frame(PING, 'p'), frame(CONT, packed('hi').subarray(2))], back: [pong('p'), text('hi')] },
  'a fragment without bytes at the end': { ...deflating, send: [frame(TEXT, packed('hi'), { rsv: 4, fin: false }), frame(CONT)], back: [text('hi')] },
  'RSV1 on a continuation': { ...deflating, send: [frame(TEXT, packed('hi'), { rsv: 4, fin: false }), frame(CONT, '', rsv1)], close: 1002 },
  'RSV1 on a ping': { ...deflating, send: frame(PING, 'x', rsv1), close: 1002 },
  'RSV1 on a close': { ...deflating, send: frame(CLOSE, '', rsv1), close: 1002 },
  'RSV2': { ...deflating, send: frame(TEXT, packed('hi'), { rsv: 6 }), close: 1002 },
  'RSV1 where nothing was agreed': { send: frame(TEXT, packed('hi'), rsv1), close: 1002 },
  'the empty message (RFC 7692 7.2.3.6)': { ...deflating, send: frame(TEXT, hex('00'), rsv1), back: [text('')] },
  'the empty message as nothing': { ...deflating, send: frame(TEXT, '', rsv1), back: [text('')] },
  'a stored block (7.2.3.3)': { ...deflating, send: frame(TEXT, join(stored(Buffer.from('Hello')), hex('00')), rsv1), back: [text('Hello')] },
  'a block marked as the last (7.2.3.4)': { ...deflating, send: frame(TEXT, hex('f348cdc9c907000 0'.replace(' ', '')), rsv1), back: [text('Hello')] },
  'two blocks (7.2.3.5)': { ...deflating, send: frame(TEXT, hex('f2480500 0000ffff cac9c90700'), rsv1), back: [text('Hello')] },
  'the example of the RFC (7.2.3.1)': { ...deflating, send: frame(TEXT, hex('f248cdc9c90700'), rsv1), back: [text('Hello')] },
  'a message that leans on the one before (context takeover was declined)': { ...deflating, send: [frame(TEXT, hex('f248cdc9c90700'), rsv1), frame(TEXT, hex('f200110000'), rsv1)], back: [text('Hello')], close: 1007 },
  'a block of the reserved type': { ...deflating, send: frame(TEXT, hex('ff'), rsv1), close: 1007 },
  'noise': { ...deflating, send: frame(BINARY, Buffer.alloc(100, 0xa5), rsv1), close: 1007 },
  'cut inside a block': { ...deflating, send: frame(TEXT, hex('f248cd'), rsv1), close: 1007 },
  'a stored block with a wrong length': { ...deflating, send: frame(TEXT, hex('000500fa00 48656c6c6f 00'), rsv1), close: 1007 },
  'text that is not UTF-8 when unpacked': { ...deflating, send: frame(TEXT, packed(hex('c328')), rsv1), close: 1007 },
  'the same as binary': { ...deflating, send: frame(BINARY, packed(hex('c328')), rsv1), close: undefined, back: [binary(hex('c328'))] },
  'text that ends inside a character when unpacked': { ...deflating, send: frame(TEXT, packed(hex('e4bd')), rsv1), close: 1007 },
  'a bomb': { ...deflating, send: frame(BINARY, packed(Buffer.alloc(32 * MiB + 1)), rsv1), close: 1009 },
  'bombs on bombs': { ...deflating, send: frame(BINARY, join([...Array(60)].map(() => join(packed(Buffer.alloc(MiB)), hex('0000ffff')))), rsv1), close: 1009 },
});
test('deflate: 16 MiB of prose', async () => {
  const data = prose(16 * MiB);
  const link = await openFrames(weir.port, WS, deflating.options);
  await link.send(frame(TEXT, packed(data, { level: 1 }), rsv1));
  const one = await link.next();
  assert.equal(one.rsv, 4);
  assert.ok(unpacked(one.payload).equals(data));
  link.destroy();
});

// ---- the handshake ----

test('handshakes: what is right is taken, what is wrong is refused with words, and the server goes on', async () => {
  const ask = async (options) => {
    const { status, headers, right, socket } = await handshake(weir.port, options.target ?? WS, options);
    socket.destroy();
    return { status, headers, right };
  };
  for (const lines of [{}, { Upgrade: 'WebSocket' }, { Upgrade: 'WEBSOCKET' }, { Connection: 'keep-alive, Upgrade' }, { Connection: 'upgrade' }, { Connection: ['keep-alive', 'Upgrade'] }, { Upgrade: 'h2c, websocket' }, { 'Sec-WebSocket-Protocol': 'chat, superchat' },
    { Origin: undefined }, { Origin: 'https://servicewechat.com' }, { Cookie: 'a=b' }, { 'Content-Length': '0' }]) {
    const { status, headers, right } = await ask({ lines });
    assert.deepEqual([status, right, headers.upgrade, headers.connection?.toLowerCase(), headers['sec-websocket-protocol'], headers['content-length']], [101, true, 'websocket', 'upgrade', undefined, undefined], JSON.stringify(lines));
  }
  assert.equal((await ask({ target: `${WS}/?a=b` })).status, 101);
  const key = (value) => ({ lines: { 'Sec-WebSocket-Key': value } });
  for (const [options, status] of [[{ version: 'HTTP/1.0' }, 426], [{ lines: { Upgrade: undefined } }, 426], [{ lines: { Upgrade: 'websockets' } }, 426], [{ lines: { Connection: 'close' } }, 426], [{ lines: { Connection: 'Upgrades' } }, 426],
    [{ lines: { Host: undefined } }, 400], [{ lines: { Origin: 'https://evil.example' } }, 403], [{ lines: { Origin: 'null' } }, 403], [{ lines: { 'Sec-WebSocket-Version': '12' } }, 426], [{ lines: { 'Sec-WebSocket-Version': '14' } }, 426],
    [{ lines: { 'Sec-WebSocket-Version': undefined } }, 426], [{ lines: { 'Sec-WebSocket-Version': '013' } }, 426], [{ lines: { 'Sec-WebSocket-Version': ['13', '8'] } }, 426], [key(undefined), 400], [key(''), 400], [key('dGhlIHNhbXBsZSBub25jZQ'), 400], [key('dGhlIHNhbXBsZQ=='), 400],
    [key('AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'), 400], [key('****IHNhbXBsZSBub25jZQ=='), 400], [key(['dGhlIHNhbXBsZSBub25jZQ==', 'dGhlIHNhbXBsZSBub25jZQ==']), 400], [{ method: 'POST' }, 405], [{ method: 'HEAD' }, 400], [{ target: '/api/debug/wss' }, 404],
    [{ lines: { 'Content-Length': '3' }, body: 'abc' }, 400], [{ lines: { 'Transfer-Encoding': 'chunked' }, body: '0\r\n\r\n' }, 400]]) {
    const got = await ask(options);
    assert.equal(got.status, status, JSON.stringify(options));
    if (status === 426 && options.lines?.['Sec-WebSocket-Version'] !== undefined) assert.equal(got.headers['sec-websocket-version'], '13');
    if (status === 426) assert.deepEqual([got.headers.upgrade, /upgrade/i.test(got.headers.connection)], ['websocket', true]);
  }
  assert.equal((await weir.plain('GET', '/healthz')).status, 200);
});

test('frames in one write with the handshake are read', async () => {
  const { status, socket, rest } = await handshake(weir.port, WS, { body: frame(TEXT, 'early', { mask: hex('00000000') }).toString('latin1') });
  assert.equal(status, 101);
  let bytes = rest;
  socket.on('data', (chunk) => { bytes = Buffer.concat([bytes, chunk]); }).resume();
  for (const until = Date.now() + 10_000; bytes.length < 7 && Date.now() < until;) await new Promise((resolve) => { setTimeout(resolve, 5); });
  assert.equal(bytes.toString('latin1'), '\x81\x05early');
  socket.destroy();
});

test('a client that says close and stays is let go; one that vanishes is forgotten', async () => {
  const open = async () => Number(/^weir_websockets_open (\d+)$/m.exec((await weir.plain('GET', '/metrics')).text)[1]);
  const links = await Promise.all([...Array(20)].map(() => openFrames(weir.port, WS)));
  links.forEach((link, i) => { if (i % 2) link.destroy(); else link.send(closing(1000)); });
  for (const until = Date.now() + 10_000; await open() && Date.now() < until;) await new Promise((resolve) => { setTimeout(resolve, 20); });
  assert.equal(await open(), 0);
  links.forEach((link) => link.destroy());
});
