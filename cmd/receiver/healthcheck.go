package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout bounds the wait for the response.
const healthTimeout = 3 * time.Second

func newHealthcheck() *cobra.Command {
	var ready bool
	command := &cobra.Command{
		Use:   "healthcheck",
		Short: "Check that the receiver on this machine is alive",
		Long: `Check that the receiver on this machine is alive, or with --ready that it accepts callbacks.
The exit code is 0 for yes and 1 for no. Only RECEIVER_LISTEN_ADDR and PORT are read.
It needs no shell, so it can be the HEALTHCHECK of a container image.`,
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
			if err := checkHealth(command.Context(), base+path); err != nil {
				return err
			}
			return printResult(command.OutOrStdout(), "ok\n")
		},
	}
	command.Flags().BoolVar(&ready, "ready", false, "check that it accepts callbacks")
	return command
}

// checkHealth returns nil when the response is 200. It uses no proxy.
func checkHealth(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("request %s: %w", address, err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{Transport: transport, CheckRedirect: keepRedirect}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no response from %s: %w", address, withoutURL(err))
	}
	if err := answer.Body.Close(); err != nil {
		return fmt.Errorf("response from %s: %w", address, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", address, answer.Status)
	}
	return nil
}
