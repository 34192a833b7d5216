/**
 * What a failed start means. The docker CLI turns our text into its exit status by looking for words in it (engine-api
 * A13), so the runtime's own message is kept; the code is what inspect shows.
 */
import { messageOf } from '../../base/errors.ts';

const MISSING = /executable file not found|no such file or directory|not a directory|system cannot find the file/i;
const DENIED = /permission denied|is a directory/i;

/** 127: not found; 126: found, but cannot be executed; 128: anything else (moby `setExitCodeFromError`). */
export function startExitCode(error: unknown): 126 | 127 | 128 {
  const text = messageOf(error);
  if (DENIED.test(text)) return 126;
  if (MISSING.test(text)) return 127;
  return 128;
}

/** True if the command itself is at fault: 400, not 500. */
export const isMissingCommand = (error: unknown): boolean => startExitCode(error) !== 128;
