package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/secret"
	"github.com/spf13/cobra"
)

const (
	officeTimeout   = 30 * time.Second // of one request to the admin API
	maxOfficeAnswer = 64 << 20         // bytes; a payload may be long

	officeConnections = 16 // that are kept for further requests
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
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: officeConnections}
	return &office{base: base, token: c.Admin.Token, client: &http.Client{Transport: transport, CheckRedirect: stayPut}}, nil
}
