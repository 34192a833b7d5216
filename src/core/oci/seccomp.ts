/**
 * Seccomp profiles in Docker's format (the OCI's, plus conditions by capability, architecture and kernel version, plus a
 * map of architectures), resolved for one container into what the runtime takes.
 */
import { invalid } from '../../base/errors.ts';
import { parseJson, plain, JsonSyntaxError } from '../../base/json.ts';
import type { OciSeccomp, OciSeccompArg, OciSyscall } from './types.ts';

export interface SeccompCondition {
  readonly caps?: readonly string[];
  /** As Go names them: amd64, arm64. */
  readonly arches?: readonly string[];
  /** `major.minor`. */
  readonly minKernel?: string;
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly OciSeccompArg[];
  readonly includes?: SeccompCondition;
  readonly excludes?: SeccompCondition;
}

export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures: readonly string[] }[];
  readonly flags?: readonly string[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls: readonly SeccompRule[];
}

/** The host, as far as conditions ask. */
export interface SeccompHost {
  /** As Go names it. */
  readonly arch: string;
  readonly kernel: { readonly major: number; readonly minor: number };
}

const NATIVE: Readonly<Record<string, string>> = {
  amd64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
  riscv64: 'SCMP_ARCH_RISCV64',
  s390x: 'SCMP_ARCH_S390X',
  mips64: 'SCMP_ARCH_MIPS64',
  mips64le: 'SCMP_ARCH_MIPSEL64',
  '386': 'SCMP_ARCH_X86',
  arm: 'SCMP_ARCH_ARM',
  ppc64le: 'SCMP_ARCH_PPC64LE',
};

/** The profile as it is for a container with these capabilities on this host. */
export function resolveSeccomp(
  profile: SeccompProfile,
  host: SeccompHost,
  capabilities: readonly string[],
): OciSeccomp {
  const architectures = architecturesOf(profile, host);
  const caps = new Set(capabilities);
  const holds = (rule: SeccompRule): boolean =>
    includes(rule.includes, host, caps) && !excludes(rule.excludes, host, caps);
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet !== undefined && { defaultErrnoRet: profile.defaultErrnoRet }),
    ...(architectures.length > 0 && { architectures }),
    ...(profile.flags !== undefined && profile.flags.length > 0 && { flags: [...profile.flags] }),
    ...(profile.listenerPath !== undefined && { listenerPath: profile.listenerPath }),
    ...(profile.listenerMetadata !== undefined && { listenerMetadata: profile.listenerMetadata }),
    syscalls: profile.syscalls.filter(holds).map(toOci),
  };
}

function architecturesOf(profile: SeccompProfile, host: SeccompHost): string[] {
  const { architectures = [], archMap = [] } = profile;
  if (architectures.length > 0 && archMap.length > 0) {
    throw invalid('both \'architectures\' and \'archMap\' are specified in the seccomp profile, use either \'architectures\' or \'archMap\'');
  }
  if (archMap.length === 0) return [...architectures];
  const native = NATIVE[host.arch];
  const entry = archMap.find(({ architecture }) => architecture === native);
  return entry === undefined ? [] : [entry.architecture, ...entry.subArchitectures];
}

function includes(condition: SeccompCondition | undefined, host: SeccompHost, caps: ReadonlySet<string>): boolean {
  if (condition === undefined) return true;
  const { arches = [], caps: wanted = [], minKernel } = condition;
  if (arches.length > 0 && !arches.includes(host.arch)) return false;
  if (!wanted.every((name) => caps.has(name))) return false;
  return minKernel === undefined || kernelAtLeast(host, minKernel);
}

function excludes(condition: SeccompCondition | undefined, host: SeccompHost, caps: ReadonlySet<string>): boolean {
  if (condition === undefined) return false;
  const { arches = [], caps: unwanted = [], minKernel } = condition;
  if (arches.includes(host.arch)) return true;
  if (unwanted.some((name) => caps.has(name))) return true;
  return minKernel !== undefined && kernelAtLeast(host, minKernel);
}

function kernelAtLeast({ kernel }: SeccompHost, version: string): boolean {
  const match = /^(\d+)\.(\d+)$/.exec(version);
  if (match === null) throw invalid(`invalid kernel version: "${version}" in the seccomp profile`);
  const major = Number(match[1]);
  return kernel.major > major || (kernel.major === major && kernel.minor >= Number(match[2]));
}

