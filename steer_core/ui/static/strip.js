// The answer at each of the 61 α, under the slider and on its scale. Click or drag picks an α.
import { moveSlider, nearest, on, store } from "./store.js";
import { answerText, mark, signed, verdict } from "./words.js";

export function mountStrip(element) {
  const find = (selector) => element.querySelector(selector);
  const strip = find(".strip");

  on("view", () => {
    if (!store.view) return;
    const { view } = store;
    find(".cells").replaceChildren(...view.alphas.map((_, i) => cell(view, i)));
    const runs = runsOf(view);
    find(".runs").replaceChildren(...runs.map((run) => label(run, view)));
    strip.setAttribute("aria-label", `Answers over α: ${runs.map((run) => spoken(run, view)).join("; ")}`);
    element.dataset.judged = view.gold === null ? "no" : "yes";
    element.dataset.serial = String(view.serial);
  });

  on("draw", () => {
    if (!store.view) return;
    const { alphas } = store.view;
    const index = nearest(alphas, store.alpha);
    find(".cursor").style.transform = `translateX(${(100 * index) / alphas.length}%)`;
    element.dataset.index = String(index);
  });

  const pick = (event) => {
    if (!store.view) return;
    const box = strip.getBoundingClientRect();
    const { alphas } = store.view;
    const place = Math.floor(((event.clientX - box.left) / box.width) * alphas.length);
    moveSlider(alphas[Math.min(alphas.length - 1, Math.max(0, place))]);
  };
  strip.addEventListener("pointerdown", (event) => {
    strip.setPointerCapture(event.pointerId);
    pick(event);
  });
  strip.addEventListener("pointermove", (event) => {
    if (strip.hasPointerCapture(event.pointerId)) pick(event);
  });
}

function cell(view, index) {
  const node = document.createElement("i");
  const same = view.answers[index] === view.answers[view.baseline];
  node.className = `${kind(view.correct[index])}${same ? " pale" : ""}`;
  node.title = `α = ${signed(view.alphas[index])}: ${answerText(view.answers[index])} ${mark(view.correct[index])}`;
  return node;
}

const kind = (right) => verdict(right) || "unjudged";

// Neighbouring α with the same answer, as {start, end, answer, right}.
function runsOf(view) {
  const runs = [];
  view.answers.forEach((answer, index) => {
    const last = runs.at(-1);
    if (last && last.answer === answer) last.end = index;
    else runs.push({ start: index, end: index, answer, right: view.correct[index] });
  });
  return runs;
}

function label(run, view) {
  const node = document.createElement("span");
  const width = run.end - run.start + 1;
  node.style.left = `${(100 * run.start) / view.alphas.length}%`;
  node.style.width = `${(100 * width) / view.alphas.length}%`;
  node.className = kind(run.right);
  const words = document.createElement("b");
  words.textContent = `${mark(run.right)} ${answerText(run.answer)}`;
  if (width > 2) node.append(words);
  return node;
}

function spoken(run, view) {
  const [from, to] = [signed(view.alphas[run.start]), signed(view.alphas[run.end])];
  const judged = [answerText(run.answer), verdict(run.right)].filter(Boolean).join(", ");
  return `${from === to ? from : `${from} to ${to}`}: ${judged}`;
}
