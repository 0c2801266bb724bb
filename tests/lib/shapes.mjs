// Checks replies against what the command table says: the schemas of `weir openapi`, of which only the words that it uses are understood here (any other is an error, not a pass).
import { execFileSync } from 'node:child_process';
import { program } from './weir.mjs';

const known = new Set(['type', 'properties', 'required', 'additionalProperties', 'items', 'anyOf', 'const', 'description']);

/** What is wrong with `value`, as texts with its path. */
export function mismatches(schema, value, at = '$') {
  for (const word of Object.keys(schema)) if (!known.has(word)) return [`${at}: the schema says ${word}, which this check does not know`];
  if (schema.anyOf) return schema.anyOf.some((one) => mismatches(one, value, at).length === 0) ? [] : [`${at}: none of the alternatives fits ${JSON.stringify(value).slice(0, 200)}`];
  if ('const' in schema) return value === schema.const ? [] : [`${at}: not ${JSON.stringify(schema.const)}`];
  const is = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  if (schema.type && is !== schema.type) return [`${at}: ${is} instead of ${schema.type}`];
  if (is === 'array') return schema.items ? value.flatMap((one, i) => mismatches(schema.items, one, `${at}[${i}]`)) : [];
  if (is !== 'object') return [];
  const wrong = (schema.required ?? []).filter((key) => !(key in value)).map((key) => `${at}.${key}: missing`);
  for (const [key, one] of Object.entries(value)) {
    const inner = schema.properties?.[key];
    if (inner) wrong.push(...mismatches(inner, one, `${at}.${key}`));
    else if (schema.additionalProperties === false) wrong.push(`${at}.${key}: not in the table`);
  }
  return wrong;
}

let read;
const document = () => (read ??= JSON.parse(execFileSync(program, ['openapi', '--debug'], { encoding: 'utf8', maxBuffer: 1 << 26 })));

/** The operation that answers a real path, with or without the slash at its end; undefined if there is none. */
export function operationOf(method, path) {
  const asked = (path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path).split('/');
  const fits = (pattern) => {
    const parts = pattern.split('/');
    return parts.length === asked.length && parts.every((part, i) => part === asked[i] || /^\{.*\}$/.test(part));
  };
  const { paths } = document();
  const found = Object.keys(paths).sort((a, b) => a.includes('{') - b.includes('{')).find(fits);
  return found && paths[found][method === 'HEAD' ? 'get' : method.toLowerCase()];
}

/** What a frame of a channel looks like to those who hear it. */
export const frameSchema = (channel, command) => document()['x-channels'][channel].frames[command].gives;

/** The schema of a route's success, by method and path ("GET", "/api/diary/me"). */
export function shapes() {
  const api = document();
  return (method, route) => {
    const operation = api.paths[route]?.[method.toLowerCase()];
    if (!operation) throw new Error(`the table has no ${method} ${route}`);
    return operation.responses[200].content['application/json'].schema;
  };
}
