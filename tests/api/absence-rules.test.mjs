// When leave may be asked for, how often, and what gives a chance back: the rules of the absence app with fixed clocks, around midnight in Shanghai and where the date of UTC is another one.
// Each test uses members of its own. The order in which faults are told is: what was sent, the date, the same day again, the chances.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ALL, BOTH, BOTH_WINDS, MANAGER, STRINGS, UNDECIDED, WINDS, dayAfter, duplicate, faulty, late, refused, spent, startEnsemble, startSandbox } from '../lib/absence.mjs';

const TODAY = '2026-03-10';
let wechat, weir, manager;
before(async () => {
  wechat = await startSandbox();
  weir = await startEnsemble(wechat);
  await weir.today(TODAY);
  manager = weir.manager;
});
after(async () => { await weir.stop(); await wechat.stop(); });

const ask = (who, time_absence, type = ALL, reason = 'r') => who.post({ reason, time_absence, type });
const gone = async (reply) => assert.equal((await reply).status, 204);
const stored = async (reply) => { const { status, text, body } = await reply; assert.equal(status, 201, text); return body; };
/** Uses every chance that is left for single ones, from a date on; how many there were. */
async function chancesLeft(who, from) {
  const made = [];
  let reply = await ask(who, from);
  for (let n = 1; reply.status === 201; n++) { made.push(reply.body.id); reply = await ask(who, dayAfter(from, n)); }
  spent(reply);
  for (const id of made) await gone(who.remove(id));
  return made.length;
}

/* ---- dates ---- */

test('a date is a date', async () => {
  const me = weir.fresh();
  const wrong = ['2021-02-29', '2026-02-30', '2027-02-29', '2100-02-29', '2026-04-31', '2026-13-01', '2026-00-10', '2026-03-00', '2026-3-32', '20260401', '2026/04/01', '2026.4.1', '01-04-2026', 'tomorrow', '', '2026-04', '2026-04-01T00:00:00',
    '2026-04-01 00:00', '2026-04-01Z', '-2026-04-01', '+2026-04-01', '2026--4-1', '2026-4--1', '2026-04-01-', '２０２６-04-01', '2026-04-0１', '99999-01-01', '0-0-0', '2026-004-01', '2026-04-001', '2026-0x4-01', '1e3-04-01'];
  for (const date of wrong)
    for (const options of [{ json: { reason: 'r', time_absence: date } }, { form: { reason: 'r', time_absence: date } }]) faulty(await me.request('POST', '/absence/', options), 'time_absence');
  for (const value of [20260401, 1775001600000, null, true, ['2026-04-01'], { year: 2026 }]) {
    const reply = await me.post({ reason: 'r', time_absence: value, type: ALL });
    assert.equal(reply.status, 400, reply.text);
    assert.match(reply.text, /time_absence/);
  }
  const { id } = await me.absent('2028-02-29');
  for (const date of wrong) faulty(await me.patch(id, { time_absence: date }), 'time_absence');
  assert.deepEqual((await me.list()).map((one) => one.time_absence), ['2028-02-29']);
});

test('a date without its zeros is taken and given back with them', async () => {
  const me = weir.fresh();
  for (const [asked, given] of [['2026-4-2', '2026-04-02'], ['2026-04-3', '2026-04-03'], ['2026-4-04', '2026-04-04']]) assert.equal((await stored(ask(me, asked))).time_absence, given);
  late(await ask(me, '2020-3-12'));
  duplicate(await ask(me, '2026-4-2'));
  assert.equal((await manager.get('/manager/2026-4-2/present/')).status, 200);
});

test('leave is for a day after today, as the clocks in Shanghai have it', async () => {
  for (const [now, today] of [['2026-03-10T23:59:59.999', '2026-03-10'], ['2026-03-11T00:00:00.000', '2026-03-11'], ['2026-03-11T00:00:00.001', '2026-03-11'], ['2026-03-11T07:59:59.999', '2026-03-11'],
    ['2026-03-11T08:00:00.000', '2026-03-11'], ['2026-03-11T12:00:00', '2026-03-11'], ['2026-12-31T23:59:59.999', '2026-12-31'], ['2027-01-01T00:00:00.000', '2027-01-01'], ['2028-02-28T23:59:59.999', '2028-02-28'], ['2028-02-29T00:30:00', '2028-02-29']]) {
    await weir.today(now);
    const me = weir.fresh();
    late(await ask(me, today));
    late(await ask(me, dayAfter(today, -1)));
    late(await ask(me, '1999-12-31'));
    const made = await stored(ask(me, dayAfter(today)));
    assert.equal(made.time_apply, today, now);
    late(await me.patch(made.id, { time_absence: today }));
    late(await me.put(made.id, { reason: 'r', time_absence: dayAfter(today, -30) }));
    assert.equal((await me.list())[0].time_absence, dayAfter(today));
    assert.deepEqual((await manager.list('/manager/future/')).some((one) => one.id === made.id), true, 'future follows the same clock');
  }
  await weir.today(TODAY);
});

