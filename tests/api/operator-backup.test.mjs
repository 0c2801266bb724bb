// Backups beside a running server: what was acknowledged before one began is in it, whatever is written meanwhile; one that is damaged is found, whatever was damaged; and nothing half ever has the final name.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { png } from '../lib/pictures.mjs';
import { program, runWeir, startSandbox, startServe, temporaryFolder } from '../lib/weir.mjs';

const IMAGES = 5;
let wechat, weir, scratch, good, ids, pictures;

const login = async (server, person) => (await server.get('/matching/get_openId_action/', { js_code: `demo-${person}` })).body.data;
const write = (server, openId, content) => server.form('/matching/emotion/', { openId, title: 't', content });
const contents = async (server, openId) => (await server.get('/api/diary/export', { openId })).body.data.diaries.map((diary) => diary.content);
const backup = (to, folder = weir.folder, options) => runWeir(['backup', to, '--data', folder], options);
const verify = (folder) => runWeir(['backup', '--verify', folder]);
const restore = (from, to, options) => runWeir(['restore', from, '--data', to], options);
let numbers = 0;
const fresh = () => path.join(scratch, `x${++numbers}`);
const files = (folder) => readdirSync(folder, { recursive: true }).filter((name) => statSync(path.join(folder, name)).isFile()).sort();

before(async () => {
  scratch = temporaryFolder();
  wechat = await startSandbox();
  weir = await startServe({ 'diary.access': 'handle' }, { wechat });
  ids = (await login(weir, 'ann')).openId;
  pictures = [];
  for (let i = 0; i < IMAGES; i++) {
    const { body } = await weir.multipart('/matching/upload_img_action/', [{ name: 'openId', value: ids }, { name: 'img', filename: `p ${i}.png`, type: 'image/png', bytes: png(20 + i, 20) }]);
    pictures.push(body.data.image.name);
  }
  assert.equal((await write(weir, ids, '第一篇')).status, 200);
  good = path.join(scratch, 'good');
  const done = backup(good);
  assert.equal(done.status, 0, done.err);
});
after(async () => { await weir.stop(); await wechat.stop(); rmSync(scratch, { recursive: true, force: true }); });

test('a backup is a folder of 700 with database, images, key and manifest, and nothing else', () => {
  assert.equal(statSync(good).mode & 0o777, 0o700);
  const expected = ['MANIFEST', 'secret.key', 'weir.db', ...pictures.flatMap((name) => [`upload/${name}`, `upload/thumb/${name}`])].sort();
  assert.deepEqual(files(good), expected);
  for (const name of expected) assert.equal(statSync(path.join(good, name)).mode & 0o777, 0o600, name);
  const manifest = readFileSync(path.join(good, 'MANIFEST'), 'utf8').split('\n');
  for (const name of expected.slice(1)) {
    const bytes = readFileSync(path.join(good, name));
    assert.ok(manifest.includes(`file ${createHash('sha256').update(bytes).digest('hex')} ${bytes.length} ${name}`), name);
  }
  assert.deepEqual(readFileSync(path.join(good, 'secret.key')), readFileSync(path.join(weir.folder, 'secret.key')));
  assert.deepEqual(readdirSync(path.join(weir.folder, 'tmp')), [], 'the copy that the server made is gone');
  assert.equal(verify(good).status, 0);
  assert.equal(verify(`${good}/`).status, 0);
});

