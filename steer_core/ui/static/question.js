// The question with its gold answer; the element whose value is the server's answer.
import { on, receive, store, UNANSWERED } from "./store.js";

export function mountQuestion(element, props, watch) {
  const find = (selector) => element.querySelector(selector);
  on("view", () => {
    const { view, error } = store;
    element.dataset.serial = String(view?.serial ?? "");
    element.dataset.error = error ? "yes" : "";
    if (!view) return;
    find(".text").textContent = view.question;
    find(".gold").hidden = view.gold === null;
    find("dd").textContent = view.gold;
  });
  on("wait", () => {
    document.body.dataset.waiting = store.waiting.view ? "yes" : "";
    const line = store.lost.view ? UNANSWERED : store.error;
    find(".message").hidden = !line;
    find(".message").textContent = line ?? "";
    document.body.dataset.outdated = store.waiting.view || line ? "yes" : "";
  });
  watch("value", () => receive(props.value));
  receive(props.value);
}
