/** Judges one container: whether it will be carried over a daemon's absence, and shown and managed after it. Pure. */
import { isAlive } from './facts.ts';
import type { Condition, ContainerFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { sizeText } from './sizeText.ts';

type Check = (facts: ContainerFacts) => Omit<Finding, 'subject' | 'container'>[];

/** Records count also while nothing of it runs. */
const ALWAYS: readonly Check[] = [record, view, logTarget];
const WHILE_ALIVE: readonly Check[] = [status, shim, init, service, logPipe, dropped, health, sandbox, namespace, rootfs, ports];

export function checkContainer(facts: ContainerFacts): Finding[] {
  const subject = facts.name === '' ? facts.id.slice(0, 12) : facts.name;
  const checks = isAlive(facts) ? [...ALWAYS, ...WHILE_ALIVE] : [...ALWAYS, ended];
  return checks.flatMap((check) => check(facts)).map((finding) => ({ ...finding, subject, container: facts.id }));
}

const reasonOf = (condition: Condition): string => ('reason' in condition ? `${condition.kind}: ${condition.reason}` : condition.kind);

/** What cannot be read for want of permission says nothing of the container. */
const levelOf = (condition: Condition): Finding['level'] => (condition.kind === 'unreadable' ? 'unknown' : 'problem');

function record({ record: condition }: ContainerFacts): ReturnType<Check> {
  if (condition.kind === 'ok') return [{ level: 'ok', check: 'record', text: 'can be read' }];
  return [{ level: levelOf(condition), check: 'record', text: `is ${reasonOf(condition)}: the container is listed with this reason, and can be stopped and removed only`, advice: 'restore config.json from a backup while no daemon runs, or remove the container' }];
}

function logTarget({ logTarget: found }: ContainerFacts): ReturnType<Check> {
  if (found === undefined) return [];
  const { driver, error, behindBytes, gaps, lostBytes } = found;
  const findings: ReturnType<Check> = [];
  const waits = `${sizeText(BigInt(behindBytes))} of its log ${behindBytes === 1 ? 'waits' : 'wait'}`;
  if (error !== '') findings.push({ level: 'note', check: 'log target', text: `${driver} cannot be reached (${error}): ${waits}`, advice: 'mend the target: what waits is sent by itself, as long as rotation has not taken it away' });
  if (gaps > 0) findings.push({ level: 'note', check: 'log target', text: `${driver} missed ${lostBytes === 0 ? 'an unknown part' : `at least ${sizeText(BigInt(lostBytes))}`} of its log, rotated away before it was delivered`, advice: 'give the log more room: cache-max-size, cache-max-file' });
  if (findings.length > 0) return findings;
  return [{ level: 'ok', check: 'log target', text: behindBytes === 0 ? `${driver} has everything` : `${driver} is reached; ${waits}` }];
}

function view({ view: condition }: ContainerFacts): ReturnType<Check> {
  if (condition.kind === 'ok' || condition.kind === 'missing') return [];
  return [{ level: condition.kind === 'unreadable' ? 'unknown' : 'note', check: 'view', text: `is ${reasonOf(condition)}: it is made anew from the journal, events may be told twice` }];
}

function status({ status: condition }: ContainerFacts): ReturnType<Check> {
  if (condition.kind === 'ok') return [];
  return [{ level: levelOf(condition), check: 'status', text: `of its shim is ${reasonOf(condition)}`, advice: 'stop and start the container at the next occasion' }];
}

function shim({ shim: found, contract, shimStatus, init: process }: ContainerFacts): ReturnType<Check> {
  const pid = shimStatus?.shimPid ?? 0;
  switch (found) {
    case 'answering':
      return [{ level: 'ok', check: 'shim', text: `answers (process ${pid}, version ${shimStatus?.shimVersion ?? '?'}, contract ${shimStatus?.contract ?? '?'})` }];
    case 'foreign':
      return [{ level: 'problem', check: 'shim', text: `speaks contract ${contract}, which this release does not know (process ${pid})`, advice: 'start the release that started it; this one can only stop the container' }];
    case 'stopped':
      return [{ level: 'problem', check: 'shim', text: `is stopped by a signal (process ${pid}): no log, no restarts, no stop in order`, advice: `kill -CONT ${pid}` }];
    case 'silent':
      return [{ level: 'problem', check: 'shim', text: `does not answer (process ${pid}): no log, no restarts, no stop in order`, advice: `see what holds it up (/proc/${pid}/stack); killing it gives the container another one at the daemon's next start` }];
    case 'gone':
      return process === 'alive' ? [{ level: 'problem', check: 'shim', text: 'is gone: nobody reads the log, and the exit code will be unknown', advice: "start or restart the daemon: it gives the container another shim" }] : [];
  }
}

function init({ init: found, shimStatus }: ContainerFacts): ReturnType<Check> {
  if (found === 'alive') return [{ level: 'ok', check: 'process', text: `${shimStatus?.state === 'created' ? 'is created' : 'runs'} (process ${shimStatus?.pid ?? 0})` }];
  if (found === 'unknown') return [{ level: 'unknown', check: 'process', text: 'whether it runs is not known: its status cannot be read' }];
  if (shimStatus?.state === 'restarting') return [{ level: 'note', check: 'process', text: `its shim will start it again${shimStatus.error === '' ? '' : ` (the last attempt failed: ${shimStatus.error})`}` }];
  return [{ level: 'note', check: 'process', text: 'has just ended; its shim is clearing up' }];
}

function service({ shimService }: ContainerFacts): ReturnType<Check> {
  if (shimService === '') return [];
  return [{ level: 'problem', check: 'cgroup', text: `its shim lies in the cgroup of ${shimService} and may be ended with it`, advice: 'restart the container with a daemon that runs as a service with Delegate=yes' }];
}

function logPipe({ pipeAsked, shimStatus }: ContainerFacts): ReturnType<Check> {
  const got = shimStatus?.pipeSize ?? 0;
  if (pipeAsked === undefined || got === 0) return [];
  // The kernel rounds up; 0 asks for its default.
  if (got >= pipeAsked) return [{ level: 'ok', check: 'log pipe', text: sizeText(BigInt(got)) }];
  return [{ level: 'note', check: 'log pipe', text: `is ${sizeText(BigInt(got))} instead of ${sizeText(BigInt(pipeAsked))}`, advice: 'raise fs.pipe-max-size and fs.pipe-user-pages-soft, then restart the container' }];
}

function dropped({ shimStatus }: ContainerFacts): ReturnType<Check> {
  const count = shimStatus?.logDropped ?? 0n;
  if (count === 0n) return [];
  return [{ level: 'note', check: 'log', text: `${count} lines were dropped since its start`, advice: 'make room on the data root, or give a non-blocking log a larger buffer' }];
}

function health({ shimStatus }: ContainerFacts): ReturnType<Check> {
  if (shimStatus === undefined || shimStatus.health === 'none') return [];
  if (shimStatus.health === 'unhealthy') return [{ level: 'note', check: 'health', text: `unhealthy, ${shimStatus.healthStreak} failures in a row`, advice: 'see docker inspect' }];
  return [{ level: 'ok', check: 'health', text: shimStatus.health }];
}

function sandbox({ sandbox: condition }: ContainerFacts): ReturnType<Check> {
  if (condition.kind === 'ok' || condition.kind === 'missing') return [];
  return [{ level: levelOf(condition), check: 'sandbox', text: `record is ${reasonOf(condition)}: its addresses and ports may be given to others`, advice: 'restart the container' }];
}

function namespace({ netnsPinned, networks }: ContainerFacts): ReturnType<Check> {
  if (netnsPinned === undefined) return [];
  if (netnsPinned) return [{ level: 'ok', check: 'network', text: `namespace pinned${networks.length === 0 ? '' : `, on ${networks.join(', ')}`}` }];
  return [{ level: 'problem', check: 'network', text: 'its network namespace is not pinned any more: it runs on, but cannot be restarted by its shim', advice: 'restart the container' }];
}

function rootfs({ rootfs: found }: ContainerFacts): ReturnType<Check> {
  if (found === undefined) return [];
  if (found.mounted) return [{ level: 'ok', check: 'root', text: 'mounted' }];
  return [{ level: 'problem', check: 'root', text: `${found.path} is not mounted any more: it runs on, but cannot be restarted by its shim`, advice: 'restart the container' }];
}

function ports({ ports: { wanted, missing, error, lost = [] } }: ContainerFacts): ReturnType<Check> {
  if (lost.length > 0) return [{ level: 'problem', check: 'ports', text: `taken by another process: ${lost.join(', ')}`, advice: 'end that process: they are published again by themselves' }];
  if (wanted.length === 0) return [];
  if (error !== '') return [{ level: 'unknown', check: 'ports', text: `whether its shim holds them cannot be seen: ${error}` }];
  if (missing.length === 0) return [{ level: 'ok', check: 'ports', text: `held: ${wanted.join(', ')}` }];
  return [{ level: 'problem', check: 'ports', text: `not held by its shim: ${missing.join(', ')}: another process could take them`, advice: 'restart the container' }];
}

/** Not running: that its policy or the user wants it so is known only to the daemon's next start. */
function ended({ desired, shimStatus }: ContainerFacts): ReturnType<Check> {
  if (desired !== 'running') return [{ level: 'ok', check: 'process', text: 'does not run' }];
  return [{ level: 'note', check: 'process', text: `has ended${shimStatus === undefined ? '' : ` with ${shimStatus.exitCode}`}`, advice: "the daemon's next start takes it up, or its policy starts it" }];
}
