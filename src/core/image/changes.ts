/** The Dockerfile instructions that `docker commit --change` and `docker import --change` take. */
import { posix } from 'node:path';
import { parseDuration } from '../../base/duration.ts';
import { invalid } from '../../base/errors.ts';
import type { ContainerConfig, HealthConfig } from '../container/config.ts';
import { expandWord, splitWords } from './words.ts';

type Change = (config: ContainerConfig, argument: string) => Partial<ContainerConfig>;

const DEFAULT_SHELL = ['/bin/sh', '-c'];

const CHANGES: Readonly<Record<string, Change>> = {
  CMD: (config, argument) => ({ cmd: command(config, argument) }),
  ENTRYPOINT: (config, argument) => ({ entrypoint: command(config, argument) }),
  ENV: (config, argument) => ({ env: pairs('ENV', config, argument).reduce(setEnv, config.env) }),
  EXPOSE: (config, argument) => ({ exposedPorts: union(config.exposedPorts, words(config, argument).flatMap(ports)) }),
  HEALTHCHECK: (_config, argument) => ({ healthcheck: healthcheck(argument) }),
  LABEL: (config, argument) => ({ labels: { ...config.labels, ...Object.fromEntries(pairs('LABEL', config, argument)) } }),
  ONBUILD: (config, argument) => ({ onBuild: [...config.onBuild, onBuild(argument)] }),
  STOPSIGNAL: (config, argument) => ({ stopSignal: one('STOPSIGNAL', config, argument) }),
  USER: (config, argument) => ({ user: one('USER', config, argument) }),
  VOLUME: (config, argument) => ({ volumes: union(config.volumes, volumes(config, argument)) }),
  WORKDIR: (config, argument) => ({ workingDir: posix.resolve(config.workingDir || '/', one('WORKDIR', config, argument)) }),
};

/** The config with the instructions carried out in order; throws `invalid` in the words of Docker's builder. */
export function applyChanges(config: ContainerConfig, changes: readonly string[]): ContainerConfig {
  return changes.flatMap(instructions).reduce((before, { name, argument }) => {
    const change = Object.hasOwn(CHANGES, name) ? CHANGES[name] : undefined;
    if (change === undefined) throw invalid(`${name.toLowerCase()} is not a valid change command`);
    if (argument === '') throw invalid(`${name} requires at least one argument`);
    return { ...before, ...change(before, argument) };
  }, config);
}

function instructions(text: string): { name: string; argument: string }[] {
  const lines = text.replace(/\\[ \t]*\r?\n/g, '').split(/\r?\n/).map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map((line) => {
    const [, name = '', argument = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
    return { name: name.toUpperCase(), argument };
  });
}

/** Variables in an instruction are those of the image's environment. */
const lookup = (config: ContainerConfig) => (name: string): string | undefined =>
  config.env.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);

const words = (config: ContainerConfig, argument: string): string[] => splitWords(argument, lookup(config));

function one(name: string, config: ContainerConfig, argument: string): string {
  const word = expandWord(argument, lookup(config));
  if (word === '' || (name !== 'WORKDIR' && /\s/.test(argument))) throw invalid(`${name} requires exactly one argument`);
  return word;
}

/** `["a","b"]`, or undefined if it is no list of strings. */
function jsonList(argument: string): string[] | undefined {
  if (!argument.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(argument);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined;
  } catch {
    // Not JSON after all: Docker takes it for a shell command.
    return undefined;
  }
}

const command = (config: ContainerConfig, argument: string): string[] =>
  jsonList(argument) ?? [...(config.shell.length > 0 ? config.shell : DEFAULT_SHELL), argument];

/** A word with its quotes. */
const RAW_WORD = /^(?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\])+/s;

/** `k=v k2="v 2"`, or the old `k v`. */
function pairs(name: string, config: ContainerConfig, argument: string): [string, string][] {
  const [first = ''] = RAW_WORD.exec(argument) ?? [];
  const old = first.includes('=') ? null : /^(\S+)\s+(.+)$/s.exec(argument);
  if (old !== null) return [[old[1] ?? '', expandWord(old[2] ?? '', lookup(config))]];
  return words(config, argument).map((word) => {
    const equals = word.indexOf('=');
    if (equals < 0) throw invalid(`Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`);
    if (equals === 0) throw invalid(`${name} names can not be blank`);
    return [word.slice(0, equals), word.slice(equals + 1)];
  });
}

function setEnv(env: readonly string[], [name, value]: [string, string]): string[] {
  const index = env.findIndex((entry) => entry.startsWith(`${name}=`));
  return index < 0 ? [...env, `${name}=${value}`] : env.with(index, `${name}=${value}`);
}

/** `80` → `80/tcp`, `8000-8002/udp` → three. */
function ports(word: string): string[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word);
  const [first, last] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
  if (match === null || first > last || last > 65535) throw invalid(`invalid containerPort: ${word}`);
  const protocol = (match[3] ?? 'tcp').toLowerCase();
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}

function volumes(config: ContainerConfig, argument: string): string[] {
  const list = jsonList(argument) ?? words(config, argument);
  if (list.some((volume) => volume.trim() === '')) throw invalid('VOLUME specified can not be an empty string');
  return list;
}

function onBuild(argument: string): string {
  const trigger = /^\S+/.exec(argument)?.[0].toUpperCase() ?? '';
  if (trigger === 'ONBUILD') throw invalid("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === 'MAINTAINER' || trigger === 'FROM') throw invalid(`${trigger} isn't allowed as an ONBUILD trigger`);
  return argument;
}

const DURATIONS: Readonly<Record<string, 'intervalNs' | 'timeoutNs' | 'startPeriodNs' | 'startIntervalNs'>> = {
  interval: 'intervalNs', timeout: 'timeoutNs', 'start-period': 'startPeriodNs', 'start-interval': 'startIntervalNs',
};

function healthcheck(argument: string): HealthConfig {
  const health: HealthConfig = { test: [], intervalNs: 0n, timeoutNs: 0n, startPeriodNs: 0n, startIntervalNs: 0n, retries: 0 };
  let rest = argument;
  for (let flag = FLAG.exec(rest); flag !== null; flag = FLAG.exec(rest)) {
    setFlag(health, flag[1] ?? '', flag[2] ?? '');
    rest = rest.slice(flag[0].length);
  }
  const [, type = '', test = ''] = /^(\S+)\s*(.*)$/s.exec(rest) ?? [];
  switch (type.toUpperCase()) {
    case 'NONE':
      if (test !== '') throw invalid('HEALTHCHECK NONE takes no arguments');
      return { ...health, test: ['NONE'] };
    case 'CMD': {
      if (test === '') throw invalid('Missing command after HEALTHCHECK CMD');
      const list = jsonList(test);
      return { ...health, test: list === undefined ? ['CMD-SHELL', test] : ['CMD', ...list] };
    }
    default: throw invalid(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  }
}

const FLAG = /^--([a-z-]+)=(\S+)\s*/;

function setFlag(health: HealthConfig, name: string, value: string): void {
  const key = Object.hasOwn(DURATIONS, name) ? DURATIONS[name] : undefined;
  if (name === 'retries') {
    if (!/^\d+$/.test(value)) throw invalid(`--retries cannot be negative (${value})`);
    health.retries = Number(value);
  } else if (key !== undefined) {
    const duration = parseDuration(value);
    if (duration === undefined) throw invalid(`time: invalid duration ${JSON.stringify(value)}`);
    health[key] = duration;
  } else throw invalid(`unknown flag: ${name}`);
}

const union = (known: readonly string[], more: readonly string[]): string[] => [...new Set([...known, ...more])];
