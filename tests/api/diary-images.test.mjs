// Images: uploading, their addresses and names, what is refused, and serving them as HTTP wants it. The decoders themselves have unit tests and a fuzzer.
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { look, png, sample } from '../lib/pictures.mjs';
import { openRaw } from '../lib/raw.mjs';
import { startDemo, startServe, temporaryFolder } from '../lib/weir.mjs';

let weir;
before(async () => { weir = await startDemo(); });
after(async () => { await weir.stop(); });

const upload = (bytes, filename = 'a.png', { type = 'image/png', to = '/matching/upload_img_action/', on = weir } = {}) =>
  on.multipart(to, [{ name: 'img', filename, type, bytes }, { name: 'img_name', value: 'ignored' }]);
const stored = async (...args) => {
  const reply = await upload(...args);
  assert.equal(reply.status, 200, reply.text);
  return reply.body.data.image;
};
const pathOf = (address) => new URL(address).pathname;
const files = (folder) => readdirSync(path.join(weir.folder, folder)).filter((name) => name !== 'thumb').sort();
/** Nothing of an upload that was refused may stay. */
const unchanged = async (work) => {
  const before = [files('upload'), files('upload/thumb'), files('tmp')];
  await work();
  assert.deepEqual([files('upload'), files('upload/thumb'), files('tmp')], before);
};

test('an upload is answered with the name, the addresses and the size of what was stored', async () => {
  const { name, photourl, thumburl, width, height } = await stored(png(400, 100), 'Screen Shot 1.png');
  assert.deepEqual([width, height], [400, 100]);
  assert.equal(name, 'Screen_Shot_1.png');
  assert.equal(photourl, `${weir.url}/upload/${name}/`);
  const picture = await weir.get(pathOf(photourl));
  assert.equal(picture.headers['content-type'], 'image/png');
  assert.deepEqual(look(picture.bytes), { type: 'png', width: 400, height: 100 });
  const small = look((await weir.get(pathOf(thumburl))).bytes);
  assert.ok(small.width <= 320 && small.width === 4 * small.height, JSON.stringify(small));
});

test('every format that is taken comes back as JPEG or PNG', async () => {
  for (const [kind, type] of [['jpeg', 'jpg'], ['jpeg_progressive', 'jpg'], ['png', 'png'], ['gif', 'png'], ['webp_lossy', 'jpg']]) {
    const image = await stored(sample(kind), `${kind}.bin`, { type: 'application/octet-stream' });
    const got = await weir.get(pathOf(image.photourl));
    assert.equal(look(got.bytes).type, type, kind);
    assert.equal(got.headers['content-type'], type === 'jpg' ? 'image/jpeg' : 'image/png', 'the type is told by the bytes');
    assert.ok(image.name.endsWith(`.${type}`), image.name);
  }
});

test('what is beside the pixels is not stored', async () => {
  const secret = '<script>alert(1)</script> 31.2304N 121.4737E';
  for (const bytes of [png(3, 2, { text: secret }), Buffer.concat([png(3, 2), Buffer.from(secret)])]) {
    const image = await stored(bytes);
    assert.ok(!(await weir.get(pathOf(image.photourl))).bytes.includes('script'));
  }
  const jpeg = sample('jpeg');
  const exif = Buffer.from('\xff\xe1\x00\x20Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0GPS 31N 121E', 'latin1').subarray(0, 34);
  const turned = await stored(Buffer.concat([jpeg.subarray(0, 2), exif, jpeg.subarray(2)]), 'turned.jpg');
  assert.ok(!(await weir.get(pathOf(turned.photourl))).bytes.includes('Exif'));
});

test('equal names do not overwrite each other', async () => {
  const images = await Promise.all([...Array(6)].map((_, i) => stored(png(10 + i, 10), 'same.png')));
  assert.equal(new Set(images.map((image) => image.name)).size, 6);
  for (const [i, image] of images.entries()) assert.equal(look((await weir.get(pathOf(image.photourl))).bytes).width, 10 + i, image.name);
});

