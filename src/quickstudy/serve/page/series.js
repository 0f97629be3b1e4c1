// Histories as people paste them: a column with or without its name, a row, a table with dates.

import { Unreadable, cells } from "./inputs.js";
import { say } from "./words.js";

const DECIMAL = /^[-+]?\d+,\d+$/;  // with a decimal comma
const GROUPED = /^[-+]?\d{1,3}(,\d{3})+(\.\d+)?$/;  // with commas between thousands
const DOTTED = /^[-+]?\d{1,3}(\.\d{3})+(,\d+)?$/;  // with dots between thousands
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const NEAR = 1e-6;  // part of the range within which two values are the same: files hold them in 32 bits

/**
 * The history that a text holds: numbers in the order of time, or lists of them where there are
 * several channels.
 * @param {string} text
 * @param {number} n how many channels
 * @throws {Unreadable} names the line that is no number, or says what may mean two things
 */
export function historyOf(text, n) {
  const { rows, first, comma } = table(text, n);
  const numbers = rows.map((row) => row.map((each) => numberOf(each, comma)));
  const head = numbers.length > 1 && !numbers[0].some(Number.isFinite);
  const names = head ? rows[0] : null;
  const body = head ? numbers.slice(1) : numbers;
  if (body.length === 1) return parted(body[0].slice(body[0].findIndex(Number.isFinite)), n, first);
  const width = Math.max(...body.map((row) => row.length));
  const line = (i) => first + i + Number(head);
  const ragged = body.findIndex((row) => row.length !== width);
  if (ragged >= 0) {
    const flat = body.flat();
    if (n === 1 && !head && flat.every(Number.isFinite)) return flat;
    throw noNumber(line(ragged), rows[ragged + Number(head)].join(" "));
  }
  let columns = Array.from({ length: width }, (_, k) => k).filter((k) => {
    const bad = body.findIndex((row) => !Number.isFinite(row[k]));
    const good = body.filter((row) => Number.isFinite(row[k])).length;
    if (bad >= 0 && (2 * good > body.length || width === 1)) {
      throw noNumber(line(bad), rows[bad + Number(head)][k]);
    }
    return bad < 0;
  });
  if (columns.length === n + 1 && counts(body.map((row) => row[columns[0]]))) columns = columns.slice(1);
  if (n === 1 && !names && columns.length === width) return body.flat();  // numbers that go on in the next line
  if (columns.length !== n) {
    const held = columns.map((k) => names?.[k] ?? k + 1).join(", ");
    throw new Unreadable(say("series.columns"), say("series.columns_detail", { n, held: held || "–" }));
  }
  return n === 1 ? body.map((row) => row[columns[0]]) : body.map((row) => columns.map((k) => row[k]));
}

/** The cells of a text, the number of its first line that says something, and whether commas are decimal. */
function table(text, n) {
  const lines = text.replace(/\s+$/, "").split(/\r?\n/);
  const first = lines.findIndex((line) => line.trim());
  if (first < 0) throw new Unreadable(say("unreadable.nothing"), say("unreadable.nothing_detail"));
  const said = lines.slice(first);
  const gap = said.findIndex((line) => !line.trim());
  if (gap >= 0) throw new Unreadable(say("series.gap", { number: first + gap + 1 }), say("series.gap_detail"));
  const { separator, comma } = separation(said, n);
  const rows = said.map((line) => (separator ? cells(line, separator) : line.trim().split(/\s+/)));
  if (separator) for (const row of rows) while (row.length > 1 && row.at(-1) === "") row.pop();
  // The name of a column may be several words.
  if (!separator && rows.length > 1 && rows[1].length === 1 && !NUMBER.test(said[0].trim())) {
    if (!rows[0].some((each) => Number.isFinite(numberOf(each, comma)))) rows[0] = [said[0].trim()];
  }
  return { rows, first: first + 1, comma };
}

