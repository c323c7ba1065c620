// Samples that are points in the plane: axes, a known density, dots, traces and arrows, on a 2-D canvas.
// States are Float32Array with shape (steps, S, 2); everything skips what is not finite.
const RIM = { left: 44, right: 8, top: 8, bottom: 38 };
const MANY = 10000; // from here on dots are pixels

// Where data land in a panel of this size: both axes share the limits, the plot is square.
function plane(limits, width, height, edge = RIM) {
  const side = Math.max(20, Math.min(width - edge.left - edge.right, height - edge.top - edge.bottom));
  const [low, high] = limits, scale = side / (high - low);
  return { low, high, scale, side, left: edge.left, top: edge.top,
    x: (value) => edge.left + (value - low) * scale, y: (value) => edge.top + (high - value) * scale };
}

function ticks(low, high, most = 5) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((one) => one * power >= raw) || 10), first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) },
    (_, k) => Number(((first + k) * step).toPrecision(12)));
}

function drawAxes(pen, at, look, names = ["x (data units)", "y (data units)"]) {
  pen.strokeStyle = look.line;
  pen.lineWidth = 1;
  pen.strokeRect(at.left + 0.5, at.top + 0.5, at.side - 1, at.side - 1);
  pen.fillStyle = look.faint;
  pen.font = `11px ${look.font}`;
  for (const value of ticks(at.low, at.high)) {
    const text = short(value).replace("-", "−"), x = at.x(value), y = at.y(value);
    pen.fillRect(Math.round(x), at.top + at.side, 1, 4);
    pen.fillRect(at.left - 4, Math.round(y), 4, 1);
    pen.textBaseline = "top";
    pen.textAlign = "center";
    pen.fillText(text, x, at.top + at.side + 6);
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.fillText(text, at.left - 6, Math.min(Math.max(y, at.top + 6), at.top + at.side - 4));
  }
  pen.textAlign = "center";
  pen.textBaseline = "bottom";
  pen.fillText(names[0], at.left + at.side / 2, at.top + at.side + 36);
  pen.save();
  pen.translate(at.left - 43, at.top + at.side / 2);
  pen.rotate(-Math.PI / 2);
  pen.textBaseline = "top";
  pen.fillText(names[1], 0, 0);
  pen.restore();
}

// Marching squares: per level the segments [x1, y1, x2, y2, ...] in data units, levels falling from the highest value.
function contours({ x, y, value }, count = 5) {
  let top = 0;
  for (const one of value) if (one > top) top = one;
  return Array.from({ length: count }, (_, level) => {
    const at = top * 0.8 * 0.45 ** level, found = [], nx = x.length;
    for (let j = 0; j + 1 < y.length; j++) for (let i = 0; i + 1 < nx; i++) {
      const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], cuts = [];
      for (let side = 0; side < 4; side++) {
        const [ai, aj] = corners[side], [bi, bj] = corners[(side + 1) % 4];
        const a = value[aj * nx + ai] - at, b = value[bj * nx + bi] - at;
        const part = a / (a - b);
        if (a < 0 !== b < 0) cuts.push(x[ai] + (x[bi] - x[ai]) * part, y[aj] + (y[bj] - y[aj]) * part);
      }
      for (let cut = 0; cut + 3 < cuts.length; cut += 4) found.push(...cuts.slice(cut, cut + 4));
    }
    return found;
  });
}

function drawContours(pen, at, look, levels) {
  pen.strokeStyle = look.dark ? "#A8A8A8" : "#6E6E6E";
  pen.lineWidth = 1;
  levels.forEach((found, level) => {
    pen.globalAlpha = 0.75 - (0.5 * level) / levels.length;
    pen.beginPath();
    for (let k = 0; k < found.length; k += 4) {
      pen.moveTo(at.x(found[k]), at.y(found[k + 1]));
      pen.lineTo(at.x(found[k + 2]), at.y(found[k + 3]));
    }
    pen.stroke();
  });
  pen.globalAlpha = 1;
}

const stamps = new Map();
function stamp(colour, radius, hollow) {
  const key = `${colour} ${radius} ${hollow} ${window.devicePixelRatio}`, half = radius + 1.5;
  if (!stamps.has(key)) {
    const canvas = make("canvas"), pen = fit(canvas, 2 * half, 2 * half);
    pen.beginPath();
    pen.arc(half, half, radius, 0, 7);
    pen.fillStyle = pen.strokeStyle = colour;
    pen.lineWidth = 1.2;
    if (hollow) pen.stroke();
    else pen.fill();
    stamps.set(key, { canvas, half });
  }
  return stamps.get(key);
}

// All samples of one step; `hollow` for what is only predicted. They darken where they lie on each other.
function drawDots(pen, at, states, step, colour, { radius = 2, hollow = false, alpha = 0.7, many = MANY } = {}) {
  const count = states.shape[1], first = step * count * 2, edge = at.side;
  if (count > many) return drawPixels(pen, at, states, first, count, colour);
  const { canvas, half } = stamp(colour, radius, hollow);
  pen.globalAlpha = alpha;
  for (let k = 0; k < count; k++) {
    const x = (states[first + 2 * k] - at.low) * at.scale, y = (at.high - states[first + 2 * k + 1]) * at.scale;
    if (x >= 0 && y >= 0 && x <= edge && y <= edge) {
      pen.drawImage(canvas, at.left + x - half, at.top + y - half, 2 * half, 2 * half);
    }
  }
  pen.globalAlpha = 1;
}

