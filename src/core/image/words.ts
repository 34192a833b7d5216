/** Words of a Dockerfile instruction: quotes, escapes and `$variables`, as Docker's shell lexer has them. */
import { invalid } from '../../base/errors.ts';

type Lookup = (name: string) => string | undefined;

/** The words of a line, unquoted and with variables replaced. */
export function splitWords(text: string, lookup: Lookup = () => undefined): string[] {
  const lexer = new Lexer(text, lookup);
  const words: string[] = [];
  for (;;) {
    lexer.skipSpace();
    if (lexer.done) return words;
    words.push(lexer.word(true));
  }
}

/** The whole line as one word. */
export function expandWord(text: string, lookup: Lookup = () => undefined): string {
  return new Lexer(text, lookup).word(false);
}

class Lexer {
  #offset = 0;
  readonly #text: string;
  readonly #lookup: Lookup;

  constructor(text: string, lookup: Lookup) {
    this.#text = text;
    this.#lookup = lookup;
  }

  get done(): boolean {
    return this.#offset >= this.#text.length;
  }

  skipSpace(): void {
    while (/\s/.test(this.#peek())) this.#offset += 1;
  }

  word(stopAtSpace: boolean): string {
    let word = '';
    while (!this.done && !(stopAtSpace && /\s/.test(this.#peek()))) word += this.#part();
    return word;
  }

  #peek(): string {
    return this.#text.charAt(this.#offset);
  }

  #take(): string {
    return this.#text.charAt(this.#offset++);
  }

  #part(): string {
    switch (this.#peek()) {
      case "'": return this.#singleQuoted();
      case '"': return this.#doubleQuoted();
      case '$': return this.#variable();
      case '\\':
        this.#offset += 1;
        return this.#take();
      default: return this.#take();
    }
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#offset + 1);
    if (end < 0) throw invalid('unexpected end of statement while looking for matching single-quote');
    const quoted = this.#text.slice(this.#offset + 1, end);
    this.#offset = end + 1;
    return quoted;
  }

  #doubleQuoted(): string {
    this.#offset += 1;
    let quoted = '';
    for (;;) {
      if (this.done) throw invalid('unexpected end of statement while looking for matching double-quote');
      const next = this.#peek();
      if (next === '"') break;
      if (next === '$') quoted += this.#variable();
      else if (next === '\\' && /["$\\]/.test(this.#text.charAt(this.#offset + 1))) {
        this.#offset += 1;
        quoted += this.#take();
      } else quoted += this.#take();
    }
    this.#offset += 1;
    return quoted;
  }

  #variable(): string {
    const rest = this.#text.slice(this.#offset);
    const match = /^\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\})/.exec(rest);
    if (match === null) return this.#take();
    this.#offset += match[0].length;
    const value = this.#lookup(match[1] ?? match[2] ?? '') ?? '';
    const other = match[4] ?? '';
    if (match[3] === '-') return value === '' ? expandWord(other, this.#lookup) : value;
    if (match[3] === '+') return value === '' ? '' : expandWord(other, this.#lookup);
    return value;
  }
}
