// The player's stage at one step: points, sheets of images, the steps of the followed one.
const PER_PAGE = 64, TRACED = 60, THUMB = 40, GUTTER = 168;

const modelsOf = (view) => view.data.moments[view.moment].models;
const finest = (view) => modelsOf(view).reduce((a, b) => (b.sigma.length > a.sigma.length ? b : a));
const stepOf = (view, one) => (one === finest(view) ? view.index : nearest(one.sigma, finest(view).sigma[view.index]));
const followed = (view) => (clock.sample !== null && clock.sample < view.count ? clock.sample : null);
const onPage = (view) => Array.from({ length: Math.min(PER_PAGE, view.count - view.page * PER_PAGE) },
  (_, k) => view.page * PER_PAGE + k);

function backdrop(view, side) {
  const canvas = make("canvas"), pen = fit(canvas, side, side - 6);
  if (view.density && view.levels) drawContours(pen, view.at, view.look, view.levels);
  drawAxes(pen, view.at, view.look);
  return canvas;
}

// Pointing follows a sample in every view of the page; a click keeps it.
function listen(view, panel) {
  const hit = (event) => {
    if (view.tiles) return onPage(view)[view.tiles.hit(event.offsetX, event.offsetY)] ?? null;
    const found = panel.models.map((one) => closest(view.at, view.shown === "x0" && one.x0 ? one.x0 : one.states,
      stepOf(view, one), event.offsetX, event.offsetY)).filter((one) => one !== null);
    return found.length ? found[0] : null;
  };
  const follow = (sample, pinned) => {
    if (sample !== clock.sample || pinned !== Boolean(clock.pinned)) clock.set({ sample, pinned });
  };
  panel.canvas.addEventListener("pointermove", (event) => clock.pinned || follow(hit(event), false));
  panel.canvas.addEventListener("pointerleave", () => clock.pinned || follow(null, false));
  panel.canvas.addEventListener("click", (event) => {
    const sample = hit(event);
    follow(sample, sample !== null && !(clock.pinned && sample === clock.sample));
  });
}

function legend(view, sample, fastest) {
  const said = [], { labels } = view.data;
  const dots = { state: "● state x_t", x0: "○ x0 prediction", both: "● state x_t, ○ x0 prediction" };
  if (!view.tiles) said.push(dots[view.shown]);
  if (view.density && view.levels) said.push("grey lines: known density");
  if (view.velocity && fastest) said.push(`longest arrow: ${short(fastest)} data units in this step`);
  if (sample === null) return [...said, "point at a sample to follow it; click keeps it"].join(" · ");
  const label = labels ? ` (${labels[sample]})` : "";
  const kept = clock.pinned ? ", kept: Escape lets go" : "";
  return [...said, `sample ${sample + 1} of ${view.count}${label}${kept}`].join(" · ");
}

function paintPoints(view, { models, pen, canvas }, sample, fastest) {
  const { at, look, data } = view, width = parseFloat(canvas.style.width), height = parseFloat(canvas.style.height);
  pen.clearRect(0, 0, width, height);
  pen.drawImage(view.back, 0, 0, width, height);
  const traced = Math.min(TRACED, view.count), some = Array.from({ length: traced },
    (_, k) => Math.floor((k * view.count) / traced));
  for (const one of models) {
    const step = stepOf(view, one), colour = tint(one.colour, look), main = view.shown === "x0" ? one.x0 : one.states;
    const small = view.count > 1500 ? 1.4 : view.count > 400 ? 1.8 : 2.4;
    if (view.paths && main) drawTraces(pen, at, main, some, 0, step, colour);
    if (view.velocity && one.velocity && fastest) {
      drawArrows(pen, at, data.grid, one.velocity, step, (1.05 * at.side) / Math.sqrt(data.grid.shape[0]) / fastest,
        colour);
    }
    const rings = { radius: small + 0.4, hollow: true, alpha: 0.8 },
      full = { radius: small, alpha: view.shown === "both" ? 0.45 : 0.7 };
    if (view.shown !== "state" && one.x0) drawDots(pen, at, one.x0, step, colour, rings);
    if (view.shown !== "x0") drawDots(pen, at, one.states, step, colour, full);
    if (!main) absent(pen, view, at.left + at.side / 2, at.top + at.side / 2);
  }
  if (sample !== null) for (const one of models) mark(view, pen, one, sample);
}

