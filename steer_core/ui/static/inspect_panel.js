// What all instruments share: a panel asks for its figures when it is open and shows another problem
// or edit than they are for. They hold every α, so that the slider needs no request.
import { nearest, on, store } from "./store.js";

const AGAIN_MS = 1500;

// `look.draw(value, index, parts)` draws; `look.options()` are the panel's own inputs; `look.always`:
// asked for although the panel is closed, because part of it stands elsewhere.
export function mountLook(element, props, watch, page, look) {
  const find = (selector) => element.querySelector(selector);
  const details = find("details");
  const parts = { chart: find(".chart"), tools: find(".tools"), reading: find(".reading"), element };
  let value = null;
  let asked = null;
  let later = 0;

  const wanted = () => look.always || details.open;
  const keyNow = () =>
    store.view && JSON.stringify([store.view.asked, store.view.question, store.view.gold, look.options?.() ?? null]);

  const ask = () => {
    clearTimeout(later);
    if (!wanted() || !store.view) return;
    const key = keyNow();
    if (key !== asked) {
      asked = key;
      element.dataset.waiting = "yes";
      const { question, gold } = store.view;
      page.trigger("asked", { key, asked: store.view.asked, question, gold, options: look.options?.() ?? {} });
    }
    draw();
  };
  const draw = () => {
    if (!value || value.key !== asked) return;
    const index = nearest(value.alphas, store.alpha);
    element.dataset.index = String(index);
    look.draw(value, index, parts);
  };
  const tell = (line) => {
    find(".status").hidden = !line;
    find(".status").textContent = line ?? "";
  };
  const receive = () => {
    const got = props.value;
    if (!got || got.key !== asked) return;
    element.dataset.waiting = "";
    tell(got.error ?? got.note);
    look.failed?.(got.error ?? got.note);
    if (got.error || got.note) {
      if (got.note) later = setTimeout(() => ((asked = null), ask()), AGAIN_MS);
      return;
    }
    value = got;
    element.dataset.key = got.key;
    look.received?.(value, parts);
    draw();
  };

  look.mounted?.({ ...parts, ask, draw });
  on("view", ask);
  on("draw", draw);
  details.addEventListener("toggle", ask);
  watch("value", receive);
  receive();
}
