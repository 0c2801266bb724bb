// `weir outbox`: what could not be delivered for a week is kept, told, and sent when the operator says so.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ALL, importNames, shanghai, startEnsemble, startSandbox } from '../lib/absence.mjs';
import { ask } from '../lib/operator.mjs';
import { startSmtp } from '../lib/smtp.mjs';
import { runWeir, temporaryFolder } from '../lib/weir.mjs';

const OUTBOX = '/api/operator/outbox';
const running = [];
after(() => Promise.all(running.map((one) => one.stop())));
const started = (one) => { running.unshift(one); return one; };

test('a mail that nobody took for a week is given up, listed, tried again and delivered', async () => {
  const wechat = started(await startSandbox());
  const smtp = started(await startSmtp());
  const folder = temporaryFolder();
  const weir = started(await startEnsemble(wechat, { 'absence.mail_url': smtp.url, 'absence.mail_to': 'conductor@example.org' }, { folder, names: undefined }));
  let now = shanghai('2026-03-10T12:00:00');
  await weir.clock(now);
  smtp.refuse = { MAIL: '451 later' };
  importNames(folder, 'name,section,manager\nDavid,string,no\n');
  const me = weir.as('David');
  await me.absent('2026-06-22', ALL, '一周没有送到');
  await me.absent('2026-06-23', ALL, '另一封');
  await me.absent('2026-06-24', ALL, '第三封');

  const rows = async (all) => (await ask(folder, 'GET', `${OUTBOX}?all=${all}`)).body.data;
  const until = async (what, good) => {
    for (const end = Date.now() + 30_000; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
      const found = await rows(1);
      if (good(found)) return found;
      assert.ok(Date.now() < end, `${what}: ${JSON.stringify(found)}`);
    }
  };
  let row = (await until('a first try', ({ rows: three }) => three.length === 3 && three.every((one) => one.attempts >= 1))).rows[0];
  assert.equal(row.job, 'absence.mail');
  assert.deepEqual((await rows(0)).rows, [], 'what is still tried is no dead letter');
  assert.equal((await ask(folder, 'DELETE', `${OUTBOX}?id=${row.id}`)).status, 404, 'and cannot be dropped');
  while (!row.dead) {
    const { attempts } = row;
    assert.ok(attempts < 400);
    now += 7_200_000;
    await weir.clock(now);
    assert.equal((await ask(folder, 'POST', `${OUTBOX}/retry?id=${row.id + 1}`)).status, 200);      /* the other one begins anew each time, and wakes the outbox */
    row = (await until(`try ${attempts + 1}`, ({ rows: [first, , third] }) => (first.attempts > attempts || first.dead) && third.attempts === first.attempts)).rows[0];
  }
  assert.equal((await ask(folder, 'POST', `${OUTBOX}/retry?id=999999`)).status, 404);
  assert.ok(row.attempts >= 100, `given up after ${row.attempts} tries`);
  assert.deepEqual(smtp.mails, []);
  assert.ok(!JSON.stringify(await rows(1)).includes('一周没有送到'), 'what users wrote is not shown');

  assert.equal(runWeir(['outbox', 'drop', `${row.id + 2}`, '--data', folder]).status, 0);
  assert.equal((await ask(folder, 'DELETE', `${OUTBOX}?id=${row.id + 2}`)).status, 404, 'gone');
  const list = runWeir(['outbox', 'list', '--data', folder], { env: { LC_ALL: 'C.UTF-8' } });
  assert.equal(list.status, 0, list.err);
  assert.match(list.out, new RegExp(`^${row.id} .*absence\\.mail .*given up\\n1 waiting, 1 given up\\n$`));
  assert.match(runWeir(['outbox', 'list', '--data', folder], { env: { LC_ALL: 'zh_CN.UTF-8' } }).out, /已放弃 1 条/);
  assert.equal(runWeir(['outbox', 'drop', '--data', folder]).status, 2);
  assert.equal(runWeir(['outbox', 'retry', '12345678', '--data', folder]).status, 1);

  smtp.refuse = {};
  await weir.clock(0);
  assert.equal(runWeir(['outbox', 'retry', '--all', '--data', folder]).status, 0);
  assert.equal(runWeir(['outbox', 'retry', `${row.id + 1}`, '--data', folder]).status, 0);
  await smtp.arrived(2);
  assert.deepEqual(['一周没有送到', '另一封'].filter((text) => smtp.read().some((mail) => mail.text.includes(text))), ['一周没有送到', '另一封']);
  await until('an empty outbox', ({ waiting, dead }) => waiting + dead === 0);
});

test('a dead letter can be dropped, without a server too', async () => {
  const folder = temporaryFolder();
  const weir = await startEnsemble(undefined, {}, { folder, names: undefined });
  await weir.stop({ keep: true });
  const none = runWeir(['outbox', 'list', '--all', '--data', folder], { env: { LC_ALL: 'C.UTF-8' } });
  assert.equal(none.status, 0, none.err);
  assert.equal(none.out, '0 waiting, 0 given up\n');
  assert.equal(runWeir(['outbox', 'drop', '7', '--data', folder]).status, 1);
  assert.equal(runWeir(['outbox', 'burn', '7', '--data', folder]).status, 2);
  assert.equal(runWeir(['outbox', '--help']).status, 0);
});
