// The four stages of the experiment that runs, with the curves as they grow.
import { drawCharts } from "./charts.js";
import { clock, count } from "./numbers.js";
import { begins, ends } from "./opening.js";

const WORDS = { waiting: "waiting", running: "running", done: "done", stopped: "stopped", failed: "failed" };
const ACTIVE = ["running", "stopping"];
const UNITS = { prepare: "answers", directions: "layers", sweep: "decodes", report: "" };

const LOOK_MS = 3000;

export function mount(element, props, watch, plotly, page) {
  const find = (selector) => element.querySelector(selector);
  let newest = 0;
  let chart = null;

  const receive = () => {
    const value = props.value;
    if (!value || value.serial < newest) return;
    newest = value.serial;
    turn(ACTIVE.includes(element.dataset.status), value, page.trigger);
    Object.assign(element.dataset, { status: value.status, name: value.name });
    find(".status").textContent = headline(value);
    for (const stage of value.stages) fill(find(`li[data-key=${stage.key}]`), stage);
    find(".note").hidden = !value.message;
    find(".note").textContent = value.message;
    chart = value.chart;
    find(".growing").hidden = !chart;
    if (chart) drawCharts(find(".grid"), chart, plotly);
  };
  new MutationObserver(() => chart && drawCharts(find(".grid"), chart, plotly)).observe(
    document.body, { attributeFilter: ["class"] },
  );
  watch("value", receive);
  receive();
  // Another visitor may begin one. Nothing is asked while this tab is out of sight, or while one
  // that runs here is followed anyway.
  setInterval(() => {
    const { status, name } = element.dataset;
    const idle = newest && element.offsetParent && !document.hidden && !ACTIVE.includes(status);
    if (idle) page.trigger("look", { status, name });
  }, LOOK_MS);
}

// The results of an experiment that ended while the page was open are asked for.
function turn(was, value, trigger) {
  const is = ACTIVE.includes(value.status);
  if (is && !was) begins();
  if (was && !is && ends(value.name)) trigger("ended", { name: value.name });
}

function headline(value) {
  if (!value.name) return "Nothing runs. Press Run to begin.";
  const stage = value.stages.find((each) => each.status === "running");
  if (value.status !== "running" || !stage) return `${value.name}: ${value.status}`;
  const parts = [`${value.name}: running for ${clock(value.seconds)}`];
  if (stage.rate && stage.key !== "directions") parts.push(`${count(stage.rate)} ${UNITS[stage.key]} a second`);
  if (stage.key === "sweep" && stage.left !== null) parts.push(`about ${clock(stage.left)} left`);
  return parts.join(", ");
}

function fill(row, stage) {
  row.dataset.status = stage.status;
  row.querySelector("progress").value = share(stage);
  row.querySelector(".dot").textContent = { done: "✓", failed: "!", stopped: "■" }[stage.status] ?? "";
  row.querySelector(".count").textContent = counted(stage);
}

function share(stage) {
  if (stage.status === "done") return 1;
  return stage.total ? stage.done / stage.total : 0;
}

function counted(stage) {
  if (stage.status === "waiting") return WORDS.waiting;
  if (stage.status === "done" && !stage.total) return "done before";
  if (stage.key === "report") return stage.status === "done" ? "done" : WORDS[stage.status];
  if (!stage.total) return "starting…";
  const unit = UNITS[stage.key];
  const full = stage.done === stage.total;
  const parts = [full ? `${count(stage.total)} ${unit}` : `${count(stage.done)} of ${count(stage.total)}`];
  if (stage.status === "done" && stage.seconds >= 0.5) parts.push(clock(stage.seconds));
  return parts.join(" · ");
}
