// Keeps the address of the page in step with the inputs, so that it can be shared.
import { on, store } from "./store.js";

const QUIET_MS = 400;
let timer = 0;

// The first tab needs no name in the address. What is opened on the second is named while it is shown.
const named = new URL(location.href).searchParams;
let tab = named.get("tab");
let opened = { run: named.get("run"), compare: named.get("compare") };

export function keepTab(name) {
  tab = name === "explore" ? null : name;
  change({ tab, run: null, compare: null, ...(tab && opened) });
}

export const keepView = (view) => change({ view });

// `run` is the name of the opened experiment, or `compare` holds the names of two.
export function keepOpened({ run = null, compare = null }) {
  opened = { run, compare: compare?.join(",") ?? null };
  if (tab) change(opened);
}

export const linkedRuns = () => ({ run: opened.run, compare: opened.compare?.split(",") ?? null });

on("draw", keepLink);

export function keepLink() {
  clearTimeout(timer);
  timer = setTimeout(write, QUIET_MS);
}

function write() {
  // Names and values of all inputs; they may come before this module does.
  const [names, values] = window.steerLink ?? [[], []];
  if (names.length) change(wanted(Object.fromEntries(names.map((name, i) => [name, values[i]]))));
}

// Null takes a part out of the address, undefined leaves it as it is.
function change(parts) {
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(parts)) {
    if (value === undefined) continue;
    if (value === null) address.searchParams.delete(name);
    else address.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", address);
}

// All of it, also what nobody touched: the server may have other defaults when it is opened.
function wanted(inputs) {
  const { alpha, view } = store;
  const { positions, ...rest } = inputs;
  const mask = [...positions].sort((a, b) => a - b).join(",");
  // What was typed is named once it is decoded: an address shows what was on the page.
  const own = { problem: null, variant: null, keep: null, question: view?.question, gold: view?.gold };
  const asked = inputs.source === "own" ? own : { question: null, gold: null };
  const factors = { schedule: rest.schedule || null, layers: rest.layers || null };
  return { ...rest, ...asked, ...factors, mask, alpha };
}
