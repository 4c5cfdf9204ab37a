// Figures and tables: each function shows one panel of the view model.
"use strict";
import { bar, byId, make, number, percent, power, price, seconds, signed, table, text } from "./format.js";

const KINDS = { pv: "PV", battery: "battery", ev: "charger", load: "load" };
const WEIGHTS = { alarm: "▲", warning: "●", note: "○" };

export const showFigures = ({ prices, map, energy, devices, flags }) => {
  const spread = (values, say) => {
    const known = values.filter((value) => value !== null);
    return known.length ? `${say(Math.min(...known))} – ${say(Math.max(...known))}` : "–";
  };
  const good = devices.counts.good ?? 0;
  const [lower, upper] = map.limits_pu;
  const figures = [
    ["energy-price", "Energy price, $/kWh", price(prices.energy_price)],
    ["dlmp", "DLMP, $/kWh", spread(prices.wam_price, price)],
    ["head", "Feeder head, kW", power(map.source_kw)],
    ["losses", "Losses, kW", power(map.losses_kw)],
    ["voltage", "Voltage, pu", map.v_min_pu === null ? "–" : `${number(map.v_min_pu, 3)} – ${number(map.v_max_pu, 3)}`, lower !== null && (map.v_min_pu < lower - 1e-4 || map.v_max_pu > upper + 1e-4) && map.v_min_pu !== null],
    ["loading", "Highest loading", percent(map.max_loading), map.max_loading > 1.001],
    ["shared", "From neighbours", energy.bought_kwh ? percent((energy.traded_lam_kwh + energy.traded_wam_kwh) / energy.bought_kwh) : "–"],
    ["answering", "Devices good", devices.total ? `${number(good, 0)} of ${number(devices.total, 0)}` : "–", good < devices.total && devices.counts[""] !== devices.total],
  ];
  Object.assign(byId("figures").dataset, { cleared: prices.tick, metered: map.tick, booked: energy.tick });
  byId("figures").replaceChildren(...figures.map(([name, label, value, isBad]) =>
    make("div", { class: isBad ? "bad" : "" }, make("dt", {}, label), make("dd", { "data-value": name }, value))));
};

export const showClearing = (clearing, prices, stepName) => {
  const verdicts = { confirmed: "confirmed by AC power flow", unconfirmed: "not confirmed: least violating candidate", held: "last prices hold" };
  const isOpen = stepName === "clear" && !clearing.status;
  text(byId("clearing-state"), isOpen ? "running" : verdicts[clearing.status] ?? "");
  const worst = Math.max(clearing.tolerance_pu, ...clearing.rounds.map((each) => each.error_pu ?? 0));
  // From a hundredth of the tolerance to the largest error, by powers of ten.
  const share = (error) => (error > 0 ? Math.max(0.02, Math.log10(error / (0.01 * clearing.tolerance_pu)) / Math.log10(worst / (0.01 * clearing.tolerance_pu))) : 0);
  const rows = clearing.rounds.map((round) => ({
    cells: [
      String(round.number),
      round.violations.length ? [`${round.violations.length + round.unnamed} beyond limits`, { class: "off", title: round.violations.join("; ") }] : "limits kept",
      round.error_pu === null ? "–" : make("span", {}, bar(share(round.error_pu), `level${round.error_pu > clearing.tolerance_pu ? " over" : ""}`), ` ${round.error_pu.toExponential(1)}`),
      seconds(round.seconds),
      round.is_confirmed ? [ "✓", { class: "safe", "aria-label": "confirmed" }] : ["again", {}],
    ],
  }));
  const content = [];
  if (rows.length) content.push(table(["Round", "Limits", `Model error, pu (tolerance ${clearing.tolerance_pu.toExponential(0)})`, "Time", "Verdict"], rows));
  else content.push(make("p", { class: "empty" }, "No round of this interval yet."));
  const moves = clearing.bid_change.length ? `; prices last moved by ${clearing.bid_change.at(-1).toExponential(1)} $/kWh` : "";
  if (clearing.bid_rounds > 1) content.push(make("p", { class: "note" }, `${clearing.bid_rounds} rounds of bids${moves}`));
  byId("rounds").replaceChildren(...content);
  const limits = prices.limits.map((limit) => {
    const unit = limit.kind === "voltage" ? "pu" : "%";
    const digits = limit.kind === "voltage" ? 4 : 1;
    return { cells: [limit.row, [limit.kind, { class: "left" }], `${number(limit.limit, digits)} ${unit}`, signed(limit.price, 2)] };
  });
  const gave = prices.relaxed.map((each) => make("p", { class: "note alarm" }, `gave way: ${each}`));
  byId("limits").replaceChildren(limits.length
    ? table(["Limit", ["Kind", { class: "left" }], "At", "Shadow price, $/h per unit"], limits)
    : make("p", { class: "empty" }, prices.tick < 0 ? "Nothing was cleared yet." : "None: the feeder does not hold the market back."), ...gave);
};

const deviceCell = (row, kind) => {
  const device = row.devices.find((each) => each.device === kind);
  if (!device) return "";
  const asked = device.has_set_point ? (device.set_kw === null ? " → free" : ` → ${power(device.set_kw)}`) : "";
  const parts = [power(device.p_kw), make("small", {}, asked)];
  if (device.soc !== null) parts.push(make("small", {}, ` ${percent(device.soc)}`), bar(device.soc, "soc"));
  return make("span", {}, ...parts);
};

