// The documented calls of the absence app, one by one and in every form of body: login, a member's requests, a manager's lists and decisions; their texts, codes, keys and order.
// What is decided where (dates, chances) has a file of its own (absence-rules), so have tokens.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ALL, KEYS, MANAGER, STRINGS, TYPES, UNDECIDED, WINDS, anonymous, dayAfter, duplicate, faulty, forbidden, missing, refused, startEnsemble, startSandbox, told } from '../lib/absence.mjs';
import { startDemo } from '../lib/weir.mjs';

const TODAY = '2026-03-10';
let wechat, weir, manager;
before(async () => {
  wechat = await startSandbox();
  weir = await startEnsemble(wechat);
  await weir.today(TODAY);
  manager = weir.manager;
});
after(async () => { await weir.stop(); await wechat.stop(); });

/* the key orders that the two documents show: the members' routes, the managers' lists, next */
const ORDERS = [['id', 'applier', 'processor', 'result', 'permission', 'reason', 'time_absence', 'time_apply', 'type'],
  ['id', 'applier', 'processor', 'reason', 'time_absence', 'time_apply', 'result', 'permission', 'type'],
  ['id', 'applier', 'processor', 'reason', 'time_absence', 'type', 'time_apply', 'result', 'permission']].map((keys) => keys.join());
const inOrder = (objects) => { for (const one of objects) assert.ok(ORDERS.includes(Object.keys(one).join()), Object.keys(one).join()); };
const parts = (fields) => Object.entries(fields).map(([name, value]) => ({ name, value: String(value) }));
/** The same fields in every form that a client may choose. */
const WAYS = {
  json: (fields) => ({ json: fields }),
  form: (fields) => ({ form: fields }),
  multipart: (fields) => ({ parts: parts(fields) }),
  'json under a form\'s type': (fields) => ({ body: JSON.stringify(fields), type: 'application/x-www-form-urlencoded' }),
};
const dates = (list) => list.map((one) => one.time_absence);
const ids = (list) => list.map((one) => one.id);

/* ---- login ---- */

