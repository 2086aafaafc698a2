// One key for everything of the demo, wherever nothing else takes the key: see `KEYS`, which `?` shows.
import { enter } from "./boxes.js";
import { presenting, present, swapFigure } from "./present.js";
import { moveSlider, store } from "./store.js";
import { make } from "./numbers.js";

const KEYS = [
  ["← →", "α by 0.1; with Shift by 0.5"],
  ["↑ ↓", "layer"],
  ["0 – 9", "edit a position, or leave it alone"],
  ["N  P", "next and previous problem"],
  ["Space", "let α run from −3 to 3; again: stop"],
  ["B", "hold: the baseline"],
  ["F", "the other figure of the presenter view"],
  ["V", "presenter view on and off; Esc: off"],
  ["?", "these keys"],
];
// What has a use of its own for keys: text, lists, sliders, choices, tabs.
const OWN = "input, textarea, select, [role=slider], [role=tab], [role=combobox], [role=option], [contenteditable], dialog, .numbers";
const PRESSED = "button, a, summary";
const FRAME_MS = 90;
let running = 0;
let held = null; // α while the baseline is shown

export function watchShortcuts() {
  window.addEventListener("keydown", pressed);
  window.addEventListener("keyup", ({ key }) => key.toLowerCase() === "b" && release());
  window.addEventListener("blur", release);
  document.addEventListener("pointerdown", ({ target }) => target.closest?.("#alpha-panel") && stop());
  document.addEventListener("click", ({ target }) => target.closest?.("#view-buttons .help") && help());
}

function pressed(event) {
  const { target, key, ctrlKey, metaKey, altKey } = event;
  if (ctrlKey || metaKey || altKey || event.defaultPrevented) return;
  if (key === "Escape" && presenting()) return present(false);
  if (target.closest?.(OWN) || !document.querySelector("#alpha")?.checkVisibility()) return;
  if ((key === " " || key === "Enter") && target.closest?.(PRESSED)) return;
  const act = actionOf(event);
  if (!act) return;
  event.preventDefault();
  act();
}

function actionOf({ key, shiftKey, repeat }) {
  const step = shiftKey ? 0.5 : 0.1;
  if (/^\d$/.test(key)) return repeat ? null : positionOf(Number(key));
  return {
    ArrowLeft: () => move(-step),
    ArrowRight: () => move(step),
    ArrowUp: () => layer(1),
    ArrowDown: () => layer(-1),
    n: () => document.querySelector("#following")?.click(),
    p: () => document.querySelector("#previous")?.click(),
    " ": () => !repeat && (running ? stop() : run()),
    b: hold,
    f: swapFigure,
    v: () => present(!presenting()),
    "?": help,
  }[key.length === 1 ? key.toLowerCase() : key];
}

function move(by) {
  stop();
  moveSlider(Math.min(3, Math.max(-3, store.alpha + by)));
}

function layer(by) {
  const input = document.querySelector("#layer input[type=range]");
  if (!input || input.disabled) return;
  const wanted = Math.min(Number(input.max), Math.max(Number(input.min), Number(input.value) + by));
  if (wanted !== Number(input.value)) enter(input, wanted);
}

function positionOf(position) {
  const tick = [...document.querySelectorAll("#positions input")].find((input) => input.name === String(position));
  return tick ? () => tick.click() : null;
}

// There and back, so that the answer is seen to turn both ways.
function run() {
  let by = 0.1;
  running = setInterval(() => {
    if (store.alpha >= 3) by = -0.1;
    if (store.alpha <= -3) by = 0.1;
    moveSlider(store.alpha + by);
  }, FRAME_MS);
  document.body.dataset.running = "yes";
}

function stop() {
  clearInterval(running);
  running = 0;
  document.body.dataset.running = "";
}

function hold() {
  if (held !== null) return;
  stop();
  held = store.alpha;
  moveSlider(0);
}

function release() {
  if (held === null) return;
  moveSlider(held);
  held = null;
}

function help() {
  const open = document.querySelector("dialog.keys");
  if (open) return open.close();
  const dialog = make("dialog", "keys");
  const list = make("dl");
  for (const [keys, does] of KEYS) list.append(make("dt", "", keys), make("dd", "", does));
  const close = make("button", "", "Close");
  close.type = "button";
  close.addEventListener("click", () => dialog.close());
  dialog.ariaLabel = "Keys";
  dialog.append(make("h2", "", "Keys"), list, close);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("keydown", ({ key }) => key === "?" && dialog.close());
  document.querySelector(".gradio-container").append(dialog);
  dialog.showModal();
}
