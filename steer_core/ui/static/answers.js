// Baseline and steered answer side by side, and one line that says what happened.
import { showLastNumber, watchCut } from "./cut.js";
import { diff, fill } from "./diff.js";
import { nearest, on, store } from "./store.js";
import { answerText, mark, outcome, signed, verdict } from "./words.js";

export function mountAnswers(element) {
  const find = (selector) => element.querySelector(selector);
  const sides = { baseline: find(".baseline"), steered: find(".steered") };
  for (const side of Object.values(sides)) watchCut(side.querySelector(".text"));
  let differences = new Map(); // by number of the steered text

  const compared = (view, text) => {
    if (!differences.has(text)) {
      differences.set(text, diff(view.texts[view.text[view.baseline]], view.texts[text]));
    }
    return differences.get(text);
  };

  on("view", () => {
    differences = new Map();
  });

  on("draw", () => {
    const { view, alpha } = store;
    if (!view) return;
    const index = nearest(view.alphas, alpha);
    const { before, after } = compared(view, view.text[index]);
    show(sides.baseline, view, view.baseline, before);
    show(sides.steered, view, index, after);
    find(".at").textContent = `α = ${signed(view.alphas[index])}`;
    find(".outcome").textContent = outcome(view, index);
    sides.steered.dataset.changed = view.answers[index] === view.answers[view.baseline] ? "" : "yes";
    element.dataset.alpha = String(view.alphas[index]);
    element.dataset.index = String(index);
    element.dataset.dead = view.inert.length ? "yes" : "";
    element.dataset.serial = String(view.serial);
  });
}

function show(side, view, index, words) {
  const right = view.correct[index];
  side.dataset.right = verdict(right);
  side.querySelector(".sign").textContent = mark(right);
  side.querySelector(".number").textContent = answerText(view.answers[index]);
  side.querySelector(".verdict").textContent = verdict(right);
  const text = side.querySelector(".text");
  fill(text, words);
  showLastNumber(text);
}