test('login takes every kind of body and gives a token', async () => {
  const names = ['David', 'John', 'Mary', '赵乘风'];
  for (const [i, [way, options]] of Object.entries(WAYS).entries()) {
    const fields = { name: names[i], app_id: 'aljsd8asdabsdb728d1djhasbkdjb', app_secret: 'dasdasdasdabsdb728d1djhasbkdjb', code: `demo-${weir.as(names[i]).person}` };
    const reply = await weir.request('POST', '/account/login/', options(fields));
    assert.equal(reply.status, 200, `${way}: ${reply.text}`);
    assert.deepEqual(Object.keys(reply.body), ['msg', 'token'], way);
    assert.equal(reply.body.msg, 'Login!');
    assert.match(reply.body.token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.deepEqual((await weir.request('GET', '/absence/', { headers: { Authorization: `JWT ${reply.body.token}` } })).body, [], way);
  }
});

test('app_id and app_secret are the server\'s: the client\'s are neither needed nor sent to WeChat', async () => {
  const code = await wechat.wechat.code('bob');
  const me = weir.fresh();
  assert.equal((await weir.json('/account/login/', { name: me.name, code })).status, 200);
  for (const app_id of ['', 'wx-of-somebody-else', 'x'.repeat(300)]) assert.equal((await weir.json('/account/login/', { name: me.name, app_id, app_secret: 's3cret-of-the-client', code: 'demo-bob' })).status, 200);
  const asked = (await wechat.wechat.requests()).items.filter((one) => /jscode2session/.test(one.path));
  assert.ok(asked.length > 0 && asked.every((one) => one.status === 200 && !one.errcode), 'WeChat took every one of them for its own app');
});

test('what WeChat does not take is 502, a missing code too', async () => {
  const me = weir.fresh();
  for (const code of ['no-such-code', '', 'x'.repeat(500)]) told(await weir.login(me.name, me.person, { code }), 502, 'wx server request failed');
  told(await weir.json('/account/login/', { name: me.name }), 502, 'wx server request failed');
  told(await weir.form('/account/login/', { name: 'Nobody', app_id: 'a', app_secret: 'b', code: 'no-such-code' }), 502, 'wx server request failed');
  const once = await wechat.wechat.code('carol');
  for (let n = 0; n < 2; n++) assert.equal((await weir.login(me.name, '', { code: once })).status, 200, 'a client that lost the answer sends its code again');
  await wechat.wechat.faults({ status: 502 });
  told(await weir.login(me.name, 'carol'), 502, 'wx server request failed');
  await wechat.wechat.faults({});
  assert.equal((await weir.login(me.name, 'carol')).status, 200);
});

test('who is not in the list does not get in, and that leaves nothing behind', async () => {
  const person = 'stranger';
  for (const name of ['Stranger', 'david', 'David ', 'Dav', '弦', "' OR 1=1 --", 'x'.repeat(21), '张'.repeat(500)]) {
    const reply = await weir.login(name, person);
    if (reply.status === 200) assert.equal(name, 'David ', reply.text);   /* spaces around a name may be taken off */
    else told(reply, 401, 'You are not in the member list!');
  }
  for (const fields of [{ code: 'demo-stranger' }, { name: '', code: 'demo-stranger' }]) {
    const reply = await weir.json('/account/login/', fields);
    assert.ok([400, 401].includes(reply.status), reply.text);
    assert.ok(reply.body.msg, reply.text);
  }
  const me = weir.fresh();
  assert.equal((await weir.login(me.name, person)).status, 200, 'the WeChat id is still free');
});

test('a name is its first WeChat id\'s, and a WeChat id its first name\'s', async () => {
  const [one, two] = [weir.fresh(), weir.fresh()];
  assert.equal((await weir.login(one.name, 'first')).status, 200);
  told(await weir.login(one.name, 'second'), 403, "Name and wechat id doesn't match!");
  refused(await weir.login(two.name, 'first'), 400, { union_id: ['identity with this union id already exists.'] });
  assert.equal((await weir.login(two.name, 'second')).status, 200, 'neither refusal bound anything');
  told(await weir.login(one.name, 'second'), 403, "Name and wechat id doesn't match!");
  assert.equal((await weir.login(one.name, 'first')).status, 200);
});

test('the login without its slash is not this app\'s', async () => {
  const reply = await weir.plain('POST', '/account/login', { json: { name: 'David', code: 'demo-David' } });
  assert.notEqual(reply.body?.msg, 'Login!');
  assert.ok(reply.status < 500, reply.text);
});

/* ---- members ---- */

test('leave is asked for in every form of body and answered 201 with the object', async () => {
  const me = weir.fresh();
  const dated = Object.entries(WAYS).slice(0, 3).map((way, i) => [...way, dayAfter(TODAY, i + 1)]);
  for (const [way, options, date] of dated) {
    const reply = await me.request('POST', '/absence/', options({ reason: `因为 ${way} & <b>+=%`, time_absence: date, type: ALL }));
    assert.equal(reply.status, 201, `${way}: ${reply.text}`);
    const { id, ...rest } = reply.body;
    assert.ok(Number.isSafeInteger(id) && id > 0);
    assert.deepEqual(rest, { applier: me.name, processor: null, result: UNDECIDED, permission: false, reason: `因为 ${way} & <b>+=%`, time_absence: date, time_apply: TODAY, type: ALL }, way);
    inOrder([reply.body]);
  }
  const mine = await me.list();
  assert.deepEqual(dates(mine), dated.map((one) => one[2]));
  inOrder(mine);
  for (const one of mine) assert.deepEqual(Object.keys(one).sort(), KEYS);
});

test('the sample of the document is stored as it stands; the type may be left out', async () => {
  const me = weir.fresh();
  const first = await me.post({ reason: 'reasons', time_absence: '2026-03-22', type: '全体排练' });
  assert.deepEqual([first.status, first.body.time_absence, first.body.type], [201, '2026-03-22', ALL]);
  const second = await me.post({ reason: 'reasons', time_absence: '2026-03-23' });
  assert.deepEqual([second.status, second.body.type], [201, ALL]);
  for (const type of TYPES) {
    const somebody = weir.fresh();
    const reply = await somebody.request('POST', '/absence/', { form: { reason: 'r', time_absence: '2026-03-22', type } });
    assert.deepEqual([reply.status, reply.body.type], [201, type], reply.text);
  }
});

test('a list has one\'s own, by date', async () => {
  const [me, other] = [weir.fresh(), weir.fresh()];
  for (const date of ['2026-05-02', '2026-03-12', '2026-04-01']) await me.absent(date);
  await other.absent('2026-03-13');
  assert.deepEqual(dates(await me.list()), ['2026-03-12', '2026-04-01', '2026-05-02']);
  assert.deepEqual(dates(await other.list()), ['2026-03-13']);
  assert.deepEqual(await weir.fresh().list(), []);
  assert.deepEqual(dates(await me.list('/absence')), ['2026-03-12', '2026-04-01', '2026-05-02'], 'without the slash');
});

test('field errors are told by their field, and cost nothing', async () => {
  const me = weir.fresh('percussion');
  const good = { reason: 'r', time_absence: '2026-03-22', type: ALL };
  const fault = (reply, beside) => refused(reply, 400, beside);
  for (const type of ['A', '全体', '全体排练弦乐分排', '全体排练 + 弦乐分排', '全体排练++弦乐分排', '弦乐分排+全体排练', 'all'])
    fault(await me.post({ ...good, type }), { type: [`"${type}" is not a valid choice.`] });
  const { reason, ...unreasoned } = good;
  const { time_absence, ...undated } = good;
  for (const options of Object.values(WAYS)) {
    fault(await me.request('POST', '/absence/', options(unreasoned)), { reason: ['This field is required.'] });
    fault(await me.request('POST', '/absence/', options(undated)), { time_absence: ['This field is required.'] });
  }
  faulty(await me.post({ ...good, reason: '' }), 'reason');
  faulty(await me.post({ ...good, reason: '字'.repeat(301) }), 'reason');
  faulty(await me.post({ ...good, type: '' }), 'type');
  const both = await me.post({ time_absence: '2026-03-22', type: 'A' });
  assert.equal(both.status, 400);
  assert.ok(both.body.reason || both.body.type, both.text);
  assert.deepEqual(await me.list(), []);
  assert.equal((await me.post({ ...good, reason: '😀'.repeat(300) })).status, 201, 'the one chance of percussion is still there, and 300 characters are not bytes');
});

test('a member reads, changes and deletes what is his', async () => {
  const me = weir.fresh();
  const { id } = await me.absent('2026-03-20', STRINGS, 'first');
  const own = await me.get(`/absence/${id}/`);
  assert.deepEqual([own.status, own.body], [200, (await me.list())[0]]);
  let date = '2026-03-21';
  for (const [way, options] of Object.entries(WAYS)) {
    const put = await me.request('PUT', `/absence/${id}/`, options({ reason: way, time_absence: date, type: WINDS }));
    assert.deepEqual([put.status, put.body], [200, { id, applier: me.name, processor: null, result: UNDECIDED, permission: false, reason: way, time_absence: date, time_apply: TODAY, type: WINDS }], way);
    inOrder([put.body]);
    date = dayAfter(date);
  }
  const untyped = await me.put(id, { reason: 'kept', time_absence: '2026-04-09' });
  assert.deepEqual([untyped.status, untyped.body.type, untyped.body.time_absence], [200, WINDS, '2026-04-09'], 'without a type it keeps its own');
  for (const [field, value] of Object.entries({ reason: 'only this', time_absence: '2026-04-10', type: ALL })) {
    const before = (await me.list())[0];
    const patched = await me.patch(id, { [field]: value });
    assert.deepEqual([patched.status, patched.body], [200, { ...before, [field]: value }], field);
  }
  assert.equal((await me.patch(id, {})).status, 200);
  faulty(await me.put(id, { time_absence: '2026-04-11' }), 'reason');
  faulty(await me.put(id, { reason: 'r' }), 'time_absence');
  faulty(await me.patch(id, { reason: '' }), 'reason');
  refused(await me.patch(id, { type: 'A' }), 400, { type: ['"A" is not a valid choice.'] });
  const gone = await me.remove(id);
  assert.deepEqual([gone.status, gone.bytes.length, gone.headers['content-length'], gone.headers['content-type']], [204, 0, undefined, undefined]);
  for (const reply of [await me.remove(id), await me.get(`/absence/${id}/`), await me.patch(id, { reason: 'r' }), await me.put(id, { reason: 'r', time_absence: '2026-04-11' })]) missing(reply);
  assert.deepEqual(await me.list(), []);
});

test('what a client says about the other keys is not believed', async () => {
  const me = weir.fresh();
  const forged = { id: 1, applier: 'David', processor: MANAGER, result: 'granted', permission: true, time_apply: '2020-01-01' };
  const { status, body } = await me.post({ reason: 'r', time_absence: '2026-03-22', type: ALL, ...forged });
  assert.deepEqual([status, body], [201, { id: body.id, applier: me.name, processor: null, result: UNDECIDED, permission: false, reason: 'r', time_absence: '2026-03-22', time_apply: TODAY, type: ALL }]);
  assert.deepEqual((await me.patch(body.id, forged)).body, body);
  assert.deepEqual((await me.put(body.id, { ...body, ...forged })).body, body);
});

test('what is somebody else\'s or nobody\'s is not there', async () => {
  const [me, other] = [weir.fresh(), weir.fresh()];
  const { id } = await me.absent('2026-03-20');
  for (const one of [id, id + 100000, 0, -1, '01x', 'abc', '1.5', '9223372036854775808', '99999999999999999999999', '%EF%BC%91']) {
    missing(await other.get(`/absence/${one}/`));
    missing(await other.put(one, { reason: 'r', time_absence: '2026-03-25', type: ALL }));
    missing(await other.patch(one, { reason: 'r' }));
    missing(await other.remove(one));
  }
  missing(await manager.get(`/absence/${id}/`));
  assert.equal((await me.list())[0].reason, '有课');
});

test('two absences cannot be moved onto one day', async () => {
  const me = weir.fresh();
  const [a, b] = [await me.absent('2026-03-20'), await me.absent('2026-03-21')];
  duplicate(await me.post({ reason: 'r', time_absence: '2026-03-20', type: ALL }));
  duplicate(await me.put(b.id, { reason: 'r', time_absence: '2026-03-20' }));
  duplicate(await me.patch(b.id, { time_absence: '2026-3-20' }));
  assert.equal((await me.put(a.id, { reason: 'same day', time_absence: '2026-03-20' })).status, 200);
  assert.deepEqual(dates(await me.list()), ['2026-03-20', '2026-03-21']);
});

/* ---- who may ---- */

const MEMBER_CALLS = [['GET', '/absence/'], ['POST', '/absence/'], ['GET', '/absence/1/'], ['PUT', '/absence/1/'], ['PATCH', '/absence/1/'], ['DELETE', '/absence/1/']];
const MANAGER_CALLS = [['GET', '/manager/'], ['PUT', '/manager/1/'], ['PATCH', '/manager/1/'], ['DELETE', '/manager/1/'], ['GET', '/manager/2026-03-12/present/'], ['GET', '/manager/no-date/present/'],
  ['GET', '/manager/next/'], ['GET', '/manager/future/'], ['GET', '/manager/history/']];

test('without a token everything is 401, and says how one proves oneself', async () => {
  for (const [method, target] of [...MEMBER_CALLS, ...MANAGER_CALLS])
    for (const at of [target, target.slice(0, -1)]) anonymous(await weir.request(method, at, method === 'GET' || method === 'DELETE' ? {} : { json: {} }));
  anonymous(await weir.request('POST', '/absence/', { form: { reason: 'r' } }));
  anonymous(await weir.request('POST', '/absence/', { parts: parts({ reason: 'r' }) }));
});

test('members who are no managers are 403 on every route of managers, whatever they ask', async () => {
  const me = weir.fresh();
  const { id } = await me.absent('2026-03-20');
  for (const [method, target] of MANAGER_CALLS)
    for (const at of [target, target.slice(0, -1), target.replace('/1/', `/${id}/`)]) forbidden(await me.request(method, at, method === 'GET' || method === 'DELETE' ? {} : { json: { result: 'yes', permission: true } }));
  assert.deepEqual((await me.list())[0].result, UNDECIDED);
});

test('what is not offered is 405 and says what is', async () => {
  const { id } = await weir.fresh().absent('2026-03-20');
  const calls = { '/account/login/': [['GET', 'PUT', 'PATCH', 'DELETE'], ['POST']], '/account/refresh/': [['GET', 'DELETE'], ['POST']], '/absence/': [['PUT', 'PATCH', 'DELETE'], ['GET', 'POST']],
    [`/absence/${id}/`]: [['POST'], ['GET', 'PUT', 'PATCH', 'DELETE']], '/manager/': [['POST', 'PUT', 'PATCH', 'DELETE'], ['GET']], [`/manager/${id}/`]: [['POST'], ['PUT', 'PATCH', 'DELETE']],
    '/manager/2026-03-12/present/': [['POST', 'PUT', 'DELETE'], ['GET']], '/manager/next/': [['POST'], ['GET']], '/manager/future/': [['POST'], ['GET']], '/manager/history/': [['POST'], ['GET']] };
  for (const [target, [methods, allowed]] of Object.entries(calls))
    for (const method of methods) {
      const reply = await manager.request(method, target, ['PUT', 'PATCH', 'POST'].includes(method) ? { json: {} } : {});
      assert.equal(reply.status, 405, `${method} ${target}: ${reply.text}`);
      const allow = (reply.headers.allow ?? '').split(/, */);
      for (const one of allowed) assert.ok(allow.includes(one), `${method} ${target}: Allow: ${reply.headers.allow}`);
      assert.ok(!allow.includes(method), `${method} ${target}: Allow: ${reply.headers.allow}`);
      assert.ok(reply.body.msg, reply.text);
    }
});

test('what is no route has a msg too', async () => {
  for (const target of ['/manager/nothing/at/all/', '/absence/1/2/', '/manager/2026-03-12/absent/']) {
    const reply = await manager.get(target);
    assert.equal(reply.status, 404, reply.text);
    assert.ok(reply.body.msg, reply.text);
  }
});

/* ---- managers ---- */

test('a manager decides, in every form of body, and is the processor', async () => {
  const me = weir.fresh();
  const { id } = await me.absent('2026-03-20');
  let n = 0;
  for (const [way, options] of Object.entries(WAYS))
    for (const method of ['PUT', 'PATCH']) {
      const permission = n++ % 2 === 0;
      const reply = await manager.request(method, `/manager/${id}/`, options({ processor: 'David', result: `${way} ${method}`, permission }));
      assert.equal(reply.status, 200, `${way}: ${reply.text}`);
      const { msg, ...object } = reply.body;
      assert.ok(typeof msg === 'string' && msg, reply.text);
      assert.deepEqual(object, { id, applier: me.name, processor: MANAGER, result: `${way} ${method}`, permission, reason: '有课', time_absence: '2026-03-20', time_apply: TODAY, type: ALL });
      assert.deepEqual((await me.list())[0], object, 'the member sees it');
    }
});

test('permission in all its spellings', async () => {
  const { id } = await weir.fresh().absent('2026-03-20');
  for (const [permission, means] of [['true', true], ['false', false], ['1', true], ['0', false], ['True', true], ['False', false]]) {
    const reply = await manager.request('PUT', `/manager/${id}/`, { form: { result: 'r', permission } });
    assert.deepEqual([reply.status, reply.body.permission], [200, means], permission);
  }
  for (const [permission, means] of [[true, true], [false, false], [1, true], [0, false], ['true', true], ['0', false]]) {
    const reply = await manager.decide(id, { result: 'r', permission });
    assert.deepEqual([reply.status, reply.body.permission], [200, means], JSON.stringify(permission));
  }
  for (const permission of ['maybe', 2, -1, [true], { a: 1 }, 'truefalse']) faulty(await manager.decide(id, { result: 'r', permission }), 'permission');
});

test('a decision needs its reason', async () => {
  const { id } = await weir.fresh().absent('2026-03-20');
  refused(await manager.decide(id, { permission: true }), 400, { result: ['This field is required.'] });
  for (const result of ['', '   ', '字'.repeat(301)]) faulty(await manager.decide(id, { result, permission: true }), 'result');
  assert.equal((await manager.decide(id, { result: '字'.repeat(300), permission: true })).status, 200);
  const half = await manager.request('PATCH', `/manager/${id}/`, { json: { permission: false } });
  assert.deepEqual([half.status, half.body.permission, half.body.result], [200, false, '字'.repeat(300)]);
  for (const one of [id + 100000, 0, -1, 'abc', '99999999999999999999999']) {
    missing(await manager.decide(one, { result: 'r', permission: true }));
    missing(await manager.request('DELETE', `/manager/${one}/`));
  }
});

test('a manager deletes any request', async () => {
  const me = weir.fresh();
  const { id } = await me.absent('2026-03-20');
  const reply = await manager.request('DELETE', `/manager/${id}/`);
  assert.deepEqual([reply.status, reply.bytes.length], [204, 0]);
  assert.deepEqual(await me.list(), []);
  missing(await manager.request('DELETE', `/manager/${id}/`));
});

test('present names the absent of a day; with all=1 everybody', async () => {
  const date = '2026-06-01';
  const [a, b, c, d] = [weir.fresh(), weir.fresh(), weir.fresh(), weir.fresh()];
  for (const [one, permission] of [[a, true], [b, false]]) assert.equal((await manager.decide((await one.absent(date)).id, { result: 'r', permission })).status, 200);
  await c.absent(date);
  await d.token();
  assert.deepEqual((await manager.get(`/manager/${date}/present/`)).body, { time: date, members: [{ name: a.name, state: 'absent' }] });
  const { time, members } = (await manager.get(`/manager/${date}/present/`, { all: 1 })).body;
  const states = new Map(members.map((one) => [one.name, one.state]));
  assert.equal(time, date);
  assert.equal(states.size, members.length, 'nobody twice');
  assert.deepEqual([a, b, c, d].map((one) => states.get(one.name)), ['absent', 'present', 'present', 'present']);
  assert.equal(members.filter((one) => one.state === 'absent').length, 1);
  for (const one of members) assert.deepEqual(Object.keys(one).sort(), ['name', 'state']);
  const short = (await manager.get('/manager/2026-6-1/present/')).body;
  assert.deepEqual(short, { time: '2026-6-1', members: [{ name: a.name, state: 'absent' }] }, 'the date is given back as it came');
  assert.deepEqual((await manager.get('/manager/2020-3-12/present/')).body, { time: '2020-3-12', members: [] });
  for (const bad of ['2021-02-29', '2026-13-01', '2026-00-10', '2026-1-32', 'today', '20260601', '2026-06', '2026-06-01T00:00', '%00', '2026-06-01x', '-2026-06-01', '99999-01-01']) {
    const reply = await manager.get(`/manager/${bad}/present/`);
    assert.equal(reply.status, 400, `${bad}: ${reply.text}`);
    assert.ok(reply.body.msg, reply.text);
  }
});

test('lists of managers: all, future and history by date, narrowed to the decided', async () => {
  const own = await startEnsemble(wechat);
  await own.today('2026-03-01');
  const boss = own.manager;
  const who = [own.fresh(), own.fresh(), own.fresh(), own.fresh('wind')];
  const stored = {};
  for (const [i, date] of ['2026-03-08', '2026-03-02', '2026-03-05', '2026-03-02', '2026-03-06', '2026-03-04'].entries()) stored[i] = await who[i % 4].absent(date);
  for (const i of [0, 1]) await boss.decide(stored[i].id, { result: '好', permission: true });
  await own.today('2026-03-05');
  const all = await boss.list('/manager/');
  assert.deepEqual(dates(all), ['2026-03-02', '2026-03-02', '2026-03-04', '2026-03-05', '2026-03-06', '2026-03-08']);
  inOrder(all);
  for (const one of all) assert.deepEqual(Object.keys(one).sort(), KEYS);
  const [future, history] = [await boss.list('/manager/future/'), await boss.list('/manager/history/')];
  assert.deepEqual([dates(future), dates(history)], [['2026-03-06', '2026-03-08'], ['2026-03-02', '2026-03-02', '2026-03-04']]);
  inOrder([...future, ...history]);
  assert.deepEqual([future, history], [all.slice(4), all.slice(0, 3)], 'the same objects');
  assert.deepEqual(ids(await boss.list('/manager/future/', { processed: 'true' })), [stored[0].id]);
  assert.deepEqual(ids(await boss.list('/manager/future/', { processed: 'false' })), [stored[4].id]);
  assert.deepEqual(ids(await boss.list('/manager/history/', { processed: 'true' })), [stored[1].id]);
  assert.deepEqual(ids(await boss.list('/manager/history/', { processed: 'false' })), [stored[3].id, stored[5].id]);
  const odd = await boss.get('/manager/history/', { processed: 'perhaps' });
  assert.ok(odd.status === 400 ? odd.body.msg : odd.status === 200, odd.text);
  await own.stop();
});

test('a list of hundreds comes whole and in order', async () => {
  const own = await startEnsemble(wechat);
  await own.today('2026-03-01');
  const people = [...Array(110)].map(() => own.fresh());
  for (const [i, one] of people.entries()) for (const date of i % 3 ? ['2026-03-02', '2026-03-20'] : ['2026-03-02', '2026-03-05', '2026-03-20']) await one.absent(date);
  await own.today('2026-03-10');
  const order = (list) => list.every((one, i) => !i || list[i - 1].time_absence < one.time_absence || (list[i - 1].time_absence === one.time_absence && list[i - 1].id < one.id));
  const [all, future, history] = [await own.manager.list('/manager/'), await own.manager.list('/manager/future/'), await own.manager.list('/manager/history/')];
  assert.deepEqual([all.length, future.length, history.length], [257, 110, 147]);
  assert.ok(order(all) && order(future) && order(history));
  assert.equal(new Set(ids(all)).size, 257);
  assert.deepEqual([...history, ...future], all);
  await own.stop();
});

test('next is the nearest day to come, by sections; with none it is empty lists', async () => {
  const own = await startEnsemble(wechat);
  await own.today('2026-03-01');
  const boss = own.manager;
  assert.deepEqual((await boss.get('/manager/next/')).body, { time: null, stringed: [], wind: [], percussion: [] });
  const [s1, s2, w, p, late] = [own.fresh(), own.fresh(), own.fresh('wind'), own.fresh('percussion'), own.fresh()];
  await late.absent('2026-03-09');
  const made = [];
  for (const one of [s1, w, p, s2]) made.push(await one.absent('2026-03-07'));
  await boss.decide(made[0].id, { result: '不行', permission: false });
  const { body } = await boss.get('/manager/next/');
  assert.deepEqual(Object.keys(body).sort(), ['percussion', 'stringed', 'time', 'wind']);
  assert.equal(body.time, '2026-03-07');
  assert.deepEqual(ids(body.stringed).sort(), [made[0].id, made[3].id].sort());
  assert.deepEqual([ids(body.wind), ids(body.percussion)], [[made[1].id], [made[2].id]]);
  inOrder([...body.stringed, ...body.wind, ...body.percussion]);
  assert.deepEqual(body.stringed.find((one) => one.id === made[0].id), { ...made[0], result: '不行', processor: MANAGER });
  await own.today('2026-03-07');
  assert.equal((await boss.get('/manager/next/')).body.time, '2026-03-09', 'today is not next');
  await own.today('2026-03-09');
  assert.deepEqual((await boss.get('/manager/next/')).body, { time: null, stringed: [], wind: [], percussion: [] });
  await own.stop();
});

/* ---- the demo ---- */

test('the demo has an ensemble in it', async () => {
  const demo = await startDemo();
  const tokens = {};
  for (const name of ['David', 'John', 'Mary', '赵乘风', MANAGER]) {
    const reply = await demo.form('/account/login/', { name, app_id: 'a', app_secret: 'b', code: `demo-${name}` });
    assert.deepEqual([reply.status, reply.body.msg], [200, 'Login!'], `${name}: ${reply.text}`);
    tokens[name] = { headers: { Authorization: `JWT ${reply.body.token}` } };
  }
  const { time } = (await demo.request('GET', '/manager/next/', tokens[MANAGER])).body;
  assert.match(time, /^\d{4}-\d\d-\d\d$/, 'a rehearsal is to come');
  for (const [name, section] of [['David', 'stringed'], ['John', 'wind'], ['Mary', 'percussion'], ['赵乘风', 'stringed']]) {
    const made = await demo.request('POST', '/absence/', { ...tokens[name], json: { reason: 'demo', time_absence: time } });
    assert.ok(made.status === 201 || made.body.msg === 'Duplicated absence', made.text);
    assert.ok((await demo.request('GET', '/manager/next/', tokens[MANAGER])).body[section].some((one) => one.applier === name), `${name} plays in ${section}`);
  }
  assert.equal((await demo.request('GET', '/manager/', tokens.David)).status, 403);
  await demo.stop();
});

/* ---- nothing makes a 500 ---- */

const VALUES = [null, true, 0, -1, 1e300, 9007199254740993, '', ' ', [], ['x'], {}, { a: 1 }, [[[]]], 'x'.repeat(20000), '\u0000', '\ud800', '\u202e', "'; DROP TABLE absence; --", '%s%n', '../..', '2026-03-22\u0000'];

test('wrong types in every field of every call are the caller\'s fault', async () => {
  const me = weir.fresh();
  const { id } = await me.absent('2026-05-20');
  const calls = [
    ['POST', '/account/login/', { name: 'David', app_id: 'a', app_secret: 'b', code: 'demo-David' }, manager],
    ['POST', '/absence/', { reason: 'r', time_absence: '2026-05-21', type: ALL }, me],
    ['PUT', `/absence/${id}/`, { reason: 'r', time_absence: '2026-05-22', type: ALL }, me],
    ['PATCH', `/absence/${id}/`, { reason: 'r', time_absence: '2026-05-22', type: ALL }, me],
    ['PUT', `/manager/${id}/`, { result: 'r', permission: true }, manager],
    ['PATCH', `/manager/${id}/`, { result: 'r', permission: true }, manager],
  ];
  for (const [method, target, good, who] of calls)
    for (const field of Object.keys(good))
      for (const value of VALUES) {
        const reply = await who.request(method, target, { json: JSON.stringify({ ...good, [field]: value }) });
        const what = `${method} ${target} ${field} = ${JSON.stringify(value).slice(0, 40)}: ${reply.status} ${reply.text.slice(0, 200)}`;
        assert.ok(reply.status < 500 || (field === 'code' && reply.status === 502), what);
        if (reply.status >= 400) assert.ok(reply.body.msg, what);
        const typed = ['reason', 'time_absence', 'type', 'result', 'name'].includes(field) && ((typeof value === 'object' && value !== null) || typeof value === 'boolean');      /* null is as good as nothing */
        if (typed) assert.ok(reply.status === 400 || reply.status === 401, what);
        if (['time_absence', 'type'].includes(field) && value !== null) assert.equal(reply.status, 400, what);
        if (reply.status === 201) assert.equal((await me.remove(reply.body.id)).status, 204);
      }
});

test('bodies that are none, text that is none', async () => {
  const me = weir.fresh();
  const bodies = [['{', 'application/json'], ['[]', 'application/json'], ['[1]', 'application/json'], ['"x"', 'application/json'], ['null', 'application/json'], ['{"reason":"r","time_absence":"2026-05-20",}', 'application/json'],
    ['reason=%00&time_absence=2026-05-20', 'application/x-www-form-urlencoded'], ['reason=%ff%fe&time_absence=2026-05-20', 'application/x-www-form-urlencoded'], ['reason=%zz&time_absence=2026-05-20', 'application/x-www-form-urlencoded'],
    [Buffer.from('{"reason":"\xff","time_absence":"2026-05-20"}', 'latin1'), 'application/json'], ['x', 'multipart/form-data'], ['--b\r\nbroken', 'multipart/form-data; boundary=b'], ['{"reason":1e999,"time_absence":"2026-05-20"}', 'application/json']];
  for (const [body, type] of bodies)
    for (const [method, target] of [['POST', '/account/login/'], ['POST', '/absence/']]) {
      const reply = await me.request(method, target, { body, type });
      assert.ok(reply.status >= 400 && reply.status < 500, `${target} ${body}: ${reply.status} ${reply.text}`);
      assert.ok(reply.body.msg, reply.text);
    }
  const odd = await me.request('POST', '/absence/', { body: '<a/>', type: 'application/xml' });
  assert.equal(odd.status, 415);
  assert.ok(odd.body.msg, odd.text);
  assert.deepEqual(await me.list(), []);
});
