/** A reporter of Node's test runner: one JSON line ({@link Line}) for every test that begins and ends, for `testFile.ts` to read. */
import type { TestEvent } from 'node:test/reporters';

export type Line = { readonly kind: 'begin'; readonly name: string; readonly nesting: number } | EndLine;

export interface EndLine {
  readonly kind: 'end';
  readonly name: string;
  readonly nesting: number;
  readonly file: string | undefined;
  readonly line: number | undefined;
  /** A suite, which only holds tests. */
  readonly suite: boolean;
  readonly passed: boolean;
  /** Skipped or marked as to do. */
  readonly skipped: boolean;
  readonly milliseconds: number;
  /** Why it failed; empty when it did not. */
  readonly error: string;
}

const LINES_OF_AN_ERROR = 60;

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    const line = toLine(event);
    if (line !== undefined) yield `${JSON.stringify(line)}\n`;
  }
}

function toLine(event: TestEvent): Line | undefined {
  if (event.type === 'test:dequeue') return { kind: 'begin', name: event.data.name, nesting: event.data.nesting };
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return undefined;
  const { name, nesting, file, line, skip, todo, details } = event.data;
  const error: unknown = 'error' in details ? details.error : undefined;
  return {
    kind: 'end', name, nesting, file, line,
    suite: details.type === 'suite',
    passed: event.type === 'test:pass',
    skipped: (skip !== undefined && skip !== false) || (todo !== undefined && todo !== false),
    milliseconds: details.duration_ms,
    error: error === undefined ? '' : errorText(error),
  };
}

function errorText(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  return text.trimEnd().split('\n').slice(0, LINES_OF_AN_ERROR).join('\n');
}
