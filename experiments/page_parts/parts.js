"use strict";
// Small tools of the page: elements, tables, numbers as text, long computations in slices.

const find = (id) => document.getElementById(id);

/** A new element with properties, data- attributes and children. */
function make(name, { data = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  Object.assign(made.dataset, data);
  made.append(...children);
  return made;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Fills a table's body with rows of texts; the elements that are there stay. */
function fillTable(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((texts, k) => fillRow(body.rows[k] ?? body.insertRow(), texts));
}

function fillRow(row, texts, cell = "td") {
  while (row.cells.length < texts.length) row.append(make(cell, cell === "th" ? { scope: "col" } : {}));
  texts.forEach((text, k) => setText(row.cells[k], text));
}

/** A number with so many decimals, and a minus sign as in print. */
const fixed = (value, decimals = 3) =>
  value
    .toFixed(decimals)
    .replace("-", "−")
    .replace(/^−(0\.0*)$/, "$1");

/** A number of any size with three digits. */
function short(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  return (size >= 0.001 && size < 1000 ? value.toPrecision(3) : value.toExponential(1)).replaceAll("-", "−");
}

const SLICE = 10; // ms

/** Calls step(0) .. step(n - 1): what fits into a slice at once, the rest between frames; told(k) after each slice. */
function inSlices(n, step, told, isStale) {
  let k = 0;
  function slice() {
    if (isStale()) return;
    const end = performance.now() + SLICE;
    while (k < n && performance.now() < end) step(k++);
    told(k);
    if (k < n) setTimeout(slice);
  }
  slice();
}
