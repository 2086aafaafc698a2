// Paths: the latents of all problems in two principal components, and their mean path.
import { scatter } from "./inspect_svg.js";
import { make } from "./numbers.js";
import { store } from "./store.js";
import { percent } from "./words.js";

export function pathsOf(table, find) {
  const K = table.points[0]?.length ?? 0;
  const mean = (rows) => Array.from({ length: K }, (_, k) => [0, 1].map((c) => rows.reduce((sum, row) => sum + row[k][c], 0) / rows.length));
  const right = table.points.filter((_, i) => table.right[i]);
  const wrong = table.points.filter((_, i) => !table.right[i]);
  const paths = [["right", right], ["wrong", wrong]].filter(([, rows]) => rows.length).map(([name, rows]) => ({ name: `${name} (n = ${rows.length})`, points: mean(rows) }));
  const shown = table.ids.indexOf(store.view?.asked?.problem);
  if (shown >= 0) paths.push({ name: `problem ${table.ids[shown]}`, points: table.points[shown].map(([x, y]) => [x, y]) });
  const dots = table.points.flatMap((row) => row.map((point, k) => ({ x: point[0], y: point[1], even: (k + 1) % 2 === 0, title: `z${k + 1}` })));
  find(".caption").textContent = "Latent thoughts z1 to zK as they are fed: circles odd, squares even steps; lines: mean paths of problems answered right and wrong, and the problem that Explore shows.";
  find(".chart").replaceChildren(
    scatter({ label: "Latent thoughts in two principal components", dots, paths, x: `PC 1 (${percent(table.variance[0], 0)} of the variance)`, y: `PC 2 (${percent(table.variance[1], 0)})` }),
    make("p", "caption", `Shares of variance ${list(table.variance)}; with numbers shuffled over problems ${list(table.random)}.`),
  );
  const best = Math.max(...table.parity);
  find(".reading").textContent = `Even and odd steps are told apart with AUC ${best.toFixed(2)} along a component (exact p = ${table.parity_p.toFixed(2)}, steps exchanged within problems).`;
}

const list = (shares) => shares.map((share) => percent(share, 0)).join(", ");
