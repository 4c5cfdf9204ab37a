// Numbers and elements, as all parts of the page write them.
"use strict";

export const byId = (id) => document.getElementById(id);

export const number = (value, digits = 2) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const shown = value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  // What rounds to zero has no sign.
  return /[1-9∞]/.test(shown) ? shown.replace("-", "−") : shown.replace("-", "");
};

export const signed = (value, digits = 2) => {
  const shown = number(value, digits);
  return value > 0 && /[1-9∞]/.test(shown) ? `+${shown}` : shown;
};

export const price = (value) => number(value, 4);
export const priceChange = (value) => signed(value, 5);

// Power with the digits that it needs: 0.52, 12.3, 1,234.
export const power = (value) => {
  const size = Math.abs(value ?? 0);
  return number(value, size < 10 ? 2 : size < 100 ? 1 : 0);
};

export const percent = (share, digits = 0) => (share === null || share === undefined ? "–" : `${number(100 * share, digits)} %`);

export const seconds = (value) => {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(1000 * value)} ms`;
  if (value < 100) return `${number(value, 1)} s`;
  const whole = Math.round(value);
  return whole < 3600
    ? `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`
    : `${Math.floor(whole / 3600)}:${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} h`;
};

// Element with attributes and children; texts are never read as HTML.
export const make = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

export const svg = (name, attributes = {}, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

export const text = (element, value) => {
  if (element.textContent !== value) element.textContent = value;
};

export const table = (head, rows) => {
  const cell = (kind) => (content) => {
    const [value, attributes] = Array.isArray(content) ? content : [content, {}];
    return make(kind, attributes, value);
  };
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...head.map((each) => {
      const made = cell("th")(each);
      made.scope = "col";
      return made;
    }))),
    make("tbody", {}, ...rows.map(({ cells, attributes = {} }) => {
      const row = make("tr", attributes, ...cells.map((each, at) => cell(at ? "td" : "th")(each)));
      row.firstChild.scope = "row";
      return row;
    })),
  );
};

// Bar for a share of the whole, 0 to 1.
export const bar = (share, name) =>
  make("span", { class: name }, svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { width: Math.max(0, Math.min(100, 100 * share)), height: 10 })));
