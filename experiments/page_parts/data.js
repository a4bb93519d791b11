"use strict";
// What the file holds: the network at some epochs, the digits, how a digit becomes the network's input.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SIDE = 8; // of an image; a drawing has 4 x 4 pixels for each of its pixels
const N_CLASSES = 10;
const LABELS = Array.from(DATA.labels, Number);
const LAYERS = DATA.sizes.length - 1;
const PHI = DATA.activation.map((name) => ACTIVATIONS[name]);

/** Numbers from base64, in which Python wrote each as the 8 bytes of a float64. */
function floats(text) {
  return new Float64Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

const MEAN = floats(DATA.mean);
const SCALE = floats(DATA.scale);

/** The parameters of snapshot k: W_1 row by row, b_1, W_2, ... */
function snapshot(k) {
  const all = floats(DATA.snapshots[k]);
  let start = 0;
  const next = (n) => all.slice(start, (start += n));
  return DATA.sizes.slice(1).map((n, l) => ({
    W: Array.from({ length: n }, () => next(DATA.sizes[l])),
    b: next(n),
  }));
}

/** The image of a row of the data set: 64 counts, 0 to 16. The test set's rows come first. */
function countsOf(row) {
  const digits = DATA.images.slice(SIDE * SIDE * row, SIDE * SIDE * (row + 1));
  return Float64Array.from(digits, (digit) => parseInt(digit, 17));
}

/** The network's input from counts: standardised as its training data was. */
function standardise(counts) {
  return counts.map((count, j) => (SCALE[j] > 0 ? (count - MEAN[j]) / SCALE[j] : 0));
}

const inputs = [];
/** The network's input for a row of the data set; of all rows together they would delay the page's first picture. */
const inputOf = (row) => (inputs[row] ??= standardise(countsOf(row)));

function oneHot(label) {
  return Float64Array.from({ length: N_CLASSES }, (_, k) => (k === label ? 1 : 0));
}

/** Where the largest value is; of several the first. */
function argmax(values) {
  return values.indexOf(Math.max(...values));
}
