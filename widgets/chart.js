// A small chart on a canvas: scales, ticks, named axes, lines as envelopes of what falls into a pixel, marks.
const EDGE = { left: 46, right: 10, top: 15, bottom: 19 };
const DASHES = [[], [8, 3], [2, 2.5], [9, 3, 2, 3]]; // of the runs
const BADGES = ["●", "■", "▲", "◆"];

// A scale from values to pixels; `log` is asked for, and given where the values allow it.
function scale(low, high, from, to, log) {
  const f = log ? Math.log10 : (value) => value;
  const [a, b] = [f(low), f(high)], size = (to - from) / (b - a || 1);
  const at = log ? (value) => from + (Math.log10(value) - a) * size : (value) => from + (value - a) * size;
  const back = (pixel) => (log ? 10 ** (a + (pixel - from) / size) : a + (pixel - from) / size);
  return { low, high, from, to, log, at, back };
}

// Low and high with room around them; a flat line gets some, and what is near zero starts there.
function roomy(low, high, log) {
  if (!(low <= high)) return log ? [0.1, 1] : [0, 1];
  if (log) return low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.06, high * (high / low) ** 0.06];
  const size = high - low || Math.abs(high) || 1;
  return [low >= 0 && low < 0.35 * high ? 0 : low - 0.07 * size, high + 0.07 * size];
}

// About `most` round values between low and high.
function ticks(low, high, log, most) {
  if (log && high / low > 10) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    const every = Math.ceil((last - first + 1) / most), few = last - first < 2;
    const found = [];
    for (let power = first - 1; power <= last; power += every) {
      for (const digit of few ? [1, 3] : [1]) {
        const value = digit * 10 ** power;
        if (value >= low && value <= high) found.push(value);
      }
    }
    return found;
  }
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  const every = [1, 2, 2.5, 5, 10].find((one) => one * power >= rough) * power, found = [];
  for (let value = Math.ceil(low / every) * every; value <= high + 1e-9 * every; value += every) {
    found.push(Math.abs(value) < 1e-9 * every ? 0 : value);
  }
  return log ? found.filter((value) => value > 0) : found;
}

// A value to read: 1e-4, not 1.00e-4; `steady` keeps its width while digits change.
const brief = (value) => short(value).replace(/\.?0+e/, "e");

function steady(value) {
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e5 ? (size >= 100 ? String(Math.round(value)) : value.toPrecision(3)) : brief(value);
}

// 1200, 12.5k, 3M
function spell(step) {
  if (step >= 1e6) return `${short(step / 1e6, 4)}M`;
  return step >= 1e4 ? `${short(step / 1e3, 4)}k` : String(Math.round(step * 100) / 100);
}

// Grid, tick texts and the name of the x axis, which stands left of its ticks.
function axes(pen, box, x, y, name, look, font) {
  pen.font = `10.5px ${font}`;
  pen.lineWidth = 1;
  pen.strokeStyle = look.line;
  pen.fillStyle = look.faint;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const value of ticks(y.low, y.high, y.log, box.height > 220 ? 7 : 4)) {
    const at = Math.round(y.at(value)) + 0.5;
    pen.globalAlpha = 0.45;
    pen.beginPath();
    pen.moveTo(box.left, at);
    pen.lineTo(box.right, at);
    pen.stroke();
    pen.globalAlpha = 1;
    pen.fillText(brief(value), box.left - 5, at);
  }
  pen.beginPath();
  pen.moveTo(box.left + 0.5, box.top);
  pen.lineTo(box.left + 0.5, box.bottom + 0.5);
  pen.lineTo(box.right, box.bottom + 0.5);
  pen.stroke();
  pen.textBaseline = "top";
  pen.fillText(name, box.left - 12, box.bottom + 6);
  pen.textAlign = "center";
  for (const value of ticks(x.low, x.high, x.log, Math.max(2, Math.floor((box.right - box.left) / 58)))) {
    const at = x.at(value);
    pen.fillRect(Math.round(at), box.bottom, 1, 4);
    const text = spell(value), half = pen.measureText(text).width / 2;
    pen.fillText(text, Math.min(at, box.full - half), box.bottom + 6);
  }
}

// Lowest and highest of a line between two entries; what a logarithm cannot show is counted, not measured.
function extent(line, from, to, found) {
  for (let i = from; i < to; i++) {
    const low = line.low[i], high = line.high[i];
    if (low < found.low) found.low = low;
    if (high > found.high) found.high = high;
    if (low > 0 && low < found.least) found.least = low;
  }
  return found;
}

