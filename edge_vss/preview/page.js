"use strict";
const STATS_MS = 400, RETRY_MS = 1500, STALE_MS = 2000;
const at = (id) => document.getElementById(id);
const state = { view: "overlay", output: null, stats: null, pictureUrl: null, pointed: null };
// The token is in a cookie by now; it need not stand in the address bar and the history.
if (location.search) history.replaceState(null, "", location.pathname);

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}
const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const milliseconds = (value) => number(value, value !== null && value < 10 ? 2 : 1);
const count = (value) => value.toLocaleString("en").replaceAll(",", "\u202f");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function put(id, value, unit) {
  at(id).replaceChildren(value, ...(unit && value !== "–" ? [make("u", "", unit)] : []));
}

function pairs(id, entries, none) {
  const rows = entries.map(([name, value]) => {
    const row = make("li");
    row.append(make("span", "", name), make("span", "", value));
    return row;
  });
  at(id).replaceChildren(...(rows.length ? rows : [make("li", "empty", none)]));
}

function pill(kind, text) {
  at("state").className = `pill ${kind}`;
  at("state").textContent = text;
}

// ---- the picture: one request at a time, so that a slow viewer asks for fewer ----------------------------------

async function shownPicture(response) {
  const url = URL.createObjectURL(await response.blob());
  const picture = at("picture");
  picture.src = url;
  await picture.decode();
  if (state.pictureUrl) URL.revokeObjectURL(state.pictureUrl);
  state.pictureUrl = url;
  picture.hidden = false;
  at("blank").hidden = true;
  picture.dataset.sequence = response.headers.get("X-Frame-Sequence");
  at("caption").textContent = `frame ${count(Number(picture.dataset.sequence))}`;
}

async function watch() {
  for (;;) {
    if (document.hidden) { await sleep(300); continue; }
    const query = new URLSearchParams({ view: state.view });
    if (state.output) query.set("output", state.output);
    try {
      const response = await fetch(`frame.jpg?${query}`, { cache: "no-store" });
      if (response.ok) await shownPicture(response);
      else {
        if (response.status === 503) at("blank").textContent = (await response.text()).trim();
        await sleep(RETRY_MS);
      }
    } catch { await sleep(RETRY_MS); }
  }
}

// ---- the figures ------------------------------------------------------------------------------------------------

async function ask() {
  for (;;) {
    if (document.hidden) { await sleep(300); continue; }
    let pause = STATS_MS;
    try {
      const response = await fetch("stats.json", { cache: "no-store" });
      if (response.ok) draw(await response.json());
      else if (response.status === 403) { pill("gone", "token refused"); pause = RETRY_MS; }
      else { pill("late", "busy"); pause = RETRY_MS; }
    } catch { pill("gone", "the run has ended"); pause = RETRY_MS; }
    await sleep(pause);
  }
}

function draw(stats) {
  state.stats = stats;
  document.title = `${stats.bundle} – edge-vss`;
  at("bundle").textContent = stats.bundle;
  at("facts").textContent =
    `${stats.schedule} · ${stats.backend} ${stats.backend_version} · ${stats.precision} · ` +
    `${stats.threads} thread${stats.threads === 1 ? "" : "s"}`;
  const since = stats.since_frame_ms;
  if (since === null) pill("", "waiting for a frame");
  else if (since > STALE_MS) pill("late", `no frame for ${number(since / 1000, 0)} s`);
  else pill("live", "live");
  const latency = stats.latency_ms;
  put("fps", number(stats.fps_now ?? stats.fps));
  at("fps-sub").textContent = stats.frames ? `mean ${number(stats.fps)}` : "";
  put("p50", milliseconds(latency.p50), "ms");
  at("p50-sub").textContent = latency.mean === null ? "" : `mean ${milliseconds(latency.mean)}`;
  put("p99", milliseconds(latency.p99), "ms");
  at("p99-sub").textContent = latency.max === null ? "" : `max ${milliseconds(latency.max)}`;
  put("age", String(stats.age_frames.now), stats.age_frames.now === 1 ? "frame" : "frames");
  at("age-sub").textContent = `mean ${number(stats.age_frames.mean, 2)}, max ${stats.age_frames.max}`;
  drawStages(stats);
  drawLadder(stats);
  drawChart();
  drawPower(stats.power);
  pairs("dropped", Object.entries(stats.dropped).map(([why, n]) => [why, count(n)]), "none");
  pairs("flags", Object.entries(stats.flags).map(([flag, n]) =>
    [stats.flags_now.some((now) => now.split(":")[0] === flag) ? `${flag} (now)` : flag, count(n)]), "none");
  at("why").hidden = Object.keys(stats.reasons).length === 0;
  pairs("reasons", Object.entries(stats.reasons).map(([flag, last]) =>
    [flag, `${last.why} (frame ${count(last.sequence)})`]), "");
  drawLegend(stats.outputs);
  const viewers = stats.preview.connections;
  at("foot").textContent = `${count(stats.frames)} frames labelled · ${viewers} connection${viewers === 1 ? "" : "s"}`;
}

