// Charts over the intervals: lines, bands and stacked bars, drawn anew when their data change.
"use strict";
import { make, svg } from "./format.js";

// The interval that all charts over the same intervals point at.
export class Cursor {
  at = null;
  charts = new Set();

  // rest: of how many intervals legends tell which, while nothing is pointed at.
  constructor(rest = (count) => count - 1) { this.rest = rest; }

  set(at) {
    if (at === this.at) return;
    this.at = at;
    for (const chart of this.charts) { chart.drawKey(); chart.moveCursor(); }
  }
}
const shared = new Cursor();

// Round steps of an axis, about `wanted` of them.
const ticksOf = (low, high, wanted) => {
  const rough = (high - low) / Math.max(1, wanted) || 1;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * size).find((each) => each >= rough * 0.999);
  const ticks = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) ticks.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return ticks;
};

const isKnown = (value) => value !== null && value !== undefined;

export class Chart {
  // parts: [{name, colour, kind: "line" | "band" | "bar", values: name or [low, high], thin, loose}], say: number to
  // text. A loose line is drawn where it fits and does not stretch the scale.
  // Charts of other intervals than the run's have a cursor of their own.
  constructor(place, { parts, say, levels = [], zero = false, least = 0, unit = "", cursor = shared }) {
    Object.assign(this, { place, parts, say, levels, zero, least, unit, cursor, data: null });
    this.key = make("div", { class: "key" });
    this.drawing = svg("svg", { role: "img", tabindex: "0" });
    place.replaceChildren(this.key, this.drawing);
    this.drawing.addEventListener("pointermove", (event) => this.point(event));
    this.drawing.addEventListener("pointerleave", () => this.cursor.set(null));
    this.drawing.addEventListener("keydown", (event) => this.press(event));
    this.drawing.addEventListener("blur", () => this.cursor.set(null));
    new ResizeObserver(() => this.draw()).observe(place);
    cursor.charts.add(this);
  }

  show(series) {
    this.data = series;
    this.draw();
  }

  values(name) {
    return this.data.values[name] ?? [];
  }

