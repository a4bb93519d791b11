"use strict";
// Numbers as colours, curves and points. Colours: Okabe and Ito's blue and orange, which the colour-blind tell apart.

/** A colour of the style sheet, which has others for the dark, as [red, green, blue]. */
function colour(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
}

let palette; // read anew when the page turns dark or light
function readPalette() {
  const names = ["zero", "negative", "positive", "ink", "text", "soft", "line"];
  palette = Object.fromEntries(names.map((name) => [name, colour(name)]));
  palette.digits = Array.from({ length: N_CLASSES }, (_, k) => colour(`digit-${k}`));
}
/** A colour between that of zero and a full one. */
const mixed = (full, share) => full.map((part, c) => palette.zero[c] + share * (part - palette.zero[c]));
const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

/** Paints values as cells, row by row; the style sheet makes them large. Full colour is at `largest`, or minus that. */
function paint(canvas, values, columns, largest) {
  const rows = Math.ceil(values.length / columns);
  if (canvas.width !== columns || canvas.height !== rows) [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  values.forEach((value, k) => {
    const share = Math.min(1, Math.abs(value) / (largest || 1));
    image.data.set([...mixed(value < 0 ? palette.negative : palette.positive, share), 255], 4 * k);
  });
  context.putImageData(image, 0, 0);
}

const largestOf = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const largestIn = (W) => Math.max(...W.map(largestOf));

/** An element of SVG with attributes and, perhaps, text. */
function svgElement(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [360, 200, 46, 36, 14];

/** Curves by epoch: series of {values, name, kind} from epoch 1 on, a line at the epoch shown. */
function drawCurves(svg, series, epoch, [low, high], unit) {
  const n = series[0].values.length;
  const x = (value) => LEFT + (value / n) * (WIDTH - LEFT - 12);
  const y = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);
  const parts = [];
  for (let k = 0; k <= 4; k++) {
    const [across, up] = [(n * k) / 4, low + ((high - low) * k) / 4];
    parts.push(svgElement("line", { x1: LEFT, x2: WIDTH - 12, y1: y(up), y2: y(up), class: "grid" }));
    const label = `${+up.toPrecision(3)}${unit}`;
    parts.push(svgElement("text", { x: LEFT - 5, y: y(up) + 4, "text-anchor": "end" }, label));
    const place = { x: x(across), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" };
    if (Number.isInteger(across)) parts.push(svgElement("text", place, across));
  }
  const middle = { x: (LEFT + WIDTH) / 2, y: HEIGHT - 4, "text-anchor": "middle" };
  parts.push(svgElement("text", middle, words().epochAxis));
  series.forEach(({ values, name, kind }, k) => {
    const points = values.map((value, e) => `${x(e + 1).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    parts.push(svgElement("polyline", { points, class: `curve ${kind}` }));
    parts.push(
      svgElement("text", { x: WIDTH - 14, y: y(high) + 42 + 14 * k, "text-anchor": "end", class: kind }, name),
    );
  });
  if (epoch !== null)
    parts.push(svgElement("line", { x1: x(epoch), x2: x(epoch), y1: TOP, y2: HEIGHT - BOTTOM, class: "now" }));
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.replaceChildren(...parts);
}

/** The plane of a layer of two units: g of all training rows as their digits, drawn once for each state of the weights. */
class Plane {
  constructor(canvas) {
    this.canvas = canvas;
    this.behind = document.createElement("canvas");
  }

  setPoints(points, labels) {
    const size = Math.round(this.canvas.clientWidth * devicePixelRatio) || 400;
    for (const canvas of [this.canvas, this.behind]) [canvas.width, canvas.height] = [size, size];
    this.range = [0, 1].map((k) => [Math.min(...points.map((g) => g[k])), Math.max(...points.map((g) => g[k]))]);
    const context = this.behind.getContext("2d");
    context.font = `${Math.round(size / 36)}px sans-serif`;
    [context.textAlign, context.textBaseline] = ["center", "middle"];
    points.forEach((g, row) => {
      context.fillStyle = css(palette.digits[labels[row]]);
      context.fillText(labels[row], ...this.place(g));
    });
  }

  /** Where a point of the plane is on the canvas; one outside is at its rim. */
  place(g) {
    const size = this.canvas.width;
    const share = g.map((value, k) => (value - this.range[k][0]) / (this.range[k][1] - this.range[k][0] || 1));
    const [across, up] = Array.from(share, (value) => 0.04 + 0.92 * Math.min(1.02, Math.max(-0.02, value)));
    return [across * size, (1 - up) * size];
  }

  show(g) {
    const context = this.canvas.getContext("2d");
    const [x, y] = this.place(g);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.behind, 0, 0);
    for (const [radius, ink] of [
      [this.canvas.width / 36, palette.zero],
      [this.canvas.width / 46, palette.ink],
    ]) {
      context.fillStyle = css(ink);
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    }
  }
}
