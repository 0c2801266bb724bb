// The routes under /api/diary/, over real sockets against the demo's sandbox. Each test has a server of its own, so nobody is matched with somebody of another test. Every success is compared with
// the shape in the command table, and each write is run twice (debug.rehearse).
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { mismatches, shapes } from '../lib/shapes.mjs';
import { startDemo, temporaryFolder } from '../lib/weir.mjs';
import { openSocket } from '../lib/ws.mjs';

const HAPPY = '今天和朋友去爬山，一路笑个不停，真的好开心！';
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

const shape = shapes();
const reached = new Set();
const running = [];

/** The code that a socket was closed with; fails if it stays open. */
async function closeCode(socket) {
  let timer;
  const late = new Promise((resolve, reject) => { timer = setTimeout(() => reject(new Error('the socket is still open')), 20_000); });
  const { code } = await Promise.race([socket.closed, late]);
  clearTimeout(timer);
  return code;
}

async function world(settings = {}) {
  const weir = await startDemo({ 'diary.access': 'handle', 'diary.rooms': 'lobby, garden', 'debug.rehearse': 'true', ...settings });
  running.push(weir);
  return {
    weir,
    /** A call of /api/diary/NAME: GET and DELETE by query, POST as JSON. Gives {status, body, data, headers}. */
    async api(method, name, who, params = {}) {
      const url = new URL(`/api/diary/${name}`, weir.url);
      const all = { ...(who?.openId ? { openId: who.openId } : {}), ...(who?.token ? { session_key: who.token } : {}), ...params };
      const init = { method, headers: { 'Accept-Language': 'en' } };
      if (method === 'POST') {
        init.headers['Content-Type'] = 'application/json';
        init.body = JSON.stringify(all);
      } else {
        for (const [key, value] of Object.entries(all)) url.searchParams.set(key, value);
      }
      const response = await fetch(url, init);
      const body = await response.json();
      if (response.status === 200) {
        reached.add(`${method} ${name}`);
        assert.deepEqual(mismatches(shape(method, `/api/diary/${name}`), body), [], `${method} ${name}`);
        assert.equal(body.errcode, 0);
      } else {
        assert.deepEqual(Object.keys(body).sort(), ['errcode', 'errmsg'], `${method} ${name}: ${JSON.stringify(body)}`);
        assert.equal(body.errcode, response.status);
      }
      return { status: response.status, body, data: body.data, headers: response.headers };
    },
    async ok(...args) {
      const reply = await this.api(...args);
      assert.equal(reply.status, 200, `${args[0]} ${args[1]}: ${JSON.stringify(reply.body)}`);
      return reply.data;
    },
    async status(...args) { return (await this.api(...args)).status; },
    async form(path, params) {
      const response = await fetch(new URL(`/matching/${path}/`, weir.url), { method: 'POST', body: new URLSearchParams(params) });
      return { status: response.status, body: await response.json() };
    },
    async get(path, params) {
      const response = await fetch(new URL(`/matching/${path}/?${new URLSearchParams(params)}`, weir.url));
      return { status: response.status, body: await response.json() };
    },
    async login(name) {
      const { body } = await this.get('get_openId_action', { js_code: `demo-${name}` });
      assert.ok(body.data.openid, JSON.stringify(body));
      return { openId: body.data.openid, token: body.data.session_key };
    },
    async user(name) {
      const who = await this.login(name);
      await this.form('store_action', { openId: who.openId, session_key: who.token, nickName: name, avatarUrl: '', gender: 1, province: '', city: '', country: '' });
      return who;
    },
    async write(who, content, title = '') {
      const { status, body } = await this.form('emotion', { openId: who.openId, title, content });
      assert.equal(status, 200, JSON.stringify(body));
      return body.data;
    },
    /** Two users who are each other's match; each knows the room by his own pair id. */
    async pair(one, two) {
      const a = await this.user(one);
      const b = await this.user(two);
      await this.write(a, HAPPY);
      assert.ok((await this.write(b, HAPPY)).match, 'matched');
      for (const who of [a, b]) who.room = (await this.get('get_pair_action', { openId: who.openId })).body.data.pair_id;
      return [a, b];
    },
    async say(who, content, room = who.room) {
      const { status, body } = await this.form('send_message_via_http', { openId: who.openId, pair_id: room, content });
      assert.equal(status, 200, JSON.stringify(body));
      return body.id;
    },
    async clock(now) {
      const response = await fetch(new URL('/api/debug/clock', weir.url), { method: 'POST', body: new URLSearchParams({ now }) });
      assert.equal(response.status, 200);
    },
    socket: (who) => openSocket(Number(new URL(weir.url).port), `/ws/chat/${who.room}/`, { query: { openid: who.openId } }),
  };
}

