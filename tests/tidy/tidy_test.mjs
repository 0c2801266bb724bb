// For each rule of tidy.mjs: what it finds, and what looks like it and is fine.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, code } from './tidy.mjs';

const opening = '/* an idea */\n';
const one = (file, text) => check([[file, file.endsWith('.c') || file.endsWith('.h') ? opening + text : text]]);
const clean = (file, text) => assert.deepEqual(one(file, text), []);
const found = (file, text, pattern) => {
  const findings = one(file, text);
  assert.equal(findings.length, 1, findings.join('\n') || 'nothing found');
  assert.match(findings[0], pattern);
};

test('comments and strings are blanked, lines stay', () => {
  assert.equal(code('a /* b\nc */ d // e\n"f\\"g" h'), 'a     \n     d     \n"    " h');
  assert.equal(code('"a\\"b" /* c */', { keepStrings: true }), '"a\\"b"        ');
});

test('the arrows of the map', () => {
  clean('src/net/loop.c', '#include "base/base.h"\n#include "wire/http1.h"\n#include "net/net_in.h"\n');
  found('src/wire/json.c', '#include "net/server.h"\n', /src\/wire may include base, not net/);
  found('src/base/base.c', '#include "wire/json.h"\n', /nothing of ours/);
  found('src/apps/diary/chat.c', '#include "apps/reply/reply.h"\n', /never includes another app/);
  found('src/apps/diary/chat.c', '#include "net/server.h"\n', /not net/);
  clean('src/apps/diary/chat.c', '#include "engine/app.h"\n#include "wire/json.h"\n#include "apps/diary/diary_in.h"\n#include "wechat/mp.h"\n');
  clean('src/apps/apps.c', '#include "apps/diary/diary.h"\n');
  found('src/cli/serve.c', '#include "engine/engine_in.h"\n', /private/);
  found('src/net/loop.c', '#include "loop.h"\n', /by its folder/);
  clean('tests/unit/net/loop_test.c', '#include "net/net_in.h"\n#include "engine/app.h"\n');
  clean('src/wire/json.c', '/* #include "net/server.h" */\n');
});

test('libraries behind seams', () => {
  found('src/engine/writer.c', '#include <sqlite3.h>\n', /is for src\/store/);
  clean('src/store/sqlite.c', '#include <sqlite3.h>\n');
});

test('banned calls', () => {
  found('src/net/a.c', 'x = atoi(y);\n', /span_to_i64/);
  found('src/net/a.c', 'localtime (&t);\n', /zone_civil/);
  clean('src/net/a.c', 'my_atoi(y); /* atoi(y) */ puts("atoi(y)"); gmtime_r(&t, &tm); p->system(x); snprintf(a, 1, "");\n');
  clean('tests/unit/base/a_test.c', 'setenv("TZ", "UTC", 1);\n');
  found('src/base/a.c', 'setenv("TZ", "UTC", 1);\n', /settings/);
});

test('handlers do not allocate', () => {
  found('src/apps/diary/chat.c', 'p = malloc(3);\n', /arena/);
  clean('src/apps/diary/match_index.c', 'p = base_alloc(3); q = arena_take(a, 3);\n');
  clean('src/net/a.c', 'p = malloc(3);\n');
});

test('deferred constraints', () => {
  found('src/apps/diary/schema.c', '"user_id INTEGER REFERENCES users DEFERRABLE INITIALLY DEFERRED"\n', /COMMIT/);
  clean('src/store/sqlite.c', '/* DEFERRABLE constraints are not used */ sql("BEGIN DEFERRED");\n');
});

test('notes to self and paths of a machine', () => {
  found('docs/tour.md', 'TODO: more\n', /issues/);
  clean('docs/tour.md', 'a todo list, `./work/`, https://x.example/home/\n');
  found('docs/tour.md', 'see /home/me/x\n', /machine/);
});

test('size and opening of a file', () => {
  assert.match(check([['src/net/a.c', 'int x;\n']])[0], /opens with/);
  assert.match(one('src/net/a.c', 'int x;\n'.repeat(700))[0], /701 lines/);
  clean('src/net/a.c', 'int x;\n'.repeat(699));
});
