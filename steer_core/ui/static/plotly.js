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
