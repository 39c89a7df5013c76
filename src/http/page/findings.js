// What is wrong, in words, worst first: what somebody reads at three in the morning.
//
// A finding has a level: `wrong` (messages stand still, or will), `watch` (it may become so), `known`
// (somebody asked for it). It says what, how much of it, what to do, and where on the page more stands.
// Of those of one level, the one with the most weight comes first.

import { clock, count, number, octets, rate, seconds, share } from "./dom.js";
import { delivered, drains, esmeIn, grown, inMaintenance, lagGrowth, lately, mean, own, sum } from "./model.js";

const LEVELS = ["wrong", "watch", "known"];

export function findings(model) {
  const found = [];
  const alike = new Map();
  const say = (level, title, details, remedy, where, weight = 1) =>
    found.push({ level, title, details: details.filter(Boolean), remedy, where, weight });
  // What is so of many processes is one finding. `titles`: of one of them, and of many.
  const sayOf = (process, level, titles, note, ...rest) => {
    const key = JSON.stringify([level, titles, rest]);
    alike.set(key, [...(alike.get(key) ?? []), { label: process.label, note, level, titles, rest }]);
  };
  processes(model, say, sayOf);
  for (const esme of model.esmes) {
    const stands = binds(model, esme, say);
    steered(model, esme, say);
    partitions(model, esme, stands, say);
    lag(model, esme, stands, say);
    answers(model, esme, say);
    receipts(model, esme, say);
  }
  memory(model, sayOf);
  kafka(model, say, sayOf);
  for (const list of alike.values()) once(list, say);
  lines(model, say);
  const rank = (finding) => LEVELS.indexOf(finding.level);
  return found.sort((a, b) => rank(a) - rank(b) || b.weight - a.weight);
}

/** Says once what is so of several processes. */
function once(list, say) {
  const [{ label, note, level, titles: [one, many], rest: [details, ...rest] }] = list;
  if (list.length === 1) {
    say(level, `${label} ${one}`, [note, ...details], ...rest);
  } else {
    const each = list.slice(0, 5).map((other) => (other.note ? `${other.label}: ${other.note}` : other.label));
    say(level, `${number(list.length)} processes ${many}`, [...each, more(list.length - 5, "process", "processes"), ...details], ...rest);
  }
}

/** How the deployment is, in one line. */
export function verdict(found, model) {
  const many = (level) => found.filter((finding) => finding.level === level).length;
  const [wrong, watch, known] = LEVELS.map(many);
  if (!model.esmes.length && !wrong) return { level: "watch", title: "No ESME is served yet" };
  const rest = [watch && `${number(watch)} to watch`, known && `${number(known)} asked for`].filter(Boolean).join(", ");
  if (wrong) return { level: "wrong", title: `${wrong === 1 ? "Something is" : `${number(wrong)} things are`} wrong${rest && `, ${rest}`}` };
  if (watch) return { level: "watch", title: `Nothing is wrong, ${rest}` };
  return { level: "good", title: known ? `All is well, ${rest}` : "All is well" };
}

/** What is so when all is well, in one sentence. */
export function summary(model) {
  const binds = model.esmes.flatMap((esme) => esme.binds);
  const bound = sum(model.esmes, (esme) => esme.bound.length);
  const pace = sum(model.esmes, (esme) => mean(esme.samples, 6, (sample) => sample.results));
  const lag = sum(model.esmes, (esme) => esme.lag);
  const good = delivered(model.esmes.flatMap((esme) => esme.samples), model.history?.step ?? 10);
  return [
    count(model.present.length, "process", "processes"),
    `${number(bound)} of ${count(binds.length, "bind")} bound`,
    `${rate(pace)} results`,
    `${count(lag, "record")} without a result`,
    Number.isFinite(good.share) && `${share(good.share)} delivered in the last hour`,
  ].filter(Boolean).join(" · ");
}

