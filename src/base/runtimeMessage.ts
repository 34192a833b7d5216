/** What an OCI runtime says when it fails, and what Docker makes of it. */

const TEXT_LINE = /\blevel=(?:error|fatal)\b.*?\bmsg="((?:[^"\\]|\\.)*)"/;

/**
 * The runtime's own message out of its log and stderr: the last error that it logged, as JSON (`--log-format json`) or
 * as text; else all that it said.
 */
export function runtimeMessage(output: string): string {
  const lines = output.split('\n').map((line) => line.trim()).filter((line) => line !== '');
  for (const line of lines.toReversed()) {
    const message = jsonMessage(line) ?? textMessage(line);
    if (message !== undefined && message !== '') return message;
  }
  return lines.length === 0 ? 'no message' : output.trim();
}

function jsonMessage(line: string): string | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null || !('msg' in entry) || typeof entry.msg !== 'string') return undefined;
    const level = 'level' in entry ? entry.level : 'error';
    return level === 'error' || level === 'fatal' ? entry.msg : undefined;
  } catch {
    return undefined;
  }
}

function textMessage(line: string): string | undefined {
  const quoted = TEXT_LINE.exec(line)?.[1];
  return quoted?.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
}

/**
 * Docker's exit code for a process that could not be started (moby `setExitCodeFromError`): 127 not found, 126 cannot
 * be executed, else 128. The docker CLI reads the same words out of the message.
 */
export function startFailureCode(message: string): 126 | 127 | 128 {
  const text = message.toLowerCase();
  if (/executable file not found|no such file or directory|not a directory/.test(text)) return 127;
  if (/permission denied|is a directory/.test(text)) return 126;
  return 128;
}

export type RuntimeAction = 'create' | 'start' | 'exec';

/** The runtime's refusal in the words of Docker 28, which end as gRPC's do. */
export function dockerRuntimeError(action: RuntimeAction, message: string): string {
  const core = `OCI runtime ${action} failed: ${message}: unknown`;
  if (action === 'create') return `failed to create task for container: failed to create shim task: ${core}`;
  return action === 'start' ? `failed to start task: ${core}` : core;
}