test('future and history turn at midnight in Shanghai', async () => {
  await weir.today('2026-07-01');
  const { id } = await weir.fresh().absent('2026-07-03');
  const where = async () => [(await manager.list('/manager/future/')).some((one) => one.id === id), (await manager.list('/manager/history/')).some((one) => one.id === id)];
  for (const [now, [future, history]] of [['2026-07-02T23:59:59.999', [true, false]], ['2026-07-03T00:00:00.000', [false, false]], ['2026-07-03T07:59:59.999', [false, false]], ['2026-07-03T08:00:00', [false, false]],
    ['2026-07-03T23:59:59.999', [false, false]], ['2026-07-04T00:00:00.000', [false, true]], ['2026-07-04T08:00:00', [false, true]]]) {
    await weir.today(now);
    assert.deepEqual(await where(), [future, history], now);
  }
  await weir.today(TODAY);
});

test('the notice is a setting', async () => {
  for (const notice of [0, 1, 3]) {
    const own = await startEnsemble(wechat, { 'absence.notice_days': String(notice) });
    for (const now of ['2026-03-10T23:59:59.999', '2026-03-10T00:00:00.000', '2026-03-10T07:30:00']) {
      await own.today(now);
      const me = own.fresh();
      if (notice > 0) late(await ask(me, dayAfter(TODAY, notice - 1)));
      late(await ask(me, dayAfter(TODAY, -1)));
      await me.absent(dayAfter(TODAY, notice));
      await me.absent(dayAfter(TODAY, notice + 1));
    }
    await own.stop();
  }
});

test('the zone is a setting', async () => {
  const own = await startEnsemble(wechat, { 'absence.timezone': 'America/New_York' });
  await own.today('2026-03-11T11:59:59.999');                    /* 23:59:59.999 of the 10th in New York */
  const me = own.fresh();
  late(await ask(me, '2026-03-10'));
  assert.equal((await me.absent('2026-03-11')).time_apply, '2026-03-10');
  await own.today('2026-03-11T12:00:00.000');
  late(await ask(me, '2026-03-11'));
  await own.stop();
});

/* ---- the order of faults ---- */

test('faults are told in their order: what was sent, the date, the day taken, the chances', async () => {
  await weir.today('2026-09-01');
  const me = weir.fresh('percussion');
  await me.absent('2026-09-03');
  refused(await ask(me, '2026-08-01', 'A'), 400, { type: ['"A" is not a valid choice.'] });
  faulty(await me.post({ time_absence: '2026-08-01', type: ALL }), 'reason');
  faulty(await ask(me, '2026-09-03', ALL, ''), 'reason');
  duplicate(await ask(me, '2026-09-03'));
  duplicate(await ask(me, '2026-09-03', BOTH));
  spent(await ask(me, '2026-09-04'));
  await weir.today('2026-09-03');
  late(await ask(me, '2026-09-03'));
  late(await ask(me, '2026-09-02', BOTH));
  await weir.today(TODAY);
});

/* ---- chances ---- */

test('strings have three chances, winds two, percussion one', async () => {
  for (const [section, chances] of [['string', 3], ['wind', 2], ['percussion', 1]]) {
    const me = weir.fresh(section);
    for (let n = 1; n <= chances; n++) await me.absent(dayAfter(TODAY, n));
    spent(await ask(me, dayAfter(TODAY, 9)));
    spent(await ask(me, dayAfter(TODAY, 10), STRINGS));
    spent(await ask(me, dayAfter(TODAY, 11), BOTH));
    assert.equal((await me.list()).length, chances);
  }
});

