/**
 * Makes an image out of Debian's static busybox (package busybox-static), so that there is something to run where no
 * registry can be reached: `mkimage.ts OUTPUT.tar [NAME:TAG]`, then `docker load -i OUTPUT.tar`. The archive is the
 * format of `docker save` (manifest.json), the same bytes for the same busybox.
 *
 * The tar is written here by hand and not by the engine's codec: the tests that read it must not believe in themselves.
 */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { run } from '../src/sys/spawn.ts';

/** A file of a layer: `d` directory, `f` regular, `l` symbolic link, `h` hard link to an earlier file. */
export interface Entry {
  readonly name: string;
  readonly type: 'd' | 'f' | 'l' | 'h';
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly content?: string | Uint8Array;
  /** Of a link. */
  readonly target?: string;
}

export interface ImageOptions {
  /** Default `busybox:latest`; empty: no tag. */
  readonly reference?: string;
  /** Layers over the base one, lowest first. */
  readonly extraLayers?: readonly (readonly Entry[])[];
  /** Members of the config's `config` object (`Cmd`, `Env`, `Volumes` …) beside the defaults. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Path of the busybox binary. */
  readonly busybox?: string;
}

const EPOCH = '2024-01-01T00:00:00Z';
const MTIME = Date.parse(EPOCH) / 1000;
const TYPES = { f: '0', h: '1', l: '2', d: '5' } as const;

/** A tar of these entries (ustar; names up to 100 bytes). */
export function makeTar(entries: readonly Entry[]): Buffer {
  const blocks = entries.flatMap((entry) => {
    const content = Buffer.from(entry.content ?? '');
    return [header(entry, content.length), content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function header(entry: Entry, size: number): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, width: number) =>
    block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1');
  const name = entry.type === 'd' ? `${entry.name}/` : entry.name;
  if (Buffer.byteLength(name) > 100) throw new Error(`name too long: ${name}`);
  block.write(name, 0);
  octal(entry.mode ?? (entry.type === 'd' ? 0o755 : entry.type === 'l' ? 0o777 : 0o644), 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(size, 124, 12);
  octal(MTIME, 136, 12);
  block.write('        ', 148);
  block.write(TYPES[entry.type], 156);
  block.write(entry.target ?? '', 157);
  block.write('ustar\x0000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** The root file system: busybox with all its applets as hard links, and the few files that programs look for. */
async function busyboxLayer(busybox: string): Promise<Entry[]> {
  const { stdout } = await run([busybox, '--list']);
  const applets = stdout.split('\n').filter((name) => name !== '' && name !== 'busybox');
  const directory = (name: string, mode = 0o755): Entry => ({ name, type: 'd', mode });
  const file = (name: string, content: string, mode = 0o644): Entry => ({ name, type: 'f', content, mode });
  return [
    directory('bin'),
    { name: 'bin/busybox', type: 'f', mode: 0o755, content: await readFile(busybox) },
    ...applets.map((name): Entry => ({ name: `bin/${name}`, type: 'h', mode: 0o755, target: 'bin/busybox' })),
    directory('dev'),
    directory('etc'),
    file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nwww-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n'),
    file('etc/group', 'root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n'),
    file('etc/shadow', 'root:*:::::::\ndaemon:*:::::::\nwww-data:*:::::::\nnobody:*:::::::\n', 0o640),
    file('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n'),
    directory('home'),
    directory('proc'),
    directory('root', 0o700),
    directory('run'),
    directory('sys'),
    directory('tmp', 0o1777),
    directory('usr'),
    directory('usr/bin'),
    { name: 'usr/bin/env', type: 'l', target: '../../bin/env' },
    directory('usr/sbin'),
    directory('var'),
    { name: 'var/run', type: 'l', target: '../run' },
    directory('var/spool'),
    directory('var/www'),
  ];
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The archive's bytes: a base layer of busybox, and one for each list of `extraLayers`. */
export async function makeBusyboxArchive(options: ImageOptions = {}): Promise<Buffer> {
  return makeArchive([await busyboxLayer(options.busybox ?? '/bin/busybox'), ...(options.extraLayers ?? [])], options);
}

/** An archive's bytes: one layer for each list, lowest first. */
export function makeArchive(contents: readonly (readonly Entry[])[], options: Omit<ImageOptions, 'extraLayers' | 'busybox'>): Buffer {
  const layers = contents.map(makeTar);
  const config = Buffer.from(JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created: EPOCH,
    config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['sh'], ...options.config },
    history: layers.map((_, index) => ({
      created: EPOCH,
      created_by: index === 0 ? 'COPY busybox-static / # from Debian' : `COPY layer ${index}`,
    })),
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
  }));
  const configName = `${sha256(config)}.json`;
  const reference = options.reference ?? 'busybox:latest';
  const manifest = [{
    Config: configName,
    RepoTags: reference === '' ? null : [reference],
    Layers: layers.map((layer) => `${sha256(layer)}/layer.tar`),
  }];
  return makeTar([
    ...layers.flatMap((layer): Entry[] => [
      { name: sha256(layer), type: 'd' },
      { name: `${sha256(layer)}/layer.tar`, type: 'f', content: layer },
    ]),
    { name: configName, type: 'f', content: config },
    { name: 'manifest.json', type: 'f', content: JSON.stringify(manifest) },
  ]);
}

if (import.meta.main) {
  const [output, reference] = process.argv.slice(2);
  if (output === undefined) {
    process.stderr.write('usage: mkimage.ts OUTPUT.tar [NAME:TAG]\n');
    process.exitCode = 2;
  } else {
    await writeFile(output, await makeBusyboxArchive(reference === undefined ? {} : { reference }));
  }
}
