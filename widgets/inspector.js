// parts: clouds sheets walks
// The diffusion-target inspector: rows are models, columns noise levels, a cell the predicted x0.
const HEAD = 118, CHARTS = 196;
const LEGEND = "to final: distance of this prediction to the final sample · change: distance to that of the step " +
  "before · diversity: spread of the predictions over seeds; all in ";

const followed = (view) => (clock.sample !== null && clock.sample < view.data.samples ? clock.sample : null);

function named(one, view, r) {
  const key = make("span", { class: "wb-key" });
  key.style.borderTopColor = tint(one.colour, view.look);
  key.style.borderTopStyle = ["solid", "dashed", "dotted", "double"][DASHES.indexOf(view.dashes[r])];
  return make("div", { class: "wb-caption" }, key, make("span", { class: "wb-name", text: one.name, title: one.name }));
}

// Everything but the drawings; built anew for new data, another width or theme.
function layout(view) {
  if (!view.data) return;
  const { data } = view, width = Math.max(260, view.root.clientWidth - 16), columns = data.columns.length;
  dressed(view);
  const used = {};
  view.dashes = data.rows.map((row) => DASHES[(used[row.colour] = (used[row.colour] ?? -1) + 1) % DASHES.length]);
  view.final = data.rows.some((row) => row.final);
  const all = columns + (view.final ? 1 : 0), [, , high, wide] = data.kind === "images" ? data.rows[0].x0.shape
    : [0, 0, 1, 1];
  view.cell = Math.max(54, Math.min(112, Math.floor((width - HEAD) / all) - 8));
  view.cellHigh = Math.round((view.cell * high) / wide);
  view.cells = data.rows.map((row, r) => Array.from({ length: all }, (_, c) => cell(view, r, c)));
  const heads = [...data.columns].map((sigma) => short(sigma, 2)).concat(view.final ? ["final"] : []);
  view.heads = heads.map((text, c) => make("th", { text, scope: "col", class: "wb-head",
    on: { click: () => select(view, view.row, c) } }));
  const body = data.rows.map((row, r) => make("tr", {}, rowHead(view, row, r), ...view.cells[r].map((one) => one.td)));
  const table = make("table", { role: "grid", "aria-label": "predictions of x0" },
    make("thead", {}, make("tr", {}, make("th", { text: "σ, noise / signal" }), ...view.heads)),
      make("tbody", {}, ...body));
  view.scroll = make("div", { class: "wb-scroll" }, table);
  view.large = make("canvas", { class: "wb-detail", role: "img", "aria-label": "the chosen cell and its difference" });
  if (data.kind === "points") listen(view);
  view.facts = make("div", { class: "wb-facts" });
  view.charts = make("canvas", { class: "wb-charts", role: "img",
    "aria-label": "distance, change and diversity against sigma" });
  const pictures = Math.min(width, 720), three = data.kind === "images";
  view.side = Math.floor(three ? Math.min(200, (pictures - 28 - 78) / 3) : Math.min(290, (pictures - 44 - 44) / 2));
  view.largePen = fit(view.large, three ? 3 * view.side + 106 : 2 * view.side + 88, view.side + 44);
  view.chartsPen = fit(view.charts, width, CHARTS);
  view.drawnCharts = chartsOf(view, width, CHARTS);
  view.root.replaceChildren(make("div", { class: "wb-title", text: data.title }), ...(three ? [chooser(view)] : []),
    view.scroll,
    make("div", { class: "wb-note", text: LEGEND + data.rows[0].unit }),
    make("div", { class: "wb-large" }, view.large, view.facts), view.charts,
      ...data.notes.map((text) => make("div", { class: "wb-note", text })));
  view.root.setAttribute("aria-label", `predictions: ${data.title}`);
  Object.assign(view, { stale: true, told: null });
  view.schedule();
}

function rowHead(view, row, r) {
  const top = make("div", {}, named(row, view, r));
  Object.assign(top.style, { height: `${view.cellHigh}px`, overflow: "hidden" });
  return make("th", { scope: "row" }, top, ...MEASURES.map(([, text]) => make("div", { class: "wb-number", text })));
}

