// The tokens of the absence app: what an HS256 JWT says and how long, every way in which one can be wrong, and how an old one is changed for a new one. Nothing but the server's own key is ever believed.
import assert from 'node:assert/strict';
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import { MANAGER, anonymous, shanghai, startEnsemble, startSandbox } from '../lib/absence.mjs';

const START = shanghai('2026-03-10T12:00:00');
const HOUR = 3_600_000, DAY = 86_400_000;
const GARBLED = 'Error decoding signature.', EXPIRED = 'Signature has expired.';
let wechat, weir;
before(async () => {
  wechat = await startSandbox();
  weir = await startEnsemble(wechat);
  await weir.clock(START, { hold: true });
});
after(async () => { await weir.stop(); await wechat.stop(); });

const text64 = (object) => Buffer.from(typeof object === 'string' ? object : JSON.stringify(object)).toString('base64url');
const read64 = (part) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
const list = (authorization, target = '/absence/') => weir.request('GET', target, authorization === undefined ? {} : { headers: { Authorization: authorization } });
const login = async (name, at = START) => {
  await weir.clock(at, { hold: true });
  const reply = await weir.login(name);
  assert.equal(reply.status, 200, reply.text);
  return reply.body.token;
};
const refresh = (token, options = {}) => weir.request('POST', '/account/refresh/', { headers: { Authorization: `JWT ${token}` }, ...options });

test('a token is HS256 and says who, until when', async () => {
  const token = await login('赵乘风');
  const [head, claims, signature] = token.split('.');
  assert.deepEqual([read64(head).alg, read64(head).typ], ['HS256', 'JWT']);
  const said = read64(claims);
  assert.deepEqual([said.username, said.exp, said.email], ['赵乘风', START / 1000 + 3600, '']);
  assert.ok(Number.isSafeInteger(said.user_id));
  assert.equal(Buffer.from(signature, 'base64url').length, 32);
  assert.notEqual(read64((await login('David')).split('.')[1]).user_id, said.user_id);
  assert.equal(read64((await login('赵乘风')).split('.')[1]).user_id, said.user_id);
});

test('the scheme is JWT or Bearer in any case', async () => {
  const token = await login('David');
  for (const scheme of ['JWT', 'jwt', 'Jwt', 'jWT', 'Bearer', 'bearer', 'BEARER']) assert.equal((await list(`${scheme} ${token}`)).status, 200, scheme);
  for (const scheme of ['Token', 'Basic', 'JWTX', 'JW', 'Digest', 'Negotiate', 'jwt,']) anonymous(await list(`${scheme} ${token}`));
});

test('what is no token is 401 with the text of its fault', async () => {
  const token = await login('David');
  anonymous(await list());
  anonymous(await list(''));
  anonymous(await list(token));
  anonymous(await list(`Basic ${Buffer.from('David:password').toString('base64')}`));
  anonymous(await weir.request('GET', '/absence/', { headers: { Cookie: `sessionid=${token}; token=${token}; jwt=${token}` } }));
  anonymous(await weir.request('GET', '/absence/', { query: { token, jwt: token, access_token: token } }));
  for (const bare of ['JWT', 'jwt', 'JWT ', 'JWT    ']) anonymous(await list(bare), 'Invalid Authorization header. No credentials provided.');
  for (const many of [`JWT ${token} ${token}`, 'JWT a b', 'JWT a b c d', `JWT ${token.replace('.', ' .')}`]) anonymous(await list(many), 'Invalid Authorization header. Credentials string should not contain spaces.');
  for (const garbage of ['abc', 'a.b', '..', '.', '...', 'a.b.c', 'a.b.c.d', `${token}.`, `.${token}`, `${token}.x`, token.slice(0, -1), token.split('.').slice(0, 2).join('.'), `${token.split('.').slice(0, 2).join('.')}.`, 'lakshdkjagsdjkgaskjdgkjasgdkjakjabsdkjasd', '%00', '{}', '=.=.=', '-'])
    anonymous(await list(`JWT ${garbage}`), GARBLED);
  for (const long of ['x'.repeat(10240), `${token}${'A'.repeat(10240)}`, `${text64({ alg: 'HS256' })}.${'A'.repeat(10000)}.${'A'.repeat(43)}`]) anonymous(await list(`JWT ${long}`), GARBLED);
  assert.equal((await list(`JWT ${token}`)).status, 200);
});

