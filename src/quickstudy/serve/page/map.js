// The map: examples and questions where the network sees them, near to what looks alike to it.

import { isNovel } from "./answers.js";
import { drawCurve } from "./curve.js";
import { el, inline, mark, markIcon, soft, svg } from "./dom.js";
import { hueOf, state, subscribe } from "./state.js";
import { thumb } from "./thumbs.js";
import { say } from "./words.js";

const place = document.querySelector("#map");
const title = document.querySelector("#map-title");
const [WIDTH, HEIGHT, EDGE] = [420, 300, 18];
let shown;

export function setUpMap() {
  subscribe(() => {
    const { points, curve } = state;
    if ((points ?? curve) === shown) return;
    shown = points ?? curve;
    title.textContent = curve ? say("map.curve_title") : say("map.title");
    const nothing = [soft(say("map.none"))];
    place.replaceChildren(...(points ? draw(points) : curve ? drawCurve(curve) : nothing));
  });
}

function draw(points) {
  const pixels = toPixels(points);
  const plot = svg("svg", {
    class: "map", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group",
    "aria-label": say("map.label"),
  });
  const dots = points.map((point) => {
    const { id, label, asked } = point;
    const [x, y] = pixels(point);
    const unsure = isNovel(asked?.prediction) ? say("answer.none_of_these") : say("answer.unsure");
    const answer = isNovel(asked?.prediction) ? unsure : asked?.prediction?.label ?? unsure;
    const name = asked ? say("map.answered", { label: answer }) : say("example.of", point);
    const dot = svg("g", {
      class: asked ? "dot asked" : "dot", transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
      tabindex: "-1", role: "img", "aria-label": name,
    }, svg("circle", { class: "halo", r: 12 }), asked ? question() : mark(hueOf(label)));
    for (const event of ["pointerenter", "focus"]) dot.addEventListener(event, () => light(point, name, x < WIDTH / 2));
    for (const event of ["pointerleave", "blur"]) dot.addEventListener(event, dim);
    return dot;
  });
  dots[0].setAttribute("tabindex", "0");
  plot.append(...dots);
  plot.addEventListener("keydown", (event) => walk(event, dots));
  const taught = state.classes.filter(({ shots }) => shots);
  const legend = el("ul", { class: "legend" },
    taught.map(({ label }) => el("li", {}, markIcon(hueOf(label)), label)),
    points.some(({ asked }) => asked) ? el("li", {}, inline(question()), say("map.question")) : null);
  return [plot, legend];
}

/** One scale for both axes, so that distances keep their proportions; what has no extent is in the middle. */
function toPixels(points) {
  const [across, down] = [points.map(({ x }) => x), points.map(({ y }) => y)].map((values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return { middle: (low + high) / 2, extent: high - low };
  });
  const scales = [(WIDTH - 2 * EDGE) / across.extent, (HEIGHT - 2 * EDGE) / down.extent];
  const scale = Math.min(...scales.filter(Number.isFinite), Number.MAX_VALUE);
  return ({ x, y }) => [
    WIDTH / 2 + (x - across.middle) * scale, HEIGHT / 2 - (y - down.middle) * scale,
  ];
}

function question() {
  return svg("circle", { class: "mark ring", r: 5.2 });
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
function light({ id, asked }, name, isLeft) {
  const selector = asked ? `[data-query="${asked.key}"]` : `[data-example="${CSS.escape(id)}"]`;
  const shown = document.querySelector(selector);
  shown?.classList.add("lit");
  shown?.closest(".card").classList.add("lit");
  const look = isLeft ? "peek right" : "peek";
  place.append(el("div", { class: look, "aria-hidden": "true" }, thumb(asked?.input ?? state.inputs.get(id), ""), name));
}

function dim() {
  for (const each of document.querySelectorAll(".lit")) each.classList.remove("lit");
  place.querySelector(".peek")?.remove();
}
