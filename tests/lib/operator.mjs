// The operator of a test: HTTP over the Unix socket in a server's folder, as sub-commands speak it. A success must have the shape that `weir routes --json` tells for its path.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import { mismatches } from './shapes.mjs';
import { program } from './weir.mjs';

let read;
/** The rows of the table that exist on the socket only. */
export const operatorRows = () => (read ??= JSON.parse(execFileSync(program, ['routes', '--json', '--debug'], { encoding: 'utf8', maxBuffer: 1 << 26 })).filter((row) => row.operator));

function schemaOf(method, target) {
  const asked = new URL(target, 'http://localhost').pathname.replace(/\/$/, '').split('/');
  const fits = (route) => route.methods.includes(method) && route.path.split('/').length === asked.length && route.path.split('/').every((part, i) => part === asked[i] || part.startsWith('{'));
  const rows = operatorRows().filter((row) => row.routes.some(fits));
  return (rows.find((row) => row.routes.some((route) => fits(route) && !route.path.includes('{'))) ?? rows[0])?.schema;
}

/** One request on the socket of that folder: { status, headers, text, body }. options: json, form, headers, body. */
export async function ask(folder, method, target, { json, form, headers = {}, body } = {}) {
  const bytes = json !== undefined ? JSON.stringify(json) : form !== undefined ? new URLSearchParams(form).toString() : body;
  const type = json !== undefined ? { 'Content-Type': 'application/json' } : form !== undefined ? { 'Content-Type': 'application/x-www-form-urlencoded' } : {};
  const reply = await new Promise((resolve, reject) => {
    const request = http.request({ socketPath: path.join(folder, 'weir.sock'), method, path: target, agent: false, headers: { ...type, ...(bytes === undefined ? {} : { 'Content-Length': Buffer.byteLength(bytes) }), ...headers } }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(chunks).toString('utf8') }));
    });
    request.on('error', reject);
    request.end(bytes);
  });
  if (/json/.test(reply.headers['content-type'] ?? '') && reply.text) reply.body = JSON.parse(reply.text);
  assert.notEqual(reply.status, 500, `${method} ${target}: ${reply.text}`);
  const schema = reply.status < 300 ? schemaOf(method, target) : undefined;
  if (schema) assert.deepEqual(mismatches(schema, reply.body), [], `${method} ${target}: ${reply.text.slice(0, 300)}\nis not what the table says`);
  return reply;
}
