const SIGNS = { running: "●", paused: "❚❚", stopped: "■", finished: "✓", diverged: "✗", failed: "✗", lost: "?" };
const ALIVE = ["running", "paused"];
const ANSWERS = { // what of an update shows that a command was done; another message shows it for each
  stop: ["status"], pause: ["status"], resume: ["status"], step: ["step", "status"], save: ["checkpoints"], fork: [],
};
const HINTS = {
  stop: "end the run after this step; what it learnt is kept", pause: "hold after this step", resume: "go on",
  step: "do one step, then hold", save: "write a checkpoint after this step",
  fork: "begin another run from here or a checkpoint",
};
const whole = (value) => value.toLocaleString("en-US");
const small = (value) => typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3;
const read = (value) => (small(value) ? value.toExponential() : String(value));
const say = (node, text) => node.textContent !== text && (node.textContent = text);

class Steering {
  constructor(model, el) {
    Object.assign(this, { model, painted: 0, waiting: 0, asked: new Map(), buttons: {}, fields: [] });
    this.offline = Boolean(model.offline);
    this.root = make("div", { className: "wb wb-panel", "data-lm-suppress-shortcuts": "true" });
    el.replaceChildren(this.root);
    const end = connect(model, (kind, data) => {
      if (kind === "show") this.show(data);
      else data.rows.forEach((row) => this.update(row));
    });
    const timer = this.offline ? 0 : setInterval(() => this.repaint(), 500);
    const watcher = new ResizeObserver(() => this.root.classList.toggle("wb-narrow", el.clientWidth < 700));
    watcher.observe(el);
    this.ends = [end, () => clearInterval(timer), () => cancelAnimationFrame(this.waiting), () => watcher.disconnect()];
  }

  show(data) {
    [this.data, this.shape, this.offered, this.folded] = [data, "", "", data.folded && !this.offline];
    this.asked.clear();
    this.received = performance.now();
    const span = (className, more = {}) => make("span", { className, ...more });
    Object.assign(this, { name: span("wb-name"), folder: span("wb-folder wb-note"), badge: span("wb-badge"),
      stale: span("wb-stale wb-warn", { role: "status" }), steps: span("wb-steps"),
      rate: span("wb-rate"), eta: span("wb-eta"),
      form: make("div", { className: "wb-form" }) });
    this.bar = make("progress", { className: "wb-bar", max: 1, "aria-label": "progress" });
    this.message = make("div", { className: "wb-message", "aria-live": "polite" });
    this.root.replaceChildren(
      make("div", { className: "wb-row wb-head" }, this.name, this.badge, this.stale, this.folder),
      make("div", { className: "wb-progress" }, this.bar, this.steps, this.rate, this.eta),
      ...(this.offline ? [] : [this.commands()]), this.message, this.form,
      ...(data.notes || []).map((text) => make("div", { className: "wb-note", text })));
    this.repaint();
  }

  update(row) {
    if (!this.data) return;
    const before = this.data;
    this.data = { ...before, ...row };
    if ("folded" in row && row.folded !== before.folded) this.folded = row.folded;
    this.received = performance.now();
    const differs = (name) => JSON.stringify(this.data[name]) !== JSON.stringify(before[name]);
    for (const [command, { value }] of this.asked) {
      const field = this.data.fields.find((one) => `change ${one.name}` === command);
      const old = before.fields.find((one) => one.name === field?.name);
      const done = field ? field.value === value || field.value !== old?.value : (ANSWERS[command] || []).some(differs);
      if (done || differs("message")) this.asked.delete(command);
    }
    this.repaint();
  }

  // Python hears of it, and until it answers the button says so.
  ask(event, more = {}) {
    tell(this.model, { event, ...more, at: performance.timeOrigin + performance.now() });
    this.asked.set(event === "change" ? `change ${more.name}` : event, { at: performance.now(), value: more.value });
    this.repaint();
  }

  button(command, press) {
    const button = make("button", { className: `wb-${command}`, title: HINTS[command], on: { click: press } });
    return (this.buttons[command] = button);
  }