const toOci = (rule: SeccompRule): OciSyscall => ({
  names: [...rule.names],
  action: rule.action,
  ...(rule.errnoRet !== undefined && { errnoRet: rule.errnoRet }),
  ...(rule.args !== undefined && rule.args.length > 0 && { args: rule.args.map((arg) => ({ ...arg })) }),
});

/** A profile as the CLI sends it inline (`--security-opt seccomp=<json>`); invalid if it is none. */
export function parseSeccompProfile(text: string): SeccompProfile {
  let value: unknown;
  try {
    value = plain(parseJson(text));
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw invalid(`Decoding seccomp profile failed: ${error.message}`, error);
  }
  if (!isObject(value)) throw invalid('Decoding seccomp profile failed: not an object');
  const defaultAction = optionalText(value, 'defaultAction');
  if (defaultAction === undefined) throw invalid('Decoding seccomp profile failed: defaultAction is missing');
  const defaultErrnoRet = optionalNumber(value, 'defaultErrnoRet');
  const listenerPath = optionalText(value, 'listenerPath');
  const listenerMetadata = optionalText(value, 'listenerMetadata');
  return {
    defaultAction,
    ...(defaultErrnoRet !== undefined && { defaultErrnoRet }),
    architectures: texts(value, 'architectures'),
    archMap: objects(value, 'archMap').map((entry) => ({
      architecture: optionalText(entry, 'architecture') ?? '',
      subArchitectures: texts(entry, 'subArchitectures'),
    })),
    flags: texts(value, 'flags'),
    ...(listenerPath !== undefined && { listenerPath }),
    ...(listenerMetadata !== undefined && { listenerMetadata }),
    syscalls: objects(value, 'syscalls').map(parseRule),
  };
}

function parseRule(entry: JsonLike): SeccompRule {
  // Profiles of the old format have one `name` in a rule.
  const name = optionalText(entry, 'name');
  const names = texts(entry, 'names');
  if (name !== undefined && names.length > 0) {
    throw invalid("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'");
  }
  const errnoRet = optionalNumber(entry, 'errnoRet');
  const includes = condition(entry, 'includes');
  const excludes = condition(entry, 'excludes');
  return {
    names: name === undefined ? names : [name],
    action: optionalText(entry, 'action') ?? '',
    ...(errnoRet !== undefined && { errnoRet }),
    args: objects(entry, 'args').map((arg) => ({
      index: optionalNumber(arg, 'index') ?? 0,
      value: unsigned64(arg, 'value'),
      valueTwo: unsigned64(arg, 'valueTwo'),
      op: optionalText(arg, 'op') ?? '',
    })),
    ...(includes !== undefined && { includes }),
    ...(excludes !== undefined && { excludes }),
  };
}

function condition(entry: JsonLike, key: string): SeccompCondition | undefined {
  const value = entry[key];
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw wrong(key);
  const minKernel = optionalText(value, 'minKernel');
  return {
    caps: texts(value, 'caps'),
    arches: texts(value, 'arches'),
    ...(minKernel !== undefined && { minKernel }),
  };
}

type JsonLike = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is JsonLike =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const wrong = (key: string) => invalid(`Decoding seccomp profile failed: ${key} has the wrong type`);

function optionalText(object: JsonLike, key: string): string | undefined {
  const value = object[key];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string') throw wrong(key);
  return value;
}

function optionalNumber(object: JsonLike, key: string): number | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isInteger(value)) throw wrong(key);
  return value;
}

function unsigned64(object: JsonLike, key: string): number | bigint {
  const value = object[key];
  if (typeof value === 'bigint' && value > 0n && value < 2n ** 64n) return value;
  return optionalNumber(object, key) ?? 0;
}

function texts(object: JsonLike, key: string): string[] {
  return list(object, key).map((member) => {
    if (typeof member !== 'string') throw wrong(key);
    return member;
  });
}

function objects(object: JsonLike, key: string): JsonLike[] {
  return list(object, key).map((member) => {
    if (!isObject(member)) throw wrong(key);
    return member;
  });
}

function list(object: JsonLike, key: string): unknown[] {
  const value = object[key];
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw wrong(key);
  return value;
}
