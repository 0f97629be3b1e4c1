// The map: examples and questions where the network sees them, near to what looks alike to it.

import { drawCurve } from "./curve.js";
import { el, mark, markIcon, svg } from "./dom.js";
import { hueOf, state, subscribe } from "./state.js";
import { thumb } from "./thumbs.js";

const place = document.querySelector("#map");
const [WIDTH, HEIGHT, EDGE] = [420, 300, 18];
let shown;

export function setUpMap() {
  subscribe(() => {
    const { points, curve } = state;
    if ((points ?? curve) === shown) return;
    shown = points ?? curve;
    place.replaceChildren(...(points ? draw(points) : curve ? drawCurve(curve) : [el("p", { class: "soft" }, "It appears once the model is ready.")]));
  });
}

function draw(points) {
  const across = scale(points.map(({ x }) => x), WIDTH);
  const down = scale(points.map(({ y }) => y), HEIGHT);
  const plot = svg("svg", {
    class: "map", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group",
    "aria-label": "Map of examples and questions. Arrow keys move from point to point.",
  });
  const dots = points.map((point) => {
    const { id, label, asked } = point;
    const name = asked ? `Question, answered ${asked.prediction?.label ?? "not sure"}` : `Example ${id} of ${label}`;
    const shape = asked ? question() : mark(hueOf(label));
    const at = `translate(${across(point.x).toFixed(1)} ${(HEIGHT - down(point.y)).toFixed(1)})`;
    const dot = svg("g", { class: asked ? "dot asked" : "dot", transform: at, tabindex: "-1", role: "img", "aria-label": name },
      svg("circle", { class: "halo", r: 12 }), shape);
    const tell = (on) => () => highlight(point, name, across(point.x) < WIDTH / 2, on);
    for (const [event, on] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) {
      dot.addEventListener(event, tell(on));
    }
    return dot;
  });
  dots[0].setAttribute("tabindex", "0");
  plot.append(...dots);
  plot.addEventListener("keydown", (event) => walk(event, dots));
  const legend = el("ul", { class: "legend" },
    state.classes.filter(({ shots }) => shots).map(({ label }) => el("li", {}, markIcon(hueOf(label)), label)),
    points.some(({ asked }) => asked) ? el("li", {}, svg("svg", { class: "mark-icon", viewBox: "-8 -8 16 16", "aria-hidden": "true" }, question()), "question") : null);
  return [plot, legend];
}

function question() {
  return svg("circle", { class: "mark ring", r: 5.2 });
}

/** Values to pixels, the whole range inside the edges. */
function scale(values, length) {
  const low = Math.min(...values);
  const range = Math.max(...values) - low || 1;
  return (value) => EDGE + (length - 2 * EDGE) * (values.length > 1 ? (value - low) / range : 0.5);
}

/** Arrow keys go through the points from left to right; one of them is in the tab order. */
function walk(event, dots) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const order = [...dots].sort((a, b) => a.getBoundingClientRect().x - b.getBoundingClientRect().x);
  const now = order.indexOf(document.activeElement);
  const next = order[(now + step + order.length) % order.length];
  for (const dot of dots) dot.setAttribute("tabindex", dot === next ? "0" : "-1");
  next.focus();
}

/** Lights up the card of a point, and shows what it is: the card may be off the screen. */
function highlight({ id, asked }, name, left, on) {
  const card = asked
    ? document.querySelector(`[data-query="${asked.key}"]`)
    : document.querySelector(`[data-example="${CSS.escape(id)}"]`);
  card?.classList.toggle("lit", on);
  card?.closest(".card").classList.toggle("lit", on);
  place.querySelector(".peek")?.remove();
  const input = asked?.input ?? state.inputs.get(id);
  if (on) place.append(el("div", { class: `peek ${left ? "right" : ""}`, "aria-hidden": "true" }, thumb(input, ""), name));
}
