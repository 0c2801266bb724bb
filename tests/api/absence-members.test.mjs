// The name list: `weir namelist` beside a running server and without one, what its CSV may look like and how mistakes in it are told, and what happens to people who leave, come back or change their section.
import assert from 'node:assert/strict';
import { cpSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ALL, anonymous, dayAfter, forbidden, importNames, namelist, spent, startEnsemble, startSandbox, told } from '../lib/absence.mjs';
import { readCsv } from '../lib/csv.mjs';
import { runWeir, startServe, temporaryFolder } from '../lib/weir.mjs';

const TODAY = '2026-03-10';
let wechat, weir, empty;
/** A data folder of Weir's with nobody in it, and no server. */
const newFolder = () => { const folder = temporaryFolder(); cpSync(empty, folder, { recursive: true }); return folder; };
before(async () => {
  empty = temporaryFolder();
  await (await startServe({}, { folder: empty })).stop({ keep: true });
  wechat = await startSandbox();
  weir = await startEnsemble(wechat);
  await weir.today(TODAY);
});
after(async () => { await weir.stop(); await wechat.stop(); });

const HEAD = 'name,section,manager\n';
const exported = (folder) => {
  const done = namelist(folder, ['export']);
  assert.equal(done.status, 0, done.err);
  const rows = readCsv(Buffer.from(done.out));
  assert.deepEqual(rows[0], ['name', 'section', 'manager']);
  return new Map(rows.slice(1).map(([name, ...rest]) => [name, rest.join()]));
};
const outsider = 'You are not in the member list!';

test('a list is imported without a server, exported as it was, and imported again', () => {
  const folder = newFolder();
  importNames(folder, `${HEAD}David,string,no\n赵乘风,wind,no\n刘指挥,percussion,yes\n`);
  assert.deepEqual([...exported(folder)].sort(), [['David', 'string,no'], ['刘指挥', 'percussion,yes'], ['赵乘风', 'wind,no']].sort());
  const file = path.join(temporaryFolder(), 'out.csv');
  const { out } = namelist(folder, ['export']);
  writeFileSync(file, out);
  const other = newFolder();
  assert.equal(runWeir(['namelist', 'import', file, '--data', other]).status, 0);
  assert.equal(namelist(other, ['export']).out, out);
  assert.equal(runWeir(['namelist', 'import', file, '--data', other]).status, 0, 'twice is as good as once');
  assert.equal(namelist(other, ['export']).out, out);
  const shown = namelist(folder, ['list']);
  assert.equal(shown.status, 0, shown.err);
  for (const name of ['David', '赵乘风', '刘指挥']) assert.ok(shown.out.includes(name), shown.out);
});

test('sections in all their spellings', () => {
  const folder = newFolder();
  const spellings = { string: ['string', '弦乐', 'S'], wind: ['wind', '管乐', 'W'], percussion: ['percussion', '打击乐', 'P'] };
  const rows = Object.entries(spellings).flatMap(([section, words]) => words.map((word, i) => [`${section}${i}`, word, section]));
  importNames(folder, HEAD + rows.map(([name, word]) => `${name},${word},no\n`).join(''));
  assert.deepEqual(exported(folder), new Map(rows.map(([name, , section]) => [name, `${section},no`])));
});

test('a file may have a byte order mark, CRLF, quotes, no end of its last line', () => {
  const folder = newFolder();
  importNames(folder, '\ufeffname,section,manager\r\n"Smith, John",string,no\r\n"Anna ""Ännchen""","wind","yes"\r\nLast,percussion,no');
  assert.deepEqual(exported(folder), new Map([['Smith, John', 'string,no'], ['Anna "Ännchen"', 'wind,yes'], ['Last', 'percussion,no']]));
  const crlf = newFolder();
  importNames(crlf, 'name,section,manager\r\nA,S,no\r\n\r\nB,W,yes\r\n\r\n');
  assert.deepEqual(exported(crlf), new Map([['A', 'string,no'], ['B', 'wind,yes']]));
});