// The line as recorded: per pixel column its lowest and highest, so that no spike is lost however many rows there are.
function envelope(pen, line, from, to, x, y) {
  let column = NaN, low = 0, high = 0, joined = false;
  const flush = () => {
    if (Number.isNaN(column)) return;
    if (joined) pen.lineTo(column, y.at(low));
    else pen.moveTo(column, y.at(low));
    if (high !== low) pen.lineTo(column, y.at(high));
    else if (!joined) pen.lineTo(column + 0.5, y.at(high));
    joined = true;
  };
  pen.beginPath();
  for (let i = from; i < to; i++) {
    const lowest = y.log && line.low[i] <= 0 && line.high[i] > 0 ? y.low : line.low[i];
    if (Number.isNaN(lowest) || (y.log && lowest <= 0)) {
      flush();
      [column, joined] = [NaN, false];
      continue;
    }
    const at = Math.round(x.at(line.step[i]));
    if (at !== column) {
      flush();
      [column, low, high] = [at, lowest, line.high[i]];
    } else {
      if (lowest < low) low = lowest;
      if (line.high[i] > high) high = line.high[i];
    }
  }
  flush();
  pen.stroke();
}

// The running mean: one point per pixel column.
function softly(pen, line, from, to, x, y) {
  let column = NaN, joined = false;
  pen.beginPath();
  for (let i = from; i < to; i++) {
    const value = line.soft[i];
    if (Number.isNaN(value) || (y.log && value <= 0)) {
      joined = false;
      continue;
    }
    const at = x.at(line.step[i]), here = Math.round(at);
    if (joined && here === column && i < to - 1) continue;
    if (joined) pen.lineTo(at, y.at(value));
    else pen.moveTo(at, y.at(value));
    [column, joined] = [here, true];
  }
  pen.stroke();
}

function poly(pen, points) {
  pen.beginPath();
  points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.closePath();
  pen.fill();
}

// The sign of a run: disc, square, triangle, diamond.
function badge(pen, run, x, y, r) {
  const kind = run % BADGES.length;
  if (kind === 1) pen.fillRect(x - r, y - r, 2 * r, 2 * r);
  else if (kind === 2) poly(pen, [[x, y - r - 1], [x + r + 1, y + r], [x - r - 1, y + r]]);
  else if (kind === 3) poly(pen, [[x, y - r - 1], [x + r + 1, y], [x, y + r + 1], [x - r - 1, y]]);
  else {
    pen.beginPath();
    pen.arc(x, y, r, 0, 2 * Math.PI);
    pen.fill();
  }
}

// What happened at a step: a flag for a checkpoint, a diamond for a change, a fork, a turn, a stop, a start.
function glyph(pen, kind, x, y) {
  if (kind === "checkpoint") poly(pen, [[x - 1, y - 4], [x + 5, y - 1.5], [x, y + 1], [x, y + 4], [x - 1, y + 4]]);
  else if (kind === "change") poly(pen, [[x, y - 4], [x + 4, y], [x, y + 4], [x - 4, y]]);
  else if (kind === "stopped") pen.fillRect(x - 3.5, y - 3.5, 7, 7);
  else if (kind === "resumed") poly(pen, [[x - 3, y - 4], [x + 4, y], [x - 3, y + 4]]);
  else {
    pen.lineWidth = 1.6;
    pen.beginPath();
    if (kind === "fork") {
      pen.moveTo(x, y + 4), pen.lineTo(x, y), pen.lineTo(x - 3.5, y - 4), pen.moveTo(x, y), pen.lineTo(x + 3.5, y - 4);
    } else {
      pen.arc(x, y, 3, 0.4 * Math.PI, 1.9 * Math.PI);
    }
    pen.stroke();
  }
}

// Vertical lines with their glyphs; of those in one place only the first glyph is drawn, the tip tells them all.
function flags(pen, box, x, marks, look) {
  pen.strokeStyle = pen.fillStyle = look.ink;
  let taken = -Infinity;
  for (const { mark, step } of marks) {
    const at = Math.round(x.at(step)) + 0.5;
    if (at < box.left || at > box.right || at - taken < 3) continue;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.22;
    pen.beginPath();
    pen.moveTo(at, box.top - 2);
    pen.lineTo(at, box.bottom);
    pen.stroke();
    pen.globalAlpha = 0.75;
    if (at - taken >= 10) {
      glyph(pen, mark, at, box.top - 7);
      taken = at;
    }
  }
  pen.globalAlpha = 1;
}
