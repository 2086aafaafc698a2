// Plotly.js is large, so it is loaded once, after the answers are on the page.
let loading = null;

export function loadPlotly(address) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("Plotly.js could not be loaded"));
    document.head.append(script);
  });
  return loading;
}

// A figure is as wide as its place, also when the place was hidden or moved while it was drawn:
// Plotly itself looks at the window only.
export function fit(plot) {
  new ResizeObserver(() => {
    const drawn = plot._fullLayout?.width;
    const off = drawn && plot.clientWidth && Math.abs(drawn - plot.clientWidth) > 1;
    if (off) window.Plotly.Plots.resize(plot);
  }).observe(plot);
}

// Draws a figure anew. Gradio's page names a base, for which Plotly would point to its own clip paths by
// the page's whole address; once that has changed, the browser asks the server for the old one.
export function draw(plot, ...figure) {
  const base = document.querySelector("base");
  const href = base?.getAttribute("href");
  base?.removeAttribute("href");
  try {
    return window.Plotly.react(plot, ...figure);
  } finally {
    if (href) base.setAttribute("href", href);
  }
}
