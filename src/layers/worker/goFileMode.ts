/** Go's `os.FileMode`, which Docker's clients get for a file's type and permissions. */
const TYPES: ReadonlyMap<number, number> = new Map([
  [0o040000, 2 ** 31],
  [0o120000, 2 ** 27],
  [0o060000, 2 ** 26],
  [0o010000, 2 ** 25],
  [0o140000, 2 ** 24],
  [0o020000, 2 ** 26 + 2 ** 21],
]);

export function goFileMode(mode: number): number {
  const type = TYPES.get(mode & 0o170000) ?? 0;
  const setuid = (mode & 0o4000) === 0 ? 0 : 2 ** 23;
  const setgid = (mode & 0o2000) === 0 ? 0 : 2 ** 22;
  const sticky = (mode & 0o1000) === 0 ? 0 : 2 ** 20;
  return type + setuid + setgid + sticky + (mode & 0o777);
}
