// Latent lens: what each state would say, baseline beside steered.
import { gridOf, layerName, modesOf, nearWords } from "./inspect_grid.js";
import { mountLook } from "./inspect_panel.js";
import { make } from "./numbers.js";
import { nearest, store } from "./store.js";
import { percent, short } from "./words.js";

const SIGNS = "①②③④⑤⑥⑦⑧⑨";

export function mount(element, props, watch, plotly, page) {
  let tuned = false;
  let parts = null;
  mountLook(element, props, watch, page, {
    options: () => ({ tuned }),
    mounted: (made) => {
      parts = made;
      parts.tools.append(modesOf([[false, "logit lens"], [true, "tuned lens"]], () => tuned, (chosen) => ((tuned = chosen), parts.ask()), "Lens"));
    },
    draw: (value, index, { chart, reading }) => {
      const base = nearest(value.alphas, 0);
      const row = make("div", "beside");
      row.append(side("Baseline, α = 0", value, base), side(`Steered, ${nearWords(value, index, store.alpha)}`, value, index));
      const marked = value.values.map((v, i) => `${SIGNS[i] ?? i + 1} = ${v}`).join(", ");
      const lens = value.tuned ? "Tuned lens: a map fitted for each layer comes first." : "Logit lens.";
      chart.replaceChildren(row);
      reading.textContent = `${lens}${marked ? ` Marked where it is the likeliest token: ${marked}; hollow: among the first five.` : ""}`;
    },
  });
}

function side(title, value, index) {
  const box = make("div", "side-by-side");
  const layers = value.layers;
  const rows = [];
  for (let layer = layers; layer >= 0; layer--) {
    rows.push({ name: layerName(layer, layers), cells: value.ids[index].map((_, k) => cell(value, index, k, layer)) });
  }
  const most = Math.max(...value.entropy.flat(2));
  rows.push({
    name: "entropy, nats",
    cells: value.entropy[index].map((row) => ({ text: short(row.at(-1)), share: row.at(-1) / most, minus: true, title: "Entropy of what the last layer says" })),
  });
  const columns = value.ids[index].map((_, k) => String(k));
  box.append(make("h3", "", title), gridOf({ rows, columns, label: spoken(title, value, index) }));
  return box;
}

function cell(value, index, position, layer) {
  const ids = value.ids[index][position][layer];
  const probs = value.probs[index][position][layer];
  const words = ids.map((id) => word(value.tokens[id]));
  const ranks = value.ranks[index].map((one) => one[position][layer]);
  const first = ranks.map((rank, i) => (rank === 0 ? SIGNS[i] ?? String(i + 1) : "")).join("");
  const near = ranks.some((rank) => rank > 0 && rank < 5);
  const said = words.map((text, i) => `${text} ${percent(probs[i], 0)}`).join(", ");
  return {
    text: words[0],
    share: probs[0],
    mark: first,
    kind: first ? "marked" : near ? "near" : "",
    title: `Position ${position}, ${layerName(layer, value.layers)}: ${said}; entropy ${short(value.entropy[index][position][layer])} nats`,
  };
}

const word = (text) => (text === undefined ? "" : text.trim() || (text === "\n" ? "⏎" : "·"));

function spoken(title, value, index) {
  const last = value.ids[index].map((row, k) => `position ${k}: ${word(value.tokens[row.at(-1)[0]])}`);
  return `${title}: likeliest token of the last layer; ${last.join(", ")}`;
}
