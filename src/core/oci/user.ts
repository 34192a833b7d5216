/** Who a container runs as: `--user` and `--group-add`, resolved from the rootfs' passwd and group files. Pure. */
import { invalid } from '../../base/errors.ts';

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

/** Texts of the files; empty if they are missing. */
export interface UserFiles {
  readonly passwd: string;
  readonly group: string;
}

const MAX_ID = 2 ** 31 - 1;

interface PasswdEntry { name: string; uid: number; gid: number }
interface GroupEntry { name: string; gid: number; members: string[] }

/**
 * `user`, `uid`, `user:group`, `uid:gid`, `:group` or empty (root). A name must be in the files, a number need not be.
 * Errors in Docker's words: `unable to find user x: no matching entries in passwd file`.
 */
export function resolveUser(spec: string, files: UserFiles, groupAdd: readonly string[] = []): ResolvedUser {
  const at = spec.indexOf(':');
  const userPart = at < 0 ? spec : spec.slice(0, at);
  const groupPart = at < 0 ? '' : spec.slice(at + 1);
  const groups = parseGroups(files.group);
  const entry = findUser(userPart, parsePasswd(files.passwd));
  const primary = groupPart === '' ? undefined : findGroup(groupPart, groups);
  const supplementary = primary === undefined ? groups.filter(({ members }) => members.includes(entry.name)).map(({ gid }) => gid) : [];
  return {
    uid: entry.uid,
    gid: primary ?? entry.gid,
    additionalGids: [...new Set([...supplementary, ...additionalGroups(groupAdd, groups)])],
  };
}

function findUser(part: string, entries: readonly PasswdEntry[]): PasswdEntry {
  const uid = numeric(part);
  const wanted = part === '' ? 0 : uid;
  const found = entries.find(({ name, uid: id }) => (part !== '' && name === part) || id === wanted);
  if (found !== undefined) return found;
  if (part === '') return { name: 'root', uid: 0, gid: 0 };
  if (uid === undefined) throw invalid(`unable to find user ${part}: no matching entries in passwd file`);
  if (uid > MAX_ID) throw invalid('uids and gids must be in range 0-2147483647');
  return { name: '', uid, gid: 0 };
}

function findGroup(part: string, entries: readonly GroupEntry[]): number {
  const gid = numeric(part);
  const found = entries.find((entry) => entry.name === part || entry.gid === gid);
  if (found !== undefined) return found.gid;
  if (gid === undefined) throw invalid(`unable to find group ${part}: no matching entries in group file`);
  if (gid > MAX_ID) throw invalid('uids and gids must be in range 0-2147483647');
  return gid;
}

function additionalGroups(wanted: readonly string[], entries: readonly GroupEntry[]): number[] {
  return wanted.map((part) => {
    const found = entries.find((entry) => entry.name === part || String(entry.gid) === part);
    if (found !== undefined) return found.gid;
    const gid = numeric(part);
    if (gid === undefined) throw invalid(`Unable to find group ${part}`);
    if (gid > MAX_ID) throw invalid('uids and gids must be in range 0-2147483647');
    return gid;
  });
}

const numeric = (text: string): number | undefined => (/^\d{1,15}$/.test(text) ? Number(text) : undefined);

function parsePasswd(text: string): PasswdEntry[] {
  return lines(text).flatMap((line): PasswdEntry[] => {
    const [name = '', , uid = '', gid = ''] = line.split(':');
    return name === '' ? [] : [{ name, uid: numeric(uid) ?? 0, gid: numeric(gid) ?? 0 }];
  });
}

function parseGroups(text: string): GroupEntry[] {
  return lines(text).flatMap((line): GroupEntry[] => {
    const [name = '', , gid = '', members = ''] = line.split(':');
    return name === '' ? [] : [{ name, gid: numeric(gid) ?? 0, members: members.split(',').map((member) => member.trim()).filter((member) => member !== '') }];
  });
}

/** Comments, empty lines and lines that are none are passed over. */
const lines = (text: string): string[] =>
  text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#') && line.includes(':'));
