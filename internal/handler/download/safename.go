package download

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// The maximum lengths of strings of a payload, in bytes, the mark included.
const (
	maxJobBytes   = 90
	maxEventBytes = 40
	maxStemBytes  = 79
	maxNameBytes  = maxStemBytes + len("-100") + 1 + markDigits + 1 + maxShortBytes
	maxShortBytes = 6 // of an extension, an index, a year

	// markDigits is the number of hexadecimal digits of the hash that marks a changed string. It is not 12, the length
	// of the last group of a UUID: an ordinary job must not look marked.
	markDigits = 10
)

// safe returns text as a part of a file name. A safe name of at most limit bytes is not changed. Any other is changed
// and marked with a hash of the original, so that two strings never become one, even on file systems that ignore case.
// If nothing is left, otherwise is used.
func safe(text string, limit int, otherwise string) string {
	if isSafe(text, limit) {
		return text
	}
	return tidy(text, limit, otherwise) + "-" + mark(text)
}

// safeName returns a name of an event as a part of a file name, or the job if there is no name. Capitals stay, because people
// look for what they wrote: where two names differ in nothing else, and the file system ignores case, the second image gets another key.
func safeName(text, job string) string {
	switch {
	case text == "":
		return safe(job, maxJobBytes, "job")
	case isClean(text, maxJobBytes):
		return text
	default:
		return tidy(text, maxJobBytes, "name") + "-" + mark(text)
	}
}

// tidy returns what safe keeps of text before the mark.
func tidy(text string, limit int, otherwise string) string {
	cleaned := clean(text, limit-len("_-")-markDigits)
	if cleaned == "" {
		return otherwise
	}
	return unreserved(cleaned)
}

// isSafe reports whether text needs no change. A name that looks marked does: it could be made to collide with the
// marked name of another string.
func isSafe(text string, limit int) bool {
	return isClean(text, limit) && strings.ToLower(text) == text
}

// isClean is isSafe on a file system that does not ignore case.
func isClean(text string, limit int) bool {
	if text == "" || len(text) > limit || isMarked(text) {
		return false
	}
	return clean(text, limit) == text && unreserved(text) == text
}

func isMarked(text string) bool {
	dash := len(text) - markDigits - 1
	return dash >= 0 && text[dash] == '-' && strings.Trim(text[dash+1:], "0123456789abcdef") == ""
}

// clean replaces every run of characters that are not plain with a dash, and removes dots and dashes at both ends.
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

// mark returns the start of the SHA-256 of text.
func mark(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:markDigits]
}

// unreserved puts an underscore before a device name of Windows, with or without an extension.
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
