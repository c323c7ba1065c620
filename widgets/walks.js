// What the inspector draws: cells of predictions, the large cell with its difference, three measures against sigma.
const MEASURES = [["to_end", "to final", "distance to final"], ["change", "change", "change since last step"],
  ["diversity", "diversity", "diversity over seeds"]];
const POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];

// Two digits, always written: numbers below each other line up.
function two(value) {
  const size = Math.abs(value);
  return Number.isNaN(value) ? "–" : size >= 1e-3 && size < 99.5 ? value.toPrecision(2) : short(value, 2);
}

function power(n) {
  const raised = [...String(Math.abs(n))].map((one) => POWERS[one]).join("");
  return n >= -2 && n <= 3 ? short(10 ** n) : `10${n < 0 ? "⁻" : ""}${raised}`;
}

// The prediction of a row in a column: { states, at, step }, null where it has none. The last column: final samples.
function cellOf(view, row, column) {
  const one = view.data.rows[row], last = view.data.columns.length;
  if (column === last) return one.final ? { states: one.final, at: 0, step: null } : null;
  return one.place[column] < 0 ? null : { states: one.x0, at: one.place[column], step: one.cells[column] };
}

function paintCell(view, pen, row, column, width, height) {
  const cell = cellOf(view, row, column), { look, data } = view, colour = tint(data.rows[row].colour, look);
  pen.clearRect(0, 0, width, height);
  if (!cell) return;
  if (data.kind === "images") {
    return place(pen, pile(cell.states, cell.at, [view.sample()], look), 0, 0, 0, width, height);
  }
  const at = plane(data.limits, width, height, { left: 1, right: 1, top: 1, bottom: 1 });
  drawDots(pen, at, cell.states, cell.at, colour, { radius: 1.1, many: 200 });
  Object.assign(pen, { strokeStyle: look.line, lineWidth: 1 });
  pen.strokeRect(0.5, 0.5, width - 1, height - 1);
  if (followed(view) !== null) drawMark(pen, at, cell.states, cell.at, followed(view), colour, look, false, 3);
}

function title(pen, view, text, x, y, width) {
  Object.assign(pen, { font: `12px ${view.look.font}`, fillStyle: view.look.ink, textAlign: "left",
    textBaseline: "top" });
  let said = text;
  while (said.length > 4 && pen.measureText(said).width > width) said = `${said.slice(0, -2).trimEnd()}…`;
  pen.fillText(said, x, y);
}

// The cell, what it is compared with, and the difference; returns how far they are apart in words.
function paintLarge(view, pen, width, side) {
  const { data, row, look } = view, column = view.columnOf(row), cell = cellOf(view, row, column);
  pen.clearRect(0, 0, width, side + 44);
  if (!cell) return "";
  const other = row === 0 ? [data.rows[0], cellOf(view, 0, data.columns.length), "its final sample"]
    : [data.rows[0], cellOf(view, 0, column), data.rows[0].name];
  return (data.kind === "images" ? largeImages : largePoints)(view, pen, side, data.rows[row], cell, other);
}

function largeImages(view, pen, side, one, cell, [, other, name]) {
  const { data, look } = view, [, count, high, wide, channels] = cell.states.shape, size = high * wide * channels;
  const across = high > wide ? (side * wide) / high : side, down = high > wide ? side : (side * high) / wide,
    k = view.sample();
  title(pen, view, one.name, 0, 0, side);
  place(pen, pile(cell.states, cell.at, [k], look), 0, 0, 20, across, down);
  if (!other) return "";
  title(pen, view, name, side + 14, 0, side);
  place(pen, pile(other.states, other.at, [k], look), 0, side + 14, 20, across, down);
  const cut = ({ states, at }) => {
    const first = (at * count + k) * size;
    return Object.assign(states.subarray(first, first + size), { shape: [channels] });
  };
  const { values, most } = difference(cut(cell), cut(other), data.limits), left = 2 * side + 28;
  const reach = Math.max(most, (data.limits[1] - data.limits[0]) * 0.05);
  title(pen, view, "difference, first − second", left, 0, side + 60);
  place(pen, mapped(values, reach, wide, high, look), 0, left, 20, across, down);
  Object.assign(pen, { strokeStyle: look.line, lineWidth: 1 });
  pen.strokeRect(left + 0.5, 20.5, across - 1, down - 1);
  scaleBar(view, pen, left + across + 10, 20, down, reach);
  const rms = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
  return `${short(rms)} data units root mean square from ${name}`;
}

