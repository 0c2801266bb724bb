// JSON as RFC 8259 has it, through /api/debug/json, in the three lists of the well-known suites: what every parser must take, what every parser must refuse, and what the RFC leaves to the implementation,
// where Weir's choice is written down. Weir is stricter than it must be in three things: a key twice in an object, a NUL in a string, and numbers that do not fit (64-bit integers, doubles) are refused,
// because two readers would see two values. What is taken comes back as the canonical form: the same value, keys in the order of their bytes, no white space.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startDemo } from '../lib/weir.mjs';

let weir;
before(async () => { weir = await startDemo(); });
after(async () => { await weir.stop(); });

const ask = async (bytes, type = 'application/json') => {
  const reply = await weir.plain('POST', '/api/debug/json', { body: Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'utf8'), type });
  assert.ok([200, 400].includes(reply.status), `${reply.status} ${reply.text}`);
  if (reply.status === 400) {
    assert.equal(reply.body.errcode, 400);
    assert.match(reply.body.errmsg, /line|第|JSON/);
  }
  return reply;
};
const raw = (text) => Buffer.from(text, 'latin1');
const deep = (n, open, close, inside = '') => open.repeat(n) + inside + close.repeat(n);

const TAKEN = ['[]', '[[]   ]', '[""]', '{}', '[false]', '[true]', '[null]', '[1, null, 1.5, "x", {"a": [true]}]', '[null, 1, "1", {}]', ' [1]', '[1,null,null,null,2]', '[2] ', '\t\r\n [ \r\n 1 \t ] \n', '[123e65]', '[0e+1]', '[0e1]', '[ 4]',
  '[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]', '[20e1]', '[-0]', '[-123]', '[-1]', '[1E22]', '[1E-2]', '[1E+2]', '[123e45]', '[123.456e78]', '[1e-2]', '[1e+2]', '[123]', '[123.456789]', '[0]', '[0.5]', '[9223372036854775807]', '[-9223372036854775808]',
  '{"asd":"sdf", "dfg":"fgh"}', '{"asd":"sdf"}', '{"":0}', '{"a": [], "b": {"c": null}}', '{"min": -1.0e+28, "max": 1.0e+28}', '{"x":[{"id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}], "id": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}', '{"a":[]}',
  '{"title":"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430" }', '{\n"a": "b"\n}', '["\\u0060\\u012a\\u12AB"]', '["\\uD801\\udc37"]', '["\\ud83d\\ude39\\ud83d\\udc8d"]', '["\\"\\\\\\/\\b\\f\\n\\r\\t"]', '["\\\\u0000"]', '["\\""]', '["a/*b*/c/*d//e"]', '["\\\\a"]', '["\\\\n"]', '["\\u0012"]', '["\\uFFFF"]',
  '["asd"]', '[ "asd"]', '["\\uDBFF\\uDFFF"]', '["new\\u00A0line"]', '["\u{10ffff}"]', '["\uffff"]', '["\\u002c"]', '["π"]', '["\u{1bfff}"]', '["asd "]', '" "', '["\\uD834\\uDd1e"]', '["\\u0821"]', '["\\u0123"]', '["\u2028"]', '["\u2029"]', '["\\u0061\\u30af\\u30EA\\u30b9"]', '["new\\u000Aline"]', '["\x7f"]',
  '["\\uA66D"]', '["\\u005C"]', '["⍂㈴⍂"]', '["\\u200B"]', '["\\u2064"]', '["\\uFDD0"]', '["\\uFFFE"]', '["\\u0022"]', '["€𝄞"]', '["aa\x7f"]', 'false', '42', '-0.1', 'null', '"asd"', 'true', '""', '["a"]\n', '[true]', ' [] ', '"你好，世界"', '{"你":"好"}',
  deep(64, '[', ']'), deep(64, '{"a":', '}', '1'), `[${'1,'.repeat(9999)}1]`, `"${'a'.repeat(1_000_000)}"`];
test('every parser must take it', async () => {
  for (const one of TAKEN) {
    const reply = await ask(one);
    assert.equal(reply.status, 200, `${one.slice(0, 100)}: ${reply.text.slice(0, 300)}`);
    assert.deepEqual(JSON.parse(reply.text), JSON.parse(one.replace(/-0\b(?!\.)/, '0')), one.slice(0, 100));
    assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
  }
});

