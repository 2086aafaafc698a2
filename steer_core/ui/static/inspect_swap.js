// Swap: the answer on latents that move from this problem's own to a donor's.
import { modesOf, selectOf } from "./inspect_grid.js";
import { mountLook } from "./inspect_panel.js";
import { lineChart } from "./inspect_svg.js";
import { make } from "./numbers.js";
import { store } from "./store.js";
import { answerText, mark } from "./words.js";

const NOBODY = [["zero", "zeros"], ["mean", "mean of the fit set"], ["noise", "noise like the fit set"]];
const SITES = [["embedding", "thought that is fed (z)"], ["thought", "state before the projection (h)"], ["residual", "residual stream of a block"], ["kv", "keys and values of a block"]];

export function mount(element, props, watch, plotly, page) {
  const chosen = { donor: "", site: "embedding", layer: 1, positions: null };
  let amount = 1;
  let parts = null;
  const set = (name, value) => {
    chosen[name] = value;
    parts.ask();
  };
  mountLook(element, props, watch, page, {
    options: () => {
      if (!store.view) return { ...chosen };
      const own = store.view.asked?.source === "own"; // no twin
      if (own && (chosen.donor === "" || chosen.donor === "twin")) return { ...chosen, donor: "zero" };
      return { ...chosen, donor: chosen.donor || "twin", layer: Math.min(chosen.layer, store.view.layers) };
    },
    mounted: (made) => {
      parts = made;
    },
    received: (value) => tools(parts.tools, value, chosen, set),
    draw: (value, index, { chart, reading }) => {
      const at = Math.round(amount * 10);
      const slider = range(amount, (moved) => ((amount = moved), show()));
      const now = make("p", "now");
      const show = () => {
        const i = Math.round(amount * 10);
        now.replaceChildren(make("strong", "", answerText(value.answers[i])), make("span", "", ` at amount ${value.amounts[i]} · ${value.texts[i]}`));
        element.dataset.answer = value.answers[i] ?? "";
        reading.textContent = words(value, i);
      };
      chart.replaceChildren(...(value.donor_question ? [make("p", "donor", `Donor: ${value.donor_question}`)] : []), slider, now, curves(value, at));
      show();
    },
  });
}

function tools(box, value, chosen, set) {
  const own = store.view?.asked?.source === "own";
  const donors = [...(own ? [] : [["twin", "the twin"]]), ...NOBODY, ...value.donors.map(([id, text]) => [id, `${id} · ${text}`])];
  const blocks = Array.from({ length: value.layers }, (_, i) => [i + 1, `block ${i + 1}`]);
  const layered = ["residual", "kv"].includes(chosen.site);
  const where = make("div", "modes");
  where.role = "group";
  where.ariaLabel = "Positions that are replaced";
  for (let k = 0; k <= value.latents; k++) {
    const button = make("button", "", String(k));
    button.type = "button";
    button.ariaPressed = String(value.positions.includes(k));
    button.addEventListener("click", () => {
      const next = value.positions.includes(k) ? value.positions.filter((p) => p !== k) : [...value.positions, k].sort((a, b) => a - b);
      set("positions", next);
    });
    where.append(button);
  }
  const label = make("span", "pick", "Positions ");
  label.append(where);
  box.replaceChildren(
    selectOf(donors, chosen.donor || (own ? "zero" : "twin"), (v) => set("donor", v), "Donor"),
    selectOf(SITES, chosen.site, (v) => ((chosen.positions = null), set("site", v)), "Replace"),
    ...(layered ? [selectOf(blocks, chosen.layer, (v) => set("layer", Number(v)), "of")] : []),
    label,
  );
}

function range(amount, act) {
  const line = make("label", "amount", "own 0 ");
  const input = make("input");
  Object.assign(input, { type: "range", min: 0, max: 1, step: 0.1, value: amount, ariaLabel: "Amount from own to donor's" });
  input.addEventListener("input", () => act(Number(input.value)));
  line.append(input, " 1 donor's");
  return line;
}

function curves(value, at) {
  const named = [["own answer", value.own, 0], ["donor's answer", value.theirs, 1]].filter(([, answer, i]) => answer !== null && value.logprobs[i]);
  const lines = named.map(([name, answer, i]) => ({ name: `${name} ${answerText(answer)}`, points: value.amounts.map((x, j) => [x, value.logprobs[i][j]]) }));
  const all = lines.flatMap((line) => line.points.map(([, v]) => v)).filter((v) => v !== null);
  const low = Math.min(-1, ...all);
  return lineChart({
    label: "Log-probability of the own and of the donor's answer by amount",
    x: { range: [0, 1], title: "amount of the donor's state" },
    y: { range: [low, 0], title: "log-probability, nats" },
    lines,
    marks: turns(value),
  });
}

// Where the answer changes along the way.
function turns(value) {
  return value.answers.flatMap((answer, i) => (i > 0 && answer !== value.answers[i - 1] ? [{ x: value.amounts[i], text: answerText(answer) }] : []));
}

function words(value, i) {
  const answer = value.answers[i];
  const whose = answer === value.theirs && answer !== value.own ? "the donor's answer" : answer === value.own ? "the own answer" : "neither one's answer";
  const steps = value.expected.filter(([, expected]) => expected !== null);
  const hits = steps.filter(([, expected]) => expected === answer).map(([step]) => step);
  const told = steps.map(([step, expected]) => `${answerText(expected)}${mark(expected === answer ? true : null)} if step ${step}'s result alone were the donor's`).join(", ");
  const asExpected = hits.length ? ` That is what step ${hits.join(" or ")} predicts.` : "";
  return `${answerText(answer)} is ${whose} (own ${answerText(value.own)}${value.theirs === null ? "" : `, donor's ${answerText(value.theirs)}`}).${asExpected}${told ? ` Expected: ${told}.` : ""}`;
}
