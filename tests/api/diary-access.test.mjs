// Who may do what outside `open`: `weir serve` with WeChat played by the sandbox, diary.access = handle and session. Ids are sealed, somebody else's are 404 and nothing else, an alias proves nothing,
// a WebSocket hears nothing before it has proved who it is; and WeChat's check of texts.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { png } from '../lib/pictures.mjs';
import { runWeir, startSandbox, startServe, temporaryFolder } from '../lib/weir.mjs';

const HAPPY = '今天和朋友去爬山，一路笑个不停，真的好开心！';
const PROFILE = { nickName: '小微', avatarUrl: '', gender: 1, province: '', city: '', country: '' };
const DAY = 86_400_000;
const is = (reply, status) => assert.equal(reply.status, status, reply.text);

let wechat, weir, strict;
let names = 0;
before(async () => {
  wechat = await startSandbox();
  [weir, strict] = await Promise.all([startServe({ 'diary.rooms': 'lobby, 花园' }, { wechat }), startServe({ 'diary.access': 'session', 'diary.rooms': 'lobby' }, { wechat })]);
});
after(async () => {
  await weir.stop();
  await strict.stop();
  await wechat.stop();
});

/** Logs a new person in: { openId, token, person }. */
async function login(on = weir, person = `x${++names}`) {
  const { data } = (await on.get('/matching/get_openId_action/', { js_code: `demo-${person}` })).body;
  assert.ok(data.openId, JSON.stringify(data));
  return { openId: data.openId, token: data.session_key, person };
}
const proofOf = (who, on) => (on === strict ? { openId: who.openId, session_key: who.token } : { openId: who.openId });
const write = async (who, content = HAPPY, on = weir) => {
  const reply = await on.form('/matching/emotion/', { ...proofOf(who, on), title: '', content });
  is(reply, 200);
  return reply.body.data;
};
/** Two people who are matched: each with `room` and `alias`, what the partner is called here. */
async function pair(on = weir) {
  const a = await login(on);
  let match = (await write(a, HAPPY, on)).match;
  const b = await login(on);
  match ??= (await write(b, HAPPY, on)).match;
  if (!match) throw new Error('equal feelings must match');
  for (const one of [a, b]) {
    const user = (await on.get('/matching/get_user_action/', proofOf(one, on))).body.data;
    one.alias = user.match?.user.openId;
    one.diary = user.diaries[0]?.diary_id;
    if (one.alias) one.room = (await on.get('/matching/get_pair_action/', proofOf(one, on))).body.data.pair_id;
  }
  assert.ok(a.room && b.room, 'both are matched, with each other');
  return [a, b];
}
const history = async (query, on = weir) => (await on.get('/matching/get_history_action/', query)).body.data.messages;

/* ---- handles and sealed ids ---- */

test('serve asks for handles unless it is told otherwise, and open stays on this machine', async () => {
  assert.match(runWeir(['serve', '--help']).out, /access +.*handle/);
  is(await weir.form('/matching/emotion/', { openId: 'anybody', title: '', content: HAPPY }), 404);
});

test('a handle is not WeChat\'s openid, and the same at each login', async () => {
  const first = await login(weir, 'bob');
  const again = await login(weir, 'bob');
  const { openid } = (await wechat.wechat.world()).people.find((one) => one.name === 'bob');
  assert.equal(first.openId, again.openId);
  assert.notEqual(first.token, again.token);
  assert.notEqual(first.openId, openid);
  assert.match(first.openId, /^[\w-]{40,}$/);
  is(await weir.get('/matching/get_user_action/', { openId: openid }), 404);
});

