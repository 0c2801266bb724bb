// Rows that the loops keep (src/engine/kept.c) are never older than what anybody was told: who changes something and then asks on any connection sees the change.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { after, test } from 'node:test';
import { ask } from '../lib/operator.mjs';
import { startServe } from '../lib/weir.mjs';

const running = [];
after(() => Promise.all(running.map((weir) => weir.stop())));

async function world(more = {}) {
  const weir = await startServe({ 'diary.access': 'open', 'server.loops': '2', 'server.rate': '0', 'server.principal_rate': '0', 'server.per_address': '0', ...more });
  running.push(weir);
  const { hostname, port } = new URL(weir.url);
  /** A client with one connection of its own, which stays on one loop. */
  const client = () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (method, path, params) => new Promise((resolve, reject) => {
      const body = new URLSearchParams(params).toString();
      const sent = request({ hostname, port, agent, method, path: method === 'GET' ? `${path}?${body}` : path, headers: method === 'GET' ? {} : { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': Buffer.byteLength(body) } }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (more) => { text += more; }).on('end', () => resolve({ status: answer.statusCode, body: JSON.parse(text) }));
      });
      sent.on('error', reject).end(method === 'GET' ? '' : body);
    });
    return {
      user: async (openId) => ask('GET', '/matching/get_user_action/', { openId }),
      store: (openId, nickName) => ask('POST', '/matching/store_action/', { openId, nickName, avatarUrl: 'a', gender: '1', province: 'p', city: 'c', country: 'd' }),
      write: (openId, content) => ask('POST', '/matching/emotion/', { openId, title: '', content }),
      depair: (openId) => ask('GET', '/matching/depair_action/', { openId }),
      done: () => agent.destroy(),
    };
  };
  return { weir, client };
}

test('a changed profile is seen at once, on every connection', async () => {
  const { client } = await world();
  const readers = Array.from({ length: 8 }, client);
  const [writer] = readers;
  await writer.store('ann', 'n0');
  for (let round = 1; round <= 150; round++) {
    const name = `n${round}`;
    assert.equal((await writer.store('ann', name)).status, 200);
    for (const seen of await Promise.all(readers.map((c) => c.user('ann')))) assert.equal(seen.body.data.user.nickName, name, `round ${round}`);
  }
  readers.forEach((c) => c.done());
});

test('while somebody writes all the time, nobody reads backwards and nobody misses what was acknowledged', async () => {
  const { client } = await world();
  const writer = client();
  await writer.store('ben', '0');
  let acknowledged = 0, going = true;
  const writing = (async () => {
    for (let n = 1; n <= 400; n++) {
      await writer.store('ben', String(n));
      acknowledged = n;
    }
    going = false;
  })();
  const reading = async () => {
    const reader = client();
    let last = 0;
    while (going) {
      const floor = acknowledged;
      const seen = Number((await reader.user('ben')).body.data.user.nickName);
      assert.ok(seen >= floor, `${seen} read after ${floor} was acknowledged`);
      assert.ok(seen >= last, `${seen} read after ${last}`);
      last = seen;
    }
    reader.done();
  };
  await Promise.all([writing, reading(), reading(), reading(), reading()]);
  writer.done();
});

test('a match and its end are seen by both, whoever was asked for before', async () => {
  const { client } = await world();
  const readers = Array.from({ length: 4 }, client);
  const [writer] = readers;
  for (let round = 0; round < 40; round++) {
    for (const name of ['cat', 'dan']) for (const c of readers) await c.user(name);      /* kept as they were */
    await writer.write('cat', '今天和朋友去爬山，一路笑个不停，真的好开心！');
    await writer.write('dan', '今天和朋友去爬山，一路笑个不停，真的好开心！');
    for (const [name, partner] of [['cat', 'dan'], ['dan', 'cat']])
      for (const c of readers) assert.equal((await c.user(name)).body.data.match.user.openId, partner, `round ${round}`);
    await writer.store('dan', `d${round}`);
    for (const c of readers) assert.equal((await c.user('cat')).body.data.match.user.nickName, `d${round}`, `round ${round}`);
    await writer.depair(round % 2 ? 'cat' : 'dan');
    for (const name of ['cat', 'dan']) for (const c of readers) assert.equal((await c.user(name)).body.data.match, undefined, `round ${round}`);
  }
  readers.forEach((c) => c.done());
});

test('who was banned writes nothing more, on whatever connection, though every loop keeps him as he was; unbanned he does', async () => {
  for (const rehearse of ['false', 'true']) {
    const { weir, client } = await world({ 'debug.rehearse': rehearse });
    const writers = Array.from({ length: 8 }, client);
    const [main] = writers;
    await main.store('eve', 'n');
    let banned = false, changes = 0, going = true, checks = 0;       /* changes: odd while one is under way */
    const hammering = writers.slice(1).map(async (c) => {
      while (going) {
        const before = changes;
        const [written, read] = [await c.write('eve', '今天和朋友去爬山，一路笑个不停，真的好开心！'), await c.user('eve')];
        assert.equal(read.status, 200);
        if (before % 2 || changes !== before) continue;
        assert.equal(written.status, banned ? 403 : 200, `rehearse ${rehearse}, ${checks} before it`);
        checks++;
      }
    });
    for (let round = 0; round < 40; round++) {
      changes++;
      const reply = await ask(weir.folder, 'POST', `/api/diary/moderation/${banned ? 'unban' : 'ban'}`, { form: { openid: 'eve' } });
      assert.equal(reply.status, 200, reply.text);
      banned = !banned;
      changes++;
      for (let n = 0; n < 4; n++) assert.equal((await writers[n].store('eve', `${round}`)).status, banned ? 403 : 200);
    }
    going = false;
    await Promise.all(hammering);
    assert.ok(checks > 40, `${checks}`);
    writers.forEach((c) => c.done());
  }
});
