/** The nft program: scripts in (one transaction each), JSON out. */
import { closeSync, writeSync } from 'node:fs';
import { internal, messageOf } from '../base/errors.ts';
import { check, prototype } from './libc.ts';
import { run } from './spawn.ts';

const MFD_CLOEXEC = 1;
const memfdCreate = prototype<(name: string, flags: number) => number>('int memfd_create(const char *name, unsigned int flags)');

/** Carries out a script (nft's language) as one transaction: all of it or, with an error, nothing. */
export async function nftApply(script: string): Promise<void> {
  // nft cannot open the socket that is a child's stdin (ENXIO), and a temporary file would outlive a crash.
  const fd = check('memfd_create', memfdCreate()('moored-nft', MFD_CLOEXEC));
  try {
    const data = Buffer.from(script);
    for (let written = 0; written < data.length;) written += writeSync(fd, data, written);
    const result = await run(['nft', '-f', `/proc/${process.pid}/fd/${fd}`]);
    if (result.code !== 0) throw internal(`nft: ${firstLine(result.stderr)}`);
  } finally {
    closeSync(fd);
  }
}

/** The objects of `nft -j list table FAMILY NAME`; undefined if there is no such table. */
export async function nftListTable(family: string, name: string): Promise<unknown[] | undefined> {
  const result = await run(['nft', '-j', 'list', 'table', family, name]);
  if (result.code !== 0) {
    if (result.stderr.includes('No such file or directory')) return undefined;
    throw internal(`nft: ${firstLine(result.stderr)}`);
  }
  return objectsOf(result.stdout);
}

/** The chains of all tables, without their rules. */
export async function nftListChains(): Promise<unknown[]> {
  const result = await run(['nft', '-j', 'list', 'chains']);
  if (result.code !== 0) throw internal(`nft: ${firstLine(result.stderr)}`);
  return objectsOf(result.stdout);
}

function objectsOf(stdout: string): unknown[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(stdout);
  } catch (error) {
    throw internal(`nft: ${messageOf(error)}`, error);
  }
  if (typeof parsed !== 'object' || parsed === null || !('nftables' in parsed) || !Array.isArray(parsed.nftables)) throw internal('nft: no list of objects');
  return parsed.nftables;
}

const firstLine = (output: string): string => output.trim().split('\n', 1)[0] ?? '';
