/** `--log-opt tag`: Docker's template of what tells a container's lines apart. Of Go's templates it is the fields that are understood. */
import { invalid } from '../../base/errors.ts';

export interface TagSubject {
  id: string;
  /** Without the slash. */
  name: string;
  imageId: string;
  imageName: string;
  hostname: string;
  command: readonly string[];
}

const SHORT = 12;
const withoutAlgorithm = (id: string): string => id.replace(/^sha256:/, '');

/** By the names that templates use. */
const FIELDS: Readonly<Record<string, (subject: TagSubject) => string>> = {
  ID: ({ id }) => id.slice(0, SHORT),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ imageId }) => withoutAlgorithm(imageId).slice(0, SHORT),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ imageName }) => imageName,
  Hostname: ({ hostname }) => hostname,
  Command: ({ command }) => command.join(' '),
  DaemonName: () => 'docker',
};

/** The tag of a container. invalid: what stands between braces is no field. */
export function expandTag(template: string, subject: TagSubject): string {
  return template.replaceAll(/\{\{(.*?)\}\}/gs, (whole, expression: string) => fieldOf(whole, expression)(subject));
}

/** Refuses a template that `expandTag` would refuse. */
export function checkTag(template: string): void {
  for (const [whole, expression = ''] of template.matchAll(/\{\{(.*?)\}\}/gs)) fieldOf(whole, expression);
}

function fieldOf(whole: string, expression: string): (subject: TagSubject) => string {
  const name = /^\s*\.(\w+)\s*$/.exec(expression)?.[1] ?? '';
  const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
  if (field === undefined) throw invalid(`log tag: ${whole} is not supported, only fields are (${Object.keys(FIELDS).map((each) => `{{.${each}}}`).join(', ')})`);
  return field;
}
