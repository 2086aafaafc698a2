// Positions × layers: how far each hidden state is from the baseline's. Drawn as plain elements,
// whose shade is one custom property, because that is many times faster than a plotted heatmap.
import { nearest, on, store } from "./store.js";
import { percent, short, signed } from "./words.js";

const NUMBERS_UP_TO = 8; // layers; more rows have no room for numbers

export function mountDeltas(element) {
  const find = (selector) => element.querySelector(selector);
  let mode = "delta";
  let grid = null;
  let hovered = null; // [position, layer]

  const rebuild = () => {
    find(".caption").textContent = captions[mode];
    if (!store.view) return;
    grid = buildGrid(find(".map"), store.view, mode);
  };

  const draw = () => {
    const { view, alpha } = store;
    if (!view || !grid) return;
    const index = nearest(view.alphas, alpha);
    const values = view[mode][index];
    paint(grid, values, mode);
    find(".reading").textContent = reading(view, index, mode, hovered);
    find(".map").setAttribute("aria-label", spoken(view, index, mode));
    element.dataset.index = String(index);
    element.dataset.mode = mode;
    element.dataset.total = String(sum(values));
  };

  on("view", rebuild);
  on("draw", draw);
  find(".modes").addEventListener("click", (event) => {
    const chosen = event.target.dataset.mode;
    if (!chosen) return;
    mode = chosen;
    for (const button of find(".modes").children) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
    rebuild();
    draw();
  });
  find(".map").addEventListener("pointerover", (event) => {
    const place = event.target.dataset.place;
    hovered = place ? place.split(",").map(Number) : null;
    draw();
  });
  find(".map").addEventListener("pointerleave", () => {
    hovered = null;
    draw();
  });
}

function buildGrid(map, view, mode) {
  const { layers, latents } = view;
  const grid = {
    cells: [],
    bars: [],
    numbered: layers <= NUMBERS_UP_TO,
    most: largest(view[mode]),
    lastMost: largest(view[mode], layers),
  };
  const dead = new Set(view.inert.map(([position]) => position));
  const nodes = [corner("final state")];
  for (let position = 0; position <= latents; position++) nodes.push(barOf(grid, position));
  for (let layer = layers; layer >= 0; layer--) {
    nodes.push(corner(layerName(layer, layers)));
    for (let position = 0; position <= latents; position++) {
      nodes.push(cellOf(grid, view, position, layer, dead));
    }
  }
  nodes.push(corner("position"));
  for (let position = 0; position <= latents; position++) {
    nodes.push(footOf(position, view.positions.includes(position), dead.has(position)));
  }
  nodes.push(corner(/:(sd|dose)$/.test(view.direction) ? "‖α = 1‖" : "‖direction‖"));
  for (let position = 0; position <= latents; position++) nodes.push(normOf(view.norms[position]));
  map.style.setProperty("--columns", latents + 1);
  map.style.setProperty("--rows", layers + 1);
  map.classList.toggle("numbers", grid.numbered);
  map.classList.toggle("signed", mode === "change");
  map.replaceChildren(...nodes);
  return grid;
}

function corner(text) {
  const node = document.createElement("span");
  node.className = "name";
  node.textContent = text;
  return node;
}

function layerName(layer, layers) {
  if (layer === 0) return "embedding";
  return layer === layers ? `block ${layer} + norm` : `block ${layer}`;
}

function barOf(grid, position) {
  const node = document.createElement("span");
  node.className = "bar";
  const fill = document.createElement("i");
  node.append(fill);
  grid.bars[position] = fill;
  return node;
}

function cellOf(grid, view, position, layer, dead) {
  const node = document.createElement("span");
  const edited = editedHere(view, position, layer);
  node.className = `cell${edited ? " edited" : ""}${edited && dead.has(position) ? " dead" : ""}`;
  node.dataset.place = `${position},${layer}`;
  (grid.cells[position] ??= [])[layer] = node;
  return node;
}

