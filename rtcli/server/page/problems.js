// What went wrong, in one line with what to do about it.

export class CallProblem extends Error {
  constructor(fact, advice) {
    super(`${fact} ${advice}`);
  }
}

// An answer of our server or of the service that is no success.
export async function ofAnswer(response) {
  const { message, code } = await errorIn(response);
  const fact = `${response.status}: ${message}`;
  if (code === "secret_required") return new CallProblem("This server needs its secret.", "Open the link that it printed.");
  if (code === "upstream_failed") return new CallProblem(`The service can not be reached: ${message}.`, "Check the network of the server.");
  if (code === "insufficient_quota") return new CallProblem(fact, "Add credit to the account.");
  if (response.status === 401) return new CallProblem(fact, "Check the API key of the server.");
  if (response.status === 429) return new CallProblem(fact, `Try again in ${response.headers.get("Retry-After") ?? "a few"} s.`);
  if (response.status >= 500) return new CallProblem(fact, "Try again later.");
  return new CallProblem(fact, "See the log of the server.");
}

// No answer at all. Browsers do not tell a page why.
export function ofFetch(url, error) {
  const { origin } = new URL(url, location.href);
  if (origin === location.origin) return new CallProblem("The server of this page does not answer.", "Is it still running?");
  return new CallProblem(`${origin} does not answer (${error.message}).`, "Check the network, or connect by POST /session.");
}

// getUserMedia and its kin. The call goes on by typing.
export function ofMicrophone(error) {
  switch (error.name) {
    case "NotAllowedError":
      return new CallProblem("The microphone is not allowed.", "Allow it beside the address, or type.");
    case "NotFoundError":
    case "OverconstrainedError":
      return new CallProblem("There is no microphone.", "Connect one, or type.");
    case "NotReadableError":
      return new CallProblem("The microphone is in use elsewhere.", "Close the other program, or type.");
    default:
      return new CallProblem(`No microphone: ${error.message}.`, "Type instead.");
  }
}

async function errorIn(response) {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text);
    return { message: error.message ?? error, code: error.code };
  } catch {
    return { message: text.slice(0, 200) || response.statusText, code: null };
  }
}
