// The documented contract of the diary, with diary.access = open: every call of the document in every form that a client may choose, its types, orders, limits and refusals.
// client.mjs compares each answer with the command table besides. Images have a file of their own.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { rawRequest } from '../lib/raw.mjs';
import { startDemo } from '../lib/weir.mjs';

const HAPPY = '今天和朋友去爬山，一路笑个不停，真的好开心！';
const FAIL = (reply, status) => assert.deepEqual([reply.status, reply.body.status], [status, 'fail'], reply.text);
const PROFILE = { nickName: '小猪佩奇', avatarUrl: 'https://example.org/a.png', gender: 2, province: '上海', city: '浦东', country: '中国' };

let weir;
let people = 0;
const someone = () => `p${++people}-${process.pid}`;
const write = async (openId, content = HAPPY, title = '') => {
  const reply = await weir.form('/matching/emotion/', { openId, title, content });
  assert.equal(reply.status, 200, reply.text);
  return reply.body.data;
};
const userOf = async (openId) => (await weir.get('/matching/get_user_action/', { openId })).body.data;
const newest = async (openId) => (await userOf(openId)).diaries[0].diary_id;

/** Two people who are matched, whoever waits besides. */
async function pair() {
  let me = someone();
  let data = await write(me);
  if (!data.match) { me = someone(); data = await write(me); }
  assert.ok(data.match, 'equal feelings must match');
  const { body } = await weir.get('/matching/get_pair_action/', { openId: me });
  return { me, other: data.match.user.openId, room: body.data.pair_id };
}

before(async () => { weir = await startDemo(); });
after(async () => { await weir.stop(); });

/* ---- forms of asking ---- */

test('every call answers with and without the slash at its end', async () => {
  const { me, room } = await pair();
  const id = await newest(me);
  const gets = { get_user_action: { openId: me }, get_diary_action: { diaryId: id }, get_user_diary_action: { openId: me }, get_pair_action: { openId: me }, get_history_action: { pair_id: room },
    show_img_action: { img_name: 'a.png' }, get_openId_action: { js_code: 'no-such-code' } };
  for (const [name, query] of Object.entries(gets)) {
    const [bare, slash] = [await weir.get(`/matching/${name}`, query), await weir.get(`/matching/${name}/`, query)];
    assert.deepEqual([bare.status, slash.status], [200, 200], name);
    if (name !== 'get_openId_action') assert.deepEqual(bare.body, slash.body, name);
    assert.equal((await weir.request('HEAD', `/matching/${name}`, { query })).headers['content-length'], String(bare.bytes.length), `HEAD ${name}`);
  }
  const posts = { emotion: { openId: me, title: '', content: HAPPY }, store_action: { openId: me, ...PROFILE }, alt_diary_action: { diaryId: id, title: 't', content: HAPPY },
    send_message_via_http: { pair_id: room, openId: me, content: 'hi' }, delete_diary_action: { diaryId: id }, depair_action: { openId: someone() } };
  for (const [name, form] of Object.entries(posts))
    for (const tail of ['', '/']) assert.equal((await weir.form(`/matching/${name}${tail}`, form)).status, 200, name + tail);
});

