// HTTP byte by byte over node:net: for requests that no client would send, and answers read without a client's leniency.
import net from 'node:net';

const WAIT_MS = 20_000;

/** A connection: send() writes bytes, reply() reads one answer, closed() waits for the server's end of it. */
export function openRaw(port, host = '127.0.0.1') {
  const socket = net.connect(port, host);
  let bytes = Buffer.alloc(0);
  let over = false;
  let wake = () => {};
  socket.on('data', (chunk) => { bytes = Buffer.concat([bytes, chunk]); wake(); });
  for (const event of ['end', 'error', 'close']) socket.on(event, () => { over = true; wake(); });

  /** Waits until `ready()` gives something that is not undefined. */
  async function until(ready, what) {
    const end = Date.now() + WAIT_MS;
    for (;;) {
      const found = ready();
      if (found !== undefined) return found;
      if (over) throw new Error(`the connection ended before ${what}; so far: ${bytes.toString('latin1').slice(0, 500)}`);
      if (Date.now() > end) throw new Error(`no ${what} in ${WAIT_MS} ms; so far: ${bytes.toString('latin1').slice(0, 500)}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 500);
        wake = () => { clearTimeout(timer); resolve(); };
      });
    }
  }

  function take(n) {
    if (bytes.length < n) return undefined;
    const taken = bytes.subarray(0, n);
    bytes = bytes.subarray(n);
    return taken;
  }

  const line = () => until(() => {
    const end = bytes.indexOf('\r\n');
    return end < 0 ? undefined : take(end + 2).toString('latin1').slice(0, -2);
  }, 'a line');

  async function chunked() {
    const parts = [];
    for (;;) {
      const size = parseInt(await line(), 16);
      if (size === 0) { await line(); return Buffer.concat(parts); }
      parts.push(await until(() => take(size), 'a chunk'));
      await line();
    }
  }

  return {
    socket,
    send: (data) => new Promise((resolve, reject) => socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data, (error) => (error ? reject(error) : resolve()))),
    end: () => socket.end(),
    destroy: () => socket.destroy(),
    rest: () => bytes,
    /** One answer: { status, reason, headers: [[name, value]…], header(name), body }; `head`: it answers a HEAD. */
    reply: async ({ head = false } = {}) => {
      const [, status, reason] = /^HTTP\/1\.1 (\d{3}) (.*)$/.exec(await line()) ?? [null, '0', ''];
      const headers = [];
      for (let one = await line(); one; one = await line()) headers.push([one.slice(0, one.indexOf(':')).toLowerCase(), one.slice(one.indexOf(':') + 1).trim()]);
      const header = (name) => headers.find(([key]) => key === name.toLowerCase())?.[1];
      let body = Buffer.alloc(0);
      if (!head && !['204', '304'].includes(status) && !status.startsWith('1')) {
        if (header('transfer-encoding') === 'chunked') body = await chunked();
        else if (header('content-length') !== undefined) body = await until(() => take(Number(header('content-length'))), 'the body');
        else { await until(() => (over ? true : undefined), 'the end'); body = take(bytes.length); }
      }
      return { status: Number(status), reason, headers, header, body, text: body.toString('utf8') };
    },
    /** true when the server closed it; what came before stays in rest(). */
    closed: () => until(() => (over ? true : undefined), 'the end of the connection'),
  };
}

/** Sends bytes on a connection of its own and gives the first answer; `closed`: the server closed the connection after it. */
export async function rawRequest(port, data, options = {}) {
  const connection = openRaw(port);
  try {
    await connection.send(data);
    const reply = await connection.reply(options);
    if (reply.header('connection') === 'close') await connection.closed();
    return reply;
  } finally {
    connection.destroy();
  }
}