after(async () => {
  for (const weir of running) {
    const { code } = await weir.stop();
    assert.equal(code, 0, weir.err);
  }
});

test('me: profile, match, counts', async () => {
  const w = await world();
  const a = await w.user('ann');
  let mine = await w.ok('GET', 'me', a);
  assert.equal(mine.user.openId, a.openId);
  assert.equal(mine.user.nickName, 'ann');
  assert.equal(mine.user.gender, 1);
  assert.equal(mine.paired, false);
  assert.equal(mine.pair_id, null);
  assert.equal(mine.match, undefined);
  assert.deepEqual(mine.counts, { diaries: 0, images: 0, unread: 0 });

  const b = await w.user('ben');
  await w.write(b, HAPPY);
  await w.write(a, HAPPY);
  b.room = (await w.ok('GET', 'me', b)).pair_id;
  await w.say(b, 'hello');
  mine = await w.ok('GET', 'me', a);
  assert.equal(mine.paired, true);
  assert.equal(mine.match.user.nickName, 'ben');
  assert.notEqual(mine.match.user.openId, b.openId, 'an alias, not the credential');
  assert.deepEqual(mine.counts, { diaries: 1, images: 0, unread: 1 });
  assert.equal(await w.status('GET', 'me', null), 401);
  assert.equal(await w.status('GET', 'me', { openId: mine.match.user.openId }), 404, 'an alias logs nobody in');
  assert.equal((await w.api('GET', 'me', a)).headers.get('cache-control'), 'no-store');
});

test('unread counts what others said behind the mark; the mark goes forward only', async () => {
  const w = await world();
  const [a, b] = await w.pair('ann', 'ben');
  assert.deepEqual(await w.ok('GET', 'unread', a), { rooms: [{ pair_id: a.room, unread: 0, last_id: '0', read_id: '0', total: 0, current: true }], unread: 0 });
  for (const text of ['1', '2', '3']) await w.say(b, text);
  await w.say(a, '4');
  const room = async (who) => (await w.ok('GET', 'unread', who)).rooms[0];
  assert.deepEqual(await room(a), { pair_id: a.room, unread: 3, last_id: '4', read_id: '0', total: 4, current: true });
  assert.equal((await room(b)).unread, 1);
  assert.deepEqual(await w.ok('POST', 'read', a, { pair_id: a.room, id: 2 }), { pair_id: a.room, unread: 1, last_id: '4', read_id: '2', total: 4 });
  assert.equal((await w.ok('POST', 'read', a, { pair_id: a.room, id: '1' })).read_id, '2', 'not back');
  assert.equal((await w.ok('POST', 'read', a, { pair_id: a.room, id: 99 })).read_id, '4', 'not beyond what was said');
  await w.say(b, '5');
  assert.equal((await w.ok('GET', 'unread', a)).unread, 1, 'the mark beyond the end did not hide this one');

  const stranger = await w.user('eve');
  for (const id of [a.room, '1', 'nowhere']) assert.equal(await w.status('POST', 'read', stranger, { pair_id: id, id: 1 }), 404, id);
  assert.equal(await w.status('POST', 'read', a, { pair_id: a.room }), 400);
  assert.equal(await w.status('POST', 'read', a, { pair_id: a.room, id: -1 }), 400);
  assert.equal(await w.status('POST', 'read', a, { pair_id: a.room, id: 'x' }), 400);

  await w.get('depair_action', { openId: b.openId });
  assert.deepEqual(await room(a), { pair_id: a.room, unread: 1, last_id: '5', read_id: '4', total: 5, current: false });
  assert.equal((await w.ok('POST', 'read', a, { pair_id: a.room, id: 5 })).unread, 0, 'former members may read');

  await w.say(b, 'hi all', 'lobby');
  assert.equal((await w.ok('POST', 'read', a, { pair_id: 'lobby', id: 1 })).read_id, '1', 'named rooms have marks too');
});

