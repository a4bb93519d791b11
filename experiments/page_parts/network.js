"use strict";
// The network with the lecture's letters: forward, backward, update (lecture, step 2). Everything is float64.
//
// params is a list of layers {W, b}: W has a row of n_(l-1) weights for each of the layer's n_l units, b a bias for
// each. The lecture's layer l is params[l - 1], fed by h[l - 1]. phi has an activation for each hidden layer.

const ACTIVATIONS = {
  identity: { value: (g) => g, derivative: () => 1 },
  sigmoid: { value: (g) => 1 / (1 + Math.exp(-g)), derivative: (h) => h * (1 - h) },
  tanh: { value: Math.tanh, derivative: (h) => 1 - h * h },
  relu: { value: (g) => Math.max(g, 0), derivative: (h) => (h > 0 ? 1 : 0) },
}; // derivative(h) is phi'(g), written in terms of h

function dot(a, b) {
  let total = 0;
  for (let j = 0; j < a.length; j++) total += a[j] * b[j];
  return total;
}

// Loops and plain arrays, not map, reduce and Float64Array, where central differences pass thousands of times: half the
// time.

function apply(phi, g) {
  const h = [];
  for (let i = 0; i < g.length; i++) h.push(phi(g[i]));
  return h;
}

function softmax(g) {
  const largest = Math.max(...g); // shifted by it: no power is too large
  const powers = apply((value) => Math.exp(value - largest), g);
  let total = 0;
  for (let k = 0; k < g.length; k++) total += powers[k];
  return apply((power) => power / total, powers);
}

/** Every pre-activation g[l - 1] and every activation h[l] of one sample x; h[L] are the probabilities. */
function forward(params, x, phi) {
  const g = [];
  const h = [x];
  for (let l = 0; l < params.length; l++) {
    const { W, b } = params[l];
    const g_l = [];
    for (let i = 0; i < b.length; i++) g_l.push(dot(W[i], h[l]) + b[i]); // (1)  g_l = W_l h_(l-1) + b_l
    g.push(g_l);
    h.push(l < phi.length ? apply(phi[l].value, g_l) : softmax(g_l)); // (2)  h_l = phi(g_l), h_L = softmax(g_L)
  }
  return { g, h };
}

/** Cross-entropy, L = -sum_k y_k log h_(L,k), from the last g: no logarithm of zero is taken. */
function crossEntropy(g, y) {
  const largest = Math.max(...g);
  let total = 0;
  for (let k = 0; k < g.length; k++) total += Math.exp(g[k] - largest);
  const log = Math.log(total); // -log h_L = log - (g_L - largest)
  let L = 0;
  for (let k = 0; k < g.length; k++) L += y[k] * (log - (g[k] - largest));
  return L;
}

function loss(params, x, y, phi) {
  return crossEntropy(forward(params, x, phi).g.at(-1), y);
}

/** The gradient derived by hand: delta[l - 1] is dL/dg_l, and gradient[l - 1] has dL/dW_l as W and dL/db_l as b. */
function backward(params, x, y, phi) {
  const { g, h } = forward(params, x, phi);
  const deltas = [];
  const gradient = [];
  let delta = h.at(-1).map((value, k) => value - y[k]); // (3)  delta_L = h_L - y
  for (let l = params.length - 1; l >= 0; l--) {
    const after = delta;
    const W = Array.from(after, (value) => h[l].map((input) => value * input)); // (4)  outer(delta_l, h_(l-1))
    gradient.unshift({ W, b: after }); // (5)  dL/db_l = delta_l
    deltas.unshift(after);
    if (l > 0) {
      const back = (j) => after.reduce((total, value, i) => total + value * params[l].W[i][j], 0);
      delta = h[l].map((value, j) => back(j) * phi[l - 1].derivative(value)); // (6)  (delta_(l+1) W_(l+1)) phi'(g_l)
    }
  }
  return { loss: crossEntropy(g.at(-1), y), deltas, gradient };
}

/** (7)  W_l <- W_l - eta dL/dW_l,  b_l <- b_l - eta dL/db_l: new parameters, the old ones stay. */
function update(params, gradient, eta) {
  const moved = (p, derivative) => p.map((value, j) => value - eta * derivative[j]);
  return params.map(({ W, b }, l) => ({
    W: W.map((row, i) => moved(row, gradient[l].W[i])),
    b: moved(b, gradient[l].b),
  }));
}

const STEP = 6e-6; // the cube root of float64's precision: there rounding and the formula's own error balance

/**
 * dL/dW_l[i, j] for all j, then dL/db_l[i], by central differences: (L(p + e) - L(p - e)) / 2e for each parameter p.
 *
 * Of the layers before and beside, g does not depend on the parameters of unit i: it is taken from the pass at params.
 */
function centralDifferences(params, l, i, { g, h }, y, phi) {
  const { W, b } = params[l - 1];
  const [after, phiAfter] = [params.slice(l), phi.slice(l)];
  const g_l = Array.from(g[l - 1]);
  const lossNow = () => {
    g_l[i] = dot(W[i], h[l - 1]) + b[i];
    return l === params.length ? crossEntropy(g_l, y) : loss(after, apply(phi[l - 1].value, g_l), y, phiAfter);
  };
  const difference = (array, j) => {
    const p = array[j];
    const e = STEP * Math.max(1, Math.abs(p));
    array[j] = p + e;
    const above = lossNow();
    array[j] = p - e;
    const below = lossNow();
    array[j] = p;
    return (above - below) / (2 * e);
  };
  return [...Array.from(W[i], (_, j) => difference(W[i], j)), difference(b, i)];
}
