// Positions × layers as plain elements, as the figure above has them: columns are positions 0..K, the
// last layer is on top. And small helpers that all instruments use.
import { make } from "./numbers.js";
import { short, signed } from "./words.js";

export const alphaWords = (value, index) => {
  const alpha = `α = ${signed(value.alphas[index])}`;
  return alpha;
};

// Where the slider is at another α than the figure.
export function nearWords(value, index, alpha) {
  const shown = value.alphas[index];
  return Math.abs(shown - alpha) < 0.05 ? `α = ${signed(shown)}` : `α = ${signed(shown)}, the nearest looked at`;
}

export function layerName(layer, layers) {
  if (layer === 0) return "embedding";
  return layer === layers ? `block ${layer} + norm` : `block ${layer}`;
}

// `rows`: [{name, cells: [{text, share, minus, mark, title, place}]}], top first; `columns`: names.
export function gridOf({ rows, columns, corner = "position", label, click, wide = false }) {
  const grid = make("div", `look-grid${wide ? " wide" : ""}`);
  grid.style.setProperty("--columns", columns.length);
  grid.role = "img";
  grid.ariaLabel = label;
  for (const row of rows) {
    grid.append(make("span", "name", row.name), ...row.cells.map(cellOf));
  }
  grid.append(make("span", "name", corner), ...columns.map((name) => make("span", "foot", name)));
  if (click) grid.addEventListener("click", (event) => event.target.closest("[data-place]") && click(event.target.closest("[data-place]").dataset.place));
  return grid;
}

function cellOf({ text = "", share = 0, minus = false, mark = "", title = "", place = "", kind = "" }) {
  const cell = make(place ? "button" : "span", `cell${minus ? " minus" : ""}${kind ? ` ${kind}` : ""}`);
  cell.style.setProperty("--share", `${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%`);
  cell.append(make("b", "", text));
  if (mark) cell.append(make("sup", "", mark));
  if (title) cell.title = title;
  if (place) {
    cell.type = "button";
    cell.dataset.place = place;
    cell.ariaLabel = title;
  }
  return cell;
}

export const largest = (values) => Math.max(1e-12, ...values.flat(Infinity).map((v) => Math.abs(v ?? 0)));

// Buttons of which one is pressed: [[value, text]].
export function modesOf(choices, chosen, act, label) {
  const group = make("div", "modes");
  group.role = "group";
  group.ariaLabel = label;
  for (const [value, text] of choices) {
    const button = make("button", "", text);
    button.type = "button";
    button.dataset.mode = String(value);
    button.ariaPressed = String(value === chosen());
    button.addEventListener("click", () => {
      act(value);
      for (const other of group.children) other.ariaPressed = String(other.dataset.mode === String(chosen()));
    });
    group.append(button);
  }
  return group;
}

export function selectOf(choices, chosen, act, label) {
  const line = make("label", "pick", `${label} `);
  const select = make("select");
  for (const [value, text] of choices) {
    const option = make("option", "", text);
    option.value = String(value);
    option.selected = String(value) === String(chosen);
    select.append(option);
  }
  select.addEventListener("change", () => act(select.value));
  line.append(select);
  return line;
}

export const number = (value) => (value === 0 ? "0" : value === null ? "–" : Math.abs(value) < 0.01 ? value.toExponential(0).replace("-", "−") : short(value));
