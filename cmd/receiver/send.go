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
	maxInput  = 256 << 20 // bytes of a file that is sent
	maxAnswer = 1 << 20   // bytes of an answer that are read
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
		Long: `Send a callback, as Deep Image does when a job is complete, to a running receiver and print its answer.
Exit code 0 means that every answer was 200.

The token is taken from --token-file, or from RECEIVER_WEBHOOK_TOKENS (the first one), or from the file
that the first start made in RECEIVER_DATA_DIR. --url may also be a whole webhook URL with the token in
it, but then other users of this machine can see the token while the command runs.

Without --result-url the callback names an address that no receiver fetches from: the event is accepted,
and its download ends dead with the reason.

With --to forward no receiver is needed: the event that such a callback would become is sent to the targets of the
handler forward as RECEIVER_FORWARD_ says, or to the one that --url names: signed, and always as the JSON
document. Their answers are printed; exit code 0 means that all of them were good.`,
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
	flags.StringVar(&options.to, "to", "", "\"forward\" sends to the targets of that handler instead of a receiver")
	flags.StringVar(&options.url, "url", "", "receiver, or whole webhook URL (default: the one on this machine, http://127.0.0.1:8080); with --to a target")
	flags.StringVar(&options.tokenFile, "token-file", "", "file with the token")
	flags.StringVar(&options.job, "job", "", "job id (default: a new UUID)")
	flags.StringVar(&options.resultURL, "result-url", sampleResultURL, "address of the result image; empty for a job without one")
	flags.StringVar(&options.dataFile, "data", "", "file with the JSON of \"data\"; - is standard input")
	flags.StringVar(&options.resultsFile, "results", "", "file with the JSON of \"results\"; - is standard input")
	flags.StringVar(&options.bodyFile, "body", "", "file with the whole body, sent as it is; - is standard input")
	flags.IntVar(&options.repeat, "repeat", 1, "how often the same callback is sent, one after the other")
	flags.DurationVar(&options.timeout, "timeout", 30*time.Second, "time that one answer may take")
	addJSON(command, &options.asJSON)
	return command
}

// checkFlags finds what cobra cannot.
func (o sendOptions) checkFlags(command *cobra.Command) error {
	for _, part := range []string{"job", "result-url", "data", "results"} {
		if o.bodyFile != "" && command.Flags().Changed(part) {
			return wrongUsage("--body is the whole callback, so --%s has no place beside it", part)
		}
	}
	if o.to != "" && o.to != forward.Name {
		return wrongUsage("--to must be %s", forward.Name)
	}
	for _, part := range []string{"token-file", "repeat"} {
		if o.to != "" && command.Flags().Changed(part) {
			return wrongUsage("--%s has no place beside --to", part)
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
	body, err := makeBody(options, command.InOrStdin())
	if err != nil {
		return err
	}
	if options.to != "" {
		return sendForward(command.Context(), command.OutOrStdout(), body, options)
	}
	door, err := findDoor(options)
	if err != nil {
		return err
	}
	return sendAll(command.Context(), command.OutOrStdout(), door, body, options)
}

// sendAll sends the callback as often as told. An answer other than 200 does not keep the others from being sent.
func sendAll(ctx context.Context, out io.Writer, door door, body []byte, options sendOptions) error {
	refused := 0
	for range options.repeat {
		answer, err := door.deliver(ctx, body, options.timeout)
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

// answer is what the receiver said to one callback.
type answer struct {
	Code int             `json:"code"`             // HTTP status
	Body json.RawMessage `json:"answer,omitempty"` // as it came, if it is JSON
}

func (a answer) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, a)
	}
	var said struct {
		ID, Job, Detail string
		Status          any // a word, or the number in a problem
		Errors          []struct{ Pointer, Detail string }
	}
	_ = json.Unmarshal(a.Body, &said) // what is missing stays empty
	lines := []string{fmt.Sprintf("%d %s", a.Code, http.StatusText(a.Code))}
	switch {
	case a.Code == http.StatusOK:
		lines[0] = fmt.Sprintf("%v  id %s  job %s", said.Status, said.ID, said.Job)
	case said.Detail != "":
		lines[0] += ": " + said.Detail
	}
	for _, e := range said.Errors {
		lines = append(lines, e.Pointer+" "+e.Detail)
	}
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return printResult(out, strings.Join(lines, "\n  ")+"\n")
}
