// Entry point: every panel's element arrives here, and window.steer is what inputs call.
import { mountAnswers } from "./answers.js";
import { inputsChanged } from "./asked.js";
import { watchBoxes } from "./boxes.js";
import { watchCode } from "./code.js";
import { mountDeltas } from "./deltas.js";
import { mountPins } from "./pins.js";
import { openTurned } from "./first.js";
import { watchKeys } from "./keys.js";
import { keepLink, keepTab } from "./link.js";
import { failed, follow, listenToSlider, wait } from "./store.js";
import { mountStrip } from "./strip.js";
import { mountSweep } from "./sweep.js";
import { starts, watchOwn } from "./own.js";
import { watchPresenter } from "./present.js";
import { watchShortcuts } from "./shortcuts.js";
import { filtered, filters, pick, step, watchLists } from "./picks.js";
import { mountQuestion } from "./question.js";

const panels = {
  question: mountQuestion,
  strip: mountStrip,
  answers: mountAnswers,
  deltas: mountDeltas,
  sweep: mountSweep,
  pins: mountPins,
};

// Panels that are folded or of the second tab: their modules are loaded when they are first seen.
const later = {
  schedule: async () => ({ mount: (await import("./factors.js")).mountSchedule }),
  layers: async () => ({ mount: (await import("./factors.js")).mountLayers }),
  plan: () => import("./plan.js"),
  steps: () => import("./steps.js"),
  shelf: () => import("./shelf.js"),
  result: () => import("./result.js"),
  atlas: () => import("./atlas.js"),
};

// Instruments: one module each, loaded with its panel.
for (const what of ["trace", "lens", "early", "attention", "swap", "map", "flip"]) {
  later[`look-${what}`] = () => import(`./inspect_${what}.js`);
}

export async function mount(name, element, props, watch, plotly, page) {
  const panel = panels[name] ?? (await later[name]()).mount;
  panel(element, props, watch, plotly, page);
}

const link = () => {
  keepLink();
  inputsChanged();
  window.dispatchEvent(new Event("steer:inputs"));
};

window.steer = { follow, wait, failed, pick, step, filters, filtered, starts, link, tab: keepTab };
watchBoxes();
watchOwn();
watchLists();
watchKeys();
watchShortcuts();
watchPresenter();
watchCode();
listenToSlider();
openTurned();
