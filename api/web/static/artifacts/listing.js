// Listings of folders, or of search results, loaded page by page.

import { graphql } from "../api.js";
import { isFolder } from "./paths.js";
import { ORDER_FIELDS } from "./tab_state.js";

const FIRST_PAGE_SIZE = 200; // small, so that it is shown soon
const PAGE_SIZE = 1000; // the API's maximum
const CHUNK_SIZE = 200; // rows that are added to the table at once

/**
 * @typedef {object} FilesConnection
 * @property {number | null} [totalCount]
 * @property {{ hasNextPage: boolean, endCursor: string | null }} pageInfo
 * @property {FileNode[]} nodes
 *
 * @typedef {{ phJob: { artifact: { prefix: string, itemsConnection: FilesConnection } } }} FilesData
 */

const FILES = /** @type {GraphQLQuery<FilesData>} */ (`
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
  }`);

const FILE = /** @type {GraphQLQuery<{ phJob: { artifact: { prefix: string, item: FileDetails | null } } }>} */ (`
  query File($id: ID!, $name: String!) {
    phJob(where: { id: $id }) { artifact { prefix item(name: $name) { name size lastModified sha256 } } }
  }`);

/**
 * Load the details of a file (null if it does not exist) and the job folder's prefix in the store.
 * @param {string} id the job's id
 * @param {string} name
 * @param {AbortSignal} signal
 */
export async function fetchFile(id, name, signal) {
  const { artifact } = (await graphql(FILE, { id, name }, { signal })).phJob;
  return { prefix: artifact.prefix, file: artifact.item };
}

/** The part of a folder, or of search results, that has been loaded. */
export class Listing {
  /**
   * @param {string} id the job's id
   * @param {FolderState} state
   */
  constructor(id, state) {
    this.id = id;
    this.state = state;
    /** @type {FileNode[][]} the loaded files and folders, in chunks for the table */
    this.chunks = [];
    this.prefix = ""; // of the job folder in the store
    /** @type {number | null} null if the API does not return it */
    this.total = null;
    this.isLoaded = false; // whether the first page is loaded
    this.hasMore = true;
    /** @type {string | null} */
    this.cursor = null;
    /** @type {Promise<void> | null} */
    this.request = null;
  }

  /** Load the next page. Concurrent calls share one request. Throws ApiError. @param {AbortSignal} signal */
  loadMore(signal) {
    this.request ??= this.#load(signal).finally(() => { this.request = null; });
    return this.request;
  }

  /** @param {AbortSignal} signal */
  async #load(signal) {
    const { path, order, isDescending, search } = this.state;
    const isFirst = this.chunks.length === 0;
    const { artifact } = (await graphql(FILES, {
      id: this.id,
      prefix: path,
      recursive: search !== "",
      orderBy: { [ORDER_FIELDS[order]]: isDescending ? "desc" : "asc" },
      search,
      first: isFirst ? FIRST_PAGE_SIZE : PAGE_SIZE,
      after: this.cursor,
      isFirst,
    }, { signal })).phJob;
    const { totalCount = this.total, pageInfo, nodes } = artifact.itemsConnection;
    this.prefix = artifact.prefix;
    this.total = totalCount;
    this.isLoaded = true;
    this.hasMore = pageInfo.hasNextPage;
    this.cursor = pageInfo.endCursor;
    for (let start = 0; start < nodes.length; start += CHUNK_SIZE) {
      this.chunks.push(nodes.slice(start, start + CHUNK_SIZE));
    }
  }

  /** The number of loaded files and folders. */
  get length() {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** The paths of the loaded files, without folders. */
  get files() {
    return this.chunks.flat().map((node) => node.name).filter((name) => !isFolder(name));
  }
}

/** The recently shown listings of a job, so that "back" finds a folder in its previous state. */
export class ListingCache {
  /** @type {Map<string, Listing>} the least recently used first */
  #listings = new Map();

  /** @param {string} id the job's id */
  constructor(id, maxSize = 10) {
    this.id = id;
    this.maxSize = maxSize;
  }

  /** Return the listing for the state, cached or new. @param {FolderState} state */
  get({ path, order, isDescending, search }) {
    const state = { path, order, isDescending, search };
    const key = JSON.stringify(state);
    const listing = this.#listings.get(key) ?? new Listing(this.id, state);
    this.#listings.delete(key);
    this.#listings.set(key, listing);
    const [oldest] = this.#listings.keys();
    if (this.#listings.size > this.maxSize) this.#listings.delete(oldest);
    return listing;
  }

  /** Drop all listings, because the files have changed. */
  clear() {
    this.#listings.clear();
  }
}
