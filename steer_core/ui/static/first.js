// The first minute: whoever comes without a link sees an answer that has turned, not a slider at rest.
import { moveSlider, on, store } from "./store.js";

const SHOWN_ANYWAY = ["__theme", "view", "tab"];
// Read at once: the address is filled in a moment later.
const bare = [...new URL(location.href).searchParams.keys()].every((name) => SHOWN_ANYWAY.includes(name));

export function openTurned() {
  let open = bare;
  on("view", () => {
    const { view, alpha } = store;
    if (!open || !view) return;
    open = false;
    if (alpha !== 0) return; // somebody was faster
    const index = turnOf(view);
    if (index !== null) moveSlider(view.alphas[index]);
    else document.querySelector("#guides button")?.click(); // the server looks for one that turns
  });
}

// The α nearest to 0 at which right and wrong change places, else where the answer is another.
export function turnOf({ alphas, answers, correct, baseline, nonfinite = [] }) {
  const finite = (i) => !nonfinite.includes(i);
  const near = alphas.map((_, i) => i).filter(finite).sort((a, b) => Math.abs(alphas[a]) - Math.abs(alphas[b]) || b - a);
  const judged = near.find((i) => correct[i] !== correct[baseline]);
  return judged ?? near.find((i) => answers[i] !== answers[baseline]) ?? null;
}
