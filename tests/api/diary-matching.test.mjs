// Who is matched with whom: the document's rule by example with the clock moved, then random worlds against brute force over the same integers, then many at once.
//
// The rule: when somebody without a partner writes, his diary is compared with those of the last two days of others without one, neither having blocked the other. Calm with the earliest calm one;
// else the greatest cosine of the salient feelings wins, it must be above zero, and of equals the earlier diary. The integers are those of `weir emotion label`.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { runWeir, startDemo, startServe, temporaryFolder } from '../lib/weir.mjs';

const HOUR = 3_600_000, DAY = 24 * HOUR, START = Date.parse('2026-06-01T00:00:00Z');
const SALIENT = 1500;
const PARTS = {
  calm: ['早上七点起床，吃了早饭去上班。', '下午整理了一下书桌，把书按大小排好。', '今天去超市买了牛奶和鸡蛋。'],
  happy: ['今天真的好开心，笑个不停！', '和朋友一起吃火锅，太高兴了。', '哈哈哈，中奖了，乐死我了！'],
  good: ['妈妈辛苦了，真的很感谢她。', '我相信自己，明天会更好。', '他是个好老师，我很敬佩他。'],
  angry: ['气死我了，他居然骗我！', '太过分了，忍无可忍！', '凭什么这样对我，真让人火大。'],
  sad: ['外婆走了，我哭了一整夜。', '分手了，心里空荡荡的，好难过。', '考砸了，失望透顶。'],
  afraid: ['明天要手术，我好害怕。', '夜里听到脚步声，吓得不敢动。', '很担心爸爸的病。'],
  disgusted: ['这人真恶心，看见就烦。', '厕所脏得要命，想吐。', '虚伪的人，讨厌死了。'],
  surprised: ['天哪，居然是他！', '没想到门一开全是人，惊呆了。', '太意外了，简直不敢相信。'],
};

/** What the program itself makes of texts: [{ code, p: [eight integers] }]. */
function label(texts) {
  const { out, status } = runWeir(['emotion', 'label'], { input: texts.map((text) => `\t${text}\n`).join('') });
  assert.equal(status, 0);
  return out.trimEnd().split('\n').map((line) => {
    const [code, ...p] = line.split('\t');
    return { code: Number(code), p: p.map((one) => Math.round(Number(one) * 10000)) };
  });
}
/** The salient feelings of codes 1 to 7, or null: nothing that anybody could share. */
function vectorOf({ code, p }) {
  if (code === 0) return null;
  const v = p.slice(1).map((one) => (one >= SALIENT ? BigInt(one) : 0n));
  return v.some((one) => one) ? v : null;
}
const dot = (a, b) => a.reduce((sum, one, i) => sum + one * b[i], 0n);

const write = async (weir, openId, content) => {
  const reply = await weir.form('/matching/emotion/', { openId, title: '', content });
  assert.equal(reply.status, 200, reply.text);
  return reply.body.data;
};
const partner = async (weir, openId) => (await weir.get('/matching/get_user_action/', { openId })).body.data.match?.user.openId;
const depair = async (weir, openId) => (await weir.get('/matching/depair_action/', { openId })).body.status;
const block = async (weir, openId, target) => { const reply = await weir.json('/api/diary/block', { openId, target }); assert.equal(reply.status, 200, reply.text); };

const HAPPY = PARTS.happy[0], CALM = PARTS.calm[0], SAD = PARTS.sad[1];
const worlds = [];
async function world() {
  const weir = await startServe({ 'diary.access': 'open' });
  worlds.push(weir);
  await weir.clock(START);
  return weir;
}
before(() => {
  const found = label([HAPPY, CALM, SAD]);
  assert.deepEqual([found[0].code > 0 && vectorOf(found[0]) !== null, found[1].code, found[2].code > 0], [true, 0, true], 'the model moved: choose other examples');
  const [a, , b] = found.map(vectorOf);
  assert.equal(dot(a, b), 0n, 'the examples must share no salient feeling');
});
after(async () => { for (const weir of worlds) await weir.stop(); });

/* ---- the rule by example ---- */

