// What the processes of a deployment say, put together: what belongs to one ESME, what of it counts,
// and what has become of counters lately.

/** A process that has said nothing for so long is gone, or cut off (in milliseconds). */
const SILENT = 20_000;
/** How far back counters are compared (in milliseconds), and how often they are remembered. */
const BACK = 600_000;
const REMEMBERED_EVERY = 20_000;

const earlier = new Map();

/** What an object has under a name that comes from elsewhere. */
export const own = (object, name) => (object && Object.hasOwn(object, name) ? object[name] : undefined);

export const sum = (list, of = (value) => value) => list.reduce((all, one) => all + (of(one) || 0), 0);

/** Puts together what `/processes` and `/history` answered. `passed`: how long ago, in milliseconds. */
export function deployment(statuses, history, passed) {
  // The connector's clock, and not the reader's, says how old something is.
  const now = Date.parse(statuses[0]?.at) + passed;
  const hosts = statuses.map((status) => status.process?.host);
  const processes = statuses.map((status, at) => {
    const { host, name } = status.process ?? {};
    const twice = hosts.filter((other) => other === host).length > 1;
    const age = now - Date.parse(status.at);
    return {
      key: name ?? `${at}`,
      status,
      label: !host ? name || "a process" : twice ? `${host} (${name})` : host,
      here: at === 0,
      age,
      silent: age - passed > SILENT,
    };
  });
  // Of a process that is gone, another one has the partitions: to count both would be twice.
  const present = processes.filter((process) => !process.silent);
  remember(present, now);
  return { now, processes, present, esmes: esmes(present, history), history };
}

function esmes(processes, history) {
  const all = new Map();
  for (const process of processes) {
    for (const esme of process.status.esmes ?? []) {
      if (!all.has(esme.name)) all.set(esme.name, { name: esme.name, parts: [] });
      all.get(esme.name).parts.push({ process, esme });
    }
  }
  return [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map((one, index) => {
    const each = (of) => one.parts.flatMap(({ process, esme }) => (of(esme) ?? []).map((value) => ({ process, ...value })));
    const binds = each((esme) => esme.binds);
    const partitions = each((esme) => esme.partitions);
    const samples = own(history?.esmes, one.name) ?? [];
    const first = one.parts[0].esme;
    return {
      ...one,
      id: `esme-${index}`,
      index,
      binds,
      bound: binds.filter((bind) => bind.state === "bound"),
      // What operators closed need not be bound.
      wanted: binds.filter((bind) => !bind.drained),
      partitions,
      samples,
      last: samples.at(-1),
      topics: first.topics ?? [],
      contracted: first.rate?.contracted,
      here: sum(one.parts, ({ esme }) => esme.rate?.here),
      steering: steering(one.parts.map(({ esme }) => esme.steering ?? {})),
      responses: together(one.parts, (esme) => esme.responses),
      results: together(one.parts, (esme) => esme.results),
      receipts: together(one.parts, (esme) => esme.receipts),
      counts: together(one.parts, (esme) => esme.counts),
      lag: sum(partitions, (partition) => partition.lag),
      unfinished: sum(partitions, (partition) => partition.unfinished),
      window: {
        used: sum(binds, (bind) => bind.window?.used),
        allowed: sum(binds, (bind) => bind.window?.allowed),
      },
    };
  });
}

/** All processes honour the same orders; one may not have heard of the newest yet. */
function steering(all) {
  const paused = new Map();
  for (const one of all.flatMap((each) => each.paused ?? [])) paused.set(`${one.what ?? ""} ${one.unbound}`, one);
  const of = (name) => all.map((each) => each[name]).find((value) => value !== undefined && value !== null);
  return { paused: [...paused.values()], maintenance: of("maintenance"), max_tps: of("max_tps"), window: of("window") };
}

/** Counters of all parts by name, added up. */
function together(parts, of) {
  const all = counters();
  for (const { esme } of parts) add(all, of(esme));
  return all;
}

/** Counters by name. Names come from elsewhere: none of them may mean something to an object. */
export const counters = () => Object.create(null);

export function add(all, more) {
  for (const [name, many] of Object.entries(more ?? {})) all[name] = (all[name] ?? 0) + many;
}

// What was counted earlier, of each process: the page compares with the oldest of it.
function remember(processes, now) {
  for (const key of earlier.keys()) if (!processes.some((process) => process.key === key)) earlier.delete(key);
  for (const { key, status } of processes) {
    const list = earlier.get(key) ?? [];
    earlier.set(key, list);
    if (!list.length || now - list.at(-1).now >= REMEMBERED_EVERY) list.push({ now, status: counted(status) });
    while (now - list[0].now > BACK) list.shift();
  }
}

/** What is counted of a process and compared later, and no more: all of it, thirty times, would be much. */
function counted({ esmes, deliveries, transactions, correlation }) {
  return {
    esmes: esmes?.map(({ name, results, binds }) => ({ name, results, binds: binds?.map(({ counts }) => ({ counts: { in_doubt: counts?.in_doubt } })) })),
    deliveries,
    transactions: transactions?.map(({ aborted }) => ({ aborted })),
    correlation: { counts: correlation?.counts },
  };
}

/** By how much something has grown lately. `of` reads it from what one process says. */
export function grown(model, of) {
  return sum(model.present, ({ key, status }) => Math.max(0, of(status) - of(earlier.get(key)[0].status)));
}

/** How long "lately" is, in seconds. */
export function lately(model) {
  return Math.max(0, ...model.present.map(({ key }) => model.now - earlier.get(key)[0].now)) / 1000;
}

/** One ESME in what a process says. */
export const esmeIn = (status, name) => status.esmes?.find((esme) => esme.name === name);

/** The mean of the last `many` samples. */
export function mean(samples, many, of) {
  const last = samples.slice(-many);
  return last.length ? sum(last, of) / last.length : 0;
}

/** By how much lag grows, per second; negative where it falls. `undefined` if that is not known yet. */
export function lagGrowth(esme, step) {
  const samples = esme.samples.slice(-13);
  if (samples.length < 4) return undefined;
  return (samples.at(-1).lag - samples[0].lag) / ((samples.length - 1) * step);
}

/** How long until nothing waits any more, in seconds: what is there now, at the pace of the last minute. */
export function drains(esme) {
  const pace = mean(esme.samples, 6, (sample) => sample.results);
  return pace > 0 ? esme.lag / pace : Infinity;
}

/** Which share of the final receipts says DELIVERED, and how many there were, in `samples`. */
export function delivered(samples, step) {
  const receipts = sum(samples, (sample) => sample.receipts);
  const good = sum(samples, (sample) => sample.receipts * (sample.delivered ?? 0));
  return { share: receipts > 0 ? good / receipts : NaN, receipts: receipts * step };
}

/** Whether the maintenance of an ESME is on. */
export function inMaintenance(esme, now) {
  const agreed = esme.steering.maintenance;
  return Boolean(agreed) && Date.parse(agreed.from) <= now && now < Date.parse(agreed.until);
}

/** In how many seconds `part` (0 to 1) of what a histogram has was over, evenly within a bucket. */
export function quantile(histogram, part) {
  const counts = histogram?.counts ?? [];
  const wanted = part * sum(counts);
  let [below, lower] = [0, 0];
  for (const [at, many] of counts.entries()) {
    const upper = histogram.le[at];
    if (many > 0 && below + many >= wanted) {
      return upper === undefined ? lower : lower + (upper - lower) * ((wanted - below) / many);
    }
    below += many;
    lower = upper ?? lower;
  }
  return NaN;
}
