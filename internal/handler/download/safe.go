package download

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// The lengths to which strangers' strings are cut, in bytes, the mark included.
const (
	maxJobBytes   = 90
	maxEventBytes = 40
	maxStemBytes  = 79
	maxNameBytes  = maxStemBytes + len("-100") + 1 + markDigits + 1 + maxShortBytes
	maxShortBytes = 6 // of an extension, an index, a year

	// markDigits is how many hexadecimal digits of its hash mark a changed string. It
	// is not 12, as which a UUID ends: an ordinary job must not look marked.
	markDigits = 10
)

// safe gives text as a part of a file's name. What is a safe name of at most limit
// bytes already is left as it is. Anything else is changed and then marked with a
// hash of the original, so that two strings never become one, not even where
// upper and lower case are the same. Where nothing is left, otherwise stands for it.
func safe(text string, limit int, otherwise string) string {
	if isSafe(text, limit) {
		return text
	}
	return tidy(text, limit, otherwise) + "-" + mark(text)
}

// tidy is what safe keeps of text before the mark.
func tidy(text string, limit int, otherwise string) string {
	cleaned := clean(text, limit-len("_-")-markDigits)
	if cleaned == "" {
		return otherwise
	}
	return unreserved(cleaned)
}

// isSafe also refuses what looks marked: a stranger could write it so that it
// meets the marked name of something else.
func isSafe(text string, limit int) bool {
	if text == "" || len(text) > limit || isMarked(text) {
		return false
	}
	return clean(text, limit) == text && strings.ToLower(text) == text && unreserved(text) == text
}

func isMarked(text string) bool {
	dash := len(text) - markDigits - 1
	return dash >= 0 && text[dash] == '-' && strings.Trim(text[dash+1:], "0123456789abcdef") == ""
}

// clean puts a dash for every run of what is not plain, and takes what a name must
// not begin or end with from its ends.
func clean(text string, limit int) string {
	cleaned := make([]byte, 0, min(len(text), limit))
	for n := 0; n < len(text) && len(cleaned) < limit; n++ {
		next, last := text[n], byte('-')
		if len(cleaned) > 0 {
			last = cleaned[len(cleaned)-1]
		}
		if !isPlain(rune(next)) || next == '.' && last == '.' {
			next = '-'
			if last == '-' {
				continue
			}
		}
		cleaned = append(cleaned, next)
	}
	return strings.TrimRight(strings.TrimLeft(string(cleaned), ".-"), ".-")
}

func isPlain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-'
}

// mark is the beginning of the SHA-256 of text.
func mark(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:markDigits]
}

// unreserved puts an underscore before a name that is a device on Windows, with or
// without an extension.
func unreserved(name string) string {
	stem, _, _ := strings.Cut(strings.ToLower(name), ".")
	switch stem {
	case "con", "prn", "aux", "nul":
		return "_" + name
	}
	if len(stem) == 4 && (strings.HasPrefix(stem, "com") || strings.HasPrefix(stem, "lpt")) && '0' <= stem[3] && stem[3] <= '9' {
		return "_" + name
	}
	return name
}
