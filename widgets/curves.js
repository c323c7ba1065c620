// Paints a dashboard: heads of the runs, curves over steps, error by noise level, what stands at the reading line.
const FAINT = 10; // earlier readings by time bin that are shown behind the newest

function paintBoard(board) {
  const { held, root } = board;
  if (board.known !== held.lines.size + held.bins.size) board.build();
  if (!board.look) {
    board.look = { ...theme(root), font: getComputedStyle(root).fontFamily };
    board.heads.forEach((head, run) => paintSign(head.sign, held.runs[run], run, board.look));
    board.legend.replaceChildren();
  }
  held.runs.forEach((run, i) => paintHead(board.heads[i], run, i, held));
  paintControls(board);
  const marks = held.marks.filter((mark) => !board.hidden.has(mark.run)).sort((a, b) => a.step - b.step);
  for (const one of board.charts) {
    one.pen.clearRect(0, 0, one.width, one.height);
    if (one.binned) paintBins(board, one);
    else paintLines(board, one, marks);
  }
}

// A run's sign: its dashes and its badge.
function paintSign(canvas, run, i, look) {
  const pen = fit(canvas, 30, 12);
  pen.clearRect(0, 0, 30, 12);
  pen.strokeStyle = pen.fillStyle = tint(run.colour, look);
  pen.lineWidth = 1.8;
  pen.setLineDash(DASHES[i % DASHES.length]);
  pen.beginPath();
  pen.moveTo(0, 6);
  pen.lineTo(30, 6);
  pen.stroke();
  badge(pen, i, 15, 6, 3);
}

function paintHead(head, run, i, held) {
  const line = held.clocks[i], last = line.size - 1;
  const [step, now] = last < 0 ? [0, null] : [line.step[last], line.mean[last]];
  const pace = held.pace(i), left = pace && run.steps > step ? (run.steps - step) * pace : null;
  const clocked = (time) => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  say(head.badge, run.status);
  if (head.badge.dataset.status !== run.status) head.badge.dataset.status = run.status;
  head.bar.value = run.steps ? Math.min(1, step / run.steps) : 0;
  say(head.steps, `step ${step.toLocaleString("en-US")}${run.steps ? ` / ${run.steps.toLocaleString("en-US")}` : ""}`);
  say(head.rate, pace ? `${short(1 / pace)} steps/s` : "");
  let end = "";
  if (run.status === "running" && left) end = `${lasting(left)} left, until ${clocked(now + left)}`;
  else if (run.status !== "running" && run.started && now) end = `after ${lasting(now - run.started)}`;
  say(head.end, end);
  say(head.message, run.message);
}

function paintControls(board) {
  const { held, look } = board, kinds = [...new Set(held.marks.map((mark) => mark.mark))];
  say(board.said, SOFT[board.soft] ? `mean of ≈ ${SOFT[board.soft]} rows` : "none: as recorded");
  board.slider.setAttribute("aria-valuetext", board.said.textContent);
  board.reset.disabled = !board.view;
  if (board.legend.childElementCount !== kinds.length) {
    board.legend.replaceChildren(...kinds.map((kind) => {
      const canvas = make("canvas", { "aria-hidden": "true" }), pen = fit(canvas, 12, 11);
      pen.strokeStyle = pen.fillStyle = look.ink;
      glyph(pen, kind, 6, 5.5);
      return make("span", {}, canvas, MARKED[kind] || kind);
    }));
  }
  const clock = board.cross === null ? null : board.clocks()[0], i = clock ? clock.near(board.cross) : -1;
  const time = i < 0 ? "" : ` at ${new Date(clock.mean[i] * 1000).toLocaleTimeString("en-GB")}`;
  const marks = board.cross === null ? [] : board.marksAt(board.cross, 0);
  const texts = marks.map((text) => text.replace(/^step \d+: /, ""));
  say(board.at, board.cross === null ? "" : [`step ${board.cross}${time}`, ...texts].join(" · "));
}

