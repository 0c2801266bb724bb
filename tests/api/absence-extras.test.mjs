// What managers have besides the document, under /api/absence/: the name list, rehearsals, the calendar feed, a term as CSV, statistics, the audit trail.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ALL, BOTH, MANAGER, dayAfter, forbidden, spent, startEnsemble, startSandbox, told } from '../lib/absence.mjs';

const TODAY = '2026-03-10';
let wechat, weir, manager;
before(async () => {
  wechat = await startSandbox();
  weir = await startEnsemble(wechat);
  await weir.today(TODAY);
  manager = weir.manager;
});
after(async () => { await weir.stop(); await wechat.stop(); });

const api = async (method, name, options = {}, who = manager) => {
  const reply = await who.request(method, `/api/absence/${name}`, options);
  assert.equal(reply.status, 200, `${method} ${name}: ${reply.text}`);
  if (reply.body) assert.deepEqual([reply.body.errcode, reply.body.errmsg], [0, 'ok']);
  return reply.body?.data;
};
const bad = (reply, ...statuses) => {
  assert.ok(statuses.includes(reply.status), `${reply.status} ${reply.text}`);
  assert.ok(reply.body.msg, reply.text);
};
const memberNamed = async (name, query = {}) => (await api('GET', 'members', { query })).members.find((one) => one.name === name);

/* ---- the name list ---- */

test('managers see the name list', async () => {
  const { members } = await api('GET', 'members');
  const { id, ...david } = members.find((one) => one.name === 'David');
  assert.ok(Number.isSafeInteger(id));
  assert.deepEqual(david, { name: 'David', section: 'string', manager: false, bound: false, retired: false });
  assert.deepEqual((({ section, manager: is, bound }) => [section, is, bound])(members.find((one) => one.name === MANAGER)), ['string', true, true]);
  assert.equal(new Set(members.map((one) => one.name)).size, members.length);
});

test('somebody is added, changed, taken out and put back by a manager', async () => {
  const added = await api('POST', 'members', { json: { name: '新团员', section: 'wind' } });
  assert.deepEqual([added.name, added.section, added.manager, added.bound, added.retired], ['新团员', 'wind', false, false, false]);
  const me = weir.as('新团员', 'newbie');
  await me.absent(dayAfter(TODAY), BOTH);
  spent(await me.post({ reason: 'r', time_absence: dayAfter(TODAY, 2), type: ALL }));
  assert.equal((await memberNamed('新团员')).bound, true);
  assert.equal((await api('PUT', 'members', { form: { name: '新团员', section: '弦乐' } })).section, 'string');
  await me.absent(dayAfter(TODAY, 2));
  forbidden(await me.get('/manager/'));
  assert.equal((await api('PUT', 'members', { json: { name: '新团员', manager: true } })).manager, true);
  assert.equal((await me.get('/manager/')).status, 200);
  assert.equal((await api('PUT', 'members', { form: { name: '新团员', manager: 'false' } })).manager, false);
  forbidden(await me.get('/manager/'));
  assert.equal((await api('DELETE', 'members', { query: { name: '新团员' } })).retired, true);
  assert.equal((await me.get('/absence/')).status, 401);
  told(await weir.login('新团员', 'newbie'), 401, 'You are not in the member list!');
  assert.equal(await memberNamed('新团员'), undefined);
  assert.equal((await memberNamed('新团员', { all: 1 })).retired, true);
  assert.equal((await manager.list('/manager/')).filter((one) => one.applier === '新团员').length, 2, 'his history stays');
  assert.equal((await api('POST', 'members', { json: { name: '新团员', section: 'string' } })).retired, false);
  weir.epoch++;
  assert.equal((await me.list()).length, 2);
  assert.equal((await api('PUT', 'members', { json: { name: '新团员', unbind: true } })).bound, false);
  weir.epoch++;
  assert.equal((await weir.login('新团员', 'newbie2')).status, 200);
});

test('a name list with faults in it is refused', async () => {
  const before = (await api('GET', 'members', { query: { all: 1 } })).members;
  for (const fields of [{ name: '', section: 'wind' }, { section: 'wind' }, { name: 'x' }, { name: 'x', section: 'brass' }, { name: '长'.repeat(21), section: 'wind' }, { name: 'x', section: 'wind', manager: 'perhaps' }, { name: 'a\nb', section: 'wind' },
    { name: ['x'], section: 'wind' }, { name: { a: 1 }, section: 'wind' }, { name: 'x', section: 7 }, { name: 'x\u0000', section: 'wind' }, { name: '   ', section: 'wind' }]) bad(await manager.request('POST', '/api/absence/members', { json: fields }), 400);
  bad(await manager.request('POST', '/api/absence/members', { json: { name: 'David', section: 'wind' } }), 400, 409);
  for (const [method, options] of [['PUT', { json: { name: 'Nobody', section: 'wind' } }], ['DELETE', { query: { name: 'Nobody' } }]]) bad(await manager.request(method, '/api/absence/members', options), 404);
  bad(await manager.request('PUT', '/api/absence/members', { json: { name: 'David', section: 'brass' } }), 400);
  bad(await manager.request('DELETE', '/api/absence/members', {}), 400);
  assert.deepEqual((await api('GET', 'members', { query: { all: 1 } })).members, before);
});

