// Effect map: what each position at each layer does alone; a click takes it to the sliders.
import { enter } from "./boxes.js";
import { gridOf, largest, modesOf, nearWords, number } from "./inspect_grid.js";
import { mountLook } from "./inspect_panel.js";
import { make } from "./numbers.js";
import { nearest, store } from "./store.js";
import { answerText } from "./words.js";

const MODES = [["margin", "Δ margin"], ["kl", "KL"]];
const CAPTIONS = {
  margin: "Change of the margin: logit of the baseline's number minus the best other; teal: it falls.",
  kl: "KL in nats from the baseline's distribution at the answer's first number.",
};

export function mount(element, props, watch, plotly, page) {
  let mode = "margin";
  let parts = null;
  mountLook(element, props, watch, page, {
    mounted: (made) => {
      parts = made;
      parts.tools.append(modesOf(MODES, () => mode, (chosen) => ((mode = chosen), parts.draw()), "Measure"));
    },
    draw: (value, at, { chart, reading }) => {
      const index = value.alphas[at] === 0 ? strongest(value) : at; // nothing is seen at 0
      const most = largest(value[mode]);
      const rows = value.blocks.map((block, i) => ({
        name: value.site === "residual" ? `block ${block}` : value.site,
        cells: value[mode][index].map((row, k) => ({
          text: `${value.flipped[index][k][i] ? "↷ " : ""}${number(row[i])}`,
          share: Math.abs(row[i] ?? 0) / most,
          minus: row[i] < 0,
          kind: value.flipped[index][k][i] ? "marked" : "",
          place: `${k},${block}`,
          title: `Position ${k}, block ${block}: ${answerText(value.answers[index][k][i])}, margin ${number(value.margin[index][k][i])}, KL ${number(value.kl[index][k][i])} nats`,
        })),
      })).reverse();
      const columns = value.margin[index].map((_, k) => String(k));
      chart.replaceChildren(
        make("h3", "", `Each place alone, ${nearWords(value, index, store.alpha)}`),
        make("p", "caption", CAPTIONS[mode]),
        gridOf({ rows, columns, click: toSliders, label: `${CAPTIONS[mode]} By position and layer` }),
      );
      reading.textContent = words(value, index);
    },
  });
}

const strongest = (value) => nearest(value.alphas, Math.max(...value.alphas));

function words(value, index) {
  const flipped = value.flipped[index].flat().filter(Boolean).length;
  const all = value.flipped[index].flat().length;
  let best = [0, 0];
  value.kl[index].forEach((row, k) => row.forEach((x, i) => (x > value.kl[index][best[0]][best[1]] ? (best = [k, i]) : 0)));
  return `${flipped} of ${all} places turn the answer alone (↷); the strongest is position ${best[0]}, block ${value.blocks[best[1]]}.`;
}

function toSliders(place) {
  const [position, layer] = place.split(",").map(Number);
  const slider = document.querySelector("#layer input[type=range]");
  if (slider && !slider.disabled) enter(slider, layer);
  for (const box of document.querySelectorAll("#positions input[type=checkbox]")) {
    if (box.checked !== (Number(box.name || box.value) === position)) box.click();
  }
}
