// What the job page asks of the API.

const ARTIFACT = `
  prefix state expiredAt pinned pinnedBy pinnedAt note totalCount totalSize downloadUrl
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