test('a mistake is told with its line, and nothing of the file is taken', () => {
  const folder = newFolder();
  importNames(folder, `${HEAD}David,string,no\n`);
  const wrong = [
    [`${HEAD}A,string,no\nB,brass,no\n`, 3, 'brass'], [`${HEAD}A,string,perhaps\n`, 2, 'perhaps'], [`${HEAD}A,string,no\n,wind,no\n`, 3, ''], [`${HEAD}${'长'.repeat(21)},wind,no\n`, 2, ''],
    [`${HEAD}A,string,no\nB,wind,no\nA,wind,no\n`, 4, 'A'], [`${HEAD}A,string,no,more\n`, 2, ''], [`${HEAD}A,string,no\n"B,wind,no\n`, 3, ''], [`${HEAD}A,string,no\nB"C,wind,no\n`, 3, ''],
    [Buffer.concat([Buffer.from(`${HEAD}A,string,no\n`), Buffer.from([0xff, 0xfe]), Buffer.from(',wind,no\n')]), 3, ''], [`${HEAD}A\0B,wind,no\n`, 2, ''], ['David,string,no\n', 1, ''], [`name,section,manager,name\nA,string,no,B\n`, 1, ''],
  ];
  for (const [text, line, says] of wrong) {
    const done = namelist(folder, ['import', 'FILE'], text);
    assert.ok(done.status === 1 || done.status === 2, `${JSON.stringify(text.toString())}: ended with ${done.status ?? done.signal}\n${done.out}${done.err}`);
    assert.match(done.err, new RegExp(`(:|line |第 ?)${line}\\b`), `${JSON.stringify(text.toString())}: ${done.err}`);
    assert.ok(done.err.includes(says), done.err);
    assert.deepEqual(exported(folder), new Map([['David', 'string,no']]), 'nothing of it was taken');
  }
  for (const args of [['import'], ['import', '/nonexistent/names.csv'], ['export', '--nothing'], ['frobnicate'], [], ['unbind'], ['unbind', 'Nobody']]) {
    const done = namelist(folder, args);
    assert.ok(done.status === 1 || done.status === 2, `${args}: ${done.status ?? done.signal} ${done.out}`);
    assert.ok(done.err.trim(), args.join(' '));
  }
  assert.deepEqual(exported(folder), new Map([['David', 'string,no']]));
});

test('beside a running server it takes effect at once', async () => {
  const [person, name] = ['newcomer', '新来的'];
  told(await weir.login(name, person), 401, outsider);
  importNames(weir.data, `${HEAD}${name},wind,no\n`);
  const me = weir.as(name, person);
  await me.absent(dayAfter(TODAY));
  await me.absent(dayAfter(TODAY, 2));
  spent(await me.post({ reason: 'r', time_absence: dayAfter(TODAY, 3), type: ALL }));
  importNames(weir.data, `${HEAD}${name},弦乐,yes\n`);
  await me.absent(dayAfter(TODAY, 3));                           /* strings have three; the same token */
  assert.equal((await me.get('/manager/')).status, 200, 'and a manager is one at once');
  importNames(weir.data, `${HEAD}${name},string,no\n`);
  forbidden(await me.get('/manager/'));
  assert.ok(exported(weir.data).has('David'), 'an import adds, it takes nobody away');
  assert.ok(namelist(weir.data, ['list']).out.includes(name));
});

