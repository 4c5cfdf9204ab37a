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
    "#6b7580": "#9aa4ae", "#0072B2": "#4BA3DB", "#E6E6E3": "#5A6068", "#3B1C7A": "#B9A6F0", "#fff": "#12171C",
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

  const map = content.map;
  if (map === null) return;
  const root = document.getElementById("map");
  const place = root.querySelector(".plot");
  const slider = root.querySelector("input");
  const moment = root.querySelector("output");
  const play = root.querySelector(".play");
  const buttons = root.querySelector(".layers");
  const carriesLam = new Set(map.layers[0].bus);

  const [lower, upper] = map.limits;
  const reach = Math.max(upper - 1, 1 - lower);
  const voltage = {
    name: "voltage",
    title: "voltage, pu",
    range: [1 - reach, 1 + reach],
    at(frame) {
      const values = map.voltage.frames[frame];
      const worst = map.bus.map(() => null);
      const phases = map.bus.map(() => []);
      values.forEach((value, node) => {
        if (value === null) return;
        const bus = map.voltage.bus[node];
        phases[bus].push(`phase ${map.voltage.phase[node]}: ${value.toFixed(4)} pu`);
        if (worst[bus] === null || Math.abs(value - 1) > Math.abs(worst[bus] - 1)) worst[bus] = value;
      });
      const buses = map.bus.map((_, bus) => bus).filter((bus) => worst[bus] !== null);
      return {
        buses,
        colour: buses.map((bus) => worst[bus]),
        ring: buses.map((bus) => worst[bus] < lower - 1e-4 || worst[bus] > upper + 1e-4),
        text: buses.map((bus) => `<b>bus ${map.bus[bus]}</b><br>${phases[bus].join("<br>")}`),
      };
    },
  };
  const signed = (value, digits) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
  const layers = [voltage, ...map.layers.map((layer) => ({
    name: layer.name,
    title: layer.base === null ? `${layer.name}, ${layer.unit}` : `${layer.name} less energy price, ${layer.unit}`,
    range: [-layer.reach, layer.reach],
    at(frame) {
      const values = layer.frames[frame];
      const base = layer.base === null ? null : layer.base[frame];
      const say = (value) => {
        if (value === null) return "not known";
        if (base === null) return `${signed(value, layer.digits)} ${layer.unit}`;
        return `${(base + value).toFixed(layer.digits)} ${layer.unit} (${signed(value, layer.digits)} to energy price)`;
      };
      return {
        buses: layer.bus,
        colour: values,
        ring: layer.bus.map(() => false),
        text: values.map((value, lam) => `<b>LAM ${layer.lam[lam]}</b><br>${layer.name}: ${say(value)}`),
      };
    },
  }))];

  const wires = {
    type: "scatter", mode: "lines", hoverinfo: "skip",
    x: map.segments.flatMap(([from, to]) => [map.x[from], map.x[to], null]),
    y: map.segments.flatMap(([from, to]) => [map.y[from], map.y[to], null]),
    line: { color: "#b8bec6", width: 1.6 },
  };
  const joints = {
    type: "scatter", mode: "markers", hoverinfo: "skip", x: map.x, y: map.y,
    marker: { size: 4, color: "#b8bec6" },
  };
  const axis = { visible: false, fixedrange: false };
  let shown = layers[0];
  let frame = map.start;

  const draw = () => {
    const state = shown.at(frame);
    const dots = {
      type: "scatter", mode: "markers", hovertemplate: "%{text}<extra></extra>",
      x: state.buses.map((bus) => map.x[bus]),
      y: state.buses.map((bus) => map.y[bus]),
      text: state.text,
      marker: {
        opacity: 1,
        size: state.buses.map((bus) => (carriesLam.has(bus) ? 14 : 8)),
        color: state.colour, colorscale: map.diverging, cmin: shown.range[0], cmax: shown.range[1],
        line: {
          width: state.ring.map((outside) => (outside ? 2.6 : 0.8)),
          color: state.ring.map((outside) => (outside ? "#000" : "#6b7580")),
        },
        colorbar: { title: { text: shown.title, side: "right" }, thickness: 12, len: 0.9, outlinewidth: 0 },
      },
    };
    const layout = {
      ...common,
      margin: { l: 0, r: 0, t: 6, b: 6 },
      showlegend: false,
      hovermode: "closest",
      uirevision: "map",
      xaxis: axis,
      yaxis: { ...axis, scaleanchor: "x", scaleratio: 1 },
    };
    const drawn = themed({ data: [wires, joints, dots], layout });
    Plotly.react(place, drawn.data, drawn.layout, { ...config, scrollZoom: true });
    slider.value = frame;
    moment.value = map.frames[frame];
  };

  for (const layer of layers) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = layer.name;
    button.setAttribute("aria-pressed", String(layer === shown));
    button.addEventListener("click", () => {
      shown = layer;
      for (const each of buttons.children) each.setAttribute("aria-pressed", String(each === button));
      draw();
    });
    buttons.append(button);
  }
  slider.max = map.frames.length - 1;
  slider.addEventListener("input", () => { frame = Number(slider.value); draw(); });

  let timer = null;
  play.addEventListener("click", () => {
    if (timer === null) {
      timer = setInterval(() => { frame = (frame + 1) % map.frames.length; draw(); }, 250);
    } else {
      clearInterval(timer);
      timer = null;
    }
    play.textContent = timer === null ? "▶" : "❚❚";
    play.setAttribute("aria-label", timer === null ? "Play" : "Pause");
  });
  drawings.push(draw);
  draw();
})();
