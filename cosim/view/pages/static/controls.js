// Buttons: emergency stop, pace, theme. The stop works before this is loaded, as a form.
"use strict";
import { byId, make, number, text } from "./format.js";

const key = document.querySelector('meta[name="view-key"]').content;

export const say = async (path, body) => {
  const answer = await fetch(path, { method: "POST", headers: { "x-view-key": key, "content-type": "application/json" }, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
};

const dialog = byId("stop-dialog");
const ask = () => {
  if (byId("stop-form").hidden || dialog.open) return;
  dialog.showModal();
  byId("stop-yes").focus();
};

export const initStop = () => {
  byId("stop-form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  byId("stop-no").addEventListener("click", () => dialog.close());
  byId("stop-yes").addEventListener("click", async () => {
    dialog.close();
    try { await say("/stop"); } catch (error) { fail(`The stop was not sent (${error.message.trim()}): stop the devices by hand, or run sharegrid stop.`); }
  });
  addEventListener("keydown", (event) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "range";
    if (event.key === "s" && !event.ctrlKey && !event.metaKey && !event.altKey && !isTyping) ask();
  });
};

const fail = (message) => {
  byId("stop-panel").hidden = false;
  text(byId("stop-summary"), message);
};

export const showStop = (stop) => {
  byId("stop-panel").hidden = !stop.is_asked;
  if (!stop.is_asked) return;
  const commanded = stop.devices - stop.observed;
  const observed = stop.observed ? `; ${number(stop.observed, 0)} are only observed` : "";
  const answer = stop.error || (stop.is_answered ? `${number(stop.safe, 0)} of ${number(commanded, 0)} devices are at their safe values${observed}` : "waiting for the gateway's answer …");
  text(byId("stop-summary"), `${stop.by} (${stop.reason}): ${answer}`);
  byId("stop-lines").replaceChildren(...stop.each.map((device) =>
    make("li", { class: device.state === "not yet" ? "off" : "safe" }, `${device.prosumer} ${device.device}: ${device.state}${device.detail ? ` (${device.detail})` : ""}`)));
  const more = stop.devices - stop.each.length;
  if (stop.is_answered && more > 0) byId("stop-lines").append(make("li", {}, `and ${number(more, 0)} more; find them among the devices`));
};

const PACES = [1, 10, 60, 300, 900];
const lead = (action, pace = null) => say("/lead", { action, pace }).catch((error) => fail(`The run was not led: ${error.message.trim()}`));

export const initPacing = () => {
  byId("pause").addEventListener("click", () => lead(byId("pause").getAttribute("aria-pressed") === "true" ? "go on" : "pause"));
  byId("step").addEventListener("click", () => lead("step"));
  byId("pace").addEventListener("change", (event) => lead("pace", event.target.value === "fast" ? null : Number(event.target.value)));
};

export const showPacing = (run) => {
  byId("pacing").hidden = !run.may_command || run.mode === "past" || run.is_over || run.refusal !== "" || run.tick < 0;
  byId("pause").setAttribute("aria-pressed", String(run.is_paused));
  text(byId("pause"), run.is_paused ? "Go on" : "Pause");
  const select = byId("pace"), value = run.pace === null ? "fast" : String(run.pace);
  if (select.value === value || document.activeElement === select) return;
  const paces = [...new Set([...PACES, ...(run.pace === null ? [] : [run.pace])])].sort((a, b) => a - b);
  select.replaceChildren(...paces.map((pace) => make("option", { value: String(pace) }, pace === 1 ? "real time" : `${number(pace, 0)} ×`)), make("option", { value: "fast" }, "fast"));
  select.value = value;
};

const THEMES = ["auto", "light", "dark"];
export const initTheme = (onChange) => {
  const button = byId("theme");
  let theme = localStorage.getItem("theme") ?? "auto";
  const apply = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    text(button, { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" }[theme]);
    button.setAttribute("aria-label", `Theme is ${theme}; change it`);
    onChange();
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem("theme", theme);
    apply();
  });
  apply();
};
