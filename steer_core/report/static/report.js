// Draws every figure of the page from the JSON beside it, and once more at the width of a printer.
const config = { responsive: true, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false,
  modeBarButtonsToRemove: ["zoom2d", "pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d"] };
const drawn = [...document.querySelectorAll("script[data-for]")].map((data) => {
  const place = document.getElementById(data.dataset.for);
  const { data: traces, layout } = JSON.parse(data.textContent);
  Plotly.newPlot(place, traces, layout, config);
  return place;
});
const PRINTED = 1010;
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const each of folded) each.open = true;
  for (const place of drawn) Plotly.relayout(place, { width: PRINTED, autosize: false });
});
addEventListener("afterprint", () => {
  for (const each of folded) each.open = false;
  for (const place of drawn) Plotly.relayout(place, { width: null, autosize: true });
});
document.body.dataset.drawn = drawn.length;
