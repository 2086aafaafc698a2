// Numbers and results in words. Everything returns plain strings for textContent.

// Without a gold answer nobody can say: then `right` is null.
export const mark = (right) => (right === null ? "" : right ? "✓" : "✗");
export const verdict = (right) => (right === null ? "" : right ? "right" : "wrong");

export function signed(alpha) {
  return alpha < 0 ? `−${Math.abs(alpha)}` : String(alpha);
}

export const answerText = (answer) => answer?.replace("-", "−") ?? "no number";

export function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits)}\u00a0%`;
}

export function short(value) {
  if (value === null) return "–";
  const size = Math.abs(value);
  const text = size >= 100 ? size.toFixed(0) : size >= 10 ? size.toFixed(1) : size.toFixed(2);
  return value < 0 ? `−${text}` : text;
}

// The one line under the answers: what α did, or why it cannot do anything.
export function outcome(view, index) {
  const base = view.baseline;
  if (!view.positions.length) return "No latent token is chosen, so this edit cannot act.";
  const dead = new Map(view.inert);
  const alive = view.positions.filter((position) => !dead.has(position));
  if (!alive.length) return `This edit cannot act: ${reasons(dead)}.`;
  const note = dead.size ? ` Without effect: ${reasons(dead)}.` : "";
  if (index === base) return `α = 0 edits nothing: this is the baseline.${note}`;
  return change(view, index, base) + note;
}

function change(view, index, base) {
  const at = `α = ${signed(view.alphas[index])}`;
  const [from, to] = [view.answers[base], view.answers[index]];
  const [was, is] = [view.correct[base], view.correct[index]];
  if (from !== to) {
    const turn = was === is ? `still ${verdict(is)}` : `${verdict(was)} → ${verdict(is)}`;
    const follows = to !== null && to === view.twin && to !== view.gold ? ", the twin's answer" : "";
    const judged = (is === null ? "" : `: ${turn}`) + follows;
    return `${at} changes the answer from ${answerText(from)} to ${answerText(to)}${judged}.`;
  }
  const kept = `the answer stays ${answerText(to)}${is === null ? "" : ` (${verdict(is)})`}`;
  if (view.text[base] !== view.text[index]) return `${at} changes the wording; ${kept}.`;
  return `${at}: no change, ${kept}${moved(view, index)}.`;
}

// A null result only means something when the edit arrived, so say how far the state moved.
function moved(view, index) {
  const last = view.layers;
  const shares = view.relative[index].map((row) => row[last] ?? 0);
  return `, though final states move by up to ${percent(Math.max(...shares), 0)}`;
}

function reasons(dead) {
  return [...dead].map(([position, reason]) => `position ${position} (${reason})`).join("; ");
}