test('sessions: a list, ending one, ending all, revoking what was sealed', async () => {
  const w = await world();
  const [a, b] = await w.pair('ann', 'ben');
  const second = await w.login('ann');
  const other = await w.login('ben');
  assert.equal(second.openId, a.openId, 'the handle is derived, the token is new');
  assert.notEqual(second.token, a.token);
  const list = (await w.ok('GET', 'sessions', second)).sessions;
  assert.equal(list.length, 2);
  assert.deepEqual(list.map((one) => one.current).sort(), [false, true]);
  assert.deepEqual((await w.ok('GET', 'sessions', { openId: a.openId })).sessions.map((one) => one.current), [false, false], 'without a token none is this one');
  for (const one of list) assert.match(one.id, /^[0-9a-f]{12}$/);
  const first = list.find((one) => !one.current);
  const foreign = (await w.ok('GET', 'sessions', other)).sessions[0];

  assert.equal(await w.status('POST', 'logout', second, { id: foreign.id }), 404, "somebody else's");
  for (const id of ['000000000000', 'zz', `${first.id}0`, first.id.toUpperCase().replace(/[0-9]/g, 'A')]) assert.ok([400, 404].includes(await w.status('POST', 'logout', second, { id })), id);
  assert.equal(await w.status('POST', 'logout', { openId: a.openId }), 400, 'no token and no id');
  const socket = await w.socket(a);
  const partner = await w.socket(b);
  assert.deepEqual(await w.ok('POST', 'logout', second, { id: first.id }), { ended: 1 });
  assert.equal(await closeCode(socket), 1008, 'live sockets are sent away');
  assert.equal(await w.status('GET', 'me', { token: a.token }), 401);
  assert.equal(await w.status('GET', 'me', { token: second.token }), 200);
  assert.equal(await w.status('GET', 'me', { token: other.token }), 200);
  assert.deepEqual(await w.ok('POST', 'logout', { token: second.token }), { ended: 1 });
  assert.equal(await w.status('GET', 'me', { token: second.token }), 401);

  const tokens = [await w.login('ann'), await w.login('ann')];
  assert.deepEqual(await w.ok('POST', 'logout_all', { openId: a.openId }), { ended: 2, handles: false });
  for (const one of tokens) assert.equal(await w.status('GET', 'me', { token: one.token }), 401);
  assert.equal(await w.status('GET', 'me', { openId: a.openId }), 200, 'the handle is still good');
  assert.equal(await w.status('POST', 'logout_all', { openId: a.openId }, { handles: 'perhaps' }), 400);
  const again = await w.socket(a);
  assert.deepEqual(await w.ok('POST', 'logout_all', { openId: a.openId }, { handles: true }), { ended: 0, handles: true });
  assert.equal(await closeCode(again), 1008);
  assert.equal(await w.status('GET', 'me', { openId: a.openId }), 404, 'revoked');
  assert.equal((await w.get('get_history_action', { pair_id: a.room })).status, 404, 'and so is the pair id');
  const anew = await w.user('ann');
  assert.notEqual(anew.openId, a.openId);
  const mine = await w.ok('GET', 'me', anew);
  assert.equal(mine.counts.diaries, 1, 'the same account');
  assert.notEqual(mine.pair_id, a.room);
  anew.room = mine.pair_id;
  await w.say(anew, 'still there');
  assert.equal(JSON.parse(await partner.next()).message, 'still there', "the partner's socket was left alone");
  partner.destroy();
});