test('names of any kind become names of ours', async () => {
  for (const filename of ['../../weir.db', '..', '.', '', '.htaccess', 'a/b\\\\c.png', '照片 1.jpeg', 'a.html', 'a.png.svg', 'x'.repeat(300), '%2e%2e%2f', 'a;b&c=d?e#f.png']) {
    const image = await stored(png(2, 2), filename);
    assert.doesNotMatch(image.name, /[/\\ ?#&;%<>]|^\./, filename);
    assert.match(image.name, /\.png$/);
    assert.ok(existsSync(path.join(weir.folder, 'upload', image.name)), image.name);
    assert.equal((await weir.get(pathOf(image.photourl))).status, 200, image.photourl);
    assert.equal((await weir.get(pathOf(image.photourl).slice(0, -1))).status, 200, 'without the slash too');
  }
});

test('what is no picture is refused and leaves nothing', () => unchanged(async () => {
  const html = Buffer.from('<html><script>alert(1)</script></html>');
  const bad = { html, 'html after a png\'s first bytes': Buffer.concat([png(2, 2).subarray(0, 8), html]), svg: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), empty: Buffer.alloc(0), text: Buffer.from('GIF89a'),
    cut: png(50, 50).subarray(0, 60), 'animated webp': sample('webp_animated'), bmp: Buffer.from('BM' + '\0'.repeat(60)) };
  for (const [kind, bytes] of Object.entries(bad)) {
    const reply = await upload(bytes);
    assert.ok([400, 413, 415].includes(reply.status), `${kind}: ${reply.status} ${reply.text}`);
  }
  for (const claim of [[60000, 60000], [1, 0x7fffffff], [0, 5]]) {
    const reply = await upload(png(2, 2, { claim }));
    assert.ok([400, 413, 415].includes(reply.status), `${claim}: ${reply.status} ${reply.text}`);
  }
}));

test('a missing or wrongly sent file is told so', () => unchanged(async () => {
  const to = '/matching/upload_img_action/';
  for (const reply of [await weir.multipart(to, [{ name: 'img_name', value: 'x' }]), await weir.form(to, { img: 'x' }), await weir.json(to, { img: 'x' }), await weir.multipart(to, [{ name: 'other', filename: 'a.png', bytes: png(2, 2) }]),
    await weir.request('POST', to, { body: '--x\r\n', type: 'multipart/form-data' }), await weir.request('POST', to, { body: '--x\r\nContent-Disposition: form-data; name="img"; filename="a"\r\n\r\nabc', type: 'multipart/form-data; boundary=x' })])
    assert.equal(reply.status, 400, reply.text);
}));

test('a body over the limit is refused, at once when it says its length, else when it is reached', () => unchanged(async () => {
  const head = (framing) => `POST /matching/upload_img_action/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n${framing}\r\n\r\n`;
  const told = openRaw(weir.port);
  await told.send(head('Content-Length: 10485761'));
  assert.equal((await told.reply()).status, 413);
  told.destroy();
  const chunked = openRaw(weir.port);
  await chunked.send(head('Transfer-Encoding: chunked'));
  await chunked.send('39\r\n--x\r\nContent-Disposition: form-data; name="img"; filename="a"\r\n\r\n'.replace('39', Buffer.byteLength('--x\r\nContent-Disposition: form-data; name="img"; filename="a"\r\n\r\n').toString(16)).concat('\r\n'));
  const piece = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(0x100000), Buffer.from('\r\n')]);
  for (let i = 0; i < 11; i++) await chunked.send(piece).catch(() => {});
  assert.equal((await chunked.reply()).status, 413);
  chunked.destroy();
}));

test('a connection that ends in the middle of a file leaves nothing', () => unchanged(async () => {
  const half = openRaw(weir.port);
  const body = Buffer.concat([Buffer.from('--x\r\nContent-Disposition: form-data; name="img"; filename="a.png"\r\n\r\n'), png(100, 100)]);
  await half.send(`POST /matching/upload_img_action/ HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: ${body.length + 1000}\r\n\r\n`);
  await half.send(body);
  for (let i = 0; i < 500 && !files('tmp').length; i++) await weir.get('/healthz');     /* until the server has begun its file */
  assert.equal(files('tmp').length, 1);
  half.destroy();
  for (let i = 0; i < 5000 && files('tmp').length; i++) await weir.get('/healthz');
}));

test('show_img gives the address of any name, encoded', async () => {
  const show = async (img_name) => (await weir.get('/matching/show_img_action/', { img_name })).body.data.image;
  assert.deepEqual(await show('没有 这个&.png'), { name: '没有 这个&.png', photourl: `${weir.url}/upload/${encodeURIComponent('没有 这个&.png')}/` });
  const image = await stored(png(30, 20), 'shown.png');
  assert.deepEqual(await show(image.name), image);
});