function drawPixels(pen, at, states, first, count, colour) {
  const ratio = window.devicePixelRatio || 1, side = Math.round(at.side * ratio), scale = at.scale * ratio;
  const image = new ImageData(side, side), out = image.data, [r, g, b] = rgb(colour), size = ratio > 1 ? 2 : 1;
  for (let k = 0; k < count; k++) {
    const x = Math.round((states[first + 2 * k] - at.low) * scale),
      y = Math.round((at.high - states[first + 2 * k + 1]) * scale);
    if (!(x >= 0 && y >= 0 && x + size <= side && y + size <= side)) continue;
    for (let j = 0; j < size; j++) for (let i = 0; i < size; i++) {
      const p = 4 * ((y + j) * side + x + i), was = out[p + 3];
      out[p] = r;
      out[p + 1] = g;
      out[p + 2] = b;
      out[p + 3] = was + (255 - was) * 0.5;
    }
  }
  const layer = make("canvas", { width: side, height: side });
  layer.getContext("2d").putImageData(image, 0, 0);
  pen.drawImage(layer, at.left, at.top, at.side, at.side);
}

// The way of these samples from one step to another.
function drawTraces(pen, at, states, samples, from, to, colour, { alpha = 0.42, width = 1, dash = [] } = {}) {
  const count = states.shape[1];
  pen.save();
  pen.beginPath();
  pen.rect(at.left, at.top, at.side, at.side);
  pen.clip();
  pen.beginPath();
  for (const sample of samples) {
    for (let step = from, drawing = false; step <= to; step++) {
      const k = 2 * (step * count + sample), x = at.x(states[k]), y = at.y(states[k + 1]);
      const fine = Number.isFinite(x) && Number.isFinite(y);
      if (fine && drawing) pen.lineTo(x, y);
      else if (fine) pen.moveTo(x, y);
      drawing = fine;
    }
  }
  Object.assign(pen, { strokeStyle: colour, globalAlpha: alpha, lineWidth: width, lineJoin: "round" });
  pen.setLineDash(dash);
  pen.stroke();
  pen.restore();
}

// The one that is followed: a ring with a rim, so that it stands out from the crowd it is in.
function drawMark(pen, at, states, step, sample, colour, look, hollow, radius = 5) {
  const k = 2 * (step * states.shape[1] + sample), x = at.x(states[k]), y = at.y(states[k + 1]);
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.fillStyle = hollow ? look.paper : colour;
  pen.fill();
  Object.assign(pen, { lineWidth: 0.7 * radius, strokeStyle: look.paper });
  pen.stroke();
  Object.assign(pen, { lineWidth: 0.4 * radius, strokeStyle: hollow ? colour : look.ink });
  pen.stroke();
}

function longest(velocity, step) {
  const count = velocity.shape[1] * 2;
  let most = 0;
  for (let k = step * count; k < (step + 1) * count; k += 2) {
    most = Math.max(most, Math.hypot(velocity[k], velocity[k + 1]) || 0);
  }
  return most;
}

// Arrows on a grid; `scale` is CSS pixels per unit of velocity.
function drawArrows(pen, at, grid, velocity, step, scale, colour) {
  const count = grid.shape[0];
  pen.beginPath();
  for (let g = 0; g < count; g++) {
    const dx = velocity[2 * (step * count + g)] * scale, dy = -velocity[2 * (step * count + g) + 1] * scale;
    const x = at.x(grid[2 * g]), y = at.y(grid[2 * g + 1]), size = Math.hypot(dx, dy);
    if (!(size > 0.3)) continue;
    const head = Math.min(4, size * 0.45) / size;
    pen.moveTo(x, y);
    pen.lineTo(x + dx, y + dy);
    pen.moveTo(x + dx - head * (dx - 0.6 * dy), y + dy - head * (dy + 0.6 * dx));
    pen.lineTo(x + dx, y + dy);
    pen.lineTo(x + dx - head * (dx + 0.6 * dy), y + dy - head * (dy - 0.6 * dx));
  }
  Object.assign(pen, { strokeStyle: colour, lineWidth: 1, globalAlpha: 0.6 });
  pen.stroke();
  pen.globalAlpha = 1;
}

// The sample of a step that lies nearest to a place on the canvas, null if none within reach.
function closest(at, states, step, px, py, reach = 14) {
  const count = states.shape[1], first = step * count * 2;
  let best = null, least = reach * reach;
  for (let k = 0; k < count; k++) {
    const away = (at.x(states[first + 2 * k]) - px) ** 2 + (at.y(states[first + 2 * k + 1]) - py) ** 2;
    if (away < least) [best, least] = [k, away];
  }
  return best;
}

