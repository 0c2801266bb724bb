// What the operator can do about people and texts, over the socket and by `weir moderation`: each action, its repeat, what others see afterwards, what the one concerned still sees, and the record of it.
import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ask } from '../lib/operator.mjs';
import { png } from '../lib/pictures.mjs';
import { runWeir, startSandbox, startServe, temporaryFolder } from '../lib/weir.mjs';

const HAPPY = '今天真的好开心，太高兴了', BASE = '/api/diary/moderation';
let wechat, weir, people = 0;
before(async () => { wechat = await startSandbox(); weir = await startServe({ 'diary.access': 'handle', 'diary.rooms': 'lobby' }, { wechat }); });
after(async () => { await weir.stop(); await wechat.stop(); });

async function login(on = weir, person = `m${++people}`) {
  const { body } = await on.get('/matching/get_openId_action/', { js_code: `demo-${person}` });
  return { person, openId: body.data.openId, key: body.data.session_key };
}
const write = (who, content = HAPPY, on = weir) => on.form('/matching/emotion/', { openId: who.openId, title: '', content });
/** Two people who are matched, each with `room` and `alias` (what the other calls him). */
async function pair(on = weir) {
  for (;;) {
    const two = await login(on), { data } = (await write(two, HAPPY, on)).body;
    if (!data.match) { waiting.set(on, two); continue; }
    const one = waiting.get(on);
    two.room = (await on.get('/matching/get_pair_action/', { openId: two.openId })).body.data.pair_id;
    one.room = (await on.get('/matching/get_pair_action/', { openId: one.openId })).body.data.pair_id;
    one.alias = data.match.user.openId;
    return [one, two];
  }
}
const waiting = new Map();
const say = (who, content, room = who.room, on = weir) => on.form('/matching/send_message_via_http/', { pair_id: room, openId: who.openId, content });
const history = async (who, room = who.room, on = weir) => (await on.get('/matching/get_history_action/', { pair_id: room, openId: who.openId })).body.data.messages.map((one) => one.content);
const report = async (who, more, on = weir) => { const { status, text } = await on.form('/api/diary/report', { openId: who.openId, reason: '骚扰', ...more }); assert.equal(status, 200, text); };
const join = (who, room = who.room, on = weir) => on.socket(`/ws/chat/${encodeURIComponent(room)}/`, { query: { openId: who.openId } });

const list = async (query = '', on = weir) => (await ask(on.folder, 'GET', `${BASE}${query}`)).body.data.items;
const newest = async (on = weir) => (await list('?all=1&limit=200', on)).pop();
const show = async (id, on = weir) => (await ask(on.folder, 'GET', `${BASE}/${id}`)).body.data;
async function act(target, form = {}, on = weir) {
  const reply = await ask(on.folder, 'POST', `${BASE}${target}`, { form });
  assert.equal(reply.status, 200, reply.text);
  return reply.body.data;
}
const refused = async (target, form, status) => assert.equal((await ask(weir.folder, 'POST', `${BASE}${target}`, { form })).status, status, target);
const cli = (args, { folder = weir.folder, lang = 'en_US.UTF-8' } = {}) => runWeir(['moderation', ...args, '--data', folder], { env: { LC_ALL: '', LC_MESSAGES: '', LANG: lang } });

/* ---- reading ---- */

test('a report is listed and shown with all that is needed to judge it', async () => {
  const [one, two] = await pair();
  for (let i = 1; i <= 9; i++) assert.equal((await say(i % 2 ? one : two, `第 ${i} 句`)).status, 200);
  await say(one, '难听的话\u001b[2J\u202e\u009b2J\n第二行');
  await report(two, { pair_id: two.room, id: 10, reason: '他骂我' });
  const item = await newest();
  assert.deepEqual([item.kind, item.target, item.reason, item.done, item.action], ['report', 10, '他骂我', null, null]);
  assert.ok((await list()).some((open) => open.id === item.id));
  const told = await show(item.id);
  assert.deepEqual(told.item, item);
  assert.deepEqual([told.content.text, told.content.hidden], ['难听的话\u001b[2J\u202e\u009b2J\n第二行', false]);
  assert.deepEqual(told.around.map((m) => [m.id, m.about]), [[5, false], [6, false], [7, false], [8, false], [9, false], [10, true]]);
  assert.deepEqual([told.user.id, told.user.banned, told.user.open, told.by.id], [item.user, false, 1, item.by]);
  assert.notEqual(item.user, item.by);
  const english = cli(['show', String(item.id)]), chinese = cli(['show', String(item.id)], { lang: 'zh_CN.UTF-8' }), listed = cli(['list']);
  for (const done of [english, chinese, listed]) assert.deepEqual([done.status, done.err], [0, '']);
  assert.match(english.out, /message reported[^]*what was said around it[^]*> 10 /);
  assert.match(chinese.out, /举报消息[^]*前后消息[^]*> 10 /);
  for (const out of [english.out, chinese.out]) {
    assert.ok(out.includes('难听的话\ufffd[2J\ufffd\ufffd2J\n') && !/[\u001b\u009b\u202e]/.test(out), 'a terminal obeys nothing of it');
    assert.ok(out.includes('他骂我'));
  }
  assert.match(listed.out, new RegExp(`^${item.id} .*他骂我$`, 'm'));
  const json = cli(['list', '--json']).out.trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(json.find((open) => open.id === item.id), item);
  const shown = cli(['show', String(item.id), '--json']).out;
  assert.deepEqual(JSON.parse(shown), told);
  assert.doesNotMatch(shown, /[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]/, 'nor of the JSON');
});

