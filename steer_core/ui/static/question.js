// The question with its gold answer; the element whose value is the server's answer.
import { on, receive, store } from "./store.js";

export function mountQuestion(element, props, watch) {
  const find = (selector) => element.querySelector(selector);
  on("view", () => {
    const { view, error } = store;
    find(".message").hidden = !error;
    find(".message").textContent = error ?? "";
    element.dataset.serial = String(view?.serial ?? "");
    element.dataset.error = error ? "yes" : "";
    if (!view) return;
    find(".text").textContent = view.question;
    find(".gold").hidden = view.gold === null;
    find("dd").textContent = view.gold;
  });
  on("wait", () => {
    document.body.dataset.waiting = store.waiting.view ? "yes" : "";
    document.body.dataset.outdated = store.waiting.view || store.error ? "yes" : "";
  });
  watch("value", () => receive(props.value));
  receive(props.value);
}
