// What is shown, as a script and as a command that print the same answers.
import { make } from "./numbers.js";
import { store } from "./store.js";

export function watchCode() {
  document.addEventListener("click", ({ target }) => target.closest?.("#view-buttons .code") && store.view && show());
}

const quoted = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;
const literal = (value) => JSON.stringify(value).replaceAll("null", "None");
const tuple = (values) => `(${values.join(", ")}${values.length === 1 ? "," : ""})`;

// Several layers with factors of their own need a file of edits, which `scriptOf` has no use for.
export function commandOf(view, alpha) {
  const parts = [
    "python -m steer_core decode",
    `--model ${quoted(view.model)}`,
    `--question ${quoted(view.question)}`,
    `--site ${view.site}`,
    layersOf(view),
    `--positions ${quoted(view.positions.join(","))}`,
    `--direction ${quoted(view.direction)}`,
    view.operation === "add" ? "" : `--operation ${view.operation}`,
    view.schedule ? `--schedule=${view.schedule.join(",")}` : "",
    `--alpha=${alpha}`,
    "--json",
  ];
  return parts.filter(Boolean).join(" \\\n  ");
}

function layersOf(view) {
  if (view.at.length > 1) return `--layers-at-once ${view.at.map(([layer]) => layer).join(",")}`;
  return view.layer === null ? "" : `--layer ${view.layer}`;
}

export const hasCommand = (view) => view.at.every(([, factor]) => factor === 1) && view.direction !== "twin" && view.positions.length > 0;

export function scriptOf(view, alpha) {
  if (view.direction === "twin") return "";
  const edits = view.at.map(([layer, factor]) => {
    const strength = view.schedule ? tuple(view.schedule.map((each) => each * factor * alpha)) : alpha * factor;
    const name = view.operation in { scale: 1, restore_norm: 1 } ? "mean_difference" : view.direction;
    return `    Edit(find_direction(model, ${literal(view.site)}, ${literal(layer)}, ${literal(name)}).vectors,
         ${strength}, ${literal(view.site)}, ${literal(layer)}, ${tuple(view.positions)}, ${literal(view.operation)}),`;
  });
  return `from steer_core import Edit, decode, load_model
from steer_core.steering.library import find_direction

model = load_model(${literal(view.model)})
question = ${literal(view.question)}
edits = [
${edits.join("\n")}
]
baseline, steered = decode(model, [question, question], [None, edits])
print("baseline", baseline.answer)
print("steered", steered.answer)
`;
}

function show() {
  const { view, alpha } = store;
  const dialog = make("dialog", "keys code");
  dialog.ariaLabel = "As code";
  dialog.append(make("h2", "", "As code"));
  if (view.direction === "twin") dialog.append(make("p", "", "The states of a twin are taken by 'python -m steer_core inspect swap'."));
  else dialog.append(...block("Python", scriptOf(view, alpha)));
  if (hasCommand(view)) dialog.append(...block("Command", commandOf(view, alpha)));
  const close = make("button", "", "Close");
  close.type = "button";
  close.addEventListener("click", () => dialog.close());
  dialog.append(close);
  dialog.addEventListener("close", () => dialog.remove());
  document.querySelector(".gradio-container").append(dialog);
  dialog.showModal();
}

function block(title, text) {
  const copy = make("button", "copy", "Copy");
  copy.type = "button";
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text);
    copy.textContent = "Copied";
  });
  const heading = make("h3", "", `${title} `);
  heading.append(copy);
  const pre = make("pre", title.toLowerCase(), text);
  pre.tabIndex = 0;
  return [heading, pre];
}
