// Accuracy against α as small charts beside each other, one a curve, on one scale.
import { draw, fit, loadPlotly } from "./plotly.js";
import { colours, layout, traces } from "./sweep_figure.js";
import { make } from "./numbers.js";

const CONFIG = { displayModeBar: false, showSendToCloud: false, displaylogo: false };
const HEIGHT = 200;
const LEGEND = [
  ["line", "the direction, with Wilson 95 % band"],
  ["dash", "baseline"],
];
const BANDS = {
  random: ["band", "95 % of the random directions"],
  shuffled: ["dots", "95 % of the label-shuffled ones"],
  covariance: ["dots covariance", "95 % of the covariance-matched ones"],
  nuisance: ["dots nuisance", "95 % of the nuisance-label ones"],
};
const DOTTED = { covariance: "#0f8a6c", nuisance: "#b83280" };

export async function drawCharts(grid, chart, address) {
  const cells = cellsOf(grid, chart);
  await loadPlotly(address);
  const colour = colours();
  const limits = rangeOf(chart);
  for (const [i, cell] of cells.entries()) {
    const curve = chart.curves[i];
    const drawn = [...controlBands(chart, curve, colour), ...traces(asSweep(chart, curve), colour)];
    for (const trace of drawn) if (trace.line?.dash === "dash") trace.x = limits.x;
    const plot = cell.querySelector(".plot");
    const first = !plot._fullLayout;
    await draw(plot, drawn, layoutOf(colour, limits), CONFIG);
    if (first) fit(plot);
  }
}

// Cells are kept while the curves stay the same, so that charts grow without flicker.
function cellsOf(grid, chart) {
  const kinds = Object.keys(BANDS).filter((kind) => chart.curves.some((curve) => curve.bands[kind]));
  const labels = [...chart.curves.map((curve) => curve.label), ...kinds].join("|");
  if (grid.dataset.labels !== labels) {
    grid.dataset.labels = labels;
    grid.replaceChildren(...chart.curves.map(cellOf));
    while (grid.nextElementSibling) grid.nextElementSibling.remove();
    grid.after(legend(kinds), make("p", "mark"));
  }
  grid.parentElement.querySelector(".mark").textContent = chart.mark ?? "";
  const cells = [...grid.children];
  cells.forEach((cell, i) => cell.querySelector(".plot").setAttribute("aria-label", spoken(chart, chart.curves[i])));
  return cells;
}

function legend(kinds) {
  const line = make("p", "legend");
  for (const [key, words] of [...LEGEND, ...kinds.map((kind) => BANDS[kind])]) {
    const item = make("span", "item");
    item.append(make("span", `key ${key}`), words);
    line.append(item);
  }
  return line;
}

function cellOf(curve) {
  const cell = make("figure", "small-chart");
  const plot = make("div", "plot");
  plot.setAttribute("role", "img");
  cell.append(make("figcaption", "", curve.label), plot);
  return cell;
}

function spoken(chart, curve) {
  const points = chart.alphas
    .map((alpha, i) => (curve.n[i] ? `${alpha}: ${((100 * curve.correct[i]) / curve.n[i]).toFixed(1)} %` : null))
    .filter(Boolean);
  return `${curve.label}: accuracy by α. ${points.join(", ")}`;
}

function asSweep(chart, curve) {
  return { ...curve, alphas: chart.alphas, baseline: chart.baseline };
}

// As in the report: the random ones as an area, each of the others between its dots.
function controlBands(chart, curve, colour) {
  const edge = { mode: "lines", hoverinfo: "skip", x: chart.alphas };
  const area = { ...edge, line: { width: 0 } };
  const dots = (kind) => ({ ...edge, line: { width: 1.5, dash: "dot", color: DOTTED[kind] ?? colour.baseline } });
  const { random, ...others } = curve.bands;
  return [
    ...(random ? [{ ...area, y: random.low }, { ...area, y: random.high, fill: "tonexty", fillcolor: colour.controls }] : []),
    ...Object.entries(others).flatMap(([kind, band]) => [band.low, band.high].map((y) => ({ ...dots(kind), y }))),
  ];
}

// One scale for all charts, wide enough for every band.
function rangeOf(chart) {
  const values = chart.curves
    .flatMap((curve) => [curve, ...Object.values(curve.bands)])
    .flatMap((band) => [...band.low, ...band.high])
    .filter((value) => value !== null && value !== undefined);
  const [low, high] = [Math.min(...values, 1), Math.max(...values, 0)];
  const room = Math.max(0.03, 0.06 * (high - low));
  const [first, last] = [chart.alphas[0], chart.alphas.at(-1)];
  const margin = 0.05 * (last - first || 1);
  return { x: [first - margin, last + margin], y: [Math.max(0, low - room), Math.min(1, high + room)] };
}

function layoutOf(colour, limits) {
  const base = layout(colour);
  return {
    ...base,
    height: HEIGHT,
    margin: { l: 42, r: 8, t: 6, b: 32 },
    xaxis: { ...base.xaxis, range: limits.x, dtick: undefined, nticks: 7 },
    yaxis: { ...base.yaxis, range: limits.y, tickformat: ".0%", nticks: 5 },
    uirevision: "chart",
  };
}
