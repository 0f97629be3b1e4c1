// Where inputs come from: a pad, files and the clipboard; a form; numbers. One for each card.

import { openCamera } from "./camera.js";
import { button, complain, el, icon, tool } from "./dom.js";
import { handOver } from "./files.js";
import { Unreadable, arraysOf, cell, lines, rowsOf, sizeOf, textsOf, withSpans, withTarget } from "./inputs.js";
import { makePad } from "./pad.js";
import { historyOf } from "./series.js";
import { state } from "./state.js";
import { language, say } from "./words.js";

/**
 * @typedef {object} Gathering
 * @property {string} label what is gathered, for those who do not see it
 * @property {string} verb of the button that hands the inputs over
 * @property {function(object[]): Promise} onInputs takes inputs, or throws a problem
 * @property {HTMLElement} alerts where they are shown
 * @property {boolean} [asks] whether they are asked about rather than taught
 * @property {boolean} [valued] whether each input comes with the value that it has
 * @property {function(?object, boolean): Promise} [onDrawing] takes what is on the pad after every stroke, or
 *   what the camera sees; then with true, and nothing but its answer is asked for
 */

/**
 * The way in that suits the model.
 * @param {Gathering} options
 * @returns {{element: HTMLElement, take: function(DataTransfer): boolean, clear: function, show: function}}
 */
export function makeGather(options) {
  const { alerts } = options;
  const hand = async (make, done = () => {}, undone = () => {}) => {
    complain(alerts, null);
    element.setAttribute("aria-busy", "true");
    try {
      const inputs = await make();
      if (inputs.length && (await options.onInputs(inputs)) !== false) done();
    } catch (problem) {
      undone();
      if (!problem.title) throw problem;
      complain(alerts, problem);
    } finally {
      element.removeAttribute("aria-busy");
    }
  };
  const kinds = { pictures, texts, rows, series, molecules, arrays };
  const { parts, take, clear, show = () => {} } = kinds[state.model.modality](options, hand);
  const element = el("div", { class: `gather ${state.model.modality}` }, parts);
  return { element, take, clear, show };
}

/** Files, however they come; `progress` shows how far they are. */
function pictureFiles({ label, onInputs }, hand) {
  const progress = el("p", { class: "progress", role: "status" });
  const show = (done, all) => (progress.textContent = done < all ? say("files.progress", { done, all }) : "");
  const chooser = el("input", {
    type: "file", accept: "image/*", multiple: true, class: "hidden-file", tabindex: "-1",
    "aria-label": say("gather.files", { label }),
    onchange: () => {
      take(chooser);
      chooser.value = "";
    },
  });
  const choose = () => chooser.click();
  const take = ({ files: [...files] }) => {
    const { model, limits } = state;
    if (files.length) hand(() => handOver(files, { model, limits, onInputs, onProgress: show }).then(() => []));
    return files.length > 0;
  };
  return { choose, take, parts: [chooser, progress] };
}

function pictures(options, hand) {
  return state.model.drawings ? drawings(options, hand) : photos(options, hand);
}

/** Photos: from the camera, or files. */
function photos(options, hand) {
  const { onInputs, onDrawing } = options;
  const { choose, take, parts } = pictureFiles(options, hand);
  const start = button("way", () => hand(() => open().then(() => [])), icon("photos"), el("span", {}, say("camera.open")));
  const ways = el("div", { class: "ways" }, start,
    button("way", choose, icon("upload"), el("span", {}, say("gather.choose")), el("small", {}, say("gather.drop"))));
  const onclose = () => {
    ways.hidden = false;
    onDrawing?.(null);
    if (document.activeElement === document.body) start.focus({ preventScroll: true });
  };
  const onphotos = (taken) => hand(async () => taken.map(input));
  const live = onDrawing && { onlook: (b64) => onDrawing(input(b64), true), onkeep: () => onInputs([]) };
  const open = async () => {
    const { element } = await openCamera({ ...(live ?? { onphotos }), onclose });
    ways.hidden = true;
    ways.after(element);
    element.querySelector(".main").focus({ preventScroll: true });
  };
  return { parts: [ways, ...parts], take, clear: () => {} };
}

function input(b64) {
  return { image: { b64 } };
}

