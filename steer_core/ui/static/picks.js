// Drop-down lists as a keyboard needs them. Gradio tells of an input whenever a list is left, also when
// nothing else was picked, and opens it again behind whoever tabs on.

let trigger = () => {};

// The panel whose events say that another model or problem was picked.
export function tellPicks(send) {
  trigger = send;
}

// The server was last asked for what `steerSent` holds.
export function pick(name, value) {
  const sent = (window.steerSent ??= {});
  if (sent[name] === value) return;
  sent[name] = value;
  trigger(`${name}_picked`);
}

export function watchLists() {
  window.addEventListener("keydown", (event) => {
    if (event.key === "Tab" && event.target.matches?.("[role=combobox]")) event.stopPropagation();
  }, { capture: true });
}
