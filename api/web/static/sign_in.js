// The sign-in view: with a token, or at the organisation's sign-in page. Both return the user to the same address.

import { h } from "./dom.js";
import { messageOf } from "./errors.js";
import { signIn } from "./session.js";

/**
 * @param {Session} session
 * @param {(session: Session) => void} onSignedIn
 * @returns {View}
 */
export function signInView(session, onSignedIn) {
  const element = h(
    "section",
    { class: "sign-in card padded stack" },
    h("h1", null, "Sign in"),
    session.notice && h("p", { class: "notice warn", role: "status" }, session.notice),
    session.signInUrl ? identityProvider(session.signInUrl, onSignedIn) : tokenForm(onSignedIn),
  );
  return { element, title: "Sign in" };
}

/**
 * @param {string} url
 * @param {(session: Session) => void} onSignedIn
 */
function identityProvider(url, onSignedIn) {
  const next = location.pathname + location.search;
  return [
    h("p", { class: "muted" }, "You will be redirected to your organisation's sign-in page and back to this page."),
    h("a", { class: "button primary", href: `${url}?next=${encodeURIComponent(next)}` }, "Sign in"),
    h("details", null, h("summary", { class: "muted small" }, "Sign in with a token"), tokenForm(onSignedIn)),
  ];
}

/** @param {(session: Session) => void} onSignedIn */
function tokenForm(onSignedIn) {
  const errorText = h("p", { class: "form-error", id: "token-error", role: "alert" });
  const token = h("input", {
    id: "token", name: "token", type: "password", autocomplete: "current-password", required: true,
    "aria-describedby": "token-hint token-error",
  });
  const submit = h("button", { class: "primary" }, "Sign in");
  const send = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    submit.disabled = true;
    errorText.textContent = "";
    try {
      onSignedIn(await signIn(token.value.trim()));
    } catch (error) {
      errorText.textContent = messageOf(error);
      token.focus();
    } finally {
      submit.disabled = false;
    }
  };
  return h(
    "form",
    { class: "stack tight", onsubmit: send },
    h("label", { for: "token" }, "Token"),
    token,
    h("p", { class: "hint", id: "token-hint" },
      "The token that your administrator gave you, or that the terminal printed."),
    errorText,
    submit,
  );
}
