// Files of one folder (or found below it), page by page as the API gives them.

import { ask } from "../ask.js";
import { isFolder } from "./paths.js";
import { ORDERS } from "./state.js";

export const PAGE_SIZE = 200;

const PAGE = `
  query Files($id: ID!, $first: Int!, $after: String, $prefix: String!, $recursive: Boolean!,
              $orderBy: PhJobArtifactOrderByInput, $search: String!, $isFirst: Boolean!) {
    phJob(where: { id: $id }) {
      artifact {
        prefix
        itemsConnection(first: $first, after: $after, prefix: $prefix, recursive: $recursive,
                        orderBy: $orderBy, search: $search) {
          totalCount @include(if: $isFirst)
          pageInfo { hasNextPage endCursor }
          nodes { name size lastModified }
        }
      }
    }
  }`;

const FILE = `
  query File($id: ID!, $name: String!) {
    phJob(where: { id: $id }) { artifact { prefix item(name: $name) { name size lastModified sha256 } } }
  }`;

/** {prefix, file}: where the job's files lie in the store, and {name, size, lastModified, sha256}; null: none there. */
export async function askFile(id, name, signal) {
  const { artifact } = (await ask(FILE, { id, name }, { signal })).phJob;
  return { prefix: artifact.prefix, file: artifact.item };
}

/**
 * What is known of a folder so far. `pages`: lists of {name, size, lastModified}, a folder's name with a slash at its
 * end; `prefix`: the job folder's; `total`: null where nobody knows; `hasMore`.
 */
export class Listing {
  constructor(id, state) {
    Object.assign(this, { id, state, pages: [], prefix: "", total: null, hasMore: true });
    Object.assign(this, { after: null, asking: null });
  }

  /** Asks for the next page, once however often it is called meanwhile. Throws Refusal. */
  more(signal) {
    this.asking ??= this.#ask(signal).finally(() => (this.asking = null));
    return this.asking;
  }

  async #ask(signal) {
    const { path, order, isDescending, search } = this.state;
    const orderBy = { [ORDERS[order]]: isDescending ? "desc" : "asc" };
    const wanted = { prefix: path, recursive: search !== "", orderBy, search };
    const page = { first: PAGE_SIZE, after: this.after, isFirst: this.pages.length === 0 };
    const { artifact } = (await ask(PAGE, { id: this.id, ...wanted, ...page }, { signal })).phJob;
    const { totalCount = this.total, pageInfo, nodes } = artifact.itemsConnection;
    Object.assign(this, { prefix: artifact.prefix, total: totalCount, hasMore: pageInfo.hasNextPage });
    this.after = pageInfo.endCursor;
    this.pages.push(nodes);
  }

  /** How many files and folders are known. */
  get length() {
    return this.pages.reduce((sum, page) => sum + page.length, 0);
  }

  /** The paths of the files among them. */
  get files() {
    return this.pages.flat().map((node) => node.name).filter((name) => !isFolder(name));
  }
}

/** The listings that were looked at last, so that "back" finds a folder as it was left. */
export class Listings {
  #known = new Map();

  constructor(id, most = 10) {
    Object.assign(this, { id, most });
  }

  /** The listing for the state, known or new. */
  of({ path, order, isDescending, search }) {
    const state = { path, order, isDescending, search };
    const key = JSON.stringify(state);
    const listing = this.#known.get(key) ?? new Listing(this.id, state);
    this.#known.delete(key);
    this.#known.set(key, listing);
    if (this.#known.size > this.most) this.#known.delete(this.#known.keys().next().value);
    return listing;
  }

  /** Forget them: the files are not what they were. */
  clear() {
    this.#known.clear();
  }
}
