// What a keyboard needs that Gradio leaves out: each group of choices is one stop of Tab, arrows move
// within it, and a link in front of all of them leads to the results.

const CHOICES = "fieldset.block input:is([type=radio], [type=checkbox])";
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const RESULTS = ["#alpha input[type=range]", "#exp-main"];

export function watchKeys() {
  joinAll();
  // Gradio gives each radio button a name of its own again and again, so none knows of the others.
  const changes = { subtree: true, childList: true, attributeFilter: ["name"] };
  new MutationObserver(joinAll).observe(document.body, changes);
  document.addEventListener("focusin", ({ target }) => target.matches?.(CHOICES) && stopAt(target));
  document.addEventListener("keydown", move);
  document.addEventListener("click", skip);
}

function joinAll() {
  for (const group of document.querySelectorAll("fieldset.block")) {
    const inputs = choicesOf(group);
    const radios = inputs.filter((input) => input.type === "radio");
    const label = group.querySelector("[data-testid=block-info]")?.textContent.trim();
    if (label && group.ariaLabel !== label) group.ariaLabel = label;
    if (radios.length) group.role = "radiogroup";
    for (const radio of radios) if (group.id && radio.name !== group.id) radio.name = group.id;
    if (!radios.length && inputs.length && !inputs.some((input) => input.dataset.stop)) stopAt(inputs[0]);
  }
}

const choicesOf = (group) => [...group.querySelectorAll("input:is([type=radio], [type=checkbox])")];

// The browser itself stops once at radio buttons of one name; check boxes are told.
function stopAt(input) {
  if (input.type === "radio") return;
  for (const other of choicesOf(input.closest("fieldset"))) {
    other.tabIndex = other === input ? 0 : -1;
    other.dataset.stop = other === input ? "yes" : "";
  }
}

function move(event) {
  const { target, key } = event;
  if (!target.matches?.(CHOICES) || target.type !== "checkbox" || !(key in STEPS)) return;
  event.preventDefault();
  const inputs = choicesOf(target.closest("fieldset")).filter((input) => !input.disabled);
  inputs.at((inputs.indexOf(target) + STEPS[key]) % inputs.length).focus();
}

function skip(event) {
  if (!event.target.matches?.("#skip a")) return;
  event.preventDefault(); // the address is for what is shown
  const result = RESULTS.map((selector) => document.querySelector(selector)).find((node) => node?.checkVisibility());
  if (result?.matches("#exp-main")) result.tabIndex = -1;
  result?.focus();
}