function drawStages(stats) {
  const rows = Object.entries(stats.stages).map(([name, stage]) => {
    const row = make("li");
    const lamp = make("span", stage.fired_now ? "lamp on" : "lamp");
    lamp.title = stage.fired_now ? "fired in the newest frame" : "rested in the newest frame";
    const age = stage.age_frames < 0 ? "not yet" : `age ${stage.age_frames}`;
    const share = stats.frames ? `${number((100 * stage.fired) / stats.frames, 0)} %` : "–";
    row.append(lamp, make("span", "name", name), make("span", "", `${milliseconds(stage.p50_ms)} ms`),
      make("span", "", share), make("span", "", age));
    return row;
  });
  at("stages").replaceChildren(...rows);
}

// Which schedule is played: under a deadline the rung of the ladder that the governor takes.
function drawLadder(stats) {
  const played = stats.recent.schedule, shares = new Map();
  for (const name of played) shares.set(name, (shares.get(name) ?? 0) + 1);
  at("schedule").textContent = stats.schedule_now === null ? "" : `schedule ${stats.schedule_now}`;
  at("ladder").hidden = shares.size < 2 && !(played.length && stats.schedule_now !== stats.schedule);
  at("ladder").textContent = `of the newest ${played.length} frames: ` + [...shares].sort((a, b) => b[1] - a[1])
    .map(([name, n]) => `${name} ${number((100 * n) / played.length, 0)} %`).join(", ");
}

function drawLegend(outputs) {
  const names = Object.keys(outputs);
  if (state.output === null || !names.includes(state.output)) {
    state.output = names[0];
    at("outputs").hidden = names.length < 2;
    at("output").replaceChildren(...names.map((name) => new Option(name, name)));
  }
  at("legend").replaceChildren(...outputs[state.output].map((entry) => {
    const row = make("li", entry.share === 0 ? "none" : "");
    const chip = make("i");
    chip.style.background = `rgb(${entry.colour.join(" ")})`;
    const share = entry.share === null ? "" : `${number(100 * entry.share, entry.share < 0.1 ? 1 : 0)} %`;
    row.append(chip, make("span", "name", entry.name), make("span", "share", share));
    return row;
  }));
}

function drawPower(power) {
  at("power").hidden = !power.available;
  if (!power.available) {
    at("power-sub").textContent = "";
    pairs("rails", [], "not available");
    return;
  }
  at("power-sub").textContent = power.label;
  put("watts", number(power.total_w, 2), "W");
  pairs("rails", Object.entries(power.rails_w).map(([rail, w]) => [rail, w === null ? "–" : `${number(w, 2)} W`]), "");
  const known = power.recent_w.filter((value) => value !== null);
  const { pen, width, height } = canvas("spark");
  if (known.length < 2) return;
  const low = Math.min(...known), high = Math.max(...known, low + 0.1);
  pen.strokeStyle = colour("--accent");
  pen.lineWidth = 1.6;
  pen.beginPath();
  known.forEach((value, place) => pen.lineTo(
    (place / (known.length - 1)) * width, height - 3 - ((value - low) / (high - low)) * (height - 6)));
  pen.stroke();
}

// ---- charts -----------------------------------------------------------------------------------------------------

function canvas(id) {
  const element = at(id), scale = window.devicePixelRatio || 1;
  const width = element.clientWidth, height = element.clientHeight;
  if (element.width !== Math.round(width * scale) || element.height !== Math.round(height * scale)) {
    element.width = Math.round(width * scale);
    element.height = Math.round(height * scale);
  }
  const pen = element.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

// A round number at or above the value.
function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1e-3)));
  return unit * [1, 1.5, 2, 3, 4, 5, 7.5, 10].find((step) => step * unit >= value - 1e-9);
}

const LEFT = 52, RIGHT = 30, ROW = 14, BAR = 2.5;

