// A small line chart as SVG: axes with titles, lines told apart by their dash, bands and marks.
const NS = "http://www.w3.org/2000/svg";
const [WIDTH, LEFT, RIGHT, TOP, BOTTOM] = [640, 52, 14, 14, 36];

function node(tag, attributes = {}, text = "") {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

export function lineChart({ label, height = 220, x, y, lines, bands = [], marks = [] }) {
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label, class: "line-chart" });
  const [left, bottom] = [y.hidden ? RIGHT : LEFT, height - BOTTOM];
  const at = (v) => left + ((v - x.range[0]) / (x.range[1] - x.range[0])) * (WIDTH - left - RIGHT);
  const up = (v) => bottom - ((v - y.range[0]) / (y.range[1] - y.range[0] || 1)) * (bottom - TOP);
  for (const band of bands) {
    svg.append(node("rect", { x: at(band.from), y: TOP, width: at(band.to) - at(band.from), height: bottom - TOP, class: "band" }));
    svg.append(node("text", { x: at(band.to) - 4, y: TOP + 12, "text-anchor": "end", class: "soft" }, band.text));
  }
  svg.append(node("line", { x1: left, x2: WIDTH - RIGHT, y1: bottom, y2: bottom, class: "axis" }));
  for (const v of ticks(x.range)) {
    svg.append(node("line", { x1: at(v), x2: at(v), y1: bottom, y2: bottom + 4, class: "axis" }));
    svg.append(node("text", { x: at(v), y: bottom + 16, "text-anchor": "middle" }, said(v)));
  }
  svg.append(node("text", { x: (left + WIDTH - RIGHT) / 2, y: height - 4, "text-anchor": "middle", class: "soft" }, x.title));
  if (!y.hidden) {
    for (const v of ticks(y.range, 4)) {
      svg.append(node("line", { x1: left, x2: WIDTH - RIGHT, y1: up(v), y2: up(v), class: "grid" }));
      svg.append(node("text", { x: left - 6, y: up(v) + 4, "text-anchor": "end" }, said(v)));
    }
    svg.append(node("text", { x: 12, y: (TOP + bottom) / 2, transform: `rotate(-90 12 ${(TOP + bottom) / 2})`, "text-anchor": "middle", class: "soft" }, y.title));
  }
  lines.forEach((line, i) => {
    const points = line.points.filter(([, v]) => v !== null && Number.isFinite(v));
    svg.append(node("polyline", { points: points.map(([u, v]) => `${at(u)},${up(v)}`).join(" "), class: `line line-${i}` }));
    for (const [u, v] of points) svg.append(node("circle", { cx: at(u), cy: up(v), r: 2.5, class: `dot line-${i}` }));
    const [u, v] = points[Math.min(points.length - 1, Math.floor((points.length * (i + 1)) / (lines.length + 1)))] ?? [];
    if (u !== undefined) svg.append(node("text", { x: at(u), y: Math.max(TOP + 10, up(v) - 8), "text-anchor": "middle", class: `label line-${i}` }, line.name));
  });
  for (const mark of marks) {
    svg.append(node("line", { x1: at(mark.x), x2: at(mark.x), y1: TOP + 18, y2: bottom, class: "mark" }));
    svg.append(node("text", { x: at(mark.x), y: TOP + 12, "text-anchor": "middle", class: "label" }, mark.text));
  }
  return svg;
}

function ticks([low, high], most = 7) {
  const raw = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high + 1e-9; v += step) out.push(Math.abs(v) < 1e-12 ? 0 : Number(v.toPrecision(6)));
  return out;
}

const said = (v) => String(v).replace("-", "−");

