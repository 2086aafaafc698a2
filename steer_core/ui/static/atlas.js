// Atlas: one instrument over all test pairs, each number beside its random counterpart.
import { gridOf, largest, layerName, selectOf } from "./inspect_grid.js";
import { pathsOf } from "./atlas_paths.js";
import { whiskers } from "./inspect_svg.js";
import { make } from "./numbers.js";
import { store } from "./store.js";

const NAMES = {
  swap: "Swap: answers on the twin's latents",
  lens: "Lens: step results read off the states",
  early: "Early answers: accuracy against k",
  attention: "Attention of the answer's number",
  probe: "Probes: what a linear map reads",
  paths: "Paths of the latents",
  map: "Effect map of the edit of Explore",
  flip: "Flip distance along the edit of Explore",
};
const CHOSEN = "Layer, positions, direction and α were chosen while looking at these pairs: exploring, not a test.";
const SEARCHED = "The strongest place was chosen on the pairs shown; its p is corrected for that, its score is not.";

export function mount(element, props, watch, plotly, page) {
  const find = (selector) => element.querySelector(selector);
  const { models, instruments } = props.value;
  const chosen = { model: store.view?.model ?? models[0][1], what: instruments[0] };
  let newest = 0;
  let table = null;
  let group = null;

  const run = make("button", "run", "Run");
  const stop = make("button", "stop", "Stop");
  run.type = stop.type = "button";
  stop.disabled = true;
  find(".tools").append(
    selectOf(models.map(([label, name]) => [name, label]), chosen.model, (v) => (chosen.model = v), "Model"),
    selectOf(instruments.map((what) => [what, NAMES[what]]), chosen.what, (v) => (chosen.what = v), "Instrument"),
    run,
    stop,
  );
  run.addEventListener("click", () => {
    busy(true);
    find(".status").textContent = "Waiting for the model…";
    page.trigger("asked", { ...chosen, asked: store.view?.asked ?? null, alpha: store.alpha || 1 });
  });
  stop.addEventListener("click", () => {
    page.trigger("stopped", {});
    busy(false);
    find(".status").textContent = "Stopped; what is shown is over the pairs so far.";
  });
  const busy = (yes) => {
    stop.disabled = !yes;
    element.dataset.busy = yes ? "yes" : "";
  };

  const receive = () => {
    const value = props.value;
    if (!value?.run || value.run < newest) return;
    newest = value.run;
    if (value.error || value.note) {
      busy(false);
      find(".status").textContent = value.error ?? value.note;
      return;
    }
    if (table?.what !== value.what) group = null;
    table = value;
    find("progress").value = value.done / value.total;
    find(".status").textContent = `${value.done} of ${value.total} pairs${value.finished ? "" : " so far"} · ${value.model}`;
    if (value.finished) busy(false);
    Object.assign(element.dataset, { done: value.done, finished: value.finished ? "yes" : "", what: value.what });
    draw();
  };

  const draw = () => {
    find(".title").textContent = NAMES[table.what];
    const searched = table.what === "probe";
    find(".mark").hidden = !(table.edit || searched);
    find(".mark").textContent = table.edit ? `⚑ ${table.edit}. ${CHOSEN}` : `⚑ ${SEARCHED}`;
    if (table.what === "paths") return pathsOf(table, find);
    const bars = places(table) ? "" : " Filled: seen, hollow and dashed: the counterpart, with 95 % intervals.";
    find(".caption").textContent = `${table.measure[0].toUpperCase()}${table.measure.slice(1)}; beside it: ${table.control}.${bars}`;
    const cells = table.cells.map(cellOf);
    if (!cells.length) {
      find(".chart").replaceChildren(make("p", "caption", "No pair counts here so far."));
      find(".reading").textContent = "";
      return;
    }
    const alone = cells.filter((cell) => cell.step === null);
    const bySteps = table.what === "swap" ? cells.filter((cell) => cell.step !== null) : [];
    find(".chart").replaceChildren(...(places(table) ? maps(cells) : [whiskers(alone, unit(table)), ...stepsOf(bySteps, table)]));
    find(".reading").textContent = reading(cells, table);
  };

  // One pair of maps at a time: what was seen, and its counterpart, on one scale.
  const maps = (cells) => {
    const groups = table.what === "attention" ? ["all"] : [...new Set(cells.map((cell) => cell.group))];
    group = groups.includes(group) ? group : groups[0];
    const mine = cells.filter((cell) => table.what === "attention" || cell.group === group);
    const pick = groups.length > 1 ? [selectOf(groups.map((g) => [g, g]), group, (g) => ((group = g), draw()), "Show")] : [];
    const row = make("div", "beside");
    const most = table.what === "map" ? largest(mine.map((c) => [c.value, c.control])) : 1;
    row.append(...[["value", "Seen"], ["control", "Random counterpart"]].map(([name, title]) => {
      const box = make("div");
      box.append(make("h3", "", title), placed(mine, name, most, table));
      return box;
    }));
    return [...pick, row];
  };

  watch("value", receive);
  receive();
}

