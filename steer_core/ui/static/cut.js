// Texts that are longer than their box: faded where they go on, so that nobody takes a part for all.

export function watchCut(box) {
  box.addEventListener("scroll", () => markCut(box), { passive: true });
  new ResizeObserver(() => markCut(box)).observe(box);
}

export function markCut(box) {
  box.dataset.above = box.scrollTop > 1 ? "yes" : "";
  box.dataset.below = box.scrollTop + box.clientHeight < box.scrollHeight - 1 ? "yes" : "";
}

// Scrolls to the last number: it is what was read as the answer.
export function showLastNumber(box) {
  box.scrollTop = 0;
  const place = box.textContent.search(/\d\D*$/);
  if (place >= 0 && box.scrollHeight > box.clientHeight) {
    const line = parseFloat(getComputedStyle(box).lineHeight);
    const depth = rangeAt(box, place).getBoundingClientRect().bottom - box.getBoundingClientRect().top;
    box.scrollTop = Math.ceil(depth / line) * line - box.clientHeight;
  }
  markCut(box);
}

function rangeAt(box, place) {
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  let node = walker.nextNode();
  for (; place >= node.length; node = walker.nextNode()) place -= node.length;
  const range = document.createRange();
  range.setStart(node, place);
  range.setEnd(node, place + 1);
  return range;
}
