"use strict";
// Part 2, look: every layer, the chosen unit's sum term by term; a plane where a layer has two units.

/** A unit's weights in rows: an image's rows for the first layer, then ten in a row. */
const columnsOf = (l) => (l === 1 ? SIDE : Math.min(10, DATA.sizes[l - 1]));

const look = { units: [], planes: {} };

/** The elements of all layers; they are made once. */
function buildLayers() {
  const input = make(
    "div",
    { className: "layer", data: { layer: 0 } },
    make("h3"),
    make("canvas", { className: "image" }),
  );
  input.lastChild.setAttribute("role", "img");
  input.lastChild.dataset.label = "input";
  const layers = DATA.sizes.slice(1).map((n, k) => {
    const l = k + 1;
    look.units[k] = Array.from({ length: n }, (_, i) => buildUnit(l, i));
    const list = make(
      "div",
      { className: `units ${l === 1 ? "images" : "strips"} ${n > 40 ? "many" : ""}` },
      ...look.units[k].map(({ button }) => button),
    );
    const layer = make(
      "div",
      { className: "layer", data: { layer: l } },
      make("h3"),
      make("p", { className: "formula" }),
      list,
    );
    if (n === 2) {
      const canvas = make("canvas", { className: "plane" });
      canvas.setAttribute("role", "img");
      look.planes[l] = new Plane(canvas);
      layer.append(make("figure", {}, canvas, make("figcaption")));
    }
    return layer;
  });
  find("layers").replaceChildren(input, ...layers);
}

function buildUnit(l, i) {
  const [canvas, value] = [make("canvas"), make("span", { className: "value" })];
  const bar = make("span", { className: "bar" });
  const name = make("span", { className: "name" }, String(i));
  const button = make(
    "button",
    { type: "button", className: "unit", data: { layer: l, unit: i } },
    name,
    canvas,
    value,
    bar,
  );
  button.addEventListener("click", () => chooseUnit(l, i));
  return { button, canvas, value, bar };
}

/** What depends on the weights alone. */
function showWeights() {
  now.params.forEach(({ W }, k) => {
    const largest = largestIn(W);
    look.units[k].forEach(({ canvas }, i) => paint(canvas, W[i], columnsOf(k + 1), largest));
  });
  const labels = LABELS.slice(DATA.n_test);
  for (const [l, plane] of Object.entries(look.planes)) {
    const below = now.params.slice(0, l);
    const points = labels.map((_, k) => forward(below, inputOf(DATA.n_test + k), PHI.slice(0, l)).g[l - 1]);
    plane.setPoints(points, labels);
  }
}

/** What depends on the digit too. */
function showLayers() {
  const { g, h } = now.trace;
  const input = find("layers").firstChild;
  input.dataset.h = JSON.stringify(Array.from(now.x));
  paint(input.querySelector("canvas"), now.x, SIDE, Math.max(2, largestOf(now.x)));
  g.forEach((values, k) => {
    const largest = Math.max(1, largestOf(h[k + 1]));
    values.forEach((value, i) => {
      const unit = look.units[k][i];
      const [of, own] = [h[k + 1][i], now.unit[0] === k + 1 && now.unit[1] === i];
      Object.assign(unit.button.dataset, { g: value, h: of });
      setText(unit.value, `g ${fixed(value)}\nh ${fixed(of)}`);
      unit.bar.style.transform = `scaleX(${Math.abs(of) / largest})`;
      unit.bar.classList.toggle("below", of < 0);
      unit.button.setAttribute("aria-pressed", own);
      unit.button.setAttribute("aria-label", words().unitLabel(k + 1, i, fixed(value), fixed(of)));
    });
  });
  for (const [l, plane] of Object.entries(look.planes)) plane.show(g[l - 1]);
  showUnit();
}

/** The chosen unit: g = W h + b term by term, then h. */
function showUnit() {
  const [l, i] = now.unit;
  const { W, b } = now.params[l - 1];
  const [before, row] = [now.trace.h[l - 1], W[i]];
  const products = row.map((w, j) => w * before[j]);
  let sum = 0;
  const rows = Array.from(row, (w, j) => [
    `${j}`,
    fixed(before[j]),
    fixed(w),
    fixed(products[j]),
    fixed((sum += products[j])),
  ]);
  const [g, h] = [now.trace.g[l - 1][i], now.trace.h[l][i]];
  rows.push([words().bias, "", "", fixed(b[i]), fixed(g)]);
  fillTable(find("terms").tBodies[0], rows);
  find("unit-pictures").hidden = l > 1;
  if (l === 1) {
    const most = Math.max(2, largestOf(before));
    paint(find("unit-w"), row, SIDE, largestOf(row));
    paint(find("unit-x"), before, SIDE, most);
    paint(find("unit-p"), products, SIDE, largestOf(products));
  }
  const terms = `∑ⱼ ${sub("W", l)}[${i}, j] ${sub("h", l - 1)}[j] + ${sub("b", l)}[${i}]`;
  const result = l < LAYERS ? `φ(${sub("g", l)}[${i}])` : `softmax(${sub("g", l)})[${i}]`;
  setText(
    find("unit-formula"),
    `${sub("g", l)}[${i}] = ${terms} = ${fixed(g, 4)}\n${sub("h", l)}[${i}] = ${result} = ${fixed(h, 4)}`,
  );
}

/** The lecture's formula of a layer. */
function formulaOf(l) {
  const of = l === LAYERS ? "softmax" : "φ";
  return `${sub("g", l)} = ${sub("W", l)} ${sub("h", l - 1)} + ${sub("b", l)},  ${sub("h", l)} = ${of}(${sub("g", l)})`;
}

/** The words of this part. */
function nameLayers() {
  find("layers").childNodes.forEach((layer, l) => {
    const activation = l < LAYERS ? `φ = ${DATA.activation[l - 1]}` : "softmax";
    setText(
      layer.querySelector("h3"),
      l ? words().layer(l, DATA.sizes[l], activation) : words().inputLayer(DATA.sizes[0]),
    );
    if (l) setText(layer.querySelector(".formula"), formulaOf(l));
    if (look.planes[l]) setText(layer.querySelector("figcaption"), words().plane(l));
    look.planes[l]?.canvas.setAttribute("aria-label", words().plane(l));
  });
  const [l, i] = now.unit;
  const panel = find("unit");
  if (panel.parentNode.dataset.layer !== String(l)) find("layers").childNodes[l].append(panel); // below the unit's own layer
  setText(find("unit-title"), words().unit(l, i));
  fillRow(find("terms").tHead.rows[0], words().terms(l), "th");
}
