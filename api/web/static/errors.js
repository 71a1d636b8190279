// The error that failed requests throw, and checks for errors of unknown type.

/** A failed request. Its message is a sentence for the user. */
export class ApiError extends Error {
  /**
   * @param {string} code the API's error code, or UNREACHABLE
   * @param {string} message
   * @param {number} status the HTTP status; 0 without a response
   */
  constructor(code, message, status) {
    super(toSentence(message));
    this.code = code;
    this.status = status;
  }
}

/** Whether the error is an ApiError with this code. @param {unknown} error @param {string} code */
export function hasCode(error, code) {
  return error instanceof ApiError && error.code === code;
}

/** Whether a retry of the same request may succeed. @param {unknown} error */
export function isTransient(error) {
  return ["UNREACHABLE", "UNAVAILABLE", "INTERNAL_SERVER_ERROR"].some((code) => hasCode(error, code));
}

/** Whether the request was aborted by its signal. @param {unknown} error */
export function isAbort(error) {
  return error instanceof Error && error.name === "AbortError";
}

/** The error's message. @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * The API's messages have no capital and no full stop. A name at the beginning stays as it is.
 * @param {string} message
 */
function toSentence(message) {
  const start = /^[a-z]+ /.test(message) ? message[0].toUpperCase() + message.slice(1) : message;
  return /[.!?:…]$/.test(start) ? start : `${start}.`;
}