test('the addresses are those of the public URL', async () => {
  const own = await startDemo({ 'server.public_url': 'https://2life.example/' });
  try {
    const image = await stored(png(2, 2), 'a.png', { on: own });
    assert.equal(image.photourl, 'https://2life.example/upload/a.png/');
  } finally {
    await own.stop();
  }
});

test('an image is served to caches and in parts', async () => {
  const { name } = await stored(png(60, 60), 'parts.png');
  const url = `/upload/${name}`;
  const whole = await weir.get(url);
  const { etag, 'last-modified': modified } = whole.headers;
  assert.equal(whole.headers['x-content-type-options'], 'nosniff');
  assert.match(whole.headers['content-security-policy'], /sandbox/);
  const ask = (headers, method = 'GET') => weir.request(method, url, { headers });
  const head = await ask({}, 'HEAD');
  assert.deepEqual([head.status, head.headers['content-length'], head.bytes.length, head.headers.etag], [200, String(whole.bytes.length), 0, etag]);
  for (const headers of [{ 'If-None-Match': etag }, { 'If-None-Match': `"x", W/${etag}` }, { 'If-None-Match': '*' }, { 'If-Modified-Since': modified }]) {
    const same = await ask(headers);
    assert.deepEqual([same.status, same.bytes.length, same.headers.etag], [304, 0, etag], JSON.stringify(headers));
  }
  assert.equal((await ask({ 'If-None-Match': '"other"', 'If-Modified-Since': modified })).status, 200, 'the tag counts, not the date');
  const size = whole.bytes.length;
  for (const [range, from, to] of [['bytes=0-0', 0, 0], ['bytes=5-9', 5, 9], ['bytes=10-', 10, size - 1], ['bytes=-4', size - 4, size - 1], ['bytes=0-999999', 0, size - 1], [`bytes=-999999`, 0, size - 1]]) {
    const part = await ask({ Range: range });
    assert.deepEqual([part.status, part.headers['content-range']], [206, `bytes ${from}-${to}/${size}`], range);
    assert.deepEqual(part.bytes, whole.bytes.subarray(from, to + 1));
  }
  for (const range of ['bytes=999999-', 'bytes=-0']) assert.deepEqual([(await ask({ Range: range })).status, (await ask({ Range: range })).headers['content-range']], [416, `bytes */${size}`], range);
  for (const range of ['bytes=9-5', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,5-6', 'bytes=']) assert.equal((await ask({ Range: range })).status, 200, `${range} is not understood, so it is ignored`);
  assert.equal((await ask({ Range: 'bytes=0-0', 'If-Range': '"other"' })).status, 200);
  assert.equal((await ask({ Range: 'bytes=0-0', 'If-Range': etag })).status, 206);
});

test('nothing but images is under /upload', async () => {
  const raw = openRaw(weir.port);                              /* a client of Node's would tidy these up */
  for (const name of ['nobody.png', 'thumb', '..%2fweir.db', '%2e%2e/weir.db', '../weir.db', 'thumb/../../weir.db', '.', '', '/', 'weir.db', 'thumb/nobody.png', '%00', 'a%00.png', '%ff', '..%5cweir.db', 'secret.key', '../secret.key']) {
    await raw.send(`GET /upload/${name} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const { status } = await raw.reply();
    assert.ok([400, 404].includes(status), `${name}: ${status}`);
  }
  raw.destroy();
});

test('a name whose upload was never committed is swept at the start', async () => {
  const folder = temporaryFolder();
  try {
    const first = await startDemo({}, { folder });
    const image = await stored(png(2, 2), 'kept.png', { on: first });
    await first.stop();
    for (const place of ['upload', 'upload/thumb']) copyFileSync(path.join(folder, 'upload', image.name), path.join(folder, place, 'orphan.png'));
    const second = await startServe({ 'diary.access': 'open' }, { folder });
    assert.equal((await second.get(pathOf(image.photourl))).status, 200);
    assert.deepEqual([readdirSync(path.join(folder, 'upload')).sort(), readdirSync(path.join(folder, 'upload/thumb'))], [[image.name, 'thumb'].sort(), [image.name]]);
    await second.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
