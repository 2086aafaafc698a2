// Number boxes of the sliders: what is typed reaches the page only once the slider can have it, so
// that box, address and figures never disagree, and the server is never asked for a layer 9 of 4.

const BOXES = ":is(#layer, #alpha) input[type=number]";

// Writes into an input as a visitor would, so that the page notices.
export function enter(input, value) {
  const property = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  property.set.call(input, String(value));
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

export function watchBoxes() {
  // On the window and while the event goes down: before Gradio's own listeners.
  window.addEventListener("input", (event) => {
    if (event.target.matches?.(BOXES) && !fits(event.target)) event.stopImmediatePropagation();
  }, { capture: true });
  window.addEventListener("change", (event) => {
    if (event.target.matches?.(BOXES) && !fits(event.target)) enter(event.target, nearestTo(event.target));
  }, { capture: true });
}

const fits = (box) => box.value !== "" && Number(box.value) === nearestTo(box);

// The value on the slider's scale that is nearest; an empty box goes back to the slider's.
function nearestTo(box) {
  const [low, high, step] = [box.min, box.max, box.step].map(Number);
  const slider = box.closest(".block").querySelector("input[type=range]");
  const value = box.value === "" ? Number(slider.value) : Number(box.value);
  const whole = low + Math.round((value - low) / step) * step;
  return Number(Math.min(high, Math.max(low, whole)).toFixed(6));
}
