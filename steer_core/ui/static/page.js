// Entry point: every panel's element arrives here, and window.steer is what inputs call.
import { mountAnswers } from "./answers.js";
import { mountDeltas } from "./deltas.js";
import { keepLink } from "./link.js";
import { follow, listenToSlider, wait } from "./store.js";
import { mountStrip } from "./strip.js";
import { mountSweep } from "./sweep.js";
import { mountQuestion } from "./question.js";

const panels = {
  question: mountQuestion,
  strip: mountStrip,
  answers: mountAnswers,
  deltas: mountDeltas,
  sweep: mountSweep,
};

export function mount(name, element, props, watch, plotly) {
  panels[name](element, props, watch, plotly);
}

window.steer = { follow, wait, link: keepLink };
listenToSlider();
