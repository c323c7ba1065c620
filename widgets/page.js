// What every widget's module begins with: unpacking, the talk with Python, theme, canvases, the page's one clock.
// Series colours (Okabe-Ito) have one meaning each everywhere; "ink" follows the theme.
const ROLES = { teacher: "ink", student: "#0072B2", average: "#009E73", critic: "#D55E00", data: "#8A8A8A" };
const KINDS = {
  float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int32: Int32Array, int16: Int16Array,
  uint16: Uint16Array, bool: Uint8Array,
};

// Arrays come back as typed arrays that carry their `shape`.
function unpack(value, buffers) {
  if (Array.isArray(value)) return value.map((one) => unpack(one, buffers));
  if (value === null || typeof value !== "object") return value;
  if ("$array" in value) {
    const raw = buffers[value.$array];
    const bytes = raw instanceof ArrayBuffer ? new Uint8Array(raw) : new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength);
    const array = new KINDS[value.dtype](bytes.slice().buffer);
    array.shape = value.shape;
    return array;
  }
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unpack(one, buffers)]));
}

// Say something to Python; where its kernel is gone nobody hears it, and the view stays as it is.
function reach(model, content) {
  try {
    model.send(content);
  } catch (error) {
    console.warn("the kernel does not answer", error);
  }
}

// take(kind, data) for every message, acknowledged once drawn; returns what ends the talk.
function connect(model, take) {
  const heard = (content, buffers) => {
    if (content.kind !== "show" && content.kind !== "append") return;
    take(content.kind, unpack(content.data, buffers || []));
    requestAnimationFrame(() => reach(model, { kind: "seen", number: content.number }));
  };
  model.on("msg:custom", heard);
  reach(model, { kind: "ready" });
  return () => model.off("msg:custom", heard);
}

function tell(model, data) {
  reach(model, { kind: "event", data });
}

// The same view in a page of its own: the data stand in the page, and nobody listens.
function alone(render, told, sealed) {
  const buffers = sealed.map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  const ears = [];
  const model = {
    on: (_, ear) => ears.push(ear), off: () => {}, get: () => undefined, set: () => {}, save_changes: () => {},
    send: (content) => content.kind === "ready" && ears.forEach((ear) => ear(told, buffers)), offline: true,
  };
  render({ model, el: document.getElementById("view") });
}

// An element; strings are always text, never markup.
function make(tag, options = {}, ...children) {
  const { on = {}, ...rest } = options;
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) {
    if (name === "text") node.textContent = value;
    else if (name in node && name !== "style" && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  for (const [name, ear] of Object.entries(on)) node.addEventListener(name, ear);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// The theme as JupyterLab has it now: { ink, paper, faint, line, dark }.
function theme(el) {
  const style = getComputedStyle(el);
  const read = (name, other) => style.getPropertyValue(name).trim() || other;
  const paper = read("--jp-layout-color0", "#fff");
  const probe = make("canvas", { width: 1, height: 1 }).getContext("2d");
  probe.fillStyle = paper;
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  const dark = 0.3 * r + 0.59 * g + 0.11 * b < 128;
  return { ink: read("--jp-ui-font-color0", dark ? "#fff" : "#000"), paper, dark,
    faint: read("--jp-ui-font-color2", dark ? "#aaa" : "#666"), line: read("--jp-border-color2", dark ? "#555" : "#ccc") };
}

// Call back when JupyterLab changes its theme; returns what ends it.
function themed(changed) {
  const watcher = new MutationObserver(() => requestAnimationFrame(changed));
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  return () => watcher.disconnect();
}

// A role's or a given colour as the theme shows it; dark pages get lighter blues so that lines keep their contrast.
function tint(colour, look) {
  const said = ROLES[colour] || colour;
  if (said === "ink" || said === "#000000") return look.ink;
  return look.dark && said === "#0072B2" ? "#3FA2DB" : look.dark && said === "#004A75" ? "#7FB8DC" : said;
}

// Size a canvas in CSS pixels for this screen; returns its context in those units.
function fit(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  return pen;
}

// One clock for all views on the page. `sigma` is noise over signal: each view shows its own nearest step.
// `sample` is the one that is followed, null for none.
const clock = (window.workbenchClock = window.workbenchClock || {
  sigma: null, sample: null, ears: new Set(),
  set(change, from) {
    Object.assign(this, change);
    for (const ear of this.ears) if (ear !== from) ear(this);
  },
});

// Index of the step whose sigma (falling, the last may be 0) is nearest in the logarithm.
function nearest(sigmas, sigma) {
  if (sigma === null) return 0;
  const floor = 1e-4, at = Math.log(Math.max(sigma, floor));
  let best = 0;
  for (let i = 1; i < sigmas.length; i++) {
    if (Math.abs(Math.log(Math.max(sigmas[i], floor)) - at) <= Math.abs(Math.log(Math.max(sigmas[best], floor)) - at)) best = i;
  }
  return best;
}

// A number to read: three digits, tabular.
function short(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "n/a";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
}

// Seconds to read: "3 min 20 s".
function lasting(seconds) {
  const whole = Math.max(0, Math.round(seconds)), two = (value) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

// Keep a view in step with the page: lay out anew as its width or the theme changes, hear the clock; returns what ends it.
function attend(view, root) {
  const watcher = new ResizeObserver(() => {
    const grown = root.clientWidth - view.width;
    if (grown >= 0 && grown <= 20) return; // a scroll bar that comes and goes with the view's height must not ring
    view.width = root.clientWidth;
    view.layout();
  });
  watcher.observe(root);
  clock.ears.add(view.ear);
  const unthemed = themed(view.layout);
  return () => {
    watcher.disconnect();
    clock.ears.delete(view.ear);
    unthemed();
  };
}

