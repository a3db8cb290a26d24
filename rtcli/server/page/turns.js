// How long each turn took: from the end of the question to the first word and to the first sound of the answer.
//
// Measured where the user is: the question ends when the microphone falls silent (or the text is sent), the answer
// begins when the loudspeaker has something to play. Good to about 20 ms, the time between two looks at the levels; a
// tab in the background looks once a second only.

const SPEECH = -45;
const SOUND = -55;

export class Turns extends EventTarget {
  #turn = null;
  #count = 0;
  #spokeAt = 0;

  // Every event of the call, both ways.
  event({ event, at }) {
    switch (event.type) {
      case "input_audio_buffer.speech_stopped":
        // The service waits for a silence before it says so; the question ended before that.
        this.#begin("voice", this.#spokeAt || at);
        break;
      case "conversation.item.create":
        if (event.item?.role === "user") this.#begin("text", at);
        break;
      case "response.created":
        if (this.#turn) this.#turn.response ??= event.response.id;
        break;
      case "output_audio_buffer.started":
        if (this.#isAnswer(event)) this.#turn.sounding = true;
        break;
      case "response.output_text.delta":
      case "response.output_audio_transcript.delta":
        if (this.#isAnswer(event)) this.#note("word", at);
        break;
    }
  }

  // Both levels in dB, as often as there are new ones.
  levels(microphone, speaker, at) {
    if (microphone > SPEECH) this.#spokeAt = at;
    // Before the service says that it began, what sounds is the answer before it.
    if (speaker > SOUND && this.#turn?.sounding) this.#note("sound", at);
  }

  // Of this turn, and not of one before it that is still heard.
  #isAnswer(event) {
    return this.#turn?.response !== undefined && this.#turn.response === event.response_id;
  }

  #begin(by, askedAt) {
    this.#count += 1;
    this.#turn = { number: this.#count, by, askedAt };
    this.#tell();
  }

  #note(name, at) {
    if (this.#turn[name]) return;
    this.#turn[name] = at;
    this.#tell();
  }

  // `word` and `sound`: milliseconds, or undefined as long as there is none.
  #tell() {
    const { number, by, askedAt, word, sound } = this.#turn;
    const detail = { number, by, word: word && word - askedAt, sound: sound && sound - askedAt };
    this.dispatchEvent(new CustomEvent("turn", { detail }));
  }
}

// Keeps one row of a table body for each turn, the latest on top.
export function showTurn(body, { number, by, word, sound }) {
  let row = body.rows[0];
  if (row?.dataset.number !== String(number)) {
    row = body.insertRow(0);
    row.dataset.number = number;
    for (let cell = 0; cell < 4; cell += 1) row.insertCell();
  }
  const shown = [number, by, ...[word, sound].map((ms) => (ms === undefined ? "–" : `${Math.round(ms)} ms`))];
  shown.forEach((text, cell) => { row.cells[cell].textContent = text; });
}
