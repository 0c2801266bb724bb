// The operator's way in: a Unix socket in the data directory. What exists there only is unknown over TCP, in every method; nobody but the server's user and root gets in; and a sub-command answers the same
// whether a server runs or not.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { ask, operatorRows } from '../lib/operator.mjs';
import { runWeir, startServe, temporaryFolder } from '../lib/weir.mjs';

let weir;
before(async () => { weir = await startServe({ 'diary.access': 'open' }); });
after(async () => { await weir.stop(); });

const STATUS = '/api/operator/status';
const cli = (folder, args = ['GET', STATUS], options) => runWeir(['operator', ...args, '--data', folder], options);
const files = (folder) => readdirSync(folder).sort();
const socketOf = (folder) => path.join(folder, 'weir.sock');

test('what is the operator\'s is unknown over TCP, whatever the method', async () => {
  const routes = operatorRows().flatMap((row) => row.routes);
  assert.ok(routes.length >= 1);
  for (const { path: pattern } of routes) {
    const target = pattern.replace(/\{[^}]*\}/g, '1');
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const [here, unknown] = await Promise.all([target, `${target.split('/').slice(0, 3).join('/')}/nothing-of-the-kind`].map((one) => weir.request(method, one, { headers: { Origin: 'https://a.example', 'Access-Control-Request-Method': 'GET' } })));
      const visible = ({ status, headers, text }) => [status, text, Object.entries(headers).filter(([name]) => !['date', 'x-request-id'].includes(name))];
      assert.deepEqual(visible(here), visible(unknown), `${method} ${target}`);
      assert.equal(here.status, 404);
    }
  }
});

test('nor does another spelling of its address, or a header, bring anybody there over TCP', async () => {
  const headers = ['', 'X-Forwarded-For: unix\r\nX-Real-IP: unix\r\nForwarded: for=unix\r\nX-Original-URL: /api/operator/status\r\nX-Rewrite-URL: /api/operator/status\r\n', 'X-HTTP-Method-Override: GET\r\n',
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'];
  for (const target of operatorRows().flatMap((row) => row.routes).map((route) => route.path.replace(/\{[^}]*\}/g, '1')))
    for (const spelled of [target, `${target}/`, `http://localhost${target}`, `http://weir.sock${target}`, `/${target}`, `/.${target}`, `/x/..${target}`, target.replace('/api/', '/api//'), target.replace('/api/', '/api/./'), target.replace('/api/', '/api%2F'), target.replace('/api', '/%61pi'), `${target}?x`, `${target};x`, `${target}%00`, `${target}%2f`, target.toUpperCase()])
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
        const more = headers[(spelled.length + method.length) % headers.length];
        const answer = await new Promise((resolve, reject) => {
          const socket = net.connect(weir.port, '127.0.0.1', () => socket.write(`${method} ${spelled} HTTP/1.1\r\nHost: localhost\r\n${/Connection/.test(more) ? '' : 'Connection: close\r\n'}${/^P/.test(method) ? 'Content-Length: 0\r\n' : ''}${more}\r\n`));
          let text = '';
          socket.setEncoding('utf8').on('data', (piece) => { text += piece; if (text.includes('\r\n\r\n')) socket.destroy(); }).on('close', () => resolve(text)).on('error', reject);
        });
        assert.match(answer, /^HTTP\/1\.1 40[04] /, `${method} ${spelled}`);
      }
});

test('it is listed as the operator\'s by `weir routes`, and not in the OpenAPI document', () => {
  const listed = runWeir(['routes']).out.split('\n');
  const document = runWeir(['openapi', '--debug']).out;
  for (const row of operatorRows()) {
    assert.match(listed.find((line) => line.includes(` ${row.name} `)) ?? '', / operator /, row.name);
    assert.ok(!document.includes(`"${row.name}"`) && row.routes.every((route) => !document.includes(`"${route.path}"`)), row.name);
  }
});

test('on the socket it answers; everything else there is as for anybody', async () => {
  assert.equal(statSync(socketOf(weir.folder)).mode & 0o777, 0o600);
  const { body } = await ask(weir.folder, 'GET', STATUS);
  assert.deepEqual(body.data, { version: body.data.version, data: weir.folder, who: 'operator', pid: weir.pid });
  assert.equal((await ask(weir.folder, 'POST', STATUS)).status, 405);
  assert.equal((await ask(weir.folder, 'GET', '/api/nothing')).status, 404);
  assert.equal((await ask(weir.folder, 'GET', '/metrics')).status, 200);
  const said = (reply) => [reply.status, reply.body];
  for (const target of ['/matching/get_user_action/?openId=nobody', '/api/diary/me?openId=nobody', '/matching/get_user_action/', '/healthz'])
    assert.deepEqual(said(await ask(weir.folder, 'GET', target)), said(await weir.request('GET', target)), target);
});

test('an ordinary row on the socket does not know an operator', async () => {
  const own = await startServe({ 'diary.access': 'handle' });
  const reply = await ask(own.folder, 'GET', '/api/diary/me');
  assert.deepEqual([reply.status, reply.body], [(await own.get('/api/diary/me')).status, (await own.get('/api/diary/me')).body]);
  assert.ok(reply.status >= 400);
  await own.stop();
});

