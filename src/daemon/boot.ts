/** From the command line to a serving daemon, and back down. */
import type { RequestListener } from 'node:http';
import { invalid, messageOf, MooredError } from '../base/errors.ts';
import { configure, notices, reload } from '../core/options/configure.ts';
import { parseCommandLine } from '../core/options/flags.ts';
import type { CommandLine } from '../core/options/flags.ts';
import { helpText } from '../core/options/help.ts';
import { OPTIONS } from '../core/options/table.ts';
import type { Config } from '../core/options/table.ts';
import { startStep } from '../base/trace.ts';
import { checkDataVersion, recordDataVersion } from '../store/dataVersion.ts';
import { sdNotify } from '../sys/sdNotify.ts';
import type { Notify } from '../sys/sdNotify.ts';
import type { Daemon } from './compose.ts';
import { openListeners } from './listeners.ts';
import { takeRoots, writePidFile } from './lock.ts';
import { createLogger, logLevel } from './log.ts';
import type { DaemonLogger } from './log.ts';
import { readSource } from './readSource.ts';
import { effectiveRoots, pendingRootText, recordRoot } from './roots.ts';
import { describeOnUser1, stopRequested } from './signals.ts';
import { COMMIT, VERSION } from './version.ts';

/** SIGHUPs so far, and whom to tell about the next one. */
export interface HangUps {
  count: number;
  notify: () => void;
}

/** Runs the daemon until it is told to stop, then ends the process. */
export async function boot(args: readonly string[], hangUps: HangUps): Promise<void> {
  // Whoever reads the log may go; that is no reason to end.
  process.stderr.on('error', () => {});
  process.umask(0o022);
  let commandLine: CommandLine;
  let config: Config;
  try {
    commandLine = parseCommandLine(args);
    if (commandLine.help || commandLine.version) {
      process.stdout.write(commandLine.help ? helpText() : `moored version ${VERSION}, build ${COMMIT}\n`);
      return;
    }
    config = configure(readSource(commandLine));
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exit(1);
  }
  if (config.validate) {
    process.stderr.write('configuration OK\n');
    return;
  }
  const logger = createLogger(logSettings(config));
  endOnStrayErrors(logger);
  try {
    await run({ commandLine, config, logger, hangUps });
  } catch (error) {
    // Whatever is no error of ours is a bug, and its place is what helps.
    logger.fatal(messageOf(error), error instanceof MooredError ? {} : { stack: error instanceof Error ? error.stack : undefined });
    process.exit(1);
  }
  process.exit(0);
}

interface Run {
  readonly commandLine: CommandLine;
  readonly config: Config;
  readonly logger: DaemonLogger;
  readonly hangUps: HangUps;
}

async function run({ commandLine, config: configured, logger, hangUps }: Run): Promise<void> {
  if (process.geteuid?.() !== 0) throw invalid('moored needs to be started with root privileges');
  logger.info('Starting up', { version: VERSION, commit: COMMIT, node: process.version });
  describeOnUser1(logger);
  const stop = stopRequested(logger);
  const notify = tolerant(sdNotify(), logger);
  for (const { key, status } of notices(configured)) {
    logger.warn(status === 'not-yet' ? `option ${key} is not honoured yet` : `option ${key} is accepted and has no effect`);
  }

  startStep('options');
  using held = new DisposableStack();
  const { dataRoot, execRoot, pending, moved } = effectiveRoots(configured);
  await checkDataVersion(dataRoot, VERSION);
  const roots = { dataRoot, execRoot };
  const config = { ...configured, ...roots };
  held.use(takeRoots(config));
  await recordDataVersion(dataRoot, VERSION);
  await recordRoot(roots, 'dataRoot');
  if (!moved) await recordRoot(roots, 'execRoot');
  startStep('roots');
  const gate = createGate();
  const listeners = await openListeners(config, gate.handler, logger);
  held.use(writePidFile(config.pidfile));
  startStep('listeners');
  try {
    const { compose } = await import('./compose.ts');
    const daemon = await compose(config, logger, { pending: pending.map(pendingRootText), moved });
    await recordRoot(roots, 'execRoot');
    gate.open(daemon.handler);
    startStep('API answers');
    reloadOnHangUp({ commandLine, config: configured, roots, logger, hangUps, daemon, notify });
    logger.info('Daemon has completed initialization');
    notify({ READY: '1', STATUS: 'serving' });
    const { signal, hostDown } = await stop;
    notify({ STOPPING: '1' });
    hangUps.notify = () => {};
    await listeners.close();
    await daemon.shutdown({ hostDown });
    logger.info('Daemon shutdown complete', { signal });
  } finally {
    await listeners.close();
  }
}

