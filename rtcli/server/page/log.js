// Every event of the call, both ways: a line each, its JSON when it is opened.

const MOST = 2_000;

export class EventLog {
  #list;
  #count;
  #entries = [];
  #shown = 0;
  #keep = () => true;
  #begun = performance.now();

  // `list` gets the lines, `count` says how many of how many are shown.
  constructor(list, count) {
    this.#list = list;
    this.#count = count;
  }

  add({ direction, event, at }) {
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    const entry = { direction, type: event.type, text: JSON.stringify(event), line: line(direction, event, at - this.#begun) };
    this.#entries.push(entry);
    entry.line.hidden = !this.#keep(entry);
    if (!entry.line.hidden) this.#shown += 1;
    this.#list.append(entry.line);
    if (this.#entries.length > MOST) this.#forget(this.#entries.shift());
    if (atEnd) this.#list.scrollTop = this.#list.scrollHeight;
    this.#tell();
  }

  // Show what holds these words, goes this way ("" for both), and, unless asked for, is no delta.
  filter({ words, direction, deltas }) {
    const wanted = words.toLowerCase();
    this.#keep = (entry) =>
      (deltas || !entry.type.endsWith(".delta")) &&
      (!direction || entry.direction === direction) &&
      entry.text.toLowerCase().includes(wanted);
    this.#shown = 0;
    for (const entry of this.#entries) {
      entry.line.hidden = !this.#keep(entry);
      if (!entry.line.hidden) this.#shown += 1;
    }
    this.#tell();
  }

  #forget(entry) {
    if (!entry.line.hidden) this.#shown -= 1;
    entry.line.remove();
  }

  #tell() {
    this.#count.textContent = `${this.#shown} of ${this.#entries.length}`;
  }
}

function line(direction, event, ms) {
  const details = document.createElement("details");
  details.className = event.type === "error" ? "error" : direction;
  const summary = document.createElement("summary");
  summary.append(span("time", (ms / 1000).toFixed(3)), span("arrow", direction === "in" ? "←" : "→"), event.type, span("gist", gist(event)));
  details.append(summary);
  // The JSON of thousands of closed lines would be thousands of elements that nobody looks at.
  details.addEventListener("toggle", () => {
    if (!details.open || details.querySelector("pre")) return;
    const pre = document.createElement("pre");
    pre.textContent = JSON.stringify(event, null, 2);
    details.append(pre);
  });
  return details;
}

// The words that matter, if there are any.
function gist(event) {
  const found = event.delta ?? event.transcript ?? event.text ?? event.error?.message ?? event.response?.status;
  return typeof found === "string" ? found : "";
}

function span(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}