const stateOf = (row) => {
  const stopped = row.devices.filter((device) => device.stop);
  if (stopped.some((device) => device.stop === "not yet")) return ["not safe yet", { class: "off", title: stopped.map((each) => each.stop_detail).join("; ") }];
  if (stopped.length) return [stopped.every((device) => device.stop === "safe") ? "safe" : "observed", { class: "safe" }];
  if (row.devices.some((device) => device.real)) return row.devices.some((device) => device.armed && device.obeys) ? "armed" : "observed";
  return row.devices.length && !row.devices.some((device) => device.obeys) ? "takes no set-points" : "emulated";
};

export const showDevices = (panel, rows, ageOf) => {
  const order = ["good", "suspect", "held", "missing"];
  byId("device-counts").replaceChildren(...order.filter((each) => panel.counts[each]).map((each) =>
    make("span", { class: each === "good" ? "" : "bad" }, make("b", {}, number(panel.counts[each], 0)), ` ${each}`)));
  if (!panel.total) {
    byId("devices").replaceChildren(make("p", { class: "empty" }, "No prosumer of this run has devices of its own."));
    return;
  }
  const kinds = Object.keys(KINDS).filter((kind) => rows.some((row) => row.devices.some((device) => device.device === kind)));
  const shown = rows.map((row) => ({
    attributes: { class: { missing: "dead", held: "dead", suspect: "suspect" }[row.quality] ?? "", "data-prosumer": row.prosumer },
    cells: [
      row.name === row.prosumer ? row.prosumer : make("span", {}, `${row.name} `, make("small", {}, row.prosumer)),
      row.lam,
      [row.quality ? (row.checks.length ? `${row.quality}: ${row.checks.join(", ")}` : row.quality) : "not read yet", { class: "left" }],
      ageOf(row.read_at),
      power(row.p_kw),
      number(row.v_pu, 3),
      ...kinds.map((kind) => deviceCell(row, kind)),
      row.acknowledged === null ? "" : row.acknowledged ? ["✓", { class: "safe", "aria-label": "read back" }] : ["refused", { class: "off", title: row.detail }],
      stateOf(row),
    ],
  }));
  const head = ["Prosumer", "LAM", ["Reading", { class: "left" }], "Age", "kW", "pu", ...kinds.map((kind) => `${KINDS[kind]}, kW`), "Set", "State"];
  const more = panel.total > rows.length ? [make("p", { class: "note" }, `${number(rows.length, 0)} of ${number(panel.total, 0)} are shown, those that need looking at first; find others by name.`)] : [];
  byId("devices").replaceChildren(table(head, shown), ...more);
};

export const showFlags = (panel) => {
  text(byId("flag-count"), panel.total ? `${number(panel.total, 0)} in all` : "");
  byId("flags").replaceChildren(...(panel.rows.length ? panel.rows.map((row) =>
    make("div", { class: `flag ${row.weight}`, "data-number": row.number },
      make("time", {}, row.label), make("i", { role: "img", "aria-label": row.weight }, WEIGHTS[row.weight]),
      make("p", {}, row.text), make("span", { class: "times" }, row.count > 1 ? `× ${number(row.count, 0)}` : ""))) : [make("p", { class: "empty" }, "Nothing went wrong.")]));
};

export const showMoney = (panel, which) => {
  const names = { lams: "LAMs", wam: "WAM" };
  if (!panel.kinds.length) {
    byId("money").replaceChildren(make("p", { class: "empty" }, "No interval was booked yet."));
    return;
  }
  const dollars = (micro) => signed(micro / 1e6, 2);
  const cells = (values) => values.map((micro) => (micro ? dollars(micro) : ["0", { class: "nil" }]));
  const rows = panel.kinds.map((kind, at) => ({ cells: [kind, ...cells(panel[which][at])] }));
  const sums = panel.groups.map((_, group) => panel[which].reduce((sum, row) => sum + row[group], 0));
  rows.push({ cells: ["balance", ...cells(sums)], attributes: { class: "total" } });
  const since = which === "total" ? `since ${panel.first_label}` : "of the last interval";
  byId("money").replaceChildren(
    table(["$", ...panel.groups.map((group) => names[group] ?? group)], rows),
    make("p", { class: "note" }, `What each received (+) and paid (−) ${since}; every line sums to exactly 0.`),
  );
};

export const showServices = (panel) => {
  const rows = panel.rows.map((row) => ({
    attributes: { class: row.online ? "" : "dead", "data-service": row.name },
    cells: [row.name, [row.online ? "online" : "offline", { class: row.online ? "left" : "left off" }], row.step ? `${row.tick + 1} ${row.step}` : "–", seconds(row.step_s), ...["flags", "sent", "received", "gaps", "late", "rejected", "quarantined"].map((name) => number(row[name], 0))],
  }));
  byId("services").replaceChildren(rows.length
    ? table(["Service", ["State", { class: "left" }], "Last report", "Took", "Flags", "Sent", "Received", "Gaps", "Late", "Refused", "Set aside"], rows)
    : make("p", { class: "empty" }, "No service was heard yet."));
};
