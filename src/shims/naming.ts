/** What a shim's directory (docs/shim-contract.md section 2) says about it. */
import { basename, dirname } from 'node:path';
import { shortId } from '../base/ids.ts';

/** `<exec-root>/containers/<id>/execs/<exec-id>`. */
export const isExecDir = (dir: string): boolean => basename(dirname(dir)) === 'execs';

/** The container's id. */
export const shimContainer = (dir: string): string => basename(isExecDir(dir) ? dirname(dirname(dir)) : dir);

/** How a shim is called in messages. */
export const shimName = (dir: string): string => `shim of ${isExecDir(dir) ? 'exec session ' : ''}${shortId(basename(dir))}`;