test('feelings that overlap are matched, others are not; calm only with calm', async () => {
  const weir = await world();
  assert.equal((await write(weir, 'happy1', HAPPY)).match, undefined);
  assert.equal((await write(weir, 'sad1', SAD)).match, undefined);
  assert.equal((await write(weir, 'calm1', CALM)).match, undefined);
  assert.equal((await write(weir, 'calm2', PARTS.calm[1])).match.user.openId, 'calm1');
  assert.equal((await write(weir, 'sad2', SAD)).match.user.openId, 'sad1');
  assert.equal((await write(weir, 'happy2', HAPPY)).match.user.openId, 'happy1');
  assert.equal((await write(weir, 'happy3', HAPPY)).match, undefined, 'nobody is left');
  assert.equal(await partner(weir, 'happy1'), 'happy2', 'and who was found knows it too');
});

test('of equals the earlier diary wins; one\'s own do not count', async () => {
  const weir = await world();
  for (const openId of ['a', 'a', 'b', 'c']) assert.equal((await write(weir, openId, openId === 'a' ? CALM : HAPPY)).match?.user.openId, openId === 'c' ? 'b' : undefined);
  const own = await world();
  for (const content of [HAPPY, CALM, HAPPY]) assert.equal((await write(own, 'alone', content)).match, undefined);
  await write(own, 'later', SAD);
  assert.equal((await write(own, 'x', HAPPY)).match.user.openId, 'alone');
});

test('a diary is looked for during two days', async () => {
  for (const [content, other] of [[HAPPY, HAPPY], [CALM, PARTS.calm[2]]]) {
    const weir = await world();
    await write(weir, 'early', content);
    await weir.clock(START + 2 * DAY + 60_000);
    assert.equal((await write(weir, 'late', other)).match, undefined);
    await weir.clock(START + 4 * DAY);
    assert.equal((await write(weir, 'other', other)).match.user.openId, 'late', 'just within the days of the second');
  }
});

test('who has a partner keeps him and is not looked for; depairing makes both free again, with what they wrote meanwhile', async () => {
  const weir = await world();
  await write(weir, 'a', HAPPY);
  assert.equal((await write(weir, 'b', HAPPY)).match.user.openId, 'a');
  assert.equal((await write(weir, 'a', SAD)).match.user.openId, 'b');
  assert.equal((await write(weir, 'c', SAD)).match, undefined);
  await weir.clock(START + HOUR);
  assert.equal(await depair(weir, 'b'), 'success');
  assert.equal((await write(weir, 'd', SAD)).match.user.openId, 'a', 'the earlier of a\'s and c\'s');
  assert.equal((await write(weir, 'e', HAPPY)).match.user.openId, 'b');
  assert.equal(await depair(weir, 'd'), 'success');
  assert.equal((await write(weir, 'a', HAPPY)).match, undefined, 'd is sad, c too, and b is taken');
});

test('former partners may be matched again; who was blocked never, in neither direction', async () => {
  const weir = await world();
  await write(weir, 'a', HAPPY);
  await write(weir, 'b', HAPPY);
  await depair(weir, 'a');
  assert.equal((await write(weir, 'b', HAPPY)).match.user.openId, 'a');
  await block(weir, 'b', 'a');
  assert.deepEqual([await partner(weir, 'a'), await partner(weir, 'b')], [undefined, undefined]);
  assert.equal((await write(weir, 'a', HAPPY)).match, undefined);
  assert.equal((await write(weir, 'b', HAPPY)).match, undefined);
  assert.equal((await write(weir, 'a', CALM)).match, undefined);
  assert.equal((await write(weir, 'b', CALM)).match, undefined);
  assert.ok(['a', 'b'].includes((await write(weir, 'c', HAPPY)).match.user.openId));
});

