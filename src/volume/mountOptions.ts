/** Options of a local volume (`--opt type= device= o=`) as calls of mount(2). Pure, but for the look-up of a server's name. */
import { isIP, isIPv4 } from 'node:net';
import { invalid } from '../base/errors.ts';

/** Flags of mount(2) by the words of mount(8); `clear` takes one away. */
const FLAGS: Readonly<Record<string, { readonly flag: number; readonly clear?: boolean }>> = {
  defaults: { flag: 0 },
  ro: { flag: 0x1 }, rw: { flag: 0x1, clear: true },
  nosuid: { flag: 0x2 }, suid: { flag: 0x2, clear: true },
  nodev: { flag: 0x4 }, dev: { flag: 0x4, clear: true },
  noexec: { flag: 0x8 }, exec: { flag: 0x8, clear: true },
  sync: { flag: 0x10 }, async: { flag: 0x10, clear: true },
  remount: { flag: 0x20 },
  mand: { flag: 0x40 }, nomand: { flag: 0x40, clear: true },
  dirsync: { flag: 0x80 },
  noatime: { flag: 0x400 }, atime: { flag: 0x400, clear: true },
  nodiratime: { flag: 0x800 }, diratime: { flag: 0x800, clear: true },
  bind: { flag: 0x1000 }, rbind: { flag: 0x5000 },
  relatime: { flag: 0x200000 }, norelatime: { flag: 0x200000, clear: true },
  strictatime: { flag: 0x1000000 }, nostrictatime: { flag: 0x1000000, clear: true },
};

const PROPAGATION: Readonly<Record<string, number>> = {
  unbindable: 0x20000, runbindable: 0x24000, private: 0x40000, rprivate: 0x44000,
  slave: 0x80000, rslave: 0x84000, shared: 0x100000, rshared: 0x104000,
};

export interface ParsedOptions {
  readonly flags: number;
  /** A call of its own each: the kernel takes no propagation together with anything else. */
  readonly propagation: readonly number[];
  /** What the file system is to read. */
  readonly data: string;
}

export function parseMountOptions(text: string): ParsedOptions {
  let flags = 0;
  const propagation: number[] = [];
  const data: string[] = [];
  for (const word of text.split(',').filter((part) => part !== '')) {
    const known = Object.hasOwn(FLAGS, word) ? FLAGS[word] : undefined;
    const mode = Object.hasOwn(PROPAGATION, word) ? PROPAGATION[word] : undefined;
    if (known !== undefined) flags = known.clear === true ? flags & ~known.flag : flags | known.flag;
    else if (mode !== undefined) propagation.push(mode);
    else data.push(word);
  }
  return { flags, propagation, data: data.join(',') };
}

export interface NetworkMount {
  readonly type: string;
  readonly device: string;
  readonly options: string;
}

/**
 * The kernel looks no names up: `addr=` of NFS and CIFS, or the server in a CIFS device, is replaced by its address at each
 * mount.
 */
export async function resolveServer(mount: NetworkMount, lookup: (name: string) => Promise<string>): Promise<NetworkMount> {
  if (mount.type !== 'nfs' && mount.type !== 'nfs4' && mount.type !== 'cifs') return mount;
  const resolve = async (name: string): Promise<string> => {
    try {
      return await lookup(name);
    } catch (error) {
      throw invalid(`error resolving passed in network volume address: lookup ${name}: no such host`, error);
    }
  };
  const address = /(?:^|,)addr=([^,]*)/.exec(mount.options)?.[1] ?? '';
  if (address !== '') {
    if (isIPv4(address)) return mount;
    const resolved = isIP(address) === 0 ? await resolve(address) : address;
    return { ...mount, options: mount.options.replace(`addr=${address}`, () => `addr=${resolved}`) };
  }
  const server = mount.type === 'cifs' ? /^\/\/([^/]+)/.exec(mount.device)?.[1] ?? '' : '';
  if (server === '' || isIP(server) !== 0) return mount;
  const resolved = await resolve(server);
  return { ...mount, device: `//${resolved}${mount.device.slice(server.length + 2)}` };
}

/** Secrets of CIFS do not belong into messages. */
export const hidePassword = (text: string): string => text.replaceAll(/(pass(?:word)?=)[^,\s]*/g, '$1********');
