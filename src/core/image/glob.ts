/** Go's `path.Match`: `*` and `?` do not match `/`, `[a-z]` and `[^a]` are classes, `\` escapes. */
import { invalid } from '../../base/errors.ts';

const MAX_PATTERN = 1024;

/** The pattern as a test of whole texts. Throws `invalid` (`syntax error in pattern`) for a malformed one. */
export function compileGlob(pattern: string): (text: string) => boolean {
  if (pattern.length > MAX_PATTERN) throw syntaxError();
  const characters = Array.from(pattern);
  let source = '';
  for (let index = 0; index < characters.length; index += 1) {
    const character = characters[index] ?? '';
    switch (character) {
      case '*':
        // Stars in a row mean the same as one, and would make the expression slow.
        if (characters[index - 1] !== '*' || source === '') source += '[^/]*';
        break;
      case '?': source += '[^/]'; break;
      case '[': {
        const end = characters.indexOf(']', index + 2);
        if (end < 0) throw syntaxError();
        source += characterClass(characters.slice(index + 1, end));
        index = end;
        break;
      }
      case '\\': {
        const escaped = characters[++index];
        if (escaped === undefined) throw syntaxError();
        source += RegExp.escape(escaped);
        break;
      }
      default: source += RegExp.escape(character);
    }
  }
  const expression = new RegExp(`^${source}$`, 'u');
  return (text) => expression.test(text);
}

function characterClass(characters: readonly string[]): string {
  const negated = characters[0] === '^';
  const members = (negated ? characters.slice(1) : characters).map((one) => (one === '-' ? '-' : RegExp.escape(one)));
  if (members.length === 0 || members[0] === '-' || members.at(-1) === '-') throw syntaxError();
  try {
    const expression = `[${negated ? '^' : ''}${members.join('')}]`;
    new RegExp(expression, 'u');
    return expression;
  } catch (error) {
    throw invalid('syntax error in pattern', error);
  }
}

const syntaxError = (): Error => invalid('syntax error in pattern');
