// The page: asks the connector every two seconds and draws what it says.

import { clock, fill, h, mark, plain, seconds } from "./dom.js";
import { findings, verdict, summary } from "./findings.js";
import { deployment } from "./model.js";
import { drawPictures } from "./pictures.js";
import { contents, deploymentLine, esmeSection, findingList, rest, tiles } from "./sections.js";
import { askWhetherSteered, steeringControls } from "./steer.js";

/** How often is asked, in milliseconds: usually, when nobody looks, and when nobody answers. */
const [OFTEN, SELDOM, AWAY] = [2000, 30_000, 5000];
/** Every so often for the last hour, which has a sample each ten seconds. */
const HISTORY = 10_000;
/** An answer that takes longer is none. */
const PATIENCE = 8000;

const state = {
  statuses: null, history: null, heard: 0, historyHeard: -Infinity, historyFault: "", steeringHeard: false,
  away: null, awaySince: 0, held: false, timer: 0, asking: false,
};

const place = (id) => document.getElementById(id);

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE), cache: "no-store", headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`it answered ${answer.status} to /${path}`);
  return answer.json();
}

async function ask() {
  clearTimeout(state.timer);
  if (state.asking) return;
  state.asking = true;
  try {
    const { processes } = await get("processes");
    if (!Array.isArray(processes) || !processes.length) throw new Error("it answered without a process to /processes");
    [state.statuses, state.heard, state.away] = [processes, performance.now(), null];
    await askForMore();
  } catch (error) {
    if (!state.away) state.awaySince = Date.now();
    state.away = inWords(error);
    // Another process may answer next, with another hour and another token.
    [state.steeringHeard, state.historyHeard] = [false, -Infinity];
  }
  state.asking = false;
  if (!state.held) state.timer = setTimeout(ask, document.hidden ? SELDOM : state.away ? AWAY : OFTEN);
  draw();
}

/** What is asked for less often, and can be missed. */
async function askForMore() {
  const now = performance.now();
  if (now - state.historyHeard >= HISTORY) {
    try {
      [state.history, state.historyHeard, state.historyFault] = [await get("history"), now, ""];
    } catch (error) {
      state.historyFault = inWords(error);
    }
  }
  if (!state.steeringHeard) state.steeringHeard = await askWhetherSteered(ask);
}

const inWords = (error) => (error.name === "TimeoutError" ? `no answer within ${seconds(PATIENCE / 1000)}` : error.message);

function draw() {
  fill(place("controls"), steeringControls(draw),
    h("button", { type: "button", key: "hold", "aria-pressed": String(state.held), on: { click: hold } }, state.held ? "Go on updating" : "Hold still"));
  drawAway();
  document.body.classList.toggle("stale", Boolean(state.away));
  if (!state.statuses) return;
  const model = deployment(state.statuses, state.history, performance.now() - state.heard);
  const found = findings(model);
  const { level, title } = state.away ? { level: "wrong", title: "The connector does not answer" } : verdict(found, model);
  const worst = state.away ? title : found[0]?.title ?? title;
  document.title = `${{ wrong: "✕", watch: "!", good: "✓" }[level]} ${plain(worst)} · kafka-smpp`;
  place("headline").className = level;
  fill(place("headline-title"), mark(level, title));
  fill(place("findings"), h("p", { class: "summary" }, summary(model)), findingList(found, draw));
  fill(place("deployment"), deploymentLine(model));
  fill(place("contents"), contents(model));
  fill(place("numbers"), tiles(model));
  const pictures = () => drawPictures(model, state.historyFault, place("pictures"), pictures);
  pictures();
  fill(place("esmes"), model.esmes.map((esme) => esmeSection(model, esme, draw)));
  fill(place("rest"), rest(model, draw));
}

function drawAway() {
  if (!state.away) {
    fill(place("away"));
    return;
  }
  fill(place("away"), h("p", {}, h("strong", {}, "The connector does not answer"), ` since ${clock(state.awaySince)} (${state.away}). `,
    state.statuses ? `Everything below was true at ${clock(Date.parse(state.statuses[0].at))}, and may not be true any more. ` : "",
    "It is asked again every few seconds. Look whether its process runs, and at its log."));
  if (!state.statuses) {
    place("headline").className = "wrong";
    fill(place("headline-title"), mark("wrong", "The connector does not answer"));
  }
}

function hold() {
  state.held = !state.held;
  draw();
  if (state.held) clearTimeout(state.timer);
  else ask();
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !state.held) ask();
});

ask();