function cell(view, r, c) {
  const row = view.data.rows[r], found = cellOf(view, r, c), td = make("td", { role: "gridcell", class: "wb-cell" });
  if (!found) return { td };
  const canvas = make("canvas"), pen = fit(canvas, view.cell, view.cellHigh);
  td.append(canvas, ...MEASURES.map(([key]) => make("div", { class: "wb-number",
    text: found.step === null ? "–" : Number.isNaN(row[key][found.step]) ? "–" : two(row[key][found.step]) })));
  td.addEventListener("click", () => select(view, r, c));
  return { td, pen };
}

// Which of several images is shown everywhere.
function chooser(view) {
  const { samples } = view.data, box = make("input",
    { type: "number", class: "wb-sample", min: 1, max: samples, step: 1 });
  const set = (number) => clock.set({ sample: Math.min(samples, Math.max(1, Math.round(number) || 1)) - 1,
    pinned: true });
  box.addEventListener("change", () => set(Number(box.value)));
  view.box = box;
  const step = (text, name, by) => make("button", { type: "button", text, class: `wb-${name}`,
    "aria-label": `${name} sample`,
    on: { click: () => set(view.sample() + 1 + by) } });
  return make("div", { class: "wb-row" }, make("label", { class: "wb-row" }, make("span", { text: "sample" }), box),
    make("span", { class: "wb-note", text: `of ${samples}` }), step("‹", "previous", -1), step("›", "next", 1));
}

// Pointing at the large cell follows a sample in every view of the page; a click keeps it.
function listen(view) {
  const hit = (event) => {
    const found = cellOf(view, view.row, view.columnOf(view.row));
    return found && closest(largePlane(view), found.states, found.at, event.offsetX, event.offsetY - 14);
  };
  view.large.addEventListener("pointermove", (event) => clock.pinned || clock.set({ sample: hit(event) }));
  view.large.addEventListener("pointerleave", () => clock.pinned || clock.set({ sample: null }));
  view.large.addEventListener("click", (event) => {
    const sample = hit(event), kept = clock.pinned && sample === clock.sample;
    clock.set({ sample, pinned: sample !== null && !kept });
  });
}

// The chosen cell, its numbers, and the way to walk on from it with another model.
function facts(view, apart) {
  const { data, row: r } = view, row = data.rows[r], column = view.columnOf(r), found = cellOf(view, r, column);
  const said = [];
  if (found && found.step !== null) {
    const k = found.step, sigma = row.sigma[k];
    said.push(["step", `${k + 1} of ${row.sigma.length}`], ["t", short(row.t[k])], ["σ, noise / signal", short(sigma)],
      ["log-SNR", short(-2 * Math.log(sigma))]);
    for (const [key, name] of MEASURES) {
      said.push([name, Number.isNaN(row[key][k]) ? "–" : `${short(row[key][k])} ${row.unit}`]);
    }
  } else said.push(["step", found ? "final sample" : "none"]);
  const list = make("dl", {}, ...said.flatMap(([name, text]) => [make("dt", { text: name }),
    make("dd", { text: text.replace(/^-/, "−") })]));
  view.facts.replaceChildren(named(row, view, r), list, make("div", { class: "wb-apart", text: apart }),
    ...branch(view, row, found));
}

function branch(view, row, found) {
  if (!view.data.can_branch || view.model.offline) {
    return [make("div", { class: "wb-note", text: "branching needs a running kernel" })];
  }
  const others = [...new Set(view.data.rows.map((one) => one.name))].filter((name) => name !== row.name);
  if (!found || found.step === null || !others.length) return [];
  const names = make("select", { class: "wb-with", "aria-label": "branch with" },
    ...others.map((text) => make("option", { text, value: text })));
  if (others.includes(view.with)) names.value = view.with;
  const status = make("span", { class: "wb-note wb-asked", role: "status" });
  const button = make("button", { type: "button", class: "wb-branch", text: "Branch from here", on: { click: () => {
    view.with = names.value;
    status.textContent = "asked; the new row comes below";
    tell(view.model, { event: "branch", row: view.row, step: found.step, with: names.value });
  } } });
  return [make("div", { class: "wb-row" }, button, make("span", { text: "with" }), names, status)];
}

