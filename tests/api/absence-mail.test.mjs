// Who is told that leave was asked for: mails over SMTP and subscribe messages of WeChat. They leave after the answer, once for each request that was stored, and none is lost, whatever the mail server
// does and however Weir ends. The debug clock brings the next try of a put-off mail near; a request that is committed wakes the outbox.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ALL, BOTH, dayAfter, duplicate, late, shanghai, spent, startEnsemble, startSandbox } from '../lib/absence.mjs';
import { startSmtp } from '../lib/smtp.mjs';
import { runWeir, temporaryFolder } from '../lib/weir.mjs';

const TODAY = '2026-03-10';
let wechat;
before(async () => { wechat = await startSandbox(); });
after(async () => { await wechat.stop(); });

const mailed = (smtp, more = {}) => ({ 'absence.mail_url': smtp.url, 'absence.mail_to': 'conductor@example.org, office@example.org', ...more });
/** An ensemble whose mails go to a server of its own. */
async function office(more, options) {
  const smtp = await startSmtp();
  const weir = await startEnsemble(wechat, mailed(smtp, more), options);
  await weir.today(TODAY);
  let now = shanghai(`${TODAY}T12:00:00`);
  /** Two hours later, and a commit: what was put off is due. */
  const poke = async () => {
    now += 7_200_000;
    await weir.clock(now);
    const bound = await weir.login('Mary');
    assert.equal(bound.status, 200, bound.text);
  };
  return { smtp, weir, poke, stop: async () => { await weir.stop(); await smtp.stop(); assert.deepEqual(smtp.errors, []); } };
}

test('a request is mailed once, to everybody of the list, and says who, when, what and why', async () => {
  const { smtp, weir, stop } = await office();
  const me = weir.as('赵乘风');
  await me.absent('2026-03-22', BOTH, '家里有事，要回一趟老家。\n第二行：<b>&amp;"引号"\n.\n..以点开头');
  await smtp.arrived(1);
  const [mail] = smtp.read();
  assert.deepEqual(mail.envelope.to.sort(), ['conductor@example.org', 'office@example.org']);
  assert.ok(mail.subject.includes('有人请假了'), mail.subject);
  for (const part of ['赵乘风', '2026-03-22', BOTH, '家里有事，要回一趟老家。', '第二行：<b>&amp;"引号"', '\n..以点开头']) assert.ok(mail.text.replace(/\r\n/g, '\n').includes(part), `${part} in ${mail.text}`);
  await me.absent('2026-03-23', ALL, '第二次');
  await smtp.arrived(2);
  assert.equal(smtp.mails.length, 2);
  assert.ok(smtp.read()[1].text.includes('第二次'));
  assert.notEqual(smtp.read()[1].id, mail.id);
  await stop();
});

test('nothing is mailed for what was refused, or asked a second time', async () => {
  const { smtp, weir, stop } = await office();
  const me = weir.fresh('percussion');
  const ask = (time_absence, type = ALL, reason = 'refused', headers) => me.post({ reason, time_absence, type }, { headers });
  late(await ask(TODAY));
  assert.equal((await ask('2026-03-20', 'A')).status, 400);
  assert.equal((await ask('2026-03-20', ALL, '')).status, 400);
  assert.equal((await ask('2021-02-29')).status, 400);
  spent(await ask('2026-03-20', BOTH));
  assert.equal((await weir.request('POST', '/absence/', { json: { reason: 'refused', time_absence: '2026-03-20' } })).status, 401);
  assert.equal((await ask('2026-03-20', ALL, 'granted', { 'Idempotency-Key': 'k' })).status, 201);
  assert.equal((await ask('2026-03-20', ALL, 'granted', { 'Idempotency-Key': 'k' })).status, 201);
  duplicate(await ask('2026-03-20'));
  spent(await ask('2026-03-21'));
  await weir.fresh().absent('2026-03-20', ALL, 'the last one');
  await smtp.arrived(2);
  assert.deepEqual(smtp.read().map((mail) => ['granted', 'the last one', 'refused'].filter((word) => mail.text.includes(word)).join()).sort(), ['granted', 'the last one']);
  await stop();
});

