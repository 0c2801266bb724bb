// Members of the ensemble in a hurry: what is promised one by one must hold when everything comes at once.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ALL, BOTH, DUPLICATE, MANAGER, SPENT, UNDECIDED, dayAfter, missing, startEnsemble, startSandbox } from '../lib/absence.mjs';

const TODAY = '2026-03-10';
let wechat, weir, manager;
before(async () => {
  wechat = await startSandbox();
  weir = await startEnsemble(wechat);
  await weir.today(TODAY);
  manager = weir.manager;
  await manager.token();
});
after(async () => { await weir.stop(); await wechat.stop(); });

const many = (n, one) => Promise.all([...Array(n)].map((_, i) => one(i)));
const tally = (replies) => replies.reduce((counts, { status }) => ({ ...counts, [status]: (counts[status] ?? 0) + 1 }), {});
const key = (name) => ({ headers: { 'Idempotency-Key': name } });

test('fifty requests at once never take more than the chances', async () => {
  for (const [section, type, granted] of [['string', ALL, 3], ['wind', ALL, 2], ['percussion', ALL, 1], ['string', BOTH, 1], ['wind', BOTH, 1], ['percussion', BOTH, 0]]) {
    const me = weir.fresh(section);
    await me.token();
    const replies = await many(50, (i) => me.post({ reason: `${i}`, time_absence: dayAfter(TODAY, i + 1), type }));
    assert.deepEqual(tally(replies), { ...(granted ? { 201: granted } : {}), 403: 50 - granted }, `${section} ${type}`);
    for (const { status, body } of replies) if (status === 403) assert.deepEqual(body, { msg: SPENT });
    assert.deepEqual((await me.list()).map((one) => one.id).sort(), replies.filter((one) => one.status === 201).map((one) => one.body.id).sort());
  }
});

test('singles and doubles mixed never cost more than there is', async () => {
  const me = weir.fresh();
  await me.token();
  await many(50, (i) => me.post({ reason: 'r', time_absence: dayAfter(TODAY, i + 1), type: i % 2 ? ALL : BOTH }));
  const cost = (await me.list()).reduce((sum, one) => sum + (one.type === BOTH ? 2 : 1), 0);
  assert.ok(cost === 3 || cost === 2, `cost ${cost}`);
  assert.equal(cost, 3, 'a single one was there for the last chance');
});

test('fifty requests for one day make one', async () => {
  const me = weir.fresh();
  await me.token();
  const replies = await many(50, (i) => me.post({ reason: `${i}`, time_absence: dayAfter(TODAY), type: ALL }));
  assert.deepEqual(tally(replies), { 201: 1, 400: 49 });
  for (const { status, body } of replies) if (status === 400) assert.deepEqual(body, { msg: DUPLICATE });
  assert.equal((await me.list()).length, 1);
});

test('two absences moved onto one day at once: one gets there', async () => {
  const me = weir.fresh();
  const made = [];
  for (const n of [1, 2, 3]) made.push(await me.absent(dayAfter(TODAY, n)));
  const replies = await Promise.all(made.map((one) => me.patch(one.id, { time_absence: dayAfter(TODAY, 20) })));
  assert.deepEqual(tally(replies), { 200: 1, 400: 2 });
  assert.equal(new Set((await me.list()).map((one) => one.time_absence)).size, 3);
});

test('doubling all at once stays within the chances', async () => {
  const me = weir.fresh();
  const made = [await me.absent(dayAfter(TODAY, 1)), await me.absent(dayAfter(TODAY, 2))];
  const replies = await Promise.all(made.flatMap((one) => [...Array(10)].map(() => me.patch(one.id, { type: BOTH }))));
  assert.ok(replies.every((one) => one.status === 200 || one.status === 403));
  assert.deepEqual((await me.list()).map((one) => one.type).sort(), [ALL, BOTH].sort());
});

test('one deletion of many is the real one, and gives back once', async () => {
  const me = weir.fresh();
  const { id } = await me.absent(dayAfter(TODAY), BOTH);
  await me.absent(dayAfter(TODAY, 2));
  const replies = await Promise.all([...Array(20)].map((_, i) => (i % 2 ? me.remove(id) : manager.request('DELETE', `/manager/${id}/`))));
  assert.deepEqual(tally(replies), { 204: 1, 404: 19 });
  const again = await many(20, (i) => me.post({ reason: 'r', time_absence: dayAfter(TODAY, i + 3), type: ALL }));
  assert.deepEqual(tally(again), { 201: 2, 403: 18 });
});

test('deletions and requests at once never leave more than the chances', async () => {
  const me = weir.fresh();
  for (let round = 0; round < 5; round++) {
    const mine = await me.list();
    await Promise.all([...mine.map((one) => me.remove(one.id)), ...[...Array(10)].map((_, i) => me.post({ reason: 'r', time_absence: dayAfter(TODAY, 30 * round + i + 1), type: ALL }))]);
    assert.ok((await me.list()).length <= 3);
  }
});

