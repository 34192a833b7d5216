/** `--security-opt`: what a container's list of options says. */
import { invalid } from '../../base/errors.ts';

export interface SecurityOptions {
  readonly noNewPrivileges: boolean;
  /** Empty: the default profile of the daemon. */
  readonly apparmorProfile: string;
  /** Empty: the default; `unconfined`, `builtin`, or a profile as JSON text. */
  readonly seccompProfile: string;
  /** `label=…`, without the key. */
  readonly labels: readonly string[];
  readonly writableCgroups: boolean;
}

const TRUE = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

/** Go's strconv.ParseBool, or undefined. */
function parseBool(text: string): boolean | undefined {
  if (TRUE.has(text)) return true;
  return FALSE.has(text) ? false : undefined;
}

/** Reads the options; later ones win. invalid `invalid --security-opt 2: "x"`. */
export function parseSecurityOpt(options: readonly string[], defaultNoNewPrivileges: boolean): SecurityOptions {
  let noNewPrivileges = defaultNoNewPrivileges;
  let apparmorProfile = '';
  let seccompProfile = '';
  let writableCgroups = false;
  const labels: string[] = [];
  for (const option of options) {
    const { key, value } = split(option);
    switch (key) {
      case 'no-new-privileges': noNewPrivileges = boolOf(value ?? 'true', option); break;
      case 'writable-cgroups': writableCgroups = boolOf(value ?? 'true', option); break;
      case 'disable': labels.push('disable'); break;
      case 'label': labels.push(value ?? ''); break;
      case 'apparmor': apparmorProfile = value ?? ''; break;
      case 'seccomp': seccompProfile = value ?? ''; break;
      default: throw invalid(`invalid --security-opt 2: ${JSON.stringify(option)}`);
    }
  }
  return { noNewPrivileges, apparmorProfile, seccompProfile, labels, writableCgroups };
}

/** Some options stand alone; `=` separates, or `:` in old files. */
function split(option: string): { key: string; value?: string } {
  if (option === 'no-new-privileges' || option === 'disable' || option === 'writable-cgroups') return { key: option };
  const at = option.includes('=') ? option.indexOf('=') : option.indexOf(':');
  if (at < 0) throw invalid(`invalid --security-opt 1: ${JSON.stringify(option)}`);
  return { key: option.slice(0, at), value: option.slice(at + 1) };
}

function boolOf(text: string, option: string): boolean {
  const value = parseBool(text);
  if (value === undefined) throw invalid(`invalid --security-opt 2: ${JSON.stringify(option)}`);
  return value;
}
