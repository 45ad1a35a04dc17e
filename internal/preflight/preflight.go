// Package preflight tries what "receiver serve" needs, without serving.
package preflight

import (
	"context"
	"errors"
	"strings"

	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/fetch"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/rs/zerolog"
)

// Status is the outcome of one check.
type Status string

// Every status.
const (
	OK   Status = "ok"
	Warn Status = "warn" // serve works, but perhaps not as intended
	Fail Status = "fail" // serve would not work
)

// Result is the outcome of one preflight check.
type Result struct {
	Check   string `json:"check"`             // kind of check, such as "folder" or "handler"
	Subject string `json:"subject,omitempty"` // what was checked: a path, an address or a name
	Status  Status `json:"status"`
	Text    string `json:"text"` // for a person
}

// Run does every check, in the order in which serve needs what is checked. It creates missing
// folders, but neither a token nor a store. The context bounds all checks together.
func Run(ctx context.Context, c config.Config) []Result {
	steps := c.StepNames()
	results := []Result{{"configuration", "", OK, "handlers: " + strings.Join(steps, ", ")}}
	results = append(results, checkFolders(ctx, c)...)
	results = append(results, checkStores(ctx, c)...)
	results = append(results, checkToken(c), checkListenAddress(ctx, c.HTTP.ListenAddr))
	results = append(results, checkPublicURL(ctx, c)...)
	results = append(results, checkDeepImage(ctx, c)...)
	results = append(results, checkHandlers(ctx, c)...)
	return append(results, checkFetch(ctx, c.Fetch)...)
}

// Failed counts the results with status Fail.
func Failed(results []Result) int {
	failed := 0
	for _, r := range results {
		if r.Status == Fail {
			failed++
		}
	}
	return failed
}

// result is Fail with the error's text, or OK with text when err is nil.
func result(check, subject, text string, err error) Result {
	if err != nil {
		return Result{check, subject, Fail, err.Error()}
	}
	return Result{check, subject, OK, text}
}

// checkDeepImage asks the Deep Image API whether it accepts the key, if one is configured.
func checkDeepImage(ctx context.Context, c config.Config) []Result {
	const check = "deep image"
	if !c.DeepImage.Enabled() {
		return nil
	}
	client, err := deepimage.New(c.DeepImage)
	if err != nil {
		return []Result{{check, "", Fail, err.Error()}}
	}
	defer client.Close() //nolint:errcheck // no request is in flight
	return []Result{result(check, client.Host(), "the API at "+client.Host()+" accepts the key", client.Check(ctx))}
}

// checker is implemented by handlers that can try what they need.
type checker interface {
	Check(ctx context.Context) error
}

// checkHandlers creates every enabled handler, lets it try what it needs, and closes it.
func checkHandlers(ctx context.Context, c config.Config) []Result {
	client, err := fetch.New(c.Fetch)
	if err != nil {
		return []Result{{"fetch", "", Fail, err.Error()}}
	}
	defer client.Close() //nolint:errcheck // it has connected to nothing
	var results []Result
	for _, h := range c.Handlers {
		for _, step := range h.Steps() {
			deps := handler.Deps{
				Step: step.Name, Fetch: client, Log: zerolog.Nop(),
				DefaultBucketURL: c.ImagesURL(), SpoolFolder: c.SpoolFolder(), Redact: event.Redact,
			}
			results = append(results, result("handler", step.Name, step.Name+" has what it needs", checkHandler(ctx, h, deps)))
		}
	}
	return results
}

func checkHandler(ctx context.Context, h config.Handler, deps handler.Deps) error {
	created, err := h.Definition.New(ctx, h.Config, deps)
	if err != nil {
		return err
	}
	if c, ok := created.(checker); ok {
		err = c.Check(ctx)
	}
	return errors.Join(err, handler.Close(created))
}
