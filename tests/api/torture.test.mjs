// Torture: in a test build the Nth allocation, database step, write or send fails, for one N after the other, while people write diaries and chat. Whatever fails: the server lives, what is answered is an
// answer (never a 500), what was acknowledged is there afterwards, and everything works again when the fault is over. An fsync that fails ends the process (nobody knows what is on the disk): then the
// restarted one has all that was acknowledged. `make test` takes a sample; TORTURE=full takes every N until nothing is hit any more.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { startDemo, temporaryFolder } from '../lib/weir.mjs';

const full = process.env.TORTURE === 'full';
const sample = (dense, step, end) => {
  const all = [];
  for (let n = 1; n <= end; n += full || n < dense ? 1 : step) all.push(n);
  return all;
};

let weir;
before(async () => { weir = await startDemo({ 'debug.rehearse': 'false' }); });
after(async () => { await weir?.stop(); });

const open = { connection: 'close' };                         // each request on a connection of its own: one that dies takes no other with it
async function call(base, path, fields) {
  try {
    const reply = await fetch(base + path, fields ? { method: 'POST', body: new URLSearchParams(fields), headers: open, signal: AbortSignal.timeout(20000) } : { headers: open, signal: AbortSignal.timeout(20000) });
    const text = await reply.text();
    return { status: reply.status, body: text ? JSON.parse(text) : null };
  } catch (error) {
    if (error instanceof SyntaxError) return { status: 0, broken: true };     // cut in the middle
    return { status: 0 };                                     // the connection was lost: nothing was acknowledged
  }
}

const arm = (base, spec) => call(base, '/api/debug/fault', { spec });
async function disarm(base) {
  for (let i = 0; i < 50; i++) if ((await arm(base, '')).status === 200) return;
  assert.fail('the fault cannot be taken back');
}

let serial = 0;
/** Some people's evening; returns what was acknowledged. */
async function evening(base) {
  const me = `torture${serial++}`;
  const kept = { me, diaries: [], messages: [] };
  const content = `${me} 今天排练很顺利，开心`;
  const seen = [];
  seen.push(await call(base, '/matching/store_action/', { openId: me, nickName: me, avatarUrl: '', gender: '1', province: '', city: '', country: '' }));
  const stored = seen[0].status === 200;
  seen.push(await call(base, '/matching/emotion/', { openId: me, title: '', content }));
  if (seen.at(-1).status === 200) kept.diaries.push(content);
  if (stored) {
    seen.push(await call(base, '/matching/send_message_via_http/', { openId: me, pair_id: 'torture', content: me }));
    if (seen.at(-1).status === 200) kept.messages.push(me);
  }
  seen.push(await call(base, `/matching/get_user_action/?openId=${me}`));
  seen.push(await call(base, '/matching/get_history_action/?pair_id=torture&limit=5'));
  for (const reply of seen) assert.ok([0, 200, 404, 413, 503, 504, 507].includes(reply.status), `status ${reply.status} ${JSON.stringify(reply.body)}`);
  return kept;
}

async function verify(base, kept) {
  for (const one of kept) {
    if (one.diaries.length) {
      const list = await call(base, `/matching/get_user_diary_action/?openId=${one.me}`);
      assert.equal(list.status, 200);
      for (const text of one.diaries) assert.ok(list.body.data.diaries.some((d) => d.title === text), `${text} was acknowledged and is lost`);
    }
  }
  const said = kept.flatMap((one) => one.messages);
  if (!said.length) return;
  const history = await call(base, '/matching/get_history_action/?pair_id=torture');
  const have = new Set(history.body.data.messages.map((m) => m.content));
  for (const text of said) assert.ok(have.has(text), `the message of ${text} was acknowledged and is lost`);
}

for (const [kind, numbers] of [['alloc', sample(24, 7, full ? 400 : 120)], ['step', sample(12, 5, full ? 120 : 50)], ['write', sample(10, 4, full ? 60 : 30)], ['send', sample(8, 2, 16)]]) {
  test(`${kind}: the Nth one fails (${numbers.length} times)`, async () => {
    const kept = [];
    for (const n of numbers) {
      await arm(weir.url, `${kind}:${n}`);
      kept.push(await evening(weir.url));
      await disarm(weir.url);
      assert.ok(weir.running(), `${kind}:${n} ended the server\n${weir.err.slice(-2000)}`);
    }
    const whole = await evening(weir.url);                    // and all is well again
    assert.equal(whole.diaries.length + whole.messages.length, 2, 'it does not work again');
    await verify(weir.url, [...kept, whole]);
  });
}

test('a disk that stays full: reading goes on, writing is refused with 507, and heals', async () => {
  const earlier = await evening(weir.url);
  await arm(weir.url, 'write:1+');
  const refused = await call(weir.url, '/matching/emotion/', { openId: earlier.me, title: '', content: 'full' });
  assert.equal(refused.status, 507);
  assert.equal((await call(weir.url, `/matching/get_user_action/?openId=${earlier.me}`)).status, 200);
  assert.equal((await call(weir.url, '/readyz')).status, 503);
  await disarm(weir.url);
  const healed = await evening(weir.url);
  assert.equal(healed.diaries.length, 1);
  assert.equal((await call(weir.url, '/readyz')).status, 200);
  await verify(weir.url, [earlier, healed]);
});

test('an fsync that fails: told as uncertain, the process ends, the restarted one has all that was acknowledged', async () => {
  for (const n of full ? [1, 2, 3, 4, 5, 6, 7, 8] : [1, 2, 5]) {
    const folder = temporaryFolder();
    const first = await startDemo({ 'debug.rehearse': 'false' }, { folder });
    const kept = [await evening(first.url)];
    await arm(first.url, `fsync:${n}`);
    let uncertain = null;
    for (let i = 0; i < 12 && !uncertain; i++) {
      const me = `fsync${serial++}`;
      const reply = await call(first.url, '/matching/emotion/', { openId: me, title: '', content: me });
      if (reply.status === 200) kept.push({ me, diaries: [me], messages: [] });
      else uncertain = reply;
    }
    assert.ok(uncertain, `fsync:${n} was never hit`);
    assert.ok([0, 503].includes(uncertain.status));
    const ended = await first.stop({ keep: true, unclean: true });
    assert.equal(ended.code, 1, 'the supervisor must see an error');
    const second = await startDemo({ 'debug.rehearse': 'false' }, { folder });
    await verify(second.url, kept);
    await second.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
