// A reader of CSV (RFC 4180) that forgives nothing: rows of texts. A byte order mark at the beginning is taken off and told as `bom`.
import assert from 'node:assert/strict';

export function readCsv(bytes) {
  let text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  const bom = text.startsWith('\ufeff');
  if (bom) text = text.slice(1);
  const rows = [];
  let row = [], at = 0;
  while (at < text.length) {
    let field = '';
    if (text[at] === '"') {
      for (at++; ; at++) {
        assert.ok(at < text.length, 'a quote that never ends');
        if (text[at] !== '"') field += text[at];
        else if (text[at + 1] === '"') { field += '"'; at++; } else break;
      }
      at++;
    } else {
      const end = /[,\r\n]|$/g;
      end.lastIndex = at;
      const { index } = end.exec(text);
      field = text.slice(at, index);
      assert.doesNotMatch(field, /"/, `a quote inside ${field}`);
      at = index;
    }
    row.push(field);
    if (text[at] === ',') { at++; if (at === text.length) row.push(''); continue; }
    assert.ok(at === text.length || /^\r?\n/.test(text.slice(at, at + 2)), `after a field: ${JSON.stringify(text.slice(at, at + 5))}`);
    at += text[at] === '\r' ? 2 : 1;
    rows.push(row);
    row = [];
  }
  for (const one of rows) assert.equal(one.length, rows[0].length, `a row of another length: ${one}`);
  return Object.assign(rows, { bom });
}