/** Requests that come before the engine is there wait for it. */
function createGate(): { readonly handler: RequestListener; open(handler: RequestListener): void } {
  const ready = Promise.withResolvers<RequestListener>();
  let open: RequestListener | undefined;
  return {
    handler: (request, response) => {
      if (open !== undefined) open(request, response);
      else void ready.promise.then((handler) => handler(request, response));
    },
    open(handler) {
      open = handler;
      ready.resolve(handler);
    },
  };
}

interface Reloading extends Run {
  /** Those in use, whatever the options say. */
  readonly roots: Pick<Config, 'dataRoot' | 'execRoot'>;
  readonly daemon: Daemon;
  readonly notify: Notify;
}

/** Reloads at each SIGHUP, one after the other; also for one that came during the start. */
function reloadOnHangUp(run: Reloading): void {
  let current = run.config;
  let seen = 0;
  let active = false;
  run.hangUps.notify = () => {
    if (active) return;
    active = true;
    void (async () => {
      while (seen < run.hangUps.count) {
        seen = run.hangUps.count;
        current = await reloadOnce(run, current);
      }
      active = false;
    })();
  };
  if (run.hangUps.count > 0) run.hangUps.notify();
}

async function reloadOnce({ commandLine, roots, logger, daemon, notify }: Reloading, current: Config): Promise<Config> {
  logger.info(`Got signal to reload configuration, reloading from: ${current.configFile}`);
  notify({ RELOADING: '1', MONOTONIC_USEC: String(process.hrtime.bigint() / 1000n) });
  try {
    const reloaded = reload(current, readSource(commandLine));
    logger.configure(logSettings(reloaded.config));
    try {
      await daemon.reload({ ...reloaded, config: { ...reloaded.config, ...roots } });
    } catch (error) {
      logger.error('Error reconfiguring the daemon', { error });
    }
    logger.info('Reloaded configuration', { changed: keys(reloaded.changed) });
    if (reloaded.pending.length > 0) {
      logger.warn('some changes wait for a restart of the daemon', { pending: keys(reloaded.pending) });
    }
    return reloaded.config;
  } catch (error) {
    logger.error('Error reloading configuration', { error });
    return current;
  } finally {
    notify({ READY: '1' });
  }
}

const keys = (names: readonly (keyof Config)[]): string =>
  names.map((name) => ('key' in OPTIONS[name] ? (OPTIONS[name].key?.join('.') ?? name) : name)).join(', ');

const logSettings = (config: Config) => ({
  level: logLevel(config),
  format: config.logFormat === 'json' ? ('json' as const) : ('text' as const),
});

/** A service manager that cannot be told is no reason to fail. */
function tolerant(notify: Notify, logger: DaemonLogger): Notify {
  return (state) => {
    try {
      notify(state);
    } catch (error) {
      logger.warn('could not notify the service manager', { error });
    }
  };
}

/** An error that nobody caught leaves an unknown state: end, and let the next start recover. */
function endOnStrayErrors(logger: DaemonLogger): void {
  const end = (error: unknown) => {
    logger.fatal(`uncaught error: ${messageOf(error)}`, { stack: error instanceof Error ? error.stack : undefined });
    process.exit(2);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}
