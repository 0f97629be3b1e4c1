// Text and files to inputs, as the API takes them. What cannot be read is an `Unreadable`.

import { say } from "./words.js";

export class Unreadable extends Error {
  constructor(title, detail) {
    super(title);
    Object.assign(this, { title, detail });
  }
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
    throw new Unreadable(say("unreadable.names"), say("unreadable.names_detail"));
  }
  const named = !columns || head?.every((name) => columns.includes(name));
  const order = named ? head : columns;
  return (named ? rest : lines).map((values, i) => {
    if (values.length !== order.length) {
      const expected = { number: order.length, names: order.join(", "), received: values.length };
      throw new Unreadable(say("unreadable.line", { number: i + 1 + named }), say("unreadable.line_detail", expected));
    }
    return withTarget(Object.fromEntries(order.map((name, k) => [name, cell(values[k])])), target);
  });
}

/** Whether the cells of a line can be names of columns. */
function isHead(line = []) {
  return line.every((name) => typeof cell(name) === "string") && new Set(line).size === line.length;
}

/** A row apart from the value that belongs to it. */
export function withTarget(row, target) {
  if (!target) return { row };
  const { [target]: label, ...others } = row;
  if (typeof label !== "number") {
    throw new Unreadable(say("unreadable.value"), say("unreadable.value_detail", { name: target }));
  }
  return { row: others, label };
}

/**
 * Sentences, one a line; or two columns of a spreadsheet, the text and then its class.
 * @returns {{text: string, label?: string}[]}
 */
export function textsOf(text) {
  if (!text.includes("\t")) return lines(text).map((line) => ({ text: line }));
  const rows = table(text).filter((row) => row.some(Boolean));
  const [head, ...rest] = rows;
  const named = head.map((name) => name.toLowerCase()).join() === HEAD;
  return (named ? rest : rows).map((row, i) => {
    if (row.length === 2 && row.every(Boolean)) return { text: row[0], label: row[1] };
    const number = i + 1 + named;
    throw new Unreadable(say("unreadable.line", { number }), say("unreadable.pair", { n: row.filter(Boolean).length }));
  });
}

const HEAD = "text,label";

/** A text whose [marked] parts are its spans, counted in characters; brackets are none of it. */
export function withSpans(marked) {
  const spans = [];
  let [text, length] = ["", 0];
  for (const [part, inside] of marked.matchAll(/\[([^[\]]+)\]|[^[]+|\[/g)) {
    const shown = inside ?? part;
    const size = [...shown].length;  // of characters, as Python counts them
    if (inside !== undefined) spans.push([length, length + size]);
    text += shown;
    length += size;
  }
  return { text, spans };
}

/** The lines of a text that say something. */
export function lines(text) {
  return text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
}

/** Cells as spreadsheets copy them: tabs between them, and quotes around those that hold tabs or lines. */
function table(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^\t\r\n]*))(\t|\r?\n|$)/g)) {
    rows.at(-1).push((quoted?.replaceAll('""', '"') ?? plain).replace(/\s+/g, " ").trim().normalize("NFC"));
    if (end === "") break;
    if (end !== "\t") rows.push([]);
  }
  return rows;
}

/** The cells of a line, of which those in quotes may hold the separator. */
export function cells(line, separator) {
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
    const count = (n) => say("unreadable.n_numbers", { n });
    const wanted = withLabel ? say("unreadable.n_numbers_and_value", { n: size }) : count(size);
    const received = numbers.some(Number.isNaN) ? say("unreadable.no_number") : count(numbers.length);
    throw new Unreadable(say("unreadable.numbers"), say("unreadable.numbers_detail", { wanted, received }));
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