test('the two double types cost two; percussion can never have one', async () => {
  for (const [section, types, then] of [['string', [BOTH], 1], ['string', [BOTH_WINDS], 1], ['string', [BOTH, ALL], 0], ['string', [ALL, BOTH], 0], ['wind', [BOTH], 0], ['wind', [BOTH_WINDS], 0], ['wind', [ALL], 1]]) {
    const me = weir.fresh(section);
    for (const [n, type] of types.entries()) await me.absent(dayAfter(TODAY, n + 1), type);
    spent(await ask(me, dayAfter(TODAY, 20), BOTH));
    assert.equal(await chancesLeft(me, dayAfter(TODAY, 30)), then, `${section} after ${types}`);
  }
  const drum = weir.fresh('percussion');
  for (const type of [BOTH, BOTH_WINDS]) spent(await ask(drum, dayAfter(TODAY), type));
  await drum.absent(dayAfter(TODAY), WINDS);
});

test('the bounds are settings', async () => {
  const own = await startEnsemble(wechat, { 'absence.chances_string': '1', 'absence.chances_wind': '0', 'absence.chances_percussion': '4' });
  await own.today(TODAY);
  assert.equal(await chancesLeft(own.fresh(), dayAfter(TODAY)), 1);
  spent(await ask(own.fresh('wind'), dayAfter(TODAY)));
  const drum = own.fresh('percussion');
  await drum.absent(dayAfter(TODAY), BOTH);
  assert.equal(await chancesLeft(drum, dayAfter(TODAY, 5)), 2);
  await own.stop();
});

test('somebody with very many chances sees all that he used', async () => {
  const own = await startEnsemble(wechat, { 'absence.chances_string': '500' });
  await own.today(TODAY);
  const me = own.fresh();
  const days = [...Array(450)].map((_, n) => dayAfter(TODAY, n + 1));
  for (let n = 0; n < days.length; n += 50) await Promise.all(days.slice(n, n + 50).reverse().map((date) => me.absent(date)));
  assert.deepEqual((await me.list()).map((one) => one.time_absence), days);
  await own.stop();
});

test('a refusal costs nothing', async () => {
  const me = weir.fresh();
  await me.absent(dayAfter(TODAY));
  for (let n = 0; n < 5; n++) {
    late(await ask(me, TODAY));
    late(await ask(me, TODAY, BOTH));
    duplicate(await ask(me, dayAfter(TODAY)));
    faulty(await ask(me, dayAfter(TODAY, 2), 'A'), 'type');
    faulty(await me.post({ time_absence: dayAfter(TODAY, 2) }), 'reason');
    assert.equal((await me.remove(99999999)).status, 404);
  }
  assert.equal(await chancesLeft(me, dayAfter(TODAY, 2)), 2);
});

test('deleting one to come gives its true cost back, once', async () => {
  const me = weir.fresh();
  const single = await me.absent(dayAfter(TODAY), ALL), double = await me.absent(dayAfter(TODAY, 2), BOTH);
  spent(await ask(me, dayAfter(TODAY, 3)));
  await gone(me.remove(double.id));
  for (let n = 0; n < 3; n++) assert.equal((await me.remove(double.id)).status, 404);
  assert.equal(await chancesLeft(me, dayAfter(TODAY, 3)), 2);
  await gone(me.remove(single.id));
  assert.equal(await chancesLeft(me, dayAfter(TODAY, 3)), 3);
  await me.absent(dayAfter(TODAY, 2), BOTH);                     /* the day is free again */
  const other = weir.fresh();
  const { id } = await other.absent(dayAfter(TODAY, 2));
  assert.equal((await me.remove(id)).status, 404);
  assert.equal(await chancesLeft(me, dayAfter(TODAY, 4)), 1, 'somebody else\'s gives nothing');
});

test('deleting a past one gives nothing back, whoever deletes it; one of today neither', async () => {
  for (const [by, now, left] of [['member', '2026-10-05', 1], ['manager', '2026-10-05', 1], ['member', '2026-10-04', 1], ['member', '2026-10-03T23:59:59.999', 3], ['manager', '2026-10-03T23:59:59.999', 3], ['member', '2026-10-04T00:00:00.000', 1]]) {
    await weir.today('2026-10-01');
    const me = weir.fresh();
    const { id } = await me.absent('2026-10-04', BOTH);
    await weir.today(now);
    await gone(by === 'member' ? me.remove(id) : manager.request('DELETE', `/manager/${id}/`));
    assert.deepEqual(await me.list(), [], 'it is not shown any more');
    assert.ok(!(await manager.list('/manager/history/')).some((one) => one.id === id));
    assert.equal(await chancesLeft(me, '2026-10-10'), left, `${by} at ${now}`);
  }
  await weir.today(TODAY);
});

