/** From facts to findings: the host's first, then each container's by name. Pure. */
import { checkContainer } from './checksContainer.ts';
import { checkHost } from './checksHost.ts';
import type { Facts } from './facts.ts';
import type { Finding } from './finding.ts';

export function check(facts: Facts): Finding[] {
  const containers = facts.containers.toSorted((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)) || (a.id < b.id ? -1 : 1));
  return [...checkHost(facts), ...containers.flatMap(checkContainer)];
}