test('names and reasons cannot add headers, mails or recipients', async () => {
  const names = 'name,section,manager\nEve,string,no\n"O\'Brien <b@c.d>",string,no\n';
  const { smtp, weir, stop } = await office({}, { names: `${names}Mary,percussion,no\n` });
  const evil = ['x\r\nBcc: victim@example.org', 'x\nBcc: victim@example.org\n\nhello', '\r\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: evil\r\n\r\nevil\r\n.\r\n'];
  for (const [i, reason] of evil.entries()) await weir.as('Eve').absent(dayAfter(TODAY, i + 1), ALL, reason);
  await weir.as("O'Brien <b@c.d>", 'obrien').absent(dayAfter(TODAY), ALL, '=?utf-8?B?QmNjOiB2?= %s %n');
  await smtp.arrived(4);
  for (const mail of smtp.read()) {
    assert.deepEqual(mail.envelope.to.sort(), ['conductor@example.org', 'office@example.org']);
    assert.ok(!mail.headers.has('bcc') && !mail.headers.has('cc'), mail.envelope.bytes.toString());
    assert.ok(!/victim/.test([...mail.headers.values()].flat().join()), 'not in any header');
  }
  assert.ok(smtp.read().some((mail) => mail.text.includes('=?utf-8?B?QmNjOiB2?= %s %n')));
  assert.equal(smtp.mails.length, 4);
  await stop();
});

const TROUBLES = {
  'answers 451 to the sender': (smtp) => { smtp.refuse = { MAIL: '451 later' }; },
  'answers 451 to a recipient': (smtp) => { smtp.refuse = { RCPT: '451 later' }; },
  'answers 451 to the mail': (smtp) => { smtp.refuse = { end: '451 later' }; },
  'hangs up at once': (smtp) => { smtp.hangup = 'connect'; },
  'hangs up before the mail': (smtp) => { smtp.hangup = 'DATA'; },
  'hangs up instead of taking the mail': (smtp) => { smtp.hangup = 'end'; },
};

test('while the mail server is in trouble requests are answered at once; the mails come later, each once', async () => {
  const { smtp, weir, poke, stop } = await office();
  let expected = 0;
  for (const [name, cause] of Object.entries(TROUBLES)) {
    cause(smtp);
    const tries = smtp.tries;
    const me = weir.fresh();
    await me.absent('2026-03-20', ALL, `while it ${name} (1)`);
    await me.absent('2026-03-21', ALL, `while it ${name} (2)`);
    await smtp.until(() => smtp.tries > tries, `no try while it ${name}`, poke);
    assert.equal(smtp.mails.length, expected, name);
    Object.assign(smtp, { refuse: {}, hangup: '' });
    await smtp.arrived(expected += 2, poke);
  }
  const texts = smtp.read().map((mail) => mail.text);
  for (const name of Object.keys(TROUBLES)) for (const n of [1, 2]) assert.equal(texts.filter((text) => text.includes(`while it ${name} (${n})`)).length, 1, `${name} (${n})`);
  await stop();
});

test('an address that the mail server will never take keeps no mail from the others', async () => {
  const smtp = await startSmtp();
  const weir = await startEnsemble(wechat, mailed(smtp, { 'absence.mail_to': 'gone@example.org, conductor@example.org, office@example.org' }));
  await weir.today(TODAY);
  let now = shanghai(`${TODAY}T12:00:00`);
  const poke = async () => { await weir.clock(now += 7_200_000); assert.equal((await weir.login('Mary')).status, 200); };
  const got = (reason) => smtp.read().filter((mail) => mail.text.includes(reason)).flatMap((mail) => mail.envelope.to).sort();
  smtp.unknown = { 'gone@example.org': '550 5.1.1 no such user' };
  await weir.fresh().absent('2026-03-20', ALL, '一人已走。');
  await smtp.until(() => got('一人已走。').length >= 2, 'the others got nothing', poke);
  assert.deepEqual(got('一人已走。'), ['conductor@example.org', 'office@example.org']);
  const tries = smtp.tries;
  await poke();
  await weir.fresh().absent('2026-03-21', ALL, '再来一封。');
  await smtp.until(() => got('再来一封。').length >= 2, 'the others got nothing', poke);
  assert.ok(smtp.tries <= tries + 4, 'the first one is not tried again');
  smtp.unknown = { 'gone@example.org': '550 5.1.1 no such user', 'office@example.org': '451 4.7.1 later' };
  await weir.fresh().absent('2026-03-22', ALL, '一人稍后。');
  await smtp.until(() => got('一人稍后。').length >= 1, 'nobody got it', poke);
  smtp.unknown = {};
  await smtp.until(() => got('一人稍后。').includes('office@example.org'), 'who was to be asked later was not', poke);
  await weir.stop();
  await smtp.stop();
});

