// Contrast of text with what is painted behind it, as WCAG 2 counts it.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => below.map((value, i) => top[i] * top[3] + value * (1 - top[3]));
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (node) => {
    const layers = [];
    for (let each = node; each; each = each.parentElement) {
      layers.unshift(rgba(getComputedStyle(each).backgroundColor));
      if (layers[0][3] === 1) break;
    }
    return layers.reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const contrast = (node) => {
    const ground = behind(node);
    const pair = [light(ground), light(over(rgba(getComputedStyle(node).color), ground))];
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  };
  const seen = (node) =>
    node.getClientRects().length &&
    node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
    !node.closest(":disabled, script, style, svg") &&
    [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  const cell = document.querySelector("#deltas .cell");
  const shades = [];
  for (const kind of ["cell", "cell minus"]) {
    for (let share = 0; share <= 100; share += 5) {
      cell.className = kind;
      cell.style.setProperty("--share", `${share}%`);
      shades.push([contrast(cell), `${kind} ${share}`]);
    }
  }
  const texts = [...document.querySelectorAll("body *")]
    .filter(seen)
    .map((node) => [contrast(node), `${node.tagName} ${node.textContent.trim().slice(0, 40)}`]);
  return [...shades, ...texts];
}
