// What an operator lets happen to the feeder: a form of the kinds of events and of the elements that there are.
"use strict";
import { say } from "./controls.js";
import { byId, make, text } from "./format.js";

// Kind: fields beside it, and where its elements' names begin among branches or positions.
const LASTS = ["element", "for_min"], ENDS = ["element"];
const KINDS = {
  "line-outage": [LASTS, "line."], "line-repair": [ENDS, "line."], fault: [LASTS, "line."],
  "switch-open": [LASTS, "switch."], "switch-closed": [LASTS, "switch."],
  "transformer-outage": [LASTS, "transformer."], "transformer-repair": [ENDS, "transformer."],
  "capacitor-off": [LASTS, "capacitor."], "capacitor-on": [LASTS, "capacitor."],
  "generator-outage": [LASTS, "generator."], "generator-repair": [ENDS, "generator."],
  "regulator-stuck": [LASTS, "regulator."], "regulator-freed": [ENDS, "regulator."], "regulator-tap": [["element", "tap"], "regulator."],
  "source-voltage": [["pu", "for_min"], ""], "source-restored": [[], ""],
  "load-step": [["lam", "kw", "kvar", "for_min"], "lam"],
};

export class EventForm {
  constructor(map) {
    this.map = map;
    this.kind = byId("happen-kind");
    this.kind.replaceChildren(...Object.keys(KINDS).map((kind) => make("option", { value: kind }, kind.replace("-", " "))));
    this.kind.addEventListener("change", () => this.fit());
    byId("happen-form").addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    byId("happen").addEventListener("toggle", () => this.fit());
    this.fit();
  }

  // Fields that the kind has, and the names that it may name.
  fit() {
    const [fields, prefix] = KINDS[this.kind.value];
    for (const label of byId("happen-form").querySelectorAll("[data-of]")) {
      label.hidden = !fields.includes(label.dataset.of);
      label.querySelector("input").disabled = label.hidden;
    }
    byId("happen-names").replaceChildren(...this.names(prefix).map((name) => make("option", { value: name })));
  }

  names(prefix) {
    const { layout, state } = this.map;
    if (prefix === "lam") return layout?.lam ?? [];
    const all = [...(layout?.elements ?? []), ...Object.keys(state?.positions ?? {})];
    return prefix ? [...new Set(all.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)))].sort() : [];
  }

  async send() {
    const event = { kind: this.kind.value };
    for (const label of byId("happen-form").querySelectorAll("[data-of]:not([hidden])")) {
      const input = label.querySelector("input");
      event[input.name] = input.type === "number" ? Number(input.value) : input.value.trim();
    }
    try {
      await say("/lead", { action: "event", event });
      text(byId("happen-answer"), `Asked for: ${this.kind.selectedOptions[0].label} ${event.element ?? event.lam ?? ""}; what it does stands among the flags.`);
    } catch (error) {
      text(byId("happen-answer"), `It was not asked for: ${error.message.trim()}`);
    }
  }

  // Whoever may lead the run may let things happen to its feeder.
  show() {
    byId("happen").hidden = byId("pacing").hidden;
  }
}
