// Forecasts of a model of series: as a picture, as a table, and by its own trial on the latest values.

import { ask } from "./api.js";
import { notice } from "./banners.js";
import { button, el } from "./dom.js";
import { fanChart, legend, wayChart, writerOf } from "./fan.js";
import { joined } from "./series.js";
import { modelPath, state } from "./state.js";
import { say } from "./words.js";

const TRIALS = 4;  // of its own, each on values that it is not shown
const LEAST = 3;  // horizons of history that are shown, at the least

/** Whether the model goes on from series. */
export function isSeries() {
  return state.model?.modality === "series";
}

/** Whether it goes on from ways in a plane. */
export function isWay() {
  return isSeries() && state.model.series.layout === "tracks";
}

let latest = { task: null, inputs: 0, history: [] };

/** The history that the task was taught. */
export function taughtHistory() {
  const { task, inputs, model } = state;
  if (latest.task === task && latest.inputs === inputs.size) return latest.history;
  const known = (task?.examples ?? []).filter(({ id }) => inputs.get(id)?.series);
  const pieces = known.map(({ id, label }) => ({ series: inputs.get(id).series, label }));
  latest = { task, inputs: inputs.size, history: joined(pieces, model.series.channels.length) };
  return latest.history;
}

/** The part of a history that a picture shows. */
export function lastPart(history) {
  const { lags, horizon, season } = state.model.series;
  return history.slice(-Math.max(lags, LEAST * horizon, season > 1 ? 2 * season : 0));
}

/** The numbers of one channel. */
export function channelOf(history, k) {
  return Array.isArray(history[0]) ? history.map((row) => row[k]) : history;
}

/** What is known without a model: the last value or step again, and the last season. */
function naiveOf(history, horizon) {
  const { season } = state.model.series;
  const ahead = (value) => Array.from({ length: horizon }, (_, i) => value(i));
  const last = history.at(-1);
  if (isWay()) {
    const step = last - history.at(-2);
    return [{ look: "naive", name: say("fan.velocity"), values: ahead((i) => last + (i + 1) * step) }];
  }
  const naive = [{ look: "naive", name: say("fan.naive"), values: ahead(() => last) }];
  if (season > 1 && history.length >= season) {
    const values = ahead((i) => history[history.length - season + (i % season)]);
    naive.push({ look: "seasonal", name: say("fan.seasonal"), values });
  }
  return naive;
}

/** The forecast of each channel, from what the server says: the channels of a time are side by side. */
function forecastsOf(history, { label, low, high }) {
  const { channels, horizon } = state.model.series;
  const part = (numbers, k) => (numbers == null ? null : [numbers].flat().filter((_, i) => i % channels.length === k));
  return channels.map((name, k) => {
    const own = channelOf(history, k);
    return { name, history: own, values: part(label, k), low: part(low, k), high: part(high, k), naive: naiveOf(own, horizon) };
  });
}

function numbersOf({ values, low, high, naive }) {
  return [...values, ...(low ?? []), ...(high ?? []), ...naive.flatMap((each) => each.values)];
}

/** A forecast in a sentence: the next value and the last. */
export function inWords(history, prediction) {
  return forecastsOf(history, prediction).map((forecast) => sentence(forecast)).join(" ");
}

function sentence(forecast) {
  const { name, history, values, low, high } = forecast;
  const write = writerOf([...history, ...numbersOf(forecast)]);
  const of = (i) => (low ? say("fan.between", { value: write(values[i]), low: write(low[i]), high: write(high[i]) }) : write(values[i]));
  const said = { next: of(0), last: of(values.length - 1), n: values.length };
  const text = values.length > 1 ? say("fan.next_and_last", said) : say("fan.next", said);
  return state.model.series.channels.length > 1 ? say("fan.of_channel", { name, text }) : text;
}

/** The answer to a question about a series: a sentence, the picture, and its numbers. */
export function forecastView({ input, prediction }, open) {
  const forecasts = forecastsOf(lastPart(input.series), prediction);
  const said = forecasts.map((forecast) => el("p", {}, sentence(forecast)));
  const pictures = isWay() ? [wayChart(forecasts, say("fan.way", { n: input.series.length, ahead: forecasts[0].values.length }))]
    : forecasts.flatMap((forecast) => [
      forecasts.length > 1 ? el("h4", {}, forecast.name) : null,
      fanChart(forecast, state.model.series.season, say("fan.label", { n: forecast.history.length, text: sentence(forecast) })),
    ].filter(Boolean));
  const [{ naive, low }] = forecasts;
  return [el("div", { class: "foretold" }, said), ...pictures, legend(naive, low && (isWay() ? say("fan.interval_each") : say("fan.interval"))), tableOf(forecasts, open)];
}

