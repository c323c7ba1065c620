// parts: clouds sheets stage
// The trajectory player. One slider of noise levels, the page's clock; every model stands at its own nearest step.
const WHAT = { state: "state x_t", x0: "x0 prediction", both: "both" };

function named(one, view, what) {
  const dot = make("span", { class: "wb-swatch" });
  dot.style.backgroundColor = tint(one.colour, view.look);
  return make("div", { class: "wb-caption" }, dot, make("span", { class: "wb-name", text: one.name, title: one.name }),
    what ? make("span", { class: "wb-note", text: what }) : null);
}

// A button of a group or a toggle; `is` says whether it is pressed.
function pressed(view, text, name, is, press) {
  const button = make("button", { text, class: `wb-${name}`, type: "button", "aria-pressed": String(is()) });
  button.addEventListener("click", () => {
    press();
    view.layout();
  });
  view.buttons.push(() => button.setAttribute("aria-pressed", String(is())));
  return button;
}

function choices(view, label, options, key) {
  return make("span", { class: "wb-group", role: "group", "aria-label": label },
    ...Object.entries(options).map(([value, text]) =>
    pressed(view, text, `${key}-${value}`, () => view[key] === value, () => { view[key] = value; })));
}

function toggle(view, text, key) {
  return pressed(view, text, key, () => view[key], () => { view[key] = !view[key]; });
}

// Everything above and below the pictures; built anew when the data are.
function build(view) {
  const { data } = view, points = data.kind === "points", models = data.moments.flatMap((moment) => moment.models);
  view.buttons = [];
  view.play = make("button", { class: "wb-play", type: "button", text: "▶ Play",
    on: { click: () => play(view, !view.playing) } });
  view.slider = make("input", { class: "wb-slider", type: "range", min: 0, step: 1,
    "aria-label": "step, from noise to data",
    on: { input: () => go(view, Number(view.slider.value)) } });
  const speed = make("select", { class: "wb-speed", "aria-label": "speed",
    on: { change: () => { view.speed = Number(speed.value); } } },
    ...[2, 5, 10, 20, 40].map((one) => make("option",
      { value: one, text: `${one} steps/s`, selected: one === view.speed })));
  view.stage = make("div", { class: "wb-stage" });
  view.readout = make("div", { class: "wb-readout" });
  view.legend = make("div", { class: "wb-note wb-legend" });
  view.strip = points ? null : make("canvas", { class: "wb-strip", role: "img",
    "aria-label": "steps of the followed image" });
  const rows = [make("div", { class: "wb-title", text: data.title }),
    make("div", { class: "wb-row" }, view.play, make("span", { class: "wb-note", text: "noise" }), view.slider,
      make("span", { class: "wb-note", text: "data" }), speed)];
  if (data.moments.length > 1) rows.push(moments(view));
  const several = points && data.moments.some((moment) => moment.models.length > 1);
  rows.push(make("div", { class: "wb-row" },
    several ? choices(view, "panels", { side: "side by side", over: "overlaid" }, "mode") : null,
    models.some((one) => one.x0) ? choices(view, "what is drawn", WHAT, "shown") : null,
    points ? toggle(view, "paths", "paths") : null,
    models.some((one) => one.velocity) ? toggle(view, "velocity", "velocity") : null,
    data.density ? toggle(view, "density", "density") : null,
    !points && view.count > PER_PAGE ? pages(view) : null));
  const notes = data.notes.map((text) => make("div", { class: "wb-note", text }));
  rows.push(view.stage, view.legend, view.readout, view.strip, ...notes);
  view.root.replaceChildren(...rows.filter((row) => row
    && (row.childNodes.length || !row.classList.contains("wb-row"))));
  view.root.setAttribute("aria-label", `trajectories: ${data.title}`);
}