test('all that was acknowledged before it began is in it, while others go on writing', async () => {
  const authors = [];
  for (let i = 0; i < 4; i++) authors.push({ id: (await login(weir, `load${i}`)).openId, said: [] });
  let going = true;
  const load = authors.map(async (author, k) => {
    for (let i = 0; going; i++) {
      const content = `负载 ${k} ${i}`;
      assert.equal((await write(weir, author.id, content)).status, 200);
      author.said.push(content);
    }
  });
  while (authors.some((author) => author.said.length < 10)) await new Promise((resolve) => { setImmediate(resolve); });
  const to = fresh();
  const before = authors.map((author) => [...author.said]);
  const child = spawn(program, ['backup', to, '--data', weir.folder], { stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.on('data', (text) => { err += text; });
  assert.equal(await new Promise((resolve) => child.on('close', resolve)), 0, err);
  const written = authors.reduce((n, author, k) => n + author.said.length - before[k].length, 0);
  going = false;
  await Promise.all(load);
  assert.ok(written > 0, 'something was written meanwhile');
  const data = fresh();
  assert.equal(restore(to, data).status, 0);
  assert.equal(statSync(data).mode & 0o777, 0o700);
  const second = await startServe({ 'diary.access': 'handle' }, { folder: data, wechat });
  for (const [k, author] of authors.entries()) {
    const there = await contents(second, author.id);            /* the old handle: so the key came along */
    assert.deepEqual(there.slice(0, before[k].length), before[k]);
    assert.deepEqual(there, author.said.slice(0, there.length), 'a prefix of what was said: nothing out of order');
  }
  for (const name of pictures) assert.equal((await second.request('GET', `/upload/${encodeURIComponent(name)}/`)).status, 200);
  assert.equal((await write(second, ids, '恢复之后')).status, 200);
  await second.stop();
});

test('without a server it is the same, and the data directory stays as it was', async () => {
  const data = fresh(), to = fresh();
  assert.equal(restore(good, data).status, 0);
  const done = backup(to, data);
  assert.equal(done.status, 0, done.err);
  assert.deepEqual(files(to), files(good));
  assert.equal(verify(to).status, 0);
  assert.deepEqual(readdirSync(path.join(data, 'tmp')), []);
  const again = fresh();
  assert.equal(restore(to, again).status, 0);
  const server = await startServe({ 'diary.access': 'handle' }, { folder: again, wechat });
  assert.deepEqual(await contents(server, ids), ['第一篇']);
  await server.stop();
});

test('two at once are both whole', async () => {
  const places = [fresh(), fresh()];
  const codes = await Promise.all(places.map((to) => new Promise((resolve) => { spawn(program, ['backup', to, '--data', weir.folder], { stdio: 'ignore' }).on('close', resolve); })));
  assert.deepEqual(codes, [0, 0]);
  for (const to of places) assert.equal(verify(to).status, 0);
});

/* ---- damage ---- */

function damaged(change) {
  const copy = fresh();
  cpSync(good, copy, { recursive: true });
  change(copy);
  return copy;
}
const flip = (file, at) => { const bytes = readFileSync(file); bytes[at < 0 ? bytes.length + at : at] ^= 1; writeFileSync(file, bytes); };
function found(copy, pattern) {
  const done = verify(copy);
  assert.equal(done.status, 1, done.out);
  assert.match(done.err, pattern);
  const to = fresh();
  assert.equal(restore(copy, to).status, 1, 'and it is not restored');
  assert.ok(!existsSync(to));
}

test('every kind of damage is found and named', () => {
  const image = pictures[2];
  for (const name of ['secret.key', `upload/${image}`, `upload/thumb/${image}`, 'weir.db'])
    found(damaged((copy) => flip(path.join(copy, name), 40 % statSync(path.join(copy, name)).size)), new RegExp(`${name}: was changed`));
  found(damaged((copy) => unlinkSync(path.join(copy, `upload/${image}`))), /is missing/);
  found(damaged((copy) => truncateSync(path.join(copy, 'weir.db'), 4096)), /weir\.db: is shorter/);
  found(damaged((copy) => writeFileSync(path.join(copy, 'upload', 'more.png'), 'x')), /more\.png: is not in the manifest/);
  found(damaged((copy) => unlinkSync(path.join(copy, 'MANIFEST'))), /MANIFEST: .*no backup/);
  for (const at of [0, 20, 60, -3]) found(damaged((copy) => flip(path.join(copy, 'MANIFEST'), at)), /MANIFEST: damaged/);
  found(damaged((copy) => truncateSync(path.join(copy, 'MANIFEST'), 100)), /MANIFEST: damaged/);
});

/** The manifest written anew for what is there now: a liar who can compute hashes. */
function sign(copy, edit = (lines) => lines) {
  const lines = edit(readFileSync(path.join(copy, 'MANIFEST'), 'utf8').split('\n').slice(0, -2)).map((line) => {
    const [, name] = /^file \S+ \S+ (.*)$/.exec(line) ?? [];
    if (!name || !existsSync(path.join(copy, name))) return line;
    const bytes = readFileSync(path.join(copy, name));
    return `file ${createHash('sha256').update(bytes).digest('hex')} ${bytes.length} ${name}`;
  });
  const text = `${lines.join('\n')}\n`;
  writeFileSync(path.join(copy, 'MANIFEST'), `${text}end ${createHash('sha256').update(text).digest('hex')}\n`);
}

test('a database that is damaged is found though its hash is right', () => {
  found(damaged((copy) => { const file = path.join(copy, 'weir.db'), bytes = readFileSync(file); bytes.fill(0xa5, 4096, 4096 * 3); writeFileSync(file, bytes); sign(copy); }), /weir\.db: /);
  found(damaged((copy) => { writeFileSync(path.join(copy, 'weir.db'), 'no database at all'); sign(copy); }), /weir\.db: is no database/);
  found(damaged((copy) => { unlinkSync(path.join(copy, `upload/${pictures[0]}`)); sign(copy, (lines) => lines.filter((line) => !line.endsWith(` upload/${pictures[0]}`))); }), /is named by the database, but not in the backup/);
  found(damaged((copy) => { unlinkSync(path.join(copy, 'secret.key')); sign(copy, (lines) => lines.filter((line) => !line.endsWith(' secret.key'))); }), /secret\.key: is not in the manifest/);
});

test('a manifest cannot lead out of the folder', () => {
  const hash = createHash('sha256').update('x').digest('hex');
  for (const name of ['../outside', '/etc/passwd', 'upload/../../outside', 'upload//x', './x', 'zz\u0007'])
    found(damaged((copy) => sign(copy, (lines) => [...lines, `file ${hash} 1 ${name}`])), /MANIFEST: damaged/);
  assert.ok(!existsSync(path.join(scratch, 'outside')));
});

/* ---- what is not there, what is in the way ---- */

test('an image that is gone is told, and is no error', () => {
  const data = fresh(), to = fresh();
  assert.equal(restore(good, data).status, 0);
  unlinkSync(path.join(data, 'upload', pictures[1]));
  const done = backup(to, data);
  assert.equal(done.status, 0, done.err);
  assert.match(done.out, /1 files that the database names were not there/);
  assert.ok(readFileSync(path.join(to, 'MANIFEST'), 'utf8').includes(`missing upload/${pictures[1]}\n`));
  const looked = verify(to);
  assert.equal(looked.status, 0, looked.err);
  assert.match(looked.out, /1 files/);
});

test('a failure leaves nothing, and what is there is not touched', () => {
  const inside = fresh();
  mkdirSync(inside);
  writeFileSync(path.join(inside, 'mine'), 'x');
  assert.match(backup(inside).err, /is there already/);
  assert.deepEqual(readdirSync(inside), ['mine']);
  assert.match(backup(path.join(scratch, 'no', 'such', 'place')).err, /cannot make a folder/);
  const data = fresh(), room = fresh();
  assert.equal(restore(good, data).status, 0);
  mkdirSync(room);
  chmodSync(path.join(data, 'secret.key'), 0o600);
  unlinkSync(path.join(data, 'secret.key'));
  assert.equal(backup(path.join(room, 'b'), data).status, 1);
  assert.deepEqual(readdirSync(room), []);
  assert.equal(backup(path.join(room, 'b'), path.join(scratch, 'nowhere')).status, 1);
  assert.deepEqual(readdirSync(room), []);
  assert.match(restore(good, inside).err, /not empty/);
  assert.deepEqual(readdirSync(inside), ['mine']);
  const empty = fresh();
  mkdirSync(empty, { mode: 0o755 });
  assert.equal(restore(good, empty).status, 0);
  assert.equal(statSync(empty).mode & 0o777, 0o700);
  assert.equal(runWeir(['backup']).status, 2);
  assert.equal(runWeir(['restore', '--data', fresh()]).status, 2);
});

test('one that is stopped has not the final name', async () => {
  const room = fresh();
  mkdirSync(room);
  const child = spawn(program, ['backup', path.join(room, 'b'), '--data', weir.folder], { stdio: 'ignore' });
  const closed = new Promise((resolve) => child.on('close', resolve));
  while (child.exitCode === null && !readdirSync(room).length) await new Promise((resolve) => { setImmediate(resolve); });
  child.kill('SIGTERM');
  const code = await closed;
  assert.deepEqual(readdirSync(room), code === 0 ? ['b'] : [], `ended with ${code}`);
  if (code === 0) assert.equal(verify(path.join(room, 'b')).status, 0);
});

test('a key out of the settings is not in the backup, and it says so', async () => {
  const data = fresh(), to = fresh(), env = { WEIR_SERVER_SECRET_KEY: 'a secret of the settings, which is long enough' };
  const own = await startServe({ 'diary.access': 'handle' }, { folder: data, wechat, env });
  const { openId } = await login(own, 'kim');
  assert.equal((await write(own, openId, '密')).status, 200);
  const done = backup(to, data);
  await own.stop();
  assert.equal(done.status, 0, done.err);
  assert.match(done.out, /server\.secret_key/);
  assert.ok(!existsSync(path.join(to, 'secret.key')));
  assert.equal(verify(to).status, 0);
  const again = fresh();
  assert.equal(restore(to, again).status, 0);
  const second = await startServe({ 'diary.access': 'handle' }, { folder: again, wechat, env });
  assert.deepEqual(await contents(second, openId), ['密']);
  await second.stop();
});
