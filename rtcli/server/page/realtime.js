// One Realtime API call over WebRTC: the offer goes out, sound and JSON events go both ways.
//
//   const call = new RealtimeCall();
//   call.addEventListener("event", ({ detail }) => console.log(detail.direction, detail.event.type));
//   call.addEventListener("sound", ({ detail }) => (audio.srcObject = detail));
//   call.addEventListener("closed", ({ detail }) => console.log(detail.problem));
//   await call.connect({ way: "session", callsUrl, track });      // a CallProblem says why not, and what to do
//   call.sendText("hello there!");
//   call.hangUp();

import { CallProblem, ofAnswer, ofFetch } from "./problems.js";

const CHANNEL_LIMIT = 15_000;
// A connection that wobbles often comes back by itself; one that is gone for longer does not.
const GRACE = 5_000;

export class RealtimeCall extends EventTarget {
  #peer = new RTCPeerConnection();
  // The client makes the channel, before the offer, under this label: the service listens to no other.
  #channel = this.#peer.createDataChannel("oai-events");
  #sender;
  #grace;
  #over = false;
  #answering = false;
  #sounding = false;
  #wanted = false;
  #asked = "";
  #count = 0;

  constructor() {
    super();
    this.#peer.addEventListener("track", ({ streams, track }) =>
      this.#tell("sound", streams[0] ?? new MediaStream([track])));
    this.#peer.addEventListener("connectionstatechange", () => this.#watch());
    this.#channel.addEventListener("message", ({ data }) => this.#receive(data));
    this.#channel.addEventListener("close", () => this.#end(new CallProblem("The other side ended the call.", "Call again.")));
  }

  // `way`: "session" (our server places the call) or "token" (it mints a key, and we place the call ourselves).
  // `track`: the microphone's, or null. Resolves when events can be sent; if that fails, "closed" says so too.
  async connect({ way, callsUrl, track }) {
    // Without a microphone we still want to hear: an offer that has no audio section gets no voice.
    const media = track ? this.#peer.addTransceiver(track) : this.#peer.addTransceiver("audio", { direction: "recvonly" });
    this.#sender = media.sender;
    try {
      // Not waiting for our ICE candidates: the service is reachable and finds ours from our first packet.
      await this.#peer.setLocalDescription();
      const place = way === "token" ? this.#placeWithToken(callsUrl) : this.#placeThroughServer();
      await this.#peer.setRemoteDescription({ type: "answer", sdp: await place });
      await this.#opened();
    } catch (error) {
      this.#end(error);
      throw error;
    }
  }

  // The server has the key and the session; we bring the offer alone.
  async #placeThroughServer() {
    return answered("/session", { "Content-Type": "application/sdp" }, this.#peer.localDescription.sdp);
  }

  // The server has the key and lends us one for this call. It may be good for one call only: never keep it.
  async #placeWithToken(callsUrl) {
    const minted = await fetchOrSay("/token");
    if (!minted.ok) throw await ofAnswer(minted);
    const { value } = await minted.json();
    const headers = { Authorization: `Bearer ${value}`, "Content-Type": "application/sdp" };
    return answered(callsUrl, headers, this.#peer.localDescription.sdp);
  }

  #opened() {
    return new Promise((resolve, reject) => {
      if (this.#channel.readyState === "open") resolve();
      const silent = new CallProblem("No media connection came up.", "UDP may be blocked here: try another network.");
      setTimeout(() => reject(silent), CHANNEL_LIMIT);
      this.#channel.addEventListener("open", () => resolve(), { once: true });
      this.addEventListener("closed", ({ detail }) => reject(detail.problem ?? silent), { once: true });
    });
  }

  send(event) {
    this.#channel.send(JSON.stringify(event));
    this.#tell("event", { direction: "out", event, at: performance.now() });
  }

  sendText(text) {
    const content = [{ type: "input_text", text }];
    this.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    // One response at a time: a second request while one is being made is refused.
    if (this.#answering) this.#wanted = true;
    else this.#ask();
  }

  // Stop what is being made, and what was made but is not heard yet.
  interrupt() {
    if (this.#answering) this.send({ type: "response.cancel" });
    if (this.#sounding) this.send({ type: "output_audio_buffer.clear" });
  }

  // Another microphone, or null for none: no new offer is needed for that.
  async use(track) {
    await this.#sender.replaceTrack(track);
  }

  getStats() {
    return this.#peer.getStats();
  }

  hangUp() {
    this.#end(null);
  }

  #ask() {
    this.#answering = true;
    this.#count += 1;
    this.#asked = `ask_${this.#count}`; // comes back in the error, if there is one
    this.send({ type: "response.create", event_id: this.#asked });
  }

  #receive(data) {
    const event = parsed(data);
    switch (event.type) {
      case "response.created":
        this.#answering = true;
        break;
      case "error":
        if (event.error?.event_id !== this.#asked) break;
        // A refused request is followed by no response that would end. If the service was quicker to begin one of its
        // own, ours is made again when that is done.
        this.#wanted = event.error.code === "conversation_already_has_active_response";
        this.#answering = this.#wanted;
        break;
      case "response.done":
        this.#answering = false;
        break;
      case "output_audio_buffer.started":
        this.#sounding = true;
        break;
      case "output_audio_buffer.stopped":
      case "output_audio_buffer.cleared":
        this.#sounding = false;
        break;
    }
    this.#tell("event", { direction: "in", event, at: performance.now() });
    if (event.type === "response.done" && this.#wanted) {
      this.#wanted = false;
      this.#ask();
    }
  }

  #watch() {
    clearTimeout(this.#grace);
    const lost = new CallProblem("The call was lost.", "Check the network and call again.");
    switch (this.#peer.connectionState) {
      case "disconnected":
        this.#grace = setTimeout(() => this.#end(lost), GRACE);
        break;
      case "failed":
        this.#end(lost);
        break;
    }
  }

  #end(problem) {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#grace);
    // The channel first: its end is the fastest sign of a hang-up for the other side.
    this.#channel.close();
    this.#peer.close();
    this.#tell("closed", { problem });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

async function answered(url, headers, offer) {
  const response = await fetchOrSay(url, { method: "POST", headers, body: offer });
  // An error's body is no SDP: given to setRemoteDescription it would hide what went wrong.
  if (!response.ok) throw await ofAnswer(response);
  const sdp = await response.text();
  if (!sdp.startsWith("v=0")) throw new CallProblem("The answer is not SDP.", "Is the base URL a Realtime API?");
  return sdp;
}

async function fetchOrSay(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    throw ofFetch(url, error);
  }
}

function parsed(data) {
  try {
    const event = JSON.parse(data);
    if (typeof event?.type === "string") return event;
  } catch {
    // Shown as what it is, below.
  }
  return { type: "(not an event)", data: String(data) };
}
