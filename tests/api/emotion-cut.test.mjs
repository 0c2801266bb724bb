// `weir emotion cut` beside python3-jieba: the same words, text by text, since the lexicon method counts whole words and nothing else.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { program, root, temporaryFolder } from '../lib/weir.mjs';

const rows = readdirSync(path.join(root, 'corpus')).filter((f) => f.endsWith('.tsv'))
  .flatMap((f) => readFileSync(path.join(root, 'corpus', f), 'utf8').split('\n')).map((line) => line.split('\t')).filter((row) => row.length === 3);
const texts = [...new Set(rows.flatMap(([, title, content]) => [content, title, `${title} ${content}`]))].filter((t) => t.length > 1);

/* The lists of the model serve as a lexicon: some 6,000 words, many of them in no dictionary. */
function lexicon() {
  const words = [];
  let list = false;
  for (const line of readFileSync(path.join(root, 'src/emotion/words.txt'), 'utf8').split('\n')) {
    if (line.startsWith('@')) list = !line.startsWith('@fold');
    else if (list && !line.startsWith('#')) words.push(...line.split(' ').filter((w) => [...w].length >= 2));
  }
  const file = path.join(temporaryFolder(), 'lexicon.tsv');
  writeFileSync(file, words.map((w) => `${w}\t1\t5\n`).join(''));
  return file;
}

function cut(command, args, lines) {
  const ran = spawnSync(command, args, { input: lines.map((l) => `${l}\n`).join(''), maxBuffer: 1 << 28, encoding: 'utf8' });
  assert.equal(ran.status, 0, ran.error?.message ?? ran.stderr);
  const out = ran.stdout.split('\n').slice(0, -1).map((line) => JSON.parse(line));
  assert.equal(out.length, lines.length);
  return out;
}

/* The share of jieba's words that ours are too, by where they begin and end. */
function agreement(lines, args) {
  const theirs = cut('/usr/bin/python3', [path.join(root, 'tests/lib/cut_like_jieba.py'), ...args], lines);
  const ours = cut(program, ['emotion', 'cut', ...(args.length ? ['--lexicon', args[0]] : [])], lines);
  const places = (words) => { let at = 0; return new Set(words.map((w) => `${at}-${(at += w.length)}`)); };
  let same = 0, all = 0;
  lines.forEach((line, i) => {
    assert.equal(ours[i].join(''), line, 'nothing is lost or added');
    const mine = places(ours[i]);
    for (const place of places(theirs[i])) { all++; same += mine.has(place) ? 1 : 0; }
  });
  return same / all;
}

test('5,000 texts and more are cut as jieba cuts them', () => {
  assert.ok(texts.length >= 5000, `${texts.length} texts`);
  const same = agreement(texts, []);
  assert.ok(same >= 0.995, `${same}`);
});

test('the same with a lexicon made known', () => {
  const same = agreement(texts, [lexicon()]);
  assert.ok(same >= 0.995, `${same}`);
});

test('mixtures of everything: Latin, digits, signs, blanks, characters that no dictionary has', () => {
  let seed = 20180423;
  const next = (n) => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return Math.floor((seed / 2 ** 32) * n); };
  const alphabet = [...'今天我们去学校看见一只小猫很开心不知道为什么生气丁卯龘犇𠮷abcXYZ019.%+-#&_ ，。！？\t…—（）\u3000😀é\u00a0'];
  const lines = Array.from({ length: 1500 }, () => Array.from({ length: 1 + next(60) }, () => alphabet[next(alphabet.length)]).join(''));
  const same = agreement(lines, []);
  assert.ok(same >= 0.995, `${same}`);
});