// Where things stand in the chart: the newest frames that have room, a bar each.
function layout() {
  const width = at("chart").clientWidth, room = width - LEFT - RIGHT;
  const slots = Math.min(300, Math.max(1, Math.floor(room / BAR)));
  const length = state.stats.recent.sequence.length;
  return { width, step: room / slots, first: Math.max(0, length - slots), shift: Math.max(0, slots - length), length };
}

function drawChart() {
  const stats = state.stats, stages = Object.keys(stats.stages);
  at("chart").style.height = `${150 + stages.length * ROW}px`;
  const { pen, height } = canvas("chart"), { width, step, first, shift, length } = layout();
  at("chart-sub").textContent = length ? `newest ${length - first} frames, ms` : "";
  if (!length) return;
  const right = width - RIGHT, bottom = height - stages.length * ROW - 8;
  const latency = stats.recent.latency_ms.slice(first), fired = stats.recent.fired.slice(first);
  // One slow frame does not flatten all others: what is higher than the chart gets a cap.
  const top = roundUp(Math.min(Math.max(...latency), stats.latency_ms.p99 * 1.5) * 1.05);
  const y = (ms) => bottom - (Math.min(ms, top) / top) * (bottom - 10);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const share of [0, 0.5, 1]) {
    pen.fillStyle = colour("--line");
    pen.fillRect(LEFT, Math.round(y(top * share)), right - LEFT, 1);
    pen.fillStyle = colour("--dim");
    pen.fillText(String(Number((top * share).toPrecision(3))), LEFT - 6, y(top * share));
  }
  const most = Math.max(...fired.map((of) => of.length)), thick = Math.max(step - 0.7, 0.7);
  const [accent, quiet, warn, lamp, dim] = ["--accent", "--quiet", "--warn", "--lamp", "--dim"].map(colour);
  latency.forEach((ms, place) => {
    const x = LEFT + (shift + place) * step;
    pen.fillStyle = first + place === state.pointed ? warn : fired[place].length === most ? accent : quiet;
    pen.fillRect(x, y(ms), thick, bottom - y(ms));
    if (ms > top) {
      pen.fillStyle = warn;
      pen.fillRect(x - 1, y(ms) - 4, thick + 2, 3);
    }
    pen.fillStyle = lamp;
    for (const stage of fired[place]) pen.fillRect(x, bottom + 8 + stage * ROW, thick, ROW - 5);
  });
  pen.fillStyle = dim;
  stages.forEach((name, place) => {
    const short = name.length > 7 ? `${name.slice(0, 6)}…` : name;
    pen.fillText(short, LEFT - 6, bottom + 8 + place * ROW + (ROW - 5) / 2);
  });
  pen.textAlign = "left";
  for (const [name, kind] of [["p99", "--bad"], ["p50", "--text"]]) {
    const line = y(stats.latency_ms[name]);
    pen.strokeStyle = pen.fillStyle = colour(kind);
    pen.setLineDash([4, 3]);
    pen.beginPath();
    pen.moveTo(LEFT, line);
    pen.lineTo(right, line);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillText(name, right + 5, line);
  }
  tellPointed();
}

function tellPointed() {
  const { recent, stages } = state.stats, place = state.pointed;
  if (place === null || place >= recent.sequence.length) {
    at("reading").textContent = "";
    return;
  }
  const fired = recent.fired[place].map((stage) => Object.keys(stages)[stage]);
  at("reading").textContent = `frame ${count(recent.sequence[place])}: ${milliseconds(recent.latency_ms[place])} ms, ` +
    (fired.length ? `fired ${fired.join(", ")}` : "nothing fired") + `, schedule ${recent.schedule[place]}`;
}

at("chart").addEventListener("pointermove", (event) => {
  if (!state.stats) return;
  const { step, first, shift, length } = layout();
  const slot = Math.floor((event.clientX - event.target.getBoundingClientRect().left - LEFT) / step);
  state.pointed = slot >= shift && first + slot - shift < length ? first + slot - shift : null;
  drawChart();
});
at("chart").addEventListener("pointerleave", () => { state.pointed = null; if (state.stats) drawChart(); });
at("views").addEventListener("click", (event) => {
  if (!event.target.value) return;
  state.view = event.target.value;
  for (const button of at("views").children) button.setAttribute("aria-pressed", String(button.value === state.view));
});
at("output").addEventListener("change", (event) => { state.output = event.target.value; });
window.addEventListener("resize", () => { if (state.stats) { drawChart(); drawPower(state.stats.power); } });
watch();
ask();
