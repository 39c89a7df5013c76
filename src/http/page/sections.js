// The sections of the page: what there is, in numbers and tables.

import { clock, count, h, mark, meter, moment, number, octets, prose, rate, seconds, share, table } from "./dom.js";
import { STATES, paused, problems } from "./findings.js";
import { add, counters, delivered, drains, inMaintenance, mean, own, quantile, sum } from "./model.js";
import { actions, resume } from "./steer.js";

const text = (name) => ({ name });
const wide = (name, about) => ({ name, about, wide: true });
const figure = (name, about) => ({ name, about, number: true });

/** How many findings are shown before somebody asks for all. */
const FINDINGS = 15;
let allFound = false;

/** The findings, worst first. */
export function findingList(found, redraw) {
  const words = { wrong: "Wrong", watch: "Watch", known: "Asked for" };
  const fold = () => {
    allFound = !allFound;
    redraw();
  };
  const list = found.length > 0 && h("ol", { class: "findings" }, (allFound ? found : found.slice(0, FINDINGS)).map((finding) =>
    h("li", { class: finding.level, key: finding.title },
      mark(finding.level, words[finding.level]),
      h("div", {},
        h("h2", {}, h("a", { href: finding.where }, finding.title)),
        finding.details.map((detail) => h("p", {}, detail))),
      h("p", { class: "remedy" }, prose(finding.remedy)))));
  return [list, found.length > FINDINGS && h("button", { type: "button", class: "plain", "aria-expanded": String(allFound), on: { click: fold } },
    allFound ? `Show the first ${FINDINGS}` : `Show all ${number(found.length)}`)];
}

export function contents(model) {
  const links = [
    ["#pictures", "Last hour"],
    ...model.esmes.map((esme) => [`#${esme.id}`, esme.name]),
    ["#processes", "Processes"], ["#correlation", "Receipts and memory"], ["#kafka", "Kafka"], ["#problems", "Last errors"],
  ];
  return h("ul", {}, links.map(([href, name]) => h("li", {}, h("a", { href }, name))));
}

/** What one looks at first. */
export function tiles(model) {
  const samples = model.esmes.flatMap((esme) => esme.samples.slice(-6));
  const pace = sum(model.esmes, (esme) => mean(esme.samples, 6, (sample) => sample.results));
  const [lag, bound] = [sum(model.esmes, (esme) => esme.lag), sum(model.esmes, (esme) => esme.bound.length)];
  const binds = sum(model.esmes, (esme) => esme.binds.length);
  const window = { used: sum(model.esmes, (esme) => esme.window.used), allowed: sum(model.esmes, (esme) => esme.window.allowed) };
  const good = delivered(model.esmes.flatMap((esme) => esme.samples), model.history?.step ?? 10);
  const slow = Math.max(...samples.map((sample) => sample.append_to_result?.p99).filter(Number.isFinite));
  const unknown = sum(model.esmes, (esme) => esme.results.OUTCOME_UNKNOWN);
  const entries = model.present.flatMap(({ status }) => status.correlation?.partitions ?? []);
  return h("dl", { class: "tiles" }, [
    ["Results", rate(pace), "mean of the last minute"],
    ["Lag", number(lag), lag > 0 && pace > 0 ? `${seconds(lag / pace)} at this pace` : "records without a result"],
    ["Binds", `${number(bound)} of ${number(binds)}`, "bound"],
    ["Window", `${number(window.used)} of ${number(window.allowed)}`, "requests unanswered"],
    ["Append to result", seconds(slow), "99 % in the last minute"],
    ["Delivered", share(good.share), `of ${number(Math.round(good.receipts))} receipts in this hour`],
    ["Remembered", number(sum(entries, (one) => one.entries)), `messages, ${octets(sum(entries, (one) => one.octets))}`],
    ["Unknown", number(unknown), "outcomes since the start"],
  ].map(([name, value, about]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("strong", {}, value), h("span", {}, about)))));
}

