// Requests to the API. Every failure is thrown as an ApiError.

import { ApiError, hasCode, isAbort } from "./errors.js";

const UNAUTHENTICATED = "UNAUTHENTICATED";
const TIMEOUT_MS = 30_000; // longer than any response but a file takes

/** @type {() => Promise<boolean>} */
let isSessionLost = async () => true;

/**
 * Set the function that is called when the API reports that the user is not signed in. It returns false if it renewed
 * the session; the request is then repeated.
 * @param {() => Promise<boolean>} handler
 */
export function onUnauthenticated(handler) {
  isSessionLost = handler;
}

/**
 * Execute a GraphQL operation and return its data. Throws ApiError, or AbortError if `signal` aborts.
 * @template Data
 * @param {GraphQLQuery<Data>} query
 * @param {Record<string, unknown>} [variables]
 * @param {{ signal?: AbortSignal }} [options]
 * @returns {Promise<Data>}
 */
export async function graphql(query, variables = {}, { signal } = {}) {
  try {
    return await execute(query, variables, signal);
  } catch (error) {
    if (!hasCode(error, UNAUTHENTICATED) || (await isSessionLost())) throw error;
    return execute(query, variables, signal);
  }
}

/**
 * @template Data
 * @param {GraphQLQuery<Data>} query
 * @param {Record<string, unknown>} variables
 * @param {AbortSignal} [signal]
 * @returns {Promise<Data>}
 */
async function execute(query, variables, signal) {
  const response = await send("/api/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query, variables }),
    signal: withTimeout(signal),
  });
  const body = await readJson(response);
  const [error] = body?.errors ?? [];
  if (!error && body?.data) return body.data;
  throw errorFrom(response, { code: error?.extensions?.code, message: error?.message });
}

/**
 * Read the error in a response of the download API.
 * @param {Response} response
 */
export async function readError(response) {
  return errorFrom(response, (await readJson(response))?.error ?? {});
}

/**
 * Send a request, once more if the session had to be renewed first. Throws ApiError.
 * @param {string} url
 * @param {RequestInit} options
 */
export async function sendAuthenticated(url, options) {
  const response = await send(url, options);
  if (response.status !== 401 || (await isSessionLost())) return response;
  return send(url, options);
}

/**
 * A signal that aborts when `signal` does, or when the service does not respond in time.
 * @param {AbortSignal} [signal]
 */
export function withTimeout(signal) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

/**
 * Send a request and return the response, whatever its status. Throws ApiError without a response.
 * @param {string} url
 * @param {RequestInit} options
 */
export async function send(url, options) {
  try {
    return await fetch(url, { credentials: "same-origin", ...options });
  } catch (error) {
    throw isAbort(error) ? error : unreachable(error);
  }
}

/**
 * The JSON in a response; null if it is not JSON.
 * @param {Response} response
 */
export async function readJson(response) {
  try {
    return await response.json();
  } catch (error) {
    if (isAbort(error)) throw error;
    if (isTimeout(error)) throw unreachable(error);
    return null;
  }
}

/** @param {unknown} error */
function isTimeout(error) {
  return error instanceof Error && error.name === "TimeoutError";
}

/** @param {unknown} error */
function unreachable(error) {
  const message = isTimeout(error) ? "The service does not respond." : "The service cannot be reached.";
  return new ApiError("UNREACHABLE", message, 0);
}

/**
 * @param {Response} response
 * @param {{ code?: string, message?: string }} error
 */
function errorFrom({ status }, { code, message }) {
  return new ApiError(code ?? codeOf(status), message ?? `The service responded with HTTP status ${status}.`, status);
}

/** @param {number} status */
function codeOf(status) {
  if (status === 401) return UNAUTHENTICATED;
  return status >= 500 ? "UNAVAILABLE" : "BAD_USER_INPUT";
}
