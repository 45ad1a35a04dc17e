package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/handler/forward"
	"github.com/spf13/cobra"
)

const (
	maxRepeat = 10_000
	maxInput  = 256 << 20 // bytes of a file to send
	maxAnswer = 1 << 20   // bytes that are read of an answer
)

// sendOptions are the flags of send.
type sendOptions struct {
	to                              string
	url, tokenFile                  string
	job, resultURL                  string
	dataFile, resultsFile, bodyFile string
	repeat                          int
	timeout                         time.Duration
	asJSON                          bool
}

func newSend() *cobra.Command {
	var options sendOptions
	command := &cobra.Command{
		Use:   "send",
		Short: "Send a sample callback to a running receiver",
		Long: `Send a callback to a running receiver, as Deep Image does when a job is complete, and print the answer.
The exit code is 0 when every answer is 200.

The token comes from --token-file, RECEIVER_WEBHOOK_TOKENS (the first one) or the file of the first start in
RECEIVER_DATA_DIR. --url can be a webhook URL with the token, but other users of this machine can then see
the token while the command runs.

Without --result-url the result has an address from which no receiver fetches: the event is accepted, and
its download fails.

With --to forward no receiver is needed: the event is sent to the targets of the handler forward, or to
the target --url, signed and as a JSON document. The exit code is 0 when every target accepts it.`,
		Example: `  receiver send
  receiver send --result-url https://deep-image.ai/api-example.png
  receiver send --url https://hooks.example.com --token-file token.txt --data request.json
  receiver send --body callback.json --repeat 3
  receiver send --to forward
  receiver send --to forward --url http://127.0.0.1:3000/hook`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return send(command, options) },
	}
	flags := command.Flags()
	flags.StringVar(&options.to, "to", "", "forward: send to the targets of that handler instead of a receiver")
	flags.StringVar(&options.url, "url", "", "receiver or webhook URL (default: this machine); with --to, a target")
	flags.StringVar(&options.tokenFile, "token-file", "", "file with the token")
	flags.StringVar(&options.job, "job", "", "job id (default: a new UUID)")
	flags.StringVar(&options.resultURL, "result-url", sampleResultURL, "URL of the result image; empty for a job without result")
	flags.StringVar(&options.dataFile, "data", "", "file with the JSON of \"data\"; - is standard input")
	flags.StringVar(&options.resultsFile, "results", "", "file with the JSON of \"results\"; - is standard input")
	flags.StringVar(&options.bodyFile, "body", "", "file with the complete body, sent unchanged; - is standard input")
	flags.IntVar(&options.repeat, "repeat", 1, "number of times that the callback is sent")
	flags.DurationVar(&options.timeout, "timeout", 30*time.Second, "timeout of one answer")
	addJSON(command, &options.asJSON)
	return command
}

// checkFlags returns the faults that cobra does not detect.
func (o sendOptions) checkFlags(command *cobra.Command) error {
	for _, part := range []string{"job", "result-url", "data", "results"} {
		if o.bodyFile != "" && command.Flags().Changed(part) {
			return wrongUsage("--body is the complete callback, so --%s cannot be used with it", part)
		}
	}
	if o.to != "" && o.to != forward.Name {
		return wrongUsage("--to must be %s", forward.Name)
	}
	for _, part := range []string{"token-file", "repeat"} {
		if o.to != "" && command.Flags().Changed(part) {
			return wrongUsage("--%s cannot be used with --to", part)
		}
	}
	if o.repeat < 1 || o.repeat > maxRepeat {
		return wrongUsage("--repeat must be from 1 to %d", maxRepeat)
	}
	if o.timeout < time.Millisecond || o.timeout > time.Hour {
		return wrongUsage("--timeout must be from 1ms to 1h")
	}
	return nil
}

func send(command *cobra.Command, options sendOptions) error {
	if err := options.checkFlags(command); err != nil {
		return err
	}
	body, err := buildBody(options, command.InOrStdin())
	if err != nil {
		return err
	}
	if options.to != "" {
		return sendForward(command.Context(), command.OutOrStdout(), body, options)
	}
	client, err := newWebhookClient(options)
	if err != nil {
		return err
	}
	return sendAll(command.Context(), command.OutOrStdout(), client, body, options)
}

// sendAll sends the callback as often as --repeat says, whatever the answers are.
func sendAll(ctx context.Context, out io.Writer, client webhookClient, body []byte, options sendOptions) error {
	refused := 0
	for range options.repeat {
		answer, err := client.deliver(ctx, body, options.timeout)
		if err != nil {
			return err
		}
		if err := answer.print(out, options.asJSON); err != nil {
			return err
		}
		if answer.Code != http.StatusOK {
			refused++
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d callbacks were not accepted", refused, options.repeat)
	}
	return nil
}

// answer is the receiver's answer to one callback.
type answer struct {
	Code int             `json:"code"`             // HTTP status
	Body json.RawMessage `json:"answer,omitempty"` // as it came, if it is JSON
}

func (a answer) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, a)
	}
	var body struct {
		ID, Job, Detail string
		Status          any // a state, or the HTTP status of a problem
		Errors          []struct{ Pointer, Detail string }
	}
	_ = json.Unmarshal(a.Body, &body) // what is missing stays empty
	lines := []string{fmt.Sprintf("%d %s", a.Code, http.StatusText(a.Code))}
	switch {
	case a.Code == http.StatusOK:
		lines[0] = fmt.Sprintf("%v  id %s  job %s", body.Status, body.ID, body.Job)
	case body.Detail != "":
		lines[0] += ": " + body.Detail
	}
	for _, e := range body.Errors {
		lines = append(lines, e.Pointer+" "+e.Detail)
	}
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return printResult(out, strings.Join(lines, "\n  ")+"\n")
}