const REFUSED = ['[1 true]', raw('[a\xe5]'), '["": 1]', '[""],', '[,1]', '[1,,2]', '["x",,]', '["x"]]', '["",]', '["x"', '[x', '[3[4]]', raw('[\xff]'), '[1:2]', '[,]', '[-]', '[   , ""]', '["a",\n4\n,1,', '[1,]', '[1,,]', '["\x0ba"\\f]', '[*]', '[""', '[1,', '[1,\n1\n,1', '[{}', '[fals]', '[nul]', '[tru]', '[falsy]',
  '123\0', '[++1234]', '[+1]', '[+Inf]', '[-01]', '[-1.0.]', '[-2.]', '[-NaN]', '[.-1]', '[.2e-3]', '[0.1.2]', '[0.3e+]', '[0.3e]', '[0.e1]', '[0E+]', '[0E]', '[0e+]', '[0e]', '[1.0e+]', '[1.0e-]', '[1.0e]', '[1 000.0]', '[1eE2]', '[2.e+3]', '[2.e-3]', '[2.e3]', '[9.e+]', '[Inf]', '[NaN]', '[１]', '[1+2]', '[0x1]',
  '[0x42]', '[Infinity]', '[0e+-1]', '[-123.123foo]', raw('[123\xe5]'), raw('[1e1\xe5]'), raw('[0\xe5]\n'), '[-Infinity]', '[-foo]', '[- 1]', '[-012]', '[-.123]', '[-1x]', '[1ea]', raw('[1e\xe5]'), '[1.]', '[.123]', '[1.2a-3]', '[1.8011670033376514H-308]', '[012]', '["x", truth]', '[00]', '[1_000]', '[0b1]', '[1e]',
  '{[: "x"}\n', '{"x", null}', '{"x"::"b"}', '{🇨🇭}', '{"a":"a" 123}', '{key: \'value\'}', raw('{"\xb9":"0",}'), '{"a" b}', '{:"b"}', '{"a" "b"}', '{"a":', '{"a"', '{1:1}', '{9999E9999:1}', '{null:null,null:null}', '{"id":0,,,,,}', "{'a':0}", '{"id":0,}', '{"a":"b"}/**/', '{"a":"b"}/**//', '{"a":"b"}//', '{"a":"b"}/',
  '{"a":"b",,"c":"d"}', '{a: "b"}', '{"a":"a', '{ "foo" : "bar", "a" }', '{"a":"b"}#', ' ', '["\\uD800\\"]', '["\\uD800\\u"]', '["\\uD800\\u1"]', '["\\uD800\\u1x"]', '[é]', '["\\\0"]', '["\\\\\\"]', '["\\x00"]', '["\\\t"]', '["\\🌀"]', '["\\"]', '["\\u00A"]', '["\\uD834\\uDd"]', '["\\uD800\\uD800\\x"]', raw('["\\u\xe5"]'), '["\\a"]',
  '["\\uqqqq"]', raw('["\\\xe5"]'), '[\\u0020"asd"]', '[\\n]', '"', "['single quote']", 'abc', '["\\', '["a\0a"]', '["new\nline"]', '["\t"]', '["\x1f"]', '"\\UA66D"', '""x', '<.>', '[<null>]', '[1]x', '[1]]', '["asd]', 'aå', '[True]', '1]', '{"x": true,', '[][]', ']', raw('\xef\xbb{}'), raw('\xe5'), '[', '', '2@', '{}}', '{"":',
  '{"a":/*comment*/"b"}', '{"a": true} "x"', "['", '["a', '["a"', '{', '{]', '{,', '{[', "{'a'", '{"a', '{"', '["\\{["\\{["\\{["\\{', '*', '{"a":"b"}#{}', '[\\u000A""]', '[1', '[ false, nul', '[ true, fals', '[ false, tru', '{"asd":"asd"', 'å', '\u2060', '\u00a0[]', '[\x0c]', '\x0b[]', '\ufeff', '[\u2060]', 'undefined', '[1] [2]',
  '//', '/**/', '0 0', '--1', '.', 'e1', '-', '+', ',', ':', '\\', '\0', raw('[]\0'), raw('\0[]'), '[1,\0 2]', deep(65, '[', ']'), deep(65, '{"a":', '}', '1'), '['.repeat(100_000), '[{"":'.repeat(50_000), `${'['.repeat(500_000)}${']'.repeat(500_000)}`, `[${'0,'.repeat(100_000)}0]`];
test('no parser may take it (or it is nested or long beyond any use)', async () => {
  for (const one of REFUSED) {
    const reply = await ask(one);
    assert.equal(reply.status, 400, `${String(one).slice(0, 100)}: ${reply.text.slice(0, 300)}`);
  }
});