function processes(model, say, sayOf) {
  for (const process of model.processes) {
    const { status, silent, age } = process;
    if (silent) {
      sayOf(process, "wrong", ["has gone silent", "have gone silent"], `It has said nothing for ${seconds(age / 1000)}.`, ["What was said last is not counted here any more."],
        "It was killed, stands still, or cannot reach Kafka. The other processes take over its partitions after `kafka.session_timeout`. Look at its host, and at its log.", "#processes", 2);
      continue;
    }
    const phase = status.process?.phase;
    if (status.live && !status.live.live) {
      sayOf(process, "wrong", ["makes no progress", "make no progress"], (status.live.stuck ?? []).map((stuck) => `Stuck: ${stuck}`).join("; "), [],
        "A probe on `/live` restarts it. Where there is none, restart it, and keep its log.", "#processes", 2);
    }
    if (status.ready && !status.ready.ready) {
      const level = own({ starting: "watch", stopping: "known" }, phase) ?? "wrong";
      const titles = own({ starting: ["is starting", "are starting"], stopping: ["is stopping", "are stopping"] }, phase) ?? ["is not ready", "are not ready"];
      sayOf(process, level, titles, (status.ready.missing ?? []).map((missing) => `Missing: ${missing}`).join("; "), [],
        phase === "stopping" ? "It waits for answers to what is out, commits, and ends." : "It goes on by itself once that is there.", "#processes", 0);
    }
  }
  const versions = new Set(model.present.map(({ status }) => status.process?.software));
  if (versions.size > 1) {
    say("known", "Processes have different versions", [[...versions].join(", ")], "So it is while a new version is rolled out; not for longer.", "#processes");
  }
}

// What is usually behind a reason that a bind is not bound.
const REMEDIES = [
  [/RINVPASWD|RINVSYSID|RBINDFAIL|RINVSYSTYP/, "The SMSC does not accept the account: compare `system_id` and `password` with what its operator says. It is tried again only after `esme.reconnect.refused`, because trying often may lock it; Rebind tries at once."],
  [/RALYBND/, "The SMSC still counts a bind that is gone, another program uses the account, or it may have fewer binds than we open. Ask its operator how many it counts."],
  [/refused|unreachable|timed? ?out|no route|reset|closed|resolve|lookup/i, "Nobody answers there, or something between ends the connection: ask the SMSC's operator, and look at the firewall (many SMSCs admit known addresses only)."],
  [/certificate|tls|handshake/i, "TLS does not come about: compare certificates, names and dates."],
];

const remedyOf = (reasons) => REMEDIES.find(([pattern]) => reasons.some((reason) => pattern.test(reason)))?.[1]
  ?? "Ask the SMSC's operator with this reason at hand; the log says more.";

/** Of the binds that are not bound. Says whether the ESME stands still by it. */
function binds(model, esme, say) {
  const all = paused(esme);
  const maintained = inMaintenance(esme, model.now);
  if (all?.unbound || maintained) return true;
  const { wanted } = esme;
  if (!esme.binds.length && model.present.some(({ status }) => status.process?.phase === "running")) {
    say("watch", `${esme.name}: no process has a bind of it`, [waiting(esme)],
      "Its partitions are with no process yet. If it stays so, look at which process is not ready.", `#${esme.id}`);
    return true;
  }
  const unbound = wanted.filter((bind) => bind.state !== "bound");
  const failed = unbound.filter((bind) => bind.reason || ["backoff", "refused"].includes(bind.state));
  if (failed.length) {
    const every = unbound.length === wanted.length;
    const title = every
      ? `${esme.name}: none of ${count(wanted.length, "bind")} is bound, so nothing is sent`
      : `${esme.name}: ${number(failed.length)} of ${count(wanted.length, "bind")} not bound`;
    const reasons = group(failed, (bind) => bind.reason ?? bind.state);
    say("wrong", title, [...reasons.slice(0, 4).map(([reason, list]) => because(reason, list)), more(reasons.length - 4, "reason"), every && waiting(esme)],
      remedyOf(reasons.map(([reason]) => reason)), `#${esme.id}-binds`, every ? 3 : 1);
    return every;
  }
  if (unbound.length) {
    const states = group(unbound, (bind) => bind.state);
    say("watch", `${esme.name}: ${number(unbound.length)} of ${count(wanted.length, "bind")} not bound yet`,
      states.map(([state, list]) => `${count(list.length, "bind")} ${own(STATES, state) ?? state}`), "So it is after a start or a takeover, for seconds.", `#${esme.id}-binds`);
  }
  return wanted.length > 0 && unbound.length === wanted.length;
}

