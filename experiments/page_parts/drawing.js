"use strict";
// Drawing on 32 x 32 pixels, and counting them as the data set's makers did.

const PIXELS = 4 * SIDE;
const PEN = 2; // the pen's radius in pixels

/** Sets the pixels whose centre is at most PEN from the line between two points [x, y], in pixels. */
function mark(bitmap, [x0, y0], [x1, y1]) {
  const square = (x1 - x0) ** 2 + (y1 - y0) ** 2;
  for (let row = 0; row < PIXELS; row++) {
    for (let column = 0; column < PIXELS; column++) {
      const [x, y] = [column + 0.5, row + 0.5];
      const along = square && ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / square;
      const t = Math.min(1, Math.max(0, along)); // the nearest point of the line
      const distance = (x - x0 - t * (x1 - x0)) ** 2 + (y - y0 - t * (y1 - y0)) ** 2;
      if (distance <= PEN ** 2) bitmap[PIXELS * row + column] = 1;
    }
  }
}

/** How many pixels are set in each block of 4 x 4: 64 counts, 0 to 16. */
function count(bitmap) {
  const counts = new Float64Array(SIDE * SIDE);
  bitmap.forEach((set, k) => {
    const [row, column] = [Math.floor(k / PIXELS), k % PIXELS];
    counts[SIDE * Math.floor(row / 4) + Math.floor(column / 4)] += set;
  });
  return counts;
}

/** A bitmap as 256 hexadecimal digits, for links; and back, null where the text is none. */
function toHex(bitmap) {
  const four = (k) => 8 * bitmap[k] + 4 * bitmap[k + 1] + 2 * bitmap[k + 2] + bitmap[k + 3];
  return Array.from({ length: bitmap.length / 4 }, (_, k) => four(4 * k).toString(16)).join("");
}

function fromHex(text) {
  if (!/^[0-9a-f]{256}$/.test(text)) return null;
  return Uint8Array.from({ length: 4 * text.length }, (_, k) => (parseInt(text[k >> 2], 16) >> (3 - (k % 4))) & 1);
}

/** Lets a canvas be drawn on by mouse, pen, finger and keyboard. changed(ended) is called with every change of bitmap. */
class Drawing {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.cursor = null; // where the keyboard's pen is, [x, y]; null until a key is pressed
    this.clear();
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel", "blur"]) canvas.addEventListener(name, () => this.end());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** Starts anew, from pixels that a link has set. */
  clear(before = new Uint8Array(PIXELS * PIXELS)) {
    this.before = before;
    this.bitmap = before.slice();
    this.strokes = []; // lists of points [x, y]
    this.down = false;
  }

  start(point) {
    this.down = true;
    this.strokes.push([]);
    this.extend(point);
  }

  extend(point) {
    const points = this.strokes.at(-1);
    mark(this.bitmap, points.at(-1) ?? point, point);
    points.push(point);
  }

  undo() {
    const strokes = this.strokes.slice(0, -1);
    this.clear(this.strokes.length ? this.before : undefined);
    for (const [first, ...rest] of strokes) {
      this.start(first);
      rest.forEach((point) => this.extend(point));
    }
    this.down = false;
    this.changed(true);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * PIXELS, ((event.clientY - box.top) / box.height) * PIXELS];
  }

  begin(event) {
    if (!event.isPrimary || event.button !== 0) return;
    this.end();
    this.canvas.setPointerCapture(event.pointerId);
    this.cursor = null;
    this.start(this.place(event));
    this.changed(false);
  }

  move(event) {
    if (!this.down || this.cursor || !event.isPrimary) return;
    const events = event.getCoalescedEvents?.() ?? []; // all places since the last frame
    for (const each of events.length ? events : [event]) this.extend(this.place(each));
    this.changed(false);
  }

  end() {
    if (!this.down) return;
    this.down = false;
    this.changed(true);
  }

  /** Arrows move the pen, Space puts it down and lifts it, Backspace takes back a stroke. */
  key(event) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !(arrow || [" ", "Backspace"].includes(event.key))) return;
    event.preventDefault(); // the page doesn't scroll
    if (event.key === "Backspace") return this.undo();
    const inside = (value) => Math.min(PIXELS - 0.5, Math.max(0.5, value));
    const [x, y] = this.cursor ?? [PIXELS / 2, PIXELS / 2];
    this.cursor = arrow ? [inside(x + arrow[0]), inside(y + arrow[1])] : [x, y];
    if (arrow && this.down) this.extend(this.cursor);
    if (!arrow && this.down) return this.end();
    if (!arrow) this.start(this.cursor);
    this.changed(false);
  }
}