  draw() {
    const count = this.data?.ticks.length ?? 0;
    const { width, height } = this.drawing.getBoundingClientRect();
    this.drawKey();
    if (!count || width < 40) {
      this.drawing.replaceChildren();
      return;
    }
    const bars = this.parts.filter((part) => part.kind === "bar");
    const [low, high] = this.range(bars, count);
    const box = { left: 50, right: width - 8, top: 6, bottom: height - 20 };
    const slot = (box.right - box.left) / Math.max(count, 12);
    this.x = (at) => box.left + slot * (at + 0.5);
    this.slot = slot;
    this.left = box.left;
    const y = (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const content = [];
    for (const tick of ticksOf(low, high, (box.bottom - box.top) / 34)) {
      content.push(svg("line", { class: tick === 0 ? "zero" : "grid", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }));
      const label = svg("text", { class: "axis", x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" });
      label.textContent = this.say(tick);
      content.push(label);
    }
    content.push(...this.times(box, count));
    content.push(...this.stack(bars, y, slot));
    for (const part of this.parts) {
      if (part.kind === "band") content.push(this.band(part, y));
      if (part.kind === "line" && this.fits(part, low, high)) content.push(svg("path", { class: `line c-${part.colour}${part.thin ? " thin" : ""}`, d: this.path(this.values(part.values), y) }));
    }
    for (const level of this.levels) {
      if (isKnown(level) && level >= low && level <= high) content.push(svg("line", { class: "bound", x1: box.left, x2: box.right, y1: y(level), y2: y(level) }));
    }
    this.cross = svg("line", { class: "cross", y1: box.top, y2: box.bottom, visibility: "hidden" });
    this.drawing.replaceChildren(...content, this.cross);
    this.moveCursor();
  }

  fits(part, low, high) {
    return !part.loose || this.values(part.values).every((value) => !isKnown(value) || (value >= low && value <= high));
  }

  range(bars, count) {
    const known = [...this.levels.filter(isKnown)];
    for (const part of this.parts.filter((each) => each.kind !== "bar" && !each.loose)) {
      for (const name of [part.values].flat()) for (const value of this.values(name)) if (isKnown(value)) known.push(value);
    }
    for (let at = 0; at < count; at += 1) {
      const here = bars.map((part) => this.values(part.values)[at]).filter(isKnown);
      if (here.length) known.push(here.filter((v) => v > 0).reduce((a, b) => a + b, 0), here.filter((v) => v < 0).reduce((a, b) => a + b, 0));
    }
    if (this.zero) known.push(0);
    if (!known.length) return [0, 1];
    let low = known[0], high = known[0];
    for (const value of known) { if (value < low) low = value; if (value > high) high = value; }
    const spare = Math.max(0.06 * (high - low), this.least, 1e-9 * Math.abs(high));
    const bottom = this.zero && low === 0 ? 0 : low - spare;
    const top = this.zero && high === 0 ? 0 : high + spare;
    return [bottom, top > bottom ? top : bottom + 1];
  }

  times(box, count) {
    const { labels, dates } = this.data;
    const content = [];
    let end = -Infinity;
    for (let at = 0; at < count; at += 1) {
      if (!labels[at].endsWith(":00") && count > 12) continue;
      if (this.x(at) - end < 46) continue;
      end = this.x(at);
      const isDay = at > 0 && dates[at] !== dates[at - 1];
      const label = svg("text", { class: "axis", x: this.x(at), y: box.bottom + 15, "text-anchor": "middle" });
      label.textContent = isDay ? dates[at].split(" ").slice(1, 3).join(" ") : labels[at];
      content.push(label);
    }
    return content;
  }

  stack(bars, y, slot) {
    const content = [], width = Math.max(1, slot * 0.8);
    const up = [], down = [];
    for (const part of bars) {
      const pieces = [];
      this.values(part.values).forEach((value, at) => {
        if (!isKnown(value) || value === 0) return;
        const base = (value > 0 ? up[at] : down[at]) ?? 0;
        (value > 0 ? up : down)[at] = base + value;
        const top = Math.min(y(base), y(base + value)), size = Math.abs(y(base) - y(base + value));
        pieces.push(`M${(this.x(at) - width / 2).toFixed(1)} ${top.toFixed(1)}h${width.toFixed(1)}v${size.toFixed(1)}h${(-width).toFixed(1)}z`);
      });
      content.push(svg("path", { class: `bar c-${part.colour}`, d: pieces.join("") }));
    }
    return content;
  }

  path(values, y) {
    let d = "", isOpen = false;
    values.forEach((value, at) => {
      if (!isKnown(value)) { isOpen = false; return; }
      d += `${isOpen ? "L" : "M"}${this.x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      if (!isOpen && !isKnown(values[at + 1])) d += "h0.1";
      isOpen = true;
    });
    return d;
  }

  band(part, y) {
    const [low, high] = part.values.map((name) => this.values(name));
    const known = low.map((value, at) => at).filter((at) => isKnown(low[at]) && isKnown(high[at]));
    const there = known.map((at) => `${this.x(at).toFixed(1)} ${y(high[at]).toFixed(1)}`);
    const back = known.reverse().map((at) => `${this.x(at).toFixed(1)} ${y(low[at]).toFixed(1)}`);
    return svg("path", { class: `band c-${part.colour}`, d: known.length ? `M${there.join("L")}L${back.join("L")}Z` : "" });
  }

  // The legend tells the values at the pointer, or else the latest.
  drawKey() {
    const count = this.data?.ticks.length ?? 0;
    const at = this.cursor.at === null ? this.cursor.rest(count) : Math.min(this.cursor.at, count - 1);
    const entries = this.parts.map((part) => {
      const [low, high] = [part.values].flat().map((name) => (this.data ? this.latest(name, at) : null));
      const value = part.kind === "band" ? `${this.say(low)} – ${this.say(high)}` : this.say(low);
      const kind = part.kind === "band" ? " area" : part.kind === "bar" ? " bar" : "";
      const shown = make("b", { "data-figure": [part.values].flat().join(" ") }, value);
      return make("span", {}, make("i", { class: `swatch${kind} c-${part.colour}` }), part.name, shown);
    });
    if (count && this.cursor.at !== null) entries.unshift(make("span", {}, make("b", {}, this.data.labels[at])));
    this.key.replaceChildren(...entries);
    this.drawing.setAttribute("aria-label", entries.map((each) => each.textContent).join("; ") + (this.unit ? ` ${this.unit}` : ""));
  }

  latest(name, at) {
    const values = this.values(name);
    if (this.cursor.at !== null) return values[at] ?? null;
    for (let back = at; back >= Math.max(0, at - 1); back -= 1) if (isKnown(values[back])) return values[back];
    return null;
  }

  point(event) {
    if (!this.x) return;
    const at = Math.round((event.clientX - this.drawing.getBoundingClientRect().left - this.left) / this.slot - 0.5);
    this.cursor.set(Math.max(0, Math.min(this.data.ticks.length - 1, at)));
  }

  press(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined || !this.data) return;
    event.preventDefault();
    const last = this.data.ticks.length - 1;
    this.cursor.set(Math.max(0, Math.min(last, (this.cursor.at ?? this.cursor.rest(last + 1)) + by)));
  }

  moveCursor() {
    if (!this.cross) return;
    const { at } = this.cursor;
    const isShown = at !== null && this.data && at < this.data.ticks.length;
    this.cross.setAttribute("visibility", isShown ? "visible" : "hidden");
    if (isShown) { this.cross.setAttribute("x1", this.x(at)); this.cross.setAttribute("x2", this.x(at)); }
  }
}

// All charts over the run's intervals show the same one.
export const setCursor = (at) => shared.set(at);