test('what was deleted too late counts when a type is changed, too', async () => {
  await weir.today('2026-10-01');
  const me = weir.fresh();
  const past = await me.absent('2026-10-04', BOTH);
  const { id } = await me.absent('2026-10-20');
  await weir.today('2026-10-06');
  await gone(me.remove(past.id));
  spent(await me.patch(id, { type: BOTH }));
  spent(await ask(me, '2026-10-21'));
  await weir.today(TODAY);
});

test('a past one cannot be turned into chances by changing it', async () => {
  await weir.today('2026-10-01');
  const [cheaper, mover, stuck] = [weir.fresh(), weir.fresh(), weir.fresh('percussion')];
  const [a, b, c] = [await cheaper.absent('2026-10-04', BOTH), await mover.absent('2026-10-04'), await stuck.absent('2026-10-04')];
  await weir.today('2026-10-06');
  assert.equal((await cheaper.patch(a.id, { type: ALL })).status, 200);
  assert.equal(await chancesLeft(cheaper, '2026-10-10'), 1);
  late(await mover.patch(b.id, { time_absence: '2026-10-05' }));
  assert.equal((await mover.patch(b.id, { time_absence: '2026-10-20' })).status, 200);
  assert.deepEqual((await mover.list()).map((one) => one.time_absence), ['2026-10-20']);
  assert.equal(await chancesLeft(mover, '2026-11-01'), 1, 'the day that is over and the new one');
  spent(await stuck.patch(c.id, { time_absence: '2026-10-20' }));
  assert.deepEqual((await stuck.list()).map((one) => one.time_absence), ['2026-10-04']);
  await weir.today(TODAY);
});

test('a change of type is checked against the chances anew', async () => {
  const me = weir.fresh();
  const made = [];
  for (let n = 1; n <= 3; n++) made.push(await me.absent(dayAfter(TODAY, n)));
  spent(await me.patch(made[0].id, { type: BOTH }));
  spent(await me.put(made[0].id, { reason: 'r', time_absence: dayAfter(TODAY), type: BOTH_WINDS }));
  assert.deepEqual((await me.list()).map((one) => one.type), [ALL, ALL, ALL], 'nothing changed');
  assert.equal((await me.patch(made[0].id, { type: STRINGS, reason: 'same cost' })).status, 200);
  await gone(me.remove(made[2].id));
  assert.equal((await me.patch(made[0].id, { type: BOTH })).status, 200);
  spent(await ask(me, dayAfter(TODAY, 9)));
  assert.equal((await me.patch(made[0].id, { type: BOTH_WINDS })).status, 200, 'its own cost does not count against it');
  assert.equal((await me.patch(made[0].id, { type: ALL })).status, 200);
  assert.equal(await chancesLeft(me, dayAfter(TODAY, 9)), 1);
  const drum = weir.fresh('percussion');
  const { id } = await drum.absent(dayAfter(TODAY));
  spent(await drum.patch(id, { type: BOTH }));
  assert.equal((await drum.put(id, { reason: 'moved', time_absence: dayAfter(TODAY, 4), type: WINDS })).status, 200);
});

test('faults of a change have the same order', async () => {
  const me = weir.fresh('wind');
  const [a, b] = [await me.absent(dayAfter(TODAY)), await me.absent(dayAfter(TODAY, 2))];
  faulty(await me.put(a.id, { reason: 'r', time_absence: TODAY, type: 'A' }), 'type');
  late(await me.put(a.id, { reason: 'r', time_absence: TODAY, type: BOTH }));
  duplicate(await me.put(a.id, { reason: 'r', time_absence: b.time_absence, type: BOTH }));
  spent(await me.put(a.id, { reason: 'r', time_absence: dayAfter(TODAY, 5), type: BOTH }));
  assert.deepEqual(await me.list(), [a, b]);
});

