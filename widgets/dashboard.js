// parts: columns chart curves reading
const SOFT = [0, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 500]; // rows of the running mean that the slider offers
const SHARED = ["gradient norm", "learning rate"]; // one chart for all owners, after the others
const MARKED = { checkpoint: "checkpoint", change: "change", fork: "fork", act: "act", stopped: "stop",
  resumed: "resume" };

const owner = (name) => name.split(": ")[0];
const part = (name) => name.slice(owner(name).length + 2) || name;
const say = (node, text) => node.textContent !== text && (node.textContent = text);

// Whose series it is, told by colour: the owners' names say it.
function role(name) {
  const who = owner(name).toLowerCase();
  if (/gap|average|ema/.test(who)) return "average";
  if (/critic|fake|discriminator/.test(who)) return "critic";
  return /teacher|data/.exec(who)?.[0] || null;
}

class Board extends Reading {
  constructor(model, el) {
    super();
    Object.assign(this, { model, el, painted: 0, view: null, cross: null, soft: 6, scale: "auto", large: null });
    Object.assign(this, { hidden: new Set(), charts: [], names: "", waiting: 0, scrolled: -1e9, known: -1 });
    this.root = make("div", { className: "wb wb-dashboard" });
    el.replaceChildren(this.root);
    this.ends = [themed(() => (this.look = null, this.repaint())), () => cancelAnimationFrame(this.waiting)];
    this.watcher = new ResizeObserver(() => this.arrange());
    const scrolled = () => (this.scrolled = performance.now());
    window.addEventListener("scroll", scrolled, { capture: true, passive: true });
    this.ends.push(() => window.removeEventListener("scroll", scrolled, { capture: true }));
    this.ends.push(() => this.watcher.disconnect());
    this.ends.push(connect(model, (kind, data) => (kind === "show" ? this.show(data) : this.append(data.rows))));
    this.watcher.observe(el);
  }

  show(data) {
    this.held = new Held(data);
    const names = JSON.stringify(data.runs.map((run) => run.name));
    if (names !== this.names) Object.assign(this, { names, view: null, cross: null, hidden: new Set() });
    this.known = -1;
    this.runs = make("div", { className: "wb-runs", role: "list" });
    this.heads = this.held.runs.map((run, i) => this.head(run, i));
    this.runs.append(...this.heads.map((head) => head.row));
    this.tip = make("div", { className: "wb-tip", role: "tooltip", hidden: true });
    this.grid = make("div", { className: "wb-charts", tabIndex: 0, role: "group", "data-lm-suppress-shortcuts": "true",
      "aria-label": "Charts: arrows move the reading line, plus and minus zoom, 0 resets, L switches the logarithm",
      on: { keydown: (event) => this.key(event), pointerleave: () => this.point(null) } });
    this.root.replaceChildren(...[
      data.title ? make("div", { className: "wb-title", text: data.title }) : null,
      this.runs, this.controls(), this.grid,
      ...(data.notes || []).map((text) => make("div", { className: "wb-note", text })), this.tip].filter(Boolean));
    this.arrange();
  }

  append(rows) {
    if (!this.held) return;
    const before = this.newest;
    this.held.take(rows);
    if (this.view?.follow) this.moved(this.view.low + this.newest - before, this.newest);
    this.repaint();
  }

  // The line of a run: its sign, how far it is, how fast, when it will be done.
  head(run, i) {
    const several = this.held.runs.length > 1, sign = make("canvas", { className: "wb-sign", "aria-hidden": "true" });
    const box = make("input", { type: "checkbox", className: "wb-shown", checked: !this.hidden.has(i),
      "aria-label": `show ${run.name}`, on: { change: () => {
        this.hidden[box.checked ? "delete" : "add"](i);
        this.moved();
        this.repaint();
      } } });
    const cell = (name) => make("span", { className: name });
    const bar = make("progress", { className: "wb-bar", max: 1, "aria-label": `progress of ${run.name}` });
    const head = { sign, bar, badge: cell("wb-badge"), steps: cell("wb-steps"), rate: cell("wb-rate"),
      end: cell("wb-end"), message: cell("wb-message wb-note") };
    const text = make("span", { text: run.name });
    const name = make("label", { className: "wb-name", title: run.name }, several ? box : null, sign, text);
    head.row = make("div", { className: "wb-run", role: "listitem" }, name, head.badge, bar, head.steps,
      head.rate, head.end, head.message);
    return head;
  }

