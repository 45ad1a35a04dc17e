package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/adminclient"
	"github.com/spf13/cobra"
)

func newTargets() *cobra.Command {
	command := &cobra.Command{
		Use:   "targets",
		Short: "List, enable and disable the targets of events, and give up their steps",
		Long: `List, enable and disable the targets of events, such as those of the handler forward.

A target that answers 410 Gone is disabled automatically. One step tests it each hour for a day; it is
enabled when that succeeds, or by "receiver targets enable NAME". Its events are deferred meanwhile;
nothing is lost.

Steps of a target or handler that is not configured any more wait until it is configured again. Give
them up with "receiver targets drop NAME", or keep them without a warning with "receiver targets keep NAME".`,
		Example: "  receiver targets list\n  receiver targets enable forward-crm\n  receiver targets disable forward-crm\n  receiver targets drop forward-crm",
	}
	var options adminOptions
	options.add(command)
	command.AddCommand(newTargetsList(&options),
		newTargetsSet(&options, "enable", "Enable a target and send it its deferred events", true),
		newTargetsSet(&options, "disable", "Disable a target; its events are deferred", false),
		newTargetsSteps(&options, "drop", "Give up the deferred steps of a target; their events continue", "given up", (*adminclient.Client).DropTarget),
		newTargetsSteps(&options, "keep", "Keep the steps of a target that is not configured", "kept", (*adminclient.Client).KeepTarget))
	return command
}

func newTargetsList(options *adminOptions) *cobra.Command {
	command := &cobra.Command{
		Use:     "list",
		Short:   "List targets, whether they are enabled, and their deferred events",
		Example: "  receiver targets list --json",
		Args:    cobra.NoArgs,
	}
	table := columns[adminclient.Target]{header: []string{"NAME", "STATE", "DEFERRED", "WHY"}, row: targetRow}
	return newAdminCommand(options, command, func(ctx context.Context, client *adminclient.Client, _ []string) ([]adminclient.Target, error) {
		return client.Targets(ctx)
	}, table.text)
}

func newTargetsSet(options *adminOptions, verb, short string, enabled bool) *cobra.Command {
	return newTargetCommand(options, verb, short,
		func(ctx context.Context, client *adminclient.Client, name string) (adminclient.TargetState, error) {
			return client.SetTarget(ctx, name, enabled)
		},
		func(result adminclient.TargetState) string { return printable(result.Name) + " is " + verb + "d\n" })
}

// newTargetsSteps is a command that does something with the waiting steps of a target.
func newTargetsSteps(
	options *adminOptions, verb, short, done string, do func(*adminclient.Client, context.Context, string, string) (adminclient.TargetSteps, error),
) *cobra.Command {
	return newTargetCommand(options, verb, short,
		func(ctx context.Context, client *adminclient.Client, name string) (adminclient.TargetSteps, error) {
			return do(client, ctx, name, userName())
		},
		func(result adminclient.TargetSteps) string {
			return fmt.Sprintf("%s: %d steps are %s\n", printable(result.Name), result.Steps, done)
		})
}

// newTargetCommand is a command with the name of a target. An unknown name is a usage error.
func newTargetCommand[T any](options *adminOptions, verb, short string,
	call func(ctx context.Context, client *adminclient.Client, name string) (T, error), text func(T) string,
) *cobra.Command {
	command := &cobra.Command{
		Use:     verb + " NAME",
		Short:   short,
		Example: "  receiver targets " + verb + " forward-crm",
		Args:    cobra.ExactArgs(1),
	}
	return newAdminCommand(options, command,
		func(ctx context.Context, client *adminclient.Client, arguments []string) (T, error) {
			result, err := call(ctx, client, arguments[0])
			if failed, ok := errors.AsType[*adminclient.StatusError](err); ok && failed.Status == http.StatusNotFound {
				err = unknownTarget(ctx, client, arguments[0], err)
			}
			return result, err
		},
		func(result T, _ *adminclient.Client) string { return text(result) })
}

// userName returns the name of the user of the system who runs the command, "" if it is not known.
func userName() string {
	current, err := user.Current()
	if err != nil {
		return ""
	}
	return current.Username
}

// unknownTarget is a usage error that lists the targets. It returns err if it does not know them.
func unknownTarget(ctx context.Context, client *adminclient.Client, name string, err error) error {
	targets, listing := client.Targets(ctx)
	if listing != nil || slices.ContainsFunc(targets, func(t adminclient.Target) bool { return t.Name == name }) {
		return err
	}
	names := make([]string, 0, len(targets))
	for _, t := range targets {
		names = append(names, t.Name)
	}
	return wrongUsage("there is no target %s; the targets are %s", printable(name), strings.Join(names, ", "))
}

func targetRow(t adminclient.Target) []string {
	state, why, waiting := "enabled", "", t.Deferred
	switch {
	case !t.Enabled && !t.Disabled.IsZero():
		state, why = "disabled", fmt.Sprintf("since %s: %s", t.Disabled.UTC().Format(time.RFC3339), t.Detail)
	case !t.Configured && t.Unattended > 0:
		state, why, waiting = "not configured", "configure it again, or drop or keep its steps", t.Unattended
		if !t.Kept.IsZero() {
			why = fmt.Sprintf("kept since %s by %s", t.Kept.UTC().Format(time.RFC3339), t.KeptBy)
		}
	case t.Deferred > t.Alone:
		state, why = "down", t.Detail
	case t.Deferred > 0:
		state, why = "waiting", t.Detail
	}
	return []string{t.Name, state, strconv.Itoa(waiting), why}
}