/** One ESME. */
export function esmeSection(model, esme, redraw) {
  const stopped = paused(esme);
  const [level, words] = stopped ? ["known", stopped.unbound ? "paused, binds closed" : "paused"]
    : inMaintenance(esme, model.now) ? ["known", "in maintenance"]
    : esme.wanted.every((bind) => bind.state === "bound") ? ["good", `${count(esme.bound.length, "bind")} bound`]
    : [esme.binds.some((bind) => own(LEVEL, bind.state) === "wrong") ? "wrong" : "watch", `${number(esme.bound.length)} of ${count(esme.binds.length, "bind")} bound`];
  const limit = esme.steering.max_tps ?? esme.contracted;
  return h("section", { class: "esme", id: esme.id, key: `esme ${esme.name}`, "aria-labelledby": `${esme.id}-title` },
    h("div", { class: "row" },
      h("h2", { id: `${esme.id}-title` }, esme.name), mark(level, words), actions(model, esme)),
    h("p", { class: "quiet" }, esme.topics.length > 0 && `From ${esme.topics.join(", ")}. `,
      Number.isFinite(limit) ? `At most ${number(limit)} PDUs/s, ${number(esme.here)}/s of it with these processes.` : "No limit of its rate.",
      Number.isFinite(esme.last?.results) && ` Now ${rate(esme.last.results)} results.`),
    resume(model, esme),
    h("div", { id: `${esme.id}-binds` }, bindTable(model, esme, redraw)),
    h("div", { id: `${esme.id}-partitions` }, partitionTable(model, esme, redraw)),
    h("div", { class: "columns" },
      h("div", { id: `${esme.id}-answers` }, countTable(`${esme.id}-answer`, "Answers of the SMSC", "command_status", esme.responses, (name) => name !== "ESME_ROK", redraw)),
      countTable(`${esme.id}-result`, "Results in Kafka", "result", esme.results, (name) => name !== "ACCEPTED", redraw),
      h("div", { id: `${esme.id}-receipts` }, countTable(`${esme.id}-receipt`, "Receipts by state", "state", esme.receipts, (name) => !GOOD.has(name), redraw)),
      Object.keys(esme.counts).length > 0 && countTable(`${esme.id}-count`, "Also counted", "what", esme.counts, () => false, redraw)));
}

const GOOD = new Set(["DELIVERED", "ENROUTE", "ACCEPTED", "SCHEDULED"]);

const LEVEL = { bound: "good", connecting: "watch", idle: "watch", frozen: "watch", closed: "known", backoff: "wrong", refused: "wrong" };

function bindTable(model, esme, redraw) {
  const several = model.processes.length > 1;
  const rows = esme.binds.map((bind) => {
    const { window = {}, counts = {} } = bind;
    const level = own(LEVEL, bind.state) ?? "watch";
    const limit = bind.contracted_rate ?? undefined;
    const speed = Number.isFinite(bind.rate) ? `${number(bind.rate)}/s` : Number.isFinite(limit) ? `${number(limit)}/s` : "no limit";
    const host = bind.host && (bind.peer && bind.peer !== bind.host ? `${bind.host} (${bind.peer})` : bind.host);
    const why = [
      bind.drained ? "somebody wants it closed" : bind.paused && "paused: nothing is sent over it",
      bind.reason,
      Number.isFinite(bind.retry_in) && `tried again in ${seconds(Math.round(bind.retry_in))}`,
      bind.throttled && "throttled within the last minute",
    ].filter(Boolean).join("; ");
    return {
      key: `${bind.process.key} ${bind.name}`,
      bad: level === "wrong" ? 2 : level !== "good" || bind.throttled ? 1 : 0,
      cells: [
        bind.name,
        several && bind.process.label,
        [mark(bind.throttled && level === "good" ? "watch" : level, bind.state), !own(STATES, bind.state) && " (unknown)"],
        why,
        host ?? "",
        [bind.mode, !bind.submits && " (only receives)"],
        bind.since ? moment(bind.since, model.now) : "",
        Number.isFinite(window.allowed) && [`${number(window.used)} of ${number(window.allowed)}`, window.allowed < window.most && h("span", { class: "quiet" }, ` (most ${number(window.most)})`),
          meter(window.used, window.allowed, "", 2)],
        speed,
        Number.isFinite(bind.round_trip) ? seconds(bind.round_trip) : "",
        [counts.in_doubt, counts.timeouts, counts.failures].map((one) => number(one ?? 0)).join(" / "),
      ].filter((cell) => cell !== false),
    };
  });
  return table({
    id: `${esme.id}-bind-table`, caption: "Binds", rows, redraw, empty: "No process has a bind of it.",
    columns: [
      text("Bind"), several && text("Process"), text("State"), wide("Why", "Why it is not bound, or slower than it may be"), wide("Host"), text("Mode"), text("Bound since"),
      figure("Window", "Unanswered requests, of how many may be"), figure("Rate", "What the SMSC's answers, or its own limit, let it send"),
      figure("Round trip", "How long the last enquire_link took"), figure("In doubt / time-outs / failures", "Since the bind was made: requests in doubt when a session ended, response time-outs, failed attempts and sessions"),
    ].filter(Boolean),
  });
}