test('a term begins anew', async () => {
  let own = await startEnsemble(wechat);
  const again = async (term_start) => {
    await own.stop({ keep: true });
    own = await startEnsemble(wechat, { 'absence.term_start': term_start }, { folder: own.data });
    await own.today('2026-02-24');
  };
  await own.today('2026-01-05');
  const [early, both] = [own.fresh().name, own.fresh().name];
  for (const n of [1, 2, 3]) await own.as(early).absent(dayAfter('2026-01-05', n));
  await own.as(both).absent('2026-01-08', BOTH);
  await own.as(both).absent('2026-03-02');
  for (const name of [early, both]) spent(await ask(own.as(name), '2026-04-01'));
  await again('2026-02-23');
  assert.equal(await chancesLeft(own.as(early), '2026-04-01'), 3);
  assert.equal(await chancesLeft(own.as(both), '2026-04-01'), 2, 'what falls into the term counts in it, whenever it was asked for');
  assert.equal((await own.as(early).list()).length, 3, 'the history stays');
  await again('2026-03-02');
  assert.equal(await chancesLeft(own.as(both), '2026-04-01'), 2, 'its first day is part of it');
  await again('2026-03-03');
  assert.equal(await chancesLeft(own.as(both), '2026-04-01'), 3);
  await own.stop();
});

/* ---- decisions ---- */

test('a decided request that is changed is undecided', async () => {
  const me = weir.fresh();
  for (const [n, change] of [{ reason: 'another' }, { time_absence: '2026-11-20' }, { type: STRINGS }].entries()) {
    const { id } = await me.absent(dayAfter('2026-11-01', n));
    assert.equal((await manager.decide(id, { result: '同意', permission: true })).status, 200);
    const { status, body } = await me.patch(id, change);
    assert.deepEqual([status, body.processor, body.result, body.permission], [200, null, UNDECIDED, false], JSON.stringify(change));
    const [seen] = (await manager.list('/manager/')).filter((one) => one.id === id);
    assert.deepEqual([seen.processor, seen.result, seen.permission], [null, UNDECIDED, false]);
    assert.ok((await manager.list('/manager/future/', { processed: 'false' })).some((one) => one.id === id));
    assert.deepEqual((await manager.get(`/manager/${seen.time_absence}/present/`)).body.members, []);
    const again = await manager.decide(id, { result: '还是同意', permission: true });
    assert.deepEqual([again.body.result, again.body.permission, again.body.processor], ['还是同意', true, MANAGER]);
    await gone(me.remove(id));
  }
});

test('a change that is refused leaves the decision', async () => {
  const me = weir.fresh('percussion');
  const { id } = await me.absent('2026-11-01');
  await manager.decide(id, { result: '同意', permission: true });
  late(await me.patch(id, { time_absence: TODAY }));
  spent(await me.patch(id, { type: BOTH }));
  faulty(await me.patch(id, { reason: '' }), 'reason');
  const [one] = await me.list();
  assert.deepEqual([one.result, one.permission, one.processor], ['同意', true, MANAGER]);
});

test('what was decided is seen by the member, and a decision costs no chance', async () => {
  const me = weir.fresh();
  const { id } = await me.absent(dayAfter(TODAY));
  await manager.decide(id, { result: '不同意', permission: false });
  assert.equal(await chancesLeft(me, dayAfter(TODAY, 2)), 2, 'a refused one still counts');
  assert.deepEqual((await manager.get(`/manager/${dayAfter(TODAY)}/present/`)).body.members.filter((one) => one.name === me.name), []);
});

/* ---- forms ---- */

test('a plus that became a space is understood', async () => {
  const drum = weir.fresh('percussion');
  for (const [written, type] of [['全体排练 弦乐分排', BOTH], ['全体排练+弦乐分排', BOTH], ['全体排练%2B弦乐分排', BOTH], ['全体排练%20管乐分排', BOTH_WINDS], ['全体排练+管乐分排', BOTH_WINDS]]) {
    const me = weir.fresh();
    const body = `reason=r&time_absence=2026-03-22&type=${written.replace(/[^%+ 0-9A-Z]/g, encodeURIComponent)}`;
    const made = await stored(me.request('POST', '/absence/', { form: body }));
    assert.equal(made.type, type, written);
    spent(await drum.request('POST', '/absence/', { form: body }));
    const put = await me.request('PUT', `/absence/${made.id}/`, { form: body });
    assert.deepEqual([put.status, put.body.type], [200, type]);
  }
  const me = weir.fresh();
  const parts = (type) => [['reason', 'r'], ['time_absence', '2026-03-23'], ['type', type]].map(([name, value]) => ({ name, value }));
  assert.equal((await stored(me.request('POST', '/absence/', { parts: parts(BOTH) }))).type, BOTH);
});
