// multipart/form-data as browsers, tools and attackers write it (RFC 7578, 2046, 8187), through /api/debug/upload: which fields and which files came, with their bytes by hash. Every body also goes in
// pieces, so nothing depends on how it is cut. The folder of unfinished uploads must be empty whenever an answer is here.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { sha256 } from '../lib/client.mjs';
import { converse, readReplies } from '../lib/conversation.mjs';
import { startDemo } from '../lib/weir.mjs';

let weir;
before(async () => { weir = await startDemo(); });
after(async () => { await weir.stop(); });

const MiB = 1024 * 1024;
const utf8 = (text) => (Buffer.isBuffer(text) ? text : Buffer.from(text, 'utf8'));
const body = (...pieces) => Buffer.concat(pieces.flat().map(utf8));
/** A part with its delimiter: disposition is what stands behind form-data. */
const part = (disposition, data = '', { lines = [], boundary = 'b' } = {}) => body(`--${boundary}\r\nContent-Disposition: form-data${disposition}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`, data, '\r\n');
const END = '--b--\r\n';

async function send(pieces, { type = 'multipart/form-data; boundary=b', length = true, pauseMs = 0 } = {}) {
  const all = pieces.map(utf8);
  const size = all.reduce((n, piece) => n + piece.length, 0);
  const framing = length ? `Content-Length: ${size}` : 'Transfer-Encoding: chunked';
  const out = length ? all : [...all.filter((piece) => piece.length).flatMap((piece) => [Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]), Buffer.from('0\r\n\r\n')];
  const { bytes } = await converse(weir.port, [Buffer.from(`POST /api/debug/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: ${type}\r\n${framing}\r\n\r\n`, 'latin1'), ...out], { pauseMs });
  const replies = readReplies(bytes);
  assert.equal(replies.length, 1);
  assert.deepEqual(readdirSync(path.join(weir.folder, 'tmp')), [], 'an unfinished file stays');
  return replies[0];
}

/** Sends it whole, cut at every place (of small bodies), and in chunks; all must be understood alike. */
async function understood(bytes, options = {}) {
  const first = await send([bytes], options);
  const cut = bytes.length < 600 ? [...Array(bytes.length).keys()].filter((at) => at % 7 === 0) : [1, bytes.length >> 1, bytes.length - 1];
  for (const at of cut) {
    const again = await send([bytes.subarray(0, at), bytes.subarray(at)], options);
    assert.deepEqual([again.status, again.text], [first.status, first.text], `cut at ${at}`);
  }
  if (bytes.length < 600) {
    const slow = await send([...bytes].map((byte) => Buffer.from([byte])), { ...options, length: false });
    assert.deepEqual([slow.status, slow.text], [first.status, first.text], 'a chunk a byte');
  }
  return first;
}
const file = (name, filename, data, type = '') => ({ name, filename, type, size: utf8(data).length, sha256: sha256(utf8(data)) });
const all = Buffer.from([...Array(256).keys()]);