test('a block dissolves the match, keeps both apart in both directions, and can be taken back', async () => {
  const w = await world();
  const [a, b] = await w.pair('ann', 'ben');
  await w.say(b, 'rude');
  const alias = (await w.get('get_history_action', { pair_id: a.room })).body.data.messages[0].openId;
  const sockets = [await w.socket(a), await w.socket(b)];
  assert.equal(await w.status('POST', 'block', a, { target: b.openId }), 404, "a credential is not a name for others");
  assert.equal(await w.status('POST', 'block', a, { target: 'nobody' }), 404);
  const stranger = await w.user('eve');
  assert.equal(await w.status('POST', 'block', stranger, { target: alias }), 404, 'an alias of a room that he was never in');
  assert.equal(await w.status('POST', 'block', stranger), 404, 'no partner');

  const { blocked, depaired } = await w.ok('POST', 'block', a);
  assert.equal(blocked.openId, alias);
  assert.equal(depaired, true);
  for (const socket of sockets) assert.equal(await closeCode(socket), 1008);
  assert.equal((await w.ok('GET', 'me', b)).paired, false);
  assert.deepEqual((await w.ok('GET', 'block', a)).blocks, [blocked]);
  assert.deepEqual((await w.ok('GET', 'blocks', a)).blocks, [blocked]);
  assert.deepEqual((await w.ok('GET', 'block', b)).blocks, [], 'nobody is told that he was blocked');
  assert.equal((await w.ok('POST', 'block', a, { target: alias })).depaired, false, 'once more changes nothing');
  assert.equal((await w.ok('GET', 'block', a)).blocks.length, 1);

  assert.equal((await w.write(a, HAPPY)).match, undefined, 'who blocked is not matched with the blocked');
  assert.equal((await w.write(b, HAPPY)).match, undefined, 'nor the other way round');
  assert.equal(await w.status('DELETE', 'block', b, { target: alias }), 404);
  assert.equal(await w.status('DELETE', 'block', a), 400);
  assert.deepEqual(await w.ok('DELETE', 'block', a, { target: alias }), { removed: 1 });
  assert.equal(await w.status('DELETE', 'block', a, { target: alias }), 404);
  assert.ok((await w.write(b, HAPPY)).match, 'now they can meet again');
});

test('somebody from a named room can be blocked by the alias seen there', async () => {
  const w = await world();
  const [a, b] = [await w.user('ann'), await w.user('ben')];
  await w.say(b, 'hello', 'lobby');
  await w.say(a, 'mine', 'lobby');
  const [his] = (await w.get('get_history_action', { openId: a.openId, pair_id: 'lobby' })).body.data.messages;
  const [, own] = (await w.get('get_history_action', { openId: b.openId, pair_id: 'lobby' })).body.data.messages;
  assert.equal(await w.status('POST', 'block', a, { target: own.openId }), 400, 'not oneself');
  const { blocked } = await w.ok('POST', 'block', a, { target: his.openId });
  await w.write(a, HAPPY);
  assert.equal((await w.write(b, HAPPY)).match, undefined);
  assert.deepEqual(await w.ok('DELETE', 'block', a, { target: blocked.openId }), { removed: 1 }, 'by the name in the list');
});

test('reports name a message, a person or the partner, and are bounded', async () => {
  const w = await world();
  const [a, b] = await w.pair('ann', 'ben');
  const theirs = await w.say(b, 'rude');
  const own = await w.say(a, 'hm');
  const alias = (await w.get('get_history_action', { pair_id: a.room })).body.data.messages[0].openId;
  const bad = [[{}, 400], [{ reason: '' }, 400], [{ reason: 'x'.repeat(1001) }, 400], [{ reason: 'x', pair_id: a.room, id: own }, 400], [{ reason: 'x', pair_id: a.room, id: 77 }, 404],
    [{ reason: 'x', target: 'nobody' }, 404], [{ reason: 'x', pair_id: 'lobby' }, 400], [{ reason: 'x', pair_id: 'elsewhere' }, 404]];
  for (const [params, status] of bad) assert.equal(await w.status('POST', 'report', a, params), status, JSON.stringify(params).slice(0, 100));
  const stranger = await w.user('eve');
  for (const params of [{}, { target: alias }, { pair_id: a.room }, { pair_id: a.room, id: theirs }]) assert.equal(await w.status('POST', 'report', stranger, { reason: 'x', ...params }), 404, JSON.stringify(params));

  const good = [{}, { pair_id: a.room, id: theirs }, { pair_id: a.room }, { target: alias }, { id: theirs }, { pair_id: a.room, id: theirs, target: alias }];
  for (const params of good) assert.deepEqual(await w.ok('POST', 'report', a, { reason: '骂人', ...params }), { reported: true });
  for (let i = good.length; i < 20; i++) await w.ok('POST', 'report', a, { reason: `again ${i}` });
  assert.equal(await w.status('POST', 'report', a, { reason: 'once too often' }), 429);
  assert.equal(await w.status('POST', 'report', b, { reason: 'his own count' }), 200);
  const { reports } = await w.ok('GET', 'export', a);
  assert.equal(reports.length, 20);
  assert.deepEqual([reports[0].reason, reports[0].open, reports[19].reason], ['骂人', true, 'again 19']);
});

