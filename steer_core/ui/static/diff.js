// Which words differ between two texts (longest common subsequence of words).

const LIMIT = 300; // words; longer texts are compared from both ends only

const words = (text) => text.match(/\s+|[\p{L}\p{N}.,]+|[^\s\p{L}\p{N}]/gu) ?? [];

// Returns [[word, differs], ...] for both texts.
export function diff(before, after) {
  const [a, b] = [words(before), words(after)];
  const common = a.length > LIMIT || b.length > LIMIT ? ends(a, b) : subsequence(a, b);
  return {
    before: a.map((word, i) => [word, !common.before.has(i)]),
    after: b.map((word, i) => [word, !common.after.has(i)]),
  };
}

function subsequence(a, b) {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j;
      table[at] = a[i] === b[j] ? table[at + width + 1] + 1 : Math.max(table[at + width], table[at + 1]);
    }
  }
  const common = { before: new Set(), after: new Set() };
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) {
      common.before.add(i++);
      common.after.add(j++);
    } else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i++;
    else j++;
  }
  return common;
}

function ends(a, b) {
  const common = { before: new Set(), after: new Set() };
  const most = Math.min(a.length, b.length);
  let head = 0;
  while (head < most && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < most - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  for (let i = 0; i < head; i++) common.before.add(i), common.after.add(i);
  for (let i = 1; i <= tail; i++) common.before.add(a.length - i), common.after.add(b.length - i);
  return common;
}

// Puts words into an element; runs of differing words are wrapped in <mark>. Never as markup.
export function fill(element, parts) {
  element.replaceChildren();
  let run = null;
  for (const [word, differs] of parts) {
    if (!run || run.differs !== differs) {
      run = { differs, node: document.createElement(differs ? "mark" : "span") };
      element.append(run.node);
    }
    run.node.textContent += word;
  }
}
