// Local mode: run a command on this machine.

import { ask } from "../ask.js";
import { h } from "../dom.js";
import { openDialog } from "../dialog.js";
import { go } from "../router.js";
import { CREATE } from "./query.js";

const EXAMPLE = "mkdir -p artifacts/sub\necho hello > artifacts/test.txt\necho hello > artifacts/sub/test.txt";

const NOTHING = { command: "", name: "" };
let draft = NOTHING; // what was typed last and not run: Escape or the session's end closes the form. One person is here.

/** Opens the form; the job that it makes is shown. `group`: whose job it is. */
export function openCreate(group) {
  const command = h("textarea", {
    id: "command", rows: "5", required: true, spellcheck: "false", placeholder: EXAMPLE,
    "aria-describedby": "command-hint", oninput: keep,
  });
  const name = h("input", { id: "name", maxlength: "200", autocomplete: "off", oninput: keep });
  command.value = draft.command;
  name.value = draft.name;

  function keep() {
    draft = { command: command.value, name: name.value };
  }

  openDialog({
    title: "Run a command",
    does: "Run",
    body: [
      h("div", { class: "field" },
        h("label", { for: "command" }, "Command"),
        command,
        h("p", { class: "hint", id: "command-hint" },
          "It runs on this machine, with your rights, by ", h("code", null, "sh"),
          ". What it leaves in ", h("code", null, "artifacts/"), " is kept.")),
      h("div", { class: "field" }, h("label", { for: "name" }, "Name (if you like)"), name),
    ],
    run: async () => {
      const data = { command: command.value, displayName: name.value.trim(), groupId: group };
      const { createPhJob: job } = await ask(CREATE, { data });
      draft = NOTHING;
      return () => go(`/jobs/${encodeURIComponent(job.id)}`);
    },
  });
}
