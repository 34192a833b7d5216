/** The host's ports, as this daemon's containers share them. */
import { setTimeout } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import { errnoOf } from '../base/errors.ts';
import { PortBook, ephemeralRange } from '../core/network/ports.ts';
import type { PortRequest } from '../core/network/ports.ts';
import type { PublishedPort } from '../core/ports/network.ts';
import { readSysctl } from '../sys/sysctl.ts';
import { isHostPort, publishPorts } from './publish.ts';
import type { Publication, PublishTarget } from './publish.ts';

const RELEASE_PATIENCE_MS = 3000;
const RELEASE_RETRY_MS = 10;

export class HostPorts {
  readonly #clock: Clock;
  readonly #book = new PortBook();
  /** Ports that were given back lately (`tcp/80`), and when. */
  readonly #released = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Takes the ports of all requests, or none. The shim of a container that is down lets go of its sockets when it leaves,
   * which may be a moment after us: a port that was just released is worth waiting for.
   */
  async take(requests: readonly PortRequest[], options: { target: PublishTarget; defaultHostIp: string }): Promise<Publication> {
    for (;;) {
      try {
        return publishPorts(requests, { ...options, book: this.#book, ephemeral: ephemeralRange(readSysctl('net.ipv4.ip_local_port_range')) });
      } catch (error) {
        if (!isAddressInUse(error) || !requests.some((request) => this.#wasJustReleased(request))) throw error;
        await setTimeout(RELEASE_RETRY_MS);
      }
    }
  }

  /** Ports that a container has already. */
  hold(ports: readonly PublishedPort[]): void {
    for (const { proto, hostIp, hostPort } of ports.filter(isHostPort)) this.#book.hold({ proto, address: hostIp, port: hostPort });
  }

  release(ports: readonly PublishedPort[]): void {
    const now = this.#forgetOldReleases();
    for (const { proto, hostIp, hostPort } of ports.filter(isHostPort)) {
      this.#book.release({ proto, address: hostIp, port: hostPort });
      this.#released.set(`${proto}/${hostPort}`, now);
    }
  }

  #wasJustReleased({ proto, firstHostPort }: PortRequest): boolean {
    this.#forgetOldReleases();
    return this.#released.has(`${proto}/${firstHostPort}`);
  }

  /** Gives the time it is. */
  #forgetOldReleases(): number {
    const now = this.#clock.monotonicMs();
    for (const [key, atMs] of this.#released) if (now - atMs > RELEASE_PATIENCE_MS) this.#released.delete(key);
    return now;
  }
}

/** True if another process has the port that was asked for. */
function isAddressInUse(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (errnoOf(cause) === 'EADDRINUSE') return true;
  return false;
}
