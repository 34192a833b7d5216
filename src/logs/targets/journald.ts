/** Journald, by its native protocol: one datagram an entry, a field a line, or with its length if it has newlines. */
import { extraAttributes, targetTag } from '../../core/log/attributes.ts';
import type { LogSubject } from '../../core/log/attributes.ts';
import type { LogConfig } from '../../core/log/values.ts';
import { rfc3339Nano } from '../../base/clock.ts';
import type { LogMessage, LogTarget } from '../../core/ports/logTargets.ts';
import { UnixDatagramTarget } from './datagramTarget.ts';

const SOCKET = '/run/systemd/journal/socket';
const PRIORITY = { stdout: '6', stderr: '3' };

export function journaldTarget(config: LogConfig, subject: LogSubject, socket = SOCKET): LogTarget {
  const fixed = fixedFields(config, subject);
  return new UnixDatagramTarget({ address: 'journald', paths: [socket], encode: (message) => [encodeEntry(message, fixed)], longAsFile: true });
}

/** What every entry of a container says, encoded (moby daemon/logger/journald). */
export function fixedFields(config: LogConfig, subject: LogSubject): Buffer {
  const tag = targetTag(config, subject);
  const fields = {
    CONTAINER_ID: subject.id.slice(0, 12),
    CONTAINER_ID_FULL: subject.id,
    CONTAINER_NAME: subject.name,
    CONTAINER_TAG: tag,
    IMAGE_NAME: subject.imageName,
    SYSLOG_IDENTIFIER: tag,
    // Ordinals count over all runs of a container, so its id is their epoch.
    CONTAINER_LOG_EPOCH: subject.id,
    ...extraAttributes(config, subject, fieldName),
  };
  return Buffer.concat(Object.entries(fields).filter(([name]) => name !== '').map(([name, value]) => field(name, value)));
}

export function encodeEntry(message: LogMessage, fixed: Buffer): Buffer {
  const { partial } = message;
  return Buffer.concat([
    field('MESSAGE', message.text),
    field('PRIORITY', PRIORITY[message.stream]),
    fixed,
    field('SYSLOG_TIMESTAMP', rfc3339Nano(message.timeNs)),
    field('CONTAINER_LOG_ORDINAL', String(message.ordinal)),
    ...(partial === undefined ? [] : [
      field('CONTAINER_PARTIAL_ID', partial.id),
      field('CONTAINER_PARTIAL_ORDINAL', String(partial.ordinal)),
      field('CONTAINER_PARTIAL_LAST', String(partial.last)),
      ...(partial.last ? [] : [field('CONTAINER_PARTIAL_MESSAGE', 'true')]),
    ]),
  ]);
}

/** Upper-case letters, digits and underscores, not beginning with one; may be empty (moby sanitizeKeyMod). */
export const fieldName = (name: string): string => name.toUpperCase().replaceAll(/[^A-Z0-9_]/gu, '_').replace(/^_+/, '');

function field(name: string, value: string): Buffer {
  if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}