/** name: [body, fields, files, options] */
const TAKEN = {
  'a form of a browser': [body(part('; name="title"', '标题'), part('; name="text"', 'a\r\nb'), part('; name="img"; filename="照片.png"', all, { lines: ['Content-Type: image/png'] }), END), { title: '标题', text: 'a\r\nb' }, [file('img', '照片.png', all, 'image/png')]],
  'no file chosen in a browser': [body(part('; name="img"; filename=""', '', { lines: ['Content-Type: application/octet-stream'] }), END), {}, [file('img', '', '', 'application/octet-stream')]],
  'an empty field': [body(part('; name="a"'), END), { a: '' }, []],
  'an empty file with a name': [body(part('; name="f"; filename="x.txt"'), END), {}, [file('f', 'x.txt', '')]],
  'no part at all': [body(END), {}, []],
  'no CRLF behind the end': [body(part('; name="a"', '1'), '--b--'), { a: '1' }, []],
  'a preamble and an epilogue': [body('this is for old mail readers\r\n', part('; name="a"', '1'), END, 'and this too\r\n--b\r\n'), { a: '1' }, []],
  'an empty line before the first boundary': [body('\r\n', part('; name="a"', '1'), END), { a: '1' }, []],
  'white space behind boundaries': [body('--b \t\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--  \r\n'), { a: '1' }, []],
  'header names in any letters': [body('--b\r\ncontent-DISPOSITION:form-data;name=a\r\n\r\n1\r\n', END), { a: '1' }, []],
  'other header lines': [body(part('; name="a"', '1', { lines: ['X: y', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: 8bit'] }), END), { a: '1' }, []],
  'names without quotes': [body(part('; name=a; filename=x.txt', '1'), END), {}, [file('a', 'x.txt', '1')]],
  'filename before name': [body(part('; filename="x"; name="a"', '1'), END), {}, [file('a', 'x', '1')]],
  'a quote as browsers escape it': [body(part('; name="a%22b"', '1'), END), { 'a"b': '1' }, []],
  'a quote as curl escapes it': [body(part('; name="a\\"b\\\\c"', '1'), END), { 'a"b\\c': '1' }, []],
  'a semicolon in a name': [body(part('; name="a; filename=b"', '1'), END), { 'a; filename=b': '1' }, []],
  'a percent sign in a name': [body(part('; name="100%25"', '1'), END), { '100%25': '1' }, []],
  'a name that is chinese': [body(part('; name="心情"', '好'), END), { 心情: '好' }, []],
  'a path of Windows': [body(part('; name="f"; filename="C:\\Users\\me\\x.txt"', '1'), END), {}, [file('f', 'x.txt', '1')]],
  'a path of Unix': [body(part('; name="f"; filename="../../etc/passwd"', '1'), END), {}, [file('f', 'passwd', '1')]],
  'two dots': [body(part('; name="f"; filename=".."', '1'), END), {}, [file('f', '', '1')]],
  'filename* wins': [body(part("; name=\"f\"; filename=\"x\"; filename*=UTF-8''%E4%BD%A0.png", '1'), END), {}, [file('f', '你.png', '1')]],
  'filename* that is malformed': [body(part("; name=\"f\"; filename=\"x\"; filename*=UTF-8''%E4%B", '1'), END), {}, [file('f', 'x', '1')]],
  'a filename in latin-1': [body('--b\r\nContent-Disposition: form-data; name="f"; filename="', Buffer.from([0xe9]), '.png"\r\n\r\n1\r\n', END), {}, [file('f', '?.png', '1')]],
  'CRLFs in data': [body(part('; name="f"; filename="x"', '\r\n\r\n\r\n--\r\n-'), END), {}, [file('f', 'x', '\r\n\r\n\r\n--\r\n-')]],
  'data that looks like a boundary': [body(part('; name="f"; filename="x"', 'x--b\r\n --b\r\n\r\n-b\r\n--a\r\n--\r\n--B\r\n\n--b'), END), {}, [file('f', 'x', 'x--b\r\n --b\r\n\r\n-b\r\n--a\r\n--\r\n--B\r\n\n--b')]],
  'a part that ends with its head: the empty line is the boundary\'s own': [body('--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n--b\r\nContent-Disposition: form-data; name="c"\r\n\r\n', END), { a: '', c: '' }, []],
  'many CRs': [body(part('; name="f"; filename="x"', '\r\r\r\r\n\r\r\n-\r\n\r'), END), {}, [file('f', 'x', '\r\r\r\r\n\r\r\n-\r\n\r')]],
  'LF before a boundary is data': [body(part('; name="a"', '1\n--b\n'), END), { a: '1\n--b\n' }, []],
  'equal names: the last one counts': [body(part('; name="a"', '1'), part('; name="a"', '2'), END), { a: '2' }, []],
  'several files of one name': [body(part('; name="f"; filename="1"', '1'), part('; name="f"; filename="2"', '22'), END), {}, [file('f', '1', '1'), file('f', '2', '22')]],
  'sixty-four fields': [body([...Array(64).keys()].map((i) => part(`; name="n${i}"`, String(i))), END), Object.fromEntries([...Array(64).keys()].map((i) => [`n${i}`, String(i)])), []],
  'sixteen files': [body([...Array(16).keys()].map((i) => part(`; name="f"; filename="${i}"`, String(i))), END), {}, [...Array(16).keys()].map((i) => file('f', String(i), String(i)))],
  'a boundary of 70 bytes': [body(part('; name="a"', '1', { boundary: 'x'.repeat(70) }), `--${'x'.repeat(70)}--`), { a: '1' }, [], { type: `multipart/form-data; boundary=${'x'.repeat(70)}` }],
  'a boundary in quotes': [body(part('; name="a"', '1', { boundary: "a b'()+_,-./:=?" }), "--a b'()+_,-./:=?--"), { a: '1' }, [], { type: 'Multipart/Form-Data ; charset=utf-8; BOUNDARY="a b\'()+_,-./:=?"' }],
  'a boundary that begins like the data': [body(part('; name="f"; filename="x"', '\r\n----x\r\n----xy\r\n--', { boundary: '----xyz' }), '------xyz--'), {}, [file('f', 'x', '\r\n----x\r\n----xy\r\n--')], { type: 'multipart/form-data; boundary=----xyz' }],
};
for (const [name, [bytes, fields, files, options]] of Object.entries(TAKEN)) {
  test(`taken: ${name}`, async () => {
    const reply = await understood(bytes, options);
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual(JSON.parse(reply.text), { fields, files });
  });
}

const TYPE = (type) => ({ type });
/** name: [body, status, options] */
const REFUSED = {
  'an empty body of a kind': [body('\r\n'), 400],
  'no end': [body(part('; name="a"', '1')), 400],
  'cut inside a boundary': [body(part('; name="a"', '1'), '--'), 400],
  'cut inside a head': [body('--b\r\nContent-Disposition: form-data; na'), 400],
  'cut inside data': [body(part('; name="f"; filename="x"', '12345').subarray(0, -4)), 400],
  'one dash at the end': [body(part('; name="a"', '1'), '--b-\r\n'), 400],
  'another boundary than the one told': [body(part('; name="a"', '1', { boundary: 'c' }), '--c--'), 400],
  'bytes behind a boundary': [body(part('; name="a"', '1'), '--bx\r\n\r\n--b--'), 400],
  'LF behind a boundary': [body('--b\nContent-Disposition: form-data; name="a"\n\n1\n--b--\n'), 400],
  'LF in a head': [body('--b\r\nContent-Disposition: form-data; name="a"\n\r\n1\r\n--b--'), 400],
  'a part without Content-Disposition': [body('--b\r\nContent-Type: text/plain\r\n\r\n1\r\n', END), 400],
  'a part without a head': [body('--b\r\n\r\n1\r\n', END), 400],
  'two Content-Dispositions': [body(part('; name="a"', '1', { lines: ['Content-Disposition: form-data; name="b"'] }), END), 400],
  'a part that is an attachment': [body('--b\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n', END), 400],
  'a part without a name': [body(part('; filename="x"', '1'), END), 400],
  'an empty name': [body(part('; name=""', '1'), END), 400],
  'two names': [body(part('; name="a"; name="b"', '1'), END), 400],
  'two filenames': [body(part('; name="a"; filename="b"; filename="c"', '1'), END), 400],
  'a name that never ends': [body(part('; name="a', '1'), END), 400],
  'a name that is not UTF-8': [body('--b\r\nContent-Disposition: form-data; name="', Buffer.from([0xe9]), '"\r\n\r\n1\r\n', END), 400],
  'a value that is not UTF-8': [body(part('; name="a"', Buffer.from([0xff])), END), 400],
  'NUL in a value': [body(part('; name="a"', 'a\0b'), END), 400],
  'NUL in a head': [body(part('; name="a\0"', '1'), END), 400],
  'a folded header': [body('--b\r\nContent-Disposition: form-data;\r\n name="a"\r\n\r\n1\r\n', END), 400],
  'a header without a colon': [body(part('; name="a"', '1', { lines: ['nonsense'] }), END), 400],
  'base64': [body(part('; name="a"', 'MQ==', { lines: ['Content-Transfer-Encoding: base64'] }), END), 400],
  'a head of 5 KiB': [body(part('; name="a"', '1', { lines: [`X: ${'x'.repeat(5000)}`] }), END), 400],
  'sixty-five parts': [body([...Array(65).keys()].map((i) => part(`; name="n${i}"`, '1')), END), 400],
  'seventeen files': [body([...Array(17).keys()].map((i) => part(`; name="f"; filename="${i}"`, '1')), END), 413],
  'a text field of 257 KiB': [body(part('; name="a"', 'a'.repeat(257 * 1024)), END), 413],
  'no boundary': [body(part('; name="a"', '1'), END), 400, TYPE('multipart/form-data')],
  'an empty boundary': [body(part('; name="a"', '1'), END), 400, TYPE('multipart/form-data; boundary=')],
  'two boundaries': [body(part('; name="a"', '1'), END), 400, TYPE('multipart/form-data; boundary=b; boundary=c')],
  'a boundary of 71 bytes': [body(part('; name="a"', '1', { boundary: 'x'.repeat(71) }), `--${'x'.repeat(71)}--`), 400, TYPE(`multipart/form-data; boundary=${'x'.repeat(71)}`)],
  'a boundary that ends with a space': [body(part('; name="a"', '1'), END), 400, TYPE('multipart/form-data; boundary="b "')],
  'a boundary of strange bytes': [body(part('; name="a"', '1'), END), 400, TYPE('multipart/form-data; boundary="b<"')],
  'another multipart': [body(part('; name="a"', '1'), END), 415, TYPE('multipart/mixed; boundary=b')],
};
for (const [name, [bytes, status, options]] of Object.entries(REFUSED)) {
  test(`refused with ${status}: ${name}`, async () => {
    const reply = await understood(bytes, options);
    assert.equal(reply.status, status, reply.text);
    assert.ok(JSON.parse(reply.text).errmsg.length > 3);
  });
}

test('a file is taken up to the limit of 10 MiB for the whole body, with one byte more it is 413', async () => {
  const frame = part('; name="f"; filename="x"').length + END.length;
  const most = Buffer.alloc(10 * MiB - frame, 'x');
  const reply = await send([body(part('; name="f"; filename="x"', most), END)]);
  assert.deepEqual([reply.status, JSON.parse(reply.text).files[0]], [200, file('f', 'x', most)]);
  const more = body(part('; name="f"; filename="x"', Buffer.concat([most, Buffer.from('y')])), END);
  assert.equal((await send([more])).status, 413);
  assert.equal((await send([more.subarray(0, 5 * MiB), more.subarray(5 * MiB)], { length: false })).status, 413);
});

test('uploads side by side do not mix', async () => {
  await Promise.all([...Array(24).keys()].map(async (i) => {
    const data = Buffer.alloc(200_000 + i * 1000, i + 1);
    const reply = await weir.plain('POST', '/api/debug/upload', { type: 'multipart/form-data; boundary=b', body: body(part('; name="n"', String(i)), part('; name="f"; filename="x"', data), END) });
    assert.deepEqual(reply.body, { fields: { n: String(i) }, files: [file('f', 'x', data)] });
  }));
});

test('a form that is no multipart is no upload, but is read', async () => {
  const reply = await weir.plain('POST', '/api/debug/upload', { form: { a: '1' } });
  assert.ok(reply.status === 200 ? reply.body.files.length === 0 : reply.status === 415, reply.text);
});
