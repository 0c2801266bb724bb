// The style that matters, as a test: `node tests/tidy/tidy.mjs [ROOT]` prints "path:line: what is wrong" and ends with 1 if there is any.
//
// - a folder of src/ includes only what the map in docs/tour.md lets it, and private headers (*_in.h) stay at home;
// - calls that have cost others their weekends are banned from src/; handlers allocate from the arena; only store/ sees SQLite;
// - no deferred constraints in SQL, no notes to self, no paths of somebody's machine, no file of src/ without an opening comment or beyond 700 lines.
// It looks at text, not at meaning: comments and string literals are blanked first where they would mislead. tidy_test.mjs shows for each rule what it finds and what it leaves alone.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const everything = ['base', 'wire', 'emotion', 'store', 'net', 'hub', 'engine', 'wechat', 'account', 'apps', 'sandbox', 'cli'];
const arrows = {
  base: [],
  wire: ['base'],
  emotion: ['base'],
  store: ['base'],
  net: ['base', 'wire'],
  hub: ['base', 'wire', 'net'],
  engine: ['base', 'wire', 'emotion', 'store', 'net', 'hub'],
  wechat: ['base', 'wire', 'net'],
  account: ['base', 'wire', 'store', 'engine', 'wechat'],
  apps: ['base', 'wire', 'engine', 'emotion', 'account', 'wechat'],   // wire is pure codecs; engine/app.h shows some of it anyway
  sandbox: ['base', 'wire', 'net'],
  cli: everything,
};
// Of other folders, what engine/app.h itself hands to the apps.
const appHeaders = new Set(['store/store.h', 'net/mail.h']);

const banned = {
  strcpy: 'snprintf or memcpy with a length', strcat: 'struct buf', sprintf: 'snprintf', vsprintf: 'vsnprintf', gets: 'anything', strtok: 'spans', strtok_r: 'spans',
  strncpy: 'memcpy with a length', strncat: 'struct buf', atoi: 'span_to_i64', atol: 'span_to_i64', atoll: 'span_to_i64', atof: 'strtod with its checks',
  system: 'posix_spawn', popen: 'posix_spawn', rand: 'random_bytes', srand: 'random_bytes', random: 'random_bytes', drand48: 'random_bytes',
  localtime: 'zone_civil', localtime_r: 'zone_civil', gmtime: 'gmtime_r', ctime: 'zone_format', asctime: 'zone_format', mktime: 'zone_utc_ms', tzset: 'zone_open',
  setenv: 'struct settings', putenv: 'struct settings', unsetenv: 'struct settings', alloca: 'the arena', tmpnam: 'mkstemp', mktemp: 'mkstemp',
};
const heapCalls = ['malloc', 'calloc', 'realloc', 'strdup', 'strndup', 'asprintf', 'vasprintf'];
const seams = { 'sqlite3.h': ['src/store/', 'src/cli/features.c'], 'ini.h': ['src/engine/settings.c'], 'sys/epoll.h': ['src/net/'] };

/** The same text, line by line, with comments and (if wished) the insides of string literals replaced by blanks. */
export function code(text, { keepStrings = false } = {}) {
  let out = '';
  let mode = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    const next = text[i + 1];
    if (mode === '') {
      if (c === '/' && (next === '*' || next === '/')) {
        mode = c + next;
        out += '  ';
        i++;
      } else {
        if (c === '"' || c === "'") mode = c;
        out += c;
      }
    } else if (mode === '/*') {
      if (c === '*' && next === '/') {
        mode = '';
        out += '  ';
        i++;
      } else out += c === '\n' ? c : ' ';
    } else if (mode === '//') {
      if (c === '\n') mode = '';
      out += c === '\n' ? c : ' ';
    } else if (c === '\\') {
      out += keepStrings ? c + next : '  ';
      i++;
    } else if (c === mode || c === '\n') {
      mode = '';
      out += c;
    } else out += keepStrings ? c : ' ';
  }
  return out;
}

const folderOf = (file) => file.split('/')[1];