test('the calendar counts by local days and months', async () => {
  const w = await world();
  const a = await w.user('ann');
  const b = await w.user('ben');
  await w.clock(Date.parse('2024-02-29T23:30:00+08:00'));
  await w.write(b, HAPPY);
  await w.write(a, HAPPY);
  await w.clock(Date.parse('2024-02-29T23:59:59+08:00'));
  await w.write(a, HAPPY);
  await w.clock(Date.parse('2024-03-01T00:00:01+08:00'));
  await w.write(a, '楼上装修从早吵到晚，太气人了，我快气炸了！');
  await w.write(a, HAPPY);
  await w.write(a, '今天在图书馆看书。');

  const february = await w.ok('GET', 'calendar', a, { month: '2024-02' });
  assert.deepEqual(february.days, [{ date: '2024-02-29', diaries: 2, emotion: '1', counts: [0, 2, 0, 0, 0, 0, 0, 0] }]);
  assert.deepEqual(february.total, { diaries: 2, emotion: '1', counts: [0, 2, 0, 0, 0, 0, 0, 0] });
  const march = await w.ok('GET', 'calendar', a);
  assert.equal(march.month, '2024-03', 'the present one');
  assert.deepEqual(march.days.map((day) => [day.date, day.diaries]), [['2024-03-01', 3]]);
  assert.equal(march.days[0].counts.reduce((sum, n) => sum + n), 3);
  assert.equal(march.days[0].counts[1], 1);
  assert.notEqual(march.days[0].emotion, '0', 'of equals a feeling');
  const year = await w.ok('GET', 'calendar', a, { year: 2024 });
  assert.deepEqual(year.months.map((month) => [month.month, month.diaries]), [['2024-02', 2], ['2024-03', 3]]);
  assert.equal(year.total.diaries, 5);
  assert.deepEqual(await w.ok('GET', 'calendar', a, { month: '2023-02' }), { month: '2023-02', days: [], total: { diaries: 0, emotion: null, counts: [0, 0, 0, 0, 0, 0, 0, 0] } });
  for (const params of [{ month: '2024-13' }, { month: '2024-00' }, { month: '2024-2' }, { month: '2024' }, { month: '' }, { month: 'xxxx-01' }, { year: 'x' }, { year: 1 }, { year: 99999 }, { month: '2024-02', year: 2024 }])
    assert.equal(await w.status('GET', 'calendar', a, params), 400, JSON.stringify(params));
});

test('search finds in title and content, literally, page by page', async () => {
  const w = await world();
  const a = await w.user('ann');
  const b = await w.user('ben');
  await w.write(b, 'needle of somebody else');
  await w.write(a, `${'很长的开头，'.repeat(30)}这里有 Needle 一枚${'，很长的结尾'.repeat(30)}`, '100% sure_thing!');
  await w.write(a, 'nothing here', 'a NEEDLE in the title');
  await w.write(a, '100 percent; sureXthing');
  const found = async (q, params = {}) => (await w.ok('GET', 'search', a, { q, ...params })).diaries;
  const needles = await found('nEEdle');
  assert.deepEqual(needles.map((d) => d.title), ['a NEEDLE in the title', '100% sure_thing!'], 'newest first, only mine');
  assert.equal(needles[0].excerpt, 'nothing here');
  assert.match(needles[1].excerpt, /^….*这里有 Needle 一枚.*…$/);
  assert.equal([...needles[1].excerpt].length, 102, '100 characters and two dots');
  assert.deepEqual((await found('100%')).length, 1, '% is a percent sign');
  assert.deepEqual((await found('sure_thing')).length, 1, '_ is an underscore');
  assert.deepEqual((await found('thing!')).length, 1, 'and so is what escapes them');
  assert.deepEqual(await found("' OR '1'='1"), []);
  assert.equal((await found('开头')).length, 1);

  for (let i = 0; i < 25; i++) await w.write(a, `排练第 ${i} 天`);
  const seen = [];
  let page = await w.ok('GET', 'search', a, { q: '排练' });
  assert.equal(page.diaries.length, 20);
  assert.equal(page.more, true);
  seen.push(...page.diaries);
  page = await w.ok('GET', 'search', a, { q: '排练', before: seen.at(-1).diary_id });
  assert.equal(page.more, false);
  seen.push(...page.diaries);
  assert.deepEqual(seen.map((d) => d.excerpt), Array.from({ length: 25 }, (_, i) => `排练第 ${24 - i} 天`));
  assert.equal((await w.ok('GET', 'search', a, { q: '排练', limit: 25 })).more, false, 'exactly as many as there are');

  const his = (await w.get('get_user_diary_action', { openId: b.openId })).body.data.diaries[0].diary_id;
  assert.equal(await w.status('GET', 'search', a, { q: 'x', before: his }), 404, 'no cursor of somebody else');
  for (const params of [{}, { q: '' }, { q: 'x'.repeat(101) }, { q: 'x', limit: 0 }, { q: 'x', limit: 101 }]) assert.equal(await w.status('GET', 'search', a, params), 400, JSON.stringify(params));
});

