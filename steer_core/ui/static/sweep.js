// Accuracy against α over the test pairs, filling in while the server decodes.
import { whenAsked } from "./asked.js";
import { draw, fit, loadPlotly } from "./plotly.js";
import { arrived, moveSlider, nearest, on, store, UNANSWERED } from "./store.js";
import { colours, layout, traces } from "./sweep_figure.js";
import { saveCsv, tableInto } from "./sweep_table.js";
import { reading, status } from "./sweep_words.js";

export function mountSweep(element, props, watch, plotly) {
  const find = (selector) => element.querySelector(selector);
  const [plot, cursor] = [find(".plot"), find(".cursor")];
  let loaded = false;
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
    if (!loaded || !sweep) return;
    draw(plot, traces(sweep, colours(), ghost()), layout(colours()), CONFIG);
  };

  const receive = whenAsked((value) => {
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
  });

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

  loadPlotly(plotly).then(async () => {
    loaded = true;
    await draw(plot, traces(sweep ?? EMPTY, colours()), layout(colours()), CONFIG);
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
