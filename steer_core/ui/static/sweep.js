// Accuracy against α over the test pairs, filling in while the server decodes.
import { fit, loadPlotly } from "./plotly.js";
import { arrived, moveSlider, nearest, on, store, UNANSWERED } from "./store.js";
import { colours, layout, soFar, traces } from "./sweep_figure.js";
import { saveCsv, tableInto } from "./sweep_table.js";
import { percent, signed } from "./words.js";

export function mountSweep(element, props, watch, plotly) {
  const find = (selector) => element.querySelector(selector);
  const [plot, cursor] = [find(".plot"), find(".cursor")];
  let Plotly = null;
  let sweep = null;
  let before = null; // the finished sweep of the setting before, faint until the same model's new one is complete

  const place = () => {
    const axis = plot._fullLayout?.xaxis;
    if (!axis) return;
    cursor.style.transform = `translateX(${axis._offset + axis.l2p(store.alpha)}px)`;
    cursor.style.opacity = 1;
  };
  const read = () => {
    element.dataset.alpha = String(store.alpha);
    if (!sweep) return;
    find(".reading").textContent = reading(sweep, store.alpha);
    plot.setAttribute("aria-label", `Accuracy against α. ${reading(sweep, store.alpha)}`);
  };
  const ghost = () => (!sweep.finished && before?.model === sweep.model ? before : null);
  const refresh = () => {
    if (!Plotly || !sweep) return;
    Plotly.react(plot, traces(sweep, colours(), ghost()), layout(colours()), CONFIG);
  };

  const receive = (value) => {
    if (!value || value.run < (sweep?.run ?? 0)) return;
    if (value.note) {
      find(".status").textContent = value.note;
      return;
    }
    arrived("sweep");
    element.dataset.error = value.error ? "yes" : "";
    if (value.error) {
      find(".status").textContent = value.error;
      return;
    }
    if (sweep?.finished && sweep.run !== value.run) before = sweep;
    sweep = value;
    find("h2").textContent = `Accuracy over the ${sweep.total} ${sweep.twin} test problems`;
    find(".status").textContent = status(sweep, ghost());
    find("progress").value = sweep.finished ? 1 : sweep.decoded / sweep.rows;
    Object.assign(element.dataset, {
      run: sweep.run,
      done: sweep.decoded,
      finished: sweep.finished ? "yes" : "",
    });
    tableInto(find("table"), sweep);
    refresh();
    read();
  };

  on("draw", () => {
    place();
    read();
  });
  on("wait", () => {
    element.dataset.waiting = store.waiting.sweep ? "yes" : "";
    if (store.lost.sweep) find(".status").textContent = UNANSWERED;
  });
  find(".csv").addEventListener("click", () => sweep && saveCsv(sweep));
  watch("value", () => receive(props.value));

  loadPlotly(plotly).then(async (library) => {
    Plotly = library;
    await Plotly.newPlot(plot, traces(sweep ?? EMPTY, colours()), layout(colours()), CONFIG);
    onTap(plot, (event) => {
      const axis = plot._fullLayout.xaxis;
      const alpha = axis.p2l(event.clientX - plot.getBoundingClientRect().left - axis._offset);
      if (sweep) moveSlider(sweep.alphas[nearest(sweep.alphas, alpha)]);
    });
    plot.on("plotly_afterplot", place);
    fit(plot);
    new MutationObserver(refresh).observe(document.body, { attributeFilter: ["class"] });
    place();
    receive(props.value);
  });
}

// A press that ends where it began. Plotly's own click comes only after its hover was drawn.
function onTap(node, act) {
  let start = null;
  node.addEventListener("pointerdown", (event) => (start = event), { capture: true });
  window.addEventListener("pointerup", (event) => {
    const still = start && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) < 6;
    start = null;
    if (still) act(event);
  }, { capture: true });
}

const CONFIG = { displayModeBar: false, showSendToCloud: false, displaylogo: false };
const EMPTY = { alphas: [], n: [], correct: [], low: [], high: [], wrong_to_right: [], right_to_wrong: [] };

function status(sweep, ghost) {
  const faint = ghost ? " · faint: the setting before" : "";
  if (!sweep.finished) return `so far ${sweep.decoded} of ${sweep.rows} answers${faint}`;
  const baseline = sweep.baseline === null ? "" : ` · baseline ${percent(sweep.baseline)} (dashed)`;
  return `n = ${sweep.total} · ${sweep.alphas.length} α · Wilson 95 % band${baseline}`;
}

function reading(sweep, alpha) {
  const i = nearest(sweep.alphas, alpha);
  const near = Math.abs(sweep.alphas[i] - alpha) > 0.01 ? ` (nearest to ${signed(alpha)})` : "";
  const at = `α = ${signed(sweep.alphas[i])}${near}`;
  if (!sweep.n[i]) return `${at}: not decoded yet`;
  const flips = `${sweep.wrong_to_right[i]} wrong → right, ${sweep.right_to_wrong[i]} right → wrong`;
  if (!sweep.finished) {
    const parts = `baseline ${percent(sweep.baseline)} and the change on ${sweep.n[i]} pairs`;
    return `${at} so far: ${percent(soFar(sweep, i))}, from ${parts} (${flips})`;
  }
  const share = percent(sweep.correct[i] / sweep.n[i]);
  const interval = `${percent(sweep.low[i])} to ${percent(sweep.high[i])}`;
  return `${at}: ${sweep.correct[i]} of ${sweep.n[i]} right, ${share} (${interval}); ${flips}`;
}