test('the list comes in pages', async () => {
  const [one, two] = await pair();
  for (let i = 0; i < 3; i++) await report(i % 2 ? one : two, {});
  const all = await list('?all=1&limit=200');
  const seen = [];
  for (let after = 0; ;) {
    const { items, more } = (await ask(weir.folder, 'GET', `${BASE}?all=1&limit=2&after=${after}`)).body.data;
    seen.push(...items);
    if (!more) break;
    assert.equal(items.length, 2);
    after = items[1].id;
  }
  assert.deepEqual(seen, all);
  const person = await show(seen.at(-1).id);
  assert.deepEqual([person.item.target, person.content], [null, null]);
  assert.equal((await ask(weir.folder, 'GET', `${BASE}/999999`)).status, 404);
  assert.equal((await ask(weir.folder, 'GET', `${BASE}/x`)).status, 400);
});

/* ---- hiding ---- */

test('a message that is hidden is gone for all but its author, on live sockets too; dismissing shows it again', async () => {
  const [one, two] = await pair();
  await say(one, '好话');
  await say(one, '坏话');
  const sockets = [await join(one), await join(two)];
  await report(two, { pair_id: two.room, id: 2 });
  await report(two, { pair_id: two.room, id: 2, reason: '再次' });
  await report(two, { pair_id: two.room, id: 1, reason: '另一句' });
  const [first, second, other] = (await list('?limit=200')).slice(-3);
  assert.deepEqual(await act(`/${first.id}/hide`, { note: '辱骂' }), { id: first.id, action: 'hidden', changed: true, done: 2 });
  for (const socket of sockets) assert.deepEqual(await socket.frameObject(), { status: 'hidden', id: '2' });
  assert.deepEqual([await history(two), await history(one)], [['好话'], ['好话', '坏话']]);
  for (const { id } of [first, second]) assert.deepEqual([(await show(id)).item.action, (await show(id)).item.note, (await show(id)).content.hidden], ['hidden', '辱骂', true]);
  assert.equal((await show(other.id)).item.done, null);
  assert.deepEqual(await act(`/${first.id}/hide`, { note: '又一次' }), { id: first.id, action: 'hidden', changed: false, done: 0 });
  assert.equal((await say(two, '还在')).status, 200);
  assert.equal((await sockets[1].frameObject()).message, '还在', 'no second hidden frame');
  assert.deepEqual(await act(`/${other.id}/dismiss`), { id: other.id, action: 'dismissed', changed: true, done: 1 });
  assert.deepEqual(await history(two), ['好话', '还在'], 'what another complaint hid stays hidden');
  assert.deepEqual(await act(`/${first.id}/dismiss`, { note: '看错了' }), { id: first.id, action: 'dismissed', changed: true, done: 1 });
  assert.deepEqual(await history(two), ['好话', '坏话', '还在']);
  assert.deepEqual(await act(`/${first.id}/dismiss`), { id: first.id, action: 'dismissed', changed: false, done: 0 });
  assert.deepEqual((await show(first.id)).log.map((l) => [l.action, l.item, l.by, l.note]),
    [['dismissed', first.id, 'operator', '看错了'], ['dismissed', other.id, 'operator', ''], ['hidden', first.id, 'operator', '辱骂']]);
  for (const socket of sockets) socket.close();
});

