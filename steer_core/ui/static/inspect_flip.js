// Flip distance: one line of α with the slider's range, and where the answer turns each way.
import { lineChart } from "./inspect_svg.js";
import { mountLook } from "./inspect_panel.js";
import { make } from "./numbers.js";
import { moveSlider } from "./store.js";
import { answerText, signed } from "./words.js";

const shown = (alpha) => signed(Number(alpha.toPrecision(3)));

export function mount(element, props, watch, plotly, page) {
  mountLook(element, props, watch, page, {
    draw: (value, index, { chart, reading }) => {
      const ways = [value.below, value.above];
      const ends = ways.map((way) => Math.abs(way.alpha ?? way.searched));
      const reach = Math.max(3.5, ...ways.map((way) => (way.alpha === null ? 0 : Math.abs(way.alpha) * 1.25)));
      const buttons = make("p", "tools");
      for (const way of ways) {
        if (way.alpha === null || Math.abs(way.alpha) > 3) continue;
        const button = make("button", "", `Go to α = ${shown(beyond(way.alpha))}`);
        button.type = "button";
        button.addEventListener("click", () => moveSlider(beyond(way.alpha)));
        buttons.append(button);
      }
      chart.replaceChildren(axis(value, reach), buttons);
      reading.textContent = `The answer is ${answerText(value.baseline)}. ${ways.map((way, i) => sentence(way, i, ends[i])).join(" ")}`;
    },
  });
}

// The slider's next step away from 0, where the answer has turned.
const beyond = (alpha) => (alpha < 0 ? -1 : 1) * Math.min(3, Math.ceil(Math.abs(alpha) * 10) / 10);

function sentence(way, i, end) {
  const side = i === 0 ? "Downwards" : "Upwards";
  if (way.alpha === null) return `${side} it stays up to |α| = ${shown(end)}.`;
  return `${side} it turns to ${answerText(way.answer)} at α = ${shown(way.alpha)}${Math.abs(way.alpha) > 3 ? ", beyond the slider" : ""}.`;
}

function axis(value, reach) {
  const marks = [["below", value.below], ["above", value.above]]
    .filter(([, way]) => way.alpha !== null)
    .map(([, way]) => ({ x: way.alpha, text: answerText(way.answer) }));
  return lineChart({
    label: "Where the answer turns, by α",
    height: 96,
    x: { range: [-reach, reach], title: "α" },
    y: { range: [0, 1], hidden: true },
    bands: [{ from: -3, to: 3, text: "slider" }],
    marks: [{ x: 0, text: answerText(value.baseline) }, ...marks],
    lines: [],
  });
}