async function upload(w, who) {
  const form = new FormData();
  form.set('openId', who.openId);
  form.set('img', new Blob([PNG], { type: 'image/png' }), 'dot.png');
  const response = await fetch(new URL('/matching/upload_img_action/', w.weir.url), { method: 'POST', body: form });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  return body.data.image;
}

test('the export has everything of mine, however long, and nothing of others but what my pairs said', async () => {
  const w = await world();
  const [a, b] = await w.pair('ann', 'ben');
  const contents = [HAPPY];
  for (let i = 0; i < 130; i++) {
    contents.push(`${i} ${'雨后的街道很安静，"引号"与\n换行。'.repeat(40)}`);
    await w.write(a, contents.at(-1), i % 2 ? `标题 ${i}` : '');
  }
  const said = [];
  for (let i = 0; i < 101; i++) {
    said.push(`message ${i}`);
    await w.say(i % 3 ? a : b, said.at(-1));
  }
  await w.say(b, 'not mine', 'lobby');
  await w.say(a, 'in the lobby', 'lobby');
  await w.say(a, 'in the garden', 'garden');
  await w.ok('POST', 'read', a, { pair_id: a.room, id: 50 });
  const image = await upload(w, a);
  await w.ok('POST', 'block', a);
  const alias = (await w.ok('GET', 'block', a)).blocks[0].openId;

  const { data: all, headers } = await w.api('GET', 'export', a, { format: 'json' });
  assert.match(headers.get('content-disposition'), /^attachment; filename="weir-diary-\d{4}-\d\d-\d\d\.json"$/);
  assert.equal(all.user.nickName, 'ann');
  assert.equal(all.sessions.length, 1);
  assert.deepEqual(all.diaries.map((d) => d.content), contents);
  assert.equal(all.diaries[1].title, '', 'as written, not as shown');
  assert.equal(new Set(all.diaries.map((d) => d.diary_id)).size, contents.length);
  for (const d of all.diaries) {
    assert.equal(d.probabilities.length, 8);
    assert.ok(Math.abs(d.probabilities.reduce((sum, p) => sum + p) - 1) < 1e-9);
    assert.equal(d.probabilities.indexOf(Math.max(...d.probabilities)), Number(d.emotion));
  }
  assert.equal(all.pairs.length, 1);
  const [pair] = all.pairs;
  assert.equal(pair.pair_id, a.room);
  assert.notEqual(pair.ended, null);
  assert.deepEqual(pair.partner, { openId: alias, nickName: 'ben' });
  assert.deepEqual(pair.messages.map((m) => m.content), said);
  assert.deepEqual(pair.messages.map((m) => m.mine), said.map((_, i) => i % 3 !== 0));
  for (const m of pair.messages) assert.equal(m.openId, m.mine ? a.openId : alias);
  assert.deepEqual(all.room_messages.map((m) => [m.room, m.content]), [['garden', 'in the garden'], ['lobby', 'in the lobby']]);
  assert.deepEqual(all.images.map((i) => [i.name, i.photourl, i.thumburl]), [[image.name, image.photourl, image.thumburl]]);
  assert.deepEqual(all.read_marks, [{ pair_id: a.room, read_id: '50' }]);
  assert.deepEqual(all.blocks.map((block) => block.openId), [alias]);
  assert.ok(!JSON.stringify(all).includes(b.openId), "nobody else's handle");
  assert.equal(await w.status('GET', 'export', a, { format: 'xml' }), 400);

  const { data: his } = await w.api('GET', 'export', b);
  assert.equal(his.diaries.length, 1);
  assert.deepEqual(his.pairs[0].messages.map((m) => m.mine), said.map((_, i) => i % 3 === 0));
  assert.deepEqual([his.images, his.blocks, his.read_marks], [[], [], []]);
});

