package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/spf13/cobra"
)

// checkTimeout bounds everything that check tries, together.
const checkTimeout = 30 * time.Second

func newCheck() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "check",
		Short: "Try what serve needs, without serving",
		Long: `Read the configuration and tell every fault in it at once (exit code 2). Then try what "receiver serve"
needs: folders, disk, stores, token, handlers, address, names. It may run beside a running receiver.
Like serve it makes folders that are missing, but no token and no store.
Exit code 0 means that nothing failed; a warning is no failure.`,
		Example: "  receiver check\n  receiver check --json",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := config.Load(builtin.All())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(command.Context(), checkTimeout)
			defer cancel()
			return printFindings(command.OutOrStdout(), examine(ctx, c), asJSON)
		},
	}
	addJSON(command, &asJSON)
	return command
}

// verdict is what came out of one check.
type verdict string

const (
	verdictOK   verdict = "ok"
	verdictWarn verdict = "warn" // serve works, but perhaps not as wanted
	verdictFail verdict = "fail" // serve would not work
)

// finding is one line of the result.
type finding struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Text    string  `json:"text"`
}

func printFindings(out io.Writer, findings []finding, asJSON bool) error {
	failed := 0
	for _, f := range findings {
		if f.Verdict == verdictFail {
			failed++
		}
	}
	if err := writeFindings(out, findings, asJSON); err != nil {
		return err
	}
	if failed > 0 {
		return errors.New("serve would not work")
	}
	return nil
}

func writeFindings(out io.Writer, findings []finding, asJSON bool) error {
	if asJSON {
		return printJSON(out, findings)
	}
	for _, f := range findings {
		if err := printResult(out, fmt.Sprintf("%-4s  %-13s  %s\n", f.Verdict, f.Check, f.Text)); err != nil {
			return err
		}
	}
	return nil
}
