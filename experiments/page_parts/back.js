"use strict";
// Part 3, go back: delta, dL/dW, the numerical gradient beside it, and an update.

const MOST_PARAMETERS = 20000; // with more of them central differences would take minutes
const N_PARAMETERS = DATA.sizes.slice(1).reduce((n, width, l) => n + width * (DATA.sizes[l] + 1), 0);

const back = { deltas: [], job: 0, numerical: null };

/** The elements of all layers, from the last to the first. */
function buildBack() {
  const layers = DATA.sizes.slice(1).map((n, k) => {
    back.deltas[k] = Array.from({ length: n }, (_, i) => {
      const [square, value] = [make("span", { className: "square" }), make("span")];
      return { square, value, item: make("li", { data: { layer: k + 1, unit: i } }, `${i} `, square, value) };
    });
    const pictures = ["byHand", "numerical"].map((name) => {
      const canvas = make("canvas", { className: name });
      canvas.setAttribute("role", "img");
      return make("figure", {}, canvas, make("figcaption"));
    });
    return make(
      "div",
      { className: "layer", data: { layer: k + 1 } },
      make("h3"),
      make("ol", { className: "deltas", start: 0 }, ...back.deltas[k].map(({ item }) => item)),
      make("div", { className: "pair" }, ...pictures),
      make("p", { className: "agree" }),
    );
  });
  find("deltas").replaceChildren(...layers.reverse());
  const digits = Array.from({ length: N_CLASSES }, (_, k) => make("option", { value: k, textContent: k }));
  find("label").replaceChildren(...digits);
}

const layerOfBack = (l) => find("deltas").querySelector(`:scope > [data-layer="${l}"]`);

/** delta and dL/dW of the digit and its label; starts the central differences. */
function showBack() {
  const label = trueDigit();
  now.y = oneHot(label);
  now.back = backward(now.params, now.x, now.y, PHI);
  find("label").value = label;
  find("loss").dataset.loss = now.back.loss;
  setText(find("loss"), words().lossIs(fixed(now.back.loss, 6)));
  now.back.gradient.forEach(({ W }, k) => {
    const largest = largestOf(now.back.deltas[k]);
    now.back.deltas[k].forEach((delta, i) => {
      const { square, value, item } = back.deltas[k][i];
      item.dataset.delta = delta;
      setText(value, short(delta));
      const full = delta < 0 ? palette.negative : palette.positive;
      square.style.backgroundColor = css(mixed(full, largest ? Math.abs(delta) / largest : 0));
    });
    paintMatrix(layerOfBack(k + 1).querySelector(".byHand"), W, largestIn(W));
  });
  startNumerical();
  showGradients();
}

const paintMatrix = (canvas, W, largest) =>
  paint(canvas, Float64Array.from(W.flatMap((row) => [...row])), W[0].length, largest);

/** Central differences of all parameters, unit by unit and in slices, so that the page never waits for them. */
function startNumerical() {
  const job = ++back.job;
  const numerical = now.params.map(({ W, b }) => ({ W: W.map((row) => row.slice().fill(0)), b: b.slice().fill(0) }));
  back.numerical = null;
  const all = N_PARAMETERS <= MOST_PARAMETERS;
  document.body.dataset.numerical = all ? "computing" : "left out";
  if (!all) return showAgreement();
  const { params, trace, y } = now;
  const units = DATA.sizes.slice(1).flatMap((n, k) => Array.from({ length: n }, (_, i) => [k, i]));
  const step = (done) => {
    const [k, i] = units[done];
    const differences = centralDifferences(params, k + 1, i, trace, y, PHI);
    numerical[k].b[i] = differences.pop();
    numerical[k].W[i].set(differences);
  };
  const told = (done) => {
    if (done === units.length) back.numerical = numerical;
    showAgreement(done, units.length);
  };
  inSlices(units.length, step, told, () => job !== back.job);
}

