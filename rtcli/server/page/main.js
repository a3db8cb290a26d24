// The page: what the user does goes to the call, what the call says goes to the screen.

import { Meter, QUIET, devices, openMicrophone, showLevel } from "./audio.js";
import { EventLog } from "./log.js";
import { CallProblem, ofAnswer, ofFetch } from "./problems.js";
import { RealtimeCall } from "./realtime.js";
import { Chart, Stats, showFigures } from "./stats.js";
import { Transcript } from "./transcript.js";
import { Turns, showTurn } from "./turns.js";

const LOOK_EVERY = 20;

const $ = (id) => document.getElementById(id);
const transcript = new Transcript($("transcript"));
const log = new EventLog($("events"), $("count"));
const chart = new Chart($("chart"));
const stats = new Stats();

let config = null;
let live = null; // what belongs to the call that is up: { call, track, context, meters, turns, timer }

// ---- the server behind the page ----

async function readConfig() {
  try {
    const answer = await fetch("/config");
    if (!answer.ok) throw await ofAnswer(answer);
    config = await answer.json();
  } catch (error) {
    return tell(error instanceof CallProblem ? error : ofFetch("/config", error));
  }
  const { host } = new URL(config.calls_url, location.href);
  $("service").textContent = [host, config.session.model].filter(Boolean).join(" · ");
  $("session").textContent = JSON.stringify(config.session, null, 2);
  for (const radio of document.querySelectorAll("[name=way]")) radio.disabled = !config.ways.includes(radio.value);
}

// ---- the call ----

async function begin() {
  show("connecting");
  tell(null);
  transcript.clear();
  $("turns").replaceChildren();
  const call = new RealtimeCall();
  const turns = new Turns();
  // Made here, in the click: a browser lets no page make a sound before its user did something.
  const context = new AudioContext();
  live = { call, turns, context, meters: {}, track: null };
  live.timer = setInterval(look, LOOK_EVERY);

  call.addEventListener("event", ({ detail }) => {
    log.add(detail);
    transcript.event(detail);
    turns.event(detail);
    if (detail.event.type === "error") tell(new CallProblem(detail.event.error?.message ?? "An error.", "See the events."));
  });
  call.addEventListener("sound", ({ detail }) => {
    $("voice").srcObject = detail;
    if (live?.call === call) live.meters.speaker = new Meter(context, detail);
  });
  call.addEventListener("closed", ({ detail }) => live?.call === call && end(detail.problem));
  turns.addEventListener("turn", ({ detail }) => showTurn($("turns"), detail));

  const track = await microphone();
  // Whoever is asked for the microphone may hang up instead.
  if (live?.call !== call) return track?.stop();
  listenTo(track);
  try {
    const way = document.querySelector("[name=way]:checked").value;
    await call.connect({ way, callsUrl: config?.calls_url, track });
  } catch {
    return; // "closed" told why
  }
  stats.start(call);
  show("live");
  $("text").focus();
}

function listenTo(track) {
  live.meters.microphone?.close();
  live.meters.microphone = track ? new Meter(live.context, new MediaStream([track])) : undefined;
  live.track = track;
}

// The chosen one, or null: a call without a microphone is one of typing.
async function microphone() {
  if ($("microphone").value === "none") return null;
  try {
    const track = await openMicrophone($("microphone").value);
    await listDevices(); // now that one is allowed they have names
    return track;
  } catch (problem) {
    tell(problem);
    return null;
  }
}

function end(problem) {
  if (!live) return;
  const { call, track, context, timer } = live;
  live = null;
  clearInterval(timer);
  stats.stop();
  call.hangUp();
  track?.stop(); // or the browser goes on showing that it listens
  context.close();
  showLevel($("microphone-level"), QUIET);
  showLevel($("speaker-level"), QUIET);
  if (problem) tell(problem);
  show("idle");
}

function look() {
  const { meters, turns, track } = live;
  const heard = track?.enabled ? meters.microphone?.level() ?? QUIET : QUIET;
  const played = meters.speaker?.level() ?? QUIET;
  showLevel($("microphone-level"), heard);
  showLevel($("speaker-level"), played);
  turns.levels(heard, played, performance.now());
}

// ---- the screen ----

function show(state) {
  const up = state === "live";
  $("state").textContent = state;
  $("state").dataset.state = state;
  $("call").textContent = state === "idle" ? "Call" : "Hang up";
  $("call").classList.toggle("primary", state === "idle");
  for (const element of [$("interrupt"), $("text"), $("typing").querySelector("button")]) element.disabled = !up;
  $("mute").disabled = !(up && live.track);
  $("ways").disabled = state !== "idle";
  if (!up) mute(false);
}

function tell(problem) {
  $("problem").hidden = !problem;
  $("problem").textContent = problem?.message ?? "";
}

// A muted track sends silence: the stream goes on, and the service hears that nobody speaks.
function mute(on) {
  if (live?.track) live.track.enabled = !on;
  $("mute").setAttribute("aria-pressed", on);
}

async function listDevices() {
  fill($("microphone"), await devices("audioinput"), "Default microphone", ["none", "None (type)"]);
  fill($("speaker"), await devices("audiooutput"), "Default loudspeaker");
  $("speaker").disabled = !$("voice").setSinkId; // not every browser lets a page choose
}

function fill(select, found, fallback, ...more) {
  const chosen = select.value;
  const named = found.filter(({ deviceId }) => deviceId && deviceId !== "default").map(({ deviceId, label }) => [deviceId, label]);
  select.replaceChildren(...[["", fallback], ...named, ...more].map(([value, label]) => new Option(label, value)));
  select.value = [...select.options].some(({ value }) => value === chosen) ? chosen : "";
}

// ---- what the user does ----

$("call").addEventListener("click", () => (live ? end(null) : begin()));
$("mute").addEventListener("click", () => mute($("mute").getAttribute("aria-pressed") !== "true"));
$("interrupt").addEventListener("click", () => live?.call.interrupt());
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape") live?.call.interrupt();
});

$("typing").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const text = $("text").value.trim();
  if (!text || !live) return;
  live.call.sendText(text);
  $("text").value = "";
});

$("microphone").addEventListener("change", async () => {
  if (!live) return;
  const { call } = live;
  const muted = $("mute").getAttribute("aria-pressed") === "true";
  live.track?.stop();
  const track = await microphone();
  if (live?.call !== call) return track?.stop();
  listenTo(track);
  await call.use(track);
  $("mute").disabled = !track;
  mute(muted);
});

$("speaker").addEventListener("change", () => {
  $("voice").setSinkId($("speaker").value).catch((error) => tell(new CallProblem(`This loudspeaker can not be used: ${error.message}.`, "Choose another.")));
});
navigator.mediaDevices?.addEventListener("devicechange", listDevices);

for (const id of ["filter", "direction", "deltas"]) $(id).addEventListener("input", filter);
function filter() {
  log.filter({ words: $("filter").value, direction: $("direction").value, deltas: $("deltas").checked });
}

stats.addEventListener("figures", ({ detail }) => {
  showFigures($("figures"), detail);
  chart.add(detail);
});

filter();
listDevices();
readConfig();