/** What parts the cells of the lines, nothing being blanks; and whether commas are decimal. */
function separation(lines, n) {
  const text = lines.join("\n");
  for (const separator of ["\t", ";"]) {
    if (text.includes(separator)) return { separator, comma: decimal(lines.flatMap((line) => cells(line, separator))) };
  }
  const rows = lines.map((line) => cells(line, ","));
  if (!text.includes(",") || (n > 1 && rows.every((row) => row.length >= n))) {
    return { separator: text.includes(",") ? "," : "", comma: false };
  }
  // The name of a column may be prose.
  const prose = lines.length > 1 && !/\d|,\S/.test(lines[0]);
  const tokens = lines.slice(Number(prose)).join(" ").split(/\s+/).filter((token) => token.includes(","));
  if (!tokens.length) return { separator: "", comma: false };
  if (tokens.every((token) => GROUPED.test(token)) && (lines.length > 1 || tokens.length > 1)) {
    return { separator: "", comma: decimal(tokens) };
  }
  const counted = lines.length > 3 && rows.every((row) => row.length === 2) && counts(rows.map(([a]) => Number(a)));
  const comma = !counted && tokens.every((token) => DECIMAL.test(token));
  return { separator: comma ? "" : ",", comma };
}

/** Whether commas are decimal in these cells; where that cannot be known, an `Unreadable`. */
function decimal(all) {
  const numbers = all.map(plain).filter((each) => /^[-+]?[\d.]*,[\d.,]*\d$/.test(each));
  if (!numbers.length) return false;
  const groups = numbers.every((each) => GROUPED.test(each));
  if (groups && numbers.some((each) => each.includes("."))) return false;
  if (!groups) return true;
  throw new Unreadable(say("series.two_values", { text: numbers[0] }), say("series.two_values_detail"));
}

/** A number as people write it; NaN for what is none. */
function numberOf(text, comma) {
  let digits = plain(text).replace(/^([-+]?)[€$£¥]|[%€$£¥]$/g, "$1");
  if (comma && DOTTED.test(digits)) digits = digits.replaceAll(".", "");
  if (!comma && GROUPED.test(digits)) digits = digits.replaceAll(",", "");
  if (comma) digits = digits.includes(".") ? "" : digits.replace(",", ".");
  return NUMBER.test(digits) ? Number(digits) : NaN;
}

/** A number without blanks and apostrophes, which part thousands, and with a plain minus sign. */
function plain(text) {
  return text.replace(/[−–﹣－]/g, "-").replace(/[\s\u00a0\u202f'’]/g, "");
}

/** Whether numbers count the lines. */
function counts(numbers) {
  return numbers.every((value, i) => i === 0 || value === numbers[i - 1] + 1);
}

/** The numbers of a single row, for so many channels. */
function parted(numbers, n, line) {
  const bad = numbers.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0 || !numbers.length || numbers.length % n) throw noNumber(line, "");
  if (n === 1) return numbers;
  return Array.from({ length: numbers.length / n }, (_, i) => numbers.slice(i * n, (i + 1) * n));
}

function noNumber(number, text) {
  return new Unreadable(say("series.no_number", { number }), say("series.no_number_detail", { text }));
}

/** The history that examples, each a window and what follows it, add up to: its last unbroken piece. */
export function joined(examples, n) {
  let history = [];
  for (const { series, label } of examples) {
    const future = [label].flat();
    const rows = n === 1 ? future : parted(future, n, 0);
    const piece = [...series, ...rows];
    const shift = overlap(history, piece);
    if (shift === null) history = piece;
    else history.push(...piece.slice(piece.length - shift));
  }
  return history;
}

/** How many values a piece has beyond the end of a history; null where it does not go on from it. */
function overlap(history, piece) {
  const numbers = piece.flat();
  const near = NEAR * (Math.max(...numbers) - Math.min(...numbers)) + Number.MIN_VALUE;
  const alike = (a, b) => [a].flat().every((value, k) => Math.abs(value - [b].flat()[k]) <= near);
  for (let shift = 0; shift < piece.length; shift++) {
    const shared = piece.length - shift;
    const start = history.length - shared;
    if (start >= 0 && piece.slice(0, shared).every((value, i) => alike(history[start + i], value))) return shift;
  }
  return null;
}

/** The part of a pasted history that is new: what follows the last `n` known values, or all of it. */
export function newer(history, pasted, n) {
  const known = JSON.stringify(history.slice(-n));
  for (let end = pasted.length; end >= n; end--) {
    if (JSON.stringify(pasted.slice(end - n, end)) === known) return pasted.slice(end);
  }
  return pasted;
}
