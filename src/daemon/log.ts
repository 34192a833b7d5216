/** Log lines as logrus writes them, which is what people's tools read of dockerd. */
import { rfc3339Fixed, systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { stringify } from '../base/json.ts';
import { LOG_LEVELS } from '../base/logger.ts';
import type { LogFields, LogLevel, Logger } from '../base/logger.ts';

export interface LogSettings {
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
}

export interface DaemonLogger extends Logger {
  /** The last words before the process ends. */
  fatal(message: string, fields?: LogFields): void;
  /** From the next line on. */
  configure(settings: LogSettings): void;
}

export interface LogTarget {
  readonly write: (line: string) => void;
  readonly clock?: Clock;
}

/** A logger that writes whole lines to the target, stderr by default. */
export function createLogger(initial: LogSettings, target: LogTarget = { write: writeStderr }): DaemonLogger {
  const clock = target.clock ?? systemClock;
  let settings = initial;
  const log = (level: LogLevel, message: string, fields: LogFields = {}) => {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(settings.level)) return;
    const entry = { time: rfc3339Fixed(clock.nowNs()), level, message, fields };
    target.write(settings.format === 'json' ? jsonLine(entry) : textLine(entry));
  };
  return {
    debug: (message, fields) => log('debug', message, fields),
    info: (message, fields) => log('info', message, fields),
    warn: (message, fields) => log('warn', message, fields),
    error: (message, fields) => log('error', message, fields),
    fatal: (message, fields) => log('fatal', message, fields),
    configure(next) {
      settings = next;
    },
  };
}

/** The level that the options ask for; logrus knows a few more names. */
export function logLevel(options: { readonly debug: boolean; readonly logLevel: string }): LogLevel {
  if (options.debug) return 'debug';
  const name = options.logLevel.toLowerCase();
  if (name === 'warning') return 'warn';
  return LOG_LEVELS.find((level) => level === name) ?? 'fatal';
}

// Whoever reads the log may go; that is no reason to end.
function writeStderr(line: string): void {
  process.stderr.write(line);
}

interface Entry {
  readonly time: string;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

function textLine({ time, level, message, fields }: Entry): string {
  const pairs = [`time=${quote(time)}`, `level=${level === 'warn' ? 'warning' : level}`, `msg=${quote(message)}`];
  for (const key of Object.keys(fields).toSorted()) {
    if (fields[key] !== undefined) pairs.push(`${key}=${quote(show(fields[key]))}`);
  }
  return `${pairs.join(' ')}\n`;
}

function jsonLine({ time, level, message, fields }: Entry): string {
  const object: Record<string, unknown> = { level: level === 'warn' ? 'warning' : level, msg: message, time };
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined) object[key in object ? `fields.${key}` : key] = value instanceof Error ? value.message : value;
  }
  return `${stringify(object)}\n`;
}

function show(value: unknown): string {
  if (typeof value === 'string') return value;
  return value instanceof Error ? messageOf(value) : stringify(value);
}

/** Bare if it is made of harmless characters only, else quoted: one line stays one line. */
function quote(text: string): string {
  return text !== '' && /^[a-zA-Z0-9\-._/@^+]+$/.test(text) ? text : JSON.stringify(text);
}