function editedHere(view, position, layer) {
  if (!view.positions.includes(position) || view.schedule?.[position] === 0) return false;
  // What a block caches of a position is made of what it reads: it is marked where the block stands.
  const rows = view.at.map(([block]) => block ?? { thought: view.layers, embedding: 0 }[view.site]);
  return rows.includes(layer);
}

function footOf(position, edited, dead) {
  const node = document.createElement("span");
  node.className = `foot${edited ? " edited" : ""}${dead ? " dead" : ""}`;
  node.textContent = String(position);
  return node;
}

function normOf(norm) {
  const node = document.createElement("span");
  node.className = "norm";
  node.textContent = short(norm);
  return node;
}

// The scale covers every α of the grid, so that dragging shows growth.
function largest(values, layer = null) {
  let most = 0;
  for (const grid of values) {
    for (const row of grid) {
      for (const value of layer === null ? row : [row[layer]]) most = Math.max(most, Math.abs(value ?? 0));
    }
  }
  return most || 1;
}

function paint(grid, values, mode) {
  values.forEach((row, position) => {
    row.forEach((value, layer) => {
      const node = grid.cells[position][layer];
      const share = Math.abs(value ?? 0) / grid.most;
      node.style.setProperty("--share", `${(100 * share).toFixed(1)}%`);
      node.classList.toggle("minus", value < 0);
      if (grid.numbered) node.textContent = number(value, mode);
    });
    const share = (row.at(-1) ?? 0) / grid.lastMost;
    grid.bars[position].style.transform = `scaleY(${Math.abs(share).toFixed(3)})`;
    grid.bars[position].classList.toggle("minus", share < 0);
  });
}

function number(value, mode) {
  if (value === 0) return "0";
  return mode === "relative" && value !== null ? percent(value, 0).replace(/\s/, "") : short(value);
}

const sum = (values) => values.flat().reduce((total, value) => total + Math.abs(value ?? 0), 0);

const captions = {
  delta: "‖Δh‖: length of steered minus baseline state.",
  relative: "‖Δh‖ as a share of the baseline state's length.",
  change: "Δ‖h‖: how much longer the state gets; teal, down: shorter.",
};

const measures = {
  delta: (value) => `‖Δh‖ = ${short(value)}`,
  relative: (value) => `‖Δh‖ is ${value === null ? "–" : percent(value)} of the baseline's norm`,
  change: (value) => `‖h‖ changes by ${short(value)}`,
};

function reading(view, index, mode, hovered) {
  if (hovered) {
    const [position, layer] = hovered;
    const value = view[mode][index][position][layer];
    return `Position ${position}, ${layerName(layer, view.layers)}: ${measures[mode](value)}`;
  }
  const dead = new Set(view.inert.map(([position]) => position));
  const alive = view.positions.filter((position) => !dead.has(position));
  if (!view.positions.length) return "No position is edited.";
  if (!alive.length) return "The edit (dashed) is at a place that no answer depends on.";
  if (index === view.baseline) return "Outlined: where the edit acts. Move α to see how far it carries.";
  const dose = Math.max(...alive.map((position) => view.dose[index][position] ?? 0));
  // The last block's row is shown behind the final norm, which the edit is in front of.
  const last = view.at.some(([layer]) => layer === view.layers);
  const place = view.site === "residual" && last ? ", in front of the final norm" : "";
  const does = view.operation === "add" ? "is" : "changes";
  const state = view.operation === "add" ? "the state it is added to" : "its state";
  return `The edit (outlined) ${does} up to ${percent(dose, 0)} of the norm of ${state}${place}.`;
}

function spoken(view, index, mode) {
  const last = view[mode][index].map((row, position) => `position ${position}: ${number(row.at(-1), mode)}`);
  return `At α = ${signed(view.alphas[index])}, change of the final hidden state; ${last.join(", ")}`;
}
