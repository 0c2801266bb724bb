// What managers have besides the document, under /api/absence/: the name list, rehearsals, the calendar feed, a term as CSV, statistics, the audit trail.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ALL, BOTH, MANAGER, dayAfter, forbidden, spent, startEnsemble, startSandbox, told } from '../lib/absence.mjs';
import { readCsv } from '../lib/csv.mjs';
import { readCalendar } from '../lib/ical.mjs';

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
  const calls = [['GET', 'members'], ['POST', 'members'], ['PUT', 'members'], ['DELETE', 'members'], ['GET', 'audit'], ['POST', 'rehearsals'], ['DELETE', 'rehearsals'], ['GET', 'statistics'], ['GET', 'term.csv']];
  for (const [method, name] of calls) {
    const options = ['POST', 'PUT'].includes(method) ? { json: { name: me.name, section: 'string', manager: true, date: '2026-04-01' } } : method === 'DELETE' ? { query: { name: MANAGER } } : {};
    const nobody = await weir.request(method, `/api/absence/${name}`, options);
    bad(nobody, 401);
    assert.equal(nobody.headers['www-authenticate'], 'JWT realm="api"');
    bad(await me.request(method, `/api/absence/${name}`, options), 403);
  }
  for (const [method, name] of [['GET', 'rehearsals'], ['GET', 'calendar.ics'], ['POST', 'calendar'], ['DELETE', 'calendar']]) {
    bad(await weir.request(method, `/api/absence/${name}`), 401);
    assert.equal((await me.request(method, `/api/absence/${name}`)).status, 200, 'this is every member\'s');
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

/* ---- rehearsals ---- */

test('rehearsals are planned, listed by date, and taken back', async () => {
  const own = await startEnsemble(wechat);
  await own.today(TODAY);
  const plan = (fields) => own.manager.request('POST', '/api/absence/rehearsals', { json: fields });
  const listed = async (query = {}, who = own.manager) => (await who.request('GET', '/api/absence/rehearsals', { query })).body.data.rehearsals.map(({ id, ...rest }) => rest);
  assert.deepEqual(await listed(), []);
  const first = (await plan({ date: '2026-3-28', time: '14:00', title: '全体排练' })).body.data;
  assert.deepEqual(first, { id: first.id, date: '2026-03-28', time: '14:00', title: '全体排练' });
  for (const fields of [{ date: '2026-03-21' }, { date: '2026-04-04', title: '音乐会, 上半场; "x"' }, { date: '2026-03-28', time: '9:30', title: '弦乐分排' }, { date: '2026-01-03', title: '过去的' }]) assert.equal((await plan(fields)).status, 200);
  assert.deepEqual((await plan({ date: '2026-03-28', time: '14:00', title: '全体排练' })).body.data, first, 'the same again is the same one');
  const all = [['2026-01-03', null, '过去的'], ['2026-03-21', null, ''], ['2026-03-28', '09:30', '弦乐分排'], ['2026-03-28', '14:00', '全体排练'], ['2026-04-04', null, '音乐会, 上半场; "x"']].map(([date, time, title]) => ({ date, time, title }));
  assert.deepEqual(await listed(), all);
  assert.deepEqual(await listed({}, own.as('David')), all, 'members may know');
  assert.deepEqual(await listed({ from: '2026-3-28' }), all.slice(2));
  for (const fields of [{}, { date: '2026-02-30' }, { date: 'soon' }, { date: '' }, { date: '2026-03-21', time: '25:00' }, { date: '2026-03-21', time: '14' }, { date: '2026-03-21', time: '14:60' }, { date: '2026-03-21', time: 'noon' }, { date: ['2026-03-21'] },
    { date: '2026-03-21', title: '长'.repeat(201) }, { date: '2026-03-21', title: { a: 1 } }, { date: '2026-03-21', title: 'x\u0000' }, { date: 20260321 }]) bad(await plan(fields), 400);
  bad(await own.manager.request('GET', '/api/absence/rehearsals', { query: { from: 'x' } }), 400);
  const gone = (query) => own.manager.request('DELETE', '/api/absence/rehearsals', { query });
  assert.equal((await gone({ id: first.id })).status, 200);
  bad(await gone({ id: first.id }), 404);
  assert.equal((await gone({ date: '2026-03-21' })).status, 200);
  for (const query of [{ date: '2026-03-21' }, { id: 99999 }, { id: -1 }, { id: 'x' }, { id: '99999999999999999999' }]) bad(await gone(query), 400, 404);
  for (const query of [{}, { date: '2026-02-30' }]) bad(await gone(query), 400);
  assert.deepEqual(await listed(), [all[0], all[2], all[4]]);
  await own.stop();
});

test('next knows a rehearsal even if nobody asked for leave', async () => {
  const own = await startEnsemble(wechat);
  await own.today(TODAY);
  const next = async () => (await own.manager.get('/manager/next/')).body;
  const none = { stringed: [], wind: [], percussion: [] };
  for (const date of ['2026-03-01', TODAY, '2026-03-21', '2026-03-28']) assert.equal((await own.manager.request('POST', '/api/absence/rehearsals', { json: { date } })).status, 200);
  assert.deepEqual(await next(), { time: '2026-03-21', ...none });
  const made = await own.as('John').absent('2026-03-28');
  assert.deepEqual(await next(), { time: '2026-03-21', ...none }, 'who is absent later is not absent then');
  await own.today('2026-03-21');
  const { time, wind } = await next();
  assert.deepEqual([time, wind.map((one) => one.id)], ['2026-03-28', [made.id]]);
  await own.today('2026-03-28');
  assert.deepEqual(await next(), { time: null, ...none });
  await own.stop();
});

/* ---- the calendar feed ---- */

const ODD = ['逗号, 分号; 反斜杠\\ 引号" \n第二行\r\n第三行', '很长的理由：'.repeat(40), '🎻'.repeat(70), 'BEGIN:VEVENT\r\nEND:VCALENDAR', 'a'.repeat(300), 'x:y=z;p="q"'];

test('a calendar program reads the feed by an address of its own', async () => {
  const own = await startEnsemble(wechat, { 'log.access': 'stderr' });
  await own.today(TODAY);
  const boss = own.manager;
  const titles = ['排练, 带谱; 准时\\', `${'很长的标题'.repeat(20)}🎻`, ''];
  for (const [i, title] of titles.entries()) await boss.request('POST', '/api/absence/rehearsals', { json: { date: dayAfter('2026-03-21', 7 * i), title, ...(i ? {} : { time: '14:00' }) } });
  for (const [i, reason] of ODD.entries()) await own.fresh().absent(dayAfter('2026-03-20', i), i % 2 ? BOTH : ALL, reason);
  const ask = async (who) => { const reply = await who.request('POST', '/api/absence/calendar'); assert.equal(reply.status, 200); assert.match(reply.headers['cache-control'] ?? '', /no-store/); return new URL(reply.body.data.url); };
  const fetched = (url, options) => own.request('GET', `${url.pathname}${url.search}`, options);
  const url = await ask(boss);
  assert.equal(url.origin, new URL(own.url).origin);
  assert.ok(url.searchParams.get('token').length >= 32);
  const feed = await fetched(url);
  assert.deepEqual([feed.status, feed.headers['content-type']], [200, 'text/calendar; charset=utf-8']);
  const { events } = readCalendar(feed.bytes);
  assert.equal(events.length, titles.length + ODD.length);
  const [timed, long, untitled] = events.filter((one) => !/请假/.test(one.summary));
  assert.deepEqual([timed.summary, timed.start, long.summary, long.start], [titles[0], '20260321T060000Z', titles[1], '20260328'], '14:00 in Shanghai');
  assert.ok(untitled.summary);
  const absences = events.filter((one) => /请假/.test(one.summary));
  for (const [i, reason] of ODD.entries()) {
    assert.equal(absences[i].start, dayAfter('2026-03-20', i).replaceAll('-', ''));
    assert.ok(absences[i].description.includes(reason.trim().replaceAll('\r\n', '\n')), `${absences[i].description} has not ${reason}`);
  }
  assert.deepEqual(readCalendar((await fetched(url)).bytes).events.map((one) => one.uid), events.map((one) => one.uid), 'the same things have the same ids');
  assert.equal(readCalendar((await fetched(url, { headers: { 'Accept-Language': 'en' } })).bytes).events.length, events.length);
  const byHeader = await boss.request('GET', '/api/absence/calendar.ics');
  assert.equal(readCalendar(byHeader.bytes).events.length, events.length);
  const member = own.as('David');
  const theirs = await fetched(await ask(member));
  assert.deepEqual(readCalendar(theirs.bytes).events.map((one) => one.summary), [timed, long, untitled].map((one) => one.summary), 'members see no requests of others');
  await own.stop();
  assert.match(own.err, /GET absence\.api\.calendar /);
  assert.ok(!own.err.includes(url.searchParams.get('token')), 'the log has the address without its token');
});

test('an address of the calendar ends when another is asked for, when it is revoked, when its owner leaves or manages no more', async () => {
  const own = await startEnsemble(wechat);
  await own.today(TODAY);
  const [boss, david] = [own.manager, own.as('David')];
  await own.as('John').absent('2026-03-20');
  await boss.request('PUT', '/api/absence/members', { json: { name: 'David', manager: true } });
  const ask = async (who) => (await who.request('POST', '/api/absence/calendar')).body.data.url;
  const feed = (url) => own.request('GET', url.slice(own.url.replace(/\/$/, '').length));
  const [first, kept] = [await ask(david), await ask(boss)];
  assert.equal(readCalendar((await feed(first)).bytes).events.length, 1);
  const second = await ask(david);
  bad(await feed(first), 404, 401);
  assert.equal((await feed(second)).status, 200);
  await boss.request('PUT', '/api/absence/members', { json: { name: 'David', manager: false } });
  assert.equal(readCalendar((await feed(second)).bytes).events.length, 0, 'who manages no more sees no requests');
  assert.equal((await david.request('DELETE', '/api/absence/calendar')).status, 200);
  bad(await feed(second), 404, 401);
  const third = await ask(david);
  await boss.request('DELETE', '/api/absence/members', { query: { name: 'David' } });
  bad(await feed(third), 404, 401);
  for (const bogus of ['', 'x', 'A'.repeat(43), '%00', '%ff', `${new URL(kept).searchParams.get('token')}x`]) bad(await own.request('GET', `/api/absence/calendar.ics?token=${bogus}`), 400, 401, 404);
  assert.equal((await feed(kept)).status, 200, 'the others\' go on');
  for (const target of ['/absence/', '/manager/', '/api/absence/members', '/api/absence/term.csv']) bad(await own.request('GET', `${target}?${new URL(kept).searchParams}`), 401);
  await own.stop();
});

/* ---- a term as CSV and in numbers ---- */

test('a term as CSV: whole, escaped, and no spreadsheet takes it for formulas', async () => {
  const own = await startEnsemble(wechat, { 'absence.term_start': '2026-02-23' });
  await own.today('2026-02-01');
  await own.as('John').absent('2026-02-10', ALL, '上学期');
  const formulas = ['=HYPERLINK("http://evil.example","x")', '+1+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '＝1', '"quoted", and a comma', 'two\nlines', "'=1", '=cmd|\'/c calc\'!A0'];
  const people = formulas.map(() => own.fresh());
  const made = [];
  for (const [i, reason] of formulas.entries()) made.push(await people[i].absent(dayAfter('2026-03-01', i), i ? ALL : BOTH, reason));
  await own.manager.decide(made[1].id, { result: '=1+1', permission: true });
  const reply = await own.manager.request('GET', '/api/absence/term.csv');
  assert.match(reply.headers['content-type'], /^text\/csv; charset=utf-8/);
  assert.match(reply.headers['content-disposition'], /attachment/);
  const rows = readCsv(reply.bytes);
  assert.ok(rows.bom, 'Excel would not know it for UTF-8 otherwise');
  const [head, ...lines] = rows;
  const table = lines.map((line) => Object.fromEntries(head.map((name, i) => [name, line[i]])));
  assert.deepEqual(table.map((one) => Number(one.id)), made.map((one) => one.id), 'the term, by date; not the one before');
  for (const [i, one] of table.entries()) {
    assert.deepEqual([one.applier, one.section, one.time_absence, one.type, one.cost], [people[i].name, 'string', made[i].time_absence, made[i].type, i ? '1' : '2']);
    for (const cell of Object.values(one)) assert.doesNotMatch(cell, /^[=+\-@\t\r]/, `a spreadsheet would reckon ${cell}`);
    assert.ok(one.reason.includes(formulas[i].trim()), `${one.reason} has not ${formulas[i]}`);
  }
  assert.deepEqual([table[1].permission, table[1].processor, table[0].permission, table[0].processor], ['yes', MANAGER, 'no', '']);
  const some = readCsv((await own.manager.request('GET', '/api/absence/term.csv', { query: { from: '2026-2-1', to: '2026-03-01' } })).bytes);
  assert.deepEqual(some.slice(1).map((line) => line[head.indexOf('time_absence')]), ['2026-02-10', '2026-03-01']);
  for (const query of [{ from: 'x' }, { to: '2026-02-30' }]) for (const name of ['term.csv', 'statistics']) bad(await own.manager.request('GET', `/api/absence/${name}`, { query }), 400);
  await own.stop();
});

test('statistics count what is in the lists, and what was used', async () => {
  const own = await startEnsemble(wechat, {}, { names: `name,section,manager\n${MANAGER},string,yes\nDavid,string,no\nJohn,wind,no\nMary,percussion,no\nEve,wind,no\n` });
  await own.today(TODAY);
  const [david, john] = [own.as('David'), own.as('John')];
  const made = [await david.absent('2026-03-12'), await david.absent('2026-03-20', BOTH), await john.absent('2026-03-20'), await john.absent('2026-03-21')];
  await own.manager.decide(made[0].id, { result: '好', permission: true });
  await own.manager.decide(made[2].id, { result: '不', permission: false });
  await own.today('2026-03-15');
  assert.equal((await david.remove(made[0].id)).status, 204);   /* too late: it stays used */
  assert.equal((await john.remove(made[3].id)).status, 204);
  const { members, sections } = (await own.manager.request('GET', '/api/absence/statistics')).body.data;
  const of = (name) => (({ name: _, ...rest }) => rest)(members.find((one) => one.name === name));
  assert.deepEqual(of('David'), { section: 'string', retired: false, requests: 1, permitted: 0, refused: 0, undecided: 1, used: 3, left: 0 });
  assert.deepEqual(of('John'), { section: 'wind', retired: false, requests: 1, permitted: 0, refused: 1, undecided: 0, used: 1, left: 1 });
  assert.deepEqual(of('Mary'), { section: 'percussion', retired: false, requests: 0, permitted: 0, refused: 0, undecided: 0, used: 0, left: 1 });
  assert.deepEqual(sections, [{ section: 'string', members: 2, requests: 1, permitted: 0, refused: 0, undecided: 1, used: 3, chances: 3 }, { section: 'wind', members: 2, requests: 1, permitted: 0, refused: 1, undecided: 0, used: 1, chances: 2 },
    { section: 'percussion', members: 1, requests: 0, permitted: 0, refused: 0, undecided: 0, used: 0, chances: 1 }]);
  assert.equal((await david.post({ reason: 'r', time_absence: '2026-04-01', type: ALL })).status, 403, 'and that is what the rule says, too');
  const march = (await own.manager.request('GET', '/api/absence/statistics', { query: { from: '2026-03-01', to: '2026-03-12' } })).body.data;
  assert.deepEqual([march.from, march.to, march.members.find((one) => one.name === 'David').used], ['2026-03-01', '2026-03-12', 1]);
  await own.stop();
});
