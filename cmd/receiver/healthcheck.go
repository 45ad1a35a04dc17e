package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is how long a healthy receiver may take to say so.
const healthTimeout = 3 * time.Second

func newHealthcheck() *cobra.Command {
	var ready bool
	command := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the receiver on this machine whether it lives",
		Long: `Ask the receiver on this machine whether it lives, or with --ready whether it takes callbacks.
Exit code 0 means yes, 1 no. Of the configuration only RECEIVER_LISTEN_ADDR and PORT count.
It needs no shell and no other program, and so fits HEALTHCHECK in a container image.`,
		Example: "  receiver healthcheck\n  receiver healthcheck --ready",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := loadFor(listenVariables()...)
			if err != nil {
				return err
			}
			base, err := localURL(c.HTTP.ListenAddr)
			if err != nil {
				return err
			}
			path := "/livez"
			if ready {
				path = "/readyz"
			}
			if err := askHealth(command.Context(), base+path); err != nil {
				return err
			}
			return printResult(command.OutOrStdout(), "ok\n")
		},
	}
	command.Flags().BoolVar(&ready, "ready", false, "ask whether it takes callbacks")
	return command
}

// askHealth is nil when the answer is 200. Proxies in the environment are for others.
func askHealth(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", address, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{Transport: transport, CheckRedirect: stayPut}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no answer from %s: %w", address, withoutURL(err))
	}
	if err := answer.Body.Close(); err != nil {
		return fmt.Errorf("answer from %s: %w", address, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, answer.Status)
	}
	return nil
}