const cellOf = ([group, position, layer, step, n, value, low, high, control, controlLow, controlHigh, p]) =>
  ({ group, position, layer, step, n, value, low, high, control, controlLow, controlHigh, p });

const places = (table) => table.cells.some((cell) => cell[2] !== null);

// Latents that are swapped × the step that the changed number enters first.
function stepsOf(cells, table) {
  if (!cells.length) return [];
  const nameOf = (cell) => (cell.position === null ? "all" : `z${cell.position}`);
  const steps = [...new Set(cells.map((cell) => cell.step))].sort((a, b) => a - b);
  const columns = [...new Set(cells.map(nameOf))];
  const row = make("div", "beside");
  row.append(...[["value", "Seen, by the step that the changed number enters"], ["control", "Random counterpart"]].map(([name, title]) => {
    const rows = steps.map((step) => ({
      name: `step ${step} changed`,
      cells: columns.map((column) => {
        const cell = cells.find((one) => one.step === step && nameOf(one) === column);
        const value = cell?.[name] ?? null;
        return { text: value === null ? "–" : said(value, table), share: value ?? 0, title: cell ? told(cell, name, table) : "" };
      }),
    }));
    const box = make("div");
    box.append(make("h3", "", title), gridOf({ rows, columns, corner: "swapped", label: title }));
    return box;
  }));
  return [row];
}

const unit = (table) => (table.what === "map" ? "KL, nats" : "share of problems");

function placed(cells, name, most, table) {
  const columnOf = (cell) => (table.what === "attention" ? cell.group : String(cell.position));
  const columns = [...new Set(cells.map(columnOf))];
  const layers = [...new Set(cells.map((cell) => cell.layer))].sort((a, b) => b - a);
  const top = Math.max(...layers);
  const at = new Map(cells.map((cell) => [`${columnOf(cell)}|${cell.layer}`, cell]));
  const rows = layers.map((layer) => ({
    name: ["map", "attention"].includes(table.what) ? `block ${layer}` : layerName(layer, top),
    cells: columns.map((column) => {
      const cell = at.get(`${column}|${layer}`);
      const value = cell?.[name] ?? null;
      const sure = name === "value" && cell?.p !== null && cell?.p <= 0.05;
      return { text: value === null ? "–" : said(value, table), share: Math.abs(value ?? 0) / most, minus: value < 0, kind: sure ? "marked" : "", title: cell ? told(cell, name, table) : "" };
    }),
  }));
  return gridOf({ rows, columns, label: `${table.measure}, by position and layer` });
}

const percentages = (table) => ["swap", "lens", "early", "flip", "attention"].includes(table.what);
const said = (value, table) => (percentages(table) ? `${Math.round(100 * value)}%` : value.toFixed(2).replace("-", "−"));

function told(cell, name, table) {
  const [low, high] = name === "value" ? [cell.low, cell.high] : [cell.controlLow, cell.controlHigh];
  const interval = low === null || high === null ? "" : ` (95 %: ${said(low, table)} to ${said(high, table)})`;
  const p = name === "value" && cell.p !== null ? `, exact p = ${cell.p}` : "";
  return `${cell.group}: ${cell[name] === null ? "–" : said(cell[name], table)}${interval}, n = ${cell.n}${p}`;
}

function reading(cells, table) {
  const known = cells.filter((cell) => cell.value !== null);
  if (!known.length) return "";
  const best = known.reduce((a, b) => (b.value > a.value ? b : a));
  const where = best.layer === null ? "" : ` at position ${best.position ?? best.group}, layer ${best.layer}`;
  const beside = best.control === null ? "" : `; its random counterpart: ${said(best.control, table)}`;
  const outlined = table.what === "probe" ? " Outlined: exact p ≤ .05." : "";
  return `Largest: ${told(best, "value", table)}${where}${beside}.${outlined}`;
}
