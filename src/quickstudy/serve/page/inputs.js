// Text and files to inputs, as the API takes them. What cannot be read is an `Unreadable`.

import { plural } from "./dom.js";

export class Unreadable extends Error {
  constructor(title, detail) {
    super(title);
    Object.assign(this, { title, detail });
  }
}

/** Files as pictures; whether they are any is for the server to say. */
export async function picturesOf(files, limits) {
  const most = limits.body_bytes;
  for (const { name, size } of files) {
    if (most && size * 4 / 3 > most) {  // base64 takes four bytes for three
      const [has, may] = [size, most * 3 / 4].map((bytes) => `${(bytes / 1e6).toFixed(1)} MB`);
      throw new Unreadable("Picture too large", `${name} has ${has}; at most ${may} can be sent.`);
    }
  }
  return Promise.all(files.map(async (file) => ({ image: { b64: base64(await file.arrayBuffer()) } })));
}

function base64(buffer) {
  const bytes = new Uint8Array(buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(text);
}

/**
 * Lines of comma, semicolon or tab separated values as rows; a line of column names may lead, and
 * must where no columns are known. The column named `target`, if any, is the value of the row.
 */
export function rowsOf(text, columns, target) {
  const separator = ["\t", ";", ","].find((each) => text.includes(each)) ?? ",";
  const lines = text.split(/\r?\n/).filter((line) => line.trim()).map((line) => cells(line, separator));
  const [head, ...rest] = lines;
  if (!columns && !isHead(head)) {
    const detail = "The first line must name the columns, each another name.";
    throw new Unreadable("The names of the columns are missing", detail);
  }
  const named = !columns || head?.every((name) => columns.includes(name));
  const order = named ? head : columns;
  return (named ? rest : lines).map((values, i) => {
    if (values.length !== order.length) {
      const wanted = `${order.length} values: ${order.join(", ")}`;
      const detail = `Each row needs ${wanted}; this has ${values.length}.`;
      throw new Unreadable(`Line ${i + 1 + named} does not fit`, detail);
    }
    return withTarget(Object.fromEntries(order.map((name, k) => [name, cell(values[k])])), target);
  });
}

/** Whether the cells of a line can be names of columns. */
function isHead(line = []) {
  return line.every((name) => typeof cell(name) === "string") && new Set(line).size === line.length;
}

/** A row apart from the value that belongs to it. */
export function withTarget({ ...row }, target) {
  if (!target) return { row };
  const label = row[target];
  delete row[target];
  if (typeof label !== "number") {
    throw new Unreadable("The value is missing", `Each example needs a number as ${target}.`);
  }
  return { row, label };
}

function cells(line, separator) {
  const found = [];
  let value = "";
  let quoted = false;
  for (const letter of line) {
    if (letter === '"') quoted = !quoted;
    else if (letter === separator && !quoted) found.push(value.trim()), (value = "");
    else value += letter;
  }
  return [...found, value.trim()];
}

/** A cell of a table: nothing, a number, or text. */
export function cell(text) {
  const number = Number(text);
  return text === "" ? null : Number.isFinite(number) ? number : text;
}

/** How many numbers an array of a shape has. */
export function sizeOf(shape) {
  return shape.reduce((a, b) => a * b, 1);
}

/** Numbers, however they are separated, as arrays of a shape; several if there are enough. */
export function arraysOf(text, shape, withLabel) {
  const numbers = text.split(/[\s,;[\]()]+/).filter(Boolean).map(Number);
  const size = sizeOf(shape);
  const each = size + (withLabel ? 1 : 0);
  if (!numbers.length || numbers.length % each || numbers.some(Number.isNaN)) {
    const wanted = `${plural(size, "number")}${withLabel ? " and its value" : ""}`;
    const found = numbers.some(Number.isNaN) ? "something that is no number" : plural(numbers.length, "number");
    throw new Unreadable("These numbers do not fit", `An example has ${wanted}; received ${found}.`);
  }
  return Array.from({ length: numbers.length / each }, (_, i) => {
    const [first, last] = [i * each, i * each + size];
    const values = shaped(numbers.slice(first, last), shape);
    return withLabel ? { values, label: numbers[last] } : { values };
  });
}

function shaped(numbers, [, ...inner]) {
  if (!inner.length) return numbers;
  const size = sizeOf(inner);
  return Array.from({ length: numbers.length / size }, (_, i) =>
    shaped(numbers.slice(i * size, (i + 1) * size), inner));
}
