/** A named or anonymous volume of the `local` driver. */
export interface VolumeRecord {
  schema: 1;
  name: string;
  driver: string;
  /** Path of its content on the host. */
  mountpoint: string;
  createdNs: bigint;
  labels: Record<string, string>;
  options: Record<string, string>;
  anonymous: boolean;
}

export interface VolumePort {
  list(): VolumeRecord[];
  /** not-found `get x: no such volume`. */
  get(name: string): VolumeRecord;
  /** Creates, or returns the one there is if driver and options agree (Docker's idempotent create). Empty name: anonymous (64 hex). */
  create(request: { name: string; driver: string; labels: Record<string, string>; options: Record<string, string> }): Promise<VolumeRecord>;
  /** The caller has checked that nobody uses it. */
  remove(name: string): Promise<void>;
  /** Makes the content available (mounts volumes with `type`/`device`/`o` options) and returns its path. Counted per user. */
  mount(name: string, user: string): Promise<string>;
  unmount(name: string, user: string): Promise<void>;
  /** Users known from live containers at start. */
  restore(live: { name: string; user: string }[]): Promise<void>;
  usage(name: string): Promise<number>;
}
