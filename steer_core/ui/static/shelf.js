// The list of stored experiments: open one, resume it, or tick two to compare them.
import { count, make, moment } from "./numbers.js";
import { linkedRuns } from "./link.js";
import { opens } from "./opening.js";

const STATES = {
  finished: "✓ finished",
  running: "● running",
  stopped: "■ stopped",
  prepared: "prepared",
  begun: "begun",
  unreadable: "! unreadable",
};

export function mount(element, props, watch, plotly, page) {
  const find = (selector) => element.querySelector(selector);
  let newest = 0;
  let ticked = [];

  const mark = () => {
    find(".compare").disabled = ticked.length !== 2;
    find(".compare").textContent = ticked.length === 1 ? "Tick one more" : "Compare two";
  };
  const tick = (name, on) => {
    ticked = ticked.filter((each) => each !== name);
    if (on) ticked.push(name);
    const dropped = ticked.length > 2 ? ticked.shift() : null; // the newest two stay
    for (const box of element.querySelectorAll("input")) if (box.value === dropped) box.checked = false;
    mark();
  };
  const receive = () => {
    const value = props.value;
    if (!value || value.serial < newest) return;
    newest = value.serial;
    const names = value.entries.map((entry) => entry.name);
    ticked = ticked.filter((name) => names.includes(name));
    find(".empty").hidden = names.length > 0;
    find("table").hidden = !names.length;
    find("tbody").replaceChildren(...value.entries.map((entry) => rowOf(entry, value.busy, ticked, tick, page.trigger)));
    element.dataset.count = String(names.length);
    mark();
  };
  const compare = (names) => {
    opens("", "Comparing them…");
    page.trigger("compare", { names });
  };
  find(".compare").addEventListener("click", () => compare(ticked));
  watch("value", receive);
  receive();
  const linked = linkedRuns();
  if (linked.compare) compare(linked.compare);
  else if (linked.run) open(linked.run, page.trigger);
}

function open(name, trigger) {
  opens(name, `Reading ${name}…`);
  trigger("open", { name });
}

function rowOf(entry, busy, ticked, tick, trigger) {
  const row = make("tr");
  Object.assign(row.dataset, { name: entry.name, state: entry.state });
  const box = make("input");
  Object.assign(box, { type: "checkbox", value: entry.name, disabled: !entry.done, checked: ticked.includes(entry.name) });
  box.setAttribute("aria-label", `Compare ${entry.name}`);
  box.addEventListener("change", () => tick(entry.name, box.checked));
  const rows = entry.total ? `${count(entry.done)} / ${count(entry.total)}` : "–";
  const cells = [box, make("b", "", entry.name), entry.model || "–", stateOf(entry), rows, moment(entry.date)];
  row.append(...cells.map((content, i) => cellOf(content, i === 4 ? "n" : "")));
  row.append(actionsOf(entry, busy, trigger));
  return row;
}

function cellOf(content, name) {
  const cell = make("td", name);
  cell.append(content);
  return cell;
}

function stateOf(entry) {
  const state = make("span", `state ${entry.state}`, STATES[entry.state] ?? entry.state);
  state.title = entry.message;
  return state;
}

function actionsOf(entry, busy, trigger) {
  const cell = make("td", "actions");
  const button = (label, act) => {
    const made = make("button", label.toLowerCase(), label);
    made.type = "button";
    made.setAttribute("aria-label", `${label} ${entry.name}`);
    made.addEventListener("click", act);
    cell.append(made);
    return made;
  };
  const { name } = entry;
  if (entry.resumable) button("Resume", () => trigger("resume", { name })).disabled = busy;
  if (entry.state !== "unreadable") button("Open", () => open(name, trigger));
  return cell;
}