function scaleBar(view, pen, x, y, height, reach) {
  const { look } = view;
  for (let k = 0; k < height; k++) {
    pen.fillStyle = `rgb(${signed(1 - (2 * k) / height, look).map(Math.round).join(",")})`;
    pen.fillRect(x, y + k, 10, 1.5);
  }
  Object.assign(pen, { fillStyle: look.faint, font: `11px ${look.font}`, textAlign: "left" });
  const most = short(reach, 2);
  for (const [part, text, base] of [[0, `+${most}`, "top"], [0.5, "0", "middle"], [1, `−${most}`, "bottom"]]) {
    pen.textBaseline = base;
    pen.fillText(text, x + 14, y + part * height);
  }
  Object.assign(pen, { textBaseline: "top", textAlign: "right" });
  pen.fillText("data units", x + 56, y + height + 6);
}

const largePlane = (view) => plane(view.data.limits, view.side + 30, view.side + 30);

function largePoints(view, pen, side, one, cell, [first, other, name]) {
  const { look } = view, colour = tint(one.colour, look), at = largePlane(view);
  const count = cell.states.shape[1], radius = count > 600 ? 1.6 : 2.2, k = followed(view);
  const panel = (text, x, draw) => {
    title(pen, view, text, x + 44, 0, side);
    pen.save();
    pen.translate(x, 14);
    drawAxes(pen, at, look);
    draw();
    pen.restore();
  };
  panel(one.name, 0, () => {
    drawDots(pen, at, cell.states, cell.at, colour, { radius });
    if (k !== null) drawMark(pen, at, cell.states, cell.at, k, colour, look, false);
  });
  if (!other) return "";
  const from = other.at * count * 2, to = cell.at * count * 2, shown = Math.min(count, 300),
    pair = new Float32Array(4 * shown);
  let far = 0;
  for (let j = 0; j < count; j++) {
    const [a, b] = other.states.subarray(from + 2 * j), [c, d] = cell.states.subarray(to + 2 * j);
    far += Math.hypot(c - a, d - b) / count;
    if (j < shown) pair.set([a, b], 2 * j), pair.set([c, d], 2 * (shown + j));
  }
  pair.shape = [2, shown, 2];
  const reference = view.row === 0 ? look.faint : tint(first.colour, look);
  panel(`○ ${name} → ● ${one.name}${shown < count ? `, ${shown} samples` : ""}`, side + 44, () => {
    drawTraces(pen, at, pair, Array.from({ length: shown }, (_, j) => j), 0, 1, colour, { alpha: 0.55 });
    drawDots(pen, at, pair, 0, reference, { radius: 1.8, hollow: true, alpha: 0.5 });
    drawDots(pen, at, pair, 1, colour, { radius: 1.8, alpha: 0.9 });
    if (k !== null && k < shown) drawMark(pen, at, pair, 1, k, colour, look, false);
  });
  return `${short(far)} data units mean distance from ${name}`;
}

