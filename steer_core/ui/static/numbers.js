// Counts, times and dates as a reader writes them.

export function count(value) {
  const rounded = value >= 100 ? Math.round(value) : Number(value.toPrecision(2));
  return rounded.toLocaleString("en-US");
}

export function clock(seconds) {
  if (seconds < 10) return `${Math.max(1, Math.round(seconds))}\u00a0s`;
  if (seconds < 90) return `${Math.round(seconds / 5) * 5}\u00a0s`;
  const minutes = seconds / 60;
  if (minutes < 90) return `${Math.round(minutes)}\u00a0min`;
  const hours = minutes / 60;
  return hours < 48 ? `${hours.toFixed(1)}\u00a0h` : `${Math.round(hours / 24)}\u00a0days`;
}

// ISO 8601 in UTC, as the reader's clock shows it.
export function moment(text) {
  const when = new Date(text);
  if (Number.isNaN(when.getTime())) return text;
  const two = (value) => String(value).padStart(2, "0");
  const day = `${when.getFullYear()}-${two(when.getMonth() + 1)}-${two(when.getDate())}`;
  return `${day} ${two(when.getHours())}:${two(when.getMinutes())}`;
}

// A new element with a class and text; text never becomes markup.
export function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}