function partitionTable(model, esme, redraw) {
  const several = model.processes.length > 1;
  const pace = mean(esme.samples, 6, (sample) => sample.results);
  const rows = esme.partitions.map((partition) => {
    // Of each partition one knows no pace of its own: its share of what the ESME does.
    const time = partition.lag > 0 && esme.lag > 0 && pace > 0 ? drains(esme) : NaN;
    return {
      key: `${partition.process.key} ${partition.topic} ${partition.partition}`,
      bad: partition.phase === "standing still" ? 2 : partition.waits_for || partition.phase !== "open" ? 1 : 0,
      cells: [
        `${partition.topic} ${partition.partition}`,
        several && partition.process.label,
        mark(partition.phase === "open" ? partition.waits_for ? "watch" : "good" : partition.phase === "standing still" ? "wrong" : "watch", partition.phase),
        [partition.paused && "somebody to resume it", partition.waits_for].filter(Boolean).join("; "),
        Number.isFinite(partition.lag) ? [number(partition.lag), partition.lag > pace * 10 && Number.isFinite(time) && ` (${seconds(time)})`] : "",
        number(partition.unfinished),
        [partition.waiting, partition.delayed, partition.ready].map((one) => number(one ?? 0)).join(" / "),
        number(partition.in_flight),
        number(partition.in_doubt ?? 0),
        octets(partition.octets),
        number(partition.committed),
      ].filter((cell) => cell !== false),
    };
  });
  return table({
    id: `${esme.id}-partition-table`, caption: "Partitions", rows, redraw, empty: "No process has a partition of it.",
    columns: [
      text("Partition"), several && text("Process"), text("Phase"), wide("Waits for"), figure("Lag", "Records without a result, and how long they take at the ESME's pace"),
      figure("Unfinished", "Read, without a result"), figure("Waiting / delayed / ready", "Of those: for a place in a window or rate, for their time, or for a bind to take them"), figure("In flight", "Of those: with a bind"),
      figure("In doubt", "Without a result, and the SMSC may have a copy that nobody knows of"), figure("Memory"), figure("Committed", "All records below this offset have a result"),
    ].filter(Boolean),
  });
}

/** Counters by name, largest first, with a bar and a share. */
function countTable(id, caption, name, counts, isBad, redraw) {
  const all = sum(Object.values(counts));
  const rows = Object.entries(counts).sort(([, a], [, b]) => b - a).map(([key, many]) => ({
    key,
    cells: [isBad(key) && many > 0 ? [key, h("span", { class: "unseen" }, " (not a success)")] : key, number(many),
      [share(many / all), meter(many, all, "", isBad(key) ? 0 : 2)]],
  }));
  return table({ id, caption, rows, redraw, most: 8, empty: "None since the start.", columns: [text(name), figure("since the start"), figure("share")] });
}

/** What belongs to the processes, and not to one ESME. */
export function rest(model, redraw) {
  return [processTable(model, redraw), correlation(model, redraw), memory(model, redraw), kafka(model, redraw), problemList(model)];
}

const section = (id, title, ...inner) =>
  h("section", { id, key: id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), inner);

function processTable(model, redraw) {
  const rows = model.processes.map((process) => {
    const { process: own = {}, ready = {}, live = {}, registry } = process.status;
    const state = process.silent ? ["wrong", "silent"]
      : live.live === false ? ["wrong", "no progress"]
      : own.phase === "running" && !ready.ready ? ["wrong", "not ready"]
      : own.phase === "running" ? ["good", "running"] : ["watch", own.phase ?? "unknown"];
    const missing = [...(live.stuck ?? []).map((stuck) => `stuck: ${stuck}`), ...(ready.missing ?? []),
      registry?.missing > 0 && count(registry.missing, "schema missing", "schemas missing")].filter(Boolean).join("; ");
    return {
      key: process.key, bad: { wrong: 2, watch: 1, good: 0 }[state[0]],
      cells: [[process.label, process.here && h("span", { class: "quiet" }, " (answers this page)")], mark(...state), missing,
        process.silent ? `${seconds(process.age / 1000)} ago` : moment(process.status.at, model.now),
        moment(own.started_at, model.now), own.software, Number.isFinite(own.resident_octets) ? octets(own.resident_octets) : "", own.name],
    };
  });
  return section("processes", "Processes", table({
    id: "process-table", caption: "All processes of the deployment", rows, redraw,
    columns: [text("Host"), text("State"), wide("What is missing"), text("Said at"), text("Started"), text("Version"), figure("Memory", "Resident set"), wide("Name")],
  }));
}

