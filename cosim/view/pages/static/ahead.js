// Intervals to come, where the market has a horizon: their prices, and what they do with stored energy.
"use strict";
import { Chart, Cursor } from "./chart.js";
import { byId, number, power, price, priceChange, text } from "./format.js";

export class AheadView {
  constructor() {
    const cursor = new Cursor(() => 0);
    this.panel = document.querySelector(".ahead");
    this.charts = [
      new Chart(byId("chart-ahead-prices"), {
        say: price, unit: "$/kWh", cursor, parts: [
          { name: "local, all LAMs", colour: "sky", kind: "band", values: ["price_least", "price_most"] },
          { name: "energy price", colour: "blue", kind: "line", values: "energy_price" },
        ],
      }),
      new Chart(byId("chart-ahead-parts"), {
        say: priceChange, unit: "$/kWh", zero: true, least: 0.0001, cursor, parts: [
          { name: "losses", colour: "blue", kind: "bar", values: "loss" },
          { name: "voltage", colour: "purple", kind: "bar", values: "voltage" },
          { name: "congestion", colour: "red", kind: "bar", values: "congestion" },
        ],
      }),
      new Chart(byId("chart-ahead-power"), {
        say: power, unit: "kW, kWh", zero: true, cursor, parts: [
          { name: "feeder head, kW", colour: "blue", kind: "line", values: "grid_kw" },
          { name: "stored, kWh", colour: "green", kind: "line", values: "stored_kwh" },
        ],
      }),
    ];
  }

  show(panel) {
    this.panel.hidden = panel.tick < 0;
    const count = panel.ticks.length;
    const facts = count ? [`${number(count, 0)} from ${panel.labels[0]}`, `${number(panel.stores, 0)} stores`, panel.certified ? "certified" : "not certified"] : ["not cleared"];
    text(byId("ahead-facts"), [...facts, panel.note].filter(Boolean).join(" · "));
    for (const chart of this.charts) chart.show(panel);
  }
}