  commands() {
    this.from = make("select", { className: "wb-from", "aria-label": "fork from" });
    return make("div", { className: "wb-row wb-commands" },
      this.button("stop", () => this.ask("stop")),
      this.button("pause", () => this.ask(this.data.status === "paused" ? "resume" : "pause")),
      this.button("step", () => this.ask("step")), this.button("save", () => this.ask("save")),
      make("span", { className: "wb-apart" }, this.button("fork", () => this.ask("fork", {
        checkpoint: this.from.value === "" ? null : Number(this.from.value) })), this.from));
  }

  // "asked", and after a while since when.
  pending(command) {
    const asked = this.asked.get(command);
    if (!asked) return "";
    const seconds = Math.floor((performance.now() - asked.at) / 1000);
    return seconds < 3 ? "asked" : `asked ${seconds} s`;
  }

  repaint() {
    if (this.waiting || !this.data) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.paint();
      this.root.dataset.painted = String(++this.painted);
    });
  }

  paint() {
    const { data } = this, { status, step, steps } = data;
    say(this.name, data.name);
    say(this.folder, data.folder);
    this.folder.title = data.folder;
    say(this.badge, `${SIGNS[status] || ""} ${status}`);
    this.badge.dataset.status = status;
    this.bar.value = steps ? Math.min(1, step / steps) : 0;
    say(this.steps, `step ${whole(step)}${steps ? ` of ${whole(steps)} (${Math.floor((100 * step) / steps)} %)` : ""}`);
    say(this.rate, data.rate === null ? "" : `${short(data.rate)} steps/s`);
    say(this.eta, data.eta === null || !ALIVE.includes(status) ? "" : `${lasting(data.eta)} left`);
    say(this.message, data.message);
    const since = this.offline ? 0 : (performance.now() - this.received) / 1000;
    const quiet = data.beat === null ? 0 : data.now - data.beat + since, stale = quiet > data.stale_after;
    say(this.stale, stale && ALIVE.includes(status) ? `no heartbeat for ${lasting(Math.floor(quiet))}` : "");
    if (!this.offline) this.paintCommands();
    this.paintFields();
  }

  paintCommands() {
    const { status, can, step, checkpoints } = this.data, alive = ALIVE.includes(status), { buttons } = this;
    const second = status === "paused" ? "resume" : "pause", asked = this.pending("pause") || this.pending("resume");
    const texts = { stop: "■ Stop", pause: second === "pause" ? "❚❚ Pause" : "▶\uFE0E Resume", step: "❚▶\uFE0E Step",
      save: "Save", fork: "Fork" };
    for (const [command, button] of Object.entries(buttons)) {
      const [named, pending] = command === "pause" ? [second, asked] : [command, this.pending(command)];
      say(button, pending ? `${texts[command].replace(/^\W+ /, "")} · ${pending}` : texts[command]);
      const fits = command === "fork" || (command === "step" ? status === "paused" : alive);
      button.disabled = !can.includes(command) || !fits;
      button.title = command === "step" && status === "running" ? "pause first, then go step by step" : HINTS[named];
      button.classList.toggle("wb-asked", Boolean(pending));
      button.setAttribute("aria-label", pending ? `${named}: asked` : named);
    }
    this.from.disabled = buttons.fork.disabled;
    const offered = JSON.stringify(checkpoints);
    if (this.offered !== offered || !this.from.options.length) {
      const chosen = this.from.value;
      this.from.replaceChildren(make("option", { value: "", text: "" }), ...[...checkpoints].reverse().map((one) =>
        make("option", { value: String(one), text: `from checkpoint ${whole(one)}` })));
      this.from.value = checkpoints.includes(Number(chosen)) ? chosen : "";
      this.offered = offered;
    }
    say(this.from.options[0], `from here (step ${whole(step)})`);
  }

  // The fields stay while their names do, so that nobody's typing is lost.
  paintFields() {
    const shape = JSON.stringify(this.data.fields.map(({ value, ...rest }) => rest));
    if (shape !== this.shape) {
      this.shape = shape;
      this.fields = this.data.fields.map((field) => this.field(field));
      const turn = () => ((this.folded = !this.folded), this.repaint());
      this.fold = make("button", { className: "wb-fold wb-note", on: { click: turn } });
      const title = make("div", { className: "wb-formhead wb-note" }, this.offline ? "Fields" : this.fold);
      title.hidden = !this.fields.length;
      this.form.replaceChildren(title, ...this.fields.flatMap((one) => one.cells));
    }
    this.form.classList.toggle("wb-folded", this.folded);
    say(this.fold, `${this.folded ? "▸" : "▾"} Fields, changed between two steps`);
    this.fold.setAttribute("aria-expanded", String(!this.folded));
    const changeable = this.data.can.includes("change") && ALIVE.includes(this.data.status);
    this.data.fields.forEach(({ value }, i) => {
      const one = this.fields[i], pending = this.pending(`change ${one.name}`);
      if (value !== one.known && one.same(one.known)) one.put(value);
      one.known = value;
      if (one.same(value)) say(one.wrong, "");
      say(one.now, pending || one.same(value) ? "" : `now ${read(value)}`);
      if (!one.apply) return;
      one.input.disabled = !changeable;
      one.apply.disabled = !changeable || (one.same(value) && !pending);
      say(one.apply, pending || "Apply");
      one.apply.classList.toggle("wb-asked", Boolean(pending));
    });
  }

  field({ name, kind, value, low, high, choices, doc }) {
    const numeric = kind === "float" || kind === "int";
    const [least, most] = [low === null ? "" : `at least ${read(low)}`, high === null ? "" : `at most ${read(high)}`];
    const range = least && most ? `${read(low)} to ${read(high)}` : least || most;
    const help = make("span", { className: "wb-help wb-note", text: numeric && range ? `${doc} (${range})` : doc });
    const now = make("span", { className: "wb-now wb-note" });
    const wrong = make("span", { className: "wb-wrong wb-warn", role: "alert" });
    const label = make("span", { className: "wb-label", text: name, title: doc });
    const one = { name, now, wrong, known: value };
    if (this.offline) {
      const text = make("span", { text: read(value) });
      Object.assign(one, { same: () => true, put: () => {}, cells: [label, text, help] });
      return one;
    }
    const options = { className: "wb-input", title: doc, "aria-label": name };
    const offers = choices.map((text) => make("option", { value: text, text }));
    const input = kind === "choice" ? make("select", options, ...offers)
      : make("input", { ...options, type: numeric ? "number" : "checkbox", ...(numeric ? { step: "any" } : {}) });
    if (numeric && low !== null) input.min = low;
    if (numeric && high !== null) input.max = high;
    // What was typed as Python should have it, or a sentence on why it cannot.
    const typed = () => {
      if (kind === "bool") return input.checked;
      return kind === "choice" ? choices.find((one) => String(one) === input.value) : Number(input.value);
    };
    const fault = () => {
      if (!numeric) return "";
      const said = kind === "int" ? "a whole number" : "a number", allowed = range ? `${said}, ${range}` : said;
      const right = kind === "int" ? Number.isInteger : Number.isFinite, bad = input.value.trim() === "" || !right(typed());
      return bad || (low !== null && typed() < low) || (high !== null && typed() > high) ? `must be ${allowed}` : "";
    };
    const send = () => {
      say(wrong, fault());
      input.setAttribute("aria-invalid", String(wrong.textContent !== ""));
      if (!wrong.textContent && !input.disabled) this.ask("change", { name, value: typed() });
    };
    const put = (value) => (kind === "bool" ? (input.checked = value) : (input.value = read(value)));
    const same = (value) => typed() === value && !input.validity.badInput && (!numeric || input.value !== "");
    input.addEventListener("input", () => (say(wrong, ""), this.paint()));
    input.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), send()));
    const apply = make("button", { className: "wb-apply", "aria-label": `apply ${name}`, on: { click: send } });
    put(value);
    const beside = make("span", { className: "wb-beside" }, wrong, now, help);
    return Object.assign(one, { input, apply, put, same, cells: [label, input, apply, beside] });
  }
}

function render({ model, el }) {
  const panel = new Steering(model, el);
  return () => panel.ends.forEach((end) => end());
}

export default { render };
