// The chat over WebSockets, with diary.access = open: what is heard and in which order, what is refused, what is never lost. The protocol itself is tested in tests/unit/net and by its fuzzer.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { frameSchema, mismatches } from '../lib/shapes.mjs';
import { startDemo, startServe, temporaryFolder } from '../lib/weir.mjs';
import { encodeFrame } from '../lib/ws.mjs';

const HAPPY = '今天和朋友去爬山，一路笑个不停，真的好开心！';
const schema = frameSchema('diary.chat', 'diary.say');
let weir;
let names = 0;
const open = new Set();

before(async () => { weir = await startDemo(); });
after(async () => {
  for (const socket of open) socket.destroy();
  await weir.stop();
});

const fresh = (what) => `${what}${++names}`;
async function user(on = weir) {
  const openId = fresh('u');
  const profile = { openId, nickName: '', avatarUrl: '', gender: 0, province: '', city: '', country: '' };
  assert.equal((await on.form('/matching/store_action/', profile)).status, 200);
  return openId;
}
/** Two people who are matched. */
async function pair(on = weir) {
  for (;;) {
    const me = fresh('p');
    const { data } = (await on.form('/matching/emotion/', { openId: me, title: '', content: HAPPY })).body;
    if (data.match) return { me, other: data.match.user.openId, room: (await on.get('/matching/get_pair_action/', { openId: me })).body.data.pair_id };
  }
}
async function join(room, query = {}, { on = weir, ...options } = {}) {
  const socket = await on.socket(`/ws/chat/${encodeURIComponent(room)}/`, { query, ...options });
  open.add(socket);
  socket.closed.then(() => open.delete(socket));
  return socket;
}
const send = async (room, openId, content, more = {}, on = weir) => on.form('/matching/send_message_via_http/', { pair_id: room, openId, content, ...more });
const history = async (room, query = {}, on = weir) => (await on.get('/matching/get_history_action/', { pair_id: room, ...query })).body.data.messages;
async function heard(socket) {
  const frame = await socket.frameObject();
  assert.deepEqual(mismatches(schema, frame), [], JSON.stringify(frame));
  return frame;
}
const hear = async (socket, n) => { const all = []; while (all.length < n) all.push(await heard(socket)); return all; };
const refused = (status) => (error) => error.status === status && error.body?.status === 'fail' && typeof error.body.msg === 'string';

/* ---- hearing ---- */