test('limits of rate and connections are not the operator\'s', async () => {
  const own = await startServe({ 'diary.access': 'open', 'server.rate': '1', 'server.per_address': '1' });
  const { status } = await own.plain('GET', '/matching/get_user_action/?openId=x');
  assert.equal(status, 404);
  for (let i = 0; i < 20; i++) assert.equal((await ask(own.folder, 'GET', STATUS)).status, 200);
  const ordinary = await Promise.all([...Array(20)].map(() => ask(own.folder, 'GET', '/matching/get_user_action/?openId=x')));
  assert.ok(ordinary.some((reply) => reply.status === 429), 'an ordinary row has its rate there too');
  await own.stop();
});

test('a sub-command says the same with a server and without, and leaves nothing behind', async () => {
  const folder = temporaryFolder();
  const own = await startServe({}, { folder });
  const beside = cli(folder);
  assert.equal(beside.status, 0, beside.err);
  assert.equal(JSON.parse(beside.out).data.pid, own.pid);
  await own.stop({ keep: true });
  const before = files(folder);
  assert.ok(!before.includes('weir.sock'), 'the socket goes with the server');
  const alone = cli(folder);
  assert.equal(alone.status, 0, alone.err);
  assert.equal(alone.err, '');
  const same = (text) => ({ ...JSON.parse(text).data, pid: 0 });
  assert.deepEqual(same(alone.out), same(beside.out));
  assert.notEqual(JSON.parse(alone.out).data.pid, own.pid);
  assert.deepEqual(files(folder), before);
});