/** Drawings: on a pad, or files. */
function drawings(options, hand) {
  const { label, verb, onInputs, onDrawing } = options;
  const { choose, take, parts } = pictureFiles(options, hand);
  const update = () => {
    if (pad.isEmpty() && tools.contains(document.activeElement)) pad.focus();  // before it is lost
    for (const each of [undo, wipe, main]) each.disabled = pad.isEmpty();
  };
  const clear = () => {
    pad.clear();
    update();
  };
  const submit = () => {
    if (pad.isEmpty()) return;
    const { picture, back } = pad.take();
    update();
    if (onDrawing) onInputs([]);
    else hand(async () => [input(picture)], undefined, back);
  };
  const onchange = () => {
    update();
    onDrawing?.(pad.isEmpty() ? null : input(pad.picture()));
  };
  const pad = makePad({ label, onchange, onsubmit: submit });
  const undo = tool("undo", say("gather.undo"), pad.undo);
  const wipe = tool("eraser", say("gather.clear"), () => {
    clear();
    onDrawing?.(null);
  });
  const main = button("main", submit, onDrawing ? say("gather.keep") : verb);
  const tools = el("div", { class: "tools" }, undo, wipe, tool("upload", say("gather.choose_files"), choose), main);
  update();
  return { parts: [pad.element, tools, ...parts], take, clear };
}

/** Sentences, one a line; a class of their own where they bring one. */
function texts({ label, verb, onInputs, asks }, hand) {
  const { spans } = state.model.encoder ?? {};
  const mark = (input) => (spans ? { ...input, ...withSpans(input.text) } : input);
  const read = (text) => (asks ? lines(text).map((line) => ({ text: line })) : textsOf(text)).map(mark);
  const paste = pasteBox(label, asks ? say("texts.ask_sample") : say("texts.sample"), read, hand, verb);
  const box = paste.querySelector("textarea");
  box.rows = asks ? 2 : 3;
  box.spellcheck = true;
  box.dir = "auto";
  box.addEventListener("keydown", (event) => {
    const sends = event.key === "Enter" && !event.isComposing && (event.ctrlKey || event.metaKey || (asks && !event.shiftKey));
    if (!sends) return;
    event.preventDefault();
    paste.querySelector("button").click();
  });
  const hint = el("small", { class: "hint" }, asks ? say("texts.ask_hint") : say("texts.hint"),
    spans ? ` ${say("texts.marks", { n: spans })}` : null, asks ? languages() : null);
  return { parts: [paste, hint], take: takeText(read, hand), clear: () => (box.value = "") };
}

/** Molecules, a SMILES a line, of which what follows a space is a name that is not looked at. */
function molecules({ label, verb, asks }, hand) {
  const read = (text) => lines(text).map((line) => ({ smiles: line.split(/[\s,;]/)[0] }));
  const paste = pasteBox(label, "CCO", read, hand, verb);
  const box = paste.querySelector("textarea");
  box.rows = 4;
  box.spellcheck = false;
  const hint = el("small", { class: "hint" }, asks ? say("molecules.ask_hint") : say("molecules.hint"));
  return { parts: [paste, hint], take: takeText(read, hand), clear: () => (box.value = "") };
}

/** Which languages the model reads, where those are known. */
function languages() {
  const known = state.model.encoder?.languages ?? [];
  if (!known.length) return null;
  return ` ${say("texts.languages", { languages: new Intl.ListFormat(language).format(known) })}`;
}

/** The columns of the task's rows, where the model leaves them to the task; null as long as there are none. */
function ownColumns() {
  const rows = [...state.inputs.values()].map(({ row }) => row).filter(Boolean);
  return rows.length ? [...new Set(rows.flatMap(Object.keys))] : null;
}

/** Rows with columns of the task's own. */
function table({ label, verb }, hand) {
  const read = (text) => rowsOf(text, ownColumns(), null);
  const paste = pasteRows(label, "", read, hand, verb);
  const about = el("small", {});
  const show = () => {
    const known = ownColumns();
    about.textContent = known ? say("gather.csv_known") : say("gather.csv_unknown");
    const sample = known ? `${known.join(",")}\n…` : say("gather.csv_sample");
    paste.querySelector("textarea").placeholder = sample;
  };
  return { parts: [about, paste], take: takeText(read, hand), clear: () => {}, show };
}

