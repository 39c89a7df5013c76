// Steering: what somebody may ask for, who asks, and the token that lets them. The token stays in this
// tab and goes nowhere but to this server; the name is remembered for the next time.

import { count, fill, h, moment, number } from "./dom.js";
import { paused } from "./findings.js";

const TOKEN = "kafka-smpp token";
const NAME = "kafka-smpp name";

const state = { offered: false, token: read(sessionStorage, TOKEN), by: read(localStorage, NAME), told: () => {} };

// Storage may be forbidden: then both last as long as the page.
function read(storage, key) {
  try {
    return storage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function keep(storage, key, value) {
  try {
    if (value) storage.setItem(key, value);
    else storage.removeItem(key);
  } catch {
    // As above.
  }
}

/** Asks whether this connector can be steered here, and returns whether it said so or not. `told` is
 * called when something was done. */
export async function askWhetherSteered(told) {
  state.told = told;
  try {
    const answer = await fetch("steer", { signal: AbortSignal.timeout(5000), cache: "no-store" });
    state.offered = answer.ok && (await answer.json()).steering === true;
    return answer.ok;
  } catch {
    return false;
  }
}

/** What stands above: who steers, or how to begin. */
export function steeringControls(redraw) {
  if (!state.offered) return h("span", { class: "quiet", key: "read" }, "read only");
  const out = () => {
    forget();
    redraw();
  };
  return [
    h("button", { type: "button", key: "log", on: { click: () => logLevel(redraw) } }, "Log level…"),
    state.token
      ? h("button", { type: "button", key: "out", on: { click: out } }, `Stop steering (${state.by})`)
      : h("button", { type: "button", key: "in", on: { click: () => signIn(redraw) } }, "Steer…"),
  ];
}

function forget() {
  state.token = "";
  keep(sessionStorage, TOKEN, "");
}

/** What can be asked for of one ESME. */
export function actions(model, esme) {
  if (!state.offered) return null;
  const button = (name, what) => h("button", { type: "button", key: name, "aria-label": `${name.replace("…", "")} ${esme.name}`, on: { click: () => signedIn(() => what(esme, model)) } }, name);
  return h("div", { class: "actions", role: "group", "aria-label": `Steer ${esme.name}` },
    !paused(esme) && button("Pause…", pause), !paused(esme)?.unbound && button("Drain…", drain), button("Rebind…", rebind),
    button("Rate and window…", limits), button("Maintenance…", maintenance));
}

/** What is in force of it, with the way back. */
export function resume(model, esme) {
  const { paused: all, maintenance: agreed } = esme.steering;
  if (!all.length && !agreed) return null;
  const button = (name, label, what) => state.offered && h("button", { type: "button", "aria-label": label, on: { click: () => signedIn(what) } }, name);
  return h("ul", { class: "in-force" },
    all.map((one) => h("li", { key: `paused ${one.what ?? ""} ${one.unbound}` },
      h("strong", {}, `${one.what ?? "All of it"} is paused`), one.unbound && ", its binds are closed", `, by ${one.by || "somebody"} since `, moment(one.since, model.now), one.reason && `: ${one.reason}`, " ",
      button("Resume…", `Resume ${one.what ?? esme.name}`, () => resumed(esme, one.what)))),
    agreed && h("li", { key: "maintenance" }, h("strong", {}, "Maintenance"), " from ", moment(agreed.from, model.now), " until ", moment(agreed.until, model.now), `, agreed by ${agreed.by || "somebody"} `,
      button("End it…", `End the maintenance of ${esme.name}`, () => endMaintenance(esme))));
}

const scope = (esme) => ({
  name: "scope", label: "Of", options: [
    ["", `all of ${esme.name}`],
    ...esme.topics.map((topic) => [JSON.stringify({ topic }), `topic ${topic}`]),
    ...esme.binds.map((bind) => [JSON.stringify({ bind: bind.name }), `bind ${bind.name}`]),
  ],
});

const reason = { name: "reason", label: "Why (others will read it)", value: "", optional: true };

const scoped = (esme, action) => (fields) => ({ action, esme: esme.name, ...(fields.scope ? JSON.parse(fields.scope) : {}), ...because(fields) });

const because = (fields) => ({ by: state.by, ...(fields.reason ? { reason: fields.reason } : {}) });

const waits = (esme) => `${count(esme.lag, "record waits", "records wait")} now; more will, until it is resumed.`;

function pause(esme) {
  ask({ title: `Pause ${esme.name}`, yes: `Pause ${esme.name}`, fields: [scope(esme), reason], order: scoped(esme, "pause"),
    words: ["No more messages are sent, by any process. Binds stay bound: receipts and messages from phones go on. It holds across restarts until somebody resumes it.", waits(esme)] });
}

function drain(esme) {
  ask({ title: `Drain ${esme.name}`, yes: `Drain ${esme.name}`, danger: true, fields: [scope(esme), reason], order: scoped(esme, "drain"),
    words: ["No more messages are sent, answers to what is out are waited for, and then binds are closed: nothing is in doubt, and the SMSC keeps its receipts meanwhile. It holds across restarts until somebody resumes it.", waits(esme)] });
}

function resumed(esme, what) {
  const of = !what ? {} : esme.topics.includes(what) ? { topic: what } : { bind: what };
  ask({ title: `Resume ${what ?? esme.name}`, yes: `Resume ${what ?? esme.name}`, fields: [reason], order: (fields) => ({ action: "resume", esme: esme.name, ...of, ...because(fields) }),
    words: [`Messages are sent again, as fast as rate and windows allow: ${count(esme.lag, "record waits", "records wait")}.`] });
}

function rebind(esme) {
  const scopes = scope(esme);
  scopes.options = scopes.options.filter(([value]) => !value.includes('"topic"'));
  ask({ title: `Rebind ${esme.name}`, yes: `Rebind ${esme.name}`, danger: true, fields: [scopes, reason], order: scoped(esme, "rebind"),
    words: ["Sessions are ended and bound again, also those that wait before their next attempt. Nothing is sent by a bind in between."] });
}

function limits(esme) {
  const { max_tps: limit, window } = esme.steering;
  const configured = Number.isFinite(esme.contracted) ? `${number(esme.contracted)}/s` : "no limit";
  ask({ title: `Rate and window of ${esme.name}`, yes: `Change ${esme.name}`, danger: true,
    fields: [
      { name: "max_tps", label: `At most so many PDUs per second, all processes together (configured: ${configured})`, type: "number", min: "0.1", step: "any", value: limit ?? "", optional: true, hint: "Empty: as configured." },
      { name: "window", label: "At most so many unanswered requests for each bind", type: "number", min: "1", step: "1", value: window ?? "", optional: true, hint: "Empty: as configured." },
      reason,
    ],
    order: (fields) => ({ action: "set", esme: esme.name, max_tps: fields.max_tps === "" ? null : Number(fields.max_tps), window: fields.window === "" ? null : Number(fields.window), ...because(fields) }),
    words: ["It holds for all processes, across restarts, until it is changed back. More than the contract allows makes the SMSC throttle."] });
}

function maintenance(esme) {
  const local = (time) => new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  const next = Math.ceil(Date.now() / 900_000) * 900_000;
  ask({ title: `Maintenance of ${esme.name}`, yes: `Agree maintenance of ${esme.name}`, danger: true,
    fields: [
      { name: "from", label: `From (${Intl.DateTimeFormat().resolvedOptions().timeZone})`, type: "datetime-local", value: local(next) },
      { name: "until", label: "Until", type: "datetime-local", value: local(next + 3_600_000) },
      reason,
    ],
    order: (fields) => ({ action: "maintenance", esme: esme.name, from: new Date(fields.from).toISOString(), until: new Date(fields.until).toISOString(), ...because(fields) }),
    words: ["Before it begins, answers are waited for and binds are closed; nothing is wrong then. After it, binds are opened, and what waits is sent."] });
}

function endMaintenance(esme) {
  ask({ title: `End the maintenance of ${esme.name}`, yes: "End it now", fields: [reason], order: (fields) => ({ action: "end_maintenance", esme: esme.name, ...because(fields) }),
    words: ["Binds are opened at once, and what waits is sent."] });
}

function logLevel(redraw) {
  signedIn(() => ask({ title: "Log level", yes: "Set the log level", fields: [{ name: "level", label: "Level, or levels by part", value: "info", hint: "Such as info, or info,kafka_smpp::submit=debug." }],
    order: (fields) => ({ action: "log", level: fields.level, by: state.by }),
    words: ["It holds until the process ends, or until it is set again. Much is written at debug."] }), redraw);
}

function signedIn(then, redraw = () => {}) {
  if (state.token && state.by) then();
  else signIn(redraw, then);
}

function signIn(redraw, then, error = "") {
  open({ title: "Steer this connector", yes: "Go on", error,
    words: ["The token is the one that the connector was configured with. It stays in this tab. Your name stands with everything that you ask for, in the log and on sms.notifications."],
    fields: [
      { name: "token", label: "Token", type: "password", value: "", complete: "off" },
      { name: "by", label: "Your name", value: state.by, complete: "name" },
    ],
    submit: async (fields) => {
      [state.token, state.by] = [fields.token.trim(), fields.by.trim()];
      keep(sessionStorage, TOKEN, state.token);
      keep(localStorage, NAME, state.by);
      state.told();
      redraw();
      return then;
    } });
}

/** A dialog that says what will be done, and does it if somebody says so. */
function ask(question) {
  const { order, ...rest } = question;
  open({ ...rest, words: [...rest.words, `Asked for by ${state.by}.`], submit: async (fields) => {
    const { done, refused } = await send(order(fields));
    state.told();
    if (refused) return () => signIn(state.told, () => ask(question), refused);
    say(done);
    return undefined;
  } });
}

async function send(order) {
  let answer;
  try {
    answer = await fetch("steer", {
      method: "POST", cache: "no-store", signal: AbortSignal.timeout(15_000),
      headers: { authorization: `Bearer ${state.token}`, "content-type": "application/json" }, body: JSON.stringify(order),
    });
  } catch (error) {
    const gone = error.name === "TimeoutError" ? "The connector did not answer within 15 s: it may have been done all the same." : "The connector does not answer.";
    throw new Error(`${gone} Look at the page before you try again.`);
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return { done: said.done ?? "Done." };
  const error = said.error ?? `The connector answered ${answer.status}.`;
  if (answer.status !== 401) throw new Error(error);
  // The token is not the one, or not any more.
  forget();
  return { refused: error };
}

/** Says what was done, for eyes and ears, until the next time or for half a minute. */
function say(words) {
  const place = document.getElementById("said");
  const hide = () => fill(place);
  fill(place, h("p", {}, words), h("button", { type: "button", "aria-label": "Hide this message", on: { click: hide } }, "×"));
  clearTimeout(say.timer);
  say.timer = setTimeout(hide, 30_000);
}

let opened = 0;

function open({ title, words, fields, yes, danger, submit, error: first = "" }) {
  const dialog = document.getElementById("dialog");
  const [before, turn] = [document.activeElement, ++opened];
  const draw = (error, busy) => fill(dialog, form({ title, words, fields, yes, danger, error, busy, key: `${turn}` }, { leave: () => dialog.close(), send: go }));
  const go = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(event.target));
    draw("", true);
    try {
      const then = await submit(values);
      if (turn === opened) dialog.close();
      then?.();
    } catch (error) {
      if (turn === opened && dialog.open) draw(error.message, false);
      else say(error.message);
    }
  };
  dialog.onclose = () => {
    // Another question has taken its place.
    if (dialog.open) return;
    fill(dialog);
    // The button may have gone with what was done: then the page is where one goes on.
    (before?.isConnected ? before : document.getElementById("main")).focus();
  };
  draw(first, false);
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("input, select, button")?.focus();
}

function form({ title, words, fields, yes, danger, error, busy, key }, { leave, send: go }) {
  return h("form", { method: "dialog", key, on: { submit: go } },
    h("h2", { id: "dialog-title" }, title),
    words.map((line) => h("p", {}, line)),
    fields.map((field) => h("div", { class: "field", key: field.name },
      h("label", { for: `field-${field.name}` }, field.label),
      field.options
        ? h("select", { id: `field-${field.name}`, name: field.name }, field.options.map(([value, name]) => h("option", { value }, name)))
        : h("input", { id: `field-${field.name}`, name: field.name, type: field.type ?? "text", value: field.value, required: !field.optional, min: field.min, step: field.step, maxlength: 500,
          autocomplete: field.complete ?? "off", spellcheck: "false", "aria-describedby": field.hint && `hint-${field.name}` }),
      field.hint && h("p", { class: "quiet", id: `hint-${field.name}` }, field.hint))),
    h("p", { class: "error", role: "alert" }, error),
    h("div", { class: "row end" },
      h("button", { type: "button", on: { click: leave } }, "Leave it"),
      h("button", { type: "submit", class: danger ? "danger" : "primary", disabled: busy }, busy ? "Asking…" : yes)));
}

