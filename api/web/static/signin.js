// Where one signs in: with a token, or at the organisation's own sign-in page. Afterwards one is where one was.

import { h } from "./dom.js";
import { signIn } from "./session.js";

/** `session`: as `askSession` answers, perhaps with a `notice`; `enter(session)`: what follows once signed in. */
export function signInView(session, enter) {
  const element = h(
    "section",
    { class: "signin card padded stack" },
    h("h1", null, "Sign in"),
    session.notice && h("p", { class: "notice warn", role: "status" }, session.notice),
    ...(session.signInUrl ? atIssuer(session.signInUrl, enter) : [tokenForm(enter)]),
  );
  return { element, title: "Sign in" };
}

function atIssuer(url, enter) {
  const next = location.pathname + location.search;
  return [
    h("p", { class: "muted" }, "You are led to your organisation's sign-in page, and back to this one."),
    h("a", { class: "button primary", href: `${url}?next=${encodeURIComponent(next)}` }, "Sign in"),
    h("details", null, h("summary", { class: "muted small" }, "Sign in with a token"), tokenForm(enter)),
  ];
}

function tokenForm(enter) {
  const wrong = h("p", { class: "wrong", id: "token-wrong", role: "alert" });
  const token = h("input", {
    id: "token", name: "token", type: "password", autocomplete: "current-password", required: true,
    "aria-describedby": "token-hint token-wrong",
  });
  const submit = h("button", { class: "primary" }, "Sign in");
  const send = async (event) => {
    event.preventDefault();
    submit.disabled = true;
    wrong.textContent = "";
    try {
      enter(await signIn(token.value.trim()));
    } catch (error) {
      wrong.textContent = error.message;
      token.focus();
    } finally {
      submit.disabled = false;
    }
  };
  return h(
    "form",
    { class: "stack close", onsubmit: send },
    h("label", { for: "token" }, "Token"),
    token,
    h("p", { class: "hint", id: "token-hint" }, "The token that your administrator, or the terminal, has given to you."),
    wrong,
    submit,
  );
}
