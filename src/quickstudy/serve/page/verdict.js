// The verdict on a task, in words: what it can tell, how sure that is, and what to add next.

import { brief, percent } from "./dom.js";
import { writer } from "./fan.js";
import { language, say } from "./words.js";

const WELL = 0.9;  // of its own test that is right, from which on it tells classes apart well
const MOSTLY = 0.7;
const SURE = 0.3;  // width of the interval from which on more examples would say more
const BETTER = 0.9;  // part of the error of the naive forecast from which on a model is worth its while
const Z = 1.96;  // of a 95 % interval
const NAMED = 3;  // classes that are named; more are counted
const STEP = 3;  // examples that are asked for at the least
const MOST = 10;  // and at the most
const FEW = 5;  // ratings up to which more are asked for
const SEVERAL = 20;  // ratings up to which a test on them may be chance

/**
 * @typedef {object} Verdict
 * @property {"none"|"good"|"fair"|"poor"} tone
 * @property {string} can what it can tell
 * @property {string} [sure] how sure that is
 * @property {string} next what to do next
 * @property {string} [label] the class that more examples are asked for
 */

/**
 * The verdict on a task.
 * @param {{label: string, shots: number}[]} classes all of them; of a regression none
 * @param {?object} quality what `:quality` says; null as long as the task is not ready
 * @returns {Verdict}
 */
export function verdictOf(classes, quality) {
  if (quality?.ratings) return ofRatings(quality);
  if (quality?.metric === "series") return ofSeries(quality);
  if (quality?.metric === "mse") return ofValues(quality);
  if (!classes.length) {
    const can = quality ? say("verdict.too_few") : say("verdict.no_values");
    return { tone: "none", can, next: say("verdict.add_values") };
  }
  const taught = classes.filter(({ shots }) => shots);
  if (taught.length < 2) return { tone: "none", can: say("verdict.nothing"), next: needed(taught) };
  const single = classes.filter(({ shots }) => shots < 2);
  if (quality?.value == null) {
    const [first] = single;
    return { tone: "none", can: say("verdict.too_few"), next: say("verdict.two_each"), label: first?.label };
  }
  return ofClasses(taught, quality);
}

function needed([only]) {
  return only ? say("ask.needs_second", only) : say("verdict.two_classes");
}

function ofClasses(classes, { value, low, high, n, suspicious }) {
  const right = Math.round(value * n);
  const score = { right, n, share: percent(value) };
  const names = namesOf(classes);
  const chance = 1 / classes.length;
  const tone = low <= chance ? "poor" : value >= WELL ? "good" : value >= MOSTLY ? "fair" : "poor";
  const can = low <= chance ? say("verdict.not_yet", { names, ...score })
    : tone === "good" ? say("verdict.well", { names, ...score })
    : tone === "fair" ? say("verdict.mostly", { names, ...score })
    : say("verdict.badly", { names, ...score });
  const sure = high - low > SURE
    ? say("verdict.unsure", { low: percent(low), high: percent(high) })
    : say("verdict.sure", { low: percent(low), high: percent(high) });
  return { tone: tone === "good" && high - low > SURE ? "fair" : tone, can, sure, ...advice(classes, value, n, high - low, suspicious) };
}

/** What to add next: to the classes that are mixed up, to those that lack examples, or to all. */
function advice(classes, value, n, width, suspicious) {
  const worst = mixedUp(classes, suspicious);
  if (worst) {
    const [fewer, other] = [...worst.pair].sort((a, b) => a.shots - b.shots);
    const number = Math.min(MOST, Math.max(STEP, other.shots - fewer.shots));
    const [a, b] = [worst.label, worst.suggested];
    const said = { a, b, n: number, label: fewer.label };
    return { next: worst.times > 1 ? say("verdict.mixed", said) : say("verdict.mixed_once", said), label: fewer.label };
  }
  const most = Math.max(...classes.map(({ shots }) => shots));
  const poorest = classes.reduce((a, b) => (b.shots < a.shots ? b : a));
  if (2 * poorest.shots < most) {
    const number = Math.min(MOST, most - poorest.shots);
    return { next: say("verdict.uneven", { n: number, label: poorest.label }), label: poorest.label };
  }
  if (width > SURE) {
    const number = Math.min(MOST, Math.max(STEP, Math.ceil((enough(value, n) - n) / classes.length)));
    return { next: say("verdict.more", { n: number }), label: poorest.label };
  }
  return { next: say("verdict.done") };
}

