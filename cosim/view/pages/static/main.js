// The page: takes panels from the server and shows each where it belongs.
"use strict";
import { AheadView } from "./ahead.js";
import { Chart } from "./chart.js";
import { initPacing, initStop, initTheme, showPacing, showStop } from "./controls.js";
import { EventForm } from "./events.js";
import { byId, make, number, power, price, priceChange, seconds, text } from "./format.js";
import { FeederMap } from "./map.js";
import { initPast } from "./past.js";
import { showClearing, showDevices, showFigures, showFlags, showMoney, showServices } from "./panels.js";

const STEPS = ["measure", "bid", "clear", "dispatch", "act", "meter", "settle"];
const QUIET_S = 12;
const LAST_WORDS_MS = 300;
const panels = {};
const view = { offset: 0, heard: 0, isLinked: false, money: "total", find: "", found: null };

const charts = {
  prices: new Chart(byId("chart-prices"), {
    say: price, unit: "$/kWh", parts: [
      { name: "local, all LAMs", colour: "sky", kind: "band", values: ["price_least", "price_most"] },
      { name: "DLMP, all LAMs", colour: "orange", kind: "band", values: ["wam_least", "wam_most"] },
      { name: "energy price", colour: "blue", kind: "line", values: "energy_price" },
      { name: "retail", colour: "grey", kind: "line", thin: true, loose: true, values: "retail_price" },
      { name: "feed-in", colour: "grey", kind: "line", thin: true, loose: true, values: "feed_in_price" },
    ],
  }),
  parts: new Chart(byId("chart-parts"), {
    say: priceChange, unit: "$/kWh", zero: true, least: 0.0001, parts: [
      { name: "losses", colour: "blue", kind: "bar", values: "loss" },
      { name: "voltage", colour: "purple", kind: "bar", values: "voltage" },
      { name: "congestion", colour: "red", kind: "bar", values: "congestion" },
    ],
  }),
  energy: new Chart(byId("chart-energy"), {
    say: power, unit: "kWh", zero: true, parts: [
      { name: "inside LAMs", colour: "green", kind: "bar", values: "traded_lam_kwh" },
      { name: "between LAMs", colour: "sky", kind: "bar", values: "traded_wam_kwh" },
      { name: "bought in all", colour: "grey", kind: "line", values: "bought_kwh" },
    ],
  }),
  power: new Chart(byId("chart-power"), {
    say: power, unit: "kW", zero: true, parts: [
      { name: "metered", colour: "blue", kind: "line", values: "grid_actual_kw" },
      { name: "scheduled", colour: "orange", kind: "line", thin: true, values: "grid_scheduled_kw" },
      { name: "losses", colour: "red", kind: "line", values: "losses_kw" },
    ],
  }),
  volts: new Chart(byId("chart-volts"), {
    say: (value) => number(value, 3), unit: "pu", least: 0.002, parts: [
      { name: "lowest – highest", colour: "purple", kind: "band", values: ["v_min_pu", "v_max_pu"] },
      { name: "lowest", colour: "purple", kind: "line", values: "v_min_pu" },
      { name: "highest", colour: "purple", kind: "line", values: "v_max_pu" },
    ],
  }),
};
const ahead = new AheadView();
const map = new FeederMap();
const happen = new EventForm(map);

const now = () => Date.now() / 1000 - view.offset;
const ageOf = (at) => (at === null || panels.run.mode === "past" ? "" : seconds(Math.max(0, now() - at)));

const showRun = () => {
  const { run } = panels;
  document.title = run.label ? `${run.label} · ${run.run}` : run.run;
  text(byId("run-name"), run.run);
  text(byId("run-facts"), run.feeder ? `${run.feeder} · ${number(run.prosumers, 0)} prosumers in ${number(run.lams, 0)} LAMs${run.incomplete && ` · ${run.incomplete}`}` : "waiting for what the run is");
  text(byId("moment"), run.label || "–:–");
  text(byId("date"), run.date);
  const at = STEPS.indexOf(run.step);
  byId("steps").hidden = document.querySelector(".services").hidden = run.mode === "past";
  map.keepsAll = run.mode === "live";
  byId("steps").replaceChildren(...STEPS.map((step, each) => make("li", { class: each < at ? "done" : each === at ? "now" : "", "aria-current": each === at ? "step" : false }, step)));
  byId("steps").dataset.opened = run.opened;
  text(byId("waiting"), run.waiting.length ? `waiting for ${run.waiting.join(", ")}` : "");
  showPacing(run);
  happen.show();
  showClock();
};