test('a manager cannot lock himself out by mistake, or it takes effect at once', async () => {
  const own = await startEnsemble(wechat, {}, { names: `name,section,manager\n${MANAGER},string,yes\nDavid,string,no\n` });
  await own.today(TODAY);
  const boss = own.manager;
  const reply = await boss.request('PUT', '/api/absence/members', { json: { name: MANAGER, manager: false } });
  if (reply.status === 200) forbidden(await boss.get('/manager/'));
  else { bad(reply, 400, 403, 409); assert.equal((await boss.get('/manager/')).status, 200); }
  await own.stop();
});

test('what is the managers\' is nobody else\'s', async () => {
  const me = weir.fresh();
  const calls = [['GET', 'members'], ['POST', 'members'], ['PUT', 'members'], ['DELETE', 'members'], ['GET', 'audit']];
  for (const [method, name] of calls) {
    const options = ['POST', 'PUT'].includes(method) ? { json: { name: me.name, section: 'string', manager: true, date: '2026-04-01' } } : method === 'DELETE' ? { query: { name: MANAGER } } : {};
    const nobody = await weir.request(method, `/api/absence/${name}`, options);
    bad(nobody, 401);
    assert.equal(nobody.headers['www-authenticate'], 'JWT realm="api"');
    if (`${method} ${name}` !== 'GET rehearsals') bad(await me.request(method, `/api/absence/${name}`, options), 403);      /* when rehearsals are, members may know */
  }
  for (const name of ['namelist', 'namelist.csv']) assert.equal((await manager.get(`/api/absence/${name}`)).status, 404, 'the operator\'s own routes are not on the network');
  assert.equal((await manager.request('POST', '/api/absence/namelist/import', { json: { csv: 'name,section\n' } })).status, 404);
  assert.equal((await manager.get('/manager/')).status, 200);
});

/* ---- the audit trail ---- */

test('the audit trail tells who did what, in order, and never changes', async () => {
  const own = await startEnsemble(wechat, {}, { names: `name,section,manager\n${MANAGER},string,yes\nDavid,string,no\n王助理,wind,yes\n` });
  await own.today(TODAY);
  const [me, boss, aide] = [own.as('David'), own.manager, own.as('王助理')];
  const read = async (query = {}) => (await boss.request('GET', '/api/absence/audit', { query })).body.data;
  const start = (await read({ limit: 500 })).entries.at(-1)?.id ?? 0;
  const { id } = await me.absent('2026-03-20');
  await boss.decide(id, { result: '同意', permission: true });
  await aide.decide(id, { result: '再想想', permission: false });
  await me.patch(id, { reason: '改了' });
  assert.equal((await aide.request('DELETE', `/manager/${id}/`)).status, 204);
  await boss.request('POST', '/api/absence/members', { json: { name: '新人', section: 'wind' } });
  await boss.request('DELETE', '/api/absence/members', { query: { name: '新人' } });
  const { entries } = await read({ since: start, limit: 500 });
  const decisions = entries.filter((one) => one.target === id && /decide|patch|decision/.test(one.action));
  assert.deepEqual(decisions.map((one) => one.actor), [MANAGER, '王助理'], JSON.stringify(entries, null, 1));
  assert.ok(JSON.stringify(decisions[0].after).includes('同意') && JSON.stringify(decisions[1].before).includes('同意') && JSON.stringify(decisions[1].after).includes('再想想'));
  const removal = entries.filter((one) => one.target === id).at(-1);
  assert.deepEqual([removal.actor, /delete/.test(removal.action)], ['王助理', true]);
  assert.equal(entries.filter((one) => one.actor === MANAGER && one.name === '新人').length, 2);
  assert.deepEqual(entries.map((one) => one.id), entries.map((one) => one.id).sort((a, b) => a - b));
  assert.ok(entries.every((one) => one.time.startsWith(`${TODAY} 12:00`)), 'times are the ensemble\'s');
  const paged = [];
  for (let since = start; ;) { const page = await read({ since, limit: 1 }); paged.push(...page.entries); if (!page.more) break; since = page.entries.at(-1).id; }
  assert.deepEqual(paged, entries, 'page by page it is the same');
  const [refused] = [await own.as('David').decide(id, { result: 'r', permission: true })];
  forbidden(refused);
  assert.deepEqual((await read({ since: start, limit: 500 })).entries, entries, 'what was refused leaves no trace here');
  for (const query of [{ since: -1 }, { since: 'x' }, { limit: 0 }, { limit: 501 }, { limit: 'many' }]) bad(await boss.request('GET', '/api/absence/audit', { query }), 400);
  await own.stop();
});