/** Where the RFC leaves the choice: [text, status, value]. */
const CHOSEN = [
  ['["\\u0000"]', 400], ['{"\\u0000":1}', 400], ['{"a\\u0000b":1}', 400], ['{"a":1,"a":1}', 400], ['{"a":1,"\\u0061":2}', 400], ['{"a":{"b":1,"c":2,"b":3}}', 400], ['[{"a":1},{"a":2}]', 200], ['{"a":1,"A":2}', 200], ['{"é":1,"e\u0301":2}', 200],
  ['[9223372036854775808]', 400], ['[-9223372036854775809]', 400], ['[100000000000000000000]', 400], ['[1e400]', 400], ['[-1e400]', 400], ['[0.4e00669999999999999999999999999999999999999999999999999999999999]', 400], ['[123123e100000]', 400],
  ['[123e-10000000]', 200, '[0.0]'], ['[1e-400]', 200, '[0.0]'], ['[1.7976931348623157e308]', 200, '[1.7976931348623157e+308]'], ['[5e-324]', 200], ['[0.1]', 200, '[0.1]'],
  ['["\\uD800"]', 400], ['["\\uDC00"]', 400], ['["\\uD800\\uD800\\n"]', 400], ['["\\uDd1e\\uD834"]', 400], ['["\\uD800a"]', 400], ['["\\ud800abc"]', 400], ['["\\uDFAA"]', 400], ['["\\uD888\\u1234"]', 400],
  [raw('["\xe9"]'), 400], [raw('["\xff"]'), 400], [raw('["\xed\xa0\x80"]'), 400], [raw('["\xc0\xaf"]'), 400], [raw('["\xfc\x83\xbf\xbf\xbf\xbf"]'), 400], [raw('["\xfc\x80\x80\x80\x80\x80"]'), 400], [raw('["\x81"]'), 400], [raw('["\xe0\xff"]'), 400], [raw('["\xf4\xbf\xbf\xbf"]'), 400], [raw('["\xe6\x97\xa5\xd1\x88\xfa"]'), 400],
  [raw('\xef\xbb\xbf{}'), 400], [Buffer.from('\ufeff[]', 'utf16le'), 400], [Buffer.from('["é"]', 'utf16le'), 400], [raw('\0[\0"\0\xe9\0"\0]'), 400],
];
test('what the RFC leaves to us is decided like this', async () => {
  for (const [one, status, value] of CHOSEN) {
    const reply = await ask(one);
    assert.equal(reply.status, status, `${one}: ${reply.text}`);
    if (value) assert.equal(reply.text, value);
  }
});

test('the canonical form: sorted keys, nothing between the tokens, the same for the same value, and its own canonical form', async () => {
  for (const [one, form] of [['{ "b" : 1 , "a" : [ 2 , { } ] }', '{"a":[2,{}],"b":1}'], ['{"é":1,"z":2,"Z":3,"\u{10000}":4,"\uffee":5,"":6}', '{"":6,"Z":3,"z":2,"é":1,"\uffee":5,"\u{10000}":4}'], ['"\\u00e9\\/\\u0041"', '"é/A"'], ['"\\u0001\\u001f\\b\\t"', null], ['-0', '0'],
    ['1.0', '1.0'], ['1e2', '100.0'], ['"<script>\\u2028"', null]]) {
    const first = await ask(one);
    if (form !== null) assert.equal(first.text, form);
    assert.deepEqual(JSON.parse(first.text), JSON.parse(one.replace(/^-0$/, '0')));
    assert.equal((await ask(first.text)).text, first.text);
  }
});

test('whatever the bytes: 200 or 400, never a 500', async () => {
  let state = 12345;
  const pick = (n) => { state = (Math.imul(state, 1103515245) + 12345) >>> 0; return Math.floor((state / 2 ** 32) * n); };
  const seeds = ['{"a":[1,2.5e3,"x\\u00e9\\n",null,true,false,{"b":{}}],"c":"你好"}', '[[[["\\ud83d\\ude39"]]]]', '[-1,0,1e-5,123456789012]'].map((text) => Buffer.from(text));
  let taken = 0;
  for (let i = 0; i < 1500; i++) {
    const bytes = Buffer.from(seeds[pick(seeds.length)]);
    for (let k = pick(3) + 1; k > 0; k--) bytes[pick(bytes.length)] = pick(3) ? '{}[]",:\\0123456789eE+-.truefalsn \t\n'.charCodeAt(pick(36)) : pick(256);
    const reply = await ask(bytes);
    let value;
    try { value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)); } catch { value = undefined; }
    if (reply.status === 200) {
      taken++;
      assert.notEqual(value, undefined, `Weir takes what JavaScript does not: ${bytes.toString('latin1')}`);
      assert.deepEqual(JSON.parse(reply.text.replace(/(?<![\d"])-0(\.0)?(?=[,\]}])/g, '0')), JSON.parse(JSON.stringify(value)), bytes.toString('latin1'));
    }
  }
  assert.ok(taken > 50 && taken < 1400, `${taken} taken`);
});

test('a body that says nothing of its type is read all the same, and none is 400', async () => {
  assert.equal((await ask('[1]', 'text/plain')).text, '[1]');
  assert.equal((await ask('[1]', 'application/vnd.x+json; charset=utf-8')).text, '[1]');
  assert.equal((await weir.plain('POST', '/api/debug/json')).status, 400);
});