/** The numbers of forecasts, to be read and to be copied. */
function tableOf(forecasts, open) {
  const several = forecasts.length > 1;
  const columns = forecasts.flatMap((forecast) => {
    const { name, values, low, high, naive } = forecast;
    const write = writerOf([...forecast.history, ...numbersOf(forecast)]);
    const interval = low ? [[say("fan.low"), low], [say("fan.high"), high]] : [];
    const own = [[say("fan.forecast"), values], ...interval, ...naive.map((each) => [each.name, each.values])];
    return own.map(([title, numbers]) => ({ title: several ? say("fan.of_channel", { name, text: title }) : title, cells: numbers.map(write) }));
  });
  const titles = [say("fan.step"), ...columns.map(({ title }) => title)];
  const rows = forecasts[0].values.map((_, i) => [`+${i + 1}`, ...columns.map(({ cells }) => cells[i])]);
  const table = el("table", {}, el("caption", { class: "unseen" }, say("fan.table")),
    el("thead", {}, el("tr", {}, titles.map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, rows.map(([step, ...cells]) => el("tr", {}, el("th", { scope: "row" }, step), cells.map((each) => el("td", {}, each))))));
  const copied = [titles, ...rows].map((row) => row.join("\t")).join("\n").replaceAll("−", "-");
  const copy = button("plain small", () => copyText(copied, table), say("fan.copy"));
  const holder = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("fan.table") }, table);
  return el("details", { class: "fold numbers", open }, el("summary", {}, say("fan.numbers")), holder, copy);
}

async function copyText(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    notice(say("carry.copied"));
  } catch {  // no clipboard outside of secure origins
    getSelection().selectAllChildren(element);
    notice(say("carry.selected"));
  }
}

/**
 * How far the model is off on the latest values of a history, where it is taught all before them;
 * and how far the naive forecasts are.
 * @param {function(): boolean} current whether anybody still wants to know
 */
export async function tried(history, current) {
  const { lags, horizon, channels } = state.model.series;
  const room = Math.floor((history.length - lags - horizon) / horizon);
  const sums = { model: [], naive: [] };
  let [n, inside, covered] = [0, 0, 0];
  for (let k = Math.min(TRIALS, room); k > 0 && current(); k--) {
    const end = history.length - k * horizon;
    const [known, truth] = [history.slice(0, end), history.slice(end, end + horizon)];
    const { value } = await ask("POST", `${modelPath()}:predict`, { json: { series: known, nearest: 0 } });
    const forecasts = forecastsOf(known, value.predictions[0]);
    const of = (pick) => forecasts.map((each, c) => channelOf(truth, c).map((real, i) => real - pick(each)[i]));
    sums.model.push(...distances(of(({ values }) => values)));
    forecasts[0].naive.forEach((_, j) => (sums.naive[j] ??= []).push(...distances(of(({ naive }) => naive[j].values))));
    n += horizon;
    for (const [c, { low, high }] of forecasts.entries()) {
      if (!low) continue;
      const real = channelOf(truth, c);
      covered += horizon;
      inside += real.filter((each, i) => low[i] <= each && each <= high[i]).length;
    }
  }
  if (!n) return { metric: "series", error: null };
  const names = naiveOf(channelOf(history, 0), horizon).map(({ name }) => name);
  const naive = sums.naive.map((each, j) => ({ name: names[j], error: mean(each) })).sort((a, b) => a.error - b.error)[0];
  const mixed = channels.length > 1 && !isWay();
  return { metric: "series", n, error: mean(sums.model), naive, mixed, inside: covered ? inside / covered : null };
}

/** How far off each time is: of a way the distance, else the size of the error of each channel. */
function distances(errors) {
  if (isWay()) return errors[0].map((_, i) => Math.hypot(errors[0][i], errors[1][i]));
  return errors.flat().map(Math.abs);
}

function mean(numbers) {
  return numbers.reduce((a, b) => a + b, 0) / numbers.length;
}