export const STATES = {
  idle: "idle, without a lease",
  connecting: "connecting",
  bound: "bound",
  backoff: "waiting before the next attempt",
  refused: "refused by the SMSC",
  frozen: "frozen: ends, and sends no more",
  closed: "closed",
};

function because(reason, list) {
  const hosts = new Set(list.map((bind) => bind.host).filter(Boolean));
  const retry = Math.min(...list.map((bind) => bind.retry_in ?? Infinity));
  const again = Number.isFinite(retry) ? `; tried again in ${seconds(Math.round(retry))}` : "";
  const where = hosts.size ? ` with ${[...hosts].slice(0, 3).join(", ")}` : "";
  return `${list.length === 1 ? `Bind ${list[0].name}` : count(list.length, "bind")}${where}: ${reason}${again}`;
}

function group(list, of) {
  const all = new Map();
  for (const one of list) all.set(of(one), [...(all.get(of(one)) ?? []), one]);
  return [...all.entries()].sort((a, b) => b[1].length - a[1].length);
}

const more = (many, ...what) => many > 0 && `… and ${count(many, ...what.map((one) => `other ${one}`))}`;

/** The pause of the whole ESME. */
export const paused = (esme) => esme.steering.paused.find((pause) => !pause.what);

const waiting = (esme) => esme.lag > 0 && `${count(esme.lag, "record waits", "records wait")}.`;

function steered(model, esme, say) {
  for (const pause of esme.steering.paused) {
    const what = pause.what ? `${esme.name}: ${pause.what}` : esme.name;
    say("watch", `${what} is paused${pause.unbound ? ", and its binds are closed" : ""}`,
      [`By ${pause.by || "somebody"} since ${clock(Date.parse(pause.since), model.now)}${pause.reason ? `: ${pause.reason}` : ""}.`, !pause.what && waiting(esme)],
      pause.unbound ? "Nothing goes to its SMSC or comes from it until somebody resumes it." : "Nothing of it is sent until somebody resumes it. Receipts go on.", `#${esme.id}`);
  }
  const { maintenance, max_tps: limit, window } = esme.steering;
  if (maintenance) {
    const [from, until] = [maintenance.from, maintenance.until].map((time) => clock(Date.parse(time), model.now));
    say("known", inMaintenance(esme, model.now) ? `${esme.name}: its SMSC is maintained until ${until}` : `${esme.name}: its SMSC will be maintained from ${from} until ${until}`,
      [`Agreed by ${maintenance.by || "somebody"}.`, inMaintenance(esme, model.now) && waiting(esme)], "Binds are closed in that time, and opened again after it.", `#${esme.id}`);
  }
  const changed = [
    Number.isFinite(limit) && `max_tps is ${number(limit)}${Number.isFinite(esme.contracted) ? ` instead of ${number(esme.contracted)}` : ""}`,
    Number.isFinite(window) && `the window of each bind is ${number(window)}`,
  ].filter(Boolean);
  if (changed.length) {
    say("known", `${esme.name}: limits are other than in the configuration`, [`${changed.join(", ")}.`], "Somebody asked for it. Rate and window puts it back.", `#${esme.id}`);
  }
}