// Three charts beside each other: sigma falls to the right, as the columns do. Drawn once; the clock's line comes on top.
function chartsOf(view, width, height) {
  const { data } = view, given = data.rows.flatMap((row) => [...row.sigma]), canvas = make("canvas");
  const levels = given.filter((one) => one > 0 && Number.isFinite(one)), pen = fit(canvas, width, height);
  const high = Math.max(...levels), low = Math.min(...levels), gap = 14, each = (width - 2 * gap) / 3;
  const scales = MEASURES.map(([key, , name], k) => {
    const left = k * (each + gap) + 42, right = k * (each + gap) + each - 10, top = 40, bottom = height - 38;
    const most = Math.max(1e-12, ...data.rows.flatMap((row) => [...row[key]].filter(Number.isFinite))) * 1.06;
    const x = (sigma) => left + (high > low ? Math.log(high / sigma) / Math.log(high / low) : 0.5) * (right - left);
    const y = (value) => bottom - (value / most) * (bottom - top);
    chartFrame(view, pen, { left, right, top, bottom, high, low, most, x, y }, name);
    data.rows.forEach((row, r) => line(pen, row, key, tint(row.colour, view.look), view.dashes[r], x, y));
    return { x, top, bottom };
  });
  return { canvas, scales, high, low };
}

function paintCharts(view, pen, width, height) {
  const { canvas, scales, high, low } = view.drawnCharts, now = view.sigma();
  pen.clearRect(0, 0, width, height);
  pen.drawImage(canvas, 0, 0, width, height);
  Object.assign(pen, { fillStyle: view.look.ink, globalAlpha: 0.55 });
  const shown = now >= low && now <= high ? scales : [];
  for (const { x, top, bottom } of shown) pen.fillRect(Math.round(x(now)), top, 1, bottom - top);
  pen.globalAlpha = 1;
}

function chartFrame(view, pen, { left, right, top, bottom, high, low, most, x, y }, name) {
  const { look } = view;
  title(pen, view, name, left - 42, 0, right - left + 42);
  Object.assign(pen, { fillStyle: look.faint, font: `11px ${look.font}` });
  pen.fillText(view.data.rows[0].unit, left - 42, 16, right - left + 42);
  Object.assign(pen, { textAlign: "right", textBaseline: "middle" });
  for (const value of ticks(0, most, 3)) {
    pen.fillText(short(value), left - 6, y(value));
    pen.globalAlpha = value ? 0.25 : 1;
    pen.fillRect(left, Math.round(y(value)), right - left, 1);
    pen.globalAlpha = 1;
  }
  Object.assign(pen, { textAlign: "center", textBaseline: "top" });
  const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
  const stride = Math.max(1, Math.ceil((last - first + 1) / Math.max(2, (right - left) / 44)));
  for (let decade = last; decade >= first; decade -= stride) {
    pen.fillRect(Math.round(x(10 ** decade)), bottom, 1, 4);
    pen.fillText(power(decade), Math.max(left + 6, Math.min(right - 6, x(10 ** decade))), bottom + 6);
  }
  const named = "σ, noise / signal (log scale)";
  pen.fillText(pen.measureText(named).width < right - left + 30 ? named : "σ (log scale)", (left + right) / 2,
    bottom + 22);
}

function line(pen, row, key, colour, dash, x, y) {
  Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: 1.6, lineJoin: "round" });
  pen.setLineDash(dash);
  pen.beginPath();
  const seen = [...row.sigma].map((sigma, k) => [sigma, row[key][k]]);
  let drawing = false;
  for (const [sigma, value] of seen) {
    const fine = sigma > 0 && Number.isFinite(sigma) && Number.isFinite(value);
    if (fine && drawing) pen.lineTo(x(sigma), y(value));
    else if (fine) pen.moveTo(x(sigma), y(value));
    drawing = fine;
  }
  pen.stroke();
  pen.setLineDash([]);
  for (const [sigma, value] of seen.length > 60 ? [] : seen) {
    if (!(sigma > 0 && Number.isFinite(sigma) && Number.isFinite(value))) continue;
    pen.beginPath();
    pen.arc(x(sigma), y(value), 2.2, 0, 7);
    pen.fill();
  }
}

