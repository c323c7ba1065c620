// How a dashboard is read: the steps that are in view, the reading line, pointer and keys.
class Reading {
  get newest() {
    return this.held.span((run) => !this.hidden.has(run))[1];
  }

  get window() {
    const [low, high] = this.held.span((run) => !this.hidden.has(run));
    return this.view || { low, high };
  }

  // Look at these steps; at the newest one the window goes with it, and the whole is no zoom at all.
  moved(low = this.view?.low, high = this.view?.high) {
    if (low === undefined) return;
    const [first, last] = this.held.span((run) => !this.hidden.has(run));
    const size = Math.max(high - low, Math.min(4, last - first));
    const start = Math.max(first, Math.min(low, last - size));
    const follow = start + size >= last - 1e-9 * size;
    this.view = size >= (last - first) * 0.999 ? null : { low: start, high: start + size, follow };
  }

  // Zoom by a factor around a step (the reading line's, or the middle); 0 shows all.
  zoom(factor, around = this.cross) {
    const { low, high } = this.window, inside = around !== null && around >= low && around <= high;
    const middle = inside ? around : (low + high) / 2;
    if (factor) this.moved(middle - (middle - low) * factor, middle + (high - middle) * factor);
    else this.view = null;
    this.repaint();
  }

  // Zoom by wheel, pan by dragging, read by hovering, enlarge by a click, all by a double click.
  pointers(one) {
    const { canvas } = one;
    let held = null, click = 0;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = { x: event.clientX, far: false, ...this.window };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!held) return this.point(one, event);
      const shift = event.clientX - held.x;
      if (!held.far && Math.abs(shift) < 4) return;
      held.far = true;
      const steps = (shift * (held.high - held.low)) / (one.box.right - one.box.left);
      if (this.view && !one.binned) this.moved(held.low - steps, held.high - steps);
      this.repaint();
    });
    canvas.addEventListener("pointercancel", () => (held = null));
    canvas.addEventListener("pointerup", () => {
      // A double click is no two clicks: wait for the second.
      if (held && !held.far) {
        clearTimeout(click);
        click = click ? 0 : setTimeout(() => ((click = 0), this.enlarge(one.key)), 250);
      }
      held = null;
    });
    canvas.addEventListener("dblclick", () => this.zoom(0));
    canvas.addEventListener("wheel", (event) => {
      const factor = Math.exp(Math.max(-120, Math.min(120, event.deltaY)) * 0.0025);
      // Who scrolls the notebook passes over charts; and what shows all cannot show more.
      if (one.binned || performance.now() - this.scrolled < 400 || (factor > 1 && !this.view)) return;
      event.preventDefault();
      this.zoom(factor, this.stepAt(one, event.offsetX));
    }, { passive: false });
  }

  stepAt(one, pixel) {
    const { low, high } = this.window;
    return scale(low, high, one.box.left, one.box.right).back(pixel);
  }

  // The reading line goes to the recorded step nearest to the pointer; a tip tells of the marks there.
  point(one, event) {
    this.tip.hidden = true;
    if (one?.binned) return;
    const clocks = this.clocks(), inside = one && event.offsetX >= one.box.left - 4;
    this.cross = inside && clocks.length ? this.stepAt(one, event.offsetX) : null;
    if (this.cross !== null) {
      const steps = clocks.map((line) => line.step[Math.min(line.size - 1, Math.max(0, line.near(this.cross)))]);
      const aimed = this.cross, reach = 6 * (this.stepAt(one, 1) - this.stepAt(one, 0));
      this.cross = steps.reduce((a, b) => (Math.abs(a - aimed) <= Math.abs(b - aimed) ? a : b));
      const [box, root] = [one.canvas, this.root].map((node) => node.getBoundingClientRect());
      const texts = this.marksAt(aimed, reach);
      if (texts.length) {
        this.tip.hidden = false;
        this.tip.replaceChildren(...texts.map((text) => make("div", { text })));
        this.tip.style.top = `${box.top - root.top + 18}px`;
        const left = box.left - root.left + event.offsetX + 12;
        this.tip.style.left = `${Math.max(0, Math.min(left, root.width - this.tip.offsetWidth - 4))}px`;
      }
    }
    this.repaint();
  }

  marksAt(step, reach) {
    const found = this.held.marks.filter((one) => !this.hidden.has(one.run) && Math.abs(one.step - step) <= reach);
    const name = (one) => (this.held.runs.length > 1 ? `${this.held.runs[one.run].name}, ` : "");
    const kind = (one) => MARKED[one.mark] || one.mark, text = (one) => (one.text ? ` · ${one.text}` : "");
    const texts = found.map((one) => `${name(one)}step ${one.step}: ${kind(one)}${text(one)}`);
    return texts.length > 6 ? [...texts.slice(0, 5), `and ${texts.length - 5} more`] : texts;
  }

  clocks() {
    return this.held.clocks.filter((line) => line.size && !this.hidden.has(line.run)).sort((a, b) => b.size - a.size);
  }

  key(event) {
    const [line] = this.clocks(), { key } = event;
    const far = (event.shiftKey ? 10 : 1) * { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[key];
    if (event.ctrlKey || event.altKey || event.metaKey || !line) return;
    if (far) {
      const now = this.cross === null ? line.size : line.near(this.cross);
      this.cross = line.step[Math.max(0, Math.min(line.size - 1, now + far))];
      const { low, high } = this.window, out = this.cross < low ? this.cross - low : Math.max(0, this.cross - high);
      if (this.view && out) this.moved(low + out, high + out);
    } else if (key === "+" || key === "=") this.zoom(0.7);
    else if (key === "-") this.zoom(1 / 0.7);
    else if (key === "0") this.zoom(0);
    else if (key === "l" || key === "L") this.scales.value = this.scale = this.scale === "log" ? "linear" : "log";
    else if (key === "Escape") {
      this.cross = null;
      if (this.large) this.enlarge(this.large);
    }
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.repaint();
  }
}
