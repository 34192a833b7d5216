/** The composition root: builds the engine and the API from the configuration, and says how they end. */
import type { RequestListener } from 'node:http';
import { pingRoutes } from '../api/ping.ts';
import { createRouter } from '../api/router.ts';
import { apiHandler } from '../api/server.ts';
import type { Logger } from '../base/logger.ts';
import type { Reloaded } from '../core/options/configure.ts';
import type { Config } from '../core/options/table.ts';
import { VERSION } from './version.ts';

export interface Shutdown {
  /** The host goes down: containers are stopped whatever live restore says, and the right ones start again after boot. */
  readonly hostDown: boolean;
}

export interface Daemon {
  readonly handler: RequestListener;
  /** Applies a configuration that is known to be valid. What it throws is logged; the configuration counts all the same. */
  reload(reloaded: Reloaded): void | Promise<void>;
  /** Lets go. Clients are gone already; the process ends when this is done. */
  shutdown(how: Shutdown): Promise<void>;
}

/** Everything that has to be there before a request is answered. */
export async function compose(config: Config, logger: Logger): Promise<Daemon> {
  const router = createRouter(pingRoutes({ swarmState: () => 'inactive' }));
  return {
    handler: apiHandler({ router, logger, version: VERSION, experimental: config.experimental }),
    reload() {},
    async shutdown() {},
  };
}
