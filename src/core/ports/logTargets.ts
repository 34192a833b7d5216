/**
 * Logs that go to a target: syslog, journald, fluentd, gelf. The shim's file is a durable spool, and a forwarder with a
 * cursor of its own hands what is in it to the target, so that no container and no API call ever waits for one.
 */
import type { LogSubject } from '../log/attributes.ts';
import type { LogConfig } from '../log/values.ts';

/** Part of a line longer than 16 KiB. */
export interface PartialMessage {
  /** The same for all parts of a line, and for a part that is sent again. */
  readonly id: string;
  /** From 1. */
  readonly ordinal: number;
  readonly last: boolean;
}

export interface LogMessage {
  readonly stream: 'stdout' | 'stderr';
  readonly timeNs: bigint;
  /** Without the final newline. */
  readonly text: string;
  /** Counts the messages of a container from 1; the same for one that is sent again. */
  readonly ordinal: number;
  /** undefined: a whole line. */
  readonly partial: PartialMessage | undefined;
}

/** Where messages go. Every adapter passes the suite in src/logs/targets/targets.test.ts. */
export interface LogTarget {
  /** For people: `syslog tcp://10.0.0.1:514`. */
  readonly address: string;
  /**
   * Hands over messages in order, connecting first if need be; resolves when the target (or, where its protocol does not
   * confirm, the kernel on its side) has them all. Throws DeliveryError. Bounded in time. Not called twice at a time.
   */
  send(messages: readonly LogMessage[]): Promise<void>;
  /** Lets go at once; a send that is under way fails. The next send connects again. */
  close(): void;
}

/** A send that did not succeed. */
export class DeliveryError extends Error {
  /** So many of the messages, from the first, were handed over. */
  readonly delivered: number;
  /** The target broke off in a way that may have lost what it confirmed a moment ago. */
  readonly doubtful: boolean;

  constructor(message: string, options: { delivered?: number; doubtful?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'DeliveryError';
    this.delivered = options.delivered ?? 0;
    this.doubtful = options.doubtful ?? false;
  }
}

/** One container's log, to be forwarded. */
export interface ForwardJob {
  readonly driver: string;
  readonly config: LogConfig;
  readonly subject: LogSubject;
  /** The spool; rotated files beside it. */
  readonly logPath: string;
  /** Where the forwarder keeps how far it came. */
  readonly cursorPath: string;
  /** It writes; else what is there is forwarded and that is all. */
  readonly live: boolean;
}

export interface ForwardState {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  /** Why the last attempt failed, or empty. */
  readonly error: string;
  /** Bytes of the spool that wait. */
  readonly behindBytes: number;
  /** Times that the spool was rotated away before it was delivered, and at least so many bytes of it. */
  readonly gaps: number;
  readonly lostBytes: number;
}

export interface LogForwardPort {
  /** Begins to forward, or goes on where an earlier forwarder came to. Another job for the same container replaces the first. Never waits. */
  start(job: ForwardJob): void;
  /** Nothing more is written: the forwarder ends when all is delivered. */
  ended(id: string): void;
  /** The log is about to be removed: what can be delivered within a bound is; resolves when the files are let go. */
  finish(id: string): Promise<void>;
  /** Of every forwarder that is at work. */
  states(): Promise<ForwardState[]>;
  /** Lets go of everything; what a target is just taking is waited for within a bound. */
  close(): Promise<void>;
}
