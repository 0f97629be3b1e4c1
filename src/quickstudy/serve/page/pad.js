// A pad to draw on: mouse, touch, pen or keyboard. Strokes are lines through points in 0 .. 1.

import { el } from "./dom.js";
import { say } from "./words.js";

const SIDE = 224;  // pixels of the picture that is sent
const INK = "#16181d";
const WIDTH = 0.055;  // of a line, as part of the side
const STEP = 0.04;  // of the keyboard pen

/**
 * @param {{label: string, onchange: function, onsubmit: function}} options
 * @returns {{element: HTMLElement, isEmpty, picture, undo, focus, take, clear}}
 */
export function makePad({ label, onchange, onsubmit }) {
  let strokes = [];
  let stroke = null;  // being drawn with a pointer
  const pen = { x: 0.5, y: 0.5, stroke: null };  // of the keyboard
  const canvas = el("canvas", {
    class: "pad", tabindex: "0", role: "application", "aria-roledescription": say("gather.pad_role"),
    "aria-label": say("gather.pad", { label }),
  });
  const cursor = el("span", { class: "pen", hidden: true });
  const element = el("div", { class: "pad-frame", "data-hint": say("gather.pad_hint") }, canvas, cursor);

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const redraw = () => {
    const pixels = Math.round((canvas.clientWidth || SIDE) * devicePixelRatio);
    if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
    paint(canvas.getContext("2d"), pixels, strokes);
    element.classList.toggle("drawn", strokes.length > 0);
  };
  const settle = () => {
    redraw();
    onchange?.();
  };
  const lift = () => {
    if (pen.stroke) settle();
    pen.stroke = null;
    cursor.classList.remove("down");
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || stroke) return;
    lift();
    canvas.setPointerCapture(event.pointerId);
    strokes.push((stroke = [at(event)]));
    redraw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    stroke.push(...(passed.length ? passed : [event]).map(at));
    redraw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (!stroke) return;
      stroke = null;
      settle();
    });
  }
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (move) {
      pen.x = Math.min(1, Math.max(0, pen.x + STEP * move[0]));
      pen.y = Math.min(1, Math.max(0, pen.y + STEP * move[1]));
      pen.stroke?.push([pen.x, pen.y]);
      redraw();
    } else if (event.key === " " && pen.stroke) {
      lift();
    } else if (event.key === " ") {
      strokes.push((pen.stroke = [[pen.x, pen.y]]));
      cursor.classList.add("down");
      redraw();
    } else if (event.key === "Enter") {
      lift();
      onsubmit?.();
    } else if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) {
      pad.undo();
    } else {
      return;
    }
    event.preventDefault();
    cursor.hidden = false;
    cursor.style.setProperty("--x", pen.x);
    cursor.style.setProperty("--y", pen.y);
  });
  canvas.addEventListener("blur", () => {
    lift();
    cursor.hidden = true;
  });
  new ResizeObserver(redraw).observe(canvas);

  const pad = {
    element,
    isEmpty: () => strokes.length === 0,
    /** The drawing as a PNG, dark on white. */
    picture: () => {
      const sheet = el("canvas", { width: SIDE, height: SIDE });
      paint(sheet.getContext("2d"), SIDE, strokes, "#fff");
      return sheet.toDataURL("image/png").split(",")[1];
    },
    undo: () => {
      strokes.pop();
      pen.stroke = null;
      settle();
    },
    focus: () => canvas.focus({ preventScroll: true }),
    /** Empties the pad; gives the picture that was on it, and a way to put it back. */
    take: () => {
      const [taken, picture] = [strokes, pad.picture()];
      pad.clear();
      const back = () => {
        strokes = [...taken, ...strokes];
        settle();
      };
      return { picture, back };
    },
    /** An empty pad again; says so to nobody. */
    clear: () => {
      strokes = [];
      pen.stroke = null;
      redraw();
    },
  };
  return pad;
}

/** Draws strokes as smooth lines: curves through the middles of neighbouring points. */
function paint(context, side, strokes, paper) {
  context.clearRect(0, 0, side, side);
  if (paper) {
    context.fillStyle = paper;
    context.fillRect(0, 0, side, side);
  }
  Object.assign(context, { strokeStyle: INK, lineWidth: WIDTH * side, lineCap: "round", lineJoin: "round" });
  for (const points of strokes) {
    const [first, ...rest] = points.map(([x, y]) => [x * side, y * side]);
    context.beginPath();
    context.moveTo(...first);
    let [px, py] = first;
    for (const [x, y] of rest) {
      context.quadraticCurveTo(px, py, (px + x) / 2, (py + y) / 2);
      [px, py] = [x, y];
    }
    context.lineTo(px, py);
    context.stroke();
  }
}
