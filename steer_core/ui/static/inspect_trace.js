// Arrival trace: position by position from the edit to what the answer reads, and one sentence.
import { gridOf, largest, layerName, modesOf, nearWords, number } from "./inspect_grid.js";
import { mountLook } from "./inspect_panel.js";
import { make } from "./numbers.js";
import { store } from "./store.js";
import { percent } from "./words.js";

const MODES = [
  ["relative", "‖Δh‖ / ‖h‖"],
  ["delta_norm", "‖Δh‖"],
  ["norm_change", "Δ‖h‖"],
  ["cosine", "cosine"],
  ["cached", "keys & values"],
  ["attention", "attention"],
  ["read", "read"],
];
const CAPTIONS = {
  relative: "Change of each state over the norm of the baseline's.",
  delta_norm: "Norm of the change of each state, in the model's units.",
  norm_change: "How much longer each state gets; teal: shorter.",
  cosine: "Cosine between steered and baseline state; shade: how far below 1.",
  cached: "Relative change of the keys and values that a block has stored of each position.",
  attention: "What the answer's first number gives to each position, mean over heads.",
  read: "Change of keys and values times the attention to them: what the answer reads of the edit.",
};

export function mount(element, props, watch, plotly, page) {
  let mode = "relative";
  let parts = null;
  const near = () => document.querySelector("#answers .arrival");
  mountLook(element, props, watch, page, {
    always: true, // its sentence stands below the answer
    mounted: (made) => {
      parts = made;
    },
    failed: (line) => near() && line && (near().textContent = ""),
    draw: (value, index, { chart, reading }) => {
      const sentence = value.alphas[index] === 0 ? "" : value.sentence[index];
      if (near()) near().textContent = sentence;
      element.dataset.outcome = value.outcome[index];
      if (!element.querySelector("details").open) return;
      chart.replaceChildren(
        make("h3", "", `From the edit to the answer, ${nearWords(value, index, store.alpha)}`),
        pipeline(value, index),
        modesOf(MODES, () => mode, (chosen) => ((mode = chosen), parts.draw()), "Measure"),
        make("p", "caption", CAPTIONS[mode]),
        mapOf(value, index, mode),
      );
      reading.textContent = value.sentence[index];
    },
  });
}

// One column a position: it runs from top to bottom, as the edit does.
function pipeline(value, index) {
  const K = value.latents;
  const most = (rows) => rows.map((row) => Math.max(...row.map((x) => x ?? 0)));
  const states = most(value.relative[index]);
  const last = (name) => [...value[name][index], null]; // of z_{k+1}, made at position k; none at K
  const rows = [
    ["states move, largest over layers", states],
    ["into the projection's LayerNorm", last("before_norm")],
    ["next latent thought z(k+1)", last("thought")],
    ["keys & values, largest over blocks", most(value.cached[index])],
    ["read by the answer, largest", most(value.read[index])],
  ].map(([name, row]) => ({ name, cells: row.map((x) => ({ text: x === null ? "" : x === 0 ? "0" : percent(x, x < 0.0995 ? 1 : 0).replace(/\s/, ""), share: Math.sqrt(Math.min(1, x ?? 0)) })) }));
  const box = make("div", "pipeline");
  const ends = make("div", "ends");
  ends.append(
    fact("KL at the first number", value.kl[index] === null ? "–" : `${number(value.kl[index])} nats`),
    fact("change of its margin", number(value.margin[index])),
    fact("outcome", value.outcome[index]),
  );
  const columns = Array.from({ length: K + 1 }, (_, k) => String(k));
  box.append(gridOf({ rows, columns, wide: true, label: `Relative change by stage and position. ${value.sentence[index]}` }), ends);
  return box;
}

function fact(name, text) {
  const box = make("div", "fact");
  box.append(make("span", "", name), make("strong", "", text));
  return box;
}

function mapOf(value, index, mode) {
  const grid = value[mode][index];
  const blocks = ["cached", "attention", "read"].includes(mode);
  const count = grid[0].length;
  const distance = (x) => (mode === "cosine" ? 1 - x : x);
  const most = mode === "attention" || mode === "cosine" ? 1 : largest(value[mode].map((one) => one.map((row) => row.map(distance))));
  const rows = Array.from({ length: count }, (_, i) => count - 1 - i).map((layer) => ({
    name: blocks ? `block ${layer + 1}` : layerName(layer, value.layers),
    cells: grid.map((row) => {
      const x = row[layer];
      return { text: number(x), share: Math.abs(distance(x ?? 0)) / most, minus: x < 0 && mode === "norm_change" };
    }),
  }));
  const columns = grid.map((_, k) => String(k));
  return gridOf({ rows, columns, label: `${CAPTIONS[mode]} By position and layer.` });
}
