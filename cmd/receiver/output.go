package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

// addJSON adds the flag --json.
func addJSON(command *cobra.Command, target *bool) {
	command.Flags().BoolVar(target, "json", false, "print the result as JSON")
}

// printJSON prints a result as indented JSON.
func printJSON(w io.Writer, result any) error { return writeJSON(w, result, "  ") }

// writeJSON writes a value as JSON, and a line feed. Control characters, also those that change the direction of
// text, are escaped: a terminal would interpret them.
func writeJSON(w io.Writer, value any, indent string) error {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	text := escape(buffer.String(), func(r rune) string {
		if high, low := utf16.EncodeRune(r); high != '\uFFFD' {
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
	return write(w, text)
}

// printResult prints text for a person, with control characters escaped.
func printResult(w io.Writer, text string) error { return write(w, escapeControls(text)) }

func write(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// printTo prints a message to stderr. Write errors are ignored: there is nowhere to report them.
func printTo(w io.Writer, format string, values ...any) {
	_, _ = io.WriteString(w, escapeControls(fmt.Sprintf(format, values...)))
}

// printable quotes text that has control characters or line feeds.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// escapeControls replaces control characters and bytes that are not UTF-8 by Go escape sequences such as \x1b. It keeps line feeds.
func escapeControls(text string) string {
	return escape(text, func(r rune) string {
		quoted := strconv.QuoteRuneToASCII(r)
		return quoted[1 : len(quoted)-1]
	})
}

// escape replaces every rune that is not printable, except line feeds, and every byte that is not UTF-8.
func escape(text string, replace func(rune) string) string {
	var escaped strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&escaped, `\x%02x`, text[i])
		case r == '\n' || strconv.IsPrint(r):
			escaped.WriteRune(r)
		default:
			escaped.WriteString(replace(r))
		}
	}
	return escaped.String()
}

// columns describe a table of items.
type columns[T any] struct {
	header []string
	row    func(T) []string
}

// text returns the table. Its columns are as wide as their longest cell.
func (c columns[T]) text(items []T, _ *adminclient.Client) string {
	rows := [][]string{c.header}
	for _, item := range items {
		rows = append(rows, c.row(item))
	}
	widths := make([]int, len(c.header))
	for _, row := range rows {
		for n := range row {
			row[n] = printable(row[n])
			widths[n] = max(widths[n], len([]rune(row[n])))
		}
	}
	var text strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for n, cell := range row {
			fmt.Fprintf(&line, "%-*s  ", widths[n], cell)
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return text.String()
}
