// How the page is drawn, and how numbers, times and texts are written on it.
//
// A view describes what is to be there with `h`; `fill` changes the document until it is so, and
// leaves alone what is right already: focus, selections and what somebody folded out stay while
// numbers change every two seconds. Text only ever becomes text nodes: there is no way from here to
// HTML, whatever an SMSC or a producer wrote.

const SVG = "http://www.w3.org/2000/svg";
const OWN = new WeakMap();

/** Describes an element. `attributes` has attributes, `key` (which one of its siblings it is) and
 * `on` (what is called at its events). */
export function h(tag, attributes, ...children) {
  const { key, on, ...rest } = attributes ?? {};
  return { tag, key, on: on ?? {}, attributes: rest, children };
}

/** Describes an element of a picture. */
export function g(tag, attributes, ...children) {
  return { ...h(tag, attributes, ...children), space: SVG };
}

/** Makes the children of `parent` what `children` describe. */
export function fill(parent, ...children) {
  const wanted = children.flat(Infinity).filter((child) => child || child === 0 || child === "");
  const keyed = new Map();
  for (const node of parent.childNodes) {
    const key = OWN.get(node)?.key;
    if (key !== undefined) keyed.set(key, node);
  }
  let next = parent.firstChild;
  for (const child of wanted) {
    const node = child.tag ? element(child, next, keyed) : text(child, next);
    if (node === next) {
      next = next.nextSibling;
    } else {
      parent.insertBefore(node, next);
    }
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
}

function text(child, next) {
  const words = plain(child);
  if (next?.nodeType !== Node.TEXT_NODE) return document.createTextNode(words);
  if (next.data !== words) next.data = words;
  return next;
}

function element(child, next, keyed) {
  const candidate = child.key === undefined ? next : keyed.get(child.key);
  keyed.delete(child.key);
  const own = candidate && OWN.get(candidate);
  const same = own && own.tag === child.tag && own.key === child.key;
  const node = same ? candidate : create(child);
  const { attributes, handlers } = OWN.get(node);
  for (const name of Object.keys(attributes)) {
    if (!present(child.attributes[name])) node.removeAttribute(name);
  }
  for (const [name, value] of Object.entries(child.attributes)) {
    if (present(value) && attributes[name] !== value) {
      node.setAttribute(name, value === true ? "" : child.space ? String(value) : plain(value));
    }
    // Once somebody has moved it, its attribute says nothing any more.
    if (name === "value" && child.attributes.type === "range") node.value = value;
  }
  for (const name of Object.keys(child.on)) {
    if (!(name in handlers)) node.addEventListener(name, (event) => OWN.get(node).handlers[name]?.(event));
  }
  OWN.set(node, { tag: child.tag, key: child.key, attributes: child.attributes, handlers: child.on });
  fill(node, child.children);
  return node;
}

function create(child) {
  const node = child.space ? document.createElementNS(child.space, child.tag) : document.createElement(child.tag);
  OWN.set(node, { tag: child.tag, key: child.key, attributes: {}, handlers: {} });
  return node;
}

const present = (value) => value !== undefined && value !== null && value !== false;

// Characters that would hide or turn round what stands beside them: shown by their number.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
const MOST = 2000;

/** A text as it may be shown. */
export function plain(value) {
  let words = String(value);
  if (words.length > MOST) words = `${words.slice(0, MOST)}… (${words.length} characters)`;
  return words.replace(UNSEEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

/** A text in which backticks stand around what is typed or configured. */
export const prose = (words) => String(words).split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));

const numbers = [0, 1, 2].map((digits) => new Intl.NumberFormat("en", { maximumFractionDigits: digits }));

/** A number, with as many digits as say something. */
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return numbers[size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2].format(value);
}

/** `1 bind`, `2 binds`. */
export const count = (many, one, more = `${one}s`) => `${number(many)} ${many === 1 ? one : more}`;

export const rate = (value) => `${number(value)}/s`;

export function share(value) {
  if (!Number.isFinite(value)) return "–";
  const percent = value * 100;
  if (percent > 0 && percent < 0.05) return "< 0.1 %";
  // 99.97 % are not all of them.
  return `${percent > 99 && percent < 100 ? (Math.floor(percent * 100) / 100).toFixed(2) : number(Math.round(percent * 10) / 10)} %`;
}

/** A duration. */
export function seconds(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0 s";
  if (value < 0.9995) return `${number(value < 0.0095 ? value * 1000 : Math.round(value * 1000))} ms`;
  if (value < 9.95) return `${number(Math.round(value * 10) / 10)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  const minutes = Math.round(value / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

/** An amount of memory. */
export function octets(value) {
  if (!Number.isFinite(value)) return "–";
  const units = ["octets", "KiB", "MiB", "GiB", "TiB"];
  let [size, unit] = [value, 0];
  while (size >= 1023.5 && unit < units.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${number(size >= 10 ? Math.round(size) : Math.round(size * 10) / 10)} ${units[unit]}`;
}

