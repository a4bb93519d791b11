"use strict";
// The page's state, and what changes it.

/** What is shown: the weights, the digit, the chosen unit. Each function that changes it shows what it changed. */
const now = {
  snapshot: EPOCHS.length - 1,
  params: null,
  updates: 0, // made here since the snapshot
  said: null, // of the last update, in the present language
  row: null, // of the test set; null: a drawing
  counts: null,
  x: null,
  label: null, // the true digit; null: of a drawing not said yet, the network's answer is taken for it
  y: null,
  trace: null, // of the forward pass: g and h
  back: null, // of the backward pass: loss, deltas, gradient
  unit: null, // [layer, unit]; at first that of layer 1 with the largest delta
  eta: DATA.learning_rate,
};
const drawing = new Drawing(find("pixels"), drawn);

const trueDigit = () => now.label ?? argmax(now.trace.h[LAYERS]);

function drawn(ended) {
  if (now.row !== null) [now.row, now.label] = [null, null];
  now.counts = count(drawing.bitmap);
  showDigit();
  if (ended) writeLink();
}

function chooseRow(row) {
  now.row = row;
  now.counts = countsOf(row);
  now.label = LABELS[row];
  drawing.clear();
  showDigit();
}

function chooseSnapshot(k) {
  [now.snapshot, now.params, now.updates, now.said] = [k, snapshot(k), 0, null];
  showParams();
}

function chooseUnit(l, i) {
  now.unit = [l, i];
  nameLayers();
  nameBack();
  showLayers();
  showGradients();
  writeLink();
}

/** After the weights changed. */
function showParams() {
  time.taken = null;
  showWeights();
  setText(find("updated"), now.said ? now.said() : words().noUpdate);
  find("reset").disabled = !now.updates;
  showDigit();
  countRight();
}

function compute() {
  now.x = standardise(now.counts);
  now.trace = forward(now.params, now.x, PHI);
}

/** After the digit changed. */
function showDigit() {
  compute();
  showDrawing();
  showAnswer();
  showLayers();
  showBack();
}

function showDrawing() {
  const canvas = find("pixels");
  const context = canvas.getContext("2d");
  const size = canvas.width / PIXELS;
  context.fillStyle = css(palette.zero);
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = css(palette.ink);
  drawing.bitmap.forEach((set, k) => {
    if (set) context.fillRect(size * (k % PIXELS), size * Math.floor(k / PIXELS), size, size);
  });
  context.strokeStyle = css(palette.line);
  for (let k = 4; k < PIXELS; k += 4) context.strokeRect(size * k, -1, 0, canvas.height + 2);
  for (let k = 4; k < PIXELS; k += 4) context.strokeRect(-1, size * k, canvas.width + 2, 0);
  if (!drawing.bitmap.includes(1) && !drawing.cursor) {
    [context.fillStyle, context.font, context.textAlign] = [css(palette.soft), "20px system-ui, sans-serif", "center"];
    context.fillText(words().drawHere, canvas.width / 2, canvas.height / 2);
  }
  if (drawing.cursor) {
    context.strokeStyle = css(palette.positive);
    context.lineWidth = drawing.down ? 5 : 2;
    context.strokeRect(
      size * (drawing.cursor[0] - PEN),
      size * (drawing.cursor[1] - PEN),
      2 * PEN * size,
      2 * PEN * size,
    );
    context.lineWidth = 1;
  }
  showCounts();
}

/** The 8 x 8 counts as numbers on grey. */
function showCounts() {
  const box = find("counts");
  now.counts.forEach((value, k) => {
    const cell = box.children[k];
    setText(cell, String(value));
    const grey = mixed(palette.ink, value / 16);
    cell.style.backgroundColor = css(grey);
    cell.style.color = grey[1] > 117 ? "#000" : "#fff"; // either way the contrast is above 4.5
  });
  const rows = Array.from({ length: SIDE }, (_, k) => [...now.counts.slice(SIDE * k, SIDE * (k + 1))].join(" "));
  box.setAttribute("aria-label", words().countsLabel(rows.join("; ")));
  box.dataset.counts = [...now.counts].join(" ");
}

