/** Containers keep the storage driver that they were made with; a changed option is for new ones. */

/** One line if some of these drivers (one a container; empty: not known) are not the configured one. */
export function otherDrivers(configured: string, drivers: readonly string[]): string[] {
  const others = drivers.filter((driver) => driver !== configured && driver !== '');
  if (others.length === 0) return [];
  const names = [...new Set(others)].toSorted().join(', ');
  return [`storage-driver ${configured} is for new containers: ${others.length} ${others.length === 1 ? 'container stays' : 'containers stay'} with ${names}`];
}