test('two people who log in under one name at once: one gets it', async () => {
  for (let round = 0; round < 5; round++) {
    const { name } = weir.fresh();
    const replies = await many(12, (i) => weir.login(name, `racer${round}${i % 2 ? 'a' : 'b'}`));
    const winners = new Set(replies.map((one, i) => (one.status === 200 ? i % 2 : -1)).filter((one) => one >= 0));
    assert.equal(winners.size, 1, JSON.stringify(tally(replies)));
    assert.deepEqual(tally(replies), { 200: 6, 403: 6 });
    for (const { status, body } of replies) if (status === 403) assert.deepEqual(body, { msg: "Name and wechat id doesn't match!" });
  }
});

test('one WeChat id under two names at once: it gets one', async () => {
  for (let round = 0; round < 5; round++) {
    const names = [weir.fresh().name, weir.fresh().name];
    const replies = await many(12, (i) => weir.login(names[i % 2], `twoface${round}`));
    assert.deepEqual(tally(replies), { 200: 6, 400: 6 });
    assert.equal(new Set(replies.map((one, i) => (one.status === 200 ? i % 2 : -1)).filter((one) => one >= 0)).size, 1);
    for (const { status, body } of replies) if (status === 400) assert.deepEqual(body.union_id, ['identity with this union id already exists.']);
  }
});

test('a decision and a deletion at once: either the decision was in time or there was nothing to decide', async () => {
  for (let round = 0; round < 10; round++) {
    const me = weir.fresh();
    const { id } = await me.absent(dayAfter(TODAY));
    const [decided, removed] = await Promise.all([manager.decide(id, { result: '同意', permission: true }), me.remove(id)]);
    assert.equal(removed.status, 204);
    if (decided.status !== 200) missing(decided);
    assert.deepEqual(await me.list(), []);
    missing(await manager.decide(id, { result: '同意', permission: true }));
  }
});

test('a decision and a change at once end as one after the other', async () => {
  for (let round = 0; round < 10; round++) {
    const me = weir.fresh();
    const { id } = await me.absent(dayAfter(TODAY));
    const [decided, changed] = await Promise.all([manager.decide(id, { result: '同意', permission: true }), me.patch(id, { reason: 'changed' })]);
    assert.deepEqual([decided.status, changed.status], [200, 200]);
    const [one] = await me.list();
    assert.equal(one.reason, 'changed');
    const last = decided.body.reason === 'changed';                /* the decision saw the change, so it came after it */
    assert.deepEqual([one.result, one.permission, one.processor], last ? ['同意', true, MANAGER] : [UNDECIDED, false, null]);
  }
});

test('a repeat with the same Idempotency-Key is answered as the first time and does nothing', async () => {
  const me = weir.fresh();
  const asked = { reason: 'once', time_absence: dayAfter(TODAY), type: ALL };
  const first = await me.post(asked, key('a'));
  assert.deepEqual([first.status, first.headers['idempotent-replayed']], [201, undefined]);
  for (const again of [await me.post(asked, key('a')), await me.request('POST', '/absence/', { form: asked, ...key('a') })])
    assert.deepEqual([again.status, again.body, again.headers['idempotent-replayed']], [201, first.body, 'true']);
  const other = await me.post({ ...asked, time_absence: dayAfter(TODAY, 2) }, key('a'));
  assert.equal(other.status, 422);
  assert.ok(other.body.msg);
  assert.equal((await me.post(asked, key('b'))).status, 400, 'another key is another request');
  const gone = [await me.remove(first.body.id, key('c')), await me.remove(first.body.id, key('c'))];
  assert.deepEqual([gone.map((one) => one.status), gone[1].headers['idempotent-replayed']], [[204, 204], 'true']);
  assert.equal(gone[1].bytes.length, 0);
  const theirs = await weir.fresh().post(asked, key('a'));
  assert.deepEqual([theirs.status, theirs.headers['idempotent-replayed']], [201, undefined], 'a key is its member\'s');
});

test('repeats at once store one, and refusals do not use a key up', async () => {
  const me = weir.fresh();
  await me.token();
  const replies = await many(20, () => me.post({ reason: 'r', time_absence: dayAfter(TODAY), type: BOTH }, key('many')));
  assert.deepEqual([tally(replies), new Set(replies.map((one) => one.text)).size], [{ 201: 20 }, 1]);
  assert.equal((await me.list()).length, 1);
  assert.equal((await me.post({ reason: 'r', time_absence: dayAfter(TODAY, 2), type: 'A' }, key('later'))).status, 400);
  assert.equal((await me.post({ reason: 'r', time_absence: dayAfter(TODAY, 2), type: ALL }, key('later'))).status, 201);
  const { id } = await me.list().then((list) => list[0]);
  const decisions = await many(10, () => manager.decide(id, { result: '好', permission: true }, key('decision')));
  assert.deepEqual([tally(decisions), new Set(decisions.map((one) => one.text)).size], [{ 200: 10 }, 1]);
});
