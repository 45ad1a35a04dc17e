package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// addJSON gives a command the flag that makes its result readable for programs.
func addJSON(command *cobra.Command, target *bool) {
	command.Flags().BoolVar(target, "json", false, "print the result as JSON")
}

// printJSON writes a result for a program, with line breaks for the person who looks at it all the same.
func printJSON(w io.Writer, result any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(result); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// printResult writes a result for a person.
func printResult(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// printable quotes a text that a terminal could take for commands.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
