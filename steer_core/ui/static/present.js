// The presenter view: question, slider, answers and one figure, in letters for the last row.
import { keepView } from "./link.js";

const FIGURES = ["sweep", "deltas"];

export const presenting = () => document.body.dataset.present === "yes";

export function present(on) {
  document.body.dataset.present = on ? "yes" : "";
  document.body.dataset.figure ||= FIGURES[0];
  const button = document.querySelector("#view-buttons .present");
  if (button) button.ariaPressed = String(on);
  keepView(on ? "present" : null);
  window.scrollTo(0, 0);
}

export function swapFigure() {
  const { figure } = document.body.dataset;
  document.body.dataset.figure = FIGURES[(FIGURES.indexOf(figure) + 1) % FIGURES.length];
}

export function watchPresenter() {
  document.addEventListener("click", ({ target }) => target.closest?.("#view-buttons .present") && present(!presenting()));
  if (new URL(location.href).searchParams.get("view") === "present") present(true);
}
