// The pictures of the last hour. Lines are SVG; what is to be read is text beside them, so that it has
// the size of other text on every screen. One time can be looked at in all of them together.

import { clock, count, fill, g, h, minute, number, rate, seconds, share } from "./dom.js";
import { sum } from "./model.js";

const HOUR = 3_600_000;
const [WIDTH, HEIGHT] = [360, 100];

/** Which ESME is shown (all of them if none), and at which time somebody looks (in milliseconds). */
const chosen = { esme: "", time: null };

const of = (name, part) => (sample) => sample[name]?.[part];
const p50 = (name) => ({ name: "half took less", of: of(name, "p50"), look: "a" });
const p99 = (name) => ({ name: "99 % took less", of: of(name, "p99"), look: "b" });

const PICTURES = [
  { id: "throughput", title: "Throughput", write: rate, lines: [
    { name: "results in Kafka", of: (s) => s.results, look: "a", area: true },
    { name: "answers of the SMSC", of: (s) => s.responses, look: "b" },
    { name: "of these throttled", of: (s) => s.throttled, look: "c" },
  ] },
  { id: "lag", title: "Lag: records without a result", write: number, lines: [{ name: "records", of: (s) => s.lag, look: "a", area: true }] },
  { id: "window", title: "Window: unanswered requests", write: number, lines: [
    { name: "in use", of: (s) => s.window_used, look: "a", area: true },
    { name: "allowed", of: (s) => s.window_allowed, look: "b" },
  ] },
  { id: "append-to-result", title: "From append to committed result", write: seconds, lines: [p50("append_to_result"), p99("append_to_result")] },
  { id: "submit-to-response", title: "From submit_sm to answer", write: seconds, lines: [p50("submit_to_response"), p99("submit_to_response")] },
  { id: "append-to-socket", title: "From append to socket", write: seconds, lines: [p50("append_to_socket"), p99("append_to_socket")] },
  { id: "delivered", title: "Delivery rate", write: share, top: 1, lines: [{ name: "DELIVERED of final receipts", of: (s) => s.delivered, look: "a" }] },
  { id: "receipts", title: "Final receipts", write: rate, lines: [{ name: "receipts", of: (s) => s.receipts, look: "a", area: true }] },
  { id: "submit-to-receipt", title: "From submit_sm to final receipt", write: seconds, lines: [p50("submit_to_receipt"), p99("submit_to_receipt")] },
];

/** Draws the pictures, and what stands above them. `fault`: why the last hour is not known, or not to its
 * end. */
export function drawPictures(model, fault, section, redraw) {
  const names = Object.keys(model.history?.esmes ?? {}).sort();
  if (chosen.esme && !names.includes(chosen.esme)) chosen.esme = "";
  const step = (model.history?.step || 10) * 1000;
  const samples = chosen.esme ? model.history.esmes[chosen.esme] : together(names.map((name) => model.history.esmes[name]), step);
  section.hidden = !samples.length && !fault;
  fill(document.getElementById("pictures-fault"), fault && `The last hour cannot be asked for: ${fault}.`);
  if (!samples.length) return;
  const timed = samples.map((sample) => ({ ...sample, time: Date.parse(sample.at) }));
  const end = timed.at(-1).time;
  const shown = timed.filter((sample) => sample.time > end - HOUR);
  const span = { from: end - HOUR, end, step };
  const at = chosen.time === null ? -1 : nearest(shown, chosen.time);
  fill(document.getElementById("pictures-controls"), controls(names, shown, at, model, redraw));
  const look = (time) => {
    chosen.time = time;
    redraw();
  };
  fill(document.getElementById("charts"), PICTURES.map((picture) => draw(picture, shown, span, at, look)));
}

function controls(names, samples, at, model, redraw) {
  const last = samples.length - 1;
  const time = at < 0 ? "now" : clock(samples[at].time, model.now);
  const choose = (event) => {
    chosen.esme = event.target.value;
    redraw();
  };
  const slide = (event) => {
    const to = Number(event.target.value);
    chosen.time = to >= last ? null : samples[to].time;
    redraw();
  };
  return [
    names.length > 1 && h("label", { class: "field inline", key: "esme" }, "ESME ",
      h("select", { id: "which", on: { change: choose } },
        h("option", { value: "" }, "all together"),
        names.map((name) => h("option", { value: name, key: `of ${name}` }, name)))),
    h("label", { class: "field inline grow", key: "time" }, "Values at ",
      h("output", { for: "time" }, time),
      h("input", { id: "time", type: "range", min: 0, max: last, step: 1, value: at < 0 ? last : at, "aria-valuetext": time, on: { input: slide } })),
    samples.some((sample) => sample.bound < sample.binds) && h("p", { class: "quiet shade-note", key: "note" },
      g("svg", { viewBox: "0 0 16 12", "aria-hidden": "true" }, g("rect", { class: "shade", width: 16, height: 12 })), " not all binds were bound"),
  ];
}