function mark(view, pen, one, sample) {
  const { at, look } = view, step = stepOf(view, one), colour = tint(one.colour, look);
  const main = view.shown === "x0" ? one.x0 : one.states, last = one.sigma.length - 1;
  if (!main) return;
  drawTraces(pen, at, main, [sample], step, last, colour, { alpha: 0.8, width: 1.5, dash: [3, 3] });
  drawTraces(pen, at, main, [sample], 0, step, colour, { alpha: 1, width: 2 });
  if (view.shown !== "state" && one.x0) drawMark(pen, at, one.x0, step, sample, colour, look, true);
  if (view.shown !== "x0") drawMark(pen, at, one.states, step, sample, colour, look, false);
}

function absent(pen, view, x, y) {
  Object.assign(pen, { fillStyle: view.look.faint, font: `12px ${view.look.font}`, textAlign: "center",
    textBaseline: "middle" });
  pen.fillText("x0 was not recorded", x, y);
}

function paintImages(view, { models: [one], face, pen, canvas }, sample) {
  const { tiles, look } = view, samples = onPage(view);
  pen.clearRect(0, 0, parseFloat(canvas.style.width), parseFloat(canvas.style.height));
  if (!one[face]) return absent(pen, view, parseFloat(canvas.style.width) / 2, 40);
  const heap = pile(one[face], stepOf(view, one), samples, look);
  samples.forEach((_, k) => place(pen, heap, k, ...tiles.at(k), tiles.width, tiles.height));
  const k = samples.indexOf(sample);
  if (k >= 0) frame(pen, ...tiles.at(k), tiles.width, tiles.height, look, tint(one.colour, look));
}

// The followed image at every step: x_t above, x0 below, sigma under both.
function paintStrip(view, sample) {
  const { stripPen: pen, look, strip } = view, width = parseFloat(strip.style.width);
  pen.clearRect(0, 0, width, parseFloat(strip.style.height));
  modelsOf(view).forEach((one, row) => {
    const top = row * (2 * THUMB + 26), last = one.sigma.length - 1;
    const room = Math.min(Math.floor((width - GUTTER) / (THUMB + 3)), last + 1);
    const shown = Array.from({ length: room }, (_, k) => Math.round((k * last) / Math.max(1, room - 1)));
    const step = stepOf(view, one), near = shown.reduce((a, b) => (Math.abs(b - step) < Math.abs(a - step) ? b : a));
    Object.assign(pen, { font: `11px ${look.font}`, textBaseline: "middle", textAlign: "right",
      fillStyle: look.faint });
    const beside = [["x_t", THUMB / 2], ["x0", THUMB * 1.5 + 2], ["σ", 2 * THUMB + 12]];
    beside.forEach(([text, y]) => pen.fillText(text, GUTTER - 8, top + y));
    Object.assign(pen, { textAlign: "left", fillStyle: look.ink });
    pen.fillText(one.name, 0, top + THUMB / 2, GUTTER - 44);
    if (sample === null) return;
    shown.forEach((at, k) => {
      const x = GUTTER + k * (THUMB + 3);
      place(pen, pile(one.states, at, [sample], look), 0, x, top + 1, THUMB, THUMB);
      if (one.x0) place(pen, pile(one.x0, at, [sample], look), 0, x, top + THUMB + 3, THUMB, THUMB);
      Object.assign(pen, { textAlign: "center", fillStyle: at === near ? look.ink : look.faint });
      pen.fillText(short(one.sigma[at], 2), x + THUMB / 2, top + 2 * THUMB + 12, THUMB);
      if (at === near) frame(pen, x + 1, top + 2, THUMB - 2, 2 * THUMB, look, tint(one.colour, look));
    });
  });
}
