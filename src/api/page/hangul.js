// Search of Korean text while it is being typed: by initial consonants, by whole syllables, and
// by the incomplete syllable that an input method shows in between.

const INITIALS = [...'ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ'];
const FINALS = ['', ...'ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ'];
// Consonants that an input method joins although two were typed.
const JOINED = {
  ㄳ: 'ㄱㅅ', ㄵ: 'ㄴㅈ', ㄶ: 'ㄴㅎ', ㄺ: 'ㄹㄱ', ㄻ: 'ㄹㅁ', ㄼ: 'ㄹㅂ', ㄽ: 'ㄹㅅ', ㄾ: 'ㄹㅌ',
  ㄿ: 'ㄹㅍ', ㅀ: 'ㄹㅎ', ㅄ: 'ㅂㅅ',
};
const FIRST = 0xac00;
const LAST = 0xd7a3;
const VOWELS = 21;

/** Whether a character is a complete syllable. */
function isSyllable(character) {
  const point = character.codePointAt(0);
  return point >= FIRST && point <= LAST;
}

/** Splits a syllable into its initial, the syllable without its final, and its final. */
function parts(syllable) {
  const place = syllable.codePointAt(0) - FIRST;
  const final = place % FINALS.length;
  return {
    initial: INITIALS[Math.floor(place / (VOWELS * FINALS.length))],
    open: String.fromCodePoint(FIRST + place - final),
    final: FINALS[final],
  };
}

/** Normalises text for comparison: composed, lower case, without spaces. */
export function plain(text) {
  return text.normalize('NFC').toLowerCase().replace(/\s+/gu, '');
}

/** Returns the initial consonants of a text; other characters stay. */
export function initials(text) {
  return [...text].map((one) => (isSyllable(one) ? parts(one).initial : one)).join('');
}

/**
 * Whether a typed character matches a character of a name: it is the same, or a consonant that the
 * syllable begins with.
 */
function agrees(typed, character) {
  if (typed === character) return true;
  return INITIALS.includes(typed) && isSyllable(character) && parts(character).initial === typed;
}

/** The same for the last typed character: a syllable without a final may still get one. */
function agreesAtEnd(typed, character) {
  if (agrees(typed, character)) return true;
  if (!isSyllable(typed) || !isSyllable(character)) return false;
  return parts(typed).final === '' && parts(character).open === typed;
}

/** Returns the possible readings of a typed text. */
function readings(typed) {
  const spread = [...typed].flatMap((one) => [...(JOINED[one] ?? one)]);
  const found = [spread];
  const last = spread.at(-1);
  if (last && isSyllable(last)) {
    // The final may belong to the next syllable: 하ㄴ shows as 한 on the way to 하나.
    const { open, final } = parts(last);
    const before = spread.slice(0, -1);
    if (JOINED[final]) {
      const [stays, goes] = JOINED[final];
      const closed = String.fromCodePoint(open.codePointAt(0) + FINALS.indexOf(stays));
      found.push([...before, closed, goes]);
    } else if (INITIALS.includes(final)) {
      found.push([...before, open, final]);
    }
  }
  return found;
}

/** A typed text, prepared for searching in many names. */
export class Needle {
  constructor(typed) {
    this.text = plain(typed);
    this.readings = this.text === '' ? [] : readings(this.text);
  }

  get isEmpty() {
    return this.readings.length === 0;
  }

  /** Returns where the text begins in a plain name, or -1. */
  placeIn(name) {
    const characters = [...name];
    let best = -1;
    for (const reading of this.readings) {
      const place = placeOf(reading, characters);
      if (place >= 0 && (best < 0 || place < best)) best = place;
    }
    return best;
  }
}

function placeOf(reading, characters) {
  const end = reading.length - 1;
  for (let start = 0; start + end < characters.length; start += 1) {
    let place = 0;
    while (
      place <= end &&
      (place === end ? agreesAtEnd : agrees)(reading[place], characters[start + place])
    ) {
      place += 1;
    }
    if (place > end) return start;
  }
  return -1;
}