/** The pictures of the numerical gradient and how far it is from the one by hand; or how far it has come. */
function showAgreement(done, units) {
  now.back.gradient.forEach(({ W, b }, k) => {
    const layer = layerOfBack(k + 1);
    const [own, theirs] = [largestIn(W), back.numerical?.[k]];
    layer.querySelector(".numerical").parentNode.hidden = N_PARAMETERS > MOST_PARAMETERS;
    const still = N_PARAMETERS > MOST_PARAMETERS ? words().tooMany(N_PARAMETERS) : words().computing(done, units);
    if (!theirs) return setText(layer.querySelector(".agree"), still);
    paintMatrix(layer.querySelector(".numerical"), theirs.W, own);
    const difference = Math.max(
      ...W.map((row, i) => largestOf(row.map((value, j) => value - theirs.W[i][j]))),
      largestOf(b.map((value, i) => value - theirs.b[i])),
    );
    layer.dataset.difference = difference;
    setText(layer.querySelector(".agree"), words().agree(short(difference), short(Math.max(own, largestOf(b)))));
  });
  if (back.numerical) document.body.dataset.numerical = "done";
}

/** The chosen unit: its gradient weight by weight, and what an update would make of it. */
function showGradients() {
  const [l, i] = now.unit;
  const [{ W, b }, gradient, eta] = [now.params[l - 1], now.back.gradient[l - 1], now.eta];
  const numerical = centralDifferences(now.params, l, i, now.trace, now.y, PHI);
  const line = (name, before, p, derivative, difference) => [
    name,
    before,
    short(derivative),
    short(difference),
    fixed(p, 5),
    fixed(p - eta * derivative, 5),
  ];
  const last = line(words().bias, "", b[i], gradient.b[i], numerical.pop());
  const h = now.trace.h[l - 1];
  const rows = Array.from(W[i], (w, j) => line(`${j}`, fixed(h[j]), w, gradient.W[i][j], numerical[j]));
  fillTable(find("gradients").tBodies[0], [...rows, last]);
}

/** One step of gradient descent from this digit, as in training. */
function makeUpdate() {
  const params = update(now.params, now.back.gradient, now.eta);
  const losses = [now.back.loss, loss(params, now.x, now.y, PHI)];
  if (!losses.every(Number.isFinite)) return setText(find("updated"), words().diverged);
  now.label = trueDigit(); // the answer may be another one afterwards
  now.params = params;
  now.updates += 1;
  now.said = () => words().updated(...losses.map((value) => fixed(value, 6)), now.updates);
  showParams();
}

/** The words of this part. */
function nameBack() {
  for (let l = 1; l <= LAYERS; l++) {
    const layer = layerOfBack(l);
    const formula =
      l === LAYERS
        ? `${sub("δ", l)} = ${sub("h", l)} − y`
        : `${sub("δ", l)} = (${sub("δ", l + 1)} ${sub("W", l + 1)}) φ′(${sub("g", l)})`;
    setText(layer.querySelector("h3"), `${words().delta(l)}: ${formula}`);
    for (const name of ["byHand", "numerical"]) {
      const canvas = layer.querySelector(`.${name}`);
      canvas.setAttribute("aria-label", `${words()[name](l)}: ${words().pictureOf(DATA.sizes[l], DATA.sizes[l - 1])}`);
      setText(canvas.nextSibling, words()[name](l));
    }
  }
  const [l, i] = now.unit;
  setText(find("gradient-title"), words().gradientTitle(l, i));
  const [W, row] = [`${sub("W", l)}[${i}, j]`, `${sub("δ", l)}[${i}]`];
  setText(
    find("gradient-formula"),
    `∂L/∂${W} = ${row} ${sub("h", l - 1)}[j],  ∂L/∂${sub("b", l)}[${i}] = ${row}\n${W} ← ${W} − η ∂L/∂${W}`,
  );
  fillRow(find("gradients").tHead.rows[0], words().gradients(l), "th");
}