const clocks = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** A time of day, with its day if that is another one. `time` is in milliseconds. */
export function clock(time, now = Date.now()) {
  if (!Number.isFinite(time)) return "–";
  const day = days.format(time);
  return (day === days.format(now) ? "" : `${day} `) + clocks.format(time);
}

export const minute = (time) => (Number.isFinite(time) ? minutes.format(time) : "–");

/** A time as the reader's clock has it. */
export function moment(time, now) {
  const at = typeof time === "string" ? Date.parse(time) : time;
  return Number.isFinite(at) ? h("time", { datetime: new Date(at).toISOString() }, clock(at, now)) : "–";
}

/** A sign with a word, so that colour is never the only thing that says it. */
export function mark(level, words) {
  const shapes = {
    wrong: "M8 1 15 14.5H1zM8 5.5v4.5m0 1.6v1.4",
    watch: "M8 1.2a6.8 6.8 0 1 0 .01 0zM8 4.5v4.7m0 1.7v1.5",
    known: "M8 1.2a6.8 6.8 0 1 0 .01 0zM6.2 5.5v5m3.6-5v5",
    good: "M8 1.2a6.8 6.8 0 1 0 .01 0zM4.8 8.3l2.3 2.4 4.2-5",
  };
  return h("span", { class: `mark ${level}` },
    g("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, g("path", { d: shapes[level] ?? shapes.known })),
    h("span", {}, words));
}

const unfolded = new Set();

/** How many characters of text something has. */
const lengthOf = (part) => (Array.isArray(part) ? part.reduce((all, one) => all + lengthOf(one), 0)
  : part?.tag ? lengthOf(part.children) : part || part === 0 ? String(part).length : 0);

/** A table. Roles are said, because a phone shows rows as cards, and some browsers then forget that it
 * is a table. `rows` are `{ key, cells, bad }`; those that are bad come first, and only the first
 * `most` are shown until somebody asks for all. */
export function table({ id, caption, columns, rows, most = 10, redraw, empty = "None." }) {
  if (!rows.length) return h("div", { class: "table" }, h("p", { class: "caption" }, caption), h("p", { class: "quiet" }, empty));
  const sorted = [...rows].sort((a, b) => (b.bad ?? 0) - (a.bad ?? 0));
  const shown = unfolded.has(id) || sorted.length <= most + 1 ? sorted : sorted.slice(0, most);
  const head = columns.map((column) =>
    h("th", { scope: "col", role: "columnheader", class: column.number && "number", title: column.about }, column.name));
  const body = shown.map((row) => h("tr", { key: row.key, role: "row", class: row.bad > 1 ? "bad" : row.bad && "odd" },
    row.cells.map((cell, at) => {
      const column = columns[at];
      const attributes = { "data-name": column.name, class: column.number ? "number" : column.wide && "wide" };
      const blank = cell === "" || cell === null || cell === undefined;
      if (blank) attributes.class = `${attributes.class || ""} blank`.trim();
      // Names break at their hyphens, which short ones need not.
      const short = lengthOf(cell) <= 26;
      const inner = h("span", { class: short ? "value short" : "value" }, blank ? "–" : cell);
      return at ? h("td", { ...attributes, role: "cell" }, inner) : h("th", { ...attributes, scope: "row", role: "rowheader" }, inner);
    })));
  const fold = () => {
    if (!unfolded.delete(id)) unfolded.add(id);
    redraw();
  };
  return h("div", { class: "table", key: id },
    h("div", { class: "scroll" }, h("table", { role: "table" },
      h("caption", {}, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
      h("tbody", { role: "rowgroup" }, body))),
    sorted.length > most + 1 && h("button", { type: "button", class: "plain", "aria-expanded": String(unfolded.has(id)), on: { click: fold } },
      unfolded.has(id) ? `Show the first ${most}` : `Show all ${number(sorted.length)}`));
}

/** How much of something that is bounded is in use. */
export function meter(used, bound, label = "", warn = 0.85) {
  const part = bound > 0 ? Math.min(1, used / bound) : 0;
  return g("svg", { class: `meter ${part >= warn ? "full" : ""}`, viewBox: "0 0 100 8", preserveAspectRatio: "none", ...(label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }) },
    g("rect", { class: "track", width: 100, height: 8 }),
    g("rect", { class: "level", width: (part * 100).toFixed(1), height: 8 }));
}
