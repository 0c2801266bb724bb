// The pages that people meet first, in a real browser: the diary's forms, uploads, the chat, and the sandbox's phone. What comes from outside must show as text, whatever it is made of.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startBrowser } from '../lib/browser.mjs';
import { png } from '../lib/pictures.mjs';
import { startDemo } from '../lib/weir.mjs';

const EVIL = `</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">"'&amp;<b>`;
let weir, browser, page;
before(async () => {
  weir = await startDemo();
  browser = await startBrowser([new URL(weir.url).origin, new URL(weir.sandbox).origin]);
  page = await browser.page();
});
after(async () => { await browser?.stop(); await weir?.stop(); });

const open = (path, on = page) => on.goto(`${weir.url}${path}`);
const unharmed = async (on = page) => assert.equal(await on.evaluate('window.hacked'), undefined, 'a script from outside has run');
/** Fills the form of a page, sends it and gives what is shown: { heading, body (the JSON), bad }. */
async function submit(path, fields, on = page) {
  await open(path, on);
  for (const [name, value] of Object.entries(fields)) {
    const field = on.locator(`#call [name=${name}]`);
    if (typeof value === 'string') await field.fill(value);
    else await field.setInputFiles(value);
  }
  await on.locator('#call button[type=submit]').click();
  await on.locator('#answer.shown pre').waitFor();
  const text = await on.locator('#answer pre').innerText();
  await unharmed(on);
  return { heading: await on.locator('#answer h2').innerText(), body: JSON.parse(text), bad: await on.locator('#answer.bad').count() === 1 };
}

test('the start page leads to every form, and each of them is there', async () => {
  await open('/');
  const paths = await page.locator('ul.tiles a').evaluateAll((links) => links.map((link) => link.getAttribute('href')));
  assert.ok(paths.length >= 14, paths.join());
  for (const path of new Set(paths)) {
    const reply = await open(path);
    assert.equal(reply.status(), 200, path);
    assert.equal(await page.locator('h1').count(), 1, path);
    assert.ok(await page.locator('#call, #room-name-input').count() === 1, path);
  }
  browser.quiet();
});

test('a diary is written, read, found, changed and deleted by the forms, whatever stands in it', async () => {
  const openId = 'browser-me';
  const stored = await submit('/matching/store/', { openId, nickName: EVIL, avatarUrl: 'javascript:window.hacked=1', gender: '1', province: '上海', city: EVIL, country: '中国' });
  assert.deepEqual([stored.bad, stored.body], [false, { status: 'success' }]);
  const written = await submit('/matching/', { openId, title: EVIL, content: `今天很开心\n${EVIL}` });
  assert.deepEqual([written.bad, written.body.status], [false, 'success']);
  const all = await submit('/matching/get_user_diary/', { openId });
  const { diary_id, title } = all.body.data.diaries[0];
  assert.equal(title, EVIL);
  assert.ok((await page.locator('#answer .notes').innerText()).includes(EVIL), 'the title shows as it was written');
  assert.equal(await page.locator('#answer img, #answer script, #answer b').count(), 0, 'and is no markup');
  const user = await submit('/matching/get_user/', { openId });
  assert.deepEqual([user.body.data.user.nickName, user.body.data.user.city, user.body.data.diaries.length], [EVIL, EVIL, 1]);
  await page.locator('#answer .notes a').first().click();                /* the title leads to the diary */
  await page.waitForURL(/get_diary\/\?diaryId=/);
  assert.equal(await page.locator('#call [name=diaryId]').inputValue(), diary_id);
  await page.locator('#call button[type=submit]').click();
  await page.locator('#answer.shown pre').waitFor();
  assert.ok((await page.locator('#answer pre').innerText()).includes('今天很开心'));
  await unharmed();
  const edited = await submit('/matching/alt_diary/', { diaryId: diary_id, title: '改过', content: '今天很难过' });
  assert.equal(edited.bad, false, JSON.stringify(edited.body));
  assert.equal((await submit('/matching/get_diary/', { diaryId: diary_id })).body.data.diary.title, '改过');
  assert.equal((await submit('/matching/delete_diary/', { diaryId: diary_id })).body.status, 'success');
  const missing = await submit('/matching/get_diary/', { diaryId: diary_id });
  assert.deepEqual([missing.bad, missing.body.status], [true, 'fail']);
  assert.equal(await page.locator('#answer .error').innerText(), missing.body.msg);
  browser.quiet();
});

test('two people are matched, find their room and part, by the forms', async () => {
  const happy = '今天和朋友去爬山，一路笑个不停，真的好开心！';
  const people = ['pair-1', 'pair-2', 'pair-3'];
  let match;
  for (const openId of people) match ??= (await submit('/matching/', { openId, title: '', content: happy })).body.data.match && openId;
  assert.ok(match, 'equal feelings must match');
  const { body } = await submit('/matching/get_pair/', { openId: match });
  await page.locator('#answer .notes a').click();
  await page.waitForURL(new RegExp(`/matching/room/${body.data.pair_id}/`));
  assert.deepEqual((await submit('/matching/get_history/', { pair_id: body.data.pair_id })).body.data.messages, []);
  assert.equal((await submit('/matching/depair/', { openId: match })).body.status, 'success');
  assert.equal((await submit('/matching/get_pair/', { openId: match })).bad, true);
  browser.quiet();
});