test('a mail server that says nothing holds up nobody', async () => {
  const { smtp, weir, stop } = await office();
  smtp.silent = true;
  const begun = performance.now();
  for (let n = 0; n < 6; n++) await weir.fresh().absent('2026-03-20');
  assert.ok(performance.now() - begun < 5000, 'answers do not wait for mails');
  await smtp.until(() => smtp.tries > 0, 'no try');
  assert.equal((await weir.manager.list('/manager/')).length, 6);
  await smtp.stop();                                             /* the connections end, and so does the wait */
  await stop();
});

test('mails that were not sent survive kill -9, and come when the mail server is there again', async () => {
  const first = await startSmtp();
  const { port } = first;
  await first.stop();                                            /* nobody listens there */
  const own = await startEnsemble(wechat, mailed(first));
  await own.today(TODAY);
  const reasons = [...Array(12)].map((_, i) => `理由${i}。`);
  for (const [i, reason] of reasons.entries()) await own.fresh(['string', 'wind'][i % 2]).absent('2026-03-20', ALL, reason);
  await own.stop({ signal: 'SIGKILL', keep: true });
  const smtp = await startSmtp({ port });
  const weir = await startEnsemble(wechat, mailed(smtp), { folder: own.data });
  let now = shanghai(`${TODAY}T12:00:00`);
  const poke = async () => { await weir.clock(now += 7_200_000); assert.equal((await weir.login('Mary')).status, 200); };
  await smtp.arrived(reasons.length, poke);
  const texts = smtp.read().map((mail) => mail.text);
  for (const reason of reasons) assert.equal(texts.filter((text) => text.includes(reason)).length, 1, reason);
  await weir.stop();
  await smtp.stop();
});

test('killed again and again in the middle of it, no mail is lost', async () => {
  const smtp = await startSmtp();
  let weir = await startEnsemble(wechat, mailed(smtp));
  const told = [];
  let now = shanghai(`${TODAY}T12:00:00`);
  for (let round = 0; round < 3; round++) {
    await weir.clock(now);
    weir.epoch++;
    const people = [...Array(6)].map((_, i) => weir.as(`弦${round * 6 + i + 1}`));
    for (const one of people) await one.token();
    const asked = Promise.all(people.map(async (one) => {
      for (const date of ['2026-06-20', '2026-06-21', '2026-06-22']) {
        const reason = `${one.name}在${date}有事。`;
        const reply = await one.post({ reason, time_absence: date, type: ALL }).catch(() => null);
        if (!reply) return;
        assert.equal(reply.status, 201, reply.text);
        told.push(reason);
      }
    }));
    await smtp.until(() => told.length > round * 4 + 3, 'nothing was acknowledged');
    await weir.stop({ signal: 'SIGKILL', keep: true });
    await asked;
    weir = await startEnsemble(wechat, mailed(smtp), { folder: weir.data });
  }
  const poke = async () => { await weir.clock(now += 7_200_000); assert.equal((await weir.login('Mary')).status, 200); };
  const lacking = () => { const texts = smtp.read().map((mail) => mail.text); return told.filter((reason) => !texts.some((text) => text.includes(reason))); };
  await smtp.until(() => !lacking().length, `lost: ${lacking()}`, poke);
  const ids = new Map();
  for (const mail of smtp.read()) ids.set(mail.text, new Set([...(ids.get(mail.text) ?? []), mail.id]));
  for (const [text, all] of ids) assert.equal(all.size, 1, `a repeated mail has the id of the first: ${text}`);
  await weir.stop();
  await smtp.stop();
});

/* ---- subscribe messages ---- */

const TEMPLATES = { 'absence.template_request': 'tmpl-request thing1=name date2=date thing3=type thing4=reason', 'absence.template_decision': 'tmpl-decision date1=date thing2=type phrase3=decision thing4=result' };
/** The next `n` subscribe messages after an item of the sandbox's log, as { to, template, values }. */
async function messages(since, n, poke) {
  const found = [];
  for (const end = Date.now() + 30_000; found.length < n;) {
    assert.ok(Date.now() < end, `${found.length} of ${n} messages came`);
    await poke?.();
    const { items, last } = await wechat.wechat.sent(since, 200);
    since = last;
    found.push(...items.filter((one) => one.channel === 'mp').map((one) => {
      const raw = typeof one.raw === 'string' ? JSON.parse(one.raw) : one.raw;
      return { to: one.to, template: raw.template_id, values: Object.fromEntries(Object.entries(raw.data).map(([key, field]) => [key, field.value])) };
    }));
  }
  return found;
}
const mark = async () => (await wechat.wechat.sent()).last;

