// The part of a drawing that one looks at: moved and zoomed by pointer, wheel, keys and buttons.
"use strict";

const EDGE = 28;

export class Window {
  constructor(place, drawing, tools, onChange) {
    Object.assign(this, { place, drawing, onChange, zoom: 1, shift: [0, 0], isMoving: false, spacing: 20 });
    new ResizeObserver(() => this.measure()).observe(place);
    place.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey && document.activeElement !== place) return; // The page scrolls.
      event.preventDefault();
      this.by(event.deltaY < 0 ? 1.2 : 1 / 1.2, event);
    }, { passive: false });
    place.addEventListener("pointerdown", (event) => this.grab(event));
    place.addEventListener("keydown", (event) => this.press(event));
    tools.addEventListener("click", (event) => {
      const what = event.target.dataset.zoom;
      if (what === "all") { this.zoom = 1; this.shift = [0, 0]; this.onChange(); }
      else if (what) this.by(what === "in" ? 1.4 : 1 / 1.4);
    });
    this.measure();
  }

  fit(x, y) {
    const ends = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    this.count = x.length;
    [[this.left, this.right], [this.bottom, this.top]] = [ends(x), ends(y)];
  }

  measure() {
    const { width, height } = this.place.getBoundingClientRect();
    if (width === this.width && height === this.height) return;
    Object.assign(this, { width, height });
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.onChange();
  }

  pixel(x, y) {
    const [wide, high] = [this.right - this.left || 1, this.top - this.bottom || 1];
    const room = [Math.max(50, this.width - 2 * EDGE), Math.max(50, this.height - 2 * EDGE)];
    // A drawing that is as wide as the place is high may be turned into it, but is never bent more than a little.
    const scale = Math.min(room[0] / wide, room[1] / high);
    const [sx, sy] = [Math.min(room[0] / wide, 1.35 * scale), Math.min(room[1] / high, 1.35 * scale)];
    this.spacing = this.zoom * Math.sqrt((sx * wide * sy * high) / Math.max(1, this.count)) * 0.45;
    return [
      this.width / 2 + this.zoom * (sx * (x - (this.left + this.right) / 2) + this.shift[0]),
      this.height / 2 - this.zoom * (sy * (y - (this.bottom + this.top) / 2) + this.shift[1]),
    ];
  }

  // Zoom and keep what is under the pointer, or else the middle, where it is.
  by(factor, event) {
    const before = this.zoom;
    this.zoom = Math.max(1, Math.min(60, before * factor));
    if (event) {
      const frame = this.place.getBoundingClientRect();
      const [x, y] = [event.clientX - frame.left - this.width / 2, this.height / 2 - (event.clientY - frame.top)];
      this.shift = [this.shift[0] + x / this.zoom - x / before, this.shift[1] + y / this.zoom - y / before];
    }
    if (this.zoom === 1) this.shift = [0, 0];
    this.onChange();
  }

  grab(event) {
    if (event.button !== 0 || (event.pointerType === "touch" && this.zoom === 1)) return;
    const from = [event.clientX, event.clientY], shift = this.shift;
    const move = (to) => {
      this.isMoving = true;
      this.drawing.classList.add("moving");
      this.shift = [shift[0] + (to.clientX - from[0]) / this.zoom, shift[1] - (to.clientY - from[1]) / this.zoom];
      this.onChange();
    };
    const drop = () => {
      this.isMoving = false;
      this.drawing.classList.remove("moving");
      removeEventListener("pointermove", move);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", drop, { once: true });
  }

  press(event) {
    const by = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, -40], ArrowDown: [0, 40] }[event.key];
    if (by) this.shift = [this.shift[0] + by[0] / this.zoom, this.shift[1] + by[1] / this.zoom];
    else if (event.key === "+") this.zoom = Math.min(60, 1.4 * this.zoom);
    else if (event.key === "-") this.zoom = Math.max(1, this.zoom / 1.4);
    else if (event.key === "0") { this.zoom = 1; this.shift = [0, 0]; }
    else return;
    event.preventDefault();
    this.onChange();
  }
}

// What is taken of a drawing: boxes [left, top, width, height], looked up by the cells that they touch.
export class Room {
  constructor(boxes) {
    this.cells = new Map();
    for (const box of boxes) this.take(box);
  }

  * touched([left, top, width, height]) {
    for (let x = Math.floor(left / 40); x <= Math.floor((left + width) / 40); x += 1) {
      for (let y = Math.floor(top / 40); y <= Math.floor((top + height) / 40); y += 1) yield `${x},${y}`;
    }
  }

  take(box) {
    for (const cell of this.touched(box)) {
      if (!this.cells.has(cell)) this.cells.set(cell, []);
      this.cells.get(cell).push(box);
    }
  }

  isFree([left, top, width, height]) {
    for (const cell of this.touched([left, top, width, height])) {
      for (const [x, y, w, h] of this.cells.get(cell) ?? []) {
        if (left < x + w && x < left + width && top < y + h && y < top + height) return false;
      }
    }
    return true;
  }
}
