// Local mode: the dialog that runs a command on this machine.

import { graphql } from "../api.js";
import { openDialog } from "../dialog.js";
import { h } from "../dom.js";
import { jobUrl, navigate } from "../router.js";
import { CREATE } from "./queries.js";

const EXAMPLE = "mkdir -p artifacts/sub\necho hello > artifacts/test.txt\necho hello > artifacts/sub/test.txt";

const EMPTY_DRAFT = { command: "", name: "" };
let draft = EMPTY_DRAFT; // survives closing the dialog and the end of the session; local mode has one user

/** Open the dialog. When the command runs, its job is shown. @param {string} group the group of the new job */
export function openCreateDialog(group) {
  const command = h("textarea", {
    id: "command", rows: "5", required: true, spellcheck: "false", placeholder: EXAMPLE,
    "aria-describedby": "command-hint", oninput: saveDraft,
  });
  const name = h("input", { id: "name", maxlength: "200", autocomplete: "off", oninput: saveDraft });
  command.value = draft.command;
  name.value = draft.name;

  function saveDraft() {
    draft = { command: command.value, name: name.value };
  }

  openDialog({
    title: "Run a command",
    confirmLabel: "Run",
    body: [
      h("div", { class: "field" },
        h("label", { for: "command" }, "Command"),
        command,
        h("p", { class: "hint", id: "command-hint" },
          "The command runs on this machine, with your permissions, in ", h("code", null, "sh"),
          ". The files that it writes to ", h("code", null, "artifacts/"), " are collected.")),
      h("div", { class: "field" }, h("label", { for: "name" }, "Name (optional)"), name),
    ],
    run: async () => {
      const data = { command: command.value, displayName: name.value.trim(), groupId: group };
      const { createPhJob: job } = await graphql(CREATE, { data });
      draft = EMPTY_DRAFT;
      return () => navigate(jobUrl(job.id));
    },
  });
}