test('a report about a person has nothing to hide', async () => {
  const [one] = await pair();
  await report(one, {});
  const { id } = await newest();
  await refused(`/${id}/hide`, {}, 409);
  const done = cli(['hide', String(id)]);
  assert.deepEqual([done.status, done.err], [1, 'weir moderation: this report names no message, so there is nothing to hide; ban the user or dismiss it\n']);
  await refused('/999999/hide', {}, 404);
  await refused('/999999/dismiss', {}, 404);
  assert.equal(cli(['dismiss', String(id), '--note', '没事']).status, 0);
  assert.match(cli(['dismiss', String(id)]).out, /nothing was changed/);
});

test('a diary that is hidden matches nobody and stays its author\'s; deleted, it cannot be hidden', async () => {
  const own = await startServe({ 'diary.access': 'open', 'diary.content_check': 'wechat' }, { wechat });
  const review = async (openId, content) => {                    /* doubtful to WeChat: stored, and looked at again later */
    const before = (await list('?all=1&limit=200', own)).length;
    assert.equal((await own.form('/matching/emotion/', { openId, title: '', content })).status, 200);
    const [{ diary_id: diaryId }] = (await own.get('/matching/get_user_action/', { openId })).body.data.diaries;
    await own.clock(Date.now() + (people += 60) * 1000);
    assert.equal((await own.form('/matching/send_message_via_http/', { openId, pair_id: 'x', content: `${openId}复审测试` })).status, 200);      /* a commit wakes the outbox */
    for (let i = 0; i < 5000 && (await list('?all=1&limit=200', own)).length === before; i++) await own.get('/healthz');
    const item = (await list('?all=1&limit=200', own)).find((one) => one.kind === 'diary' && String(one.target) === diaryId);
    assert.match(item?.reason ?? '', /content check: review/);
    return { diaryId, id: item.id };
  };
  const [ann, bob, cid, dan, eva] = await Promise.all(['ann', 'bob', 'cid', 'dan', 'eva'].map(async (name) => (await login(own, name)).openId));      /* WeChat knows them */
  const match = async (openId) => (await own.form('/matching/emotion/', { openId, title: '', content: HAPPY })).body.data.match?.user.openId;
  const { diaryId, id } = await review(ann, `${HAPPY} 复审测试`);
  assert.deepEqual(await act(`/${id}/hide`, {}, own), { id, action: 'hidden', changed: true, done: 1 });
  assert.equal((await own.get('/matching/get_diary_action/', { diaryId })).status, 404);
  assert.equal((await own.get('/matching/get_diary_action/', { diaryId, openId: 'somebody' })).status, 404);
  assert.equal((await own.get('/matching/get_diary_action/', { diaryId, openId: ann })).status, 200);
  assert.equal((await own.get('/matching/get_user_action/', { openId: ann })).body.data.diaries.length, 1);
  assert.equal(await match(bob), undefined, 'nobody is matched by it');
  assert.equal((await own.form('/matching/delete_diary_action/', { diaryId: (await own.get('/matching/get_user_action/', { openId: bob })).body.data.diaries[0].diary_id })).status, 200);
  assert.equal((await own.form('/matching/alt_diary_action/', { diaryId, title: '', content: HAPPY })).status, 200);
  assert.equal(await match(cid), undefined, 'nor when it is edited');
  assert.equal((await own.form('/matching/delete_diary_action/', { diaryId: (await own.get('/matching/get_user_action/', { openId: cid })).body.data.diaries[0].diary_id })).status, 200);
  assert.equal((await act(`/${id}/dismiss`, {}, own)).changed, true);
  assert.equal((await own.get('/matching/get_diary_action/', { diaryId })).status, 200);
  assert.equal(await match(dan), ann);
  const gone = await review(eva, '平常 复审测试');
  assert.equal((await own.form('/matching/delete_diary_action/', { diaryId: gone.diaryId })).status, 200);
  assert.equal((await ask(own.folder, 'POST', `${BASE}/${gone.id}/hide`, { form: {} })).status, 409);
  assert.equal((await show(gone.id, own)).content, null);
  await own.stop();
});

/* ---- banning ---- */

