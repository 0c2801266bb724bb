// HTTP from outside, as a hostile or sloppy client speaks it: RFC 9110 and 9112, the collections of request smuggling, and what other servers' probes look for.
//
// The tables below are cases of two kinds. A *taken* request is followed by a second one with "Connection: close"; exactly both must be answered, so a wrong idea of where the first one ends
// cannot hide. A *refused* one is followed by the same second request; exactly one answer may come, with Connection: close and a body of JSON, and then the end: nothing behind what is ambiguous is read.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { converse, readReplies } from '../lib/conversation.mjs';
import { startDemo } from '../lib/weir.mjs';

const ECHO = '/api/debug/echo';
const LAST = `GET ${ECHO}?last HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n`;
const repeat = (n, make) => [...Array(n).keys()].map(make).join('');

let weir;
let slow;
before(async () => {
  weir = await startDemo();
  const watch = { pauseMs: 400, waitMs: 40_000 };
  slow = {                                                         // three clients that take their time while the other tests run
    stops: converse(weir.port, 'GET / HTTP/1.1\r\nHost: weir\r\nX-Half', watch),
    drips: converse(weir.port, [...`GET /${'a'.repeat(200)}`], watch),
    body: converse(weir.port, [`POST ${ECHO} HTTP/1.1\r\nHost: weir\r\nContent-Length: 100\r\n\r\n`, ...'0123456789'.repeat(4)], watch),
    chunks: converse(weir.port, [`POST ${ECHO} HTTP/1.1\r\nHost: weir\r\nTransfer-Encoding: chunked\r\n\r\n`, ...'1\r\na\r\n'.repeat(8)], watch),
  };
});
after(async () => { await weir.stop(); });

const healthy = async () => assert.equal((await weir.plain('GET', '/healthz')).status, 200);

/** The request is taken: its answer and the second one's come, and the connection is closed only then. */
async function taken(bytes, status = 200, { last = LAST, heads = [] } = {}) {
  const { bytes: back, end } = await converse(weir.port, [bytes, last].flat());
  const replies = readReplies(back, { heads }).filter((reply) => reply.status >= 200);
  assert.deepEqual(replies.map((reply) => reply.status), [status, 200], back.toString('latin1').slice(0, 400));
  assert.deepEqual([replies[0].header('connection'), replies[1].header('connection'), end], [undefined, 'close', 'fin']);
  assert.equal(JSON.parse(replies[1].text).query, 'last');
  return replies[0];
}

/** The request is refused, and nothing behind it is read. */
async function refused(bytes, status, { last = LAST, half = false } = {}) {
  const { bytes: back, end } = await converse(weir.port, [bytes, last].flat(), { half });
  const replies = readReplies(back);
  assert.deepEqual(replies.map((reply) => reply.status), [status], back.toString('latin1').slice(0, 400));
  assert.equal(replies[0].header('connection'), 'close');
  assert.ok(replies[0].body.length > 0, 'an error without a body');
  assert.equal(end, 'fin');
  return replies[0];
}

const request = ({ method = 'GET', target = ECHO, version = 'HTTP/1.1', host = 'Host: weir\r\n', lines = [], body = '' } = {}) =>
  `${method} ${target} ${version}\r\n${host}${lines.map((line) => `${line}\r\n`).join('')}\r\n${body}`;
const post = (lines, body) => request({ method: 'POST', lines: [lines].flat(), body });
const chunked = (body) => post('Transfer-Encoding: chunked', body);

