// Whether a job's artifacts are there to be listed. Pure.

/** Whether there is any file; where they are too many to count, there is. */
export function hasFiles({ artifact }) {
  return Boolean(artifact) && artifact.state !== "expired" && artifact.totalCount !== 0;
}
