// What the job page asks of the API.

const ARTIFACT = `
  prefix state message expiredAt pinned pinnedBy pinnedAt note totalCount totalSize downloadUrl
  report {
    state message updatedAt sealedAt overLimit limitFiles limitBytes limitExceeded unstable
    main { exitCode signal reason }
    found { files bytes } collected { files bytes } inPlace { files bytes } earlierPod { files bytes }
    skipped { reason explanation files bytes detail paths }
  }`;

export const JOB = `
  query Job($id: ID!) {
    phJob(where: { id: $id }) {
      id displayName groupName userName image command cancel activeDeadlineSeconds instanceType { name }
      phase reason message createTime startTime finishTime
      artifact { ${ARTIFACT} }
    }
  }`;

export const CANCEL = `mutation Cancel($id: ID!) { cancelPhJob(where: { id: $id }) { id } }`;
export const RERUN = `mutation Rerun($id: ID!) { rerunPhJob(where: { id: $id }) { id } }`;

export const EXTEND = `
  mutation Extend($id: ID!, $until: String!) { extendPhJobArtifact(where: { id: $id }, until: $until) { expiredAt } }`;
export const PIN = `
  mutation Pin($id: ID!, $note: String) { pinPhJobArtifact(where: { id: $id }, note: $note) { pinned } }`;
export const UNPIN = `mutation Unpin($id: ID!) { unpinPhJobArtifact(where: { id: $id }) { expiredAt } }`;
export const DELETE = `mutation Delete($id: ID!) { deletePhJobArtifact(where: { id: $id }) { files bytes } }`;
