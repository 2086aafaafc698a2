// The question with its gold answer; the element whose value is the server's answer.
import { markCut, watchCut } from "./cut.js";
import { isStale } from "./own.js";
import { tellPicks } from "./picks.js";
import { on, receive, store, UNANSWERED } from "./store.js";

const AGAIN_MS = 1500;
const STALE = "Not decoded yet: press Decode or Shift + Enter.";

export function mountQuestion(element, props, watch, plotly, page) {
  const find = (selector) => element.querySelector(selector);
  let later = 0;
  on("view", () => {
    const { view, error, note } = store;
    clearTimeout(later);
    if (note) later = setTimeout(() => page.trigger("again"), AGAIN_MS);
    element.dataset.serial = String(view?.serial ?? "");
    element.dataset.error = error ? "yes" : "";
    if (!view) return;
    find(".text").textContent = view.question;
    markCut(find(".text"));
    find(".gold").hidden = view.gold === null;
    find("dd").textContent = view.gold;
  });
  on("wait", () => {
    const line = message();
    find(".message").hidden = !line;
    find(".message").textContent = line;
    find(".message").classList.toggle("note", line !== "" && line === store.note);
    makeRoom(find(".text"), find(".message"));
    document.body.dataset.waiting = store.waiting.view ? "yes" : "";
    document.body.dataset.outdated = store.waiting.view || line ? "yes" : "";
  });
  tellPicks(page.trigger);
  watchCut(find(".text"));
  new ResizeObserver(() => makeRoom(find(".text"), find(".message"))).observe(element);
  watch("value", () => receive(props.value));
  receive(props.value);
}

// Why what is shown is not the answer to what is asked; empty when it is, or soon will be.
function message() {
  if (store.lost.view) return UNANSWERED;
  if (store.note) return store.note; // also while it is asked for again
  if (store.waiting.view) return "";
  if (store.draft) return isStale() ? STALE : "";
  return store.error ?? "";
}

// A message covers the last lines of the question: those that it touches are not shown at all.
function makeRoom(text, message) {
  text.style.clipPath = "";
  if (message.hidden) return;
  const box = text.getBoundingClientRect();
  const line = parseFloat(getComputedStyle(text).lineHeight);
  const free = Math.max(0, message.getBoundingClientRect().top - box.top);
  text.style.clipPath = `inset(0 0 ${box.height - Math.floor(free / line) * line}px 0)`;
}
