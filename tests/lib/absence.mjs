// An ensemble for a test: `weir serve` with its name list and WeChat played by the sandbox, and members who ask for leave.
//
// Names come from a CSV imported beside the running server: a few known people, and a stock of unknown ones that nobody else uses (fresh). Tokens live an hour of the server's clock, so a member logs in again
// whenever today() moved it. The person in WeChat who uses a name has an ASCII name of his own (`person`).
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { runWeir, startSandbox, startServe, temporaryFolder } from './weir.mjs';

export const UNDECIDED = 'Not processed yet!';
export const ALL = '全体排练', STRINGS = '弦乐分排', WINDS = '管乐分排', BOTH = '全体排练+弦乐分排', BOTH_WINDS = '全体排练+管乐分排';
export const TYPES = [ALL, STRINGS, WINDS, '弦乐重奏', '管乐重奏', BOTH, BOTH_WINDS];
export const KEYS = ['applier', 'id', 'permission', 'processor', 'reason', 'result', 'time_absence', 'time_apply', 'type'];
export const SPENT = 'You have used up all of your chances.', DUPLICATE = 'Duplicated absence', LATE = 'Time is less than one hour';
export const MANAGER = '刘指挥';

/** A moment as the clocks in Shanghai show it ("2026-03-10T12:00:00"), in ms. */
export const shanghai = (text) => Date.parse(`${text}+08:00`);
/** The date `n` days after another. */
export const dayAfter = (date, n = 1) => new Date(Date.parse(`${date}T00:00:00Z`) + n * 86_400_000).toISOString().slice(0, 10);

const STOCK = { string: 150, wind: 40, percussion: 30 };
const KNOWN = [['David', 'string', 'no'], ['John', 'wind', 'no'], ['Mary', 'percussion', 'no'], ['赵乘风', 'string', 'no'], [MANAGER, 'string', 'yes']];
const stocked = (section, n) => `${{ string: '弦', wind: '管', percussion: '鼓' }[section]}${n}`;
const csv = (rows) => `name,section,manager\n${rows.map((row) => `${row.join(',')}\n`).join('')}`;
const NAMES = csv([...KNOWN, ...Object.entries(STOCK).flatMap(([section, n]) => [...Array(n)].map((_, i) => [stocked(section, i + 1), section, 'no']))]);

const personOf = (name) => (/^[\x21-\x7e]+$/.test(name) ? name : `u${Buffer.from(name).toString('hex')}`).slice(0, 40);

/** `weir namelist ARGS`; text: what the file imported says. */
export function namelist(folder, args, text) {
  const file = path.join(temporaryFolder(), 'names.csv');
  if (text !== undefined) writeFileSync(file, text);
  return runWeir(['namelist', ...args.map((arg) => (arg === 'FILE' ? file : arg)), '--data', folder]);
}

/** Imports a list; fails if it is refused. */
export function importNames(folder, text, ...flags) {
  const done = namelist(folder, ['import', 'FILE', ...flags], text);
  assert.equal(done.status, 0, done.err);
  return done;
}

/** Somebody who uses a name: requests with his token, which is fetched when it is needed. */
function memberOf(weir, name, person) {
  const me = { name, person };
  let token = '', epoch = -1;
  me.token = async () => {
    if (epoch !== weir.epoch) {
      const reply = await weir.login(name, person);
      assert.equal(reply.status, 200, `${name}: ${reply.text}`);
      token = reply.body.token;
      epoch = weir.epoch;
    }
    return token;
  };
  me.request = async (method, target, options = {}) => weir.request(method, target, { ...options, headers: { Authorization: `JWT ${await me.token()}`, ...options.headers } });
  me.get = (target, query = {}) => me.request('GET', target, { query });
  me.list = async (target = '/absence/', query = {}) => {
    const reply = await me.get(target, query);
    assert.equal(reply.status, 200, reply.text);
    return reply.body;
  };
  me.post = (fields, options = {}) => me.request('POST', '/absence/', { json: fields, ...options });
  me.put = (id, fields, options = {}) => me.request('PUT', `/absence/${id}/`, { json: fields, ...options });
  me.patch = (id, fields, options = {}) => me.request('PATCH', `/absence/${id}/`, { json: fields, ...options });
  me.remove = (id, options = {}) => me.request('DELETE', `/absence/${id}/`, options);
  me.decide = (id, fields, options = {}) => me.request('PUT', `/manager/${id}/`, { json: fields, ...options });
  /** Asks for leave and gets it stored: the object. */
  me.absent = async (date, type = ALL, reason = '有课') => {
    const reply = await me.post({ reason, time_absence: date, type });
    assert.equal(reply.status, 201, `${name} ${date} ${type}: ${reply.text}`);
    return reply.body;
  };
  return me;
}

