// The GraphQL operations of the job page.

const ARTIFACT = `
  prefix state statusState removed collected { files bytes } message expiredAt pinned pinnedBy pinnedAt note totalCount totalSize downloadUrl
  report {
    state message updatedAt sealedAt overLimit limitFiles limitBytes limitExceeded unstable
    main { exitCode signal reason }
    found { files bytes } collected { files bytes } inPlace { files bytes } earlierPod { files bytes }
    skipped { reason explanation files bytes detail paths }
  }`;

export const JOB = /** @type {GraphQLQuery<{ phJob: Job }>} */ (`
  query Job($id: ID!) {
    phJob(where: { id: $id }) {
      id displayName groupName userName image command cancel activeDeadlineSeconds instanceType { name }
      phase reason message createTime startTime finishTime
      artifact { ${ARTIFACT} }
    }
  }`);

export const CANCEL = /** @type {GraphQLQuery<{ cancelPhJob: { id: string } }>} */ (
  "mutation Cancel($id: ID!) { cancelPhJob(where: { id: $id }) { id } }");
export const RERUN = /** @type {GraphQLQuery<{ rerunPhJob: { id: string } }>} */ (
  "mutation Rerun($id: ID!) { rerunPhJob(where: { id: $id }) { id } }");

export const EXTEND = /** @type {GraphQLQuery<{ extendPhJobArtifact: { expiredAt: string } }>} */ (`
  mutation Extend($id: ID!, $until: String!) { extendPhJobArtifact(where: { id: $id }, until: $until) { expiredAt } }`);
export const PIN = /** @type {GraphQLQuery<{ pinPhJobArtifact: { pinned: boolean } }>} */ (`
  mutation Pin($id: ID!, $note: String) { pinPhJobArtifact(where: { id: $id }, note: $note) { pinned } }`);
export const UNPIN = /** @type {GraphQLQuery<{ unpinPhJobArtifact: { expiredAt: string } }>} */ (
  "mutation Unpin($id: ID!) { unpinPhJobArtifact(where: { id: $id }) { expiredAt } }");
export const DELETE = /** @type {GraphQLQuery<{ deletePhJobArtifact: FileCount }>} */ (
  "mutation Delete($id: ID!) { deletePhJobArtifact(where: { id: $id }) { files bytes } }");
