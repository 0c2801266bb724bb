// The pages hold together: `node tests/tidy/links.mjs [ROOT]` prints "page: what is wrong" and ends with 1 if there is any.
//
// - every relative link in a page leads to a file or folder, and its #part to a heading of that page;
// - the two READMEs are twins: headings of the same levels in the same order, the same commands between the same fences;
// - every setting that a table in src/ declares stands in both of them.
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(process.argv[2] ?? path.join(path.dirname(fileURLToPath(import.meta.url)), '../..'));
const wrong = [];
const read = (file) => readFileSync(path.join(root, file), 'utf8');

/** Files below a folder whose names end so. */
function below(folder, end) {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.join(folder, entry.name);
    if (entry.isDirectory()) return entry.name.startsWith('.') || entry.name.startsWith('build') || entry.name === 'node_modules' ? [] : below(name, end);
    return entry.name.endsWith(end) ? [name] : [];
  });
}

const prose = (text) => text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
const anchor = (heading) => heading.trim().toLowerCase().replace(/[^\p{L}\p{N}\- ]/gu, '').replaceAll(' ', '-');
const anchors = (file) => [...read(file).replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.*)$/gm)].map((match) => anchor(match[1]));

let links = 0;
for (const page of below('.', '.md')) {
  for (const [, target] of prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    links += 1;
    const [file, part] = target.split('#');
    const to = file ? path.join(path.dirname(page), file) : page;
    if (!existsSync(path.join(root, to))) wrong.push(`${page}: ${target} leads nowhere`);
    else if (part && statSync(path.join(root, to)).isFile() && !anchors(to).includes(part)) wrong.push(`${page}: ${target}: there is no such heading`);
  }
}
if (links < 10) wrong.push(`${links} links in all pages: this test has lost its pages`);

const twins = ['README.md', 'README.zh-CN.md'].map((file) => {
  const text = read(file);
  const fences = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)];
  const commands = fences.flatMap(([, language, body]) => (language === 'console' ? body.split('\n').filter((line) => line.startsWith('$ ')).map((line) => line.replace(/ {2,}#.*| #.*$/, '')) : []));
  return { levels: (text.replace(/^```[\s\S]*?^```/gm, '').match(/^#+ /gm) ?? []).join(''), fences: fences.map(([, language]) => language).join(' '), commands: commands.join('\n'), text };
});
for (const what of ['levels', 'fences', 'commands']) {
  if (!twins[0][what]) wrong.push(`README.md: no ${what}`);
  if (twins[0][what] !== twins[1][what]) wrong.push(`README.zh-CN.md: its ${what} are not those of README.md`);
}

let settings = 0;
for (const file of [...below('src/engine', '.c'), ...below('src/apps', '.c')]) {
  for (const [, section, key] of read(file).matchAll(/^ {4}\{ "([a-z]+)", "([a-z_]+)", "[^"]*", "/gm)) {
    settings += 1;
    for (const [i, name] of ['README.md', 'README.zh-CN.md'].entries())
      if (!twins[i].text.includes(`\`${section}.${key}\``)) wrong.push(`${name}: the setting ${section}.${key} is missing (${file})`);
  }
}
if (settings < 20) wrong.push(`${settings} settings found: this test has lost their tables`);

for (const line of wrong) console.log(line);
process.exitCode = wrong.length ? 1 : 0;