// Rows of this line that the mean goes over: fewer where it is recorded more seldom; learning rates are exact.
function rowsOf(board, line) {
  const rows = SOFT[board.soft] * Math.min(1, line.size / board.held.clocks[line.run].size);
  return rows < 1.5 || part(line.name) === "learning rate" ? 0 : rows;
}

const colourOf = (board, line) => tint(role(line.name) || board.held.runs[line.run].colour, board.look);

function paintLines(board, one, marks) {
  const { pen, box } = one, { low, high } = board.window;
  const x = scale(low, high, box.left, box.right);
  const lines = one.lines.filter((line) => line.size && !board.hidden.has(line.run));
  const [all, seen] = [0, 1].map(() => ({ low: Infinity, high: -Infinity, least: Infinity }));
  const parts = lines.map((line) => {
    const [from, to] = [Math.max(0, line.after(low) - 1), Math.min(line.size, line.after(high) + 1)];
    extent(line, 0, line.size, all);
    extent(line, from, to, seen);
    return [line, from, to];
  });
  const wide = all.low > 0 && all.high > 20 * all.low;
  const log = board.scale === "auto" ? wide : board.scale === "log" && seen.least < Infinity;
  const y = scale(...roomy(log ? seen.least : seen.low, seen.high, log), box.bottom, box.top, log);
  const scaled = log ? (all.low > 0 ? "log" : "log, without what is ≤ 0") : "linear";
  say(one.unit, lines.length ? (/norm|rate|gap/.test(one.key) ? scaled : `loss, ${scaled}`) : "");
  axes(pen, box, x, y, "step", board.look, board.look.font);
  flags(pen, box, x, marks, board.look);
  pen.save();
  pen.beginPath();
  pen.rect(box.left, box.top - 3, box.right - box.left + 4, box.bottom - box.top + 6);
  pen.clip();
  pen.lineJoin = "round";
  for (const [line, from, to] of parts) {
    paintLine(pen, line, from, to, x, y, colourOf(board, line), rowsOf(board, line));
  }
  if (board.cross !== null) paintCross(pen, box, x, y, lines, board);
  pen.restore();
  paintValues(board, one, lines);
}

function paintLine(pen, line, from, to, x, y, colour, rows) {
  const dash = DASHES[line.run % DASHES.length];
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 1;
  pen.globalAlpha = rows ? 0.25 : 1;
  pen.setLineDash(rows ? [] : dash);
  envelope(pen, line, from, to, x, y);
  pen.globalAlpha = 1;
  pen.lineWidth = 1.8;
  pen.setLineDash(dash);
  if (rows) {
    line.soften(rows);
    softly(pen, line, from, to, x, y);
  }
  pen.setLineDash([]);
  const last = line.size - 1, value = (rows ? line.soft : line.mean)[last];
  if (value > 0 || !y.log) badge(pen, line.run, x.at(line.step[last]), y.at(value), 2.6);
}