function select(view, row, column) {
  const last = view.cells[0].length - 1;
  view.row = Math.min(view.data.rows.length - 1, Math.max(0, row));
  view.column = Math.min(last, Math.max(0, column));
  clock.set({ sigma: view.sigma() }, view.ear);
  view.schedule();
  const { td } = view.cells[view.row][view.column], from = td.offsetLeft - HEAD;
  const to = td.offsetLeft + td.offsetWidth - view.scroll.clientWidth;
  view.scroll.scrollLeft = Math.max(to, Math.min(view.scroll.scrollLeft, from));
}

function paint(view) {
  const { data, row } = view, shown = view.columnOf(row);
  if (view.stale || view.drawn !== followed(view)) {
    Object.assign(view, { stale: false, drawn: followed(view) });
    view.cells.forEach((cells, r) => cells.forEach(({ pen }, c) => {
      if (pen) paintCell(view, pen, r, c, view.cell, view.cellHigh);
    }));
    if (data.kind === "images") view.box.value = view.sample() + 1;
  }
  view.heads.forEach((head, c) => head.classList.toggle("wb-now", c === view.column));
  view.cells.forEach((cells, r) => cells.forEach(({ td }, c) => {
    td.classList.toggle("wb-now", c === view.column);
    td.setAttribute("aria-selected", String(r === row && c === shown));
  }));
  const apart = paintLarge(view, view.largePen, parseFloat(view.large.style.width), view.side),
    told = `${row} ${shown} ${apart}`;
  if (told !== view.told) facts(view, apart); // not while its select is open, so only when it says something else
  view.told = told;
  paintCharts(view, view.chartsPen, parseFloat(view.charts.style.width), CHARTS);
  view.root.dataset.painted = Number(view.root.dataset.painted || 0) + 1;
}

function keys(view, event) {
  const at = event.target.tagName, { row, column } = view;
  const move = { ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column], Home: [row, 0], End: [row, Infinity] }[event.key];
  if (!view.data || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") clock.set({ sample: null, pinned: false });
  else if (move && at !== "SELECT" && at !== "INPUT") select(view, ...move);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function render({ model, el }) {
  const root = make("div", { class: "wb wb-inspector", tabIndex: 0, role: "group",
    "data-lm-suppress-shortcuts": "true" });
  const view = { el, root, model, data: null, row: 0, column: 0, frame: 0, drawn: null, width: 0 };
  view.layout = () => layout(view);
  view.sample = () => followed(view) ?? 0;
  view.levels = () => [...view.data.columns, ...(view.data.rows.some((row) => row.final) ? [0] : [])];
  view.sigma = () => view.levels()[view.column];
  // A row without a step in this column still stands at its last one before.
  view.columnOf = (row) => {
    for (let c = view.column; c >= 0; c--) if (cellOf(view, row, c)) return c;
    return view.data.columns.findIndex((_, c) => cellOf(view, row, c));
  };
  view.schedule = () => {
    view.frame = view.frame || requestAnimationFrame(() => {
      view.frame = 0;
      if (view.data) paint(view);
    });
  };
  view.ear = () => {
    if (view.data) view.column = nearest(view.levels(), clock.sigma);
    view.schedule();
  };
  root.addEventListener("keydown", (event) => keys(view, event));
  el.append(root);
  const end = connect(model, (kind, data) => {
    if (kind === "append") Object.assign(view, { row: view.data.rows.push(...data.rows) - 1 });
    else Object.assign(view, { data, row: 0, column: nearest([...data.columns], clock.sigma) });
    layout(view);
  });
  const unwatched = attend(view, root);
  return () => {
    cancelAnimationFrame(view.frame);
    unwatched();
    end();
  };
}

export default { render };
