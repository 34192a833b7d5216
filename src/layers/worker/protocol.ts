/** What the main thread asks of a worker thread, and what it gets back. All paths are absolute. */
import type { Change, FsView, PathStat } from '../../core/ports/layers.ts';

export interface Jobs {
  /** Extracts a layer into `root` and writes what `assembleLayer` needs to `split`. */
  extractLayer: {
    input: { root: string; split: string; source: SharedArrayBuffer };
    /** `diffId` is the sha256 of all bytes that came; `whole` is false if a path came twice, so that bytes are lost. */
    output: { diffId: string; size: number; whole: boolean };
  };
  /** Writes a layer's tar as it came. */
  assembleLayer: { input: { root: string; split: string; sink: SharedArrayBuffer }; output: null };
  mountOverlay: { input: { root: string; target: string; options: string }; output: null };
  /** Makes the mount points of an init layer. */
  makeMountPoints: { input: { root: string }; output: null };
  /** Writes an overlay's upper directory as a layer tar. */
  packUpper: { input: { root: string; sink: SharedArrayBuffer }; output: null };
  /** Compares `own` with the directories below it; all are relative to `root`. `whole`: own is no upper but a whole tree. */
  changes: { input: { root: string; own: string; lower: string[]; whole: boolean }; output: Change[] };
  /** Writes what `compare` finds as a layer tar; `tree` is the absolute path of what is compared. */
  packChanges: { input: { tree: string; compare: Jobs['changes']['input']; sink: SharedArrayBuffer }; output: null };
  /** Copies directories laid over one another into the empty directory `to`; all are relative to `root`. */
  copyTree: { input: { root: string; from: string[]; to: string }; output: null };
  /** The methods of ArchivePort. */
  statPath: { input: { view: FsView; path: string }; output: PathStat };
  readPath: { input: { view: FsView; path: string; sink: SharedArrayBuffer }; output: null };
  writePath: {
    input: { view: FsView; path: string; source: SharedArrayBuffer; noOverwriteDirNonDir: boolean; owner: { uid: number; gid: number } | undefined };
    output: null;
  };
  packRoot: { input: { root: string; sink: SharedArrayBuffer }; output: null };
  findDirectory: { input: { root: string; path: string }; output: string | undefined };
  fillVolume: { input: { scratch: string; from: string; to: string }; output: boolean };
  /** Sum of the sizes of the files below `root`, hard links once. */
  usage: { input: { root: string }; output: number };
}
