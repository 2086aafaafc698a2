// What all figures share: the answers of the shown problem at every α, and the current α.
import { whenAsked } from "./asked.js";
import { enter } from "./boxes.js";

const listeners = { view: [], draw: [], wait: [] };

export const store = {
  alpha: 0,
  view: null, // last good answer of the server, see payload.py
  draft: null, // question and gold answer as typed since, when they were not sent yet
  error: null, // one line, when the newest request could not be answered
  note: null, // one line, when it cannot be answered yet
  waiting: { view: false, sweep: false },
  lost: { view: false, sweep: false }, // whether the newest request had no answer
};

// A figure that is mounted after the first answer came in is told at once.
export function on(event, listener) {
  listeners[event].push(listener);
  if (store.view || store.error || store.note) listener(store);
}

function emit(event) {
  for (const listener of listeners[event]) listener(store);
}

// A new answer from the server. Older answers that arrive late are dropped.
let newest = 0;
export const receive = whenAsked((value) => {
  if (!value || value.serial < newest) return;
  newest = value.serial;
  store.waiting.view = false;
  store.error = value.error ?? null;
  store.note = value.note ?? null;
  if (!value.error && !value.note) store.view = value;
  emit("wait");
  emit("view");
  draw();
});

export function wait(figure) {
  store.waiting[figure] = true;
  store.lost[figure] = false;
  if (figure === "view") store.draft = null;
  emit("wait");
}

// The request itself failed, so no answer will arrive.
export const UNANSWERED = "the server did not answer; change something to ask again";
export function failed(figure) {
  store.lost[figure] = true;
  arrived(figure);
}

export function types(draft) {
  store.draft = draft;
  emit("wait");
}

export function arrived(figure) {
  store.waiting[figure] = false;
  emit("wait");
}

// Many slider events in one frame are drawn once.
let frame = 0;
export function follow(value) {
  const alpha = Math.round(Number(value) * 10) / 10;
  if (!Number.isFinite(alpha) || alpha === store.alpha) return;
  store.alpha = Math.min(3, Math.max(-3, alpha)) || 0;
  if (!frame) frame = requestAnimationFrame(draw);
}

function draw() {
  cancelAnimationFrame(frame);
  frame = 0;
  emit("draw");
}

// Index of the grid value nearest to α.
export function nearest(alphas, alpha) {
  let best = 0;
  for (let i = 1; i < alphas.length; i++) {
    if (Math.abs(alphas[i] - alpha) < Math.abs(alphas[best] - alpha)) best = i;
  }
  return best;
}

// The slider is the one place that holds α: figures move it, and follow it.
const slider = () => document.querySelector("#alpha input[type=range]");

export function moveSlider(alpha) {
  const input = slider();
  enter(input, Math.round(alpha * 10) / 10);
  input.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
}

export function listenToSlider() {
  document.addEventListener("input", (event) => {
    if (event.target.closest?.("#alpha")) follow(event.target.value);
  });
  follow(slider()?.value ?? 0); // the page may have been restored from its address before
}
