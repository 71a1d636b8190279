// Questions to the API. Whatever goes wrong is a Refusal, whose message is for the reader.

const LOST = "UNAUTHENTICATED";
const ANSWER_MS = 30_000; // longer than the service takes for anything but files

/** `code`: the API's, or UNREACHABLE. `status`: HTTP's, 0 where nothing answered. `data`: what came beside the error. */
export class Refusal extends Error {
  constructor(code, message, status, data = null) {
    super(sentence(message));
    Object.assign(this, { code, status, data });
  }

  /** Whether the same question may be answered later. */
  get isPassing() {
    return ["UNREACHABLE", "UNAVAILABLE", "INTERNAL_SERVER_ERROR"].includes(this.code);
  }
}

let isOver = async () => true;

/** Have `listener()` called when the API says that nobody is signed in. It answers whether that is so: some renew. */
export function onLostSession(listener) {
  isOver = listener;
}

/** The data that answers a GraphQL operation. Throws Refusal; AbortError where `signal` ends it. */
export async function ask(query, variables = {}, { signal } = {}) {
  try {
    return await askOnce(query, variables, signal);
  } catch (error) {
    if (error.code !== LOST || (await isOver())) throw error;
    return askOnce(query, variables, signal);
  }
}

async function askOnce(query, variables, signal) {
  const response = await send("/api/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query, variables }),
    signal: inTime(signal),
  });
  const answer = await read(response);
  const [error] = answer?.errors ?? [];
  if (!error && answer?.data) return answer.data;
  throw new Refusal(
    error?.extensions?.code ?? unnamed(response.status),
    error?.message ?? `The service answered with status ${response.status}.`,
    response.status,
    answer?.data ?? null,
  );
}

/** What a response of a download's address refuses, as a Refusal. */
export async function refused(response) {
  const { code, message } = (await read(response))?.error ?? {};
  const words = message ?? `The service answered with status ${response.status}.`;
  return new Refusal(code ?? unnamed(response.status), words, response.status);
}

/** As `send`, and once more where the session had to be renewed first. */
export async function sendSigned(url, options) {
  const response = await send(url, options);
  if (response.status !== 401 || (await isOver())) return response;
  return send(url, options);
}

/** A signal that ends a request which nothing answers, and that `signal` ends. */
export function inTime(signal) {
  const late = AbortSignal.timeout(ANSWER_MS);
  return signal ? AbortSignal.any([signal, late]) : late;
}

/** The response to a request of our own. Throws Refusal where nothing answers. */
export async function send(url, options) {
  try {
    return await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreached(error);
  }
}

/** The JSON in a response, null where there is none. */
export async function read(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TimeoutError") throw unreached(error);
    return null;
  }
}

function unreached({ name }) {
  const words = name === "TimeoutError" ? "The service does not answer." : "The service cannot be reached.";
  return new Refusal("UNREACHABLE", words, 0);
}

/** The API's messages begin small, and end without a full stop. A name at the beginning stays as it is. */
function sentence(message) {
  const begun = /^[a-z]+ /.test(message) ? message[0].toUpperCase() + message.slice(1) : message;
  return /[.!?:…]$/.test(begun) ? begun : `${begun}.`;
}

function unnamed(status) {
  if (status === 401) return LOST;
  return status >= 500 ? "UNAVAILABLE" : "BAD_USER_INPUT";
}
