// What the reader may do: the API decides it; this only keeps buttons away that it would refuse.

/** Whether the reader may cancel, run, extend, pin and delete in that group. Groups of one path are one. */
export function mayChange(user, group) {
  return user.isAdmin || user.groups.some((own) => path(own) === path(group ?? ""));
}

function path(group) {
  return group.toLowerCase().replaceAll("_", "-");
}
