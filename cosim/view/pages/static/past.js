// A past run: its intervals by a slider, one after the other by Play.
"use strict";
import { setCursor } from "./chart.js";
import { byId, text } from "./format.js";

const EVERY_MS = 400;

export const initPast = (panels, take) => {
  const slider = byId("slider"), play = byId("play");
  let wanted = panels.run.tick, isAsking = false, timer = null;
  byId("past").hidden = false;
  slider.max = String(panels.run.intervals - 1);
  slider.value = String(wanted);
  const label = () => text(byId("slider-label"), `${panels.run.label}  ${panels.run.date}`);
  label();

  // One question at a time; where the slider went meanwhile is asked for next.
  const ask = async () => {
    if (isAsking) return;
    isAsking = true;
    try {
      for (let tick = -1; tick !== wanted;) {
        tick = wanted;
        const answer = await fetch(`/at/${tick}`);
        if (answer.ok) take(await answer.json());
      }
    } finally { isAsking = false; }
    setCursor(Math.floor(wanted / panels.series.stride));
    label();
  };
  const go = (tick) => {
    wanted = Math.max(0, Math.min(Number(slider.max), tick));
    slider.value = String(wanted);
    ask();
  };
  slider.addEventListener("input", () => go(Number(slider.value)));
  play.addEventListener("click", () => {
    if (timer === null) timer = setInterval(() => go(wanted >= Number(slider.max) ? 0 : wanted + 1), EVERY_MS);
    else { clearInterval(timer); timer = null; }
    text(play, timer === null ? "Play" : "Pause");
  });
};
