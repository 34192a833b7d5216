/** Looking at records without touching them: for programs that are not their writer, whether a daemon runs or not. */
import { readFile } from 'node:fs/promises';
import { errnoOf, messageOf } from '../base/errors.ts';
import { decodeRecord } from './record.ts';
import type { ReadOptions, Versioned } from './record.ts';

/** As `RecordRead`, but what is damaged stays where it is, and what cannot be read at all (permission, a failing disk) is a value too. */
export type Peek<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'missing' }
  | { readonly kind: 'damaged' | 'newer' | 'unreadable'; readonly reason: string };

/** Reads a record; never throws, never changes anything. */
export async function peekRecord<T extends Versioned>(path: string, options: ReadOptions<T>): Promise<Peek<T>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? { kind: 'missing' } : { kind: 'unreadable', reason: messageOf(error) };
  }
  try {
    const value = decodeRecord(text);
    const { schema } = value;
    if (typeof schema === 'number' && schema > options.schema) return { kind: 'newer', reason: `schema ${schema}, this release reads up to ${options.schema}` };
    return { kind: 'ok', value: options.parse(value) };
  } catch (error) {
    return { kind: 'damaged', reason: messageOf(error) };
  }
}
