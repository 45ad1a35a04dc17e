package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/buildinfo"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/spf13/cobra"
)

const (
	officeTimeout   = 30 * time.Second // of one request to the admin API
	maxOfficeAnswer = 64 << 20         // bytes; a payload may be long
)

// officeOptions say where the admin listener is.
type officeOptions struct{ url string }

// office is the admin API of a running receiver, or that of its store while none is running.
type office struct {
	base   *url.URL
	token  secret.Value
	client *http.Client
	// instead is asked once when nobody listens: it opens the store in this process. nil if there is nothing instead.
	instead func(context.Context) (*app.Office, error)
	store   *app.Office // that it opened
}

// use has a command work with the admin API, or with the store when no receiver is running on this machine. That it does
// is said on the error output.
func (o *officeOptions) use(command *cobra.Command, do func(*office) error) (err error) {
	desk, err := o.open()
	if err != nil {
		return err
	}
	if o.url == "" { // whoever names a listener means that one
		desk.instead = func(ctx context.Context) (*app.Office, error) {
			return openStore(ctx, command.ErrOrStderr(), desk.base.Host)
		}
	}
	defer func() {
		if desk.store != nil {
			err = errors.Join(err, desk.store.Close(context.WithoutCancel(command.Context())))
		}
	}()
	return do(desk)
}

// openStore opens the store because nobody listens at an address.
func openStore(ctx context.Context, stderr io.Writer, address string) (*app.Office, error) {
	c, err := config.Load(builtin.All())
	if err != nil {
		printTo(stderr, "receiver: nobody listens at %s, and the configuration does not lead to the store:\n", address)
		return nil, err
	}
	where := "in " + c.DatabaseFolder()
	if c.Database.IsPostgres() {
		where = "in Postgres"
	}
	opened, err := app.OpenOffice(ctx, c)
	if errors.Is(err, app.ErrInUse) {
		return nil, fmt.Errorf("nobody listens at %s, but a receiver is running with the store %s; "+
			"set RECEIVER_ADMIN_ADDR to its admin address, or give it with --url", address, where)
	}
	if err != nil {
		return nil, fmt.Errorf("nobody listens at %s; is the receiver running? Its store cannot be opened instead: %w", address, err)
	}
	printTo(stderr, "receiver: nobody listens at %s; the store %s is opened instead\n", address, where)
	return opened, nil
}

// open finds out where the admin API is and what opens it.
func (o *officeOptions) open() (*office, error) {
	c, err := loadFor("RECEIVER_ADMIN_ADDR", "RECEIVER_ADMIN_TOKEN", "RECEIVER_ADMIN_TOKEN_FILE")
	if err != nil {
		return nil, err
	}
	address := o.url
	if address == "" {
		if address, err = localURL(c.Admin.Addr); err != nil {
			return nil, err
		}
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil {
		return nil, wrongUsage("--url must be a whole URL such as http://127.0.0.1:8081, without user and password")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	return &office{base: base, token: c.Admin.Token, client: &http.Client{Transport: transport, CheckRedirect: stayPut}}, nil
}

// ask sends a request to the API and reads its answer into result. What the API says of an error is told.
func (o *office) ask(ctx context.Context, method, path string, query url.Values, result any) error {
	limited, cancel := context.WithTimeout(ctx, officeTimeout)
	defer cancel()
	address := o.base.JoinPath("/api/v1", path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(limited, method, address.String(), nil)
	if err != nil {
		return fmt.Errorf("ask the receiver: %w", withoutURL(err))
	}
	request.Header.Set("User-Agent", buildinfo.UserAgent())
	if !o.token.IsZero() {
		request.Header.Set("Authorization", "Bearer "+o.token.Reveal())
	}
	answer, err := o.client.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) && o.instead != nil {
		if o.store, err = o.instead(ctx); err != nil {
			return err
		}
		o.instead, o.base, o.client = nil, &url.URL{Scheme: "http", Host: "localhost"}, &http.Client{Transport: o.store}
		return o.ask(ctx, method, path, query, result)
	}
	if err != nil {
		return fmt.Errorf("no answer from the admin listener at %s; is the receiver running? %w", o.base.Host, withoutURL(err))
	}
	defer answer.Body.Close() //nolint:errcheck // only read from
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxOfficeAnswer))
	if err != nil {
		return fmt.Errorf("the answer broke off: %w", err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return refusal(answer, content)
	}
	if err := json.Unmarshal(content, result); err != nil {
		return fmt.Errorf("%s gives no answer of a receiver's admin API", o.base.Host)
	}
	return nil
}

// later is what is said of something that only a running receiver does.
func (o *office) later() string {
	if o.store == nil {
		return ""
	}
	return " as soon as a receiver runs"
}

// refusal makes an error of an answer that is a problem.
func refusal(answer *http.Response, content []byte) error {
	var told struct{ Detail string }
	_ = json.Unmarshal(content, &told) // what is missing stays empty
	text := "the receiver answers " + answer.Status
	if told.Detail != "" {
		text += ": " + told.Detail
	}
	switch answer.StatusCode {
	case http.StatusBadRequest:
		return wrongUsage("%s", printable(text))
	case http.StatusUnauthorized:
		return fmt.Errorf("%s Set RECEIVER_ADMIN_TOKEN", printable(text))
	default:
		return fmt.Errorf("%s", strings.TrimSpace(printable(text)))
	}
}
