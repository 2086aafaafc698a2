// Answers come later than questions: one to what the inputs no longer hold is not painted. It is kept,
// because inputs may go back to it, or tell of their values a little later than it arrives.
const kept = [];

// A function that hands on values whose `asked` is what the inputs hold, once they do.
export function whenAsked(act) {
  const mine = { value: null, take: null };
  mine.take = (value) => {
    mine.value = value && superseded(value.asked) ? value : null;
    if (!mine.value) act(value);
  };
  kept.push(mine);
  return mine.take;
}

export function inputsChanged() {
  for (const { value, take } of kept) if (value) take(value);
}

// Errors and values from before the page was set up say nothing of what was asked.
export function superseded(asked, [names, values] = window.steerLink ?? [[], []]) {
  return names.some((name, i) => asked && name in asked && !same(asked[name], values[i]));
}

const same = (some, other) => JSON.stringify(some) === JSON.stringify(other);