function moments(view) {
  const { moments: all } = view.data, said = (k) => (all[k].step === null ? `moment ${k + 1}`
    : all[k].step.toLocaleString("en"));
  const text = make("span", { class: "wb-moment-said", text: said(view.moment) });
  const slider = make("input", { class: "wb-moment", type: "range", min: 0, max: all.length - 1, step: 1,
    value: view.moment,
    "aria-label": "training step", on: { input: () => {
      const sigma = finest(view).sigma[view.index];
      view.moment = Number(slider.value);
      view.index = nearest(finest(view).sigma, sigma);
      text.textContent = said(view.moment);
      view.layout();
    } } });
  return make("label", { class: "wb-row" }, make("span", { text: "training step" }), slider, text);
}

function pages(view) {
  const last = Math.ceil(view.count / PER_PAGE) - 1, text = make("span", { class: "wb-note" });
  const turn = (by) => () => { view.page = Math.min(last, Math.max(0, view.page + by)); };
  view.buttons.push(() => {
    text.textContent = `images ${onPage(view)[0] + 1}–${onPage(view).at(-1) + 1} of ${view.count}`;
  });
  return make("span", { class: "wb-row" }, pressed(view, "‹ back", "back", () => false, turn(-1)), text,
    pressed(view, "more ›", "more", () => false, turn(1)));
}

// The panels for this width: canvases are sized here and only drawn on in `paint`.
function layout(view) {
  if (!view.data) return;
  const models = modelsOf(view), points = view.data.kind === "points",
    width = Math.max(260, view.root.clientWidth - 16);
  dressed(view);
  const faces = { state: ["states"], x0: ["x0"], both: ["states", "x0"] }[view.shown];
  const over = points && view.mode === "over";
  view.panels = over ? [{ models }] : points ? models.map((one) => ({ models: [one] }))
    : models.flatMap((one) => faces.map((face) => ({ models: [one], face })));
  const fits = Math.max(1, Math.floor((width + 12) / (points ? 232 : 180))),
    columns = Math.min(view.panels.length, fits);
  const side = Math.floor(Math.min((width - 12 * (columns - 1)) / columns, over ? 560 : 440));
  view.at = points ? plane(view.data.limits, side, side - 6) : null;
  const [, , high, wide] = points ? [0, 0, 1, 1] : models[0].states.shape;
  view.tiles = points ? null : tiling(onPage(view).length, side, wide / high);
  view.back = points ? backdrop(view, side) : null;
  view.stage.replaceChildren(...view.panels.map((panel) => {
    const names = panel.models.map((one) => one.name).join(", ");
    panel.canvas = make("canvas", { class: "wb-canvas", role: "img", "aria-label": names });
    panel.pen = fit(panel.canvas, side, points ? side - 6 : view.tiles.total);
    listen(view, panel);
    const what = panel.face === "x0" ? "x0 prediction" : panel.face ? "x_t" : "",
      caption = make("div", { class: "wb-caption" });
    caption.append(...panel.models.map((one) => named(one, view, what)));
    caption.style.maxWidth = `${side}px`;
    return make("div", { class: "wb-panel" }, caption, panel.canvas);
  }));
  view.cells = models.map(() => Array.from({ length: 5 }, () => make("td")));
  const heads = ["model", "step", "t", "σ, noise / signal", "log-SNR", "evaluations"];
  view.readout.replaceChildren(make("table", {}, make("thead", {},
    make("tr", {}, ...heads.map((text) => make("th", { text })))),
    make("tbody", {}, ...models.map((one, k) => make("tr", {}, make("th", {}, named(one, view)), ...view.cells[k])))));
  if (view.strip) view.stripPen = fit(view.strip, width, models.length * (2 * THUMB + 26));
  view.slider.max = finest(view).sigma.length - 1;
  for (const refresh of view.buttons) refresh();
  view.schedule();
}

