// What the list of jobs asks of the API. Nothing in it makes the API look into the store.

export const JOBS = `
  query Jobs($where: PhJobWhereInput, $page: Int) {
    phJobsConnection(where: $where, page: $page) {
      pageInfo { currentPage totalPage hasNextPage hasPreviousPage }
      edges {
        node {
          id displayName groupName userName phase reason message cancel createTime startTime finishTime
          artifact { state totalCount totalSize expiredAt }
        }
      }
    }
  }`;

export const CREATE = `
  mutation Create($data: PhJobCreateInput!) {
    createPhJob(data: $data) { id }
  }`;

/** The filter that an address's query tells: { where, page } for JOBS. */
export function readFilter(params) {
  const [group, phase, search] = ["group", "state", "search"].map((name) => params.get(name) ?? "");
  const where = {
    ...(group && { groupId_in: [group] }),
    ...(phase && { phase_in: [phase] }),
    ...(search.trim() && { search: search.trim() }),
  };
  const page = Number.parseInt(params.get("page") ?? "1", 10);
  return { where, page: page >= 1 && page < 1e6 ? page : 1 };
}

/** An address's query with `changes`; what is empty is left out, and so is the page unless it is changed. */
export function changed(params, changes) {
  const next = new URLSearchParams(params);
  next.delete("page");
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  const text = next.toString();
  return text ? `/?${text}` : "/";
}