test('one\'s own life by a handle: profile, diaries, edits, without a decimal id anywhere', async () => {
  const me = await login();
  is(await weir.form('/matching/store_action/', { openId: me.openId, ...PROFILE }), 200);
  await write(me, '平常的一天，没什么特别的。');
  await write(me, '又一天');
  const data = (await weir.get('/matching/get_user_action/', { openId: me.openId })).body.data;
  assert.deepEqual(data.user, { openId: me.openId, ...PROFILE, avatarUrl: '' });
  const [{ diary_id: newer }, { diary_id: older }] = data.diaries;
  assert.notEqual(newer, older);
  for (const id of [newer, older]) assert.match(id, /^[\w-]{40,}$/);
  assert.equal((await weir.get('/matching/get_diary_action/', { diaryId: older })).body.data.diary.content, '平常的一天，没什么特别的。', 'the id proves whose it is');
  is(await weir.get('/matching/get_diary_action/', { diaryId: older, openId: me.openId }), 200);
  is(await weir.form('/matching/alt_diary_action/', { diaryId: older, title: '新的', content: '改过了' }), 200);
  assert.deepEqual((await weir.get('/matching/get_user_diary_action/', { openId: me.openId })).body.data.diaries.map((one) => [one.diary_id, one.title]), [[older, '新的'], [newer, '又一天']]);
  is(await weir.form('/matching/delete_diary_action/', { diaryId: older }), 200);
  is(await weir.get('/matching/get_diary_action/', { diaryId: older }), 404);
  is(await weir.form('/matching/delete_diary_action/', { diaryId: older }), 200);
});

test('somebody else\'s ids are 404, whatever comes with them', async () => {
  const [a, b] = await pair();
  const foreign = [
    ['GET', 'get_diary_action', { diaryId: a.diary, openId: b.openId }],
    ['GET', 'get_diary_action', { diaryId: a.diary, session_key: b.token }],
    ['POST', 'alt_diary_action', { diaryId: a.diary, session_key: b.token, title: 'x', content: 'x' }],
    ['POST', 'delete_diary_action', { diaryId: a.diary, session_key: b.token }],
    ['GET', 'get_user_action', { openId: a.openId, session_key: b.token }],
    ['GET', 'get_user_diary_action', { openId: a.openId, session_key: b.token }],
    ['GET', 'get_pair_action', { openId: a.openId, session_key: b.token }],
    ['GET', 'depair_action', { openId: a.openId, session_key: b.token }],
    ['GET', 'get_history_action', { pair_id: a.room, openId: b.openId }],
    ['GET', 'get_history_action', { pair_id: a.room, session_key: b.token }],
    ['POST', 'send_message_via_http', { pair_id: a.room, openId: b.openId, content: 'x' }],
    ['POST', 'send_message_via_http', { pair_id: a.room, openId: a.openId, session_key: b.token, content: 'x' }],
    ['POST', 'emotion', { openId: a.openId, session_key: b.token, title: '', content: 'x' }],
    ['POST', 'store_action', { openId: a.openId, session_key: b.token, ...PROFILE }],
  ];
  for (const [method, name, params] of foreign) {
    const reply = await weir.request(method, `/matching/${name}/`, method === 'GET' ? { query: params } : { form: params });
    assert.equal(reply.status, 404, `${name} ${Object.keys(params)}: ${reply.text}`);
  }
  is(await weir.get('/matching/get_diary_action/', { diaryId: a.diary }), 200);
  assert.equal((await history({ pair_id: a.room })).length, 0);
});

test('ids of another kind, decimal ones, changed ones: 404', async () => {
  const [a, b] = await pair();
  const flip = (id, at) => id.slice(0, at) + (id[at] === 'A' ? 'B' : 'A') + id.slice(at + 1);
  const damaged = (id) => [flip(id, 0), flip(id, 5), flip(id, id.length >> 1), id.slice(0, -1), `${id}A`, ` ${id}`, `${id}=`, '1', '0', '-1', 'A'.repeat(id.length), '', '*', '../1'];
  for (const openId of [...damaged(a.openId), a.diary, a.room, a.alias, b.alias]) {
    const expected = openId === '' ? [400, 401, 404] : [404];
    for (const name of ['get_user_action', 'get_user_diary_action', 'get_pair_action', 'depair_action']) assert.ok(expected.includes((await weir.get(`/matching/${name}/`, { openId })).status), `${name} ${openId}`);
    assert.ok(expected.includes((await weir.form('/matching/emotion/', { openId, title: '', content: 'x' })).status), openId);
  }
  for (const diaryId of [...damaged(a.diary), a.openId, a.room]) {
    const expected = diaryId === '' ? [400, 401, 404] : [404];
    assert.ok(expected.includes((await weir.get('/matching/get_diary_action/', { diaryId })).status), diaryId);
    assert.ok(expected.includes((await weir.form('/matching/delete_diary_action/', { diaryId })).status), diaryId);
    assert.ok(expected.includes((await weir.form('/matching/alt_diary_action/', { diaryId, title: 't', content: 'c' })).status), diaryId);
  }
  for (const pair_id of [...damaged(a.room).filter((one) => one), a.openId, a.diary, b.room]) {
    assert.equal((await weir.get('/matching/get_history_action/', { pair_id, openId: a.openId })).status, 404, pair_id);
    assert.equal((await weir.form('/matching/send_message_via_http/', { pair_id, openId: a.openId, content: 'x' })).status, 404, pair_id);
  }
});

