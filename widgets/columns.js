// What a dashboard holds: for every series of every run a set of growing columns. An entry is one recorded row, or
// several merged into lowest, highest and mean, so that a day of training neither fills the page nor hides a spike.
const HOLD = 12000; // entries of one series; above it the older ones are merged two by two
const FRESH = 4000; // the newest entries are never merged

class Line {
  constructor(run, name) {
    Object.assign(this, { run, name, size: 0, softened: "" });
    this.reserve(256);
  }

  reserve(room) {
    for (const column of ["step", "low", "high", "mean", "count", "soft"]) {
      const grown = new Float64Array(room);
      if (this.size) grown.set(this[column].subarray(0, this.size));
      this[column] = grown;
    }
  }

  add(step, mean, low = mean, high = mean, count = 1) {
    if (this.size === this.step.length) this.reserve(2 * this.size);
    const missing = mean === null || mean === undefined || Number.isNaN(mean);
    this.put(this.size++, step, missing ? NaN : low, missing ? NaN : high, missing ? NaN : mean, missing ? 0 : count);
    if (this.size > HOLD) this.merge();
  }

  put(i, step, low, high, mean, count) {
    this.step[i] = step;
    this.low[i] = low;
    this.high[i] = high;
    this.mean[i] = mean;
    this.count[i] = count;
  }

  merge() {
    const old = (this.size - FRESH) & ~1;
    for (let i = 0; i < old; i += 2) {
      const [a, b] = this.count[i] ? [i, this.count[i + 1] ? i + 1 : i] : [i + 1, i + 1];
      const count = a === b ? this.count[a] : this.count[a] + this.count[b];
      const mean = a === b ? this.mean[a] : (this.mean[a] * this.count[a] + this.mean[b] * this.count[b]) / count;
      const low = Math.min(this.low[a], this.low[b]), high = Math.max(this.high[a], this.high[b]);
      this.put(i / 2, this.step[i + 1], low, high, mean, count);
    }
    for (const column of ["step", "low", "high", "mean", "count"]) this[column].copyWithin(old / 2, old, this.size);
    this.size -= old / 2;
    this.softened = "";
  }

  cut(step) {
    this.size = this.after(step);
    this.softened = "";
  }

  // Index of the first entry beyond a step.
  after(step) {
    let from = 0, to = this.size;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.step[middle] <= step) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  // Index of the entry nearest to a step, or -1 where this line has nothing to say about it.
  near(step) {
    if (!this.size) return -1;
    const right = Math.min(this.after(step), this.size - 1), left = Math.max(0, right - 1);
    const best = Math.abs(this.step[left] - step) <= Math.abs(this.step[right] - step) ? left : right;
    const first = this.step[0], last = this.step[this.size - 1];
    const spacing = this.size > 1 ? (last - first) / (this.size - 1) : 1;
    return step < first - 1.5 * spacing || step > last + 1.5 * spacing ? -1 : best;
  }

  // The mean over about so many rows around each entry, in `soft`; it narrows at the start, and at the end looks back.
  soften(rows) {
    const asked = `${rows} ${this.size} ${this.step[this.size - 1]}`;
    if (asked === this.softened) return;
    this.softened = asked;
    const { mean, count, soft, size } = this, reach = (rows - 1) / 2;
    let from = 0, to = 0, sum = 0, mass = 0, before = 0, passed = 0, largest = 0;
    for (let i = 0; i < size; i++) {
      // `passed` rows come before this entry; sum and mass are of the entries [from, to).
      const half = Math.min(reach, passed);
      for (; to < size && (to <= i || before + mass < passed + count[i] + half); to++) {
        if (count[to]) [sum, mass] = [sum + mean[to] * count[to], mass + count[to]];
      }
      for (; from < i && before + count[from] <= passed - half; from++) {
        if (!count[from]) continue;
        largest = Math.max(largest, Math.abs(mean[from] * count[from]));
        [sum, mass, before] = [sum - mean[from] * count[from], mass - count[from], before + count[from]];
      }
      // Large values that left the window must leave no rounding behind.
      if (largest > 1e4 * Math.abs(sum)) {
        [sum, largest] = [0, 0];
        for (let k = from; k < to; k++) if (count[k]) sum += mean[k] * count[k];
      }
      soft[i] = count[i] ? sum / mass : NaN;
      passed += count[i];
    }
  }
}

