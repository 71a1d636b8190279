// The GraphQL operations of the list of jobs, and its filters as query parameters. None of the requested fields makes
// the API read the store.

/** @typedef {{ pageInfo: PageInfo, edges: { node: JobRow }[] }} JobsConnection */

export const JOBS = /** @type {GraphQLQuery<{ phJobsConnection: JobsConnection }>} */ (`
  query Jobs($where: PhJobWhereInput, $page: Int) {
    phJobsConnection(where: $where, page: $page) {
      pageInfo { currentPage totalPage hasNextPage hasPreviousPage }
      edges {
        node {
          id displayName groupName userName phase reason message cancel createTime startTime finishTime
          artifact { state removed totalCount totalSize expiredAt }
        }
      }
    }
  }`);

export const CREATE = /** @type {GraphQLQuery<{ createPhJob: { id: string } }>} */ (`
  mutation Create($data: PhJobCreateInput!) {
    createPhJob(data: $data) { id }
  }`);

/** Return the variables of JOBS for an address's query. @param {URLSearchParams} params */
export function parseFilter(params) {
  const [group, phase, search] = ["group", "state", "search"].map((name) => params.get(name) ?? "");
  const where = {
    ...(group && { groupId_in: [group] }),
    ...(phase && { phase_in: [phase] }),
    ...(search.trim() && { search: search.trim() }),
  };
  const page = Number.parseInt(params.get("page") ?? "1", 10);
  return { where, page: page >= 1 && page < 1e6 ? page : 1 };
}

/**
 * Return the address with changed parameters. Empty parameters are omitted, and so is the page unless it is changed.
 * @param {URLSearchParams} params
 * @param {Record<string, string>} changes
 */
export function urlWith(params, changes) {
  const next = new URLSearchParams(params);
  next.delete("page");
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  const query = next.toString();
  return query ? `/?${query}` : "/";
}
