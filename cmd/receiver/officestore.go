package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/spf13/cobra"
)

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

// turnToStore opens what there is instead of a listener, because nobody listens, and says whether it did.
func (o *office) turnToStore(ctx context.Context, err error) (turned bool, _ error) {
	gone, is := errors.AsType[*unreachableError](err)
	if !is || o.instead == nil || !errors.Is(gone.error, syscall.ECONNREFUSED) {
		return false, err
	}
	if o.store, err = o.instead(ctx); err != nil {
		return false, err
	}
	o.instead, o.base, o.client = nil, &url.URL{Scheme: "http", Host: "localhost"}, &http.Client{Transport: o.store}
	return true, nil
}

// later is what is said of something that only a running receiver does.
func (o *office) later() string {
	if o.store == nil {
		return ""
	}
	return " as soon as a receiver runs"
}
