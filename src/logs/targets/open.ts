/** The target of a container's log, by its driver. */
import { internal } from '../../base/errors.ts';
import type { LogSubject } from '../../core/log/attributes.ts';
import { fluentdOptions } from '../../core/log/fluentdOptions.ts';
import { gelfOptions } from '../../core/log/gelfOptions.ts';
import type { LogConfig } from '../../core/log/values.ts';
import type { LogTarget } from '../../core/ports/logTargets.ts';
import { fluentdTarget } from './fluentd.ts';
import { gelfTarget } from './gelf.ts';
import { journaldTarget } from './journald.ts';
import { syslogTarget } from './syslog.ts';

/** Connects to nothing yet. Throws `invalid` for options that a create would have refused. */
export function openTarget(driver: string, config: LogConfig, subject: LogSubject): LogTarget {
  switch (driver) {
    case 'syslog':
      return syslogTarget(config, subject);
    case 'journald':
      return journaldTarget(config, subject);
    case 'fluentd':
      return fluentdTarget(config, subject);
    case 'gelf':
      return gelfTarget(config, subject);
    default:
      throw internal(`log driver ${driver} has no target`);
  }
}

/** How long to wait after the first failure, if the options say so. */
export function firstRetryMs(driver: string, config: LogConfig): number | undefined {
  if (driver === 'fluentd') return fluentdOptions(config).retryWaitMs;
  if (driver === 'gelf') return gelfOptions(config).reconnectDelayMs;
  return undefined;
}