function rows({ label, verb, valued }, hand) {
  if (!state.model.columns) return table({ label, verb }, hand);
  const target = valued ? say("gather.value") : null;
  const columns = [...state.model.columns, ...(valued ? [target] : [])];
  const fields = columns.map((name) => el("input", { name, autocomplete: "off" }));
  const form = el("form", {
    class: "row-form", "aria-label": label,
    onsubmit: (event) => {
      event.preventDefault();
      const row = Object.fromEntries(fields.map((field) => [field.name, cell(field.value.trim())]));
      hand(async () => [withTarget(row, target)], () => (form.reset(), fields[0].focus()));
    },
  }, columns.map((name, i) => el("label", {}, el("span", {}, name), fields[i])),
  el("button", { class: "main" }, verb));
  const read = (text) => rowsOf(text, columns, target);
  const paste = pasteRows(label, `${columns.join(",")}\n…`, read, hand, verb);
  const fold = el("details", { class: "fold" }, el("summary", {}, say("gather.csv")), paste);
  return { parts: [form, fold], take: takeText(read, hand), clear: () => form.reset() };
}

function arrays({ label, verb, valued }, hand) {
  const shape = state.model.x_shape;
  const read = (text) => arraysOf(text, shape, valued);
  const n = sizeOf(shape);
  const hint = valued ? say("gather.numbers_and_value", { n }) : say("gather.numbers", { n });
  const paste = pasteBox(label, hint, read, hand, verb);
  return { parts: [paste], take: takeText(read, hand), clear: () => {} };
}

/** A history, or the part of one that is to be gone on from. */
function series({ label, verb, asks }, hand) {
  const { channels, lags } = state.model.series;
  const read = (text) => [{ series: historyOf(text, channels.length) }];
  const sample = channels.length > 1 ? `${channels.join("\t")}\n…` : say("series.sample");
  const paste = pasteBox(label, sample, read, hand, verb);
  paste.querySelector("textarea").rows = asks ? 2 : 6;
  const hint = el("small", { class: "hint" }, asks ? say("series.ask_hint", { n: lags }) : say("series.hint"));
  const file = asks ? null : textFile(label, read, hand);
  return { parts: [paste, file, hint], take: takeText(read, hand), clear: () => {} };
}

/** A button that opens a text file. */
function textFile(label, read, hand) {
  const chooser = el("input", {
    type: "file", accept: ".csv,.tsv,.txt,text/*", class: "hidden-file", tabindex: "-1",
    "aria-label": say("series.file", { label }),
    onchange: () => {
      takeText(read, hand)(chooser);
      chooser.value = "";
    },
  });
  return el("div", { class: "text-file" }, chooser, button("plain small", () => chooser.click(), icon("upload"), say("series.choose")));
}

function pasteRows(label, placeholder, read, hand, verb) {
  return pasteBox(say("gather.paste_rows", { label }), placeholder, read, hand, say("gather.take_rows", { verb }));
}

function pasteBox(label, placeholder, read, hand, verb) {
  const text = el("textarea", { rows: 3, "aria-label": label, placeholder, spellcheck: "false" });
  const submit = () => {
    const need = () => {
      if (!text.value.trim()) throw new Unreadable(say("unreadable.nothing"), say("unreadable.nothing_detail"));
      return read(text.value);
    };
    hand(async () => need(), () => (text.value = ""));
  };
  return el("div", { class: "paste" }, text, button("main", submit, verb));
}

/** Text files that are dropped are read like pasted text. */
function takeText(read, hand) {
  return ({ files: [file] }) => {
    if (file) hand(async () => read(await file.text()));
    return Boolean(file);
  };
}

/** Lets `element` take what is dropped on it or pasted into it. */
export function acceptDrops(element, take) {
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", (event) => {
    if (!element.contains(event.relatedTarget)) element.classList.remove("over");
  });
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    take(event.dataTransfer);
  });
  element.addEventListener("paste", (event) => {
    if (take(event.clipboardData)) event.preventDefault();
    event.stopPropagation();
  });
}
