/**
 * The packet filter as the network room uses it: told what is wanted, it makes it so. Changes that come while a
 * transaction is on its way go together into the next one.
 */
import type { Logger } from '../base/logger.ts';
import { messageOf } from '../base/errors.ts';
import { FAMILY, TABLE, desiredRuleset, planElements, planFirewall, sameRules, setTypes } from '../core/network/firewall.ts';
import type { ElementStep, FirewallPort, FirewallRequest, Ruleset } from '../core/network/firewall.ts';
import { foreignDrops, parseRuleset } from '../core/network/firewallObserved.ts';
import { forgetUdpFlows } from '../sys/conntrack.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from '../sys/netlink.ts';
import { changeElements } from '../sys/netlinkNft.ts';
import type { ElementChange } from '../sys/netlinkNft.ts';
import { nftApply, nftListChains, nftListTable } from '../sys/nft.ts';

export class Firewall {
  readonly #logger: Logger;
  readonly #wanted: () => FirewallRequest;
  #socket: NetlinkSocket | undefined;
  /** What the kernel has, as far as we know; undefined: it has to be looked at. */
  #applied: Ruleset | undefined;
  /** A listing of our table that was begun beforehand. */
  #listing: Promise<unknown[] | undefined> | undefined;
  #running: Promise<void> | undefined;
  #queued: Promise<void> | undefined;

  /** `wanted` is asked at the moment a transaction is made. */
  constructor(wanted: () => FirewallRequest, logger: Logger) {
    this.#wanted = wanted;
    this.#logger = logger;
  }

  /** Resolves when the kernel has what was wanted at the time of the call, or later. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#queued ??= this.#running.catch(() => {}).then(() => {
      this.#queued = undefined;
      return this.#start();
    });
    return this.#queued;
  }

  /** Begins to look at the kernel, for the `reconcile` that is about to come. */
  look(): void {
    this.#listing = nftListTable(FAMILY, TABLE);
    this.#listing.catch(() => {});
  }

  /** Looks at the kernel first, instead of trusting what was done before. */
  reconcile(): Promise<void> {
    this.#applied = undefined;
    return this.sync();
  }

  /** UDP clients of published ports are to meet what the filter says now. */
  forgetUdpFlows(ports: readonly FirewallPort[]): void {
    const destinations = ports.filter(({ proto }) => proto === 'udp').map(({ hostIp, hostPort }) => ({ address: hostIp, port: hostPort }));
    if (destinations.length > 0) forgetUdpFlows(this.#netfilter(), destinations);
  }

  [Symbol.dispose](): void {
    this.#socket?.[Symbol.dispose]();
    this.#socket = undefined;
  }

  /** What of others' rules stands in the way, one line each. */
  async hindrances(): Promise<string[]> {
    try {
      return foreignDrops(await nftListChains());
    } catch (error) {
      this.#logger.debug('cannot list packet filter chains', { error: messageOf(error) });
      return [];
    }
  }

  /** True if the table of an earlier run drops what concerns nobody of ours. */
  async dropsOthers(): Promise<boolean> {
    const objects = await (this.#listing ?? nftListTable(FAMILY, TABLE));
    return objects !== undefined && parseRuleset(objects).chains.get('forward')?.hook?.policy === 'drop';
  }

  #netfilter(): NetlinkSocket {
    return (this.#socket ??= new NetlinkSocket(NETLINK_NETFILTER));
  }

  #start(): Promise<void> {
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    const desired = desiredRuleset(this.#wanted());
    const applied = this.#applied;
    if (applied !== undefined && sameRules(applied, desired)) {
      try {
        changeElements(this.#netfilter(), { family: FAMILY, table: TABLE }, planElements(desired, (set) => applied.sets[set] ?? new Map()).map(packed));
        this.#applied = desired;
        return;
      } catch (error) {
        // Somebody else changed our table: look, and try once more from what is there.
        this.#logger.warn('the packet filter is not as it was left', { error: messageOf(error) });
      }
    }
    this.#applied = undefined;
    const listing = this.#listing;
    this.#listing = undefined;
    try {
      await this.#change(desired, await (listing ?? nftListTable(FAMILY, TABLE)));
    } catch (error) {
      if (listing === undefined) throw error;
      // Since it was begun something else may have changed.
      await this.#change(desired, await nftListTable(FAMILY, TABLE));
    }
    this.#applied = desired;
  }

  async #change(desired: Ruleset, objects: unknown[] | undefined): Promise<void> {
    const script = planFirewall(desired, objects === undefined ? undefined : parseRuleset(objects));
    if (script.length > 0) await nftApply(script.join('\n'));
  }
}

/** An element with the types of its set, as the kernel wants to have it packed. */
function packed({ verb, set, element }: ElementStep): ElementChange {
  const types = setTypes(set);
  const typed = (atoms: readonly (string | number)[], of: readonly string[] = []) => atoms.map((value, i) => ({ type: of[i] ?? '', value }));
  return { verb, set, key: typed(element.key, types.key), ...(element.data === undefined ? {} : { data: typed(element.data, types.data) }) };
}
