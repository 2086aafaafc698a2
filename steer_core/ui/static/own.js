// A question of one's own that was typed, but not decoded: what is shown belongs to the one before.
import { store, types } from "./store.js";

const QUESTION = "#question-input textarea";
const GOLD = "#gold :is(input, textarea)";

export function watchOwn() {
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.(`${QUESTION}, ${GOLD}`)) return;
    types({ question: textOf(QUESTION), gold: textOf(GOLD) });
  });
}

// A question that is put in to be edited is not decoded yet.
export function starts([question, gold]) {
  types({ question, gold });
  return [question, gold];
}

const textOf = (selector) => document.querySelector(selector)?.value.trim() ?? "";

export function isStale() {
  const { draft, view } = store;
  return draft.question !== view?.question || !sameNumber(draft.gold, view.gold ?? "");
}

// As the server reads a gold answer: "$1,200" and "#### 1200" are the same.
const numberOf = (text) => Number(text.replace(/.*####/s, "").replace(/[,\s$€£¥₹%]/g, "").replace("−", "-"));
const sameNumber = (some, other) => some === other || (some && other && numberOf(some) === numberOf(other));