test('the partner is an alias: the same everywhere in a room, another one in the next, never a credential', async () => {
  const [a, b] = await pair();
  assert.notEqual(a.alias, b.openId);
  assert.notEqual(a.room, b.room, 'each has an id of his own for their room');
  await weir.form('/matching/send_message_via_http/', { pair_id: a.room, openId: a.openId, content: '我' });
  await weir.form('/matching/send_message_via_http/', { pair_id: b.room, openId: b.openId, content: '你' });
  assert.deepEqual((await history({ pair_id: a.room })).map((one) => one.openId), [a.openId, a.alias]);
  assert.deepEqual((await history({ pair_id: b.room })).map((one) => one.openId), [b.alias, b.openId]);
  assert.equal((await write(a, '还是很开心')).match.user.openId, a.alias);
  for (const name of ['get_user_action', 'depair_action', 'get_pair_action']) is(await weir.get(`/matching/${name}/`, { openId: a.alias }), 404);
  is(await weir.form('/matching/send_message_via_http/', { pair_id: b.room, openId: a.alias, content: '冒充' }), 404);
  is(await weir.get('/matching/depair_action/', { openId: a.openId }), 200);
  assert.equal((await history({ pair_id: a.room })).length, 2, 'who was in it may read');
  is(await weir.form('/matching/send_message_via_http/', { pair_id: a.room, openId: a.openId, content: '再说' }), 403);
  const next = (await write(a)).match;
  assert.ok(next, 'both look again');
  assert.notEqual(next.user.openId, a.alias);
});