test('a banned person may read what is his and nothing else; the match and the sockets end', async () => {
  const [bad, good] = await pair();
  await say(bad, '一句');
  const [{ diary_id: diaryId }] = (await weir.get('/matching/get_user_action/', { openId: bad.openId })).body.data.diaries;
  await report(good, { pair_id: good.room, id: 1 });
  await report(good, {});
  const { user } = await newest();
  const sockets = [await join(bad), await join(good), await join(bad, 'lobby')];
  const banned = await act('/ban', { user, note: '屡次骚扰' });
  assert.deepEqual(banned, { user, banned: true, changed: true, done: 2 });
  for (const socket of sockets) assert.equal((await socket.closed).code, 1008);
  assert.deepEqual(await act('/ban', { user, note: '又' }), { user, banned: true, changed: false, done: 0 });

  const me = { openId: bad.openId };
  const profile = { ...me, nickName: 'x', avatarUrl: '', gender: 0, province: '', city: '', country: '' };
  const writes = [
    () => weir.form('/matching/store_action/', profile), () => write(bad), () => weir.form('/matching/alt_diary_action/', { diaryId, title: '', content: 'x' }),
    () => weir.form('/matching/delete_diary_action/', { diaryId }), () => weir.get('/matching/depair_action/', me), () => say(bad, 'x'), () => say(bad, 'x', 'lobby'),
    () => weir.multipart('/matching/upload_img_action/', [{ name: 'openId', value: bad.openId }, { name: 'img', filename: 'a.png', type: 'image/png', bytes: png(4, 4) }]),
    () => weir.get('/matching/get_openId_action/', { js_code: `demo-${bad.person}` }),
  ];
  for (const one of writes) {
    const { status, body } = await one();
    assert.deepEqual([status, body], [403, { status: 'fail', msg: '该用户已被停用' }], String(one));
  }
  for (const [target, form] of [['block', { ...me, target: bad.alias }], ['report', { ...me, reason: 'x' }], ['read', { ...me, pair_id: bad.room, id: 1 }]]) {
    const { status, body } = await weir.form(`/api/diary/${target}`, form, { headers: { 'Accept-Language': 'en' } });
    assert.deepEqual([status, body], [403, { errcode: 403, errmsg: 'this user was banned' }], target);
  }
  assert.equal((await weir.request('DELETE', '/api/diary/account', { form: { ...me, confirm: 'yes' } })).status, 403, 'else a new login would be a new person');
  await assert.rejects(join(bad), (error) => error.status === 403 && error.body.msg === '该用户已被停用');
  await assert.rejects(join(bad, 'lobby'), (error) => error.status === 403);

  for (const target of ['/matching/get_user_action/', '/matching/get_user_diary_action/', '/api/diary/me', '/api/diary/export', '/api/diary/unread', '/api/diary/sessions'])
    assert.equal((await weir.get(target, me)).status, 200, target);
  assert.deepEqual([await history(bad), await history(good)], [['一句'], ['一句']]);
  assert.equal((await weir.get('/matching/get_diary_action/', { diaryId })).status, 200);
  assert.equal((await weir.get('/matching/get_pair_action/', { openId: good.openId })).status, 404, 'the other one is free');
  const next = await login();
  const found = (await write(next)).body.data.match;
  assert.ok(found, 'and is found by the next');
  const { person } = { person: (await show((await newest()).id)).user };
  assert.deepEqual([person.banned, person.open], [true, 0]);

  assert.deepEqual(await act('/unban', { user }), { user, banned: false, changed: true, done: 0 });
  assert.deepEqual(await act('/unban', { user }), { user, banned: false, changed: false, done: 0 });
  assert.equal((await weir.get('/matching/get_openId_action/', { js_code: `demo-${bad.person}` })).status, 200);
  assert.equal((await weir.form('/matching/store_action/', profile)).status, 200);
  assert.equal((await weir.get('/matching/get_pair_action/', me)).status, 404, 'the match does not come back');
  assert.ok((await write(await login())).body.data.match, 'but he is looked for again');
  assert.deepEqual((await show((await newest()).id)).log.map((l) => [l.action, l.note]), [['unbanned', ''], ['banned', '屡次骚扰']]);
  assert.equal((await weir.form('/api/diary/logout_all', me)).status, 200);
});

test('ending his sessions is left to a banned person; whom a ban means is said in one way', async () => {
  const bad = await login();
  const { openid } = (await wechat.wechat.world()).people.find((one) => one.name === bad.person) ?? {};
  assert.ok(openid);
  const { user } = await act('/ban', { openid });
  assert.equal((await weir.form('/api/diary/logout', {}, { headers: { Authorization: `Bearer ${bad.key}` } })).status, 200);
  assert.equal((await weir.form('/api/diary/logout_all', { openId: bad.openId })).status, 200);
  await refused('/ban', {}, 400);
  await refused('/ban', { user, openid }, 400);
  await refused('/ban', { user: 999999 }, 404);
  await refused('/unban', { openid: 'nobody' }, 404);
  assert.equal((await act('/unban', { user })).changed, true);
  assert.equal((await weir.request('DELETE', '/api/diary/account', { form: { openId: (await login(weir, bad.person)).openId, confirm: 'yes' } })).status, 200);
  await refused('/ban', { user }, 404);
});