function correlation(model, redraw) {
  const [joined, taken] = [counters(), counters()];
  for (const { status } of model.present) {
    add(joined, status.correlation?.counts);
    add(taken, status.deliveries?.counts);
  }
  const rows = model.present.flatMap(({ key, label, status }) => (status.correlation?.partitions ?? []).map((one) => ({
    key: `${key} ${one.partition}`, bad: one.live ? 0 : 1,
    cells: [number(one.partition), label, one.live ? mark("good", "live") : mark("watch", "being restored"),
      number(one.entries), number(one.parked), number(one.parts), octets(one.octets), number(one.gathered)],
  })));
  return section("correlation", "Receipts and what is remembered for them",
    table({
      id: "correlation-table", caption: "Partitions of the correlation", rows, redraw, most: 6, empty: "No process has one.",
      columns: [text("Partition"), text("Process"), text("State"), figure("Messages", "Remembered, for their receipts"), figure("Receipts waiting", "For their message, or published without"),
        figure("Segments waiting", "For the others of their message"), figure("Memory"), figure("For the next transaction")],
    }),
    h("div", { class: "columns" },
      counterTable("joined", "Joined with their messages since the start", joined, redraw),
      counterTable("taken", "Taken from SMSCs since the start", taken, redraw)));
}

function counterTable(id, caption, counts, redraw) {
  const rows = Object.entries(counts).filter(([, many]) => many > 0).map(([name, many]) => ({ key: name, cells: [name.replaceAll("_", " "), number(many)] }));
  return table({ id, caption, rows, redraw, most: 12, columns: [text("What"), figure("How many")] });
}

function memory(model, redraw) {
  const rows = model.present.flatMap(({ key, label, status }) => (status.memory ?? []).map(({ name, used, bound }) => ({
    key: `${key} ${name}`, bad: used >= bound * 0.97 ? 2 : used >= bound * 0.85 ? 1 : 0,
    cells: [name, label, octets(used), octets(bound), [share(used / bound), meter(used, bound, "")]],
  })));
  return section("memory", "Memory", table({
    id: "memory-table", caption: "Memory that has a bound", rows, redraw, most: 12,
    columns: [text("For"), text("Process"), figure("In use"), figure("At most"), figure("Share")],
  }));
}

function kafka(model, redraw) {
  const clients = model.present.flatMap(({ key, label, status }) => (status.kafka?.clients ?? []).map((one) => ({
    key: `${key} ${one.name}`, bad: one.brokers_up === 0 && one.brokers_down > 0 ? 2 : 0,
    cells: [one.name, label, `${number(one.brokers_up)} / ${number(one.brokers_down)}`, number(one.queued), octets(one.queued_octets),
      Number.isFinite(one.round_trip) ? seconds(one.round_trip) : "", number(one.timeouts), number(one.rebalances), `${octets(one.octets_in)} / ${octets(one.octets_out)}`],
  })));
  const transactions = model.present.flatMap(({ key, label, status }) => (status.transactions ?? []).map((one) => ({
    key: `${key} ${one.pipeline}`,
    cells: [one.pipeline, label, number(one.committed), number(one.records), seconds(quantile(one.took, 0.5)), seconds(quantile(one.took, 0.99)),
      Object.entries(one.aborted ?? {}).map(([cause, many]) => `${number(many)} × ${cause}`).join(", ")],
  })));
  const cluster = model.processes[0]?.status.kafka?.cluster;
  return section("kafka", "Kafka",
    cluster && h("p", { class: "quiet" }, `Cluster ${cluster}`),
    table({
      id: "transaction-table", caption: "Transactions since the start", rows: transactions, redraw,
      columns: [text("Pipeline"), text("Process"), figure("Committed"), figure("Records"), figure("Half took less"), figure("99 % took less"), wide("Aborted, and why")],
    }),
    table({
      id: "client-table", caption: "Kafka clients", rows: clients, redraw,
      columns: [text("Client"), text("Process"), figure("Brokers connected / not"), figure("Records queued"), figure("Of"), figure("Round trip", "The slowest broker's mean"), figure("Time-outs"), figure("Rebalances"), figure("Received / sent")],
    }));
}

function problemList(model) {
  const all = problems(model);
  return section("problems", "Last errors", all.length === 0
    ? h("p", { class: "quiet" }, "No warning and no error was written since the start.")
    : h("ol", { class: "problems" }, all.slice(0, 40).map((one, at) => h("li", { class: one.level, key: `${one.process.key} ${one.name} ${at}` },
      h("p", { class: "row" }, mark(one.level === "error" ? "wrong" : "watch", one.level), moment(one.at, model.now), h("span", { class: "quiet" }, one.process.label),
        h("code", {}, one.name), one.times > 1 && h("span", { class: "quiet" }, `${number(one.times)} times`)),
      h("p", { class: "said" }, one.text),
      h("p", { class: "remedy" }, prose(one.about))))));
}

/** Who says all this, and how old it is. */
export function deploymentLine(model) {
  const own = model.processes[0]?.status ?? {};
  const name = own.process?.deployment;
  return h("p", {}, name && [h("strong", {}, name), " · answered by "], h("strong", {}, own.process?.host), ` ${own.process?.software ?? ""} · as of `, h("time", {}, clock(Date.parse(own.at), model.now)),
    h("span", {}, ` ${Intl.DateTimeFormat().resolvedOptions().timeZone}`));
}