function includeFinding(file, included) {
  const home = folderOf(file);
  const to = included.split('/');
  if (to.length < 2) return 'name a header by its folder: "base/base.h"';
  const target = to[0];
  if (!everything.includes(target)) return null;
  const deep = file.split('/').length > 3;                   // src/apps/X/…
  if (home === 'apps' && target === 'apps') return !deep || file.split('/')[2] === to[1] ? null : 'an app never includes another app';
  if (included.endsWith('_in.h') && target !== home) return `${included} is private to its folder`;
  if (target === home || arrows[home]?.includes(target)) return null;
  if (home === 'apps' && appHeaders.has(included)) return null;
  return `src/${home} may include ${arrows[home]?.length ? arrows[home].join(', ') : 'nothing of ours'}, not ${target}`;
}

function checkSource(file, text, find) {
  const withStrings = code(text, { keepStrings: true }).split('\n');
  const plain = code(text).split('\n');
  const inTests = !file.startsWith('src/');
  withStrings.forEach((line, i) => {
    const quoted = !inTests && line.match(/^\s*#\s*include\s+"([^"]+)"/);
    if (quoted) {
      const wrong = includeFinding(file, quoted[1]);
      if (wrong) find(i, wrong);
    }
    const system = !inTests && line.match(/^\s*#\s*include\s+<([^>]+)>/);
    if (system && seams[system[1]] && !seams[system[1]].some((at) => file.startsWith(at))) find(i, `<${system[1]}> is for ${seams[system[1]].join(', ')}`);
    if (/\bDEFERR(ABLE|ED)\b/i.test(line) && /\bREFERENCES\b|\bINITIALLY\b|\bDEFERRABLE\b/i.test(line)) find(i, 'a deferred constraint passes RELEASE and fails COMMIT; declare none');
  });
  plain.forEach((line, i) => {
    for (const match of line.matchAll(/(?<![\w.]|->)([a-z_0-9]+)\s*\(/g)) {
      const name = match[1];
      if (!inTests && Object.hasOwn(banned, name)) find(i, `${name}() is banned; use ${banned[name]}`);
      if (file.startsWith('src/apps/') && heapCalls.includes(name)) find(i, `${name}() in an app; take it from the arena, or base_alloc for what outlives requests`);
    }
  });
  if (file.startsWith('src/')) {
    if (!text.startsWith('/*')) find(0, 'a file opens with some lines about its idea');
    const lines = text.split('\n').length - 1;
    if (lines > 700) find(700, `${lines} lines; 150 to 500 are a good file`);
  }
}

/** Findings ("path:line: text") of files given as [path below the root, text]. */
export function check(files) {
  const findings = [];
  for (const [file, text] of files) {
    const find = (line, what) => findings.push(`${file}:${line + 1}: ${what}`);
    if (file.startsWith('tests/tidy/')) continue;            // it names what it looks for
    if (/\.[ch]$/.test(file)) checkSource(file, text, find);
    text.split('\n').forEach((line, i) => {
      if (/\b(TODO|FIXME|XXX|HACK)\b/.test(line)) find(i, 'do it, or file it where issues are kept');
      if (/(^|[\s"'`(=:,[])\/(work|home|root|Users)\//.test(line)) find(i, 'a path of one machine');
    });
  }
  return findings;
}

function listFiles(root) {
  try {
    const out = execFileSync('git', ['-C', root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 26 });
    return out.toString().split('\0').filter(Boolean);
  } catch {
    const all = [];
    const walk = (folder) => {
      for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
        const name = path.posix.join(folder, entry.name);
        if (entry.isDirectory() && !/^(build.*|\.git|node_modules|demo-data)$/.test(entry.name)) walk(name);
        else if (entry.isFile()) all.push(name);
      }
    };
    walk('');
    return all;
  }
}

/** Text files of ours; fuzzers' inputs and sentences of the corpus may say anything. */
export function readTree(root) {
  return listFiles(root).filter((file) => !/^(tests\/fuzz\/corpus|corpus)\//.test(file) && existsSync(path.join(root, file)) && statSync(path.join(root, file)).isFile())
    .map((file) => [file, readFileSync(path.join(root, file))])
    .filter(([, bytes]) => !bytes.includes(0))
    .map(([file, bytes]) => [file, bytes.toString('utf8')]);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = process.argv[2] ?? path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
  const tree = readTree(root);
  const findings = check(tree);
  findings.forEach((line) => console.log(line));
  console.log(`tidy: ${tree.length} files, ${findings.length} findings`);
  process.exit(findings.length || tree.length < 10 ? 1 : 0);
}
