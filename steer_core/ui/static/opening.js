// Which experiment is shown below the list: one that ends is opened, unless another one was opened
// while it ran. Reading a large one takes seconds, so the list says that it is being read.
let chosen = null;

export function begins() {
  chosen = null;
}

export function opens(name, words) {
  chosen = name;
  waits(words);
}

// Whether the experiment that has ended may be opened by itself.
export function ends(name) {
  const free = chosen === null || chosen === name;
  if (free) waits(`Reading ${name}…`);
  return free;
}

export function shown() {
  waits("");
}

function waits(words) {
  document.body.dataset.opening = words ? "yes" : "";
  const line = document.querySelector("#shelf .busy");
  if (line) line.textContent = words;
}