const showClock = () => {
  const { run } = panels;
  if (!run) return;
  const of = run.tick >= 0 ? `interval ${number(run.tick + 1, 0)} of ${number(run.intervals, 0)}` : "";
  const parts = [of];
  const isQuiet = Date.now() / 1000 - view.heard > QUIET_S;
  if (run.mode === "live" && !run.is_over && run.tick >= 0) {
    if (run.is_paused && run.step === "settle") parts.push("waits for Go on or Step");
    else if (run.ends !== null) parts.push(`${seconds(Math.max(0, run.ends - now()))} left`, `pace ${number(run.pace, 0)}`);
    else parts.push("as fast as it goes");
    if (run.lag_s > 0.5) parts.push(`${seconds(run.lag_s)} late`);
    if (run.waiting.length && now() - run.opened > 2) parts.push(`waiting ${seconds(now() - run.opened)} for ${run.waiting.slice(0, 2).join(", ")}`);
  }
  text(byId("countdown"), parts.filter(Boolean).join(" · "));
  const [word, kind] = run.mode === "past" ? [run.incomplete ? "unfinished run" : "past run", run.incomplete ? "warn" : ""]
    : run.is_over ? ["run is over", ""]
    : !view.isLinked || isQuiet ? ["no connection to the view's server", "alarm"]
    : !run.is_heard ? ["the broker is away", "alarm"]
    : run.is_paused && run.step === "settle" ? ["paused", "warn"]
    : run.is_paused ? ["pauses after this interval", "warn"]
    : run.tick < 0 ? ["waiting for the run", "warn"] : ["live", "good"];
  const chip = byId("state");
  text(chip, word);
  chip.className = `chip ${kind}`;
};

const showDeviceRows = () => showDevices(panels.devices, view.found ?? panels.devices.rows, ageOf);

// What to draw when a panel has changed.
const SHOW = {
  run: [() => showClearing(panels.clearing, panels.prices, panels.run.step)],
  layout: [() => map.lay(panels.layout)],
  map: [() => map.show(panels.map, panels.prices), () => showFigures(panels), () => { charts.volts.levels = panels.map.limits_pu; }],
  prices: [() => map.show(panels.map, panels.prices), () => showFigures(panels), () => showClearing(panels.clearing, panels.prices, panels.run.step)],
  energy: [() => showFigures(panels)],
  clearing: [() => showClearing(panels.clearing, panels.prices, panels.run.step)],
  devices: [showDeviceRows, () => showFigures(panels)],
  flags: [() => showFlags(panels.flags)],
  services: [() => showServices(panels.services)],
  money: [() => showMoney(panels.money, view.money)],
  stop: [() => showStop(panels.stop)],
  ahead: [() => ahead.show(panels.ahead)],
  series: [() => Object.values(charts).forEach((chart) => chart.show(panels.series))],
};

const changed = new Set();
const draw = () => {
  const names = [...changed];
  changed.clear();
  const todo = new Set(names.flatMap((name) => SHOW[name] ?? []).map(String));
  for (const name of Object.keys(SHOW)) {
    if (!names.includes(name)) continue;
    for (const show of SHOW[name]) if (todo.delete(String(show))) show();
  }
};

const take = (received) => {
  Object.assign(panels, received);
  if (received.run) showRun(); // Where the run is comes first; what is larger waits for the next frame.
  if (!changed.size) requestAnimationFrame(draw);
  for (const name of Object.keys(received)) changed.add(name);
  if (received.devices && view.find) find(view.find);
};

const find = async (wanted) => {
  view.find = wanted;
  if (!wanted) view.found = null;
  else {
    const answer = await fetch(`/devices?find=${encodeURIComponent(wanted)}`);
    if (view.find !== wanted || !answer.ok) return;
    view.found = await answer.json();
  }
  showDeviceRows();
};

const listen = () => {
  const source = new EventSource("/parts");
  source.onmessage = (event) => {
    const received = JSON.parse(event.data);
    view.heard = Date.now() / 1000;
    view.offset = view.heard - received.now;
    view.isLinked = true;
    take(received.panels);
    // Whoever is over has no more to say, and its server may go.
    if (received.panels.run?.is_over) setTimeout(() => source.close(), LAST_WORDS_MS);
    if (received.panels.run?.mode === "past") { source.close(); initPast(panels, take); }
  };
  source.onerror = () => { view.isLinked = false; showClock(); };
};

initStop();
initPacing();
initTheme(() => { if (panels.series) take({ series: panels.series, map: panels.map, ahead: panels.ahead }); });
byId("find").addEventListener("input", (event) => find(event.target.value.trim()));
for (const button of document.querySelectorAll("[data-money]")) {
  button.addEventListener("click", () => {
    view.money = button.dataset.money;
    for (const each of document.querySelectorAll("[data-money]")) each.setAttribute("aria-pressed", String(each === button));
    showMoney(panels.money, view.money);
  });
}
setInterval(showClock, 250);
listen();
