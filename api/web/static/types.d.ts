// Types of the API's data and of the page's own structures, for the type check alone (`make lint`). Browsers do not
// load this file.

/** A GraphQL document whose response has `data` of type Data. */
type GraphQLQuery<Data> = string & { readonly data?: Data };

type Tone = "" | "good" | "warn" | "bad" | "busy";

interface FileCount {
  files: number;
  bytes: number;
}

/** The files of a report that were skipped for one reason. */
interface SkippedRow extends FileCount {
  reason: string;
  explanation: string;
  detail: string | null;
  paths: string[];
}

interface Report {
  state: string;
  message: string;
  updatedAt: string | null;
  sealedAt: string | null;
  overLimit: string;
  limitFiles: number;
  limitBytes: number;
  limitExceeded: boolean;
  unstable: string[];
  main: { exitCode?: number | null; signal?: number | null; reason?: string | null };
  found: FileCount;
  collected: FileCount;
  inPlace: FileCount;
  earlierPod: FileCount;
  skipped: SkippedRow[];
}

/** A job's artifacts, as the list of jobs requests them. */
interface ArtifactRow {
  state: string | null;
  removed: boolean | null;
  totalCount: number | null;
  totalSize: number | null;
  expiredAt: string | null;
}

/** A job's artifacts, as the job page requests them. */
interface Artifact extends ArtifactRow {
  prefix: string;
  statusState: string | null;
  collected: FileCount | null;
  message: string | null;
  pinned: boolean;
  pinnedBy: string | null;
  pinnedAt: string | null;
  note: string | null;
  downloadUrl: string | null;
  report: Report | null;
}

/** A job, as the list of jobs requests it. */
interface JobRow {
  id: string;
  displayName: string | null;
  groupName: string | null;
  userName: string | null;
  phase: string | null;
  reason: string | null;
  message: string | null;
  cancel: boolean;
  createTime: string | null;
  startTime: string | null;
  finishTime: string | null;
  artifact: ArtifactRow | null;
}

/** A job, as the job page requests it. */
interface Job extends JobRow {
  image: string | null;
  command: string | null;
  activeDeadlineSeconds: number | null;
  instanceType: { name: string } | null;
  artifact: Artifact | null;
}

interface PageInfo {
  currentPage: number;
  totalPage: number;
  hasNextPage: boolean;
  hasPreviousPage: boolean;
}

/** A file or folder of a listing; the name of a folder ends with a slash. */
interface FileNode {
  name: string;
  size: number | null;
  lastModified: string | null;
}

interface FileDetails extends FileNode {
  size: number;
  sha256: string | null;
}

interface User {
  username: string;
  groups: string[];
  isAdmin: boolean;
}

interface Session {
  local: boolean;
  user: User | null;
  expiresAt: string | null;
  canSignOut: boolean;
  signInUrl: string | null;
  notice: string | null;
}

interface SignedInSession extends Session {
  user: User;
}

/** An address that matched a route: the groups of its pattern, decoded, and its query. */
interface RouteMatch {
  args: string[];
  params: URLSearchParams;
  setTitle(title: string): void;
}

interface View {
  element: Element;
  title: string;
  ready?: Promise<unknown>;
  update?(match: RouteMatch): boolean;
}

interface Route {
  pattern: RegExp;
  view(match: RouteMatch, signal: AbortSignal): View;
}

interface NavigateOptions {
  replace?: boolean;
  keepScroll?: boolean;
}

type SortOrder = "name" | "size" | "time";

/** What the Artifacts tab shows: a folder, its order, a search, and the file that is previewed ("" for none). */
interface TabState {
  path: string;
  order: SortOrder;
  isDescending: boolean;
  search: string;
  file: string;
}

type FolderState = Omit<TabState, "file">;

/** A child of an element; null, undefined and false are dropped. */
type Child = Node | string | number | boolean | null | undefined | readonly Child[];

/** Attributes and listeners of an element. */
interface Props {
  onclick?: (event: MouseEvent) => unknown;
  onchange?: (event: Event) => unknown;
  oninput?: (event: Event) => unknown;
  onsubmit?: (event: SubmitEvent) => unknown;
  onkeydown?: (event: KeyboardEvent) => unknown;
  oncancel?: (event: Event) => unknown;
  onclose?: (event: Event) => unknown;
  onerror?: (event: Event) => unknown;
  [name: string]: string | number | boolean | null | undefined | ((event: never) => unknown);
}