/** All ESMEs as if they were one. Percentiles cannot be added: the slowest ESME's are shown. */
function together(all, step) {
  if (all.length === 1) return all[0];
  const times = new Map();
  for (const sample of all.flat()) {
    const time = Math.round(Date.parse(sample.at) / step);
    times.set(time, [...(times.get(time) ?? []), sample]);
  }
  const slowest = (list, name, part) => {
    const known = list.map((sample) => sample[name]?.[part]).filter(Number.isFinite);
    return known.length ? Math.max(...known) : undefined;
  };
  return [...times.entries()].sort(([a], [b]) => a - b).map(([, list]) => {
    const one = { at: list[0].at };
    for (const name of ["responses", "throttled", "results", "receipts", "lag", "bound", "binds", "window_used", "window_allowed"]) {
      one[name] = sum(list, (sample) => sample[name]);
    }
    if (one.receipts > 0) one.delivered = sum(list, (sample) => sample.receipts * (sample.delivered ?? 0)) / one.receipts;
    for (const name of ["append_to_socket", "submit_to_response", "append_to_result", "submit_to_receipt"]) {
      one[name] = { p50: slowest(list, name, "p50"), p99: slowest(list, name, "p99") };
    }
    return one;
  });
}

function nearest(samples, time) {
  let best = 0;
  for (let at = 1; at < samples.length; at += 1) {
    if (Math.abs(samples[at].time - time) < Math.abs(samples[best].time - time)) best = at;
  }
  return best;
}

function draw(picture, samples, span, at, look) {
  const values = picture.lines.map((line) => samples.map(line.of));
  const known = values.flat().filter(Number.isFinite);
  const top = picture.top ?? roundUp(Math.max(0, ...known));
  const x = (time) => ((time - span.from) / HOUR) * WIDTH;
  const y = (value) => HEIGHT - 1 - (Math.min(value, top) / top) * (HEIGHT - 2);
  const shown = at < 0 ? samples.length - 1 : at;
  const move = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    look(span.from + ((event.clientX - box.left) / box.width) * HOUR);
  };
  const svg = g("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    shades(samples, span, x),
    [0.5, 1].map((part) => g("path", { class: "grid", d: `M0 ${y(top * part)}H${WIDTH}` })),
    picture.lines.map((line, number) => [
      line.area && g("path", { class: `area ${line.look}`, d: areas(samples, values[number], span, x, y) }),
      g("path", { class: `line ${line.look}`, d: strokes(samples, values[number], span, x, y) }),
    ]),
    at >= 0 && g("path", { class: "look", d: `M${x(samples[at].time).toFixed(1)} 0V${HEIGHT}` }));
  return h("figure", { class: "chart", key: picture.id, id: `chart-${picture.id}`, role: "group", "aria-label": picture.title },
    h("figcaption", {}, picture.title),
    h("div", { class: "plot", role: "img", "aria-label": inWords(picture, values), on: { pointermove: move, pointerdown: move, pointerleave: () => look(null) } },
      svg,
      known.length ? [h("span", { class: "y top" }, picture.write(top)), h("span", { class: "y half" }, picture.write(top / 2))] : h("span", { class: "none" }, "nothing in this hour")),
    h("div", { class: "x", "aria-hidden": "true" }, [0, 0.5, 1].map((part) => h("span", {}, minute(span.from + HOUR * part)))),
    h("ul", { class: "legend" }, picture.lines.map((line, number) => h("li", {},
      g("svg", { viewBox: "0 0 18 8", "aria-hidden": "true" }, g("path", { class: `line ${line.look}`, d: "M0 4H18" })),
      h("span", {}, line.name), " ",
      h("strong", {}, Number.isFinite(values[number][shown]) ? picture.write(values[number][shown]) : "–")))));
}

/** What somebody hears who does not see the picture. */
function inWords(picture, values) {
  return picture.lines.map((line, at) => {
    const known = values[at].filter(Number.isFinite);
    if (!known.length) return `${line.name}: nothing in this hour`;
    return `${line.name}: now ${picture.write(values[at].at(-1))}, least ${picture.write(Math.min(...known))}, most ${picture.write(Math.max(...known))} in ${count(known.length, "sample")}`;
  }).join("; ");
}

/** Runs of samples that follow each other and have a value: between others there is no line. */
function runs(samples, values, span) {
  const all = [];
  let before = -Infinity;
  for (const [at, { time }] of samples.entries()) {
    if (!Number.isFinite(values[at])) {
      before = -Infinity;
      continue;
    }
    if (time - before > span.step * 2.5) all.push([]);
    all.at(-1).push([time, values[at]]);
    before = time;
  }
  return all;
}

const points = (run, x, y) => run.map(([time, value]) => `${x(time).toFixed(1)} ${y(value).toFixed(1)}`).join("L");

function strokes(samples, values, span, x, y) {
  // A point without a neighbour is a short line, or it would not be seen.
  return runs(samples, values, span).map((run) => `M${points(run, x, y)}${run.length === 1 ? "h1.5" : ""}`).join("");
}

function areas(samples, values, span, x, y) {
  return runs(samples, values, span)
    .map((run) => `M${x(run[0][0]).toFixed(1)} ${HEIGHT}L${points(run, x, y)}L${x(run.at(-1)[0]).toFixed(1)} ${HEIGHT}Z`).join("");
}

/** When not all binds were bound. */
function shades(samples, span, x) {
  const all = [];
  for (const sample of samples) {
    if (sample.bound >= sample.binds) continue;
    const [from, to] = [x(sample.time - span.step), x(sample.time)];
    if (all.length && from - all.at(-1).to < 0.5) all.at(-1).to = to;
    else all.push({ from, to });
  }
  return all.map(({ from, to }) => g("rect", { class: "shade", x: from.toFixed(1), y: 0, width: Math.max(1, to - from).toFixed(1), height: HEIGHT }));
}

/** A value that is easily read, at or above `value`. */
function roundUp(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 4, 5, 8, 10].map((step) => step * size).find((step) => step >= value * 1.02) ?? size * 20;
}
