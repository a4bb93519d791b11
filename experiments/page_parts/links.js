"use strict";
// Links to what is shown: #test=17&epoch=5&unit=1.7&digit=3&lang=ja, or #drawn=.. with the pixels of a drawing.

function writeLink() {
  const link = new URLSearchParams();
  if (now.row !== null) link.set("test", now.row);
  else link.set("drawn", toHex(drawing.bitmap));
  if (now.label !== null && now.label !== LABELS[now.row]) link.set("digit", now.label);
  if (EPOCHS.length > 1) link.set("epoch", EPOCHS[now.snapshot]);
  link.set("unit", now.unit.join("."));
  if (language !== "en") link.set("lang", language);
  history.replaceState(null, "", `#${link}`);
  find("row").value = now.row ?? "";
}

/** Takes over what the link asks for; what it gets wrong is left as it is. */
function readLink() {
  const link = new URLSearchParams(location.hash.slice(1));
  const whole = (name, most) =>
    /^\d{1,9}$/.test(link.get(name) ?? "") && +link.get(name) <= most ? +link.get(name) : null;
  language = Object.hasOwn(WORDS, link.get("lang")) ? link.get("lang") : language;
  const [l, i] = (link.get("unit") ?? "").split(".").map(Number);
  if (Number.isInteger(i) && i >= 0 && i < (DATA.sizes.slice(1)[l - 1] ?? 0)) now.unit = [l, i];
  const bitmap = fromHex(link.get("drawn") ?? "");
  const epoch = whole("epoch", 1e9);
  now.snapshot = epoch === null || EPOCHS.length < 2 ? now.snapshot : nearest(epoch);
  [now.params, now.updates, now.said] = [snapshot(now.snapshot), 0, null];
  now.row = whole("test", DATA.n_test - 1) ?? (bitmap ? null : firstMistake());
  drawing.clear(now.row === null ? bitmap : undefined);
  now.counts = now.row === null ? count(drawing.bitmap) : countsOf(now.row);
  now.label = whole("digit", N_CLASSES - 1) ?? (now.row === null ? null : LABELS[now.row]);
  compute();
  now.unit ??= [1, liveliest()];
}

function followLink() {
  readLink();
  showLanguage();
  showParams();
}

/** The unit of layer 1 that the loss depends on most. */
function liveliest() {
  const delta = backward(now.params, now.x, oneHot(trueDigit()), PHI).deltas[0];
  return argmax(delta.map(Math.abs));
}

/** A test digit that the network gets wrong, where there is much to see; the first row if there is none. */
function firstMistake() {
  const row = LABELS.slice(0, DATA.n_test).findIndex(
    (label, k) => argmax(forward(now.params, inputOf(k), PHI).h[LAYERS]) !== label,
  );
  return Math.max(0, row);
}
