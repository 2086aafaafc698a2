// The sweep in words: the line at the slider's α, and the one that says how it was made.
import { soFar } from "./sweep_figure.js";
import { percent, signed } from "./words.js";

export const title = (sweep) => `Accuracy over the ${sweep.total} ${sweep.twin} ${sweep.part} problems`;

export const badge = ({ part, mark }) => (part === "report" ? (mark ? "report, opened before" : "report") : "exploring");

// A setting is chosen on one half of the problems and reported on the other.
export function caution({ part, mark }) {
  if (part !== "report") return "Exploring: the best of many settings looks better than it is.";
  if (!mark) return "Report split, opened for this setting alone: no setting was chosen on these problems.";
  return `Report split: ${mark}.`;
}

export function status(sweep, ghost) {
  const faint = ghost ? " · faint: the setting before" : "";
  if (!sweep.finished) return `so far ${sweep.decoded} of ${sweep.rows} answers${faint}`;
  const baseline = sweep.baseline === null ? "" : ` · baseline ${percent(sweep.baseline)} (dashed)`;
  const lost = (sweep.nonfinite ?? []).reduce((sum, count) => sum + count, 0);
  const overflowed = lost ? ` · ${lost} answers overflowed (not finite) and are left out` : "";
  return `n = ${sweep.total} · ${sweep.alphas.length} α · Wilson 95 % band${baseline}${overflowed}`;
}

// The slider has more α than the sweep: between two points of the chart both are quoted, so that the
// α of this line is always the slider's.
export function reading(sweep, alpha) {
  const at = `α = ${signed(alpha)}`;
  const on = sweep.alphas.findIndex((known) => Math.abs(known - alpha) < 0.01);
  if (on >= 0) return `${at}${point(sweep, on)}`;
  const above = sweep.alphas.findIndex((known) => known > alpha);
  const beside = above < 0 ? [sweep.alphas.length - 1] : [above - 1, above].filter((i) => i >= 0);
  return `${at} is not in the sweep; beside it ${beside.map((i) => brief(sweep, i)).join(", ")}`;
}

function brief(sweep, i) {
  const at = `at α = ${signed(sweep.alphas[i])}`;
  if (!sweep.n[i]) return `nothing yet ${at}`;
  return sweep.finished ? `${percent(sweep.correct[i] / sweep.n[i])} ${at}` : `${percent(soFar(sweep, i))} so far ${at}`;
}

function point(sweep, i) {
  const lost = sweep.nonfinite?.[i] ?? 0;
  if (!sweep.n[i]) return lost ? `: no answers, numbers overflowed on ${lost} problems` : ": not decoded yet";
  const flips = `${sweep.wrong_to_right[i]} wrong → right, ${sweep.right_to_wrong[i]} right → wrong`;
  if (!sweep.finished) {
    const parts = `baseline ${percent(sweep.baseline)} and the change on ${sweep.n[i]} pairs`;
    return ` so far: ${percent(soFar(sweep, i))}, from ${parts} (${flips})`;
  }
  const share = percent(sweep.correct[i] / sweep.n[i]);
  const interval = `${percent(sweep.low[i])} to ${percent(sweep.high[i])}`;
  return `: ${sweep.correct[i]} of ${sweep.n[i]} right, ${share} (${interval}); ${flips}${lost ? `; ${lost} overflowed` : ""}`;
}