/** The two classes that are taken for one another most often, and how often; none where no example is. */
function mixedUp(classes, suspicious) {
  const counts = new Map();
  for (const { label, suggested } of suspicious) {
    const pair = classes.filter((each) => each.label === label || each.label === suggested);
    if (pair.length < 2) continue;
    const key = pair.map((each) => classes.indexOf(each)).join();
    if (!counts.has(key)) counts.set(key, { pair, label, suggested, times: 0 });
    counts.get(key).times++;
  }
  return [...counts.values()].sort((a, b) => b.times - a.times)[0];
}

/** How many examples leave an interval of no more than `SURE`, were the same part of them right. */
function enough(value, n) {
  const width = (m) => (2 * Z / (1 + Z * Z / m)) * Math.sqrt(value * (1 - value) / m + (Z * Z) / (4 * m * m));
  while (width(n) > SURE) n++;
  return n;
}

function ofValues({ value, low, high, n }) {
  const error = Math.sqrt(value);
  const wide = high - low > value;
  const can = say("verdict.values", { n, error: brief(error) });
  const sure = say("verdict.values_range", { low: brief(Math.sqrt(low)), high: brief(Math.sqrt(high)) });
  return { tone: wide ? "fair" : "good", can, sure, next: wide ? say("verdict.more_values") : say("verdict.done") };
}

/** By its own test on a user's ratings, beside what everybody gets. */
function ofRatings({ ratings, value, naive, n }) {
  const next = ratings < FEW ? say("verdict.ratings_more", { n: FEW - ratings }) : say("verdict.ratings_done");
  if (value == null || ratings < FEW) return { tone: "none", can: say("verdict.ratings_few"), next };
  const [error, other] = [value, naive].map((each) => brief(Math.round(100 * Math.sqrt(each)) / 100));
  const better = value < naive;
  const can = better ? say("verdict.ratings", { n, error, other }) : say("verdict.ratings_no", { n, error, other });
  return { tone: !better || ratings < SEVERAL ? "fair" : "good", can, sure: ratings < SEVERAL ? say("verdict.ratings_chance") : undefined, next };
}

/** By its own trial on the latest values of a history, beside what needs no model. */
function ofSeries({ n, error, naive, inside, mixed }) {
  if (error === null) return { tone: "none", can: say("verdict.series_short"), next: say("verdict.series_longer") };
  const part = naive.error ? error / naive.error : error ? Infinity : 1;
  const write = writer(10 ** Math.floor(Math.log10(Math.max(error, naive.error) || 1)) / 100);
  const said = { n, error: write(error), naive: naive.name, other: write(naive.error) };
  const can = mixed ? say("verdict.series_part", { ...said, percent: percent(part) }) : say("verdict.series", said);
  const sure = inside === null ? undefined : say("verdict.series_inside", { percent: percent(inside) });
  const tone = part < BETTER ? "good" : part < 1 ? "fair" : "poor";
  return { tone, can, sure, next: tone === "poor" ? say("verdict.series_naive", said) : tone === "fair" ? say("verdict.series_close") : say("verdict.series_use") };
}

/** "cups from plates", "cups, plates and bowls", or "the 7 classes". */
function namesOf(classes) {
  const labels = classes.map(({ label }) => `“${label}”`);
  if (labels.length === 2) return say("verdict.two", { a: labels[0], b: labels[1] });
  if (labels.length > NAMED) return say("verdict.many", { n: labels.length });
  return say("verdict.several", { names: new Intl.ListFormat(language).format(labels) });
}