test('everybody in a room hears what is said there, the sender too, over both ways', async () => {
  const { me, other, room } = await pair();
  const sockets = [await join(room, { openId: me }), await join(room, { openId: other }), await join(room)];
  const elsewhere = await join(fresh('room'));
  sockets[0].say({ openid: me, message: '你好' });
  for (const socket of sockets) assert.deepEqual({ ...(await heard(socket)), publish_date: '' }, { message: '你好', openId: me, publish_date: '', id: '1' });
  assert.deepEqual((await send(room, other, '你也好 🎻 "</script>')).body, { status: 'success', id: '2' });
  for (const socket of sockets) {
    const frame = await heard(socket);
    assert.deepEqual([frame.message, frame.openId, frame.id], ['你也好 🎻 "</script>', other, '2']);
    assert.match(frame.publish_date, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  }
  assert.deepEqual((await history(room)).map((one) => [one.id, one.content, one.openId]), [['1', '你好', me], ['2', '你也好 🎻 "</script>', other]]);
  await elsewhere.ping();
  assert.deepEqual(elsewhere.texts, []);
});

test('rooms have the names that the path says, with and without the slash', async () => {
  const openId = await user();
  for (const name of ['大厅', 'a b', "it's", '100%', '?', '#1', '+']) {
    const one = await join(name), two = await weir.socket(`/ws/chat/${encodeURIComponent(name)}`);
    one.say({ openid: openId, message: name });
    assert.equal((await heard(two)).message, name);
    assert.equal((await history(name)).at(-1).content, name);
    two.destroy();
  }
});

test('two who talk at once are heard by all in one order, and nothing is missing', async () => {
  const { me, other, room } = await pair();
  const sockets = await Promise.all([join(room, { openId: me }), join(room, { openId: other }), join(room), join(room)]);
  for (let i = 0; i < 60; i++) {
    sockets[0].say({ openid: me, message: `a${i}` });
    sockets[1].say({ openid: other, message: `b${i}` });
    if (i % 3 === 0) send(room, me, `h${i}`).catch(() => {});
  }
  const heardBy = await Promise.all(sockets.map((socket) => hear(socket, 140)));
  const texts = heardBy.map((frames) => frames.map((frame) => frame.message));
  assert.deepEqual(heardBy[0].map((frame) => Number(frame.id)), [...Array(140)].map((_, i) => i + 1));
  for (const one of texts) assert.deepEqual(one, texts[0]);
  for (const from of 'ab') assert.deepEqual(texts[0].filter((text) => text[0] === from), [...Array(60)].map((_, i) => `${from}${i}`), 'one socket\'s frames stay in order');
  assert.deepEqual((await history(room)).map((one) => one.content), texts[0]);
});

test('one socket may have many frames under way; all are stored, in order', async () => {
  const openId = await user(), room = fresh('room');
  const socket = await join(room, { openId });
  const frames = [...Array(400)].map((_, i) => encodeFrame(1, JSON.stringify({ openid: openId, message: `${i}` })));
  socket.sendRaw(Buffer.concat(frames));
  assert.deepEqual((await hear(socket, 400)).map((frame) => frame.message), [...Array(400)].map((_, i) => `${i}`));
});

/* ---- joining late ---- */

test('since gives what was missed, then what comes, without a gap or a repeat', async () => {
  const openId = await user(), room = fresh('room');
  const total = 240;
  let said = 0;
  const talk = async () => { while (said < total) { said += 1; assert.equal((await send(room, openId, `${said}`)).status, 200); } };
  const listen = async (since) => {
    const socket = await join(room, { since, ...(since % 2 ? { openId } : {}) });
    const ids = (await hear(socket, total - since)).map((frame) => Number(frame.id));
    assert.deepEqual(ids, [...Array(total - since)].map((_, i) => since + 1 + i), `since ${since}`);
    socket.destroy();
  };
  const talking = Promise.all([talk(), talk(), talk()]);
  const listening = [];
  for (let wave = 0; wave < 8; wave++) {
    while (said < wave * 30) await weir.get('/healthz');
    for (const back of [0, 5, 20]) listening.push(listen(Math.max(0, Math.min(wave * 30, said - 3) - back)));
    await Promise.race([talking, weir.get('/healthz')]);
  }
  await talking;
  await Promise.all(listening);
  const all = await join(room, { since: '0' });
  assert.equal((await hear(all, total)).length, total);
  const none = await join(room);
  await none.ping();
  assert.deepEqual(none.texts, [], 'without since nothing of the past is sent');
});

test('who is too far behind is told to read the history first; a wrong since is refused', async () => {
  const openId = await user(), room = fresh('room');
  for (let i = 0; i < 510; i += 51) await Promise.all([...Array(51)].map((_, k) => send(room, openId, `${i + k}`)));
  await assert.rejects(join(room, { since: '0' }), refused(409));
  const socket = await join(room, { since: '500' });
  assert.deepEqual((await hear(socket, 10)).map((frame) => frame.id), [...Array(10)].map((_, i) => String(501 + i)));
  for (const since of ['x', '-1', '1.5']) await assert.rejects(join(room, { since }), refused(400), since);
});

/* ---- refusals ---- */

test('a wrong frame is answered by a frame, and the socket stays open', async () => {
  const { me, room } = await pair();
  const stranger = await user();
  const socket = await join(room, { openId: me }, { headers: { 'Accept-Language': 'en' } });
  const listener = await join(room);
  const wrong = [
    ['{', 400], ['', 400], ['[]', 400], ['"text"', 400], ['null', 400], ['{"openid":"a","openid":"b","message":"x"}', 400],
    [{ openid: me }, 400], [{ openid: me, message: '' }, 400], [{ openid: me, message: 7 }, 200], [{ openid: me, message: ['x'] }, 400], [{ openid: me, message: null }, 400],
    [{ openid: me, message: '字'.repeat(10001) }, 400], [{ openid: 'nobody-at-all', message: 'x' }, 404], [{ openid: stranger, message: 'x' }, 403],
    [`{"openid":"${me}","message":"\\u0000"}`, 400], [`{"openid":"${me}","message":"\\ud800"}`, 400],
  ];
  let stored = 0;
  for (const [frame, code] of wrong) {
    socket.sendText(typeof frame === 'string' ? frame : JSON.stringify(frame));
    const answer = await socket.frameObject();
    if (code === 200) { stored += 1; assert.equal(answer.message, '7'); continue; }
    assert.deepEqual([answer.status, answer.code, typeof answer.msg], ['fail', code, 'string'], `${JSON.stringify(frame).slice(0, 80)}: ${JSON.stringify(answer)}`);
    assert.doesNotMatch(answer.msg, /[\u4e00-\u9fff]/);
  }
  socket.say({ openid: stranger, message: 'x', client_id: 'mine' });
  assert.equal((await socket.frameObject()).client_id, 'mine', 'a refusal tells which frame it means');
  socket.sendBinary(Buffer.from(JSON.stringify({ openid: me, message: 'binary' })));
  assert.equal((await socket.frameObject()).code, 400);
  socket.say({ openid: me, message: 'still here' });
  assert.equal((await heard(socket)).message, 'still here');
  assert.deepEqual([(await heard(listener)).message, (await heard(listener)).message], ['7', 'still here'], 'refusals are the sender\'s only');      /* it may be on another loop, a moment later */
  await listener.ping();
  assert.deepEqual(listener.texts, []);
  assert.equal((await history(room)).length, stored + 1);
});

test('without an openid in the frame, the one of the address speaks', async () => {
  const openId = await user(), room = fresh('room');
  const socket = await join(room, { openId });
  socket.say({ message: 'mine' });
  assert.equal((await heard(socket)).openId, openId);
  const nobody = await join(room);
  nobody.say({ message: 'whose?' });
  assert.equal((await nobody.frameObject()).code, 400);
});

test('who did not say in the address who he is is known by his first frame', async () => {
  const openId = await user(), room = fresh('room');
  const socket = await join(room), listener = await join(room);
  for (let i = 0; i < 3; i++) {
    socket.say({ openid: openId, message: '我说的', client_id: `${i}` });
    assert.equal((await heard(socket)).client_id, `${i}`, 'so he can tell which of his frames was stored');
    assert.equal((await heard(listener)).client_id, undefined);
  }
});

test('a frame sent again with its client_id is stored once, and acknowledged', async () => {
  const openId = await user(), room = fresh('room');
  const socket = await join(room, { openId }), listener = await join(room);
  socket.say({ openid: openId, message: '一次', client_id: 'k1' });
  const first = await heard(socket);
  assert.deepEqual([first.client_id, first.id], ['k1', '1']);
  assert.equal((await heard(listener)).client_id, undefined, 'whose key it is concerns nobody else');
  socket.say({ openid: openId, message: '一次', client_id: 'k1' });
  const again = await socket.frameObject();
  assert.deepEqual([again.id, again.client_id], ['1', 'k1']);
  socket.say({ openid: openId, message: '另一句', client_id: 'k1' });
  const other = await socket.frameObject();
  assert.deepEqual([other.status, other.code, other.client_id], ['fail', 422, 'k1']);
  for (const query of [{ openId }, { openId, since: '1' }]) {
    const later = await join(room, query);
    later.say({ openid: openId, message: '一次', client_id: 'k1' });
    assert.equal((await later.frameObject()).id, '1', 'also over another socket, wherever that began');
  }
  const posted = await send(room, openId, '另外一次', { client_id: 'k2' });
  assert.deepEqual([posted.body, (await send(room, openId, '另外一次', { client_id: 'k2' })).body], [{ status: 'success', id: '2', client_id: 'k2' }, posted.body]);
  assert.deepEqual((await history(room)).map((one) => one.content), ['一次', '另外一次']);
});

test('what is no handshake, or comes from another site, is refused', async () => {
  const plain = await weir.get('/ws/chat/x/');
  assert.deepEqual([plain.status, plain.headers.upgrade], [426, 'websocket']);
  await assert.rejects(weir.socket('/ws/chat/x/', { headers: { 'Sec-WebSocket-Version': '8' } }), (error) => error.status === 426 && error.headers['sec-websocket-version'] === '13');
  await assert.rejects(weir.socket('/ws/chat/x/', { headers: { 'Sec-WebSocket-Key': 'short' } }), (error) => error.status === 400);
  for (const path of ['/ws/chat/', '/ws/', '/ws/other/x/', '/matching/']) await assert.rejects(weir.socket(path), (error) => [400, 404].includes(error.status) || path === '/matching/', path);
  await assert.rejects(weir.socket('/ws/chat/x/', { headers: { Origin: 'https://evil.example' } }), refused(403));
  await assert.rejects(weir.socket('/ws/chat/x/', { headers: { Origin: 'null' } }), refused(403));
  for (const origin of [weir.url, 'https://servicewechat.com']) (await weir.socket('/ws/chat/x/', { headers: { Origin: origin } })).destroy();
  const own = await startDemo({ 'server.origins': 'https://a.example, https://b.example' });
  for (const origin of ['https://a.example', 'https://b.example']) (await own.socket('/ws/chat/x/', { headers: { Origin: origin } })).destroy();
  await assert.rejects(own.socket('/ws/chat/x/', { headers: { Origin: 'https://c.example' } }), refused(403));
  await own.stop();
});

/* ---- the protocol, as far as the app has a say ---- */

test('messages are compressed for who offers it, and reassembled', async () => {
  const openId = await user(), room = fresh('room');
  const socket = await join(room, { openId }, { deflate: true });
  assert.match(socket.extensions, /^permessage-deflate/);
  const long = '很长的一句话，'.repeat(1000);
  socket.say({ openid: openId, message: long });
  assert.equal((await heard(socket)).message, long);
  assert.equal(socket.deflated, true);
  const plain = await join(room, { openId });
  const bytes = Buffer.from(JSON.stringify({ openid: openId, message: '分成几块' }));
  plain.sendRaw(Buffer.concat([encodeFrame(1, bytes.subarray(0, 7), { fin: false }), encodeFrame(9, 'in between'), encodeFrame(0, bytes.subarray(7, 30), { fin: false }), encodeFrame(0, bytes.subarray(30))]));
  assert.equal((await heard(plain)).message, '分成几块');
});

test('a frame over the limit closes with 1009, what is not masked with 1002, bad UTF-8 with 1007', async () => {
  for (const [bytes, code] of [[encodeFrame(1, 'x'.repeat(256 * 1024 + 1)), 1009], [encodeFrame(1, '{}', { mask: null }), 1002], [encodeFrame(1, Buffer.from([0xff])), 1007], [encodeFrame(3, 'x'), 1002]]) {
    const socket = await join(fresh('room'));
    socket.sendRaw(bytes);
    assert.equal((await socket.closed).code, code);
  }
  const socket = await join(fresh('room'));
  await socket.close(1000);
  assert.equal(socket.over.code, 1000, 'a close is answered');
});

/* ---- leaving ---- */

test('depairing closes the room\'s sockets with 1008, and nobody writes there any more', async () => {
  const { me, other, room } = await pair();
  const sockets = [await join(room, { openId: me }), await join(room, { openId: other }), await join(room)];
  const elsewhere = await join(fresh('room'), { openId: me });
  sockets[0].say({ openid: me, message: '再见' });
  for (const socket of sockets) await heard(socket);
  assert.equal((await weir.get('/matching/depair_action/', { openId: other })).body.status, 'success');
  for (const socket of sockets) assert.equal((await socket.closed).code, 1008);
  const late = await join(room, { openId: me, since: '0' });
  assert.equal((await heard(late)).message, '再见', 'what was said can still be read');
  late.say({ openid: me, message: '还在吗' });
  assert.equal((await late.frameObject()).code, 403);
  await elsewhere.ping();
  assert.equal((await history(room)).length, 1);
});

test('who does not read holds nobody up, and is sent away', async () => {
  const openId = await user(), room = fresh('room');
  const slow = await join(room), quick = await join(room);
  slow.socket.pause();
  const text = '字'.repeat(10000);
  const rounds = 16, each = 40;
  for (let i = 0; i < rounds; i++) {
    const sent = Promise.all([...Array(each)].map(() => send(room, openId, text)));
    const frames = await hear(quick, each);
    assert.equal(Number(frames.at(-1).id), (i + 1) * each);
    assert.ok((await sent).every((reply) => reply.status === 200));
  }
  slow.socket.resume();
  assert.ok([1013, 1006].includes((await slow.closed).code), 'the close frame comes through if he reads again within two seconds');
  assert.ok(slow.texts.length < rounds * each);
  slow.texts.forEach((one, i) => assert.equal(JSON.parse(one).id, String(i + 1), 'what did arrive is without a gap'));
});

test('a socket that vanishes with frames under way harms nobody', async () => {
  const openId = await user(), room = fresh('room');
  const listener = await join(room);
  for (let i = 0; i < 20; i++) {
    const socket = await join(room, { openId });
    socket.sendRaw(Buffer.concat([...Array(10)].map((_, k) => encodeFrame(1, JSON.stringify({ openid: openId, message: `${i}-${k}` })))));
    socket.socket.resetAndDestroy?.() ?? socket.destroy();
  }
  await send(room, openId, 'end');
  let frame;
  const ids = [];
  do { frame = await heard(listener); ids.push(Number(frame.id)); } while (frame.message !== 'end');
  assert.deepEqual(ids, ids.map((_, i) => i + 1));
});

test('SIGTERM closes with 1001, and whatever was acknowledged is there after it', async () => {
  const folder = temporaryFolder();
  try {
    const first = await startDemo({}, { folder });
    const acknowledged = [];
    const ends = [];
    for (let i = 0; i < 6; i++) {
      const openId = `s${i}`, room = `r${i % 3}`;
      await first.form('/matching/emotion/', { openId, title: '', content: '平常的一天' });
      const socket = await join(room, { openId }, { on: first });
      let n = 0;
      const say = () => socket.say({ openid: openId, message: `${openId}-${n++}` });
      const talk = async () => {
        for (;;) {
          const frame = JSON.parse(await socket.next());
          if (frame.openId !== openId) continue;
          acknowledged.push([room, frame.id, frame.message]);
          say();
        }
      };
      for (let k = 0; k < 4; k++) say();
      ends.push(talk().catch(() => socket.closed));
    }
    const post = async (i) => {
      for (let n = 0; ; n++) {
        const reply = await first.form('/matching/send_message_via_http/', { pair_id: 'http', openId: 's0', content: `h${i}-${n}` });
        if (reply.status !== 200) return;
        acknowledged.push(['http', reply.body.id, `h${i}-${n}`]);
      }
    };
    const posting = [...Array(4)].map((_, i) => post(i).catch(() => {}));
    while (acknowledged.length < 300) await new Promise((resolve) => setImmediate(resolve));
    await first.stop({ keep: true });
    for (const end of await Promise.all(ends)) assert.equal(end.code, 1001);
    await Promise.all(posting);
    const second = await startServe({ 'diary.access': 'open' }, { folder });
    for (const room of ['r0', 'r1', 'r2', 'http']) {
      const there = await history(room, {}, second);
      assert.deepEqual(there.map((one) => Number(one.id)), there.map((_, i) => i + 1));
      const stored = new Map(there.map((one) => [one.id, one.content]));
      for (const [, id, message] of acknowledged.filter(([where]) => where === room)) assert.equal(stored.get(id), message, `message ${id} of ${room}`);
    }
    await second.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
