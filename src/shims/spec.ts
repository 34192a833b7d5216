/** The file `spec` (docs/shim-contract.md section 3): what the daemon tells a shim at its birth. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerShimSpec, ExecShimSpec, ShimHealthSpec, ShimLogSpec, ShimPlaces, ShimPortSpec } from '../core/ports/shim.ts';
import { writeFileAtomic } from '../store/record.ts';
import { encodeRecord, encodeWord, parseRecord } from './codec.ts';
import type { PairValue, RecordLine } from './codec.ts';

/** Descriptor 3 is the ready pipe; the port sockets follow it. */
export const FIRST_PORT_FD = 4;

export const encodeContainerSpec = (spec: ContainerShimSpec): string => encodeRecord('spec', present(containerLines(spec)));
/** Bytes that the stdio FIFOs of a container were to have; undefined if its orders cannot be read. */
export async function readSpecPipeSize(dir: string): Promise<number | undefined> {
  try {
    const read = parseRecord('spec', await readFile(join(dir, 'spec')), (fields) => fields.integer('pipe-size'));
    return read.kind === 'ok' ? read.value : undefined;
  } catch {
    return undefined;
  }
}

const PLACES = { 'log-path': 'log', 'exit-path': 'exit', 'journal-path': 'journal' } as const;

/** Where a container's shim was told that its files and the runtime's are; undefined if its orders cannot be read. */
export async function readPlaces(dir: string): Promise<(ShimPlaces & { runtimeRoot: string }) | undefined> {
  const read = parseRecord('spec', await readFile(join(dir, 'spec')), (fields) => ({
    log: fields.text('log-path'), exit: fields.text('exit-path'), journal: fields.text('journal-path'), runtimeRoot: fields.text('runtime-root'),
  }));
  return read.kind === 'ok' ? read.value : undefined;
}

/** Other places in its orders; all else stays as it is, whoever wrote it. */
export async function writePlaces(dir: string, places: ShimPlaces): Promise<void> {
  const file = join(dir, 'spec');
  const lines = (await readFile(file, 'utf8')).split('\n').map((line) => {
    const [key = ''] = line.split(' ', 1);
    return key in PLACES ? `${key} ${encodeWord(places[PLACES[key as keyof typeof PLACES]])}` : line;
  });
  await writeFileAtomic(file, lines.join('\n'), { durable: false, mode: 0o600 });
}

export const encodeExecSpec = (spec: ExecShimSpec): string => encodeRecord('spec', present(execLines(spec)));

type MaybeLine = readonly [key: string, ...words: (PairValue | undefined)[]];

/** Leaves out the lines of which a word is not set. */
function* present(lines: Iterable<MaybeLine>): Generator<RecordLine> {
  for (const [key, ...words] of lines) {
    const set = words.filter((word) => word !== undefined);
    if (set.length === words.length) yield [key, ...set];
  }
}

function* containerLines(spec: ContainerShimSpec): Generator<MaybeLine> {
  yield ['kind', 'container'];
  yield* commonLines(spec);
  yield* logLines(spec.log);
  yield ['journal-path', spec.journalPath];
  yield ['cgroup-version', spec.cgroup.version];
  yield ['cgroup-memory', spec.cgroup.memoryDir];
  yield ['cgroup-procs', spec.cgroup.procsDir];
  yield ['restart', spec.restart.name];
  yield ['restart-max', spec.restart.maximumRetryCount];
  yield ['restart-count', spec.restartCount];
  yield ['live-restore', spec.liveRestore];
  yield ['stop-signal', spec.stopSignal];
  yield ['stop-timeout-ms', spec.stopTimeoutMs];
  for (const [index, port] of (spec.ports ?? []).entries()) yield portLine(port, FIRST_PORT_FD + index);
  for (const [index, { name }] of (spec.holds ?? []).entries()) yield ['hold', FIRST_PORT_FD + (spec.ports ?? []).length + index, name];
  yield ['resolver', spec.resolverFolder];
  yield ['netns', spec.netns?.path];
  for (const link of spec.netns?.keepLinks ?? []) yield ['keep-link', link];
  if (spec.health !== undefined) yield* healthLines(spec.health);
}

function* execLines(spec: ExecShimSpec): Generator<MaybeLine> {
  yield ['kind', 'exec'];
  yield ['exec-id', spec.execId];
  yield* commonLines(spec);
}

function* commonLines(spec: ContainerShimSpec | ExecShimSpec): Generator<MaybeLine> {
  yield ['id', spec.id];
  yield ['runtime', spec.runtime];
  yield ['runtime-root', spec.runtimeRoot];
  for (const argument of spec.runtimeArgs ?? []) yield ['runtime-arg', argument];
  yield ['systemd-cgroup', spec.systemdCgroup ?? false];
  yield ['terminal', spec.terminal];
  yield ['console-size', spec.consoleSize?.rows, spec.consoleSize?.cols];
  yield ['stdin', spec.stdin];
  yield ['stdin-once', spec.stdinOnce ?? false];
  yield ['pipe-size', spec.pipeSize ?? 0];
  yield ['exit-path', spec.exitPath];
  yield ['rlimit-nofile', spec.rlimitNofile?.soft, spec.rlimitNofile?.hard];
  for (const dir of spec.shimCgroups ?? []) yield ['shim-cgroup', dir];
}

function* logLines(log: ShimLogSpec): Generator<MaybeLine> {
  yield ['log', log.kind];
  if (log.kind === 'none') return;
  yield ['log-path', log.path];
  yield ['log-max-size', log.maxSize];
  yield ['log-max-file', log.maxFile];
  yield ['log-compress', log.compress];
  yield ['log-mode', log.mode];
  yield ['log-buffer', log.bufferBytes];
  yield ['log-attrs', log.attrs === undefined ? undefined : JSON.stringify(log.attrs)];
}

function* healthLines(health: ShimHealthSpec): Generator<MaybeLine> {
  yield ['health-process', health.processFile];
  yield ['health-command', health.command];
  yield ['health-interval-ms', health.intervalMs];
  yield ['health-timeout-ms', health.timeoutMs];
  yield ['health-start-period-ms', health.startPeriodMs];
  yield ['health-start-interval-ms', health.startIntervalMs];
  yield ['health-retries', health.retries];
}

function portLine(port: ShimPortSpec, fd: number): MaybeLine {
  return port.kind === 'reserve' ? ['port', 'reserve', fd] : ['port', port.kind, fd, port.address, port.port];
}
