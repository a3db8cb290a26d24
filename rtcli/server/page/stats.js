// The connection's figures, once a second, and the last minute of two of them as a chart.

const HISTORY = 60;
// Of totalAudioEnergy (full scale squared times seconds): more than silence and its coding noise add up to.
const AUDIBLE = 1e-4;

export class Stats extends EventTarget {
  #timer;
  #last = null;

  // `call`: anything with `getStats()`.
  start(call) {
    this.stop();
    this.#last = null;
    this.#timer = setInterval(() => this.#look(call), 1_000);
  }

  stop() {
    clearInterval(this.#timer);
  }

  async #look(call) {
    const raw = figuresIn(await call.getStats());
    const detail = since(this.#last ?? raw, raw);
    this.#last = raw;
    this.dispatchEvent(new CustomEvent("figures", { detail }));
  }
}

// What is of interest in an RTCStatsReport, counters as they are.
function figuresIn(report) {
  const found = { at: performance.now() };
  for (const stat of report.values()) {
    if (stat.type === "inbound-rtp" && stat.kind === "audio") {
      found.received = stat.bytesReceived;
      found.packets = stat.packetsReceived;
      found.lost = stat.packetsLost;
      found.jitter = stat.jitter * 1000;
      found.delay = stat.jitterBufferDelay * 1000;
      found.emitted = stat.jitterBufferEmittedCount;
      found.energy = stat.totalAudioEnergy;
    } else if (stat.type === "outbound-rtp" && stat.kind === "audio") {
      found.sent = stat.bytesSent;
    } else if (stat.type === "candidate-pair" && stat.nominated && stat.state === "succeeded") {
      found.roundTrip = stat.currentRoundTripTime * 1000;
    }
  }
  return found;
}

// Milliseconds, kbit/s and counts. What can not be known yet is undefined.
function since(before, now) {
  const seconds = (now.at - before.at) / 1000;
  const kbits = (name) => (seconds && now[name] !== undefined ? ((now[name] - (before[name] ?? 0)) * 8) / 1000 / seconds : undefined);
  const played = now.emitted - before.emitted;
  return {
    roundTrip: now.roundTrip,
    jitter: now.jitter,
    playout: played > 0 ? (now.delay - before.delay) / played : undefined,
    lost: now.lost,
    packets: now.packets,
    in: kbits("received"),
    out: kbits("sent"),
    // Grows with every sound that is played.
    energy: now.energy,
  };
}

const SHOWN = [
  ["round trip", ({ roundTrip }) => ms(roundTrip)],
  ["playout delay", ({ playout }) => ms(playout)],
  ["jitter", ({ jitter }) => ms(jitter)],
  ["lost", ({ lost, packets }) => (packets ? `${lost} of ${packets + lost}` : "–")],
  ["in", (figures) => kbit(figures.in)],
  ["out", (figures) => kbit(figures.out)],
  ["heard", ({ energy }) => (energy === undefined ? "–" : energy > AUDIBLE ? "yes" : "nothing yet")],
];

// Fills a definition list.
export function showFigures(list, figures) {
  list.replaceChildren(...SHOWN.map(([name, value]) => {
    const pair = document.createElement("div");
    const term = document.createElement("dt");
    const definition = document.createElement("dd");
    term.textContent = name;
    definition.textContent = value(figures);
    pair.append(term, definition);
    return pair;
  }));
}

const ms = (value) => (value === undefined ? "–" : `${Math.round(value)} ms`);
const kbit = (value) => (value === undefined ? "–" : `${Math.round(value)} kbit/s`);

// Two lines over the last minute. Colours and letters are the page's own, so light and dark both fit.
export class Chart {
  #canvas;
  #history = [];

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  add(figures) {
    this.#history = [...this.#history, figures].slice(-HISTORY);
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    // A canvas has its own pixels: as many as the screen has, or it is blurred.
    this.#canvas.width = width * devicePixelRatio;
    this.#canvas.height = height * devicePixelRatio;
    const pen = this.#canvas.getContext("2d");
    pen.scale(devicePixelRatio, devicePixelRatio);
    const style = getComputedStyle(this.#canvas);
    pen.font = `12px ${style.fontFamily}`;
    const most = Math.max(100, ...this.#history.flatMap(({ roundTrip, playout }) => [roundTrip ?? 0, playout ?? 0]));
    this.#axis(pen, style, width, height, most);
    this.#line(pen, style.getPropertyValue("--you"), "roundTrip", width, height, most);
    this.#line(pen, style.getPropertyValue("--model"), "playout", width, height, most);
    this.#names(pen, style);
  }

  #axis(pen, style, width, height, most) {
    pen.strokeStyle = style.getPropertyValue("--edge");
    pen.fillStyle = style.getPropertyValue("--faint");
    pen.textAlign = "right";
    for (const part of [0, 0.5, 1]) {
      const y = Math.round(rows(height, part)) + 0.5;
      pen.beginPath();
      pen.moveTo(0, y);
      pen.lineTo(width, y);
      pen.stroke();
      if (part) pen.fillText(`${Math.round(most * part)} ms`, width - 4, y + 13);
    }
  }

  #line(pen, colour, name, width, height, most) {
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.beginPath();
    let drawing = false;
    this.#history.forEach((figures, index) => {
      const value = figures[name];
      if (value === undefined) return void (drawing = false);
      const x = width * (1 - (this.#history.length - 1 - index) / (HISTORY - 1));
      const y = rows(height, value / most);
      if (drawing) pen.lineTo(x, y);
      else pen.moveTo(x, y);
      drawing = true;
    });
    pen.stroke();
  }

  #names(pen, style) {
    pen.textAlign = "left";
    pen.fillStyle = style.getPropertyValue("--you");
    pen.fillText("round trip", 4, 16);
    pen.fillStyle = style.getPropertyValue("--model");
    pen.fillText("playout delay", 78, 16);
  }
}

// From the bottom line to the top one.
const rows = (height, part) => height - 2 - (height - 6) * part;
