package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/spf13/cobra"
)

// adminOptions are the flags that say where the admin listener is.
type adminOptions struct{ url string }

func (o *adminOptions) add(command *cobra.Command) {
	command.PersistentFlags().StringVar(&o.url, "url", "", "URL of the admin listener (default: this machine, RECEIVER_ADMIN_ADDR)")
}

// use calls do with a client of the admin API. Without --url the client may go offline.
func (o *adminOptions) use(command *cobra.Command, do func(context.Context, *adminclient.Client) error) (err error) {
	client, err := o.open(command.ErrOrStderr(), true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close(command.Context())) }()
	return do(command.Context(), client)
}

// newAdminCommand returns command with a body: it calls the admin API, and prints the result as JSON or as text.
func newAdminCommand[T any](o *adminOptions, command *cobra.Command,
	call func(ctx context.Context, client *adminclient.Client, arguments []string) (T, error), text func(T, *adminclient.Client) string,
) *cobra.Command {
	var asJSON bool
	command.RunE = func(command *cobra.Command, arguments []string) error {
		return o.use(command, func(ctx context.Context, client *adminclient.Client) error {
			result, err := call(ctx, client, arguments)
			switch {
			case err != nil:
				return err
			case asJSON:
				return printJSON(command.OutOrStdout(), result)
			default:
				return printResult(command.OutOrStdout(), text(result, client))
			}
		})
	}
	addJSON(command, &asJSON)
	return command
}

// newListCommand returns command with a body: it prints the first --limit items of a list.
func newListCommand[T any](o *adminOptions, command *cobra.Command, table columns[T],
	list func(ctx context.Context, client *adminclient.Client, limit int, yield func(T) error) error,
) *cobra.Command {
	const maxRows = 10_000
	var limit int
	command.Use, command.Args = "list", cobra.NoArgs
	command.Flags().IntVar(&limit, "limit", 50, "maximum number of rows")
	command.PreRunE = func(*cobra.Command, []string) error {
		if limit < 1 || limit > maxRows {
			return wrongUsage("--limit must be from 1 to %d", maxRows)
		}
		return nil
	}
	return newAdminCommand(o, command, func(ctx context.Context, client *adminclient.Client, _ []string) ([]T, error) {
		items := []T{}
		err := list(ctx, client, limit, func(item T) error {
			items = append(items, item)
			return nil
		})
		return items, err
	}, table.text)
}

// open returns a client. The caller closes it.
func (o *adminOptions) open(stderr io.Writer, offline bool) (*adminclient.Client, error) {
	c, err := loadFor("RECEIVER_ADMIN_ADDR", "RECEIVER_ADMIN_TOKEN", "RECEIVER_ADMIN_TOKEN_FILE")
	if err != nil {
		return nil, err
	}
	options := adminclient.Options{URL: o.url, Token: c.Admin.Token}
	if o.url == "" {
		if options.URL, err = localURL(c.Admin.Addr); err != nil {
			return nil, err
		}
		if offline {
			options.OpenOffline = func(ctx context.Context) (adminclient.Offline, error) { return openStore(ctx, stderr, c.Admin.Addr) }
		}
	}
	return adminclient.New(options)
}

// openStore opens the store because no receiver listens at the address, and reports that on stderr.
func openStore(ctx context.Context, stderr io.Writer, address string) (adminclient.Offline, error) {
	c, err := config.Load(builtin.All())
	if err != nil {
		printTo(stderr, "receiver: no receiver listens at %s, and the configuration of its store is invalid\n", address)
		return nil, err
	}
	where := "in " + c.DatabaseFolder()
	if c.Database.IsPostgres() {
		where = "in Postgres"
	}
	store, err := app.OpenOfflineAdmin(ctx, c)
	if errors.Is(err, app.ErrInUse) {
		return nil, fmt.Errorf("no receiver listens at %s, but one is using the store %s; "+
			"set RECEIVER_ADMIN_ADDR to its admin address, or pass --url", address, where)
	}
	if err != nil {
		return nil, fmt.Errorf("no receiver listens at %s, and its store cannot be opened: %w", address, err)
	}
	printTo(stderr, "receiver: no receiver listens at %s; offline mode with the store %s\n", address, where)
	return store, nil
}

// whenOnline is appended to a result that needs a running receiver to take effect.
func whenOnline(client *adminclient.Client) string {
	if client.IsOffline() {
		return " when a receiver runs"
	}
	return ""
}
