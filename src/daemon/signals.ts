/** What the daemon does when it is told to stop, by whatever signal. */
import { constants } from 'node:os';
import type { Logger } from '../base/logger.ts';

export interface StopRequest {
  readonly signal: NodeJS.Signals;
  readonly hostDown: boolean;
}

/** Whoever sends that many has lost patience. */
const FORCE_AT = 3;

/** Resolves at the first SIGINT or SIGTERM, or SIGPWR, which init sends when the power fails. The third one ends the process at once. */
export function stopRequested(logger: Logger): Promise<StopRequest> {
  const { promise, resolve } = Promise.withResolvers<StopRequest>();
  let count = 0;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGPWR'] as const) {
    process.on(signal, () => {
      count += 1;
      logger.info(`Processing signal '${signal}'`);
      if (count >= FORCE_AT) {
        logger.info(`Forcing shutdown without cleanup; ${FORCE_AT} interrupts received`);
        process.exit(128 + constants.signals[signal]);
      }
      resolve({ signal, hostDown: signal === 'SIGPWR' });
    });
  }
  return promise;
}

/** SIGUSR1 tells what the process holds, instead of opening Node's debugger to the machine. */
export function describeOnUser1(logger: Logger): void {
  process.on('SIGUSR1', () => {
    const resources: Record<string, number> = {};
    for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
    logger.info('state of the process', { ...process.memoryUsage(), resources, uptime: process.uptime() });
  });
}