/** name: [bytes, status] */
const REFUSED = {
  // ---- lines ----
  'LF alone ends no line': [`GET ${ECHO} HTTP/1.1\nHost: weir\n\n`, 400],
  'LF alone ends no request line': [`GET ${ECHO} HTTP/1.1\nHost: weir\r\n\r\n`, 400],
  'LF alone ends no header line': [`GET ${ECHO} HTTP/1.1\r\nHost: weir\nX: y\r\n\r\n`, 400],
  'LF alone ends no head': [`GET ${ECHO} HTTP/1.1\r\nHost: weir\r\n\n`, 400],
  'CR alone in the request line': [`GET ${ECHO} HTTP/1.1\rHost: weir\r\n\r\n`, 400],
  'CR alone in a value': [request({ lines: ['X: a\rb'] }), 400],
  'CR CR LF': [request({ lines: ['X: a\r'] }), 400],
  'CR alone hides a header': [request({ lines: ['X: a\rTransfer-Encoding: chunked'] }), 400],
  'two empty lines before a request': [`\r\n\r\n${request()}`, 400],
  'LF before a request': [`\n${request()}`, 400],
  'a space before a request': [` ${request()}`, 400],
  'obs-fold by a space': [request({ lines: ['X: a', ' b'] }), 400],
  'obs-fold by a tab': [request({ lines: ['X: a', '\tb'] }), 400],
  'obs-fold of a length': [post(['Content-Length:', ' 3'], 'abc'), 400],
  'obs-fold of a transfer coding': [post(['Transfer-Encoding:', ' chunked'], '0\r\n\r\n'), 400],
  'white space before the first header': [`GET ${ECHO} HTTP/1.1\r\n Host: weir\r\n\r\n`, 400],
  'a line of white space': [request({ lines: [' '] }), 400],
  // ---- header names and values ----
  'a space before the colon': [request({ lines: ['X : y'] }), 400],
  'a tab before the colon': [request({ lines: ['X\t: y'] }), 400],
  'a space before the colon of Content-Length': [post('Content-Length : 3', 'abc'), 400],
  'a space before the colon of Transfer-Encoding': [post('Transfer-Encoding : chunked', '0\r\n\r\n'), 400],
  'a space before the colon of Host': [request({ host: 'Host : weir\r\n' }), 400],
  'a header without a colon': [request({ lines: ['Novalue'] }), 400],
  'a header without a name': [request({ lines: [': y'] }), 400],
  'a space inside a name': [request({ lines: ['X Y: z'] }), 400],
  'a parenthesis in a name': [request({ lines: ['X(Y): z'] }), 400],
  'a quote in a name': [request({ lines: ['"X": z'] }), 400],
  'a slash in a name': [request({ lines: ['X/Y: z'] }), 400],
  'a byte above 127 in a name': [request({ lines: ['X\xe9: z'] }), 400],
  'NUL in a name': [request({ lines: ['X\0Y: z'] }), 400],
  'NUL in a value': [request({ lines: ['X: a\0b'] }), 400],
  'NUL at the end of a length': [post('Content-Length: 3\0', 'abc'), 400],
  'a bell in a value': [request({ lines: ['X: a\x07b'] }), 400],
  'DEL in a value': [request({ lines: ['X: a\x7fb'] }), 400],
  'vertical tab before a coding': [post('Transfer-Encoding: \x0bchunked', '0\r\n\r\n'), 400],
  'form feed in a value': [request({ lines: ['X: \x0c'] }), 400],
  // ---- the request line ----
  'no version': ['GET /\r\n', 400],
  'no version, with headers': ['GET /\r\nHost: weir\r\n\r\n', 400],
  'only a method': ['GET\r\n\r\n', 400],
  'an empty method': [` / HTTP/1.1\r\nHost: weir\r\n\r\n`, 400],
  'an empty target': ['GET  HTTP/1.1\r\nHost: weir\r\n\r\n', 400],
  'two spaces behind the method': [`GET  ${ECHO} HTTP/1.1\r\nHost: weir\r\n\r\n`, 400],
  'two spaces before the version': [`GET ${ECHO}  HTTP/1.1\r\nHost: weir\r\n\r\n`, 400],
  'a space behind the version': [`GET ${ECHO} HTTP/1.1 \r\nHost: weir\r\n\r\n`, 400],
  'tabs for spaces': [`GET\t${ECHO}\tHTTP/1.1\r\nHost: weir\r\n\r\n`, 400],
  'a vertical tab for a space': [`GET ${ECHO}\x0bHTTP/1.1\r\nHost: weir\r\n\r\n`, 400],
  'a space in the target': [request({ target: `${ECHO}?a b` }), 400],
  'a fourth word': [`GET ${ECHO} HTTP/1.1 extra\r\nHost: weir\r\n\r\n`, 400],
  'NUL in the target': [request({ target: `${ECHO}?\0` }), 400],
  'NUL in the method': [request({ method: 'GE\0T' }), 400],
  'a method in parentheses': [request({ method: '(GET)' }), 400],
  'a method of 300 bytes': [request({ method: 'A'.repeat(300) }), 400],
  'a ClientHello': ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  'an SSH banner': ['SSH-2.0-OpenSSH_9.2\r\n', 400],
  'only NULs': ['\0'.repeat(64), 400],
  // ---- versions ----
  'http in small letters': [request({ version: 'http/1.1' }), 400],
  'HTTP/1': [request({ version: 'HTTP/1' }), 400],
  'HTTP/1.': [request({ version: 'HTTP/1.' }), 400],
  'HTTP/.1': [request({ version: 'HTTP/.1' }), 400],
  'HTTP/11': [request({ version: 'HTTP/11' }), 400],
  'HTTP/1.10': [request({ version: 'HTTP/1.10' }), 400],
  'HTTP/1,1': [request({ version: 'HTTP/1,1' }), 400],
  'HTTP/01.1': [request({ version: 'HTTP/01.1' }), 400],
  'HTTP/1.1.1': [request({ version: 'HTTP/1.1.1' }), 400],
  'HTTPS/1.1': [request({ version: 'HTTPS/1.1' }), 400],
  'HTTP/0.9': [request({ version: 'HTTP/0.9' }), 505],
  'HTTP/1.2': [request({ version: 'HTTP/1.2' }), 505],
  'HTTP/2.0': [request({ version: 'HTTP/2.0' }), 505],
  'HTTP/9.9': [request({ version: 'HTTP/9.9' }), 505],
  'the preface of HTTP/2': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  // ---- methods ----
  'a method that is unknown': [request({ method: 'BREW' }), 501],
  'methods are case-sensitive': [request({ method: 'get' }), 501],
  TRACE: [request({ method: 'TRACE' }), 501],
  'CONNECT host:port': [request({ method: 'CONNECT', target: 'weir:443' }), 501],
  'CONNECT with a path': [request({ method: 'CONNECT', target: '/' }), 400],
  'CONNECT without a port': [request({ method: 'CONNECT', target: 'weir' }), 400],
  'an unknown method and an unknown version': [request({ method: 'BREW', version: 'HTTP/3.0' }), 505],
  // ---- targets ----
  'a relative target': [request({ target: 'api/debug/echo' }), 400],
  'authority-form without CONNECT': [request({ target: 'weir:80' }), 400],
  'the asterisk without OPTIONS': [request({ target: '*' }), 400],
  'an asterisk and more': [request({ method: 'OPTIONS', target: '*/x' }), 400],
  'a fragment': [request({ target: `${ECHO}#x` }), 400],
  'a byte above 127 in the target': [request({ target: `${ECHO}/\xe9` }), 400],
  'UTF-8 in the target': [request({ target: `${ECHO}/\xe4\xbd\xa0` }), 400],
  'absolute-form of another scheme': [request({ target: `ftp://weir${ECHO}` }), 400],
  'absolute-form of a file': [request({ target: 'file:///etc/passwd' }), 400],
  'absolute-form of another host': [request({ target: `http://evil${ECHO}` }), 400],
  'absolute-form of another port': [request({ target: `http://weir:81${ECHO}` }), 400],
  'absolute-form without a host': [request({ target: `http://${ECHO}` }), 400],
  'absolute-form with a user': [request({ target: `http://me@weir${ECHO}` }), 400],
  'absolute-form with a backslash': [request({ target: 'http://weir\\@evil/' }), 400],
  // ---- Host ----
  'no Host': [request({ host: '' }), 400],
  'two Hosts': [request({ lines: ['Host: evil'] }), 400],
  'two equal Hosts': [request({ lines: ['Host: weir'] }), 400],
  'an empty Host': [request({ host: 'Host:\r\n' }), 400],
  'a Host with a comma': [request({ host: 'Host: weir, evil\r\n' }), 400],
  'a Host with a space': [request({ host: 'Host: we ir\r\n' }), 400],
  'a Host with a path': [request({ host: 'Host: weir/evil\r\n' }), 400],
  'a Host with a user': [request({ host: 'Host: me@weir\r\n' }), 400],
  'a Host with a query': [request({ host: 'Host: weir?x\r\n' }), 400],
  'a Host with a large port': [request({ host: 'Host: weir:65536\r\n' }), 400],
  'a Host with a port of letters': [request({ host: 'Host: weir:http\r\n' }), 400],
  'a Host with two ports': [request({ host: 'Host: weir:80:80\r\n' }), 400],
  'a Host with an open bracket': [request({ host: 'Host: [::1\r\n' }), 400],
  'a Host with no address in its brackets': [request({ host: 'Host: [weir]\r\n' }), 400],
  'a Host above 127': [request({ host: 'Host: w\xe9ir\r\n' }), 400],
  // ---- Content-Length ----
  'an empty length': [post('Content-Length:', 'abc'), 400],
  'a length with a plus': [post('Content-Length: +3', 'abc'), 400],
  'a length with a minus': [post('Content-Length: -3', 'abc'), 400],
  'a length in hexadecimal': [post('Content-Length: 0x3', 'abc'), 400],
  'a length with a leading zero': [post('Content-Length: 03', 'abc'), 400],
  'a length with a fraction': [post('Content-Length: 3.0', 'abc'), 400],
  'a length with an exponent': [post('Content-Length: 3e0', 'abc'), 400],
  'a length with a space inside': [post('Content-Length: 3 3', 'abc'), 400],
  'a length with an underscore': [post('Content-Length: 1_0', '0123456789'), 400],
  'a list of equal lengths': [post('Content-Length: 3, 3', 'abc'), 400],
  'a list of lengths': [post('Content-Length: 3, 4', 'abc'), 400],
  'a length and a comma': [post('Content-Length: 3,', 'abc'), 400],
  'a quoted length': [post('Content-Length: "3"', 'abc'), 400],
  'two lengths': [post(['Content-Length: 3', 'Content-Length: 4'], 'abcd'), 400],
  'two equal lengths': [post(['Content-Length: 3', 'Content-Length: 3'], 'abc'), 400],
  'two lengths in other letters': [post(['Content-Length: 3', 'CONTENT-LENGTH: 0'], 'abc'), 400],
  'a length of 2^63': [post('Content-Length: 9223372036854775808', ''), 400],
  'a length of 2^64 + 3': [post('Content-Length: 18446744073709551619', 'abc'), 400],
  'a length of other digits': [post('Content-Length: \xd9\xa3', 'abc'), 400],
  'a length that is far too large': [post('Content-Length: 9223372036854775807', ''), 413],
  'a length one too large': [post(`Content-Length: ${10 * 1024 * 1024 + 1}`, ''), 413],
  'a form one too large': [request({ method: 'POST', target: '/matching/store_action/', lines: [`Content-Length: ${1024 * 1024 + 1}`] }), 413],
  // ---- Transfer-Encoding ----
  'length before coding': [post(['Content-Length: 3', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), 400],
  'coding before length': [post(['Transfer-Encoding: chunked', 'Content-Length: 3'], '0\r\n\r\n'), 400],
  'length 0 beside a coding': [post(['Content-Length: 0', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), 400],
  'two codings': [post(['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], '0\r\n\r\n'), 400],
  'chunked, then identity': [post(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], '0\r\n\r\n'), 400],
  identity: [post('Transfer-Encoding: identity', '0\r\n\r\n'), 400],
  gzip: [post('Transfer-Encoding: gzip', '0\r\n\r\n'), 400],
  'gzip, chunked': [post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n'), 400],
  'chunked, gzip': [post('Transfer-Encoding: chunked, gzip', '0\r\n\r\n'), 400],
  'chunked, chunked': [post('Transfer-Encoding: chunked, chunked', '0\r\n\r\n'), 400],
  'a comma before chunked': [post('Transfer-Encoding: ,chunked', '0\r\n\r\n'), 400],
  'a comma behind chunked': [post('Transfer-Encoding: chunked,', '0\r\n\r\n'), 400],
  'a parameter of chunked': [post('Transfer-Encoding: chunked;q=1', '0\r\n\r\n'), 400],
  'chunked in quotes': [post('Transfer-Encoding: "chunked"', '0\r\n\r\n'), 400],
  xchunked: [post('Transfer-Encoding: xchunked', '0\r\n\r\n'), 400],
  'chun ked': [post('Transfer-Encoding: chun ked', '0\r\n\r\n'), 400],
  'an empty coding': [post('Transfer-Encoding:', '0\r\n\r\n'), 400],
  'a coding in HTTP/1.0': [request({ method: 'POST', version: 'HTTP/1.0', lines: ['Transfer-Encoding: chunked'], body: '0\r\n\r\n' }), 400],
  // ---- chunks ----
  'no size': [chunked('\r\nabc\r\n0\r\n\r\n'), 400],
  'a size with 0x': [chunked('0x3\r\nabc\r\n0\r\n\r\n'), 400],
  'a size with a plus': [chunked('+3\r\nabc\r\n0\r\n\r\n'), 400],
  'a size with a minus': [chunked('-3\r\nabc\r\n0\r\n\r\n'), 400],
  'a size with an underscore': [chunked('0_3\r\nabc\r\n0\r\n\r\n'), 400],
  'a size of no digit': [chunked('g\r\nabc\r\n0\r\n\r\n'), 400],
  'a space before a size': [chunked(' 3\r\nabc\r\n0\r\n\r\n'), 400],
  'a space behind a size': [chunked('3 \r\nabc\r\n0\r\n\r\n'), 400],
  'a chunk extension': [chunked('3;a=b\r\nabc\r\n0\r\n\r\n'), 400],
  'a chunk extension without a name': [chunked('3;\r\nabc\r\n0\r\n\r\n'), 400],
  'a chunk extension that hides a line': [chunked('3;\nxx\r\nabc\r\n0\r\n\r\n'), 400],
  'LF behind a size': [chunked('3\nabc\r\n0\r\n\r\n'), 400],
  'CR alone behind a size': [chunked('3\rabc\r\n0\r\n\r\n'), 400],
  'CR CR LF behind a size': [chunked('3\r\r\nabc\r\n0\r\n\r\n'), 400],
  'LF behind data': [chunked('3\r\nabc\n0\r\n\r\n'), 400],
  'nothing behind data': [chunked('3\r\nabc0\r\n\r\n'), 400],
  'more data than the size': [chunked('3\r\nabcd\r\n0\r\n\r\n'), 400],
  'two bytes of anything behind data': [chunked('3\r\nabcXX0\r\n\r\n'), 400],
  'a size of 2^64': [chunked('10000000000000000\r\nabc\r\n0\r\n\r\n'), 400],
  'a size of 2^64 - 1': [chunked('ffffffffffffffff\r\nabc\r\n0\r\n\r\n'), 400],
  'a size of 2^64 + 3': [chunked('10000000000000003\r\nabc\r\n0\r\n\r\n'), 400],
  'a size of 17 digits': [chunked(`${'0'.repeat(16)}3\r\nabc\r\n0\r\n\r\n`), 400],
  'the last chunk with LF': [chunked('0\n\n'), 400],
  'the end with LF': [chunked('0\r\n\n'), 400],
  'a trailer with LF': [chunked('0\r\nX: y\n\r\n'), 400],
  'a trailer with a space before the colon': [chunked('0\r\nX : y\r\n\r\n'), 400],
  'a trailer without a colon': [chunked('0\r\nX\r\n\r\n'), 400],
  'a trailer that is folded': [chunked('0\r\nX: y\r\n z\r\n\r\n'), 400],
  'trailers of 5 KiB': [chunked(`0\r\nX: ${'y'.repeat(5000)}\r\n\r\n`), 400],
  'a length as a trailer': [chunked('3\r\nabc\r\n0\r\nX: y\r\ncontent-LENGTH: 3\r\n\r\n'), 400],
  'a coding as a trailer': [chunked('3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'), 400],
  'a Host as a trailer': [chunked('3\r\nabc\r\n0\r\nHost: evil\r\n\r\n'), 400],
  'a request where a trailer may stand': [chunked(`0\r\n${LAST}`), 400],
  // ---- limits ----
  'a target of 8193 bytes': [request({ target: `/${'a'.repeat(8192)}` }), 414],
  'a target without an end': [`GET /${'a'.repeat(20_000)}`, 414],
  'a query of 9000 bytes': [request({ target: `${ECHO}?${'a'.repeat(9000)}` }), 414],
  '101 header lines': [request({ lines: repeat(100, (i) => `X${i}: y\n`).trim().split('\n') }), 431],
  'a thousand header lines': [request({ lines: Array(1000).fill('A: b') }), 431],
  'a value of 17 KiB': [request({ lines: [`X: ${'y'.repeat(17 * 1024)}`] }), 431],
  'a name of 17 KiB': [request({ lines: [`${'X'.repeat(17 * 1024)}: y`] }), 431],
  'a head without an end': [`GET ${ECHO} HTTP/1.1\r\nHost: weir\r\n${repeat(90, (i) => `X-${i}: ${'y'.repeat(200)}\r\n`)}`, 431],
  'an expectation that is unknown': [request({ lines: ['Expect: 200-ok'] }), 417],
  'an expectation and another one': [request({ lines: ['Expect: 100-continue, 200-ok'] }), 417],
};
for (const [name, [bytes, status]] of Object.entries(REFUSED)) test(`refused with ${status}: ${name}`, () => refused(bytes, status));

test('every byte that is no token is refused in a name, in a method and in a version', async () => {
  const tokens = new Set("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
  for (let byte = 0; byte < 256; byte++) {
    const c = String.fromCharCode(byte);
    if (!tokens.has(c) && c !== ':') await refused(request({ lines: [`X${c}Y: z`] }), 400);
    if (!tokens.has(c) && c !== ' ') await refused(request({ method: `G${c}T` }), 400);
    if (c !== '1' && c !== '0') await refused(request({ version: `HTTP/1.${c}` }), c >= '2' && c <= '9' ? 505 : 400);
  }
});

test('cut requests are refused when our side is shut', async () => {
  const cuts = [chunked('3\r\nab'), chunked('3\r\nabc\r\n0\r\n'), chunked('7fffffffffffffff\r\nabc'), post('Content-Length: 10', 'abc'), `GET ${ECHO} HTTP/1.1\r\nHost: weir\r\n`, 'GET'];
  for (const bytes of cuts) await refused(bytes, 400, { half: true, last: '' });
});

/** name: [bytes, what the echo must have understood] */
const TAKEN = {
  'an empty line before a request': [`\r\n${request()}`, { method: 'GET', path: ECHO }],
  'no white space behind a colon': [request({ lines: ['X:y'] }), { headers: { host: 'weir', x: 'y' } }],
  'white space around a value': [request({ lines: ['X: \t y \t'] }), { headers: { host: 'weir', x: 'y' } }],
  'white space inside a value': [request({ lines: ['X: a\t \tb'] }), { headers: { host: 'weir', x: 'a\t \tb' } }],
  'an empty value': [request({ lines: ['X:', 'Y: '] }), { headers: { host: 'weir', x: '', y: '' } }],
  'UTF-8 in a value': [request({ lines: ['X: \xe4\xbd\xa0'] }), { headers: { host: 'weir', x: '你' } }],
  'every byte of a token': [request({ lines: ["!#$%&'*+-.^_`|~09Az: y"] }), { headers: { host: 'weir', "!#$%&'*+-.^_`|~09az": 'y' } }],
  'a header twice': [request({ lines: ['X: a', 'x: b'] }), { headers: { host: 'weir', x: 'a, b' } }],
  'names in any letters': [`POST ${ECHO} HTTP/1.1\r\nhOST: weir\r\ncontent-LENGTH: 3\r\n\r\nabc`, { body: 'abc' }],
  'an underscore makes another name': [post(['Content_Length: 9', 'Transfer_Encoding: chunked', 'Content-Length: 3'], 'abc'), { body: 'abc' }],
  'a body of a GET': [request({ lines: ['Content-Length: 3'], body: 'abc' }), { method: 'GET', body: 'abc' }],
  'a body of a DELETE': [request({ method: 'DELETE', lines: ['Content-Length: 3'], body: 'abc' }), { method: 'DELETE', body: 'abc' }],
  'a body that is a request': [post(`Content-Length: ${LAST.length}`, LAST), { body: LAST }],
  'a chunk that is a request': [chunked(`${LAST.length.toString(16)}\r\n${LAST}\r\n0\r\n\r\n`), { body: LAST }],
  'a body of zero bytes': [post('Content-Length: 0', ''), { body: '' }],
  'no body of a POST': [request({ method: 'POST' }), { method: 'POST', body: '' }],
  PUT: [request({ method: 'PUT', lines: ['Content-Length: 3'], body: 'abc' }), { method: 'PUT', body: 'abc' }],
  PATCH: [request({ method: 'PATCH', lines: ['Content-Length: 3'], body: 'abc' }), { method: 'PATCH', body: 'abc' }],
  'a body of NULs': [post('Content-Length: 3', '\0\r\n'), { body: '\0\r\n' }],
  'a body that is no text': [post('Content-Length: 3', '\xff\xfe\0'), { body_base64: '//4A' }],
  'chunks in both letters': [chunked('A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n'), { body: '01234567890123456789' }],
  'a size with zeros before it': [chunked('0000000000000003\r\nabc\r\n000\r\n\r\n'), { body: 'abc' }],
  'no chunk but the last': [chunked('0\r\n\r\n'), { body: '' }],
  'a trailer': [chunked('3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n'), { body: 'abc', headers: { host: 'weir', 'transfer-encoding': 'chunked' } }],
  'trailers that look like what they may not be': [chunked('3\r\nabc\r\n0\r\nContent-Lengths: 99\r\nHos: x\r\nHostess: x\r\nTransfer_Encoding: gzip\r\n\r\n'), { body: 'abc' }],
  'Chunked in other letters': [post('Transfer-Encoding: ChUnKeD', '3\r\nabc\r\n0\r\n\r\n'), { body: 'abc' }],
  'white space behind chunked': [post('Transfer-Encoding: chunked \t', '3\r\nabc\r\n0\r\n\r\n'), { body: 'abc' }],
  'an empty line behind a body': [`${post('Content-Length: 3', 'abc')}\r\n`, { body: 'abc' }],
  'absolute-form': [request({ target: `http://weir${ECHO}?x` }), { path: ECHO, query: 'x' }],
  'absolute-form in other letters': [request({ target: `HTTP://WEIR${ECHO}` }), { path: ECHO }],
  'absolute-form with the default port': [request({ target: `http://weir:80${ECHO}` }), { path: ECHO }],
  'absolute-form of https': [request({ target: `https://weir:443${ECHO}` }), { path: ECHO }],
  'a query of what browsers leave raw': [request({ target: `${ECHO}?a="<>^\`{|}'&b=[]` }), { query: 'a="<>^`{|}\'&b=[]' }],
  'a query of question marks': [request({ target: `${ECHO}??a=?` }), { query: '?a=?' }],
  'an escape in a query stays': [request({ target: `${ECHO}?a=%00%0d%0a` }), { query: 'a=%00%0d%0a' }],
  'escaped letters of a path': [request({ target: '/%61pi/debug/%65cho' }), { path: '/%61pi/debug/%65cho' }],
  'dot segments': [request({ target: '/api/x/../debug/./echo' }), { path: '/api/x/../debug/./echo' }],
  'escaped dot segments': [request({ target: '/api/x/%2e%2E/debug/%2e/echo' }), { method: 'GET' }],
  'a target of 8192 bytes': [request({ target: `${ECHO}?${'a'.repeat(8192 - ECHO.length - 1)}` }), { query: 'a'.repeat(8192 - ECHO.length - 1) }],
  '100 header lines': [request({ lines: repeat(99, (i) => `X${i}: y\n`).trim().split('\n') }), { method: 'GET' }],
  'a Host with a port': [request({ host: 'Host: weir:8000\r\n' }), { headers: { host: 'weir:8000' } }],
  'a Host with an empty port': [request({ host: 'Host: weir:\r\n' }), { method: 'GET' }],
  'a Host that is an IPv6 address': [request({ host: 'Host: [::1]:8000\r\n' }), { headers: { host: '[::1]:8000' } }],
  'a Host that is an IPv4 address': [request({ host: 'Host: 127.0.0.1\r\n' }), { headers: { host: '127.0.0.1' } }],
  'an upgrade to h2c is not taken': [request({ lines: ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA'] }), { method: 'GET' }],
  'an upgrade to WebSocket where none is': [request({ lines: ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='] }), { method: 'GET' }],
  'a coding of the answer that is unknown': [request({ lines: ['Accept-Encoding: zstd, br;q=1', 'TE: trailers'] }), { method: 'GET' }],
};
for (const [name, [bytes, expected]] of Object.entries(TAKEN)) {
  test(`taken: ${name}`, async () => {
    const echo = JSON.parse((await taken(bytes)).text);
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(echo[key], value, key);
    const slowly = await converse(weir.port, [...Buffer.from(bytes, 'latin1')].slice(0, 400).map((byte) => Buffer.from([byte])).concat(bytes.slice(400) ? [bytes.slice(400)] : [], [LAST]));
    assert.deepEqual(JSON.parse(readReplies(slowly.bytes)[0].text), echo, 'byte by byte it is another request');
  });
}

test('a head of exactly 16 KiB is taken, one more byte is 431', async () => {
  const frame = request({ lines: ['X: '] }).length;
  await taken(request({ lines: [`X: ${'y'.repeat(16 * 1024 - frame)}`] }));
  await refused(request({ lines: [`X: ${'y'.repeat(16 * 1024 - frame + 1)}`] }), 431);
});

/** Paths that are malformed although the request is not: the connection goes on. */
for (const path of ['/..', '/../etc/passwd', '/%2e%2e/etc/passwd', '/api/%2e%2e/%2e%2e/x', '/a%00b', '/%', '/%2', '/%zz', '/%u0041', '/a%2fb', '/a%2Fb', '/a%5cb', '/a\\b', '//', '//evil/x', '/a//b', '/%c0%af', '/%c0%ae%c0%ae/',
  '/%ff', '/%ed%a0%80', '/%f4%90%80%80', '/%e4%bd', '/%0d%0aX-Injected:%201', '/%7f']) {
  test(`answered with 400: the path ${path}`, async () => { await taken(request({ target: path }), 400); });
}
for (const path of ['/nothing', '/api/debug/echo/more', '/matching/static/%2e', '/matching/static/..%252fx', '/upload/%2e%2e%2f%2e%2e', '/matching/static/weir.css%20', '/API/debug/echo', '/api;x/debug/echo', '/%e4%bd%a0', '/*']) {
  test(`answered with 404 or 400: the path ${path}`, async () => {
    const { bytes } = await converse(weir.port, [request({ target: path }), LAST]);
    const replies = readReplies(bytes);
    assert.ok(replies.length === 2 && [404, 400].includes(replies[0].status), bytes.toString('latin1'));
  });
}

// ---- connections ----

test('HTTP/1.0 is closed by default and kept when it asks; a Host is not needed', async () => {
  for (const [lines, kept] of [[[], false], [['Connection: keep-alive'], true], [['Connection: Keep-Alive'], true], [['Connection: keep-alive, close'], false], [['Keep-Alive: 5'], false]]) {
    const { bytes, end } = await converse(weir.port, request({ version: 'HTTP/1.0', host: '', lines }) + LAST);
    const replies = readReplies(bytes);
    assert.deepEqual([replies[0].status, replies.length, end], [200, kept ? 2 : 1, 'fin'], lines.join());
    assert.equal(replies[0].header('connection'), kept ? 'keep-alive' : 'close', lines.join());
  }
});

test('HTTP/1.1 is kept by default; Connection: close is honoured and echoed', async () => {
  for (const [line, kept] of [['Connection: keep-alive', true], ['Connection: x', true], ['Connection: closed', true], ['X-Connection: close', true],
    ['Connection: close', false], ['Connection: CLOSE', false], ['Connection: x, close', false], ['Connection: close,', false], ['Connection: keep-alive\r\nConnection: close', false]]) {
    const { bytes, end } = await converse(weir.port, request({ lines: [line] }) + LAST);
    const replies = readReplies(bytes);
    assert.deepEqual([replies[0].status, replies.length, end, replies[0].header('connection')], [200, kept ? 2 : 1, 'fin', kept ? undefined : 'close'], line);
  }
});

test('a hundred requests in one write are answered in order', async () => {
  const { bytes } = await converse(weir.port, repeat(100, (i) => request({ method: i % 3 ? 'GET' : 'POST', target: `${ECHO}?${i}`, lines: ['Content-Length: 3'], body: 'abc' })) + LAST);
  const replies = readReplies(bytes);
  assert.deepEqual(replies.map((reply) => JSON.parse(reply.text).query), [...Array(100).keys()].map(String).concat('last'));
});

test('requests of every kind in one write are answered in order', async () => {
  const { bytes } = await converse(weir.port, [request({ method: 'HEAD' }), request({ target: '/healthz' }), request({ target: '/nothing' }), request({ method: 'OPTIONS', target: '*' }),
    request({ target: '/matching/static/weir.css' }), request({ target: '/matching/get_diary_action/?diary_id=99999999&openId=nobody' }), request({ method: 'DELETE', target: '/healthz' }), chunked('3\r\nabc\r\n0\r\n\r\n'), LAST].join(''));
  const replies = readReplies(bytes, { heads: [0] });
  assert.deepEqual(replies.map((reply) => reply.status), [200, 200, 404, 204, 200, 404, 405, 200, 200]);
});

test('what came before a bad request is answered, then 400, then the end', async () => {
  for (const good of [0, 1, 7, 50]) {
    const { bytes, end } = await converse(weir.port, repeat(good, (i) => request({ target: `${ECHO}?${i}` })) + request({ lines: ['Bad Header: x'] }) + LAST);
    const replies = readReplies(bytes);
    assert.deepEqual([replies.map((reply) => reply.status), end], [[...Array(good).fill(200), 400], 'fin']);
    assert.deepEqual(replies.slice(0, -1).map((reply) => JSON.parse(reply.text).query), [...Array(good).keys()].map(String));
  }
});

test('a write that is under way is answered before the bad request behind it', async () => {
  const body = 'openId=conformance&nickName=a&avatarUrl=&gender=1&province=&city=&country=';
  const store = request({ method: 'POST', target: '/matching/store_action/', lines: ['Content-Type: application/x-www-form-urlencoded', `Content-Length: ${body.length}`], body });
  const { bytes } = await converse(weir.port, `${store}${store}NONSENSE\r\n\r\n`);
  assert.deepEqual(readReplies(bytes).map((reply) => reply.status), [200, 200, 400]);
});

test('our side shut behind a request: it is answered all the same', async () => {
  const { bytes, end } = await converse(weir.port, request() + request({ target: '/healthz' }), { half: true });
  assert.deepEqual([readReplies(bytes).map((reply) => reply.status), end], [[200, 200], 'fin']);
  const silent = await converse(weir.port, [], { half: true });
  assert.deepEqual([silent.bytes.length, silent.end], [0, 'fin']);
});

test('requests cut into pieces anywhere are the same requests', async () => {
  const bytes = `${post('Content-Length: 11', 'hello world')}${chunked('5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n')}${LAST}`;
  for (let at = 1; at < bytes.length; at += 3) {
    const replies = readReplies((await converse(weir.port, [bytes.slice(0, at), bytes.slice(at)])).bytes);
    assert.deepEqual(replies.map((reply) => JSON.parse(reply.text).body), ['hello world', 'hello world', ''], `cut at ${at}`);
  }
});

// ---- Expect ----

test('Expect: 100-continue', async () => {
  const statuses = async (pieces, options) => readReplies((await converse(weir.port, pieces, options)).bytes).map((reply) => reply.status);
  const ask = (version, length, target = ECHO) => request({ method: 'POST', target, version, lines: ['Expect: 100-Continue', `Content-Length: ${length}`] });
  assert.deepEqual(await statuses([ask('HTTP/1.1', 3), 'abc', LAST], { pauseMs: 150 }), [100, 200, 200], 'the body waits for the 100');
  assert.deepEqual(await statuses([`${ask('HTTP/1.1', 3)}abc${LAST}`]), [200, 200], 'the body is here already: no 100 is needed (RFC 9110 10.1.1)');
  assert.deepEqual(await statuses([ask('HTTP/1.1', 0), LAST]), [200, 200], 'no body');
  assert.deepEqual(await statuses([ask('HTTP/1.0', 3), 'abc'], { pauseMs: 150 }), [200], 'HTTP/1.0 knows no 100');
  assert.deepEqual(await statuses([ask('HTTP/1.1', 20_000_000), LAST]), [413], 'no 100 for what is refused');
  assert.deepEqual((await statuses([ask('HTTP/1.1', 3, '/nothing')])), [404], 'no 100 for what is refused, and then the connection is closed');
  assert.deepEqual(await statuses([request({ method: 'POST', lines: ['Expect: 100-continue', 'Transfer-Encoding: chunked'] }), '3\r\nabc\r\n0\r\n\r\n', LAST], { pauseMs: 150 }), [100, 200, 200]);
});

// ---- sizes ----

test('a body over the limit is 413 however it comes, and one at the limit is taken', async () => {
  const most = 10 * 1024 * 1024;
  const chunk = (n) => [`${n.toString(16)}\r\n`, Buffer.alloc(n, 'a'), '\r\n'];
  await taken([post(`Content-Length: ${1024 * 1024}`, ''), Buffer.alloc(1024 * 1024, 'a')]);
  for (const pieces of [chunk(most + 1), [...chunk(most), ...chunk(1)], Array(700).fill(chunk(16 * 1024)).flat()]) {
    const { bytes } = await converse(weir.port, [chunked(''), ...pieces, '0\r\n\r\n', LAST]);
    const replies = readReplies(bytes);
    assert.deepEqual(replies.map((reply) => [reply.status, reply.header('connection')]), [[413, 'close']]);
  }
  const exact = readReplies((await converse(weir.port, [chunked(''), ...chunk(most / 2), ...chunk(most / 2), '0\r\n\r\n', LAST])).bytes);
  assert.deepEqual(exact.map((reply) => reply.status), [200, 200]);
  assert.equal(JSON.parse(exact[0].text).body.length, most);
});

test('a body that nobody wants: a small one is skipped, behind a large one the connection ends', async () => {
  for (const [n, replies] of [[10, 2], [60_000, 2], [1_000_000, 1]]) {
    for (const head of [[`Content-Length: ${n}`], ['Transfer-Encoding: chunked']]) {
      const body = head[0].startsWith('T') ? [`${n.toString(16)}\r\n`, Buffer.alloc(n, 'a'), '\r\n0\r\n\r\n'] : [Buffer.alloc(n, 'a')];
      const { bytes, end } = await converse(weir.port, [request({ method: 'POST', target: '/nothing', lines: head }), ...body, LAST]);
      const got = readReplies(bytes);
      assert.deepEqual([got[0].status, got.length, end], [404, replies, 'fin'], `${head} ${n}`);
    }
  }
});

// ---- methods ----

test('HEAD is answered as GET without the body', async () => {
  for (const target of [ECHO, '/healthz', '/', '/matching/', '/matching/static/weir.css', '/nothing', '/matching/get_diary_action/?diary_id=99999999&openId=nobody', '/matching/emotion/', '/api/debug/json', '/%zz']) {
    const both = readReplies((await converse(weir.port, request({ target }) + LAST)).bytes);
    const head = readReplies((await converse(weir.port, request({ method: 'HEAD', target }) + LAST)).bytes, { heads: [0] });
    assert.deepEqual([head.length, head[0].status], [2, both[0].status], target);
    if (both[0].status === 405 || target === ECHO) continue;       // they tell the method
    const told = (reply) => reply.headers.filter(([name]) => !['date', 'x-request-id'].includes(name));
    assert.deepEqual(told(head[0]), told(both[0]), target);
  }
});

test('a refused HEAD has no body either', async () => {
  for (const [lines, target, status] of [[['Expect: x'], ECHO, 417], [['Bad Header: x'], ECHO, 400], [[], `/${'a'.repeat(9000)}`, 414], [Array(200).fill('A: b'), ECHO, 431], [['Content-Length: 99999999'], ECHO, 413]]) {
    const { bytes, end } = await converse(weir.port, request({ method: 'HEAD', target, lines }) + LAST);
    const replies = readReplies(bytes, { heads: [0] });
    assert.deepEqual([replies.map((reply) => reply.status), end, replies[0].header('connection')], [[status], 'fin', 'close']);
  }
});

test('405 names what is allowed, and so does OPTIONS', async () => {
  const allowed = (reply) => reply.header('allow').split(', ').sort().join(' ');
  for (const [target, methods] of [['/matching/get_user_action/', 'GET HEAD OPTIONS'], ['/matching/emotion/', 'OPTIONS POST'], ['/matching/depair_action/', 'GET HEAD OPTIONS POST'], ['/api/diary/block/', 'DELETE GET HEAD OPTIONS POST'],
    ['/matching/static/weir.css', 'GET HEAD OPTIONS'], ['/healthz', 'GET HEAD OPTIONS'], ['/api/debug/json', 'OPTIONS POST'], ['/ws/chat/some/', 'GET HEAD OPTIONS']]) {
    assert.equal(allowed(await taken(request({ method: 'PATCH', target }), 405)), methods, target);
    assert.equal(allowed(await taken(request({ method: 'OPTIONS', target }), 204)), methods, target);
  }
  const all = 'DELETE GET HEAD OPTIONS PATCH POST PUT';
  assert.equal(allowed(await taken(request({ method: 'OPTIONS', target: '*' }), 204)), all);
  assert.equal(allowed(await taken(request({ method: 'OPTIONS', target: 'http://weir' }), 204)), all, 'RFC 9112 3.2.4');
  await taken(request({ method: 'OPTIONS', target: '/nothing' }), 404);
});

test('what is only a WebSocket says so to who comes without one', async () => {
  for (const lines of [[], ['Connection: close']]) {
    const [reply, next] = readReplies((await converse(weir.port, request({ target: '/api/debug/ws', lines }) + LAST)).bytes);
    assert.deepEqual([reply.status, reply.header('upgrade'), reply.header('connection'), next?.status],
      [426, 'websocket', lines.length ? 'close, Upgrade' : 'Upgrade', lines.length ? undefined : 200], 'RFC 9110 15.5.22 and 7.8');
  }
});

test('nothing of a request comes back as a header line', async () => {
  const evil = '%0d%0aX-Injected:%20yes%0d%0a%0d%0a<script>';
  const targets = [`/${evil}`, `${ECHO}?${evil}`, `/matching/static/${evil}`, `/upload/${evil}/`, `/matching/chat/${evil}/`, `/matching/get_user_action/?openId=${evil}`, `/matching/show_img_action/?openId=${evil}&img_name=${evil}`, `/ws/chat/${evil}/`,
    `/matching/get_openId_action/?js_code=${evil}`];
  const lines = ['Origin: http://evil%0d%0aX-Injected: yes', 'Accept-Language: en%0d%0aX-Injected: yes', `X-Request-Id: ${evil}`, `If-None-Match: "${evil}"`, `Range: bytes=${evil}`, 'X-Forwarded-For: 1.2.3.4', 'X-Forwarded-Proto: x', `Access-Control-Request-Method: ${evil}`];
  for (const target of targets) {
    for (const method of ['GET', 'OPTIONS']) {
      const { bytes } = await converse(weir.port, request({ method, target, lines }) + LAST);
      const replies = readReplies(bytes);
      assert.ok(replies[0].status !== 500 && !replies.some((reply) => reply.headers.some(([name, value]) => name === 'x-injected' || /injected/i.test(value))), bytes.toString('latin1'));
    }
  }
});

test('the demo believes names of this machine only: a page that was bent to 127.0.0.1 keeps its name', async () => {
  const demo = await startDemo({ 'debug.routes': 'false' });
  try {
    const hosts = { '127.0.0.1': 200, '127.0.0.1:8000': 200, '127.1.2.3': 200, localhost: 200, 'LocalHost:1': 200, '[::1]:8000': 200, 'evil.example': 403, '127.evil.example': 403, '127.0.0.1.evil.example': 403, 'localhost.evil.example': 403,
      '127.0.0.1x': 403, '10.0.0.1': 403, '[::2]': 403, '[::ffff:127.0.0.1]': 403, xlocalhost: 403 };
    for (const [host, status] of Object.entries(hosts)) {
      for (const target of ['/matching/get_user_action/?openId=666', '/', `http://${host}/`]) {
        const { bytes } = await converse(demo.port, request({ target, host: `Host: ${host}\r\n`, lines: ['Connection: close'] }));
        assert.equal(readReplies(bytes)[0].status, status, `${host} ${target}`);
      }
    }
  } finally {
    await demo.stop();
  }
});

// ---- time ----

test('a head that takes too long is 408, steady or not; so is a body', { timeout: 40_000 }, async () => {
  for (const [name, least] of [['stops', 9000], ['drips', 9000], ['body', 9000], ['chunks', 9000]]) {
    const { bytes, end, ms } = await slow[name];
    const replies = readReplies(bytes, { what: name });
    assert.deepEqual(replies.map((reply) => [reply.status, reply.header('connection')]), [[408, 'close']], name);
    assert.ok(ms > least && ms < 30_000, `${name}: ${ms} ms`);
    assert.equal(end, 'fin', name);
  }
});

test('after all of this the server is well', healthy);