test('in open mode a banned openId is refused too, in every way that names it', async () => {
  const own = await startServe({ 'diary.access': 'open' });
  const bad = { openId: 'bad' };
  assert.equal((await write(bad, HAPPY, own)).status, 200);
  const [{ diary_id: diaryId }] = (await own.get('/matching/get_user_action/', bad)).body.data.diaries;
  await act('/ban', { openid: 'bad' }, own);
  for (const reply of [await write(bad, HAPPY, own), await own.form('/matching/alt_diary_action/', { diaryId, title: '', content: 'x' }), await own.form('/matching/send_message_via_http/', { ...bad, pair_id: 'x', content: 'x' }),
    await own.form('/matching/store_action/', { ...bad, nickName: 'x', avatarUrl: '', gender: 0, province: '', city: '', country: '' })]) assert.deepEqual([reply.status, reply.body.msg], [403, '该用户已被停用']);
  await assert.rejects(own.socket('/ws/chat/x/', { query: bad }), (error) => error.status === 403);
  const anonymous = await own.socket('/ws/chat/x/', {});
  anonymous.say({ openid: 'bad', message: 'x' });
  assert.deepEqual(await anonymous.frameObject(), { status: 'fail', msg: '该用户已被停用', code: 403 });
  anonymous.close();
  assert.equal((await own.get('/matching/get_user_action/', bad)).status, 200);
  assert.equal((await write({ openId: 'other' }, HAPPY, own)).body.data.match, undefined);
  await own.stop();
});

/* ---- images ---- */

test('an image that is deleted is gone at once, with its files', async () => {
  const who = await login();
  const upload = async () => (await weir.multipart('/matching/upload_img_action/', [{ name: 'openId', value: who.openId }, { name: 'img', filename: 'a b.png', type: 'image/png', bytes: png(30, 30) }])).body.data.image.name;
  const [name, other] = [await upload(), await upload()];
  const done = cli(['delete-image', name, '--note', '违规']);
  assert.deepEqual([done.status, done.out], [0, 'done\n']);
  for (const folder of ['upload', 'upload/thumb']) {
    assert.equal((await weir.request('GET', `/${folder}/${encodeURIComponent(name)}/`)).status, 404);
    assert.ok(!existsSync(path.join(weir.folder, folder, name)));
    assert.equal((await weir.request('GET', `/${folder}/${encodeURIComponent(other)}/`)).status, 200);
  }
  assert.deepEqual(await act('/delete_image', { name }), { name, changed: false });
  await refused('/delete_image', { name: 'never.png' }, 404);
  await refused('/delete_image', { name: '../weir.db' }, 404);
  assert.equal(cli(['delete-image', 'never.png']).status, 1);
});

/* ---- the sub-command ---- */

test('without a server it does the same', async () => {
  const folder = temporaryFolder();
  const first = await startServe({ 'diary.access': 'open' }, { folder });
  for (const openId of ['a', 'b']) await write({ openId }, HAPPY, first);
  const room = (await first.get('/matching/get_pair_action/', { openId: 'a' })).body.data.pair_id;
  await say({ openId: 'a' }, '坏话', room, first);
  await report({ openId: 'b' }, { pair_id: room, id: 1 }, first);
  const beside = cli(['list'], { folder });
  await first.stop({ keep: true });
  assert.deepEqual([cli(['list'], { folder }).out, beside.status], [beside.out, 0]);
  assert.equal(cli(['hide', '1'], { folder }).out, 'done; settled: 1\n');
  assert.equal(cli(['ban', '--openid', 'a'], { folder }).status, 0);
  assert.equal(cli(['list'], { folder }).out, 'Nothing is open.\n');
  assert.match(cli(['list', '--all'], { folder, lang: 'zh_CN.UTF-8' }).out, /\[已隐藏\]/);
  const second = await startServe({ 'diary.access': 'open' }, { folder });
  assert.deepEqual(await history({ openId: 'b' }, room, second), []);
  assert.equal((await write({ openId: 'a' }, HAPPY, second)).status, 403);
  await second.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('what is asked wrongly ends with 2', () => {
  for (const args of [[], ['lits'], ['show'], ['show', 'x'], ['show', '0'], ['hide'], ['ban'], ['ban', '1', '--openid', 'x'], ['ban', 'x'], ['delete-image'], ['list', '1'], ['show', '1', '2'], ['list', '--what']])
    assert.equal(cli(args).status, 2, args.join(' '));
  assert.equal(cli(['show', '999999']).status, 1);
  assert.match(runWeir(['moderation', '--help']).out, /delete-image NAME/);
});