test('with --replace who is missing is retired: his token ends, his history stays; he may come back', async () => {
  const own = await startEnsemble(wechat, {}, { names: `${HEAD}David,string,no\nJohn,wind,no\n刘指挥,string,yes\n` });
  await own.today(TODAY);
  const [david, john] = [own.as('David'), own.as('John')];
  const made = await david.absent(dayAfter(TODAY));
  await john.absent(dayAfter(TODAY));
  await own.manager.decide(made.id, { result: '好', permission: true });
  const before = await own.manager.list('/manager/');
  const token = await david.token();
  importNames(own.data, `${HEAD}John,wind,no\n刘指挥,string,yes\nEve,percussion,no\n`, '--replace');
  for (const [method, target] of [['GET', '/absence/'], ['POST', '/absence/'], ['DELETE', `/absence/${made.id}/`], ['GET', `/absence/${made.id}/`], ['GET', '/manager/'], ['POST', '/account/refresh/']]) {
    const reply = await own.request(method, target, { headers: { Authorization: `JWT ${token}` }, ...(method === 'POST' ? { json: { reason: 'r', time_absence: '2026-03-20' } } : {}) });
    assert.equal(reply.status, 401, `${method} ${target}: ${reply.text}`);
    anonymous(reply, reply.body.detail);
  }
  told(await own.login('David'), 401, outsider);
  assert.deepEqual(await own.manager.list('/manager/'), before, 'the history stays');
  assert.deepEqual((await own.manager.get(`/manager/${dayAfter(TODAY)}/present/`)).body.members.map((one) => one.name).filter((name) => name === 'John'), []);
  assert.equal((await john.list()).length, 1, 'the others go on');
  assert.deepEqual([...exported(own.data).keys()].sort(), ['Eve', 'John', '刘指挥'].sort());
  importNames(own.data, `${HEAD}David,string,no\n`);
  for (const [method, target] of [['GET', '/absence/'], ['POST', '/account/refresh/']]) anonymous(await own.request(method, target, { headers: { Authorization: `JWT ${token}` } }), 'Invalid signature.');
  own.epoch++;
  told(await own.login('David', 'somebody-else'), 403, "Name and wechat id doesn't match!");
  assert.deepEqual((await david.list()).map((one) => one.id), [made.id]);
  await david.absent(dayAfter(TODAY, 2));
  await david.absent(dayAfter(TODAY, 3));
  spent(await david.post({ reason: 'r', time_absence: dayAfter(TODAY, 4), type: ALL }));
  await own.stop();
});

test('a manager who is retired decides no more', async () => {
  const own = await startEnsemble(wechat, {}, { names: `${HEAD}David,string,no\n刘指挥,string,yes\n王助理,wind,yes\n` });
  await own.today(TODAY);
  const { id } = await own.as('David').absent(dayAfter(TODAY));
  const aide = own.as('王助理');
  assert.equal((await aide.decide(id, { result: '好', permission: true })).body.processor, '王助理');
  const token = await aide.token();
  importNames(own.data, `${HEAD}David,string,no\n刘指挥,string,yes\n`, '--replace');
  assert.equal((await own.request('PUT', `/manager/${id}/`, { json: { result: '不', permission: false }, headers: { Authorization: `JWT ${token}` } })).status, 401);
  assert.equal((await own.manager.list('/manager/'))[0].processor, '王助理', 'what he decided stays his');
  await own.stop();
});

test('unbind frees a name for another WeChat id', async () => {
  const me = weir.fresh();
  const { id } = await me.absent(dayAfter(TODAY));
  told(await weir.login(me.name, 'new-phone'), 403, "Name and wechat id doesn't match!");
  const token = await me.token();
  const done = namelist(weir.data, ['unbind', me.name]);
  assert.equal(done.status, 0, done.err);
  assert.equal((await weir.request('GET', '/absence/', { headers: { Authorization: `JWT ${token}` } })).status, 401, 'whoever had it is out');
  const now = weir.as(me.name, 'new-phone');
  assert.deepEqual((await now.list()).map((one) => one.id), [id], 'what was asked for under the name stays with it');
  told(await weir.login(me.name, me.person), 403, "Name and wechat id doesn't match!");
  const other = weir.fresh();
  assert.equal((await weir.login(other.name, me.person)).status, 200, 'the old WeChat id may take a name of its own');
});

test('a server that starts later knows the list, and the file of the list is not read again', async () => {
  const folder = newFolder();
  importNames(folder, `${HEAD}David,string,no\n`);
  const own = await startEnsemble(wechat, {}, { folder });
  await own.today(TODAY);
  const me = own.as('David');
  await me.absent(dayAfter(TODAY));
  await own.stop({ keep: true });
  importNames(folder, `${HEAD}Mary,P,no\n`);
  const later = await startEnsemble(wechat, {}, { folder });
  await later.today(TODAY);
  assert.equal((await later.as('David').list()).length, 1);
  assert.deepEqual(await later.as('Mary').list(), []);
  await later.stop();
});

test('hundreds of names at once', () => {
  const folder = newFolder();
  const names = [...Array(2000)].map((_, i) => `成员${i}`);
  importNames(folder, HEAD + names.map((name, i) => `${name},${['S', 'W', 'P'][i % 3]},no\n`).join(''));
  assert.equal(exported(folder).size, 2000);
});
