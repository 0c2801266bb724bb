// A reader of iCalendar (RFC 5545) that forgives nothing: what a calendar program may choke on is an error here.
import assert from 'node:assert/strict';

const NAME = '[A-Za-z0-9-]+';
const PROPERTY = new RegExp(`^(${NAME})((?:;${NAME}=(?:"[^"\\x00-\\x1f\\x7f]*"|[^";:,\\x00-\\x1f\\x7f]*))*):(.*)$`, 's');
const TEXTS = new Set(['SUMMARY', 'DESCRIPTION', 'LOCATION', 'X-WR-CALNAME', 'X-WR-CALDESC', 'COMMENT']);

function textOf(value, line) {
  assert.match(value, /^(?:[^\\;,\x00-\x08\x0a-\x1f\x7f]|\\[\\;,nN])*$/, `not escaped: ${JSON.stringify(line)}`);
  return value.replace(/\\(.)/g, (_, c) => (c === 'n' || c === 'N' ? '\n' : c));
}

function unfolded(bytes) {
  const text = bytes.toString('latin1');
  assert.ok(text.endsWith('\r\n'), 'the last line has no end');
  assert.doesNotMatch(text, /[^\r]\n|\r[^\n]|\r$/, 'a line end that is not CRLF');
  const lines = text.slice(0, -2).split('\r\n');
  const whole = [];
  for (const line of lines) {
    assert.ok(line.length <= 75, `a line of ${line.length} octets`);
    assert.ok(line.length > 0, 'an empty line');
    new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(line, 'latin1'));     /* no character is cut in two */
    if (line[0] === ' ' || line[0] === '\t') { assert.ok(whole.length, 'the first line is a continuation'); whole[whole.length - 1] += line.slice(1); } else whole.push(line);
  }
  return whole.map((line) => new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(line, 'latin1')));
}

/** The calendar as { name, properties: Map of names to lists of { value, parameters }, parts: […] }; checked by the rules for VCALENDAR and VEVENT. */
export function readCalendar(bytes) {
  const root = { name: '', properties: new Map(), parts: [] };
  const open = [root];
  for (const line of unfolded(bytes)) {
    const found = PROPERTY.exec(line);
    assert.ok(found, `not a property: ${JSON.stringify(line)}`);
    const [, spelled, parameters, value] = found;
    const name = spelled.toUpperCase();
    if (name === 'BEGIN') { const part = { name: value, properties: new Map(), parts: [] }; open.at(-1).parts.push(part); open.push(part); continue; }
    if (name === 'END') { assert.equal(open.pop().name, value, 'nesting'); continue; }
    assert.ok(open.length > 1, `outside a calendar: ${line}`);
    const one = { value: TEXTS.has(name) ? textOf(value, line) : value, parameters };
    assert.doesNotMatch(value, /[\x00-\x08\x0a-\x1f\x7f]/);
    open.at(-1).properties.set(name, [...(open.at(-1).properties.get(name) ?? []), one]);
  }
  assert.equal(open.length, 1, 'something was not ended');
  assert.deepEqual(root.parts.map((part) => part.name), ['VCALENDAR']);
  const [calendar] = root.parts;
  const once = (part, ...names) => { for (const name of names) assert.equal(part.properties.get(name)?.length, 1, `${name} of ${part.name}`); };
  once(calendar, 'PRODID', 'VERSION');
  assert.equal(calendar.properties.get('VERSION')[0].value, '2.0');
  calendar.events = calendar.parts.filter((part) => part.name === 'VEVENT').map((event) => {
    once(event, 'UID', 'DTSTAMP', 'DTSTART');
    assert.match(event.properties.get('DTSTAMP')[0].value, /^\d{8}T\d{6}Z$/);
    const start = event.properties.get('DTSTART')[0], end = event.properties.get('DTEND')?.[0];
    if (/;VALUE=DATE$/.test(start.parameters)) assert.match(start.value, /^\d{8}$/);
    else assert.match(start.value, /^\d{8}T\d{6}Z?$/);
    if (end) assert.ok(end.parameters === start.parameters && end.value > start.value, `${start.value} to ${end.value}`);
    const text = (name) => event.properties.get(name)?.[0].value ?? '';
    return { uid: text('UID'), start: start.value, end: end?.value, summary: text('SUMMARY'), description: text('DESCRIPTION'), properties: event.properties };
  });
  assert.equal(new Set(calendar.events.map((event) => event.uid)).size, calendar.events.length, 'a UID is there twice');
  return calendar;
}
