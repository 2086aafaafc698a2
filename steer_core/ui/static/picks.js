// Drop-down lists as a keyboard needs them. Gradio tells of an input whenever a list is left, also when
// nothing else was picked, and opens it again behind whoever tabs on.

const FOLLOWS_MS = 500;
let trigger = () => {};
let filtering = null; // how many steps were made while a filter is applied
let stepped = null; // where the last step went

// The panel whose events say that another model or problem was picked.
export function tellPicks(send) {
  trigger = send;
}

// The server was last asked for what `steerSent` holds.
export function pick(name, value) {
  const sent = (window.steerSent ??= {});
  if (sent[name] === value) return;
  sent[name] = value;
  stepped = null;
  trigger(`${name}_picked`);
}

// The problem `by` places further in the list. Clicks may be faster than their effect on the inputs:
// such a one goes on from where the last one went.
export function step(by, ids, problem) {
  if (!ids?.length) return problem;
  if (filtering) {
    filtering.steps += by;
    return problem;
  }
  const quick = stepped && performance.now() - stepped.at < FOLLOWS_MS && ids.includes(stepped.id);
  const from = ids.indexOf(quick ? stepped.id : problem);
  const id = from < 0 ? ids[0] : ids[(((from + by) % ids.length) + ids.length) % ids.length];
  stepped = { id, at: performance.now() };
  return id;
}

// While another filter is on its way, steps are counted: they are made in the list that it brings.
export function filters() {
  filtering ??= { steps: 0 };
}

export function filtered(ids, problem) {
  const { steps } = filtering ?? { steps: 0 };
  filtering = null;
  stepped = null;
  return steps ? step(steps, ids, problem) : problem;
}

export function watchLists() {
  window.addEventListener("keydown", (event) => {
    if (event.key === "Tab" && event.target.matches?.("[role=combobox]")) event.stopPropagation();
  }, { capture: true });
}
