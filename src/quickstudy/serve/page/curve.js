// A function of one number: the curve, the examples it comes from and the questions on it.

import { brief, el, inline, svg } from "./dom.js";
import { state } from "./state.js";
import { say } from "./words.js";

const [WIDTH, HEIGHT, EDGE] = [420, 300, 26];

/** The curve as a picture. */
export function drawCurve(curve) {
  const seen = state.task.examples.filter(({ id }) => state.inputs.has(id));
  const examples = seen.map(({ id, label }) => [state.inputs.get(id).values[0], label]);
  const answered = state.queries.filter(({ prediction }) => prediction);
  const asked = answered.map(({ input, prediction }) => [input.values[0], prediction.label]);
  const x = scale(curve.map(([at]) => at), EDGE, WIDTH - EDGE);
  const y = scale([...curve, ...examples].map(([, value]) => value), HEIGHT - EDGE, EDGE);
  const at = ([a, b]) => `translate(${x(a).toFixed(1)} ${y(b).toFixed(1)})`;
  const corners = curve.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`);
  const line = svg("polyline", { class: "fit", points: corners.join(" ") });
  const dot = (look) => (point) => svg("circle", { class: `mark ${look}`, r: 5, transform: at(point) });
  const [low, high] = [curve[0][0], curve.at(-1)[0]];
  const said = say("map.curve", { low: brief(low), high: brief(high), number: examples.length });
  const ends = [[low, "start"], [high, "end"]].map(([value, anchor]) => {
    const text = svg("text", { class: "tick", x: x(value), y: HEIGHT - 8, "text-anchor": anchor });
    text.textContent = brief(value);
    return text;
  });
  const plot = svg("svg", { class: "map", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said },
    line, ...examples.map(dot("hue-0")), ...asked.map(dot("ring")), ...ends);
  const legend = [["hue-0", say("map.example")], ["ring", say("map.question")]].map(([look, name]) =>
    el("li", {}, inline(svg("circle", { class: `mark ${look}`, r: 5 })), name));
  return [plot, el("ul", { class: "legend" }, legend)];
}

/** Values to pixels: the least one at `from`, the greatest at `to`, a single one between them. */
export function scale(values, from, to) {
  const low = Math.min(...values);
  const range = Math.max(...values) - low || 1;
  return (value) => from + (to - from) * (values.length > 1 ? (value - low) / range : 0.5);
}
