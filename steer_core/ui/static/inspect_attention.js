// Attention: who looks where. A table of shares, and for the chosen row the question's text shaded.
import { gridOf, modesOf, nearWords, selectOf } from "./inspect_grid.js";
import { mountLook } from "./inspect_panel.js";
import { make } from "./numbers.js";
import { nearest, store } from "./store.js";
import { percent } from "./words.js";

const SHOWN = [["steered", "steered"], ["baseline", "baseline"], ["difference", "difference"]];

export function mount(element, props, watch, plotly, page) {
  let block = 0; // 0: all blocks
  let map = "mean"; // or the index of a block or head
  let query = null;
  let shown = "steered";
  let parts = null;
  let levels = null;
  const tools = (value) => {
    const blocks = Array.from({ length: value.layers }, (_, i) => [i + 1, `block ${i + 1}`]);
    const maps = Array.from({ length: value.shape[1] }, (_, i) => [i, value.block ? `head ${i + 1}` : `block ${i + 1}`]);
    parts.tools.replaceChildren(
      selectOf([[0, "all blocks"], ...blocks], block, (chosen) => ((block = Number(chosen)), (map = "mean"), parts.ask()), "Heads of"),
      selectOf([["mean", "mean"], ...maps], map, (chosen) => ((map = chosen), parts.draw()), "Show"),
      modesOf(SHOWN, () => shown, (chosen) => ((shown = chosen), parts.draw()), "Of"),
    );
  };
  mountLook(element, props, watch, page, {
    options: () => ({ block }),
    mounted: (made) => {
      parts = made;
    },
    received: (value) => {
      levels = Uint8Array.from(atob(value.levels), (c) => c.charCodeAt(0));
      tools(value);
    },
    draw: (value, index, { chart, reading }) => {
      const base = nearest(value.alphas, 0);
      query = query === null || query >= value.queries.length ? value.queries.length - 1 : query;
      const steered = (q) => weights(value, levels, index, q, map);
      const plain = (q) => weights(value, levels, base, q, map);
      const of = { steered, baseline: plain, difference: (q) => steered(q).map((x, i) => x - plain(q)[i]) }[shown];
      const title = shown === "baseline" ? "Baseline, α = 0" : `${shown === "steered" ? "Steered" : "Steered minus baseline"}, ${nearWords(value, index, store.alpha)}`;
      chart.replaceChildren(
        make("h3", "", title),
        table(value, of, (chosen) => ((query = Number(chosen)), parts.draw()), query),
        make("h3", "", `Where ${queryName(value, query)} looks in the question`),
        text(value, of(query)),
      );
      reading.textContent = words(value, plain(query), steered(query), query);
    },
  });
}

// Mean over maps, or one of them; the bytes are 255ths.
function weights(value, levels, alpha, query, map) {
  const [, maps, queries, keys] = value.shape;
  const which = map === "mean" ? Array.from({ length: maps }, (_, i) => i) : [Number(map)];
  const out = new Array(keys).fill(0);
  for (const m of which) {
    const start = ((alpha * maps + m) * queries + query) * keys;
    for (let k = 0; k < keys; k++) out[k] += levels[start + k] / 255 / which.length;
  }
  return out;
}

const queryName = (value, query) => (value.queries[query] === "number" ? "the answer's number" : value.queries[query]);

function table(value, of, click, chosen) {
  const n = value.question_keys;
  const columns = ["question", ...value.keys.slice(n)];
  const rows = value.queries.map((name, query) => {
    const row = of(query);
    const shares = [row.slice(0, n).reduce((a, b) => a + b, 0), ...row.slice(n)];
    const words = queryName(value, query);
    return {
      name: `${query === chosen ? "▸ " : ""}${words}`,
      cells: shares.map((x, i) => ({
        text: Math.abs(x) < 0.005 ? "" : `${Math.round(100 * x)}`.replace("-", "−"),
        share: Math.abs(x),
        minus: x < 0,
        kind: query === chosen ? "chosen" : "",
        place: String(query),
        title: `${words} to ${columns[i]}: ${percent(x, 0)}`,
      })),
    };
  });
  return gridOf({ rows, columns, corner: "looks at, %", click, label: "Attention in percent by who looks and where" });
}

function text(value, row) {
  const line = make("p", "tokens");
  const most = Math.max(0.02, ...row.slice(0, value.question_keys).map(Math.abs));
  value.keys.slice(0, value.question_keys).forEach((token, i) => {
    const word = make("span", row[i] < 0 ? "minus" : "", token.trim() || "·");
    word.style.setProperty("--share", `${((100 * Math.abs(row[i])) / most).toFixed(0)}%`);
    word.title = `${token.trim()}: ${percent(row[i], 1)}`;
    line.append(word, " ");
  });
  return line;
}

function words(value, plain, steered, query) {
  const top = (row) => {
    const best = row.reduce((a, x, i) => (x > row[a] ? i : a), 0);
    return `“${value.keys[best].trim()}” (${percent(row[best], 0)})`;
  };
  return `${queryName(value, query)} looks most at ${top(plain)} in the baseline, at ${top(steered)} steered. A click on a row shows its words.`;
}
