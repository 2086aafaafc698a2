// A stored experiment: verdicts, funnel, curves, the report, and its files.
import { drawCharts } from "./charts.js";
import { keepOpened } from "./link.js";
import { count, make } from "./numbers.js";
import { shown as isShown } from "./opening.js";

const FILES = {
  "report.html": "Report (HTML)",
  "report.md": "Report (Markdown)",
  "rows.csv": "Rows (CSV)",
  "rows.parquet": "Rows (Parquet)",
  "experiment.json": "Settings (JSON)",
};

export function mount(element, props, watch, plotly, page) {
  const find = (selector) => element.querySelector(selector);
  const addressOf = (path) => `${page.root}/experiment-files/${path}`;
  let newest = 0;
  let shown = null;

  const receive = () => {
    const value = props.value;
    if (!value || value.serial < newest) return;
    newest = value.serial;
    shown = value;
    find(".opened").hidden = false;
    Object.assign(element.dataset, { name: value.name ?? "", error: value.error ? "yes" : "" });
    header(find, value, addressOf);
    sections(find, value);
    if (value.chart) drawCharts(find(".grid"), value.chart, plotly);
    report(find, value, addressOf);
    element.dataset.serial = String(value.serial);
    isShown();
    if (!value.error) keepOpened(value.compared ? { compare: value.compared } : { run: value.name });
    // One that ends by itself must not move the page under whoever reads or types.
    if (!value.ended) find(".opened").scrollIntoView({ block: "start", behavior: "instant" });
  };
  new MutationObserver(() => {
    if (shown?.chart) drawCharts(find(".grid"), shown.chart, plotly);
    if (shown) report(find, shown, addressOf);
  }).observe(document.body, { attributeFilter: ["class"] });
  find("iframe").addEventListener("load", () => delete find(".report").dataset.loading);
  watch("value", receive);
  receive();
}

function header(find, value, addressOf) {
  find("h2").textContent = value.error ? "This cannot be shown" : value.name;
  find(".note").hidden = !(value.error || value.note);
  find(".note").textContent = value.error || value.note || "";
  find(".lead").textContent = value.verdicts?.lead ?? "";
  find(".files").replaceChildren(...(value.files ?? []).map((file) => {
    const link = make("a", "", FILES[file] ?? file);
    link.href = `${addressOf(`${value.name}/${file}`)}?download`;
    link.download = "";
    return link;
  }));
}

function sections(find, value) {
  find(".verdicts").replaceChildren(...(value.verdicts?.cards ?? []).map(cardOf));
  find(".pairs").hidden = !value.funnel?.length;
  find(".funnel").replaceChildren(...(value.funnel ?? []).map((step) => barOf(step, value.funnel[0].count)));
  find(".settings").hidden = !value.facts?.length;
  find("dl").replaceChildren(...(value.facts ?? []).flatMap(([name, text]) => [make("dt", "", name), make("dd", "", text)]));
  find(".curves").hidden = !value.chart;
}

function cardOf(card) {
  const made = make("article", `verdict ${card.kind.replaceAll(" ", "-")}`);
  made.append(make("h3", "", card.label), make("p", "kind", card.headline), make("p", "", card.sentence));
  return made;
}

function barOf(step, most) {
  const bar = make("span", "bar");
  const filled = make("i");
  filled.style.width = `${(100 * step.count) / Math.max(most, 1)}%`;
  bar.append(filled);
  const share = step.of && step.of !== step.count ? ` of ${count(step.of)}` : "";
  const row = make("div", "step");
  row.append(make("span", "name", step.name), bar, make("span", "n", `${count(step.count)}${share}`));
  return row;
}

function report(find, value, addressOf) {
  const path = value.comparison ?? (value.verdicts ? `${value.name}/report.html` : null);
  const frame = find("iframe");
  find(".report").hidden = !path;
  if (!path) {
    frame.removeAttribute("src");
    return;
  }
  const theme = document.body.classList.contains("dark") ? "dark" : "light";
  const source = `${addressOf(path)}?${value.serial}&__theme=${theme}`;
  if (frame.getAttribute("src") === source) return;
  find(".report").dataset.loading = "yes";
  frame.src = source;
  const link = make("a", "whole", "open in a tab of its own");
  Object.assign(link, { href: `${addressOf(path)}?__theme=${theme}`, target: "_blank", rel: "noopener" });
  find(".report h3").replaceChildren(value.comparison ? "Comparison " : "Report ", link);
}