  controls() {
    const slider = make("input", { type: "range", className: "wb-slider", min: 0, max: SOFT.length - 1,
      value: this.soft, "aria-label": "smoothing", on: { input: () => ((this.soft = Number(slider.value)), this.repaint()) } });
    this.scales = make("select", { className: "wb-scale", "aria-label": "vertical scale",
      on: { change: () => ((this.scale = this.scales.value), this.repaint()) } },
    ...["auto", "linear", "log"].map((value) => make("option", { value, text: value })));
    this.scales.value = this.scale;
    this.slider = slider;
    this.said = make("span", { className: "wb-soft wb-note" });
    this.reset = make("button", { className: "wb-reset", text: "Reset zoom", on: { click: () => this.zoom(0) } });
    this.legend = make("span", { className: "wb-legend wb-note" });
    this.at = make("span", { className: "wb-at", "aria-live": "polite" });
    return make("div", { className: "wb-controls" },
      make("div", { className: "wb-row" }, make("label", {}, "scale ", this.scales),
        make("label", { className: "wb-smooth" }, "smoothing ", slider, this.said), this.reset),
      make("div", { className: "wb-line" }, this.legend, this.at));
  }

  // Charts for the lines there are; made anew only when a line of a new name comes.
  build() {
    const groups = new Map(), lines = [...this.held.lines.values()], place = (key) => SHARED.indexOf(key) + 1;
    for (const line of lines) {
      const key = SHARED.includes(part(line.name)) ? part(line.name) : line.name;
      groups.set(key, [...(groups.get(key) || []), line]);
    }
    const owned = (of) => of.sort((a, b) => owner(b.name).localeCompare(owner(a.name)) || a.run - b.run);
    const ordered = [...groups].sort(([a], [b]) => place(a) - place(b));
    this.charts = ordered.map(([key, of]) => this.chart(key, owned(of), false));
    if (this.held.bins.size) this.charts.push(this.chart("error by t", [...this.held.bins.values()], true));
    this.known = this.held.lines.size + this.held.bins.size;
    this.grid.replaceChildren(...this.charts.map((one) => one.figure));
    const crowded = (one) => !one.binned && one.lines.length > (SHARED.includes(one.key) ? 2 : 1);
    this.grid.classList.toggle("wb-two", this.charts.some(crowded));
    const empty = make("div", { className: "wb-empty wb-note", text: "No step is recorded yet." });
    if (!this.charts.length) this.grid.append(empty);
    this.arrange(false);
  }

  chart(key, lines, binned) {
    const label = `${key} over ${binned ? "t" : "steps"}`;
    const canvas = make("canvas", { className: "wb-chart", role: "img", "aria-label": label });
    const enlarge = make("button", { className: "wb-enlarge", text: "⤢", title: "enlarge (or click the chart)",
      "aria-label": `enlarge ${key}`, on: { click: () => this.enlarge(key) } });
    const [values, unit] = [make("span", { className: "wb-values" }), make("span", { className: "wb-unit wb-note" })];
    const name = make("span", { className: "wb-caption", text: key, title: key });
    const figure = make("figure", {}, make("figcaption", {}, name, unit, values, enlarge), canvas);
    const owners = new Set(lines.map((line) => owner(line.name)));
    const one = { key, lines, binned, canvas, enlarge, values, unit, name, figure, owners };
    this.pointers(one);
    return one;
  }

  enlarge(key) {
    this.large = this.large === key ? null : key;
    this.arrange();
  }

  // Columns and sizes for the width there is.
  arrange(again = true) {
    const width = Math.max(260, this.el.clientWidth || 800);
    const columns = Math.max(1, Math.min(4, Math.floor(width / 290)));
    this.look = null;
    if (!this.grid) return;
    this.grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    this.root.classList.toggle("wb-narrow", width < 760);
    for (const one of this.charts) {
      const large = one.key === this.large, column = Math.floor((width - 14 * (columns - 1)) / columns);
      const [w, h] = large ? [width, 360] : [column, 150];
      one.figure.classList.toggle("wb-large", large);
      one.enlarge.setAttribute("aria-pressed", String(large));
      one.pen = fit(one.canvas, w, h);
      Object.assign(one, { width: w, height: h });
      const { left, top } = EDGE, bottom = h - EDGE.bottom;
      one.box = { left, top, bottom, right: w - EDGE.right, full: w, height: bottom - top };
    }
    if (again) this.repaint();
  }

  repaint() {
    if (this.waiting || !this.held) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      const began = performance.now();
      paintBoard(this);
      this.root.dataset.painted = String(++this.painted);
      this.root.dataset.rows = String(this.held.rows);
      this.root.dataset.cost = (performance.now() - began).toFixed(2);
    });
  }
}

function render({ model, el }) {
  const board = new Board(model, el);
  return () => board.ends.forEach((end) => end());
}

export default { render };