function paint(view) {
  const models = modelsOf(view), sample = followed(view);
  view.slider.value = view.index;
  view.slider.setAttribute("aria-valuetext", `sigma ${short(finest(view).sigma[view.index])}`);
  models.forEach((one, k) => {
    const step = stepOf(view, one), sigma = one.sigma[step];
    const said = [`${one.index[step]} of ${one.steps}`, short(one.t[step]), short(sigma), short(-2 * Math.log(sigma)),
      one.evaluations[step]];
    said.forEach((text, cell) => { view.cells[k][cell].textContent = String(text).replace(/^-/, "−"); });
  });
  const fastest = Math.max(0, ...models.map((one) => (one.velocity ? longest(one.velocity, stepOf(view, one)) : 0)));
  for (const panel of view.panels) (view.tiles ? paintImages : paintPoints)(view, panel, sample, fastest);
  if (view.strip) paintStrip(view, sample);
  view.legend.textContent = legend(view, sample, fastest);
  view.root.dataset.painted = Number(view.root.dataset.painted || 0) + 1;
}


// Stand at a step of the finest model, and tell the other views on the page.
function go(view, index) {
  view.index = Math.min(finest(view).sigma.length - 1, Math.max(0, index));
  clock.set({ sigma: finest(view).sigma[view.index] }, view.ear);
  view.schedule();
}

function play(view, on) {
  const last = finest(view).sigma.length - 1;
  view.playing = on;
  view.play.textContent = on ? "❚❚ Pause" : "▶ Play";
  if (!on) return;
  if (view.index >= last) go(view, 0);
  let due = performance.now() + 1000 / view.speed;
  const beat = (now) => {
    if (!view.playing) return;
    const steps = Math.max(0, Math.floor(((now - due) * view.speed) / 1000) + 1);
    if (steps) {
      due += (1000 * steps) / view.speed;
      go(view, view.index + steps);
      if (view.index >= finest(view).sigma.length - 1) return play(view, false);
    }
    requestAnimationFrame(beat);
  };
  requestAnimationFrame(beat);
}

// Keys of the whole view; what has the focus keeps its own.
function keys(view, event) {
  const at = event.target.tagName, { key } = event;
  const move = { ArrowLeft: view.index - 1, ArrowDown: view.index - 1, ArrowRight: view.index + 1,
    ArrowUp: view.index + 1,
    Home: 0, End: Infinity }[key];
  if (!view.data || event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === "Escape") clock.set({ sample: null, pinned: false });
  else if (key === " " && at !== "BUTTON" && at !== "SELECT") play(view, !view.playing);
  else if (move !== undefined && at !== "SELECT" && at !== "INPUT") go(view, move);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function render({ model, el }) {
  const root = make("div", { class: "wb wb-player", tabIndex: 0, role: "group", "data-lm-suppress-shortcuts": "true" });
  const view = { el, root, data: null, moment: 0, index: 0, page: 0, speed: 10, playing: false, mode: "side",
    shown: "state",
    paths: false, velocity: false, density: true, panels: [], buttons: [], frame: 0, count: 0, width: 0 };
  view.layout = () => layout(view);
  view.schedule = () => {
    view.frame = view.frame || requestAnimationFrame(() => {
      view.frame = 0;
      if (view.data) paint(view);
    });
  };
  view.ear = () => {
    if (view.data) view.index = nearest(finest(view).sigma, clock.sigma);
    view.schedule();
  };
  root.addEventListener("keydown", (event) => keys(view, event));
  el.append(root);
  const end = connect(model, (kind, data) => {
    if (kind !== "show") return;
    Object.assign(view, { data, moment: 0, page: 0, playing: false, count: data.moments[0].models[0].states.shape[1] });
    if (!data.moments.some((moment) => moment.models.some((one) => one.x0))) view.shown = "state";
    view.levels = data.density ? contours(data.density) : null;
    view.index = nearest(finest(view).sigma, clock.sigma);
    build(view);
    layout(view);
  });
  const unwatched = attend(view, root);
  return () => {
    view.playing = false;
    cancelAnimationFrame(view.frame);
    unwatched();
    end();
  };
}

export default { render };
