// The table that `make bench` prints: one row a measurement, with a verdict where the project has set itself a target.

/** Columns are as wide as their longest cell; figures stand to the right. */
export function grid(head, rows) {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i].length)));
  const line = (row) => row.map((cell, i) => (i === 0 || i === row.length - 1 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ').trimEnd();
  return [line(head), widths.map((w) => '-'.repeat(w)).join('  '), ...rows.map(line)].join('\n');
}

/** Three significant digits, thousands with commas. */
export function number(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return '';
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en-US');
  return size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : size >= 0.1 ? value.toFixed(2) : value === 0 ? '0' : value.toPrecision(2);
}

export class Table {
  rows = [];

  /** { part, what, weir, unit, peer, peerName, ratio, atLeast, atMost, judged = ratio }: `judged` is what the target is about. */
  add(row) {
    const judged = row.judged ?? row.ratio;
    const target = row.atLeast !== undefined ? `>= ${row.atLeast}` : row.atMost !== undefined ? `<= ${row.atMost}` : '';
    const reached = row.atLeast !== undefined ? judged >= row.atLeast : row.atMost !== undefined ? judged <= row.atMost : undefined;
    this.rows.push({ ...row, target, reached });
  }

  missed() { return this.rows.filter((row) => row.reached === false); }

  text() {
    const cells = this.rows.map((row) => [row.what, `${number(row.weir)}${row.unit ? ` ${row.unit}` : ''}`, row.peer === undefined ? '' : `${number(row.peer)} ${row.peerName}`, number(row.ratio),
      row.target, row.reached === undefined ? row.note ?? '' : `${row.reached ? 'pass' : 'FAIL'}${row.note ? `  ${row.note}` : ''}`]);
    return grid(['measured', 'Weir', 'against', 'ratio', 'target', ''], cells);
  }
}
