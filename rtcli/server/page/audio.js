// Microphones, loudspeakers, and how loud they are.

import { CallProblem, ofMicrophone } from "./problems.js";

export const QUIET = -60;

// The microphone's track. Throws a CallProblem.
export async function openMicrophone(deviceId) {
  if (!navigator.mediaDevices) {
    throw new CallProblem("Browsers give a microphone to https and localhost only.", "Open the page there, or type.");
  }
  try {
    // Echo cancellation is what keeps the model from hearing, and answering, itself.
    const wanted = { deviceId: deviceId ? { exact: deviceId } : undefined, echoCancellation: true, noiseSuppression: true };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    return stream.getAudioTracks()[0];
  } catch (error) {
    throw ofMicrophone(error);
  }
}

// `kind`: "audioinput" or "audiooutput". Names are empty until a microphone was allowed once.
export async function devices(kind) {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all.filter((device) => device.kind === kind);
}

// Tells how loud a stream is, in dB of full scale (RMS over the last 21 ms at 48 kHz).
export class Meter {
  #analyser;
  #source;
  #samples;

  constructor(context, stream) {
    this.#analyser = new AnalyserNode(context, { fftSize: 1024 });
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#source = context.createMediaStreamSource(stream);
    this.#source.connect(this.#analyser);
  }

  level() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length;
    return Math.max(QUIET, 10 * Math.log10(power || Number.MIN_VALUE));
  }

  close() {
    this.#source.disconnect();
  }
}

// Draws a level on an element with `role="meter"`.
export function showLevel(element, level) {
  element.style.setProperty("--level", (level - QUIET) / -QUIET);
  element.setAttribute("aria-valuenow", Math.round(level));
}