test('several sub-commands at once, without a server, wait for one another', async () => {
  const folder = temporaryFolder();
  await (await startServe({}, { folder })).stop({ keep: true });
  const all = await Promise.all([...Array(4)].map(() => new Promise((resolve) => {
    const child = spawn(process.env.WEIR_TEST_PROGRAM ?? weir.child.spawnfile, ['operator', 'GET', STATUS, '--data', folder], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '', err = '';
    child.stdout.on('data', (text) => { out += text; });
    child.stderr.on('data', (text) => { err += text; });
    child.on('close', (code) => resolve({ code, out, err }));
  })));
  for (const { code, out, err } of all) assert.deepEqual([code, JSON.parse(out || '{}').errcode], [0, 0], err);
  assert.ok(!existsSync(socketOf(folder)));
});

test('a server that was killed leaves a socket, which is replaced', async () => {
  const folder = temporaryFolder();
  const first = await startServe({}, { folder });
  await first.stop({ signal: 'SIGKILL', keep: true });
  assert.ok(existsSync(socketOf(folder)));
  const alone = cli(folder);
  assert.equal(alone.status, 0, alone.err);
  assert.ok(!existsSync(socketOf(folder)));
  const second = await startServe({}, { folder });
  await second.stop({ signal: 'SIGKILL', keep: true });
  const third = await startServe({}, { folder });
  assert.equal((await ask(folder, 'GET', STATUS)).body.data.pid, third.pid);
  await third.stop({ keep: true });
  assert.ok(!existsSync(socketOf(folder)));
});

test('a second server that is refused leaves the socket to the first', async () => {
  assert.equal(runWeir(['serve', '--listen', '127.0.0.1:0', '--data', weir.folder]).status, 1);
  assert.equal((await ask(weir.folder, 'GET', STATUS)).body.data.pid, weir.pid);
});

test('a data directory deeper than a socket\'s address has one too', async () => {
  const deep = path.join(temporaryFolder(), 'd'.repeat(120));
  mkdirSync(deep, { mode: 0o700 });
  const own = await startServe({}, { folder: deep });
  const done = cli(deep);
  assert.equal(done.status, 0, done.err);
  assert.equal(JSON.parse(done.out).data.pid, own.pid);
  await own.stop({ keep: true });
  assert.ok(!existsSync(path.join(deep, 'weir.sock')));
  assert.equal(cli(deep).status, 0);
});

test('what is no data directory is told, and nothing is made', () => {
  const scratch = temporaryFolder();
  const missing = path.join(scratch, 'missing');
  for (const [folder, told] of [[missing, /there is no data directory/], [scratch, /there is no weir\.db/]]) {
    const done = cli(folder);
    assert.equal(done.status, 1);
    assert.match(done.err, told);
  }
  assert.deepEqual(readdirSync(scratch), []);
  assert.match(runWeir(['operator', 'GET', STATUS]).err, /--data DIR/);
});

test('what is asked wrongly ends with 2, what is refused with 1, in the terminal\'s language', () => {
  assert.equal(cli(weir.folder, ['GET']).status, 2);
  assert.equal(cli(weir.folder, ['GET', STATUS, '--bdoy', 'x']).status, 2);
  assert.equal(cli(weir.folder, ['GET', 'status']).status, 1);
  const english = cli(weir.folder, ['GET', '/api/nothing'], { env: { LC_ALL: '', LC_MESSAGES: '', LANG: 'en_US.UTF-8' } });
  const chinese = cli(weir.folder, ['GET', '/api/nothing'], { env: { LC_ALL: '', LC_MESSAGES: '', LANG: 'zh_CN.UTF-8' } });
  assert.deepEqual([english.status, english.err], [1, 'weir operator: there is nothing at this address\n']);
  assert.deepEqual([chinese.status, chinese.err], [1, 'weir operator: 没有这个地址\n']);
});

test('a lock that is held while nobody answers is waited for, then told', (t) => {
  if (spawnSync('flock', ['--version']).status !== 0) return t.skip('no flock(1)');
  const folder = temporaryFolder();
  writeFileSync(path.join(folder, 'weir.db'), '');
  writeFileSync(path.join(folder, 'lock'), '');
  const done = spawnSync('flock', [path.join(folder, 'lock'), weir.child.spawnfile, 'operator', 'GET', STATUS, '--data', folder], { encoding: 'utf8' });
  assert.equal(done.status, 1);
  assert.match(done.stderr, /starting or stopping/);
  return undefined;
});

test('a server that is started while a sub-command is the server waits for it', async (t) => {
  if (spawnSync('flock', ['--version']).status !== 0) return t.skip('no flock(1)');
  const folder = temporaryFolder();
  await (await startServe({}, { folder })).stop({ keep: true });
  const lock = path.join(folder, 'lock');
  const holding = async (text) => {
    writeFileSync(lock, text);
    const holder = spawn('flock', [lock, 'sh', '-c', 'echo held; exec cat'], { stdio: ['pipe', 'pipe', 'ignore'] });
    await new Promise((resolve) => { holder.stdout.once('data', resolve); });
    return holder;
  };
  const other = await holding('');
  const second = runWeir(['serve', '--listen', '127.0.0.1:0', '--data', folder]);
  assert.deepEqual([second.status, /another Weir is running/.test(second.err)], [1, true], 'for a server it does not wait');
  other.stdin.end();
  await new Promise((resolve) => { other.once('close', resolve); });
  const holder = await holding('s');
  const child = spawn(weir.child.spawnfile, ['serve', '--listen', '127.0.0.1:0', '--data', folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = new Promise((resolve) => { child.once('close', resolve); });
  let err = '', out = '';
  const ready = new Promise((resolve) => { child.stdout.on('data', (text) => { out += text; if (out.includes('ready ')) resolve(); }); closed.then(resolve); });
  await new Promise((resolve) => { child.stderr.on('data', (text) => { err += text; if (err.includes('waiting for it')) resolve(); }); closed.then(resolve); });
  assert.equal(out, '');
  holder.stdin.end();
  await ready;
  assert.match(out, /ready /, err);
  child.kill('SIGTERM');
  assert.equal(await closed, 0);
  return undefined;
});

/** What another user of this machine gets from the socket: "connected", what he reads, or an error's code. */
function stranger(socket) {
  const script = `const s = require('net').connect(${JSON.stringify(socket)}); let got = '';
    s.on('connect', () => { got += 'connected '; s.write('GET ${STATUS} HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'); });
    s.on('data', (b) => { got += b; s.end(); }); s.on('error', (e) => { got += e.code; }); s.on('close', () => console.log(got.trim()));`;
  return spawnSync(process.execPath, ['-e', script], { uid: 65534, gid: 65534, encoding: 'utf8', timeout: 30_000, cwd: '/' }).stdout.trim();
}

test('another user of the machine does not get in, even if the folder was opened by hand', async (t) => {
  if (process.getuid() !== 0) return t.skip('only root can be somebody else');
  const folder = temporaryFolder();
  const own = await startServe({}, { folder });
  assert.equal(stranger(socketOf(folder)), 'EACCES');
  chmodSync(folder, 0o755);
  assert.equal(stranger(socketOf(folder)), 'EACCES', 'the socket itself is 600');
  chmodSync(socketOf(folder), 0o777);
  assert.match(stranger(socketOf(folder)), /^connected( EPIPE| ECONNRESET)?$/, 'cut off without an answer');
  assert.equal((await ask(folder, 'GET', STATUS)).status, 200);
  await own.stop();
  return undefined;
});

test('root does not become a server in somebody else\'s folder', async (t) => {
  if (process.getuid() !== 0) return t.skip('only root can give a folder away');
  const folder = temporaryFolder();
  await (await startServe({}, { folder })).stop({ keep: true });
  spawnSync('chown', ['-R', '65534', folder]);
  const before = files(folder);
  const done = cli(folder);
  assert.equal(done.status, 1);
  assert.match(done.err, /belongs to somebody else.*sudo -u '#65534'/);
  assert.deepEqual(files(folder), before);
  return undefined;
});

test('a folder named by a symbolic link is the folder', async () => {
  const scratch = temporaryFolder();
  symlinkSync(weir.folder, path.join(scratch, 'link'));
  assert.equal(JSON.parse(cli(path.join(scratch, 'link')).out).data.pid, weir.pid);
  rmSync(path.join(scratch, 'link'));
});
