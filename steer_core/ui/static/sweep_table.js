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

// Where the numbers come from, in one line.
function noteOf(sweep) {
  const layers = sweep.at.map(([layer, factor]) => (factor === 1 ? layer : `${layer} x ${factor}`)).join(" + ");
  const schedule = sweep.schedule ? `, schedule ${sweep.schedule.join(" ")}` : "";
  const doing = sweep.operation === "add" ? "" : `${sweep.operation} at `;
  const edit = `${doing}site ${sweep.site}, layer ${layers}, positions ${sweep.positions.join(" ")}${schedule}, direction ${inert(sweep.direction)}`;
  const split = `${sweep.part} split${sweep.mark ? ` (${inert(sweep.mark)})` : ""}`;
  const origin = `${sweep.twin} twins of ${inert(sweep.pairs)}, ${split}, weights sha256 ${sweep.sha256 || "unknown"}`;
  return `model ${inert(sweep.model)}, ${edit}, ${origin}, ${sweep.finished ? "finished" : "unfinished"}`;
}

export function saveCsv(sweep) {
  const lines = [`# ${noteOf(sweep)}`, COLUMNS.join(","), ...rows(sweep).map((values) => values.join(","))];
  save(`${lines.join("\n")}\n`, "text/csv", sweep, "csv");
}

export function jsonOf(sweep) {
  const each = rows(sweep).map((values) => Object.fromEntries(values.map((value, i) => [COLUMNS[i], value === "" ? null : value])));
  return JSON.stringify({ note: noteOf(sweep), rows: each }, null, 2);
}

export const saveJson = (sweep) => save(jsonOf(sweep), "application/json", sweep, "json");

// PNG and SVG are the chart as it is drawn; the HTML file has the table and where it comes from as well.
export async function saveFigure(Plotly, plot, sweep, format, colour) {
  if (!Plotly) return;
  const figure = { data: plot.data, layout: { ...plot.layout, paper_bgcolor: colour.card, plot_bgcolor: colour.card, autosize: false } };
  const size = { width: 960, height: 540 };
  const address = await Plotly.toImage(figure, { ...size, format: format === "png" ? "png" : "svg", scale: format === "png" ? 2 : 1 });
  if (format === "html") return save(pageOf(address, sweep), "text/html", sweep, "html");
  const image = await (await fetch(address)).blob();
  save(image, image.type, sweep, format);
}

function pageOf(address, sweep) {
  const page = document.implementation.createHTMLDocument("Accuracy over α");
  const image = page.createElement("img");
  Object.assign(image, { src: address, alt: "Accuracy against α" });
  const table = page.createElement("table");
  table.append(page.createElement("thead"), page.createElement("tbody"));
  tableInto(table, sweep);
  const note = page.createElement("p");
  note.textContent = noteOf(sweep);
  page.body.append(image, note, table);
  return `<!doctype html>\n${page.documentElement.outerHTML}`;
}

function save(content, type, sweep, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = `sweep_${sweep.model}_${sweep.site}_${sweep.layer}.${ending}`.replaceAll("/", "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