test('what another key signed, or nobody, is not believed', async () => {
  const token = await login('David');
  const [head, claims, signature] = token.split('.');
  const exp = START / 1000 + 3600;
  const mine = { ...read64(claims), username: MANAGER };
  const boss = read64((await login(MANAGER)).split('.')[1]);
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const hs = (header, payload, key, hash = 'sha256') => { const body = `${text64(header)}.${text64(payload)}`; return `${body}.${createHmac(hash, key).update(body).digest('base64url')}`; };
  const rs = (header, payload) => { const body = `${text64(header)}.${text64(payload)}`; return `${body}.${createSign('RSA-SHA256').update(body).sign(privateKey, 'base64url')}`; };
  const forged = [
    ...['none', 'None', 'NONE', 'nOnE', ''].flatMap((alg) => [`${text64({ alg, typ: 'JWT' })}.${claims}.`, `${text64({ alg, typ: 'JWT' })}.${text64(boss)}.${signature}`]),
    `${text64({ typ: 'JWT' })}.${claims}.${signature}`, `${text64({ alg: null })}.${claims}.${signature}`, `${text64([])}.${claims}.${signature}`, `${text64('text')}.${claims}.${signature}`,
    ...['HS384', 'HS512', 'RS256', 'ES256', 'PS256', 'hs256'].map((alg) => `${text64({ alg, typ: 'JWT' })}.${claims}.${signature}`),
    `${head}.${text64(mine)}.${signature}`, `${head}.${text64(boss)}.${signature}`, `${head}.${text64({ ...read64(claims), exp: exp + 999999 })}.${signature}`, `${head}.${claims}.${signature.split('').reverse().join('')}`,
    ...['', 'secret', 'your-256-bit-secret', '\0', '0'.repeat(32), 'x'.repeat(64), publicKey.export({ type: 'spki', format: 'pem' })].map((key) => hs({ alg: 'HS256', typ: 'JWT' }, boss, key)),
    hs({ alg: 'HS512', typ: 'JWT' }, boss, 'secret', 'sha512'), rs({ alg: 'RS256', typ: 'JWT' }, boss), rs({ alg: 'RS256', typ: 'JWT', jwk: publicKey.export({ format: 'jwk' }) }, boss),
    hs({ alg: 'HS256', typ: 'JWT', kid: '../../dev/null' }, boss, ''), hs({ alg: 'HS256', typ: 'JWT', jwk: { kty: 'oct', k: text64('k') } }, boss, 'k'),
    ...[0, 7, 20, 41].map((i) => `${head}.${claims}.${signature.slice(0, i)}${signature[i] === 'A' ? 'B' : 'A'}${signature.slice(i + 1)}`),
    ...[1, 9, 30].map((i) => `${head}.${claims.slice(0, i)}${claims[i] === 'A' ? 'B' : 'A'}${claims.slice(i + 1)}.${signature}`),
  ];
  for (const one of forged)
    for (const target of ['/absence/', '/manager/']) anonymous(await list(`JWT ${one}`, target), GARBLED);
  for (const one of forged.slice(0, 12)) anonymous(await refresh(one), GARBLED);
});

test('a token lives an hour of the server\'s clock', async () => {
  const token = await login('Mary');
  for (const [now, good] of [[0, true], [HOUR - 1000, true], [HOUR, false], [HOUR + 1000, false], [30 * DAY, false], [HOUR - 1, true], [-HOUR, true]]) {
    await weir.clock(START + now, { hold: true });
    const reply = await list(`JWT ${token}`);
    if (good) assert.equal(reply.status, 200, `${now}: ${reply.text}`);
    else anonymous(reply, EXPIRED);
  }
  await weir.clock(START + HOUR, { hold: true });
  anonymous(await weir.request('POST', '/absence/', { json: { reason: 'r', time_absence: '2026-03-20' }, headers: { Authorization: `JWT ${token}` } }), EXPIRED);
  anonymous(await list(`JWT ${token.slice(0, -6)}AAAAAA`), GARBLED);
});