// All of a dashboard: the runs as told, their lines, the readings by time bin, marks, and the times of rows.
class Held {
  constructor(data) {
    this.runs = data.runs.map((run) => ({ message: "", ...run }));
    this.clocks = this.runs.map((_, run) => new Line(run, "time"));
    [this.lines, this.bins, this.marks] = [new Map(), new Map(), [...(data.marks || [])]];
    for (const told of data.lines || []) this.pour(this.line(told.run, told.name), told);
    for (const told of data.clocks || []) this.pour(this.clocks[told.run], told);
    for (const told of data.bins || []) this.bin(told.run, told.owner, told);
    this.take(data.rows || []);
  }

  pour(line, { step, mean, low, high, count }) {
    for (let i = 0; i < step.length; i++) {
      line.add(step[i], mean[i], low ? low[i] : mean[i], high ? high[i] : mean[i], count ? count[i] : 1);
    }
  }

  line(run, name) {
    const key = `${run} ${name}`;
    if (!this.lines.has(key)) this.lines.set(key, new Line(run, name));
    return this.lines.get(key);
  }

  bin(run, owner, { step, t, error }) {
    const key = `${run} ${owner}`;
    if (!this.bins.has(key)) this.bins.set(key, { run, name: owner, readings: [] });
    const { readings } = this.bins.get(key);
    readings.push({ step, t, error });
    if (readings.length > 400) this.bins.get(key).readings = readings.filter((_, i) => i % 2 === 0 || i >= 300);
  }

  take(rows) {
    for (const row of rows) {
      if ("cut" in row) this.cut(row.run, row.cut);
      else if ("mark" in row) this.marks.push(row);
      else if ("status" in row) Object.assign(this.runs[row.run], { status: row.status, message: row.message || "" });
      else this.step(row);
    }
  }

  step({ run, step, time, series, lr, bins }) {
    this.clocks[run].add(step, time);
    for (const [name, value] of Object.entries(series || {})) this.line(run, name).add(step, value);
    for (const [owner, value] of Object.entries(lr || {})) this.line(run, `${owner}: learning rate`).add(step, value);
    for (const [owner, reading] of Object.entries(bins || {})) this.bin(run, owner, { step, ...reading });
  }

  // A resumed run does steps again: what was recorded of them is forgotten.
  cut(run, step) {
    for (const line of [...this.lines.values(), this.clocks[run]]) if (line.run === run) line.cut(step);
    const binned = [...this.bins.values()].filter((one) => one.run === run);
    for (const one of binned) one.readings = one.readings.filter((reading) => reading.step <= step);
    this.marks = this.marks.filter((mark) => mark.run !== run || mark.step <= step);
  }

  get rows() {
    return this.clocks.reduce((sum, one) => one.count.subarray(0, one.size).reduce((a, b) => a + b, sum), 0);
  }

  // First and newest step of the runs that are shown.
  span(shown) {
    const found = this.clocks.filter((one) => one.size && shown(one.run));
    if (!found.length) return [0, 1];
    const low = Math.min(...found.map((one) => one.step[0]));
    const high = Math.max(...found.map((one) => one.step[one.size - 1]));
    return [low, Math.max(high, low + 1)];
  }

  // Seconds a step takes: the median over the last rows, so that a pause among them does not count.
  pace(run) {
    const { step, mean, size } = this.clocks[run], found = [];
    for (let i = Math.max(1, size - 20); i < size; i++) {
      if (step[i] > step[i - 1]) found.push((mean[i] - mean[i - 1]) / (step[i] - step[i - 1]));
    }
    return found.length ? found.sort((a, b) => a - b)[found.length >> 1] : null;
  }
}
