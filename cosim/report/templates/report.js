"use strict";
(async () => {
  const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
  const values = new Uint8Array(128);
  [...letters].forEach((letter, value) => { values[letter.charCodeAt(0)] = value; });
  // Base 85 and zlib, as the page's writer packs its parts.
  const unpacked = async (id) => {
    const element = document.getElementById(id);
    const text = element.textContent;
    const bytes = new Uint8Array(text.length / 5 * 4);
    for (let from = 0, to = 0; from < text.length; from += 5, to += 4) {
      let number = 0;
      for (let at = from; at < from + 5; at += 1) number = number * 85 + values[text.charCodeAt(at)];
      for (let at = 3; at >= 0; at -= 1, number = Math.floor(number / 256)) bytes[to + at] = number % 256;
    }
    const packed = new Blob([bytes.subarray(0, Number(element.dataset.size))]);
    return new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).text();
  };
  const library = document.createElement("script");
  library.textContent = await unpacked("plotly");
  document.head.append(library);
  const content = JSON.parse(await unpacked("data"));

  // Colours of figures are written for light paper; in the dark these stand for them.
  const night = {
    "#1B2733": "#E4E9EE", "#1b2733": "#e4e9ee", "#ECEFF2": "#28313A", "#B8BEC6": "#55616D", "#b8bec6": "#55616d",
    "#6b7580": "#9aa4ae", "#0072B2": "#4BA3DB", "#E6E6E3": "#5A6068", "#3B1C7A": "#B9A6F0", "#fff": "#161E26",
    "#000": "#ffffff",
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let printing = false;
  const themed = (figure) => {
    if (!dark.matches || printing) return figure;
    const text = JSON.stringify(figure);
    return JSON.parse(text.replace(/"#(?:[0-9a-fA-F]{6}|fff|000)"/g, (colour) => {
      const other = night[colour.slice(1, -1)];
      return other === undefined ? colour : `"${other}"`;
    }));
  };
  const font = { family: getComputedStyle(document.body).fontFamily, size: 12, color: "#1b2733" };
  const config = { displayModeBar: false, responsive: true };
  const common = {
    font,
    paper_bgcolor: "#fff",
    plot_bgcolor: "#fff",
    margin: { l: 58, r: 12, t: 30, b: 34 },
    legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", traceorder: "normal" },
    hoverlabel: { font, bgcolor: "#fff", bordercolor: "#b8bec6" },
  };

  const drawings = [...document.querySelectorAll("[data-figure]")].map((place) => () => {
    const figure = content.figures[place.dataset.figure];
    const margin = figure.layout.showlegend === false ? { margin: { ...common.margin, t: 6 } } : {};
    const shown = themed({ data: figure.data, layout: { ...common, ...margin, ...figure.layout } });
    Plotly.react(place, shown.data, shown.layout, config);
  });
  const drawAll = () => drawings.forEach((draw) => draw());
  drawAll();
  dark.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { printing = true; drawAll(); });
  addEventListener("afterprint", () => { printing = false; drawAll(); });

  const laid = content.map;
  if (laid === null) return;
  const root = document.getElementById("map-figure");
  const slider = root.querySelector("input");
  const moment = root.querySelector("output");
  const play = root.querySelector(".play");
  // Each value stands as what it differs from the one of the interval before.
  const unrolled = ({ digits, steps }) => {
    const last = [];
    return steps.map((row) => row.map((step, at) => {
      if (step === null) return null;
      last[at] = (last[at] ?? 0) + step;
      return last[at] / 10 ** digits;
    }));
  };
  const FeederMap = new Function(`${await unpacked("drawing")}; return FeederMap;`)();
  const unrolledAll = (parts) => Object.entries(parts).map(([name, part]) => [name, unrolled(part)]);
  const [state, prices] = [unrolledAll(laid.state), unrolledAll(laid.prices)];
  const at = (parts, frame) => Object.fromEntries(parts.map(([name, frames]) => [name, frames[frame]]));
  const feeder = new FeederMap();
  feeder.lay(laid.layout);
  let frame = laid.start;
  const draw = () => {
    const [now, cleared] = [at(state, frame), at(prices, frame)];
    now.v_pu = now.worst.map((node, bus) => (node === null ? null : now.node_v_pu[feeder.nodes[bus][node]]));
    cleared.price = cleared.wam_price.map((price, lam) => (cleared.over[lam] === null ? null : price + cleared.over[lam]));
    cleared.loss = cleared.wam_price.map((price, lam) => (price === null ? null : price - laid.energy[frame] - cleared.voltage[lam] - cleared.congestion[lam]));
    feeder.show({ ...laid.others[frame], ...now, limits_pu: laid.limits_pu, violations: [] }, cleared);
    slider.value = frame;
    moment.value = laid.frames[frame];
  };
  addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; feeder.colour(); });
  addEventListener("afterprint", () => { delete document.documentElement.dataset.theme; feeder.colour(); });
  slider.max = laid.frames.length - 1;
  slider.addEventListener("input", () => { frame = Number(slider.value); draw(); });

  let timer = null;
  play.addEventListener("click", () => {
    if (timer === null) {
      timer = setInterval(() => { frame = (frame + 1) % laid.frames.length; draw(); }, 250);
    } else {
      clearInterval(timer);
      timer = null;
    }
    play.textContent = timer === null ? "▶" : "❚❚";
    play.setAttribute("aria-label", timer === null ? "Play" : "Pause");
  });
  draw();
})();
