// The numbers behind the chart, for screen readers and for other programs.

import { percent, signed } from "./words.js";

const COLUMNS = ["alpha", "n", "correct", "accuracy", "low", "high", "wrong_to_right", "right_to_wrong"];
const HEADINGS = ["α", "n", "right", "accuracy", "low", "high", "✗ → ✓", "✓ → ✗"];

function rows(sweep) {
  return sweep.alphas.map((alpha, i) => [
    alpha,
    sweep.n[i],
    sweep.correct[i],
    sweep.n[i] ? Number((sweep.correct[i] / sweep.n[i]).toPrecision(4)) : "",
    sweep.low[i] ?? "",
    sweep.high[i] ?? "",
    sweep.wrong_to_right[i],
    sweep.right_to_wrong[i],
  ]);
}

function rowOf(values, tag) {
  const row = document.createElement("tr");
  for (const value of values) {
    const cell = document.createElement(tag);
    cell.textContent = String(value);
    row.append(cell);
  }
  return row;
}

// As the page writes numbers; the file has them as they are.
function shown([alpha, n, correct, ...rest]) {
  const shares = rest.slice(0, 3).map((share) => (share === "" ? "" : percent(share)));
  return [signed(alpha), n, correct, ...shares, ...rest.slice(3)];
}

export function tableInto(table, sweep) {
  table.tHead.replaceChildren(rowOf(HEADINGS, "th"));
  table.tBodies[0].replaceChildren(...rows(sweep).map((values) => rowOf(shown(values), "td")));
}

// A name cannot begin a cell of its own, which a spreadsheet might compute.
const inert = (name) => String(name).replace(/[\s",;|]+/g, " ");

export function saveCsv(sweep) {
  const layers = sweep.at.map(([layer, factor]) => (factor === 1 ? layer : `${layer} x ${factor}`)).join(" + ");
  const schedule = sweep.schedule ? `, schedule ${sweep.schedule.join(" ")}` : "";
  const edit = `${sweep.operation} at site ${sweep.site}, layer ${layers}, positions ${sweep.positions.join(" ")}${schedule}, direction ${inert(sweep.direction)}`;
  const origin = `${sweep.twin} twins of ${inert(sweep.pairs)}, ${sweep.part} split${sweep.mark ? ` (${inert(sweep.mark)})` : ""}, weights sha256 ${sweep.sha256 || "unknown"}`;
  const note = `# model ${inert(sweep.model)}, ${edit}, ${origin}, ${sweep.finished ? "finished" : "unfinished"}`;
  const lines = [note, COLUMNS.join(","), ...rows(sweep).map((values) => values.join(","))];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" }));
  link.download = `sweep_${sweep.model}_${sweep.site}_${sweep.layer}.csv`.replaceAll("/", "_");
  link.click();
  URL.revokeObjectURL(link.href);
}
