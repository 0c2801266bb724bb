// A mail server for tests, on loopback: SMTP as RFC 5321 has it, strict with what it is sent, that can be told to misbehave. And a reader of mails that forgives nothing.
import assert from 'node:assert/strict';
import net from 'node:net';

const WAIT_MS = 30_000;

/** One text of RFC 2047 encoded words and plain ASCII. */
function wordsDecoded(text) {
  return text.replace(/(=\?[^?]+\?[bBqQ]\?[^?]*\?=)\s+(?==\?[^?]+\?[bBqQ]\?)/g, '$1').replace(/=\?([^?]+)\?([bBqQ])\?([^?]*)\?=/g, (word, charset, kind, data) => {
    assert.match(charset, /^utf-8$/i);
    assert.ok(word.length <= 75, `an encoded word of ${word.length} characters`);
    const bytes = kind.toLowerCase() === 'b' ? Buffer.from(data, 'base64') : Buffer.from(data.replace(/_/g, ' ').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))), 'latin1');
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  });
}

function bodyDecoded(encoding, bytes) {
  if (/^base64$/i.test(encoding)) return Buffer.from(bytes.toString('latin1'), 'base64');
  if (/^quoted-printable$/i.test(encoding)) return Buffer.from(bytes.toString('latin1').replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))), 'latin1');
  assert.match(encoding, /^(7bit|8bit)$/i);
  return bytes;
}

