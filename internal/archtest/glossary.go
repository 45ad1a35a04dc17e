package archtest

import (
	"regexp"
	"strings"
	"unicode"
)

// Glossary is a set of words and phrases that must not be used.
type Glossary struct {
	phrases map[string][]phrase // by first word
}

type phrase struct {
	words []string
	use   string // what to write instead
}

// Finding is one forbidden phrase in a text.
type Finding struct {
	Line        int
	Phrase, Use string
}

var code = regexp.MustCompile("`([^`]+)`")

// ReadGlossary reads the glossary table of a Markdown page: its rows have the
// columns use, for, instead of. Phrases set in code in the last column are forbidden.
func ReadGlossary(markdown string) Glossary {
	g := Glossary{phrases: map[string][]phrase{}}
	for line := range strings.Lines(markdown) {
		use, old, ok := glossaryRow(line)
		if !ok {
			continue
		}
		for _, match := range code.FindAllStringSubmatch(old, -1) {
			words := strings.Fields(match[1])
			g.phrases[words[0]] = append(g.phrases[words[0]], phrase{words: words, use: use})
		}
	}
	return g
}

// glossaryRow returns the first and the last column of a table row with three columns.
func glossaryRow(line string) (use, old string, ok bool) {
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
	if !strings.HasPrefix(line, "| ") || len(cells) != 3 {
		return "", "", false
	}
	return strings.TrimSpace(cells[0]), cells[2], true
}

// Find returns the forbidden phrases of a text. Identifiers count as the words
// that they consist of; a phrase may cross lines but not the end of a sentence.
func (g Glossary) Find(text string) []Finding {
	lexemes := split(text)
	var found []Finding
	for i, first := range lexemes {
		for _, candidate := range g.phrases[first.word] {
			if startsWith(lexemes[i:], candidate.words) {
				found = append(found, Finding{Line: first.line, Phrase: strings.Join(candidate.words, " "), Use: candidate.use})
				break
			}
		}
	}
	return found
}

func startsWith(lexemes []lexeme, words []string) bool {
	if len(lexemes) < len(words) {
		return false
	}
	for i, word := range words {
		if lexemes[i].word != word {
			return false
		}
	}
	return true
}

// lexeme is a word in lower case, or "." for the end of a sentence or literal.
type lexeme struct {
	word string
	line int
}

// split splits a text at everything that is no letter and at the capitals of
// identifiers: backOffice and HTTPOffice both have the word office.
func split(text string) []lexeme {
	var lexemes []lexeme
	line, start := 1, -1
	characters := []rune(text)
	end := func(at int) {
		if start >= 0 {
			lexemes = append(lexemes, lexeme{strings.ToLower(string(characters[start:at])), line})
		}
		start = -1
	}
	for i, c := range characters {
		switch {
		case !unicode.IsLetter(c):
			end(i)
			if c == '\n' {
				line++
			}
			if strings.ContainsRune(".;:\"`(){}", c) {
				lexemes = append(lexemes, lexeme{".", line})
			}
		case start < 0:
			start = i
		case unicode.IsUpper(c) && startsWord(characters, i):
			end(i)
			start = i
		}
	}
	end(len(characters))
	return lexemes
}

// startsWord reports whether the capital at i begins a word of an identifier.
func startsWord(characters []rune, i int) bool {
	return unicode.IsLower(characters[i-1]) || i+1 < len(characters) && unicode.IsLower(characters[i+1])
}