function partitions(model, esme, stands, say) {
  const still = esme.partitions.filter((partition) => partition.phase === "standing still");
  const why = (list) => group(list, (partition) => partition.waits_for ?? partition.phase).slice(0, 4)
    .map(([reason, some]) => `${named(some)}: ${reason}`);
  if (still.length) {
    say("wrong", `${esme.name}: ${count(still.length, "partition stands", "partitions stand")} still`, why(still),
      "It does not go on by itself: the last errors below say what to do.", `#${esme.id}-partitions`, 2);
  }
  const others = esme.partitions.filter((partition) => partition.waits_for && partition.phase !== "standing still");
  // What nobody can send stands in one finding already, not in one for each partition.
  if (others.length && !stands && !paused(esme)) {
    say("watch", `${esme.name}: ${count(others.length, "partition waits", "partitions wait")}`, why(others),
      "Most waits end by themselves; the reason says what they are for.", `#${esme.id}-partitions`);
  }
  const moving = esme.partitions.filter((partition) => ["taking over", "opening"].includes(partition.phase) && !partition.waits_for);
  if (moving.length) {
    say("watch", `${esme.name}: ${count(moving.length, "partition is", "partitions are")} being taken over`, [named(moving)], "So it is after a start or a crash, for seconds.", `#${esme.id}-partitions`);
  }
}

function named(list) {
  const names = list.map((partition) => `${partition.topic} ${partition.partition}`);
  return names.length > 4 ? `${names.slice(0, 3).join(", ")} and ${number(names.length - 3)} others` : names.join(", ");
}

function lag(model, esme, stands, say) {
  if (stands || paused(esme)) return;
  const where = `#${esme.id}-partitions`;
  const title = `${esme.name}: ${count(esme.lag, "record waits", "records wait")}`;
  const step = model.history?.step || 10;
  const last = esme.samples.slice(-6);
  if (last.length < 6) {
    if (esme.lag > 1000) say("watch", title, ["How fast it goes is known after a minute."], "Look again then.", where);
    return;
  }
  const pace = mean(last, 6, (sample) => sample.results);
  // What waits for its own time is not late. And lag without a record that was read may be the mark
  // that ends a producer's transaction.
  const due = sum(esme.partitions, (partition) => Math.max(0, partition.unfinished - partition.delayed));
  if (pace === 0 && (due > 0 || esme.lag > 100) && last.every((sample) => sample.lag > 0)) {
    say("wrong", `${title} and nothing moves`, ["No record has got a result for a minute."],
      "Look at what its partitions wait for, at the binds' windows, and at the last errors.", where, 2);
    return;
  }
  // Up to ten seconds' worth is on its way and does not wait.
  if (pace === 0 || esme.lag <= Math.max(100, pace * 10)) return;
  const [growth, time] = [lagGrowth(esme, step), drains(esme)];
  const now = `At the ${rate(pace)} of the last minute, what waits now takes ${seconds(time)}.`;
  if (growth > 0 && time > 30) {
    say(time > 900 ? "wrong" : "watch", `${title}, and more come than are sent`, [`Lag grows by ${rate(growth)}. ${now}`, limit(esme)],
      esme.bound.length < esme.binds.length ? "More can be sent once the other binds are bound." : "If it does not fall after the rush: a higher rate or window, if the SMSC allows it, or more binds.", where);
  } else if (time > 60) {
    const ends = growth < 0 ? `Lag falls by ${rate(-growth)}: nothing waits in about ${seconds(esme.lag / -growth)}.` : now;
    say("watch", `${title}, and it catches up`, [ends], "Nothing has to be done.", where);
  }
}

/** What keeps an ESME from being faster, if that can be seen. */
function limit(esme) {
  const full = esme.samples.slice(-6);
  if (full.length >= 6 && full.every((sample) => sample.window_allowed > 0 && sample.window_used >= sample.window_allowed * 0.95)) {
    return `The windows are full (${number(esme.window.used)} of ${number(esme.window.allowed)}): the SMSC's answers are what is waited for.`;
  }
  const bound = esme.steering.max_tps ?? esme.contracted;
  const answers = mean(esme.samples, 6, (sample) => sample.responses);
  return Number.isFinite(bound) && answers >= bound * 0.93 && `It sends as fast as max_tps allows (${number(bound)}/s).`;
}