test('an edit changes what a diary is found by, and looks for nobody', async () => {
  const weir = await world();
  await write(weir, 'a', HAPPY);
  await write(weir, 'b', SAD);
  const [{ diary_id: diaryId }] = (await weir.get('/matching/get_user_action/', { openId: 'a' })).body.data.diaries;
  assert.equal((await weir.form('/matching/alt_diary_action/', { diaryId, title: '', content: SAD })).body.data.match, undefined);
  assert.equal(await partner(weir, 'b'), undefined);
  assert.equal((await write(weir, 'c', HAPPY)).match, undefined);
  assert.equal((await write(weir, 'd', SAD)).match.user.openId, 'a', 'the date is still the old one');
  await write(weir, 'e', CALM);
  await weir.form('/matching/delete_diary_action/', { diaryId: (await weir.get('/matching/get_user_action/', { openId: 'e' })).body.data.diaries[0].diary_id });
  assert.equal((await write(weir, 'f', CALM)).match, undefined, 'a deleted diary is not found');
});

test('who waits still waits after a restart', async () => {
  const folder = temporaryFolder();
  try {
    let weir = await startServe({ 'diary.access': 'open' }, { folder });
    for (const [openId, content] of [['happy', HAPPY], ['calm', CALM], ['sad', SAD]]) await write(weir, openId, content);
    await weir.stop();
    weir = await startServe({ 'diary.access': 'open' }, { folder });
    for (const [openId, content, other] of [['s', SAD, 'sad'], ['c', CALM, 'calm'], ['h', HAPPY, 'happy']]) assert.equal((await write(weir, openId, content)).match.user.openId, other);
    await weir.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/* ---- random worlds ---- */

function generator(seed) {                                      /* mulberry32 */
  return (n) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) % n);
  };
}

/** The rule, told as simply as possible. */
class Brute {
  constructor() { Object.assign(this, { diaries: [], partners: new Map(), blocked: new Set() }); }
  apart(a, b) { return this.blocked.has(`${a} ${b}`) || this.blocked.has(`${b} ${a}`); }
  find(openId, feeling, now) {
    if (this.partners.has(openId)) return this.partners.get(openId);
    const candidates = this.diaries.filter((one) => one.at >= now - 2 * DAY && one.openId !== openId && !this.partners.has(one.openId) && !this.apart(openId, one.openId));
    let best = null;
    if (feeling.code === 0) {
      best = candidates.filter((one) => one.feeling.code === 0).sort((a, b) => a.at - b.at || a.id - b.id)[0];
    } else {
      const mine = vectorOf(feeling);
      for (const one of mine ? candidates : []) {
        const theirs = vectorOf(one.feeling);
        if (!theirs) continue;
        const product = dot(mine, theirs), square = dot(theirs, theirs);
        if (product === 0n) continue;
        const order = best ? product * product * best.square - best.product * best.product * square : 1n;
        if (order > 0n || (order === 0n && one.id < best.one.id)) best = { one, product, square };
      }
      best = best?.one;
    }
    if (!best) return undefined;
    this.partners.set(openId, best.openId).set(best.openId, openId);
    return best.openId;
  }
  part(openId) {
    const other = this.partners.get(openId);
    this.partners.delete(openId);
    this.partners.delete(other);
    return other;
  }
}

