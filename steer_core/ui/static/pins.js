// Settings that are kept beside the shown one: their answers follow α, their curves lie in the chart.
import { make } from "./numbers.js";
import { nearest, on, store } from "./store.js";
import { answerText, mark, signed, verdict } from "./words.js";

const MOST = 4;
// Okabe and Ito's colours; dash, symbol and letter tell the curves apart as well.
const SIGNS = [
  { letter: "A", colour: "#0072b2", dash: "dash", symbol: "square" },
  { letter: "B", colour: "#d55e00", dash: "dot", symbol: "diamond" },
  { letter: "C", colour: "#009e73", dash: "dashdot", symbol: "triangle-up" },
  { letter: "D", colour: "#cc79a7", dash: "longdash", symbol: "x" },
];
let pins = [];
const listeners = [];

export const onPins = (listener) => listeners.push(listener);
export const isFull = () => pins.length >= MOST;

export function pin(view, sweep, address = location.href) {
  if (isFull()) return;
  const sign = SIGNS.find((each) => !pins.some(({ sign: taken }) => taken === each));
  pins = [...pins, { sign, view, sweep, address, label: labelOf(view) }];
  tell();
}

export function unpin(gone) {
  pins = pins.filter((each) => each !== gone);
  tell();
}

function tell() {
  for (const listener of listeners) listener(pins);
}

export function labelOf({ model, direction, operation, site, at, positions }) {
  const place = at.map(([layer, factor]) => (layer === null ? site : `${site} ${layer}${factor === 1 ? "" : ` × ${factor}`}`));
  const done = operation === "add" ? "" : ` (${operation.replaceAll("_", " ")})`;
  return `${model}: ${direction.replaceAll("_", " ")}${done} at ${place.join(" + ")}, positions ${positions.join(" ")}`;
}

// Curves over the shown chart, as plain data.
export function curvesOf(pinned) {
  return pinned.filter(({ sweep }) => sweep?.finished).map(({ sign, sweep }) => ({
    x: sweep.alphas,
    y: sweep.alphas.map((_, i) => (sweep.n[i] ? sweep.correct[i] / sweep.n[i] : null)),
    mode: "lines+markers+text",
    line: { color: sign.colour, width: 2, dash: sign.dash },
    marker: { color: sign.colour, size: 7, symbol: sign.symbol },
    text: sweep.alphas.map((_, i) => (i === sweep.alphas.length - 1 ? sign.letter : "")),
    textposition: "top center",
    cliponaxis: false,
    hovertemplate: `${sign.letter}: %{y:.1%}<extra></extra>`,
  }));
}

export function mountPins(element) {
  const [section, cards] = [element.querySelector(".pins"), element.querySelector(".cards")];
  const answers = () => {
    [...cards.children].forEach((card, i) => card.querySelector(".answered").replaceWith(answered(pins[i].view)));
  };
  onPins(() => {
    section.hidden = !pins.length;
    cards.replaceChildren(...pins.map(cardOf));
    element.dataset.count = String(pins.length);
    answers();
  });
  on("draw", answers);
}

function cardOf(each) {
  const card = make("article", "card pinned");
  const swatch = make("b", "sign", each.sign.letter);
  swatch.style.borderColor = each.sign.colour;
  const open = make("a", "", "open");
  open.href = each.address;
  const remove = make("button", "", "remove");
  remove.type = "button";
  remove.ariaLabel = `remove ${each.sign.letter}`;
  remove.addEventListener("click", () => unpin(each));
  const head = make("p", "head");
  head.append(swatch, make("span", "label", each.label), open, remove);
  const question = make("p", "asked", each.view.question);
  question.title = each.view.question;
  card.append(head, question, make("p", "answered"));
  return card;
}

function answered(view) {
  const index = nearest(view.alphas, store.alpha);
  const line = make("p", "answered");
  const was = view.answers[view.baseline];
  const change = view.answers[index] === was ? "" : `, baseline ${answerText(was)}`;
  line.append(`α = ${signed(view.alphas[index])}: `, make("strong", "", `${mark(view.correct[index])} ${answerText(view.answers[index])}`));
  line.append(` ${verdict(view.correct[index])}${change}`);
  return line;
}
