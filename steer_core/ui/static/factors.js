// Factors of α that are dragged: one bar a position, and one a block. What is dragged becomes text in
// an input that the server and the address know; the server is asked when a bar is let go.
import { enter } from "./boxes.js";

const STEP = 0.1;
const KEYS = { ArrowUp: STEP, ArrowRight: STEP, ArrowDown: -STEP, ArrowLeft: -STEP, PageUp: 0.5, PageDown: -0.5 };

export function mountSchedule(element, props, watch) {
  const box = () => document.querySelector("#schedule-text :is(textarea, input)");
  const ticks = () => [...document.querySelectorAll("#positions input")];
  const bars = barsIn(element, {
    lowest: -1,
    count: () => ticks().length,
    name: (k) => `position ${k}`,
    read: () => ticks().map((tick, k) => (tick.checked ? Number(box()?.value.split(",")[k] || 1) : 0)),
    write: (factors, moved) => {
      // A bar that is drawn up from nothing edits its position, as ticking it does.
      const tick = ticks()[moved];
      if (factors[moved] && tick && !tick.checked) tick.click();
      const kept = factors.map((factor, k) => (ticks()[k].checked || factor ? factor : 1));
      enter(box(), kept.every((factor) => factor === 1) ? "" : kept.join(","));
    },
  });
  follow(["#positions", "#schedule-text"], bars);
}

export function mountLayers(element, props, watch) {
  const box = () => document.querySelector("#layers-text :is(textarea, input)");
  const slider = () => document.querySelector("#layer input[type=range]");
  const others = () => Object.fromEntries((box()?.value ?? "").split(",").filter(Boolean).map((part) => {
    const [layer, factor] = part.split(":");
    return [Number(layer), Number(factor ?? 1)];
  }));
  const bars = barsIn(element, {
    lowest: -1,
    first: 1,
    count: () => (slider()?.disabled ? 0 : Number(slider()?.max ?? 0)),
    name: (i) => `block ${i + 1}`,
    fixed: (i) => i + 1 === Number(slider()?.value),
    read: () => {
      const factors = others();
      return Array.from({ length: Number(slider()?.max ?? 0) }, (_, i) =>
        i + 1 === Number(slider().value) ? 1 : factors[i + 1] ?? 0);
    },
    write: (factors) => {
      const chosen = Number(slider().value);
      const parts = factors.map((factor, i) => [i + 1, factor]).filter(([layer, factor]) => factor && layer !== chosen);
      enter(box(), parts.map(([layer, factor]) => (factor === 1 ? layer : `${layer}:${factor}`)).join(","));
    },
  });
  follow(["#layer", "#layers-text"], bars);
}

// Redraws when one of the inputs changes, whoever changed it.
function follow(inputs, draw) {
  draw();
  const within = (event) => inputs.some((id) => event.target.closest?.(id)) && requestAnimationFrame(draw);
  document.addEventListener("input", within);
  document.addEventListener("change", within);
  window.addEventListener("steer:inputs", () => requestAnimationFrame(draw));
}

function barsIn(element, of) {
  const place = element.querySelector(".bars");
  let factors = [];
  const draw = () => {
    factors = of.read();
    const count = of.count();
    element.hidden = !count;
    if (place.children.length !== count) {
      place.replaceChildren(...Array.from({ length: count }, (_, i) => barOf(i, of)));
    }
    [...place.children].forEach((bar, i) => paint(bar, factors[i], of.fixed?.(i)));
  };
  const set = (i, factor, done) => {
    if (of.fixed?.(i)) return;
    factors[i] = Math.min(1, Math.max(of.lowest, Math.round(factor / STEP) * STEP || 0));
    factors[i] = Number(factors[i].toFixed(2));
    paint(place.children[i], factors[i]);
    if (done) of.write([...factors], i);
  };
  const pick = (event) => {
    const bar = event.target.closest?.(".factor");
    const i = [...place.children].indexOf(bar);
    if (i < 0) return;
    const box = bar.querySelector(".track").getBoundingClientRect();
    set(i, 1 - (2 * (event.clientY - box.top)) / box.height, false);
  };
  place.addEventListener("pointerdown", (event) => {
    const bar = event.target.closest?.(".factor");
    if (!bar) return;
    event.preventDefault();
    bar.focus();
    pick(event);
    const i = [...place.children].indexOf(bar);
    const box = bar.querySelector(".track").getBoundingClientRect();
    const move = (later) => set(i, 1 - (2 * (later.clientY - box.top)) / box.height, false);
    const end = () => {
      window.removeEventListener("pointermove", move);
      set(i, factors[i], true);
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end, { once: true });
  });
  place.addEventListener("dblclick", (event) => {
    const i = [...place.children].indexOf(event.target.closest?.(".factor"));
    if (i >= 0) set(i, 1, true);
  });
  place.addEventListener("keydown", (event) => {
    const i = [...place.children].indexOf(event.target.closest?.(".factor"));
    const to = { Home: of.lowest, End: 1, Delete: 0 }[event.key] ?? (event.key in KEYS ? factors[i] + KEYS[event.key] : null);
    if (i < 0 || to === null) return;
    event.preventDefault();
    event.stopPropagation();
    set(i, to, true);
  });
  return draw;
}

function barOf(i, of) {
  const bar = document.createElement("div");
  bar.className = "factor";
  bar.tabIndex = 0;
  Object.assign(bar, { role: "slider", ariaLabel: `factor of α at ${of.name(i)}`, ariaValueMin: of.lowest, ariaValueMax: 1 });
  bar.innerHTML = '<b></b><span class="track"><i></i></span><span class="foot"></span>';
  bar.querySelector(".foot").textContent = String(i + (of.first ?? 0));
  return bar;
}

function paint(bar, factor, fixed = false) {
  if (!bar) return;
  const text = factor < 0 ? `−${-factor}` : String(factor);
  bar.ariaValueNow = String(factor);
  bar.ariaValueText = text;
  bar.ariaDisabled = String(fixed);
  bar.querySelector("b").textContent = text;
  bar.classList.toggle("minus", factor < 0);
  bar.querySelector("i").style.transform = `scaleY(${Math.abs(factor)})`;
}