const STEPS = 260, PEOPLE = 24;
for (const seed of [1, 2, 3, 4]) {
  test(`random world ${seed}: every match is the one that brute force finds`, async () => {
    const random = generator(seed);
    const pick = (list) => list[random(list.length)];
    const kinds = Object.values(PARTS);
    const texts = [...Array(90)].map(() => [...Array(1 + random(3))].map(() => pick(pick(kinds))).join(''));
    const feelings = label(texts);
    assert.ok(new Set(feelings.map((one) => one.code)).size >= 6);
    assert.ok(feelings.some((one) => (vectorOf(one) ?? []).filter((x) => x).length > 1), 'some feel two things at once');
    const weir = await world();
    const brute = new Brute();
    let now = START, matched = 0;
    for (let step = 0; step < STEPS; step++) {
      now += pick([60_000, 60_000, HOUR, 5 * HOUR]);
      while (brute.diaries.some((one) => Math.abs(now - one.at - 2 * DAY) < 120_000)) now += 240_000;      /* not on the edge: the server's clock runs on */
      await weir.clock(now);
      const openId = `u${random(PEOPLE)}`, what = random(20), text = random(texts.length);
      if (what < 13) {
        const data = await write(weir, openId, texts[text]);
        const had = brute.partners.get(openId);
        assert.equal(data.emotion, String(feelings[text].code));
        const expected = brute.find(openId, feelings[text], now);
        assert.equal(data.match?.user.openId, expected, `step ${step}: ${openId} writes ${texts[text]}`);
        if (expected && !had) matched += 1;
        const [{ diary_id: id }] = (await weir.get('/matching/get_user_action/', { openId })).body.data.diaries;
        brute.diaries.push({ id: Number(id), openId, at: now, feeling: feelings[text] });
      } else if (what < 17) {
        assert.equal(await depair(weir, openId), brute.part(openId) ? 'success' : 'fail', `step ${step}`);
      } else if (what < 18 && brute.diaries.length) {
        const one = pick(brute.diaries);
        await weir.form('/matching/alt_diary_action/', { diaryId: String(one.id), title: '', content: texts[text] });
        one.feeling = feelings[text];
      } else if (what < 19 && brute.diaries.length) {
        const [one] = brute.diaries.splice(random(brute.diaries.length), 1);
        await weir.form('/matching/delete_diary_action/', { diaryId: String(one.id) });
      } else {
        const other = `u${random(PEOPLE)}`, known = new Set(brute.diaries.map((one) => one.openId));
        if (other === openId || !known.has(openId) || !known.has(other) || brute.blocked.size > 20) continue;
        await block(weir, openId, other);
        brute.blocked.add(`${openId} ${other}`);
        if (brute.partners.get(openId) === other) brute.part(openId);
      }
    }
    assert.ok(matched >= 20, `only ${matched} matches: the world is too empty to prove anything`);
    for (let i = 0; i < PEOPLE; i++) {
      const reply = await weir.get('/matching/get_user_action/', { openId: `u${i}` });
      if (reply.status === 200) assert.equal(reply.body.data.match?.user.openId, brute.partners.get(`u${i}`));
    }
  });
}

/* ---- many at once ---- */

/** Everybody's partner, which must be mutual and have the same room; gives the number of pairs. */
async function pairsAmong(weir, people) {
  const seen = new Map();
  for (const openId of people) {
    const other = await partner(weir, openId);
    if (!other) continue;
    const { body } = await weir.get('/matching/get_pair_action/', { openId });
    seen.set(openId, [other, body.data.pair_id]);
  }
  const rooms = new Map();
  for (const [openId, [other, room]] of seen) {
    assert.notEqual(other, openId);
    assert.deepEqual(seen.get(other), [openId, room], `${openId} and ${other} are each other's`);
    rooms.set(room, (rooms.get(room) ?? 0) + 1);
  }
  for (const [room, n] of rooms) assert.equal(n, 2, `room ${room}`);
  return rooms.size;
}

test('forty at once never give anybody two partners, and leave nobody over', async () => {
  for (const content of [HAPPY, CALM]) {
    const weir = await world();
    const people = [...Array(40)].map((_, i) => `p${i}`);
    const replies = await Promise.all(people.map((openId) => write(weir, openId, content)));
    assert.equal(replies.filter((data) => data.match).length, 20, 'each second one finds somebody');
    assert.equal(await pairsAmong(weir, people), 20);
  }
});

test('writing, depairing, blocking and editing at once keep pairs mutual', async () => {
  const weir = await startDemo();
  worlds.push(weir);
  const random = generator(7);
  const people = [...Array(30)].map((_, i) => `m${i}`);
  await Promise.all(people.map((openId) => write(weir, openId, HAPPY)));
  const ids = (await weir.get('/matching/get_user_diary_action/', { openId: 'm0' })).body.data.diaries.map((one) => one.diary_id);
  for (let round = 0; round < 8; round++) {
    const work = [...Array(40)].map(() => {
      const openId = people[random(30)], what = random(8);
      if (what < 4) return write(weir, openId, [HAPPY, HAPPY, SAD, CALM][what]);
      if (what < 6) return depair(weir, openId);
      if (what < 7) return weir.form('/matching/alt_diary_action/', { diaryId: ids[0], title: '', content: SAD });
      return round % 4 === 3 ? block(weir, openId, people[(people.indexOf(openId) + 1) % 30]) : depair(weir, openId);
    });
    await Promise.all(work);
    await pairsAmong(weir, people);
  }
});
