// Files of one folder (or found below it), page by page as the API gives them.

import { ask } from "../ask.js";
import { isFolder } from "./paths.js";
import { ORDERS } from "./state.js";

const FIRST_PAGE = 200; // few, to be there soon
const LATER_PAGE = 1000; // what the API gives at most
const PART = 200; // rows that are put into the list at once

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
 * What is known of a folder so far. `parts`: lists of {name, size, lastModified}, a folder's name with a slash at its
 * end; `prefix`: the job folder's; `total`: null where nobody knows; `isKnown`: something was answered; `hasMore`.
 */
export class Listing {
  constructor(id, state) {
    Object.assign(this, { id, state, parts: [], prefix: "", total: null, isKnown: false, hasMore: true });
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
    const isFirst = this.parts.length === 0;
    const wanted = { prefix: path, recursive: search !== "", orderBy, search };
    const page = { first: isFirst ? FIRST_PAGE : LATER_PAGE, after: this.after, isFirst };
    const { artifact } = (await ask(PAGE, { id: this.id, ...wanted, ...page }, { signal })).phJob;
    const { totalCount = this.total, pageInfo, nodes } = artifact.itemsConnection;
    Object.assign(this, { prefix: artifact.prefix, total: totalCount, isKnown: true, hasMore: pageInfo.hasNextPage });
    this.after = pageInfo.endCursor;
    for (let at = 0; at < nodes.length; at += PART) this.parts.push(nodes.slice(at, at + PART));
  }

  /** How many files and folders are known. */
  get length() {
    return this.parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** The paths of the files among them. */
  get files() {
    return this.parts.flat().map((node) => node.name).filter((name) => !isFolder(name));
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