/** A mail's bytes as { headers: Map of lower-case names to lists, subject, to, text }. */
export function readMail(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  assert.ok(end > 0, 'a mail without the line between head and body');
  const head = bytes.subarray(0, end).toString('latin1');
  assert.doesNotMatch(head, /[^\t\r\n\x20-\x7e]/, 'a head is ASCII without control characters');
  const headers = new Map();
  for (const line of head.replace(/\r\n[ \t]/g, ' ').split('\r\n')) {
    const [, name, value] = /^([!-9;-~]+): ?(.*)$/.exec(line) ?? assert.fail(`header line ${JSON.stringify(line)}`);
    headers.set(name.toLowerCase(), [...(headers.get(name.toLowerCase()) ?? []), value]);
  }
  for (const name of ['date', 'from', 'to', 'subject', 'message-id', 'mime-version', 'content-type']) assert.equal(headers.get(name)?.length, 1, `${name} in ${head}`);
  const [date] = headers.get('date');
  assert.match(date, /^([A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$/);
  assert.match(headers.get('message-id')[0], /^<[^<>@\s]+@[^<>@\s]+>$/);
  assert.match(headers.get('content-type')[0], /^text\/plain; *charset="?utf-8"?$/i);
  const body = bodyDecoded(headers.get('content-transfer-encoding')?.[0] ?? '7bit', bytes.subarray(end + 4));
  return { headers, subject: wordsDecoded(headers.get('subject')[0]), to: headers.get('to')[0], id: headers.get('message-id')[0], date: Date.parse(date), text: new TextDecoder('utf-8', { fatal: true }).decode(body) };
}

/** Starts the server; `port` to be there again where it was. Its knobs: refuse = { MAIL|RCPT|DATA|end: '451 …' }, unknown = { ADDRESS: '550 …' }, hangup = the stage at which it goes away, silent = true: it takes connections and says nothing. */
export async function startSmtp({ port = 0 } = {}) {
  const smtp = { mails: [], tries: 0, errors: [], refuse: {}, unknown: {}, hangup: '', silent: false };
  const sockets = new Set();
  let wake = () => {};
  const note = () => { const go = wake; wake = () => {}; go(); };
  const server = net.createServer((socket) => {
    let input = Buffer.alloc(0), data = false, from = null, to = [];
    smtp.tries++;
    sockets.add(socket);
    socket.on('close', () => { sockets.delete(socket); note(); });
    socket.on('error', () => {});
    const bad = (text) => { smtp.errors.push(text); socket.destroy(); };
    const answer = (stage, good) => {
      if (smtp.hangup === stage) { socket.destroy(); return false; }
      socket.write(`${smtp.refuse[stage] ?? good}\r\n`);
      note();
      return !smtp.refuse[stage];
    };
    const finish = (bytes) => {
      const text = bytes.toString('latin1');
      if (/[^\r]\n|\r[^\n]/.test(text)) { bad('a line end that is not CRLF'); return; }
      if (text.split('\r\n').some((line) => line.length > 998)) { bad('a line of more than 998 octets'); return; }
      const mail = { from, to, bytes: Buffer.from(text.replace(/^\./gm, ''), 'latin1') };
      if (smtp.hangup === 'end' || smtp.refuse.end) { answer('end', ''); } else { smtp.mails.push(mail); answer('end', '250 OK'); }
      from = null;
      to = [];
    };
    const line = (text) => {
      const [, verb, rest] = /^([A-Za-z]+)(?: (.*))?$/.exec(text) ?? [null, '', ''];
      switch (verb.toUpperCase()) {
        case 'EHLO': answer('EHLO', '250-test\r\n250-8BITMIME\r\n250 SIZE 1000000'); break;
        case 'HELO': answer('EHLO', '250 test'); break;
        case 'MAIL': if (!/^FROM:<[^<>\s]*>( (BODY=8BITMIME|SIZE=\d+))*$/.test(rest)) bad(text); else if (answer('MAIL', '250 OK')) from = rest.slice(6, rest.indexOf('>')); break;
        case 'RCPT': if (from === null || !/^TO:<[^<>\s]+@[^<>\s]+>$/.test(rest)) bad(text); else if (smtp.unknown[rest.slice(4, -1)]) socket.write(`${smtp.unknown[rest.slice(4, -1)]}\r\n`); else if (answer('RCPT', '250 OK')) to.push(rest.slice(4, -1)); break;
        case 'DATA': if (!to.length) bad(text); else data = answer('DATA', '354 go on'); break;
        case 'RSET': case 'NOOP': answer(verb, '250 OK'); break;
        case 'QUIT': socket.end('221 bye\r\n'); break;
        default: bad(`not a command: ${text}`);
      }
    };
    socket.on('data', (chunk) => {
      input = Buffer.concat([input, chunk]);
      while (!socket.destroyed) {
        const end = data ? (input.subarray(0, 3).toString() === '.\r\n' ? 0 : input.indexOf('\r\n.\r\n')) : input.indexOf('\r\n');
        if (end < 0) return;
        if (data) {
          const bytes = input.subarray(0, end ? end + 2 : 0);
          input = input.subarray(end ? end + 5 : 3);
          data = false;
          finish(bytes);
        } else {
          const text = input.subarray(0, end).toString('latin1');
          input = input.subarray(end + 2);
          line(text);
        }
      }
    });
    if (smtp.silent) return;
    if (smtp.hangup === 'connect') socket.destroy();
    else socket.write('220 test ESMTP\r\n');
  });
  await new Promise((resolve, reject) => { server.on('error', reject); server.listen(port, '127.0.0.1', resolve); });
  smtp.port = server.address().port;
  smtp.url = `smtp://127.0.0.1:${smtp.port}`;
  /** Waits until `ready(smtp)` is true; `poke` is called now and then meanwhile. */
  smtp.until = async (ready, what, poke = async () => {}) => {
    for (const end = Date.now() + WAIT_MS; !ready(smtp);) {
      assert.ok(Date.now() < end, `${what}: ${smtp.mails.length} mails, ${smtp.tries} tries, ${smtp.errors.join('; ')}`);
      await poke();
      if (ready(smtp)) return;
      await new Promise((resolve) => { const timer = setTimeout(resolve, 100); wake = () => { clearTimeout(timer); resolve(); }; });
    }
  };
  smtp.arrived = (n, poke) => smtp.until(() => smtp.mails.length >= n, `mail number ${n} did not come`, poke);
  smtp.read = () => smtp.mails.map((mail) => ({ ...readMail(mail.bytes), envelope: mail }));
  smtp.stop = () => new Promise((resolve) => { server.close(resolve); for (const socket of sockets) socket.destroy(); });
  return smtp;
}
