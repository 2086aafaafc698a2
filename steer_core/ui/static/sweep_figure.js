// The figure of the sweep as a pure function of its data.

import { nullTraces } from "./inspect_null.js";

export function colours() {
  const style = getComputedStyle(document.querySelector(".gradio-container") ?? document.body);
  const take = (name) => style.getPropertyValue(name).trim();
  return {
    text: take("--steer-ink"),
    grid: take("--steer-line"),
    card: take("--steer-card"),
    minus: take("--steer-minus"),
    steered: take("--steer-accent"),
    band: take("--steer-band"),
    baseline: take("--steer-baseline"),
    controls: take("--steer-controls"),
    size: letters(),
  };
}

// The smallest letters of the page, which grow with the screen.
function letters() {
  const small = document.querySelector(".figure .caption");
  return (small && parseFloat(getComputedStyle(small).fontSize)) || 12;
}

// As large as its place, where no height is given.
export function layout(colour) {
  const axis = { gridcolor: colour.grid, zeroline: false, fixedrange: true, linecolor: colour.grid };
  return {
    autosize: true,
    margin: { l: 3.7 * colour.size, r: 12, t: 0.8 * colour.size, b: 2.8 * colour.size },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour.text, family: "system-ui, sans-serif", size: colour.size },
    showlegend: false,
    hovermode: "x",
    hoverdistance: -1,
    dragmode: false,
    hoverlabel: { bgcolor: colour.card, bordercolor: colour.steered, font: { color: colour.text }, align: "left" },
    xaxis: { ...axis, range: [-3.15, 3.15], dtick: 1, title: { text: "α", standoff: 4 } },
    yaxis: { ...axis, range: [0, 1], tickformat: ".0%", nticks: 6 },
    uirevision: "sweep",
  };
}

const accuracy = (sweep) =>
  sweep.alphas.map((_, i) => (sweep.n[i] ? sweep.correct[i] / sweep.n[i] : null));

// While a sweep fills, each α is known over other pairs, some of them harder: shares of right answers
// would zigzag. The change on the same pairs does not, so it is added to the baseline.
export const soFar = (sweep, i) =>
  sweep.n[i] ? sweep.baseline + (sweep.wrong_to_right[i] - sweep.right_to_wrong[i]) / sweep.n[i] : null;

// Where only some alphas are known, lines and band go on between those.
const joined = { connectgaps: true };

// `ghost` is an older sweep that is drawn faintly behind, or null.
export function traces(sweep, colour, ghost = null) {
  const known = (values) => values.map((value, i) => (sweep.n[i] ? value : null));
  const edge = { ...joined, mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
  return [
    { ...edge, x: sweep.alphas, y: partial(sweep) ? [] : known(sweep.low) },
    { ...edge, x: sweep.alphas, y: partial(sweep) ? [] : known(sweep.high), fill: "tonexty", fillcolor: colour.band },
    baselineOf(sweep, colour),
    ghostOf(ghost, colour),
    { ...pointsOf(sweep, colour), customdata: countsOf(sweep), hovertemplate: hover(sweep) },
    ...nullTraces(sweep, colour),
  ];
}

const partial = (sweep) => sweep.finished === false;

// Hollow points without a line until the sweep is finished.
function pointsOf(sweep, colour) {
  const marker = { color: colour.steered, size: 7 };
  if (partial(sweep)) {
    const y = sweep.alphas.map((_, i) => soFar(sweep, i));
    return { x: sweep.alphas, y, mode: "markers", marker: { ...marker, symbol: "circle-open" } };
  }
  const line = { color: colour.steered, width: 2 };
  return { ...joined, x: sweep.alphas, y: accuracy(sweep), mode: "lines+markers", line, marker };
}

const countsOf = (sweep) => sweep.alphas.map((_, i) =>
  [sweep.correct[i], sweep.n[i], sweep.wrong_to_right?.[i], sweep.right_to_wrong?.[i]]);

function hover(sweep) {
  const known = partial(sweep) ? "known for %{customdata[1]} pairs" : "%{customdata[0]} of %{customdata[1]} right";
  const counts = `α = %{x}${partial(sweep) ? " so far" : ""}: %{y:.1%}<br>${known}`;
  const turned = "<br>wrong → right %{customdata[2]}, right → wrong %{customdata[3]}";
  return `${counts}${sweep.wrong_to_right ? turned : ""}<extra></extra>`;
}

function baselineOf(sweep, colour) {
  const level = sweep.baseline ?? null;
  return {
    x: [-3.15, 3.15],
    y: [level, level],
    mode: "lines",
    line: { color: colour.baseline, width: 1.5, dash: "dash" },
    hoverinfo: "skip",
  };
}

function ghostOf(ghost, colour) {
  return {
    x: ghost?.alphas ?? [],
    y: ghost ? accuracy(ghost) : [],
    ...joined,
    mode: "lines",
    line: { color: colour.steered, width: 2 },
    opacity: 0.25,
    hoverinfo: "skip",
  };
}
