// Draws every figure of the page from the JSON beside it, and once more at the width of a printer.
const config = { responsive: true, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false,
  modeBarButtonsToRemove: ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d"] };
// Colours of the figures (figures.py) and what they are on a dark page.
const AT_NIGHT = { "#ffffff": "#18181b", "#1f2430": "#eceef3", "#5b6270": "#a3a9b8", "#e4e6eb": "#34343a", "#6b3fd4": "#b79bff",
  "#6b7280": "#9ca3af", "rgba(107, 63, 212, 0.16)": "rgba(183, 155, 255, 0.22)", "rgba(110, 118, 134, 0.28)": "rgba(156, 163, 175, 0.3)" };
const draw = (data, night) => {
  const place = document.getElementById(data.dataset.for);
  const day = data.textContent;
  const text = night ? Object.entries(AT_NIGHT).reduce((all, [from, to]) => all.replaceAll(from, to), day) : day;
  const { data: traces, layout } = JSON.parse(text);
  Plotly.react(place, traces, layout, config);
  return place;
};
const figures = [...document.querySelectorAll("script[data-for]")];
const drawn = figures.map((data) => draw(data, dark));
const PRINTED = 1010;
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const each of folded) each.open = true;
  if (dark) for (const data of figures) draw(data, false);
  for (const place of drawn) Plotly.relayout(place, { width: PRINTED, autosize: false });
});
addEventListener("afterprint", () => {
  for (const each of folded) each.open = false;
  if (dark) for (const data of figures) draw(data, true);
  for (const place of drawn) Plotly.relayout(place, { width: null, autosize: true });
});
document.body.dataset.drawn = drawn.length;