// One row a group: its value with its interval, filled, and its random counterpart's, hollow.
export function whiskers(cells, title) {
  const [name, row] = [240, 26];
  const height = TOP + row * cells.length + BOTTOM;
  const all = cells.flatMap((c) => [c.high, c.controlHigh, c.value, c.control]).filter((v) => v !== null);
  const most = title.startsWith("share") ? 1 : Math.max(...all, 1e-6);
  const at = (v) => name + (v / most) * (WIDTH - name - RIGHT - 40);
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `${title}; filled: seen, hollow: random counterpart`, class: "line-chart whiskers" });
  const bottom = height - BOTTOM;
  for (const v of ticks([0, most], 5)) {
    svg.append(node("line", { x1: at(v), x2: at(v), y1: TOP, y2: bottom, class: "grid" }));
    svg.append(node("text", { x: at(v), y: bottom + 16, "text-anchor": "middle" }, most === 1 ? `${Math.round(100 * v)} %` : said(v)));
  }
  svg.append(node("text", { x: (name + WIDTH) / 2, y: height - 4, "text-anchor": "middle", class: "soft" }, title));
  cells.forEach((cell, i) => {
    const y = TOP + row * i + row / 2;
    svg.append(node("text", { x: name - 10, y: y + 4, "text-anchor": "end" }, `${cell.group} (n = ${cell.n})`));
    interval(svg, at, cell.control, cell.controlLow, cell.controlHigh, y + 5, "hollow");
    interval(svg, at, cell.value, cell.low, cell.high, y - 4, "filled");
  });
  return svg;
}

function interval(svg, at, value, low, high, y, kind) {
  if (value === null) return;
  if (low !== null && high !== null) svg.append(node("line", { x1: at(Math.max(0, low)), x2: at(high), y1: y, y2: y, class: `whisker ${kind}` }));
  svg.append(node("circle", { cx: at(value), cy: y, r: 4, class: `point ${kind}` }));
}

// Dots of two shapes, and paths through numbered stations.
export function scatter({ label, dots, paths, x, y }) {
  const height = 420;
  const svg = node("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label, class: "line-chart" });
  const span = (values) => [Math.min(...values), Math.max(...values)];
  const [xs, ys] = [span(dots.map((d) => d.x)), span(dots.map((d) => d.y))];
  const bottom = height - BOTTOM;
  const at = (v) => LEFT + ((v - xs[0]) / (xs[1] - xs[0] || 1)) * (WIDTH - LEFT - RIGHT);
  const up = (v) => bottom - ((v - ys[0]) / (ys[1] - ys[0] || 1)) * (bottom - TOP);
  svg.append(node("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: bottom, y2: bottom, class: "axis" }), node("line", { x1: LEFT, x2: LEFT, y1: TOP, y2: bottom, class: "axis" }));
  for (const v of ticks(xs)) svg.append(node("text", { x: at(v), y: bottom + 16, "text-anchor": "middle" }, said(v)));
  for (const v of ticks(ys, 5)) svg.append(node("text", { x: LEFT - 6, y: up(v) + 4, "text-anchor": "end" }, said(v)));
  svg.append(node("text", { x: (LEFT + WIDTH) / 2, y: height - 4, "text-anchor": "middle", class: "soft" }, x));
  svg.append(node("text", { x: 12, y: height / 2, transform: `rotate(-90 12 ${height / 2})`, "text-anchor": "middle", class: "soft" }, y));
  for (const d of dots) {
    const shape = d.even ? node("rect", { x: at(d.x) - 2.5, y: up(d.y) - 2.5, width: 5, height: 5, class: "even" }) : node("circle", { cx: at(d.x), cy: up(d.y), r: 2.5, class: "odd" });
    svg.append(shape);
  }
  paths.forEach((path, i) => {
    svg.append(node("polyline", { points: path.points.map(([u, v]) => `${at(u)},${up(v)}`).join(" "), class: `line line-${i + 2}` }));
    const [first, last] = [path.points[0], path.points.at(-1)];
    svg.append(node("text", { x: at(first[0]) + 5, y: up(first[1]) + 14, class: `label line-${i + 2}` }, `${path.name}, z1`));
    svg.append(node("text", { x: at(last[0]) + 5, y: up(last[1]) - 5, class: `label line-${i + 2}` }, `z${path.points.length}`));
  });
  return svg;
}