test('a login code of the sandbox makes one somebody in this tab', async () => {
  const tab = await browser.page();
  const { body } = await submit('/matching/get_openId/', { js_code: 'demo-browser' }, tab);
  await open('/matching/get_user/', tab);
  assert.equal(await tab.locator('#call [name=openId]').inputValue(), body.data.openId);
  assert.equal((await submit('/matching/get_openId/', { js_code: EVIL }, tab)).bad, true);
  assert.equal(await page.evaluate(() => sessionStorage.getItem('weir.openId')) === body.data.openId, false, 'another tab is another person');
  await tab.close();
  browser.quiet();
});

test('an image is uploaded, shown small, and opens', async () => {
  const file = { name: `猫 ${'x'.repeat(5)}<b>.png`, mimeType: 'image/png', buffer: png(64, 48) };
  const { body, bad } = await submit('/matching/upload_img/', { img: file });
  assert.equal(bad, false, JSON.stringify(body));
  const shown = page.locator('#answer .notes img');
  await shown.waitFor();
  await page.waitForFunction(() => document.querySelector('#answer .notes img').complete);
  assert.ok(await shown.evaluate((img) => img.naturalWidth) > 0, 'the browser can show it');
  const again = await submit('/matching/show_img/', { img_name: body.data.image.name });
  assert.equal(again.body.data.image.photourl, body.data.image.photourl);
  await page.locator('#answer .notes a').click();
  await page.waitForURL(/\/upload\//);
  assert.ok(browser.complaints.splice(0).every((one) => /inline style violates/.test(one)), 'an image alone is shown by a page of chromium\'s, whose styles the image\'s policy forbids');
  const refused = await submit('/matching/upload_img/', { img: { name: 'a.png', mimeType: 'image/png', buffer: Buffer.from('<script>window.hacked = 1</script>') } });
  assert.deepEqual([refused.bad, refused.body.status], [true, 'fail']);
  browser.quiet();
});

async function enter(room, openId) {
  const tab = await browser.page();
  await open('/matching/select_chat_room/', tab);
  await tab.locator('#room-name-input').fill(room);
  await tab.locator('#room-name-submit').click();
  await tab.locator('#chat-state.on').waitFor();
  await tab.locator('#openId').fill(openId);
  return tab;
}
const say = async (tab, text) => { await tab.locator('#chat-message-input').fill(text); await tab.locator('#chat-message-input').press('Enter'); };
const heard = (tab, text) => tab.waitForFunction((part) => document.getElementById('chat-log').value.includes(part), text);

test('two pages chat in a room, and who comes later reads what was said', async () => {
  for (const openId of ['chat-a', 'chat-b']) await weir.form('/matching/emotion/', { openId, title: '', content: '平常的一天' });
  const [a, b] = [await enter('大厅', 'chat-a'), await enter('大厅', 'chat-b')];
  await say(a, '你好，在吗？');
  for (const tab of [a, b]) await heard(tab, 'chat-a: 你好，在吗？');
  await say(b, `在的 ${EVIL}`);
  for (const tab of [a, b]) await heard(tab, `chat-b: 在的 ${EVIL}`);
  await b.locator('#chat-message-input').fill('按钮也行');
  await b.locator('#chat-message-submit').click();
  await heard(a, '按钮也行');
  const late = await enter('大厅', 'chat-b');
  await heard(late, '按钮也行');
  assert.deepEqual((await late.locator('#chat-log').inputValue()).split('\n').filter(Boolean).map((line) => line.replace(/^\S+ /, '')), ['chat-a: 你好，在吗？', `chat-b: 在的 ${EVIL}`, 'chat-b: 按钮也行']);
  await say(late, ' ');
  for (const tab of [a, b, late]) { await unharmed(tab); await tab.close(); }
  browser.quiet();
});

test('a room may be called anything that fits into a path', async () => {
  for (const room of ['<script>window.hacked=1<script>', '"><svg onload=window.hacked=1>', '100% & + ?#;=', '房间 1', "'-alert(1)-'", '&quot;&lt;', '{{1}}${1}`']) {
    await weir.form('/matching/emotion/', { openId: 'chat-a', title: '', content: '平常的一天' });
    const tab = await enter(room, 'chat-a');
    assert.ok((await tab.locator('h1').innerText()).includes(room), room);
    assert.equal(await tab.locator('#chat').getAttribute('data-room'), room);
    await say(tab, `说在 ${room}`);
    await heard(tab, `chat-a: 说在 ${room}`);
    await unharmed(tab);
    await tab.reload();
    await heard(tab, `chat-a: 说在 ${room}`);
    await unharmed(tab);
    await tab.close();
  }
  browser.quiet();
});

test('a room with a slash in its name is refused, and its name is no markup', async () => {
  for (const room of ['</script><script>window.hacked=1</script>', '</textarea></h1><img src=x onerror=window.hacked=1>', '../../etc']) {
    const tab = await browser.page();
    await open('/matching/select_chat_room/', tab);
    await tab.locator('#room-name-input').fill(room);
    const [reply] = await Promise.all([tab.waitForResponse(/\/matching\/room\//), tab.locator('#room-name-submit').click()]);
    assert.equal(reply.status(), 400);
    await tab.waitForURL(/\/matching\/room\//);
    assert.equal(JSON.parse(await tab.locator('pre').innerText()).status, 'fail');
    await unharmed(tab);
    await tab.close();
  }
  browser.complaints.splice(0);                                          /* chromium shows JSON by a page of its own, with styles */
});

test('a chat that lost its connection takes it up again and misses nothing', async () => {
  await weir.form('/matching/emotion/', { openId: 'chat-a', title: '', content: '平常的一天' });
  const tab = await enter('断线', 'chat-a');
  await say(tab, '之前');
  await heard(tab, '之前');
  await browser.context.setOffline(true);
  await tab.evaluate(() => dispatchEvent(new Event('online')));          /* tries at once, in vain */
  await tab.locator('#chat-state.off').waitFor();
  await weir.form('/matching/send_message_via_http/', { pair_id: '断线', openId: 'chat-a', content: '期间' });
  await browser.context.setOffline(false);
  await heard(tab, '期间');
  await tab.locator('#chat-state.on').waitFor();
  await say(tab, '之后');
  await heard(tab, '之后');
  assert.deepEqual((await tab.locator('#chat-log').inputValue()).match(/之前|期间|之后/g), ['之前', '期间', '之后']);
  await tab.close();
  browser.complaints.splice(0);                                          /* chromium complains about the lost connection, and so it may */
});

test('the phone: people, a login code, a consent, a new person, the log', async () => {
  const tab = await browser.page();
  await tab.goto(weir.sandbox);
  await tab.locator('#main .row').first().waitFor();
  assert.ok(await tab.locator('#main .row').count() > 100);
  await tab.locator('.search input').fill('卡萝');
  assert.equal(await tab.locator('#main .row').count(), 1);
  await tab.locator('#main .row').click();
  await tab.locator('#sheet button.main').click();
  const code = await tab.locator('#sheet code').innerText();
  const { data } = (await weir.get('/matching/get_openId_action/', { js_code: code })).body;
  assert.ok(data.openId, JSON.stringify(data));
  await tab.locator('#sheet input[type=number]').fill('3');
  await tab.locator('#sheet input[maxlength="64"]').fill('tmpl-1');
  await tab.locator('#sheet section button', { hasText: '允许' }).click();
  await tab.locator('#sheet p.soft', { hasText: 'tmpl-1' }).waitFor();
  await tab.keyboard.press('Escape');
  assert.equal(await tab.locator('#sheet').isHidden(), true);
  await tab.locator('#add').click();
  await tab.locator('#sheet input').nth(0).fill('zoe');
  await tab.locator('#sheet input').nth(1).fill('<img src=x onerror=window.hacked=1>');
  await tab.locator('#sheet button.main').click();
  await tab.locator('#sheet').waitFor({ state: 'hidden' });
  await tab.locator('.search input').fill('zoe');
  assert.equal(await tab.locator('#main .row').count(), 1);
  assert.ok((await tab.locator('#main .row').innerText()).includes('<img src=x onerror=window.hacked=1>'), 'a nickname is text');
  await tab.locator('#nav button').nth(2).click();
  await tab.locator('#main .item', { hasText: 'jscode2session' }).first().waitFor();
  await tab.locator('#nav button').nth(1).click();
  await tab.locator('#main .empty').waitFor();
  await tab.locator('#reset').click();
  await tab.locator('#nav button').nth(0).click();
  await tab.locator('.search input').fill('zoe');
  await tab.waitForFunction(() => document.querySelectorAll('#main .row').length === 0);
  await unharmed(tab);
  await tab.close();
  browser.quiet();
});

test('without scripts the forms are plain forms; in English everything is English', async () => {
  const plain = await startBrowser([new URL(weir.url).origin], { javaScriptEnabled: false, locale: 'en-US' });
  const tab = await plain.page();
  await open('/matching/', tab);
  assert.equal(await tab.locator('html').getAttribute('lang'), 'en');
  assert.doesNotMatch(await tab.locator('body').innerText(), /[\u4e00-\u9fff]/);
  await tab.locator('[name=openId]').fill('no-script');
  await tab.locator('[name=content]').fill('今天很开心');
  await tab.locator('button[type=submit]').click();
  await tab.waitForURL(/emotion/);
  assert.equal(JSON.parse(await tab.locator('pre').innerText()).status, 'success');
  await open('/matching/room/hall/', tab);
  assert.ok(await tab.locator('#chat').count() === 1);
  plain.quiet();
  await plain.stop();
});