test('the longest texts, all of them escaped, fit into search and export', async () => {
  const w = await world();
  const a = await w.user('ann');
  const long = `${'\u0001'.repeat(9_999)}q`;
  for (let i = 0; i < 60; i++) await w.write(a, long, long);
  const { diaries } = await w.ok('GET', 'export', a);
  assert.equal(diaries.length, 60);
  assert.ok(diaries.every((d) => d.content === long && d.title === long));
  const found = await w.ok('GET', 'search', a, { q: 'Q', limit: 60 });
  assert.equal(found.diaries.length, 60);
  assert.equal(found.diaries[59].excerpt, `…${long.slice(-31)}`);
});

test('a deleted account leaves the chat to its partner and nothing else', async () => {
  const w = await world();
  const [a, b] = await w.pair('ann', 'ben');
  await w.say(a, 'goodbye');
  const image = await upload(w, a);
  assert.equal((await fetch(image.photourl)).status, 200);
  const sockets = [await w.socket(a), await w.socket(b)];
  for (const params of [{}, { confirm: 'no' }, { confirm: '' }]) assert.equal(await w.status('DELETE', 'account', a, params), 400);
  assert.deepEqual(await w.ok('DELETE', 'account', a, { confirm: 'yes' }), { deleted: true, diaries: 1, images: 1 });
  for (const socket of sockets) assert.equal(await closeCode(socket), 1008);
  assert.equal(await w.status('GET', 'me', { openId: a.openId }), 404);
  assert.equal(await w.status('GET', 'me', { token: a.token }), 401);
  assert.equal((await fetch(image.photourl)).status, 404);
  assert.equal((await w.get('get_history_action', { pair_id: a.room })).status, 404);

  assert.equal((await w.ok('GET', 'me', b)).paired, false);
  const { messages } = (await w.get('get_history_action', { pair_id: b.room })).body.data;
  assert.deepEqual(messages.map((m) => m.content), ['goodbye']);
  const { pairs } = await w.ok('GET', 'export', b);
  assert.deepEqual(pairs[0].partner, { openId: messages[0].openId, nickName: '已注销用户' });

  const anew = await w.login('ann');
  assert.notEqual(anew.openId, a.openId);
  const mine = await w.ok('GET', 'me', anew);
  assert.equal(mine.user.nickName, 'None');
  assert.deepEqual(mine.counts, { diaries: 0, images: 0, unread: 0 });
  assert.ok((await w.write(anew, HAPPY)).match, 'and may be matched again');
  assert.equal((await w.ok('GET', 'me', b)).match.user.nickName, 'None', 'as somebody new');
});

test('in open, openIds and decimal ids', async () => {
  const w = await world({ 'diary.access': 'open' });
  const [a, b] = [{ openId: '666' }, { openId: '667' }];                  // the demo's seeded pair
  assert.equal((await w.ok('GET', 'me', a)).match.user.openId, '667');
  assert.deepEqual((await w.ok('GET', 'unread', a)).rooms, [{ pair_id: '1', unread: 1, last_id: '2', read_id: '0', total: 2, current: true }]);
  assert.equal((await w.ok('POST', 'read', a, { pair_id: '1', id: 2 })).unread, 0);
  assert.equal(await w.status('POST', 'read', { openId: '668' }, { pair_id: '1', id: 2 }), 404, 'who is in no such pair');
  assert.equal(await w.status('GET', 'me', { openId: 'unknown' }), 404, 'nobody is created by looking');
  assert.equal(await w.status('GET', 'me', null), 400);
  assert.equal((await w.ok('GET', 'search', a, { q: '火锅' })).diaries[0].diary_id, '1');
  assert.equal(await w.status('POST', 'block', a, { target: '666' }), 400);
  assert.equal((await w.ok('POST', 'block', a, { target: '668' })).depaired, false);
  assert.equal((await w.ok('POST', 'block', a)).blocked.openId, '667');
  assert.deepEqual((await w.ok('GET', 'block', a)).blocks.map((one) => one.openId).sort(), ['667', '668']);
  assert.deepEqual(await w.ok('DELETE', 'block', a, { target: '668' }), { removed: 1 });
  await w.ok('DELETE', 'account', a, { confirm: 'yes' });
  assert.equal(await w.status('GET', 'me', a), 404);
  const { partner } = (await w.ok('GET', 'export', b)).pairs[0];
  assert.match(partner.openId, /^deleted:[0-9a-f]{32}$/);
  assert.equal(await w.status('GET', 'me', { openId: partner.openId }), 404, 'nobody can be a deleted user');
});