function answers(model, esme, say) {
  const throttled = esme.binds.filter((bind) => bind.throttled);
  if (throttled.length) {
    const rates = throttled.map((bind) => bind.rate).filter(Number.isFinite);
    const refused = mean(esme.samples, 6, (sample) => sample.throttled);
    say("watch", `${esme.name}: the SMSC says that it is too much`, [
      `${number(throttled.length)} of ${count(esme.binds.length, "bind")} throttled within the last minute${refused > 0 ? `, ${rate(refused)} answers` : ""}.`,
      rates.length && `They now send ${rate(sum(rates))} together${Number.isFinite(esme.contracted) ? `; the contract says ${number(esme.contracted)}/s` : ""}.`,
    ], "Nothing is lost: it slows down by itself. If it lasts, ask the SMSC's operator what the account may, and set `max_tps` to that.", `#${esme.id}-binds`);
  }
  const slow = esme.samples.slice(-6).map((sample) => sample.submit_to_response?.p99).filter(Number.isFinite);
  const worst = Math.max(0, ...slow);
  if (slow.length >= 3 && Math.min(...slow) > 3) {
    say("watch", `${esme.name}: the SMSC answers slowly`, [`One in a hundred answers takes ${seconds(worst)} or longer.`], "If `esme.timers.response` runs out, a message is in doubt. Ask the SMSC's operator.", "#pictures");
  }
  const of = (name, read) => grown(model, (status) => read(esmeIn(status, name)) || 0);
  const unknown = of(esme.name, (one) => one?.results?.OUTCOME_UNKNOWN);
  const doubt = of(esme.name, (one) => sum(one?.binds ?? [], (bind) => bind.counts?.in_doubt));
  if (unknown || doubt) {
    say("watch", `${esme.name}: messages were in doubt`, [
      doubt > 0 && `${count(doubt, "request was", "requests were")} unanswered when a session ended, in the last ${seconds(lately(model))}.`,
      unknown > 0 && `${count(unknown, "message")} ended as OUTCOME_UNKNOWN: perhaps sent, and not sent again.`,
    ], "`submit.in_doubt` decides whether such messages are sent again or reported. The SMSC's operator can say which it has.", `#${esme.id}-answers`);
  }
}

function receipts(model, esme, say) {
  const step = model.history?.step || 10;
  const [before, last] = [esme.samples.slice(0, -30), esme.samples.slice(-30)];
  if (before.length < 30) return;
  const [was, is] = [delivered(before, step), delivered(last, step)];
  const usual = was.receipts / (before.length * step);
  const sent = mean(last, 30, (sample) => sample.results);
  if (usual * 300 > 20 && is.receipts === 0 && sent > 0) {
    say("wrong", `${esme.name}: receipts have stopped`, [`None for ${seconds(sinceReceipt(esme, step))}, though ${rate(sent)} messages get a result; before, ${rate(usual)} receipts came.`],
      "Look whether binds that receive are bound, and whether correlation is restored. Otherwise ask the SMSC's operator.", `#${esme.id}-receipts`);
  } else if (was.receipts > 50 && is.receipts > 50 && was.share - is.share > 0.15) {
    say("watch", `${esme.name}: fewer messages are delivered`, [`${share(is.share)} in the last 5 min, ${share(was.share)} before.`],
      "The states of the receipts say how the others end: it may be a route of the SMSC, or what is sent.", `#${esme.id}-receipts`);
  }
}

function sinceReceipt(esme, step) {
  const last = esme.samples.findLastIndex((sample) => sample.receipts > 0);
  return (esme.samples.length - 1 - last) * step;
}