test('managers who consented hear of a request in WeChat, the applicant of the decision', async () => {
  const weir = await startEnsemble(wechat, TEMPLATES);
  await weir.today(TODAY);
  const me = weir.as('John');
  const since = await mark();
  await weir.manager.token();                                    /* has logged in once: so it is known who he is */
  await wechat.wechat.consent(weir.manager.person, 'tmpl-request', 2);
  await me.token();
  await wechat.wechat.consent(me.person, 'tmpl-decision', 1);
  const long = `${'理由'.repeat(140)}\r\n完`;
  const { id } = await me.absent('2026-03-20', ALL, '有课');
  const [first] = await messages(since, 1);
  assert.deepEqual(first, { to: weir.manager.person, template: 'tmpl-request', values: { thing1: 'John', date2: '2026-03-20', thing3: ALL, thing4: '有课' } });
  await me.absent('2026-03-21', ALL, long);
  const both = await messages(since, 2);
  assert.ok([...both[1].values.thing4].length <= 20 && both[1].values.thing4.startsWith('理由理由'), 'what WeChat would not take whole is cut');
  await weir.manager.decide(id, { result: '同意，注意补课', permission: true });
  const [, , decision] = await messages(since, 3);
  assert.deepEqual([decision.to, decision.template, decision.values.date1, decision.values.thing2, decision.values.thing4], [me.person, 'tmpl-decision', '2026-03-20', ALL, '同意，注意补课']);
  assert.match(decision.values.phrase3, /^[\u4e00-\u9fff]{1,5}$/);
  await weir.stop();
});

test('without consent nothing is sent and nothing is held up; while WeChat is in trouble it comes later', async () => {
  const weir = await startEnsemble(wechat, TEMPLATES);
  await weir.today(TODAY);
  const me = weir.as('Mary');
  const since = await mark();
  const begun = (await wechat.wechat.requests()).last;
  const tries = async (what, n, fits) => {
    const count = async () => (await wechat.wechat.requests(begun)).items.filter((one) => /subscribe\/send/.test(one.path) && fits(one)).length;
    for (const end = Date.now() + 30_000; await count() < n;) { assert.ok(Date.now() < end, `never ${what}`); await new Promise((resolve) => { setTimeout(resolve, 20); }); }
  };
  await weir.manager.token();
  const { id } = await me.absent('2026-03-20', ALL, '没有人订阅');
  assert.equal((await weir.manager.decide(id, { result: '好', permission: true })).status, 200);
  await tries('refused for want of consent', 2, (one) => one.errcode === 43101);
  const two = weir.fresh('wind');
  await wechat.wechat.consent(weir.manager.person, 'tmpl-request', 5);
  await wechat.wechat.faults({ status: 502, path: 'message/subscribe/send' });
  await two.absent('2026-03-20', ALL, '微信出错时');
  await tries('met with a gateway\'s error', 1, (one) => one.status === 502);
  await wechat.wechat.faults({});
  let now = shanghai(`${TODAY}T12:00:00`);
  const poke = async () => { await weir.clock(now += 7_200_000); assert.equal((await weir.login('Mary')).status, 200); };
  const [message] = await messages(since, 1, poke);
  assert.equal(message.values.thing4, '微信出错时', 'and the one nobody had consented to is not sent later');
  await weir.stop();
});

test('settings that cannot work end the start with a sentence', () => {
  for (const [settings, says] of [[{ 'absence.mail_url': 'smtp://127.0.0.1:25' }, /mail_to/], [{ 'absence.mail_to': 'a@b.c' }, /mail_url/], [{ 'absence.mail_url': 'http://x', 'absence.mail_to': 'a@b.c' }, /mail_url/],
    [{ 'absence.mail_url': 'smtp://127.0.0.1:25', 'absence.mail_to': 'nobody' }, /mail_to/], [{ 'absence.mail_url': 'smtp://127.0.0.1:25', 'absence.mail_to': 'a@b.c\r\nDATA' }, /mail_to/], [{ 'absence.template_request': 'id thing1=shoe' }, /template_request/],
    [{ 'absence.term_start': '2026-02-30' }, /term_start/], [{ 'absence.timezone': 'Mars/Olympus' }, /absence\.timezone|zone/], [{ 'absence.notice_days': '-1' }, /notice_days/], [{ 'absence.notice_days': 'two' }, /notice_days/], [{ 'absence.chances_wind': 'x' }, /chances_wind/]]) {
    const done = runWeir(['serve', '--listen', '127.0.0.1:0', '--data', temporaryFolder(), ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`])]);
    assert.ok(done.status === 1 || done.status === 2, `${JSON.stringify(settings)}: ${done.status ?? done.signal} ${done.err}`);
    assert.match(done.err, says);
  }
});