test('in session, each call needs the token', async () => {
  const w = await world({ 'diary.access': 'session' });
  const a = await w.user('ann');
  assert.equal(await w.status('GET', 'me', { openId: a.openId }), 401);
  assert.equal((await w.ok('GET', 'me', a)).user.openId, a.openId);
  const other = await w.login('ben');
  assert.equal(await w.status('GET', 'me', { openId: a.openId, token: other.token }), 404, 'a token of somebody else');
  await w.ok('POST', 'logout', a);
  assert.equal(await w.status('GET', 'me', a), 401);
});

test('explain: the words that weighed most, for the owner alone', async () => {
  const w = await world();
  const a = await w.user('ann');
  const b = await w.user('ben');
  await w.write(a, '今天上台前一直在发抖，怕忘了谱子，怕得要命，手心全是汗，真的好害怕。');
  const [diary] = (await w.ok('GET', 'search', a, { q: '谱子' })).diaries;
  const why = await w.ok('GET', 'explain', a, { diary_id: diary.diary_id });
  assert.equal(why.diary_id, diary.diary_id);
  assert.equal(why.method, 'linear');
  assert.equal(why.emotion, diary.emotion);
  assert.equal(why.emotion, '5');
  assert.equal(why.probabilities.reduce((x, y) => x + y), 10_000);
  assert.ok(why.pieces.length > 0 && why.pieces.length <= 12);
  assert.equal(why.pieces[0].emotion, '5');
  assert.ok(why.pieces.some((p) => p.text.includes('怕')), JSON.stringify(why.pieces));
  assert.equal((await w.ok('GET', 'explain', a, { diaryId: diary.diary_id })).emotion, '5');
  assert.equal(await w.status('GET', 'explain', b, { diary_id: diary.diary_id }), 404);
  assert.equal(await w.status('GET', 'explain', a, { diary_id: 'x' }), 404);
  assert.equal(await w.status('GET', 'explain', a), 400);
  assert.equal(await w.status('GET', 'explain', null, { diary_id: diary.diary_id }), 401);
});

test('explain with a lexicon: its words and their strengths', async () => {
  const file = path.join(temporaryFolder(), 'lexicon.tsv');
  writeFileSync(file, '开心\t1\t5\n害怕\t5\t7\n');
  const w = await world({ 'emotion.method': 'lexicon', 'emotion.lexicon': file });
  const a = await w.user('ann');
  await w.write(a, '有点害怕，也有点开心');
  const [diary] = (await w.ok('GET', 'search', a, { q: '害怕' })).diaries;
  const why = await w.ok('GET', 'explain', a, { diary_id: diary.diary_id });
  assert.deepEqual(why.pieces, [{ text: '害怕', emotion: '5', weight: 7 }, { text: '开心', emotion: '1', weight: 5 }]);
  assert.equal(why.method, 'lexicon');
  assert.equal(why.emotion, '5');
});

test('every route under /api/diary/ was reached', async () => {
  const all = ['GET me', 'GET sessions', 'POST logout', 'POST logout_all', 'GET unread', 'POST read', 'POST block', 'GET block', 'GET blocks', 'DELETE block', 'POST report', 'GET calendar', 'GET search',
    'GET explain', 'GET export', 'DELETE account'];
  assert.deepEqual([...reached].sort(), all.sort());
});