/** A server with an ensemble. settings: as of startServe; names: the CSV, empty for none; folder: one with data in it already (then nothing is imported). */
export async function startEnsemble(wechat, settings = {}, { folder, names = NAMES, ...rest } = {}) {
  const data = folder ?? temporaryFolder();
  const weir = await startServe(settings, { wechat, folder: data, ...rest });
  if (!folder && names) importNames(data, names);
  let used = { string: 0, wind: 0, percussion: 0 };
  weir.data = data;
  weir.epoch = 0;
  weir.login = (name, person = personOf(name), more = {}) => weir.json('/account/login/', { name, app_id: 'of-the-client', app_secret: 'of-the-client', code: `demo-${person}`, ...more });
  weir.as = (name, person = personOf(name)) => memberOf(weir, name, person);
  /** Somebody whom no test has used yet. */
  weir.fresh = (section = 'string') => {
    assert.ok(used[section] < STOCK[section], `more than ${STOCK[section]} of ${section}`);
    return weir.as(stocked(section, ++used[section]));
  };
  /** Moves the clock to what it shows in Shanghai, where it stands still ("2026-03-10" is noon); everybody logs in again. */
  weir.today = async (text) => { await weir.clock(shanghai(text.includes('T') ? text : `${text}T12:00:00`), { hold: true }); weir.epoch++; };
  weir.manager = weir.as(MANAGER);
  return weir;
}

export { startSandbox };

/** Refused with exactly these keys besides msg, which is always a text. */
export function refused(reply, status, beside = {}) {
  assert.equal(reply.status, status, reply.text);
  const { msg, ...others } = reply.body;
  assert.equal(typeof msg, 'string', reply.text);
  assert.ok(msg.trim().length > 0, reply.text);
  assert.deepEqual(others, beside, reply.text);
}
/** Refused with this msg and nothing else. */
export function told(reply, status, msg) {
  assert.equal(reply.status, status, reply.text);
  assert.deepEqual(reply.body, { msg });
}
/** 400 for these fields, each with a list of texts. */
export function faulty(reply, ...fields) {
  assert.equal(reply.status, 400, reply.text);
  const { msg, ...others } = reply.body;
  assert.ok(typeof msg === 'string' && msg.trim(), reply.text);
  assert.deepEqual(Object.keys(others).sort(), [...fields].sort(), reply.text);
  for (const texts of Object.values(others)) assert.ok(Array.isArray(texts) && texts.length && texts.every((text) => typeof text === 'string' && text), reply.text);
}
export const late = (reply) => refused(reply, 400, { detail: [LATE] });
export const spent = (reply) => told(reply, 403, SPENT);
export const duplicate = (reply) => told(reply, 400, DUPLICATE);
export const missing = (reply) => refused(reply, 404, { detail: 'Not found.' });
export const forbidden = (reply) => refused(reply, 403, { detail: 'You do not have permission to perform this action.' });

/** Refused for want of a token: the text, and the header that says how one proves oneself. */
export function anonymous(reply, detail = 'Authentication credentials were not provided.') {
  refused(reply, 401, { detail });
  assert.equal(reply.headers['www-authenticate'], 'JWT realm="api"');
}
