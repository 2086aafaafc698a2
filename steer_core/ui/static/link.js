// Keeps the address of the page in step with the inputs, so that it can be shared.
import { on, store } from "./store.js";

const QUIET_MS = 400;
let inputs = {};
let timer = 0;

export function keepLink(names, values) {
  inputs = Object.fromEntries(names.map((name, i) => [name, values[i]]));
  later();
}

// The first tab needs no name in the address.
export function keepTab(name) {
  const address = new URL(location.href);
  if (name === "explore") address.searchParams.delete("tab");
  else address.searchParams.set("tab", name);
  history.replaceState(history.state, "", address);
}

on("draw", later);

function later() {
  clearTimeout(timer);
  timer = setTimeout(write, QUIET_MS);
}

function write() {
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(wanted())) {
    if (value === null) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", address);
}

// Null takes a part out of the address.
function wanted() {
  const { alpha } = store;
  if (!inputs.model) return { alpha }; // nothing else was touched yet
  const { positions, ...rest } = inputs;
  const mask = [...positions].sort((a, b) => a - b).join(",");
  const unused = inputs.source === "own" ? { problem: null, variant: null } : { question: null };
  return { ...rest, ...unused, mask, alpha };
}