test('refresh gives a new hour for a token that is good, or was less than a day ago', async () => {
  const token = await login('John');
  for (const now of [0, HOUR / 2, HOUR - 1000, HOUR, HOUR + 1000, 12 * HOUR, HOUR + DAY - 1000]) {
    await weir.clock(START + now, { hold: true });
    const reply = await refresh(token);
    assert.equal(reply.status, 200, `${now}: ${reply.text}`);
    assert.deepEqual(Object.keys(reply.body).sort(), ['msg', 'token']);
    assert.ok(reply.body.msg);
    const said = read64(reply.body.token.split('.')[1]);
    assert.deepEqual([said.username, said.exp], ['John', (START + now) / 1000 + 3600]);
    assert.equal((await list(`JWT ${reply.body.token}`)).status, 200);
    await weir.clock(START + now + HOUR, { hold: true });
    anonymous(await list(`JWT ${reply.body.token}`), EXPIRED);
  }
  for (const now of [HOUR + DAY, HOUR + DAY + 1000, 40 * DAY]) {
    await weir.clock(START + now, { hold: true });
    anonymous(await refresh(token), EXPIRED);
  }
  await weir.clock(START, { hold: true });
  anonymous(await weir.request('POST', '/account/refresh/', {}));
  anonymous(await weir.request('POST', '/account/refresh/', { json: { token } }));
  anonymous(await refresh('abc'), GARBLED);
  for (const scheme of ['bearer', 'jwt']) assert.equal((await weir.request('POST', '/account/refresh', { headers: { Authorization: `${scheme} ${token}` } })).status, 200);
});

test('a chain of refreshes ends a week after the login', async () => {
  let token = await login('Mary');
  for (let now = 12 * HOUR; now < 7 * DAY; now += 12 * HOUR) {
    await weir.clock(START + now, { hold: true });
    const reply = await refresh(token);
    assert.equal(reply.status, 200, `${now / HOUR} h: ${reply.text}`);
    token = reply.body.token;
  }
  await weir.clock(START + 7 * DAY - 1000, { hold: true });
  token = (await refresh(token)).body.token;
  await weir.clock(START + 7 * DAY, { hold: true });
  assert.equal((await list(`JWT ${token}`)).status, 200, 'the last one is good for its hour');
  anonymous(await refresh(token), 'Refresh has expired.');
  token = (await weir.login('Mary')).body.token;
  await weir.clock(START + 8 * DAY, { hold: true });
  assert.equal((await refresh(token)).status, 200, 'a login begins anew');
});

test('a token of one app is none in the other', async () => {
  await weir.clock(START, { hold: true });
  const absence = await login('David');
  const { data } = (await weir.get('/matching/get_openId_action/', { js_code: 'demo-David' })).body;
  assert.ok(data.session_key);
  for (const scheme of ['JWT', 'Bearer']) {
    anonymous(await list(`${scheme} ${data.session_key}`), GARBLED);
    anonymous(await list(`${scheme} ${data.openId}`), GARBLED);
  }
  anonymous(await refresh(data.session_key), GARBLED);
  assert.equal((await weir.request('GET', '/api/diary/me', { headers: { Authorization: `Bearer ${data.session_key}` } })).status, 200);
  for (const scheme of ['JWT', 'Bearer']) {
    const reply = await weir.request('GET', '/api/diary/me', { headers: { Authorization: `${scheme} ${absence}` } });
    assert.ok([400, 401].includes(reply.status), reply.text);
  }
  const asked = await weir.get('/matching/get_user_action/', { openId: absence });
  assert.ok(asked.status === 404 || asked.status === 401 || asked.status === 400, asked.text);
});

test('tokens outlive a restart, and are no other server\'s', async () => {
  await weir.clock(START, { hold: true });
  const token = await login('David');
  const other = await startEnsemble(wechat);
  await other.clock(START, { hold: true });
  assert.equal((await other.login('David')).status, 200);
  anonymous(await other.request('GET', '/absence/', { headers: { Authorization: `JWT ${token}` } }), GARBLED);
  const own = (await other.login('David')).body.token;
  await other.stop({ keep: true });
  const again = await startEnsemble(wechat, {}, { folder: other.data });
  await again.clock(START, { hold: true });
  assert.equal((await again.request('GET', '/absence/', { headers: { Authorization: `JWT ${own}` } })).status, 200);
  await again.stop();
});

test('an answer to a login is not kept by caches, and the token is in no log', async () => {
  const reply = await weir.login('David');
  assert.match(reply.headers['cache-control'] ?? '', /no-store/);
  assert.ok(!weir.err.includes(reply.body.token));
});
