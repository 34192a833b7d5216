/** Judges what systemd does with the daemon's service, and when the host goes down. Pure. */
import { isAlive } from './facts.ts';
import type { Facts, UnitFacts } from './facts.ts';
import type { Finding } from './finding.ts';

type UnitFinding = Pick<Finding, 'level' | 'text' | 'advice'>;

/** Containers and shims lie outside the service's cgroup; these settings guard what is on its way there, and their mounts. */
export function checkUnit(facts: Facts): Finding[] {
  const { unit, daemonConfined, daemonPid } = facts.host;
  const lives = facts.containers.some(isAlive);
  const findings: UnitFinding[] = [
    ...(daemonConfined === true ? [{ level: 'problem' as const, text: `the daemon (process ${daemonPid}) has a mount namespace of its own: mounts and network namespaces that it makes for containers go with it`, advice: 'start it in the host\'s own' }] : []),
    ...(unit === undefined ? [] : [...settings(unit), ...around(unit, lives)]),
  ];
  if (findings.length > 0) return findings.map((finding) => ({ subject: 'host', check: 'unit', ...finding }));
  return unit === undefined ? [] : [{ level: 'ok', subject: 'host', check: 'unit', text: `${unit.name}: KillMode=${unit.killMode}, Delegate=yes` }];
}

function settings({ name, killMode, delegate, restart, confining, removesExecRoot }: UnitFacts): UnitFinding[] {
  const findings: UnitFinding[] = [];
  if (killMode !== 'process' && killMode !== 'none') {
    findings.push({ level: 'problem', text: `${name} has KillMode=${killMode}: stopping it may kill shims and runtimes`, advice: 'set KillMode=process' });
  }
  if (removesExecRoot) {
    findings.push({ level: 'problem', text: `${name} has RuntimeDirectory= without RuntimeDirectoryPreserve=yes: the exec root is removed when it stops, and with it what finds running containers`, advice: 'set RuntimeDirectoryPreserve=yes, or leave RuntimeDirectory out' });
  }
  if (confining.length > 0) {
    findings.push({ level: 'problem', text: `${name} has ${confining.join(', ')}: mounts that it makes for containers go with it`, advice: `remove ${confining.length === 1 ? 'the setting' : 'the settings'}` });
  }
  if (!delegate) findings.push({ level: 'note', text: `${name} lacks Delegate=yes: systemd may rearrange cgroups`, advice: 'set Delegate=yes' });
  if (restart === 'no') findings.push({ level: 'note', text: `${name} has Restart=no: a daemon that crashes stays away`, advice: 'set Restart=always' });
  return findings;
}

function around({ stopsWithHost, keepsSocket }: UnitFacts, lives: boolean): UnitFinding[] {
  const findings: UnitFinding[] = [];
  if (!stopsWithHost && lives) {
    findings.push({ level: 'note', text: 'moored-containers.service is not active: when the host goes down containers are killed instead of stopped in order', advice: 'systemctl start moored-containers.service' });
  }
  if (!keepsSocket) findings.push({ level: 'note', text: 'moored.socket is not active: clients are refused while the daemon is away', advice: 'systemctl enable --now moored.socket' });
  return findings;
}
