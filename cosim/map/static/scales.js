// Colour scales of the map: their ends are shown, and what lies beyond them is counted, never hidden.
"use strict";

const isDark = () => {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

// Purple to orange, and dark blue to yellow (cividis): both keep their order for any colour vision.
const DIVERGING = { light: ["#3b1c7a", "#8073ac", "#dcdbe0", "#e08214", "#8f4a05"], dark: ["#b9a3f5", "#7a68b8", "#4a4f57", "#c9761a", "#ffc27a"] };
const SEQUENTIAL = { light: ["#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#e9d33f"], dark: ["#24507f", "#4a6384", "#787a82", "#a39c7c", "#d3c164", "#fee838"] };
const LOADING = { light: ["#9fb2c4", "#5f8fb8", "#0072b2", "#c47f00", "#c24e00"], dark: ["#46586a", "#4d7fa8", "#4aa8e0", "#eeb33e", "#f08447"] };

const parse = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

class Scale {
  constructor(stops, low, high, bounds = []) {
    Object.assign(this, { stops, low, high, bounds });
  }

  colour(value) {
    const colours = this.stops[isDark() ? "dark" : "light"];
    const share = this.high > this.low ? (value - this.low) / (this.high - this.low) : 0.5;
    const at = Math.max(0, Math.min(1, share)) * (colours.length - 1);
    const first = Math.min(colours.length - 2, Math.floor(at)), part = at - first;
    const [a, b] = [parse(colours[first]), parse(colours[first + 1])];
    return `rgb(${a.map((from, each) => Math.round(from + (b[each] - from) * part)).join(",")})`;
  }
}

const reachOf = (values) => {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (value !== null && value !== undefined) { low = Math.min(low, value); high = Math.max(high, value); }
  return low <= high ? [low, high] : null;
};

// The limits with a fifth of their distance beyond, or as far as any voltage reaches.
export const voltageScale = (values, [lower, upper]) => {
  const reach = reachOf(values) ?? [0.95, 1.05];
  const [low, high] = [lower ?? reach[0], upper ?? reach[1]];
  const spare = 0.1 * (high - low);
  const half = Math.max(1 - low + spare, high - 1 + spare, 0.001);
  return new Scale(DIVERGING, 1 - half, 1 + half, [lower, upper]);
};

export const loadingScale = () => new Scale(LOADING, 0, 1, [1]);

export const priceScale = (values) => {
  const [low, high] = reachOf(values) ?? [0, 1];
  return new Scale(SEQUENTIAL, low, high > low ? high : low + 1e-9);
};

export const netScale = (values) => {
  const [low, high] = reachOf(values) ?? [-1, 1];
  const half = Math.max(Math.abs(low), Math.abs(high), 1e-3);
  return new Scale(DIVERGING, -half, half, [0]);
};

// A strip of the scale's colours, with marks where its bounds are.
export const strip = (scale) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [160, 12];
  const pen = canvas.getContext("2d");
  for (let at = 0; at < 160; at += 1) {
    pen.fillStyle = scale.colour(scale.low + ((scale.high - scale.low) * at) / 159);
    pen.fillRect(at, 0, 1, 12);
  }
  pen.fillStyle = isDark() ? "#fff" : "#000";
  for (const bound of scale.bounds) {
    if (bound !== null && bound > scale.low && bound < scale.high) pen.fillRect(Math.round((160 * (bound - scale.low)) / (scale.high - scale.low)), 0, 1.5, 12);
  }
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
};