test('bodies may be a form, multipart or JSON, told apart by what they are', async () => {
  const ways = {
    form: (path, fields) => weir.form(path, fields),
    json: (path, fields) => weir.json(path, fields),
    multipart: (path, fields) => weir.multipart(path, Object.entries(fields).map(([name, value]) => ({ name, value: String(value) }))),
    'json without saying so': (path, fields) => weir.request('POST', path, { body: JSON.stringify(fields), type: 'application/x-www-form-urlencoded' }),
    'json of another name': (path, fields) => weir.request('POST', path, { body: ` \r\n${JSON.stringify(fields)}`, type: 'application/vnd.api+json; charset=utf-8' }),
    'form without a type': async (path, fields) => {
      const body = new URLSearchParams(fields).toString();
      return rawRequest(weir.port, `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    },
    query: (path, fields) => weir.request('POST', path, { query: fields }),
  };
  for (const [way, send] of Object.entries(ways)) {
    const openId = someone();
    assert.equal((await send('/matching/store_action/', { openId, ...PROFILE, nickName: `${way} & 100% =+` })).status, 200, way);
    assert.equal((await send('/matching/emotion/', { openId, title: 'a+b', content: 'x=1&y=2 ünï 🎻' })).status, 200, way);
    const data = await userOf(openId);
    assert.equal(data.user.nickName, `${way} & 100% =+`);
    const { body } = await weir.get('/matching/get_diary_action/', { diaryId: data.diaries[0].diary_id });
    assert.deepEqual([body.data.diary.title, body.data.diary.content], ['a+b', 'x=1&y=2 ünï 🎻'], way);
  }
});

test('parameters have the names that clients use, and the body wins over the query', async () => {
  const openid = someone();
  assert.equal((await weir.form('/matching/emotion/', { openid, title: '', content: '平常的一天' })).status, 200);
  assert.equal((await weir.get('/matching/get_user_action/', { open_id: openid })).status, 200);
  const id = await newest(openid);
  assert.equal((await weir.get('/matching/get_diary_action/', { diary_id: id })).status, 200);
  await weir.request('POST', '/matching/alt_diary_action/', { query: { diaryId: id, title: 'query', content: 'query' }, form: { title: 'body', content: 'body' } });
  assert.equal((await weir.get('/matching/get_diary_action/', { diaryId: id })).body.data.diary.title, 'body');
});

test('a body that is declared as JSON and is none is refused; so is one of an unknown type', async () => {
  for (const json of ['{', '{"openId":"a",}', '[1]', '"text"', '{"openId":"a"} x', '{"openId":1e999}', '{"a":1,"a":2}', '']) {
    const reply = await weir.json('/matching/emotion/', json);
    FAIL(reply, 400);
  }
  FAIL(await weir.request('POST', '/matching/emotion/', { body: '<a/>', type: 'application/xml' }), 415);
  FAIL(await weir.request('POST', '/matching/emotion/', { form: { openId: 'a' }, headers: { 'Content-Encoding': 'gzip' } }), 415);
  FAIL(await weir.json('/matching/emotion/', { openId: ['a'], title: '', content: '' }), 400);
  FAIL(await weir.json('/matching/emotion/', { openId: 'a', title: { a: 1 }, content: '' }), 400);
  FAIL(await weir.json('/matching/emotion/', { openId: 'a', title: true, content: '' }), 400);
});

/* ---- what is missing, unknown or unreadable ---- */

test('a missing parameter is told by its name', async () => {
  const { me, room } = await pair();
  const id = await newest(me);
  const calls = [
    ['POST', 'emotion', { openId: me, title: 't', content: 'c' }],
    ['POST', 'store_action', { openId: me, ...PROFILE }],
    ['GET', 'get_user_action', { openId: me }],
    ['GET', 'get_diary_action', { diaryId: id }],
    ['GET', 'get_user_diary_action', { openId: me }],
    ['POST', 'alt_diary_action', { diaryId: id, title: 't', content: 'c' }],
    ['POST', 'delete_diary_action', { diaryId: id }],
    ['GET', 'get_openId_action', { js_code: 'x' }],
    ['GET', 'show_img_action', { img_name: 'x' }],
    ['GET', 'get_pair_action', { openId: me }],
    ['GET', 'get_history_action', { pair_id: room }],
    ['POST', 'send_message_via_http', { pair_id: room, openId: me, content: 'c' }],
    ['GET', 'depair_action', { openId: me }],
    ['POST', 'depair_action', { openId: me }],
  ];
  for (const [method, name, params] of calls)
    for (const left of Object.keys(params)) {
      const rest = Object.fromEntries(Object.entries(params).filter(([key]) => key !== left));
      const reply = await weir.request(method, `/matching/${name}/`, { ...(method === 'GET' ? { query: rest } : { form: rest }), headers: { 'Accept-Language': 'en' } });
      FAIL(reply, 400);
      assert.match(reply.body.msg, new RegExp(`\\b${left}\\b`), `${name} without ${left}`);
    }
  assert.equal((await weir.get('/matching/get_pair_action/', { openId: me })).status, 200, 'and nothing was done');
});

test('an empty openId is nobody', async () => {
  FAIL(await weir.form('/matching/emotion/', { openId: '', title: 't', content: 'c' }), 400);
  FAIL(await weir.form('/matching/store_action/', { openId: '', ...PROFILE }), 400);
  assert.ok([400, 404].includes((await weir.get('/matching/get_user_action/', { openId: '' })).status));
});

test('what is not there is 404, but for the three calls that the document wants otherwise', async () => {
  const openId = someone();
  for (const name of ['get_user_action', 'get_user_diary_action', 'get_pair_action']) FAIL(await weir.get(`/matching/${name}/`, { openId }), 404);
  for (const diaryId of ['999999999', '0', '-1', 'abc', '1.5', '99999999999999999999999', '１']) {
    FAIL(await weir.get('/matching/get_diary_action/', { diaryId }), 404);
    FAIL(await weir.form('/matching/alt_diary_action/', { diaryId, title: 't', content: 'c' }), 404);
  }
  FAIL(await weir.form('/matching/send_message_via_http/', { pair_id: 'somewhere', openId, content: 'c' }), 404);
  assert.deepEqual((await weir.get('/matching/get_history_action/', { pair_id: '987654' })).body, { data: { messages: [] } });
  assert.deepEqual((await weir.get('/matching/get_history_action/', { pair_id: 'no-such-room' })).body, { data: { messages: [] } });
  assert.deepEqual((await weir.form('/matching/delete_diary_action/', { diaryId: '999999999' })).body, { status: 'success' });
  FAIL(await weir.form('/matching/delete_diary_action/', { diaryId: 'abc' }), 400);
  for (const method of ['GET', 'POST']) {
    const reply = await weir.request(method, '/matching/depair_action/', method === 'GET' ? { query: { openId } } : { form: { openId } });
    assert.deepEqual([reply.status, reply.body.status], [200, 'fail']);
  }
  await write(openId, '平常的一天，写完作业就睡了。');
  if (!(await userOf(openId)).match) FAIL(await weir.get('/matching/get_pair_action/', { openId }), 404);
});

test('text must be UTF-8 without NUL, wherever it stands', async () => {
  const openId = someone();
  for (const bad of ['%00', '%ff', '%c0%80', '%ed%a0%80', '%f5%80%80%80', '%e4%bd', '%', '%4', '%zz']) {
    FAIL(await weir.form('/matching/emotion/', `openId=${openId}&title=&content=${bad}`), 400);
    FAIL(await weir.request('GET', `/matching/show_img_action/?img_name=${bad}`), 400);
    FAIL(await weir.form('/matching/emotion/', `openId=${openId}&title=&content=c&other${bad}=1`), 400);
  }
  for (const json of ['{"openId":"a","title":"\\u0000","content":""}', '{"openId":"a","title":"\\ud800","content":""}', Buffer.from('{"openId":"a","title":"\xff","content":""}', 'latin1')])
    FAIL(await weir.request('POST', '/matching/emotion/', { body: json, type: 'application/json' }), 400);
  for (const bytes of [Buffer.from([0xff]), Buffer.from([0x61, 0, 0x62])])
    FAIL(await weir.multipart('/matching/emotion/', [{ name: 'openId', value: openId }, { name: 'title', value: '' }, { name: 'content', bytes }]), 400);
  FAIL(await weir.get('/matching/get_user_action/', { openId }), 404);
});

test('lengths count characters, not bytes', async () => {
  const openId = someone();
  assert.equal((await weir.form('/matching/emotion/', { openId, title: '', content: '😀'.repeat(10000) })).status, 200);
  FAIL(await weir.form('/matching/emotion/', { openId, title: '', content: '字'.repeat(10001) }), 400);
  FAIL(await weir.form('/matching/emotion/', { openId: 'x'.repeat(257), title: '', content: '' }), 400);
  FAIL(await weir.form('/matching/store_action/', { openId, ...PROFILE, nickName: '字'.repeat(1001) }), 400);
  FAIL(await weir.form('/matching/send_message_via_http/', { pair_id: 'r', openId, content: '字'.repeat(10001) }), 400);
  assert.equal((await weir.form('/matching/send_message_via_http/', { pair_id: 'long', openId, content: '字'.repeat(10000) })).status, 200);
  FAIL(await weir.form('/matching/send_message_via_http/', { pair_id: 'long', openId, content: '' }), 400);
});

/* ---- people ---- */

test('who only wrote has a profile of None; storing it changes it, again and again', async () => {
  const openId = someone();
  await write(openId, '平常的一天');
  assert.deepEqual((await userOf(openId)).user, { openId, nickName: 'None', avatarUrl: 'None', gender: 0, province: 'None', city: 'None', country: 'None' });
  assert.deepEqual((await weir.form('/matching/store_action/', { openId, ...PROFILE })).body, { status: 'success' });
  assert.deepEqual((await userOf(openId)).user, { openId, ...PROFILE });
  await weir.json('/matching/store_action/', { openId, ...PROFILE, nickName: '', gender: '1', city: '北京' });
  assert.deepEqual((await userOf(openId)).user, { openId, ...PROFILE, nickName: '', gender: 1, city: '北京' });
  assert.equal((await weir.form('/matching/store_action/', { openId, ...PROFILE, gender: 9 })).status, 200);
  assert.equal((await userOf(openId)).user.gender, 9);
  for (const gender of ['x', '1.5', '', '99999999999999999999', '0x1']) FAIL(await weir.form('/matching/store_action/', { openId, ...PROFILE, gender }), 400);
  assert.equal((await userOf(openId)).diaries.length, 1);
});

test('two first calls at once make one user', async () => {
  const openId = someone();
  const replies = await Promise.all([...Array(12)].map((_, i) => (i % 2 ? weir.form('/matching/store_action/', { openId, ...PROFILE }) : weir.form('/matching/emotion/', { openId, title: '', content: `第${i}篇` }))));
  assert.ok(replies.every((reply) => reply.status === 200));
  assert.equal((await weir.get('/matching/get_user_diary_action/', { openId })).body.data.diaries.length, 6);
});

test('the partner is shown with strings only, and the same to both', async () => {
  const { me, other, room } = await pair();
  await weir.form('/matching/store_action/', { openId: other, ...PROFILE });
  assert.deepEqual((await userOf(me)).match, { user: { openId: other, ...PROFILE, gender: '2' } });
  assert.equal((await userOf(other)).match.user.openId, me);
  assert.equal((await userOf(other)).match.user.nickName, 'None');
  assert.equal((await userOf(other)).match.user.gender, '0');
  assert.match(room, /^[1-9][0-9]*$/);
  assert.equal((await weir.get('/matching/get_pair_action/', { openId: other })).body.data.pair_id, room);
  assert.equal((await write(me, HAPPY)).match.user.openId, other, 'who has a partner keeps him');
});

/* ---- diaries ---- */

test('an untitled diary shows the first 100 characters of its content', async () => {
  const openId = someone();
  const content = `${'🎻提琴'.repeat(40)}末尾`;
  await write(openId, content);
  await write(openId, '短', '标题');
  await write(openId, '', '');
  const head = [...content].slice(0, 100).join('');
  const { diaries } = await userOf(openId);
  assert.deepEqual(diaries.map((one) => [one.title, one.content]), [['', ''], ['标题', '短'], [head, head]]);
  const all = (await weir.get('/matching/get_user_diary_action/', { openId })).body.data.diaries;
  assert.deepEqual(all.map((one) => [one.title, one.content]), [[head, head], ['标题', undefined], ['', '']]);
  const { diary } = (await weir.get('/matching/get_diary_action/', { diaryId: all[0].diary_id })).body.data;
  assert.deepEqual([diary.title, diary.content, diary.diary_id], [head, content, all[0].diary_id]);
  assert.equal(all[2].emotion, '0', 'nothing was felt in no words');
});

test('get_user gives the newest ten, get_user_diary all, oldest first', async () => {
  const openId = someone();
  for (let i = 0; i < 12; i++) await write(openId, `内容${i}`, `第${i}篇`);
  assert.deepEqual((await userOf(openId)).diaries.map((one) => one.title), [...Array(10)].map((_, i) => `第${11 - i}篇`));
  assert.deepEqual((await weir.get('/matching/get_user_diary_action/', { openId })).body.data.diaries.map((one) => one.title), [...Array(12)].map((_, i) => `第${i}篇`));
  assert.equal((await weir.get('/matching/get_diary_action/', { openId })).body.data.diaries.length, 12, 'the document itself sends that form here');
});

test('a list of many pages is complete', async () => {
  const openId = someone();
  const long = '很长的内容，'.repeat(100);
  for (let i = 0; i < 450; i += 30) await Promise.all([...Array(30)].map((_, k) => write(openId, long, `${i + k}`)));
  const { diaries } = (await weir.get('/matching/get_user_diary_action/', { openId })).body.data;
  assert.equal(diaries.length, 450);
  assert.deepEqual(diaries.map((one) => Number(one.diary_id)), diaries.map((one) => Number(one.diary_id)).sort((a, b) => a - b));
  assert.equal(new Set(diaries.map((one) => one.title)).size, 450);
});

test('editing tells the feeling anew and keeps date, id and match', async () => {
  const { me, other } = await pair();
  const [first] = (await userOf(me)).diaries;
  const reply = await weir.form('/matching/alt_diary_action/', { diaryId: first.diary_id, title: '改了', content: '气死我了，他居然当众骂我，太过分了！' });
  assert.equal(reply.body.status, 'success');
  assert.notEqual(reply.body.data.emotion, first.emotion);
  assert.equal(reply.body.data.match.user.openId, other);
  const { diary } = (await weir.get('/matching/get_diary_action/', { diaryId: first.diary_id })).body.data;
  assert.deepEqual(diary, { diary_id: first.diary_id, title: '改了', content: '气死我了，他居然当众骂我，太过分了！', emotion: reply.body.data.emotion, publish_date: first.publish_date });
  await weir.form('/matching/alt_diary_action/', { diaryId: first.diary_id, title: '', content: '没有标题了' });
  assert.equal((await weir.get('/matching/get_diary_action/', { diaryId: first.diary_id })).body.data.diary.title, '没有标题了');
});

test('deleting takes the diary, not the match, and ids are not used again', async () => {
  const { me, other } = await pair();
  const id = await newest(me);
  assert.deepEqual((await weir.form('/matching/delete_diary_action/', { diaryId: id })).body, { status: 'success' });
  FAIL(await weir.get('/matching/get_diary_action/', { diaryId: id }), 404);
  assert.deepEqual((await weir.form('/matching/delete_diary_action/', { diaryId: id })).body, { status: 'success' });
  assert.equal((await userOf(me)).match.user.openId, other);
  await write(me);
  assert.ok(Number(await newest(me)) > Number(id));
});

test('dates are those of Shanghai', async () => {
  const own = await startDemo();
  try {
    const days = [['2026-03-01T15:59:00Z', '2026-03-01', '2026-03-01 23:59:'], ['2026-03-01T16:00:00Z', '2026-03-02', '2026-03-02 00:00:'], ['2028-02-28T17:00:00Z', '2028-02-29', '2028-02-29 01:00:']];
    for (const [i, [utc, day, minute]] of days.entries()) {
      await own.clock(Date.parse(utc));
      await own.form('/matching/emotion/', { openId: `d${i}`, title: 't', content: 'c' });
      const { body } = await own.get('/matching/get_user_action/', { openId: `d${i}` });
      assert.equal(body.data.diaries[0].publish_date, day);
      await own.form('/matching/send_message_via_http/', { openId: `d${i}`, pair_id: 'dates', content: utc });
      const said = (await own.get('/matching/get_history_action/', { pair_id: 'dates' })).body.data.messages.at(-1).publish_date;
      assert.match(said, new RegExp(`^${minute}\\d\\d$`));                // the clock goes on from where it was put
    }
    await own.clock(0);
    assert.ok(Math.abs(await own.clock(0) - Date.now()) < 60_000);
  } finally {
    await own.stop();
  }
});

/* ---- pairs and rooms ---- */

test('depair, by GET and by POST, ends it for both; the history stays and nobody writes any more', async () => {
  for (const method of ['GET', 'POST']) {
    const { me, other, room } = await pair();
    assert.equal((await weir.form('/matching/send_message_via_http/', { pair_id: room, openId: me, content: '再见' })).status, 200);
    const depair = (openId) => weir.request(method, '/matching/depair_action/', method === 'GET' ? { query: { openId } } : { form: { openId } });
    assert.deepEqual((await depair(other)).body, { status: 'success' });
    assert.equal((await depair(me)).body.status, 'fail');
    for (const openId of [me, other]) {
      FAIL(await weir.get('/matching/get_pair_action/', { openId }), 404);
      assert.equal((await userOf(openId)).match, undefined);
      FAIL(await weir.form('/matching/send_message_via_http/', { pair_id: room, openId, content: '还在吗' }), 403);
    }
    assert.deepEqual((await weir.get('/matching/get_history_action/', { pair_id: room })).body.data.messages.map((one) => one.content), ['再见']);
  }
});

test('the history is oldest first and complete; since and limit cut it', async () => {
  const { me, other, room } = await pair();
  for (let i = 1; i <= 7; i++) {
    const reply = await weir.form('/matching/send_message_via_http/', { pair_id: room, openId: i % 2 ? me : other, content: `第${i}句` });
    assert.deepEqual(reply.body, { status: 'success', id: String(i) });
  }
  const history = async (query) => (await weir.get('/matching/get_history_action/', { pair_id: room, ...query })).body.data.messages;
  const all = await history();
  assert.deepEqual(all.map((one) => [one.id, one.content, one.openId]), [1, 2, 3, 4, 5, 6, 7].map((i) => [String(i), `第${i}句`, i % 2 ? me : other]));
  for (const one of all) assert.match(one.publish_date, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  const ids = async (query) => (await history(query)).map((one) => Number(one.id));
  assert.deepEqual(await ids({ since: '5' }), [6, 7]);
  assert.deepEqual(await ids({ since: '0' }), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(await ids({ since: '' }), [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(await ids({ since: '7' }), []);
  assert.deepEqual(await ids({ since: '99' }), []);
  assert.deepEqual(await ids({ limit: 3 }), [5, 6, 7], 'limit alone: the newest');
  assert.deepEqual(await ids({ since: '2', limit: 3 }), [3, 4, 5], 'since and limit: what comes next');
  assert.deepEqual(await ids({ since: '0', limit: 3 }), [1, 2, 3], 'also from the beginning');
  assert.deepEqual(await ids({ limit: 500 }), [1, 2, 3, 4, 5, 6, 7]);
  for (const query of [{ limit: 0 }, { limit: 501 }, { limit: -1 }, { limit: 'x' }, { since: 'x' }, { since: '-1' }, { since: '1.5' }])
    FAIL(await weir.get('/matching/get_history_action/', { pair_id: room, ...query }), 400);
});

test('a history of many pages is complete', async () => {
  const openId = someone();
  await write(openId, '平常的一天');
  const said = [...Array(450)].map((_, i) => `第${i}句 ${'长'.repeat(200)}`);
  for (let i = 0; i < said.length; i += 50) await Promise.all(said.slice(i, i + 50).map((content) => weir.form('/matching/send_message_via_http/', { pair_id: 'pages', openId, content })));
  const { messages } = (await weir.get('/matching/get_history_action/', { pair_id: 'pages' })).body.data;
  assert.deepEqual(messages.map((one) => Number(one.id)), said.map((_, i) => i + 1));
  assert.deepEqual(messages.map((one) => one.content).sort(), said.sort());
  assert.equal((await weir.get('/matching/get_history_action/', { pair_id: 'pages', since: '10', limit: 400 })).body.data.messages.length, 400);
});

test('named rooms are anybody\'s; a pair\'s room is its members\'', async () => {
  const { me, room } = await pair();
  const stranger = someone();
  await write(stranger, '平常的一天');
  for (const name of ['大厅', 'a b', "it's", '%2F', '</script>']) {
    assert.equal((await weir.form('/matching/send_message_via_http/', { pair_id: name, openId: stranger, content: name })).status, 200);
    assert.equal((await weir.get('/matching/get_history_action/', { pair_id: name })).body.data.messages.at(-1).content, name);
  }
  FAIL(await weir.form('/matching/send_message_via_http/', { pair_id: room, openId: stranger, content: '我也在' }), 403);
  assert.deepEqual((await weir.get('/matching/get_history_action/', { pair_id: room })).body.data.messages, []);
  assert.equal((await weir.form('/matching/send_message_via_http/', { pair_id: room, openId: me, content: '在' })).status, 200);
});

/* ---- login ---- */

test('get_openId gives both spellings and a token of ours; errors of WeChat pass through', async () => {
  const code = await weir.wechat.code('bob');
  const login = async (js_code) => weir.get('/matching/get_openId_action/', { js_code });
  const first = await login(code);
  assert.equal(first.body.data.openid, first.body.data.openId);
  assert.equal(first.body.data.openid, (await weir.wechat.world()).people.find((one) => one.name === 'bob').openid);
  assert.match(first.body.data.session_key, /^[\w-]{43}$/);
  assert.equal(first.headers['cache-control'], 'no-store');
  const again = await login(code);
  assert.equal(again.body.data.openid, first.body.data.openid, 'who lost the answer asks again with the same code');
  assert.notEqual(again.body.data.session_key, first.body.data.session_key);
  const unknown = await login('no-such-code');
  assert.equal(unknown.status, 200);
  assert.deepEqual([unknown.body.data.errcode, Object.keys(unknown.body.data)], [40029, ['errcode', 'errmsg']]);
  assert.match(unknown.body.data.errmsg, /^invalid code/);
  const used = await weir.wechat.code('carol');
  const direct = await fetch(`${weir.sandbox}/sns/jscode2session?appid=wx1234567890abcdef&secret=sandbox-secret&js_code=${used}&grant_type=authorization_code`);
  assert.ok((await direct.json()).openid);
  assert.equal((await login(used)).body.data.errcode, 40163);
  assert.equal((await login('nobody&js_code=demo-erin')).body.data.errcode, 40029, 'a code cannot add parameters');
  FAIL(await login(''), 400);
  FAIL(await login('x'.repeat(513)), 400);
});

test('the same code at the same time is asked for once', async () => {
  const code = await weir.wechat.code('erin');
  const replies = await Promise.all([...Array(8)].map(() => weir.get('/matching/get_openId_action/', { js_code: code })));
  assert.equal(new Set(replies.map((reply) => reply.body.data.openid)).size, 1, replies.map((reply) => reply.text).join('\n'));
  assert.ok(replies[0].body.data.openid);
});

test('WeChat out of order is 502, and it heals', async () => {
  for (const [i, knobs] of [{ status: 502 }, { errcode: -1 }, { drop: 'jscode2session' }, { drop_after: 'jscode2session' }].entries()) {
    const js_code = `demo-heals${i}`;                            // a code that was good once is remembered
    await weir.wechat.faults(knobs);
    FAIL(await weir.get('/matching/get_openId_action/', { js_code }), 502);
    await weir.wechat.faults({});
    assert.ok((await weir.get('/matching/get_openId_action/', { js_code })).body.data.openid, JSON.stringify(knobs));
  }
});

/* ---- language, browsers, pages ---- */

test('refusals are Chinese, or English for who prefers it; contract texts never change', async () => {
  const msg = async (language) => (await weir.get('/matching/get_user_action/', {}, { headers: language ? { 'Accept-Language': language } : {} })).body.msg;
  assert.match(await msg(), /[\u4e00-\u9fff]/);
  assert.match(await msg('zh-CN,zh;q=0.9,en;q=0.8'), /[\u4e00-\u9fff]/);
  for (const language of ['en', 'en-GB,zh;q=0.5', 'EN-us']) assert.doesNotMatch(await msg(language), /[\u4e00-\u9fff]/, language);
  const reply = await weir.get('/matching/depair_action/', { openId: someone() }, { headers: { 'Accept-Language': 'en' } });
  assert.equal(reply.body.status, 'fail');
});

test('other origins may read answers only where the setting says so', async () => {
  const headers = { Origin: 'https://a.example' };
  assert.equal((await weir.get('/matching/get_user_action/', { openId: '666' }, { headers })).headers['access-control-allow-origin'], undefined);
  const own = await startDemo({ 'server.cors': 'https://a.example https://b.example' });
  try {
    const ask = (origin, method = 'GET') => own.request(method, '/matching/emotion/', { headers: { Origin: origin, 'Access-Control-Request-Method': 'POST' } });
    const preflight = await ask('https://a.example', 'OPTIONS');
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers['access-control-allow-origin'], 'https://a.example');
    assert.match(preflight.headers['access-control-allow-methods'], /POST/);
    assert.match(preflight.headers['access-control-allow-headers'], /Authorization/);
    assert.match(preflight.headers.vary, /Origin/);
    const get = await own.get('/matching/get_user_action/', { openId: '666' }, { headers: { Origin: 'https://b.example' } });
    assert.equal(get.headers['access-control-allow-origin'], 'https://b.example');
    assert.equal(get.headers['access-control-allow-credentials'], undefined);
    for (const origin of ['https://c.example', 'null', 'https://a.example.evil', 'http://a.example']) assert.equal((await ask(origin, 'OPTIONS')).headers['access-control-allow-origin'], undefined, origin);
  } finally {
    await own.stop();
  }
});

test('every page of the document is there, with its form', async () => {
  const forms = { '': 'emotion', depair: 'depair_action', store: 'store_action', get_user: 'get_user_action', get_diary: 'get_diary_action', get_user_diary: 'get_user_diary_action', alt_diary: 'alt_diary_action',
    get_openId: 'get_openId_action', get_pair: 'get_pair_action', get_history: 'get_history_action', delete_diary: 'delete_diary_action', upload_img: 'upload_img_action', show_img: 'show_img_action' };
  for (const [page, action] of Object.entries(forms))
    for (const tail of ['', '/']) {
      const path = page ? `/matching/${page}${tail}` : `/matching${tail}`;
      const reply = await weir.get(path);
      assert.equal(reply.status, 200, path);
      assert.match(reply.headers['content-type'], /^text\/html; charset=utf-8/);
      assert.match(reply.text, new RegExp(`action="[^"]*/matching/${action}/?"`), path);
    }
  for (const path of ['/', '/matching/select_chat_room', '/matching/select_chat_room/', '/matching/room/x', '/matching/room/x/', '/matching/chat/x/', '/matching/chat/%22%3E%3Cimg%20src=x%3E/']) {
    const reply = await weir.get(path);
    assert.equal(reply.status, 200, path);
    assert.match(reply.headers['content-type'], /^text\/html/);
    assert.doesNotMatch(reply.text, /<img src=x/, 'a room\'s name stays text');
  }
});