function showAnswer() {
  const probabilities = now.trace.h[LAYERS];
  const digit = argmax(probabilities);
  find("digit").dataset.digit = digit;
  setText(find("digit"), String(digit));
  setText(find("bar-answer"), words().barAnswer(digit, probabilities[digit].toFixed(6)));
  setText(find("verdict"), now.row === null ? "" : words().verdict(LABELS[now.row], digit === LABELS[now.row]));
  probabilities.forEach((probability, k) => {
    const item = find("probabilities").children[k];
    item.dataset.probability = probability.toFixed(6);
    item.classList.toggle("largest", k === digit);
    item.children[1].firstChild.style.transform = `scaleX(${probability})`;
    setText(item.children[2], probability.toFixed(6));
  });
}

/** The test rows to choose from, the mistakes first. */
function listRows() {
  const rows = LABELS.slice(0, DATA.n_test).map((_, row) => row);
  const groups = [false, true].map((right) => {
    const some = rows.filter((row) => (time.taken[row] === LABELS[row]) === right);
    const options = some.map((row) =>
      make("option", { value: row, textContent: words().oneRow(row, LABELS[row], time.taken[row]) }),
    );
    return make("optgroup", { label: words()[right ? "right" : "mistakes"](some.length) }, ...options);
  });
  find("row").replaceChildren(make("option", { value: "", textContent: words().drawn }), ...groups);
  find("row").value = now.row ?? "";
}

/** Everything that is said, in the chosen language. */
function showLanguage() {
  showWords();
  setText(
    find("network"),
    words().network(DATA.sizes.join("-"), [...new Set(DATA.activation)].join(", "), N_PARAMETERS),
  );
  nameLayers();
  nameBack();
  nameTime();
}

function listen() {
  find("row").addEventListener("change", ({ target }) => {
    if (target.value !== "") chooseRow(Number(target.value));
    writeLink();
  });
  find("clear").addEventListener("click", () => {
    drawing.clear();
    now.label = null;
    drawn(true);
  });
  find("undo").addEventListener("click", () => drawing.undo());
  find("label").addEventListener("change", ({ target }) => {
    now.label = Number(target.value);
    showBack();
    writeLink();
  });
  find("eta").addEventListener("input", ({ target }) => {
    const good = target.value.trim() !== "" && Number(target.value) >= 0 && Number.isFinite(Number(target.value));
    target.setAttribute("aria-invalid", !good);
    find("update").disabled = !good;
    setText(find("updated"), good ? (now.said ? now.said() : words().noUpdate) : words().badRate(target.value));
    if (good) now.eta = Number(target.value);
    showGradients();
  });
  find("update").addEventListener("click", makeUpdate);
  find("reset").addEventListener("click", () => chooseSnapshot(now.snapshot));
  find("epoch").addEventListener("input", ({ target }) => chooseSnapshot(Number(target.value)));
  find("epoch").addEventListener("change", writeLink);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      showLanguage();
      showParams();
      writeLink();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readPalette();
    showParams();
  });
  addEventListener("hashchange", followLink);
}

function start() {
  readPalette();
  language = navigator.language.startsWith("ja") ? "ja" : "en";
  find("counts").replaceChildren(...Array.from({ length: SIDE * SIDE }, () => make("span")));
  const bar = () => make("span", { className: "track" }, make("span"));
  find("probabilities").replaceChildren(
    ...Array.from({ length: N_CLASSES }, (_, k) =>
      make("li", { data: { class: k } }, make("span", {}, String(k)), bar(), make("span")),
    ),
  );
  fillTable(find("details").tBodies[0], DATA.details);
  find("eta").value = now.eta;
  readLink();
  showWords();
  showDrawing();
  showAnswer();
  requestAnimationFrame(() => setTimeout(startRest)); // when this much is seen
}

function startRest() {
  buildLayers();
  buildBack();
  buildTime();
  listen();
  showLanguage();
  showParams();
}

start();
