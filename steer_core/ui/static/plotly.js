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

// A figure is as large as its place, also when the place was hidden or moved while it was drawn:
// Plotly itself looks at the window only.
export function fit(plot, redraw = () => window.Plotly.Plots.resize(plot)) {
  new ResizeObserver(() => {
    const { width, height, autosize } = plot._fullLayout ?? {};
    const off = (drawn, size) => drawn && size && Math.abs(drawn - size) > 1;
    if (off(width, plot.clientWidth) || (autosize && off(height, plot.clientHeight))) redraw();
  }).observe(plot);
}
