// How much the settings decode and how long that takes, or what is wrong with them.
import { clock, count } from "./numbers.js";

export function mount(element, props, watch) {
  const line = element.querySelector(".plan");
  const show = () => {
    const plan = props.value;
    if (!plan) return;
    element.dataset.error = plan.error ? "yes" : "";
    element.dataset.decodes = String(plan.decodes ?? "");
    line.replaceChildren(...(plan.error ? [plan.error] : words(plan)));
  };
  watch("value", show);
  show();
}

function words(plan) {
  const lead = document.createElement("b");
  lead.textContent = `Up to ${count(plan.decodes)} decodes, about ${clock(plan.seconds)}`;
  const places = plan.layers > 1 ? `${plan.layers} layers × ` : "";
  const grid = `${places}${plan.directions} direction${plan.directions > 1 ? "s" : ""} × ${plan.alphas} α`;
  const weak = plan.controls ? "" : " Without controls no effect can be told from chance.";
  return [
    lead,
    ` at ${count(plan.rate)} a second (${plan.source}): ${count(plan.answers)} to` +
      ` prepare ${count(plan.pairs)} pairs, then up to ${count(plan.report)} held-out pairs × ${grid}.${weak}`,
  ];
}
