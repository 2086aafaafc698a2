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
    if (value === undefined) continue;
    if (value === null) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", address);
}

// Null takes a part out of the address, undefined leaves it as it is.
function wanted() {
  const { alpha, view } = store;
  if (!inputs.model) return { alpha }; // nothing else was touched yet
  const { positions, ...rest } = inputs;
  const mask = [...positions].sort((a, b) => a - b).join(",");
  // What was typed is named once it is decoded: an address shows what was on the page.
  const own = { problem: null, variant: null, question: view?.question, gold: view?.gold };
  const asked = inputs.source === "own" ? own : { question: null, gold: null };
  return { ...rest, ...asked, mask, alpha };
}
