// The null behind the live curve: bands of directions without meaning, and what they say of it.
const WORDS = { random: "random", shuffled: "label-shuffled" };
const STYLE = { random: "dot", shuffled: "dash" };

// Bands with edges of their own dash: grey random, teal label-shuffled.
export function nullTraces(sweep, colour) {
  return (sweep.null?.kinds ?? []).flatMap(({ kind, low, high }) => {
    const ink = kind === "random" ? colour.baseline : colour.minus || colour.baseline;
    const edge = { x: sweep.alphas, mode: "lines", line: { width: 1, dash: STYLE[kind] ?? "dot", color: ink }, hoverinfo: "skip", connectgaps: true, zorder: -1 };
    return [{ ...edge, y: low }, { ...edge, y: high, fill: "tonexty", fillcolor: colour.controls, opacity: 0.6 }];
  });
}

const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;

// The verdict in words, with its numbers; while controls are decoded, how far they are.
export function nullWords(sweep) {
  const found = sweep.null;
  if (!found) return "";
  if (!found.finished) return `Null: ${found.done} of ${found.rows} answers along random and label-shuffled directions…`;
  const parts = found.kinds.map(({ kind, n, reach, p }) => `${reach} of ${n} ${WORDS[kind]} directions (p = ${p.toFixed(2)})`);
  if (!parts.length) return "";
  const largest = found.kinds[0].largest;
  const least = Math.max(...found.kinds.map(({ p }) => p));
  const verdict = least <= 0.05 ? "More than directions without meaning do" : "Not more than directions without meaning do";
  return `${verdict}: the largest change, ${percent(largest)}, is reached by ${parts.join(" and ")}. Bands: 95 % of each kind; dotted random, dashed label-shuffled.`;
}
