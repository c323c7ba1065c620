// Samples that are images: Uint8Array with shape (steps, S, H, W, C); 0 is the lower limit, 255 the upper one.
// One channel goes from the theme's paper to its ink; three are red, green and blue.

// The look of the page, with the font a canvas needs, and native controls to match.
function dressed(view) {
  view.look = { ...theme(view.el), font: getComputedStyle(view.root).fontFamily };
  const { dark } = view.look;
  Object.assign(view.root.style, { colorScheme: dark ? "dark" : "light", accentColor: tint("student", view.look) });
}

const known = new Map();
// A CSS colour as [r, g, b], over the given paper where it lets light through.
function rgb(colour, paper = "#fff") {
  const key = `${colour} ${paper}`;
  if (!known.has(key)) {
    const pen = make("canvas", { width: 1, height: 1 }).getContext("2d");
    for (const fill of [paper, colour]) {
      pen.fillStyle = fill;
      pen.fillRect(0, 0, 1, 1);
    }
    known.set(key, [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)]);
  }
  return known.get(key);
}

// `samples` of one step on a small canvas, which `place` then puts where they belong.
function pile(states, step, samples, look) {
  const [, count, height, width, channels] = states.shape;
  const across = Math.max(1, Math.min(samples.length, Math.floor(4096 / width)));
  const image = new ImageData(width * across, height * Math.max(1, Math.ceil(samples.length / across)));
  const out = new Uint32Array(image.data.buffer), ink = rgb(look.ink, look.paper), paper = rgb(look.paper);
  const shades = Uint32Array.from({ length: 256 }, (_, v) => {
    const [r, g, b] = paper.map((from, k) => Math.round(from + ((ink[k] - from) * v) / 255));
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });
  samples.forEach((sample, k) => {
    let from = (step * count + sample) * height * width * channels;
    for (let y = 0; y < height; y++) {
      let to = (Math.floor(k / across) * height + y) * image.width + (k % across) * width;
      for (const end = to + width; to < end; to++, from += channels) {
        out[to] = channels === 1 ? shades[states[from]]
          : (255 << 24) | (states[from + 2] << 16) | (states[from + 1] << 8) | states[from];
      }
    }
  });
  return piled(image, width, height);
}

function piled(image, width, height) {
  const canvas = make("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return { canvas, width, height, across: image.width / width };
}

// The k-th image of a pile, its pixels kept sharp.
function place(pen, { canvas, width, height, across }, k, x, y, toWidth, toHeight) {
  pen.imageSmoothingEnabled = false;
  pen.drawImage(canvas, (k % across) * width, Math.floor(k / across) * height, width, height, x, y, toWidth, toHeight);
}

// Blue - paper - vermilion for -1 .. 0 .. 1.
function signed(value, look) {
  const paper = rgb(look.paper), end = value < 0 ? [0, 114, 178] : [213, 94, 0], part = Math.min(1, Math.abs(value));
  return paper.map((from, k) => from + (end[k] - from) * part);
}

// How image a differs from image b in data units (mean over channels): { values, most }.
function difference(a, b, limits) {
  const channels = a.shape[a.shape.length - 1], values = new Float32Array(a.length / channels);
  let most = 0;
  for (let p = 0; p < values.length; p++) {
    for (let c = 0; c < channels; c++) values[p] += (a[p * channels + c] - b[p * channels + c]) / channels;
    values[p] *= (limits[1] - limits[0]) / 255;
    most = Math.max(most, Math.abs(values[p]));
  }
  return { values, most };
}

function mapped(values, most, width, height, look) {
  const image = new ImageData(width, height);
  values.forEach((value, p) => image.data.set([...signed(most ? value / most : 0, look), 255], 4 * p));
  return piled(image, width, height);
}

// How many columns and rows `count` images take in a square, and where the k-th one lies.
function tiling(count, side, ratio = 1, gap = 2) {
  const columns = Math.max(1, Math.ceil(Math.sqrt(count * ratio))), rows = Math.max(1, Math.ceil(count / columns));
  const width = Math.floor((side - gap) / columns) - gap, height = Math.max(1, Math.round(width / ratio));
  return { columns, rows, width, height, total: rows * (height + gap) + gap,
    at: (k) => [gap + (k % columns) * (width + gap), gap + Math.floor(k / columns) * (height + gap)],
    hit: (x, y) => {
      const i = Math.floor((x - gap / 2) / (width + gap)), j = Math.floor((y - gap / 2) / (height + gap)),
        k = j * columns + i;
      return i >= 0 && i < columns && j >= 0 && k >= 0 && k < count ? k : null;
    } };
}

function frame(pen, x, y, width, height, look, colour) {
  Object.assign(pen, { lineWidth: 4, strokeStyle: look.paper });
  pen.strokeRect(x - 1, y - 1, width + 2, height + 2);
  Object.assign(pen, { lineWidth: 2, strokeStyle: colour });
  pen.strokeRect(x - 1, y - 1, width + 2, height + 2);
}