function memory(model, sayOf) {
  for (const process of model.present) {
    for (const { name, used, bound } of process.status.memory ?? []) {
      if (bound > 0 && used >= bound * 0.85) {
        const title = `nearly all memory for ${name} in use`;
        sayOf(process, used >= bound * 0.97 ? "wrong" : "watch", [`has ${title}`, `have ${title}`], `${octets(used)} of ${octets(bound)} (${share(used / bound)}).`, [],
          "What comes then has to wait. Find what is not taken away (lag, Kafka, receipts), or raise the bound.", "#memory");
      }
    }
  }
  for (const process of model.present) {
    const restored = (process.status.correlation?.partitions ?? []).filter((partition) => !partition.live);
    if (restored.length) {
      sayOf(process, "watch", ["has not restored all of the correlation yet", "have not restored all of the correlation yet"], `${count(restored.length, "partition")} left.`, ["Receipts wait until then."],
        "It takes as long as `sms.correlation` is large. If it does not end, the last errors say why.", "#correlation");
    }
  }
}

function kafka(model, say, sayOf) {
  for (const process of model.present) {
    const { status } = process;
    const gone = (status.kafka?.clients ?? []).filter((client) => client.brokers_up === 0 && client.brokers_down > 0);
    if (gone.length) {
      sayOf(process, "wrong", ["cannot reach Kafka", "cannot reach Kafka"], `No broker is connected: ${gone.map((client) => client.name).join(", ")}.`, [],
        "`kafka-smpp check --connect` says why. Nothing is lost: what the SMSC delivers is held up to a bound, and then answered with a temporary error.", "#kafka", 3);
    }
    const missing = status.registry?.missing;
    if (missing > 0) {
      sayOf(process, "wrong", ["waits for schemas", "wait for schemas"], `${count(missing, "schema is", "schemas are")} missing, and records wait for ${missing === 1 ? "it" : "them"}.`, [], "Look whether the registry answers, and has the schemas.", "#processes");
    }
  }
  const postponed = grown(model, ({ deliveries }) => sum(["postponed", "no_room", "refused"], (name) => deliveries?.counts?.[name]));
  if (postponed) {
    say("watch", "Not everything that SMSCs deliver was taken", [`${count(postponed, "deliver_sm was", "deliver_sm were")} answered with an error in the last ${seconds(lately(model))}.`],
      "Kafka did not take it in time, or not at all. Some SMSCs do not offer it again: look at Kafka first.", "#kafka");
  }
  const aborted = grown(model, ({ transactions }) => sum(transactions ?? [], (one) => sum(Object.values(one.aborted ?? {}))));
  if (aborted > 2) {
    say("watch", `${count(aborted, "transaction was", "transactions were")} aborted`, [`In the last ${seconds(lately(model))}.`], "Nothing is lost by it, but it takes time. The causes stand below.", "#kafka");
  }
  const [found, lost] = ["correlated", "uncorrelated"].map((name) => grown(model, ({ correlation }) => correlation?.counts?.[name] || 0));
  if (lost > 10 && lost > (found + lost) * 0.2) {
    say("watch", "Receipts find no message", [`${number(lost)} of ${number(found + lost)} in the last ${seconds(lately(model))}.`],
      "Compare the ids, and the numbers, in responses and receipts: `esme.message_id`. Or receipts come to a bind of another ESME.", "#correlation");
  }
}

/** Errors of the log; they say themselves what to do. */
function lines(model, say) {
  const recent = problems(model).filter((one) => one.level === "error" && model.now - Date.parse(one.at) < 600_000);
  if (recent.length) {
    say("watch", `${count(recent.length, "error")} in the log in the last 10 min`, [`${recent[0].process.label}: ${recent[0].text}`, more(recent.length - 1, "line")],
      recent[0].about, "#problems");
  }
}

/** The last warnings and errors of all processes, newest first. */
export function problems(model) {
  return model.processes.flatMap((process) => (process.status.problems ?? []).map((one) => ({ ...one, process })))
    .sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
}