function paintCross(pen, box, x, y, lines, board) {
  const at = Math.round(x.at(board.cross)) + 0.5;
  pen.strokeStyle = board.look.ink;
  pen.lineWidth = 1;
  pen.globalAlpha = 0.6;
  pen.beginPath();
  pen.moveTo(at, box.top);
  pen.lineTo(at, box.bottom);
  pen.stroke();
  pen.globalAlpha = 1;
  for (const line of lines) {
    const i = line.near(board.cross), value = line.mean[i];
    if (i < 0 || Number.isNaN(value) || (y.log && value <= 0)) continue;
    pen.fillStyle = board.look.paper;
    pen.strokeStyle = colourOf(board, line);
    pen.lineWidth = 1.6;
    pen.beginPath();
    pen.arc(x.at(line.step[i]), y.at(value), 3.2, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
}

// The values at the reading line, or the newest: one text per line, in its colour, with owner and sign where needed.
function paintValues(board, one, lines) {
  while (one.values.childElementCount > lines.length) one.values.lastChild.remove();
  while (one.values.childElementCount < lines.length) one.values.append(make("span"));
  lines.forEach((line, k) => {
    const i = board.cross === null ? line.size - 1 : line.near(board.cross);
    const sign = board.held.runs.length > 1 ? `${BADGES[line.run % BADGES.length]} ` : "";
    const node = one.values.children[k];
    const named = one.owners.size > 1 && (!k || owner(lines[k - 1].name) !== owner(line.name));
    say(node, `${named ? `${owner(line.name)} ` : ""}${sign}${i < 0 ? "–" : steady(line.mean[i])}`);
    const colour = colourOf(board, line);
    if (node.dataset.colour !== colour) node.style.color = node.dataset.colour = colour;
  });
  const told = role(one.key), colour = one.owners.size > 1 ? "" : lines.length ? colourOf(board, lines[0]) : "";
  if (one.name.dataset.colour !== colour + told) {
    one.name.dataset.colour = colour + told;
    one.name.style.color = colour;
  }
}

// Error against t: the newest reading strong (or the one at the reading line), some earlier ones faint.
function paintBins(board, one) {
  const { pen, box, owners } = one, curves = [];
  for (const line of one.lines) {
    if (board.hidden.has(line.run) || !line.readings.length) continue;
    const { readings } = line, cross = board.cross ?? Infinity;
    let strong = readings.length - 1;
    while (strong > 0 && readings[strong].step > cross) strong--;
    const count = Math.min(FAINT, strong);
    for (let k = 0; k < count; k++) {
      curves.push({ line, reading: readings[Math.floor((k * strong) / count)], alpha: 0.1 + (0.22 * k) / count });
    }
    curves.push({ line, reading: readings[strong], alpha: 1 });
  }
  const every = (name) => curves.flatMap(({ reading }) => [...reading[name]]).filter((value) => Number.isFinite(value));
  const [ts, errors] = [every("t"), every("error")], positive = errors.filter((value) => value > 0);
  const log = board.scale !== "linear" && positive.length > 0;
  const span = (values) => [Math.min(...values), Math.max(...values)], [first, last] = ts.length ? span(ts) : [0, 1];
  const y = scale(...roomy(...span(log ? positive : errors), log), box.bottom, box.top, log);
  const x = scale(first, last, box.left + 6, box.right - 4, first > 0 && last > 50 * first);
  axes(pen, box, x, y, "t", board.look, board.look.font);
  for (const { line, reading, alpha } of curves) paintReading(pen, line, reading, alpha, x, y, colourOf(board, line));
  const steps = [...new Set(curves.filter((one) => one.alpha === 1).map((one) => one.reading.step))];
  say(one.unit, curves.length ? `${log ? "log" : "linear"}, step ${steps.join(", ")}` : "");
  const names = [...owners], { values } = one;
  if (values.childElementCount !== owners.size) values.replaceChildren(...names.map((text) => make("span", { text })));
  for (const line of one.lines) values.children[names.indexOf(owner(line.name))].style.color = colourOf(board, line);
}

function paintReading(pen, line, { t, error }, alpha, x, y, colour) {
  let joined = false;
  pen.strokeStyle = pen.fillStyle = colour;
  pen.globalAlpha = alpha;
  pen.lineWidth = alpha === 1 ? 1.8 : 1;
  pen.setLineDash(alpha === 1 ? DASHES[line.run % DASHES.length] : []);
  pen.beginPath();
  for (let i = 0; i < t.length; i++) {
    const known = Number.isFinite(error[i]) && error[i] !== null && (error[i] > 0 || !y.log);
    if (known && joined) pen.lineTo(x.at(t[i]), y.at(error[i]));
    else if (known) pen.moveTo(x.at(t[i]), y.at(error[i]));
    joined = known;
  }
  pen.stroke();
  pen.setLineDash([]);
  for (let i = 0; alpha === 1 && i < t.length; i++) {
    if (Number.isFinite(error[i]) && (error[i] > 0 || !y.log)) badge(pen, line.run, x.at(t[i]), y.at(error[i]), 2.2);
  }
  pen.globalAlpha = 1;
}
