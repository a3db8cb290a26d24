// The conversation in words: a line an item, in the order the service keeps, whatever order its words come in.
//
// What was heard is often written down after the answer has begun, so a line is made as soon as its item exists.

export class Transcript {
  #list;
  #lines = new Map();

  constructor(list) {
    this.#list = list;
  }

  clear() {
    this.#lines.clear();
    this.#list.replaceChildren();
  }

  event({ direction, event }) {
    if (direction !== "in") return;
    switch (event.type) {
      case "conversation.item.added":
        this.#add(event.item, event.previous_item_id);
        break;
      case "conversation.item.input_audio_transcription.delta":
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta":
        this.#grow(event.item_id, event.delta);
        break;
      case "conversation.item.input_audio_transcription.completed":
      case "response.output_audio_transcript.done":
        this.#settle(event.item_id, event.transcript);
        break;
      case "response.output_text.done":
        this.#settle(event.item_id, event.text);
        break;
      case "conversation.item.input_audio_transcription.failed":
        this.#settle(event.item_id, "(could not be written down)");
        break;
      case "response.done":
        if (event.response.status !== "completed") this.#mark(event.response);
        break;
    }
  }

  #add(item, previous) {
    if (item.type !== "message" || item.role === "system" || this.#lines.has(item.id)) return;
    const line = document.createElement("li");
    line.className = item.role === "user" ? "you" : "model";
    line.append(labelled("b", item.role === "user" ? "you" : "model"), labelled("span", textOf(item)));
    const before = this.#lines.get(previous);
    if (before) before.after(line);
    else this.#list.append(line);
    this.#lines.set(item.id, line);
    this.#follow();
  }

  #grow(id, delta) {
    this.#lines.get(id)?.lastChild.append(delta);
    this.#follow();
  }

  #settle(id, text) {
    const line = this.#lines.get(id);
    if (line) line.lastChild.textContent = text;
    this.#follow();
  }

  #mark(response) {
    for (const item of response.output ?? []) this.#lines.get(item.id)?.classList.add("cut");
  }

  #follow() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }
}

function textOf(item) {
  return (item.content ?? []).map((part) => part.text ?? part.transcript ?? "").join(" ");
}

// Whatever a model or a user said is text, never markup.
function labelled(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