test('ids live as long as the key that sealed them', async () => {
  const folder = temporaryFolder();
  try {
    let own = await startServe({}, { wechat, folder });
    const me = await login(own);
    await own.form('/matching/emotion/', { openId: me.openId, title: '', content: HAPPY });
    await own.stop();
    own = await startServe({}, { wechat, folder });
    is(await own.get('/matching/get_user_action/', { openId: me.openId }), 200);
    is(await own.get('/matching/get_user_action/', { session_key: me.token }), 200);
    await own.stop();
    rmSync(path.join(folder, 'secret.key'));
    const refused = runWeir(['serve', '--listen', '127.0.0.1:0', '--data', folder]);       // a key that is missing is not replaced behind the operator's back
    assert.equal(refused.status, 1);
    assert.match(refused.err, /secret\.key/);
    writeFileSync(path.join(folder, 'secret.key'), randomBytes(32), { mode: 0o600 });
    own = await startServe({}, { wechat, folder });
    is(await own.get('/matching/get_user_action/', { openId: me.openId }), 404);
    assert.notEqual((await login(own, me.person)).openId, me.openId);
    await own.stop();
    const ends = runWeir(['serve', '--listen', '127.0.0.1:0', '--data', folder, '--set', 'server.secret_key=short']);
    assert.ok(ends.status === 1 || ends.status === 2, ends.err);
    assert.doesNotMatch(ends.err, /short/, 'a secret is not repeated');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/* ---- tokens ---- */

test('without any proof it is 401, and says how to log in', async () => {
  for (const [method, name] of [['GET', 'get_user_action'], ['GET', 'get_user_diary_action'], ['GET', 'get_pair_action'], ['GET', 'depair_action'], ['GET', 'get_diary_action'], ['POST', 'emotion'], ['POST', 'store_action']]) {
    const params = name === 'emotion' ? { title: '', content: 'x' } : name === 'store_action' ? PROFILE : {};
    const reply = await weir.request(method, `/matching/${name}/`, method === 'GET' ? { query: params } : { form: params });
    assert.deepEqual([reply.status, reply.headers['www-authenticate']], [401, 'Bearer realm="weir"'], `${name}: ${reply.text}`);
  }
});

test('a token comes as a header or as the parameter session_key; a cookie alone proves nothing', async () => {
  const me = await login();
  const path_ = '/matching/get_user_action/';
  for (const value of [`Bearer ${me.token}`, `bearer ${me.token}`, `BEARER  ${me.token} `]) assert.equal((await weir.get(path_, {}, { headers: { Authorization: value } })).body.data.user.openId, me.openId, value);
  is(await weir.get(path_, { session_key: me.token }), 200);
  is(await weir.form('/matching/emotion/', { session_key: me.token, title: '', content: '表单' }), 200);
  is(await weir.json('/matching/emotion/', { session_key: me.token, title: '', content: 'JSON' }), 200);
  is(await weir.multipart('/matching/emotion/', [{ name: 'session_key', value: me.token }, { name: 'title', value: '' }, { name: 'content', value: 'multipart' }]), 200);
  is(await weir.form('/matching/emotion/', { openId: me.openId, session_key: me.token, title: '', content: '两样' }), 200);
  for (const headers of [{ Cookie: `weir_session=${me.token}` }, { Authorization: `Basic ${me.token}` }, { Authorization: me.token }, { Authorization: 'Bearer' }]) is(await weir.get(path_, {}, { headers }), 401);
  for (const token of [`${me.token.slice(0, -1)}${me.token.at(-1) === 'A' ? 'B' : 'A'}`, me.token.slice(1), `${me.token}A`, 'x', '0']) {
    is(await weir.get(path_, { session_key: token }), 401);
    is(await weir.get(path_, { session_key: token, openId: me.openId }), 401);
    is(await weir.get(path_, {}, { headers: { Authorization: `Bearer ${token}` } }), 401);
  }
});

test('a token ends 30 days after it was made', async () => {
  const own = await startServe({ 'diary.access': 'session' }, { wechat });
  try {
    const start = Date.parse('2026-05-01T00:00:00Z');
    await own.clock(start);
    const me = await login(own);
    const ask = () => own.get('/matching/get_user_action/', { session_key: me.token });
    is(await ask(), 200);
    await own.clock(start + 29 * DAY);
    is(await ask(), 200);
    await own.clock(start + 61 * DAY);
    is(await ask(), 401);
    is(await own.get('/matching/get_user_action/', { session_key: (await login(own, me.person)).token }), 200);
  } finally {
    await own.stop();
  }
});

test('using a token keeps it alive', async () => {
  const own = await startServe({ 'diary.access': 'session' }, { wechat });
  try {
    const start = Date.parse('2026-05-01T00:00:00Z');
    await own.clock(start);
    const me = await login(own);
    for (let day = 0; day < 100; day += 20) {
      await own.clock(start + day * DAY);
      is(await own.form('/matching/emotion/', { session_key: me.token, title: '', content: `第${day}天` }), 200);
    }
  } finally {
    await own.stop();
  }
});

test('in session a handle alone does nothing, and a token only what is its user\'s', async () => {
  const [a, b] = await pair(strict);
  for (const [method, name, params] of [['GET', 'get_user_action', {}], ['GET', 'get_pair_action', {}], ['POST', 'emotion', { title: '', content: 'x' }], ['GET', 'depair_action', {}]]) {
    const params_ = { openId: a.openId, ...params };
    is(await strict.request(method, `/matching/${name}/`, method === 'GET' ? { query: params_ } : { form: params_ }), 401);
  }
  is(await strict.get('/matching/get_diary_action/', { diaryId: a.diary }), 401);
  is(await strict.get('/matching/get_history_action/', { pair_id: a.room }), 401);
  is(await strict.get('/matching/get_user_action/', { openId: a.openId, session_key: b.token }), 404);
  is(await strict.get('/matching/get_diary_action/', { diaryId: a.diary, session_key: b.token }), 404);
  is(await strict.get('/matching/get_history_action/', { pair_id: a.room, session_key: b.token }), 404);
  is(await strict.get('/matching/get_user_action/', { session_key: a.token }), 200);
  is(await strict.get('/matching/get_diary_action/', { diaryId: a.diary, session_key: a.token }), 200);
  is(await strict.form('/matching/send_message_via_http/', { pair_id: a.room, session_key: a.token, content: '在' }), 200);
  await assert.rejects(strict.socket(`/ws/chat/${a.room}/`, { query: { openId: a.openId } }), (error) => error.status === 401);
  await assert.rejects(strict.socket(`/ws/chat/${a.room}/`, { query: { session_key: b.token } }), (error) => error.status === 404);
  const socket = await strict.socket(`/ws/chat/${a.room}/`, { query: { session_key: a.token } });
  await strict.form('/matching/send_message_via_http/', { pair_id: b.room, session_key: b.token, content: '也在' });
  assert.deepEqual([(await socket.frameObject()).openId], [a.alias]);
  socket.destroy();
  const bare = await strict.socket(`/ws/chat/${b.room}/`);
  bare.say({ openid: b.openId, message: '没有令牌' });
  assert.equal((await bare.frameObject()).code, 401);
  bare.say({ openid: b.openId, session_key: b.token, message: '有了' });
  assert.equal((await bare.frameObject()).message, '有了');
  bare.destroy();
});

test('nothing private is kept by caches or told to other sites', async () => {
  const [a] = await pair();
  const replies = [await weir.get('/matching/get_user_action/', { openId: a.openId }), await weir.get('/matching/get_diary_action/', { diaryId: a.diary }), await weir.get('/matching/get_user_diary_action/', { openId: a.openId }),
    await weir.get('/matching/get_pair_action/', { openId: a.openId }), await weir.get('/matching/get_history_action/', { pair_id: a.room }), await weir.get('/matching/get_openId_action/', { js_code: 'demo-bob' }),
    await weir.get('/matching/get_user_action/', { openId: 'x' }), await weir.get('/matching/get_user_action/')];
  for (const reply of replies) assert.deepEqual([reply.headers['cache-control'], reply.headers['referrer-policy'], reply.headers['x-content-type-options']], ['no-store', 'no-referrer', 'nosniff']);
});

test('an upload needs a login, and its name cannot be guessed', async () => {
  const me = await login();
  const parts = [{ name: 'img', filename: 'a.png', type: 'image/png', bytes: png(3, 3) }];
  is(await weir.multipart('/matching/upload_img_action/', parts), 401);
  is(await weir.multipart('/matching/upload_img_action/', [...parts, { name: 'openId', value: 'x' }]), 404);
  for (const options of [{}, { headers: { Authorization: `Bearer ${me.token}` } }]) {
    const reply = await weir.multipart('/matching/upload_img_action/', options.headers ? parts : [...parts, { name: 'openId', value: me.openId }], options);
    is(reply, 200);
    assert.match(reply.body.data.image.name, /^a_[0-9a-f]{12}\.png$/);
  }
});

/* ---- rooms and sockets ---- */

test('named rooms are those that the setting lists, for who is logged in', async () => {
  const me = await login();
  for (const room of ['lobby', '花园']) {
    is(await weir.form('/matching/send_message_via_http/', { pair_id: room, openId: me.openId, content: room }), 200);
    assert.equal((await history({ pair_id: room, openId: me.openId })).at(-1).content, room);
    is(await weir.get('/matching/get_history_action/', { pair_id: room }), 401);
  }
  for (const room of ['attic', 'lobby,', 'lobby, 花园', '1', 'LOBBY', ' lobby']) {
    is(await weir.form('/matching/send_message_via_http/', { pair_id: room, openId: me.openId, content: 'x' }), 404);
    is(await weir.get('/matching/get_history_action/', { pair_id: room, openId: me.openId }), 404);
    await assert.rejects(weir.socket(`/ws/chat/${encodeURIComponent(room)}/`, { query: { openId: me.openId } }), (error) => error.status === 404, room);
  }
  is(await weir.form('/matching/send_message_via_http/', { pair_id: 'lobby', openId: 'x', content: 'x' }), 404);
});

test('a socket hears nothing before it has proved who it is', async () => {
  const [a, b] = await pair();
  const deaf = await weir.socket(`/ws/chat/${b.room}/`), hearing = await weir.socket(`/ws/chat/${b.room}/`, { query: { openId: b.openId } }), lobby = await weir.socket('/ws/chat/lobby/');
  const say = async (content) => is(await weir.form('/matching/send_message_via_http/', { pair_id: a.room, openId: a.openId, content }), 200);
  await say('一');
  assert.equal((await hearing.frameObject()).message, '一');
  await deaf.ping();
  assert.deepEqual(deaf.texts, []);
  for (const [frame, code] of [[{ message: '没说是谁' }, 401], [{ openid: 'x', message: 'x' }, 404], [{ openid: b.alias, message: 'x' }, 404], [{ openid: a.openId, message: '别人的房间' }, 404]]) {
    deaf.say(frame);
    const answer = await deaf.frameObject();
    assert.deepEqual([answer.status, answer.code], ['fail', code], JSON.stringify(frame));
  }
  await say('二');
  assert.equal((await hearing.frameObject()).message, '二');
  await deaf.ping();
  assert.deepEqual(deaf.texts, []);
  deaf.say({ openid: b.openId, message: '是我' });
  assert.deepEqual([(await deaf.frameObject()).openId, (await hearing.frameObject()).openId], [b.openId, b.openId]);
  await say('三');
  for (const socket of [deaf, hearing]) {
    const frame = await socket.frameObject();
    assert.deepEqual([frame.message, frame.openId], ['三', b.alias]);
  }
  await weir.form('/matching/send_message_via_http/', { pair_id: 'lobby', openId: a.openId, content: '大厅' });
  await lobby.ping();
  assert.deepEqual(lobby.texts, []);
  for (const socket of [deaf, hearing, lobby]) socket.destroy();
});

test('a handshake with somebody else\'s room or a false proof is refused', async () => {
  const [a, b] = await pair();
  for (const [room, query] of [[a.room, { openId: b.openId }], [a.room, { openId: a.alias }], [a.room, { openId: 'x' }], ['1', {}], ['1', { openId: a.openId }], [a.openId, {}], [a.diary, { openId: a.openId }]])
    await assert.rejects(weir.socket(`/ws/chat/${room}/`, { query }), (error) => error.status === 404, `${room} ${JSON.stringify(query)}`);
  await assert.rejects(weir.socket(`/ws/chat/${a.room}/`, { query: { session_key: 'x' } }), (error) => error.status === 401);
});

test('two people of a room see each other\'s aliases and their own handles, also in the backlog', async () => {
  const [a, b] = await pair();
  const [one, two] = [await weir.socket(`/ws/chat/${a.room}/`, { query: { openId: a.openId } }), await weir.socket(`/ws/chat/${b.room}/`, { query: { openId: b.openId } })];
  one.say({ openid: a.openId, message: 'a', client_id: 'c' });
  const [own, others] = [await one.frameObject(), await two.frameObject()];
  assert.deepEqual([own.openId, own.client_id, others.openId, others.client_id], [a.openId, 'c', b.alias, undefined]);
  two.say({ openid: b.openId, message: 'b' });
  assert.deepEqual([(await one.frameObject()).openId, (await two.frameObject()).openId], [a.alias, b.openId]);
  const late = await weir.socket(`/ws/chat/${a.room}/`, { query: { openId: a.openId, since: '0' } });
  assert.deepEqual([(await late.frameObject()).openId, (await late.frameObject()).openId], [a.openId, a.alias]);
  is(await weir.get('/matching/depair_action/', { openId: a.openId }), 200);
  for (const socket of [one, two, late]) assert.equal((await socket.closed).code, 1008);
});

/* ---- WeChat's check of texts ---- */

test('risky texts are refused, doubtful ones and those that could not be checked are stored and looked at again', async () => {
  const own = await startServe({ 'diary.content_check': 'wechat', 'diary.rooms': 'lobby' }, { wechat });
  try {
    const [a, b] = [await login(own), await login(own)];
    const post = (content, title = '') => own.form('/matching/emotion/', { openId: a.openId, title, content });
    const say = (content) => own.form('/matching/send_message_via_http/', { pair_id: 'lobby', openId: a.openId, content });
    const seenBy = async (who) => (await history({ pair_id: 'lobby', openId: who.openId }, own)).map((one) => one.content);
    is(await post('平常的一天'), 200);
    for (const reply of [await post('里面有违规测试的字样'), await post('平常', '色情测试'), await say('辱骂测试')]) is(reply, 400);
    const [{ diary_id: diaryId }] = (await own.get('/matching/get_user_action/', { openId: a.openId })).body.data.diaries;
    is(await own.form('/matching/alt_diary_action/', { diaryId, title: '', content: '改成广告测试' }), 400);
    assert.equal((await own.get('/matching/get_diary_action/', { diaryId })).body.data.diary.content, '平常的一天');
    is(await post('要复审测试一下'), 200);
    await wechat.wechat.faults({ status: 502, path: 'msg_sec_check' });
    is(await post('欺诈测试，但是微信断线了'), 200);
    is(await say('违规测试，但是微信断线了'), 200);
    is(await say('这一句没问题'), 200);
    assert.deepEqual([await seenBy(a), await seenBy(b)], [['违规测试，但是微信断线了', '这一句没问题'], ['违规测试，但是微信断线了', '这一句没问题']]);
    await wechat.wechat.faults({});
    await own.clock(Date.now() + 60_000);                          /* the second look is half a minute later; a commit wakes the outbox */
    is(await say('复审测试'), 200);
    for (let i = 0; i < 3000 && (await seenBy(b)).length === 3; i++) await own.get('/healthz');
    assert.deepEqual(await seenBy(b), ['这一句没问题', '复审测试'], 'hidden from the others');
    assert.deepEqual(await seenBy(a), ['违规测试，但是微信断线了', '这一句没问题', '复审测试'], 'but not from its author');
  } finally {
    await wechat.wechat.faults({});
    await own.stop();
  }
});

test('frames of one socket keep their order, whatever the check does to some of them', async () => {
  const own = await startServe({ 'diary.content_check': 'wechat', 'diary.rooms': 'lobby' }, { wechat });
  try {
    const me = await login(own);
    const socket = await own.socket('/ws/chat/lobby/', { query: { openId: me.openId } });
    const said = [...Array(20)].map((_, i) => (i % 5 === 3 ? `违规测试${i}` : `第${i}句`));
    for (const [i, message] of said.entries()) socket.say({ openid: me.openId, message, client_id: `${i}` });
    const frames = [];
    while (frames.length < said.length) frames.push(await socket.frameObject());
    const stored = frames.filter((frame) => frame.message), refused = frames.filter((frame) => frame.status === 'fail');
    assert.deepEqual(stored.map((frame) => [frame.message, frame.client_id, frame.id]), said.map((message, i) => [message, `${i}`]).filter((_, i) => i % 5 !== 3).map((one, i) => [...one, `${i + 1}`]));
    assert.deepEqual(refused.map((frame) => [frame.code, frame.client_id]), ['3', '8', '13', '18'].map((i) => [400, i]));
    socket.destroy();
  } finally {
    await own.stop();
  }
});

test('a check that takes too long does not hold the writer up', async () => {
  const own = await startServe({ 'diary.content_check': 'wechat', 'diary.rooms': 'lobby' }, { wechat });
  try {
    const [a, b] = [await login(own), await login(own)];
    await wechat.wechat.faults({ hold_ms: 20_000, path: 'msg_sec_check' });
    const started = Date.now();
    const slow = own.form('/matching/emotion/', { openId: a.openId, title: '', content: '今天写了很多' });
    is(await own.form('/matching/store_action/', { openId: b.openId, ...PROFILE }), 200);
    assert.ok(Date.now() - started < 2500, 'others write meanwhile');
    is(await slow, 200);
    assert.ok(Date.now() - started < 10_000);
  } finally {
    await wechat.wechat.faults({});
    await own.stop();
  }
});
