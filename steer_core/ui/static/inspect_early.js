// Early answers: one column for each number of latent thoughts.
import { gridOf, nearWords } from "./inspect_grid.js";
import { mountLook } from "./inspect_panel.js";
import { nearest, store } from "./store.js";
import { answerText, mark } from "./words.js";

export function mount(element, props, watch, plotly, page) {
  mountLook(element, props, watch, page, {
    draw: (value, index, { chart, reading }) => {
      const base = nearest(value.alphas, 0);
      const rows = [["baseline", base], [`steered, ${nearWords(value, index, store.alpha)}`, index]].map(([name, i]) => ({
        name,
        cells: value.answers[i].map((answer, k) => ({
          text: `${mark(value.right[i][k])} ${answerText(answer)}`.trim(),
          share: k >= value.settled[i] ? 0.8 : 0.1,
          kind: k === value.settled[i] ? "marked" : "",
          title: `After ${k} latent thoughts: ${answerText(answer)}`,
        })),
      }));
      const columns = value.answers[base].map((_, k) => `k = ${k}`);
      chart.replaceChildren(gridOf({ rows, columns, corner: "latent thoughts", wide: true, label: words(value, base, index) }));
      reading.textContent = words(value, base, index);
    },
  });
}

function words(value, base, index) {
  const settled = (i) => `settles on ${answerText(value.answers[i].at(-1))} at k = ${value.settled[i]}`;
  const same = base === index ? "" : `; steered it ${settled(index)}`;
  return `The baseline's answer ${settled(base)}${same}. Outlined and darker: from there on it stays.`;
}
