// The feeder on its map: drawn once, then coloured anew in each interval.
"use strict";
import { byId, make, number, percent, power, price, signed, svg, text } from "./format.js";
import { loadingScale, netScale, priceScale, strip, voltageScale } from "./scales.js";
import { Room, Window } from "./window.js";

const LAYERS = [
  { name: "voltage", label: "Voltage" },
  { name: "loading", label: "Loading" },
  { name: "wam_price", label: "DLMP" },
  { name: "price", label: "Local price" },
  { name: "net_kw", label: "Net purchase" },
];
const SHORT = { regulator: "transformer", capacitor: "capacitor", switch: "line" };

export class FeederMap {
  constructor() {
    this.layer = "voltage";
    this.state = null;
    this.prices = null;
    this.drawing = svg("svg", { "aria-hidden": "true" });
    byId("map").replaceChildren(this.drawing);
    this.window = new Window(byId("map"), this.drawing, byId("map-tools"), () => this.place());
    const buttons = LAYERS.map(({ name, label }) => {
      const button = make("button", { type: "button", "aria-pressed": String(name === this.layer), "data-layer": name }, label);
      button.addEventListener("click", () => this.choose(name));
      return button;
    });
    byId("layers").replaceChildren(...buttons);
    byId("map").addEventListener("pointermove", (event) => this.point(event));
    byId("map").addEventListener("pointerleave", () => { byId("map-tip").hidden = true; });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.colour());
  }

  choose(name) {
    this.layer = name;
    for (const button of byId("layers").children) button.setAttribute("aria-pressed", String(button.dataset.layer === name));
    this.colour();
  }

  lay(layout) {
    this.layout = layout;
    this.lamAt = new Map(layout.lam_bus.map((bus, lam) => [bus, lam]));
    const wires = layout.segments.map((_, segment) => svg("line", { class: "wire", "data-element": layout.elements[segment] }));
    const dots = layout.bus.map((_, bus) => svg("circle", { class: "dot unknown", "data-bus": layout.bus[bus] }));
    this.wires = wires;
    this.dots = dots;
    this.marks = svg("g");
    this.names = svg("g");
    this.drawing.replaceChildren(svg("g", {}, ...wires), svg("g", {}, ...dots), this.marks, this.names);
    this.nodes = layout.bus.map(() => []);
    layout.node_bus.forEach((bus, node) => { if (bus >= 0) this.nodes[bus].push(node); });
    this.window.fit(layout.x, layout.y);
    byId("map").hidden = !layout.bus.length;
    this.place();
    this.colour();
  }

  show(state, prices) {
    if (state) this.state = state;
    if (prices) this.prices = prices;
    if (this.layout) { this.mark(); this.colour(); }
  }

  // Places in pixels, so that dots and letters keep their size however far one looks in.
  place() {
    if (!this.layout?.bus.length) return;
    const { x, y, segments } = this.layout;
    this.at = x.map((_, bus) => this.window.pixel(x[bus], y[bus]));
    const size = Math.max(2.2, Math.min(7, 0.42 * this.window.spacing));
    this.dots.forEach((dot, bus) => {
      dot.setAttribute("cx", this.at[bus][0]);
      dot.setAttribute("cy", this.at[bus][1]);
      dot.setAttribute("r", this.lamAt.has(bus) ? size : 0.5 * size);
    });
    segments.forEach(([from, to], segment) => {
      const [[x1, y1], [x2, y2]] = [this.at[from], this.at[to]];
      for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) this.wires[segment].setAttribute(name, value);
    });
    this.mark();
    this.letter(size);
  }

  // Where substation, regulators, switches and capacitors are, and where they stand.
  mark() {
    if (!this.at) return;
    const { source, segments, elements } = this.layout;
    const content = [];
    this.marked = [];
    const add = (x, y, shape, label = "", below = false) => {
      content.push(shape);
      this.marked.push([x - 8, y - 8, 16, 16]);
      if (!label) return;
      const wide = 6.2 * label.length + 3, left = Math.min(x + 6, this.window.width - wide);
      const name = svg("text", { class: "mark-text", x: left + 1, y: below ? y + 18 : y - 8 });
      name.textContent = label;
      content.push(name);
      this.marked.push([left, below ? y + 8 : y - 18, wide, 12]);
    };
    if (source >= 0) {
      const [x, y] = this.at[source];
      add(x, y, svg("path", { class: "mark source", d: `M${x - 7} ${y - 7}h14v14h-14zM${x - 4} ${y - 3.5}h8M${x - 4} ${y}h8M${x - 4} ${y + 3.5}h8` }), "Substation", true);
    }
    const taps = new Map();
    for (const [device, position] of Object.entries(this.state?.positions ?? {})) {
      const [kind, name] = [device.split(".")[0], device.split(".").slice(1).join(".")];
      const segment = elements.indexOf(`${SHORT[kind]}.${name}`);
      if (segment < 0) continue;
      const [[ax, ay], [bx, by]] = segments[segment].map((bus) => this.at[bus]);
      // Where a segment is too short to be seen, its mark stands beside the bus.
      const isShort = Math.hypot(bx - ax, by - ay) < 14;
      const [x, y] = isShort ? [bx + 9 * Math.sign(bx - ax || 1), by] : [(ax + bx) / 2, (ay + by) / 2];
      if (kind === "regulator") {
        const key = segments[segment].join();
        if (!taps.has(key)) taps.set(key, { x, y, said: [] });
        taps.get(key).said.push(signed(Number(position), 0));
      } else if (kind === "switch") {
        const isOpen = position === "open";
        this.wires[segment].classList.toggle("switch-open", isOpen);
        const shape = svg("rect", { class: `mark${isOpen ? " open" : ""}`, x: x - 4, y: y - 4, width: 8, height: 8 });
        shape.dataset.switch = name;
        add(x, y, shape, isOpen ? `${name} open` : "");
      }
    }
    for (const { x, y, said } of taps.values()) {
      add(x, y, svg("path", { class: "mark", d: `M${x} ${y - 6}L${x + 6} ${y}L${x} ${y + 6}L${x - 6} ${y}Z` }), said.join(" "));
    }
    this.marks.replaceChildren(...content);
  }

  // Names of as many buses as have room, those with LAMs first, beside their dots and not on other things.
  letter(size) {
    const { bus } = this.layout, content = [], { width, height } = this.window;
    const room = new Room([...(this.marked ?? []), ...this.at.map(([x, y]) => [x - 0.7 * size, y - 0.7 * size, 1.4 * size, 1.4 * size])]);
    const order = bus.map((_, at) => at).sort((a, b) => this.lamAt.has(b) - this.lamAt.has(a));
    const near = 0.7 * (this.lamAt.size ? size : 3) + 1;
    for (const at of order) {
      const [x, y] = this.at[at], wide = 5.7 * bus[at].length + 2;
      if (x < 0 || y < 0 || x > width || y > height || content.length > 400) continue;
      const places = [[x + near, y - near - 9], [x + near, y + near], [x - near - wide, y - near - 9], [x - near - wide, y + near]];
      const place = places.find(([left, top]) => left >= 0 && left + wide <= width && room.isFree([left, top, wide, 10]));
      if (!place) continue;
      room.take([...place, wide, 10]);
      const name = svg("text", { class: "bus-text", x: place[0] + 1, y: place[1] + 9 });
      name.textContent = bus[at];
      content.push(name);
    }
    this.names.replaceChildren(...content);
  }

  colour() {
    if (!this.layout || !this.state) return;
    const { state, prices, layout } = this, { layer } = this;
    const isLam = layer === "wam_price" || layer === "price" || layer === "net_kw";
    const unserved = new Set(state.unserved.map((lam) => layout.lam_bus[layout.lam.indexOf(lam)]));
    const values = isLam ? this.byBus(prices?.[layer] ?? []) : layer === "voltage" ? state.v_pu : [];
    const scale = this.scale(values);
    this.dots.forEach((dot, bus) => {
      const value = values[bus] ?? null;
      const isDead = unserved.has(bus) || (state.v_pu.length > 0 && this.nodes[bus].length > 0 && state.v_pu[bus] === null);
      const isOut = layer === "voltage" && (state.side[bus] ?? 0) !== 0;
      dot.setAttribute("class", `dot${value === null ? " unknown" : ""}${isDead ? " dead" : ""}${isOut ? " out" : ""}`);
      if (value === null) dot.style.removeProperty("fill"); else dot.style.fill = scale.colour(value);
    });
    this.wires.forEach((wire, segment) => {
      const load = state.loading[segment] ?? null, [from, to] = layout.segments[segment];
      const isDead = state.v_pu.length > 0 && (state.v_pu[from] === null || state.v_pu[to] === null);
      wire.classList.toggle("dead", isDead);
      wire.classList.toggle("over", load !== null && load > 1.001);
      const isShown = layer === "loading" && load !== null && load > 0;
      if (isShown) wire.style.stroke = loadingScale().colour(load); else wire.style.removeProperty("stroke");
      wire.style.strokeWidth = isShown ? `${2 + 4 * Math.min(load, 1.2)}px` : "";
    });
    this.legend(scale, values);
    const broken = state.violations, count = broken.length + (state.unnamed ?? 0);
    text(byId("violations"), broken.length ? `Beyond limits: ${broken.slice(0, 3).join("; ")}${count > 3 ? ` and ${count - 3} more` : ""}` : "");
    byId("violations").className = `note${broken.length ? " alarm" : ""}`;
  }

  byBus(values) {
    const found = this.layout.bus.map(() => null);
    values.forEach((value, lam) => { if (this.layout.lam_bus[lam] >= 0) found[this.layout.lam_bus[lam]] = value; });
    return found;
  }

  scale(values) {
    if (this.layer === "voltage") return voltageScale(values, this.state.limits_pu);
    if (this.layer === "loading") return loadingScale();
    return this.layer === "net_kw" ? netScale(values) : priceScale(values);
  }

  // Both ends of the scale, and how many values lie beyond a limit or an end.
  legend(scale, values) {
    const { state, layer } = this;
    const say = { voltage: (v) => `${number(v, 3)} pu`, loading: (v) => percent(v), wam_price: (v) => `${price(v)} $/kWh`, price: (v) => `${price(v)} $/kWh`, net_kw: (v) => `${signed(v, 1)} kW` }[layer];
    const content = [make("span", { class: "scale" }, say(scale.low), strip(scale), say(scale.high))];
    const beyond = [];
    if (layer === "voltage") {
      const [below, above] = [-1, 1].map((side) => state.side.filter((each) => each === side).length);
      const past = values.filter((v) => v !== null && (v < scale.low || v > scale.high)).length;
      if (below) beyond.push(`${below} below ${number(state.limits_pu[0], 3)}`);
      if (above) beyond.push(`${above} above ${number(state.limits_pu[1], 3)}`);
      if (past) beyond.push(`${past} beyond the scale, ${number(state.v_min_pu, 3)} to ${number(state.v_max_pu, 3)} pu`);
    }
    if (layer === "loading") {
      const over = state.loading.filter((v) => v !== null && v > 1.001).length;
      if (over) beyond.push(`${over} beyond the rating, up to ${percent(state.max_loading)}`);
    }
    content.push(make("span", { class: beyond.length ? "beyond" : "" }, beyond.join("; ") || { voltage: "all within limits", loading: this.keepsAll ? "none beyond its rating" : "none beyond its rating; below 50 % is not kept" }[layer] || `${values.filter((v) => v !== null).length} LAMs`));
    content.push(make("span", {}, "□ substation, switch  ◇ regulator with its tap"));
    byId("legend").replaceChildren(...content);
  }

  point(event) {
    if (!this.at || this.window.isMoving) return;
    const frame = byId("map").getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    let nearest = -1, least = 16 ** 2;
    this.at.forEach(([bx, by], bus) => {
      const distance = (bx - x) ** 2 + (by - y) ** 2;
      if (distance < least) [nearest, least] = [bus, distance];
    });
    const tip = byId("map-tip");
    tip.hidden = nearest < 0;
    if (nearest < 0) return;
    tip.textContent = this.describe(nearest);
    const panel = tip.offsetParent.getBoundingClientRect();
    tip.style.left = `${Math.min(event.clientX - panel.left + 14, panel.width - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY - panel.top + 14}px`;
  }

  describe(bus) {
    const { layout, state, prices } = this, lines = [`Bus ${layout.bus[bus]}`];
    for (const node of this.nodes[bus]) {
      const value = state?.node_v_pu[node];
      lines.push(`phase ${layout.nodes[node].split(".").slice(1).join(".")}: ${value === null || value === undefined ? "no source" : `${number(value, 4)} pu`}`);
    }
    if (this.lamAt.has(bus)) {
      const lam = this.lamAt.get(bus), at = (name) => prices?.[name][lam];
      lines.push(`LAM ${layout.lam[lam]}, ${number(layout.members[lam], 0)} prosumers`);
      lines.push(`DLMP ${price(at("wam_price"))}, local price ${price(at("price"))} $/kWh`);
      lines.push(`losses ${signed(at("loss"), 4)}, voltage ${signed(at("voltage"), 4)}, congestion ${signed(at("congestion"), 4)}`);
      lines.push(`net purchase ${power(at("net_kw"))} kW`);
    }
    const loads = layout.segments.map((ends, segment) => [ends, segment]).filter(([ends, segment]) => ends.includes(bus) && (state?.loading[segment] ?? 0) > 0);
    for (const [, segment] of loads.slice(0, 4)) lines.push(`${layout.elements[segment]}: ${percent(state.loading[segment])} of its rating`);
    return lines.join("\n");
  }
}
