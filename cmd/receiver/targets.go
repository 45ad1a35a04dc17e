package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deepimage-receiver/receiver/internal/app"
	"github.com/deepimage-receiver/receiver/internal/config"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/handler/builtin"
	"github.com/deepimage-receiver/receiver/internal/workflow"
	"github.com/spf13/cobra"
)

// targetsTimeout bounds the wait for a store that is busy.
const targetsTimeout = 30 * time.Second

func newTargets() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "targets",
		Short: "List what events are sent through, and enable or disable it",
		Long: `List the steps of every event by their names, such as the targets of the handler forward: whether they are
enabled, and how many events are parked because they are not, or because the other side fails.

A target that answers 410 Gone is disabled by that: nothing is sent to it any more, by any replica, and nothing
is lost; its events are parked until "receiver targets enable NAME". All of it may be done beside a
running receiver, and takes effect within seconds.`,
		Example: "  receiver targets\n  receiver targets enable forward-crm\n  receiver targets disable forward-crm",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return withTargets(command.Context(), func(ctx context.Context, c config.Config, stores *app.WorkStores) error {
				found, err := stores.Workflow.Targets(ctx)
				if err != nil {
					return err
				}
				return printTargets(command, describeTargets(c.StepNames(), found), asJSON)
			})
		},
	}
	addJSON(command, &asJSON)
	command.AddCommand(newTargetsEnable(), newTargetsDisable())
	return command
}

func newTargetsEnable() *cobra.Command {
	return &cobra.Command{
		Use:     "enable NAME",
		Short:   "Send to a target again, first what was parked",
		Example: "  receiver targets enable forward-crm",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			name := arguments[0]
			return withTargets(command.Context(), func(ctx context.Context, c config.Config, stores *app.WorkStores) error {
				if err := checkTarget(ctx, c, stores, name); err != nil {
					return err
				}
				was, err := stores.Workflow.Enable(ctx, name)
				if err != nil {
					return err
				}
				if !was {
					return printResult(command.OutOrStdout(), name+" was enabled already\n")
				}
				return printResult(command.OutOrStdout(), name+" is enabled\n")
			})
		},
	}
}

func newTargetsDisable() *cobra.Command {
	return &cobra.Command{
		Use:     "disable NAME",
		Short:   "Send nothing to a target until it is enabled",
		Example: "  receiver targets disable forward-crm",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			name := arguments[0]
			return withTargets(command.Context(), func(ctx context.Context, c config.Config, stores *app.WorkStores) error {
				if err := checkTarget(ctx, c, stores, name); err != nil {
					return err
				}
				if err := stores.Workflow.Disable(ctx, name, event.ReasonOther, "disabled by a person"); err != nil {
					return err
				}
				return printResult(command.OutOrStdout(), name+" is disabled\n")
			})
		},
	}
}

func withTargets(ctx context.Context, do func(context.Context, config.Config, *app.WorkStores) error) error {
	c, err := config.Load(builtin.All())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, targetsTimeout)
	defer cancel()
	return app.WithTargets(ctx, c, func(ctx context.Context, stores *app.WorkStores) error { return do(ctx, c, stores) })
}

// checkTarget refuses a name that is neither configured nor known from before.
func checkTarget(ctx context.Context, c config.Config, stores *app.WorkStores, name string) error {
	found, err := stores.Workflow.Targets(ctx)
	if err != nil || slices.ContainsFunc(describeTargets(c.StepNames(), found), func(t target) bool { return t.Name == name }) {
		return err
	}
	return wrongUsage("there is no target %s; there is %s", printable(name), strings.Join(c.StepNames(), ", "))
}

// target is one line of the list.
type target struct {
	Name     string       `json:"name"`
	Enabled  bool         `json:"enabled"`
	Parked   int          `json:"parked"`             // steps
	Disabled *time.Time   `json:"disabled,omitempty"` // since when
	Reason   event.Reason `json:"reason,omitempty"`
	Detail   string       `json:"detail,omitempty"`
}

// describeTargets lists the configured steps in their order, then what the store knows besides.
func describeTargets(configured []string, found []workflow.Target) []target {
	list := make([]target, 0, len(configured))
	for _, name := range configured {
		list = append(list, target{Name: name, Enabled: true})
	}
	for _, f := range found {
		at := slices.IndexFunc(list, func(t target) bool { return t.Name == f.Name })
		if at < 0 {
			at = len(list)
			list = append(list, target{Name: f.Name, Enabled: true})
		}
		list[at].Parked = f.Deferred
		if !f.Disabled.IsZero() {
			list[at].Enabled, list[at].Disabled, list[at].Reason, list[at].Detail = false, &f.Disabled, f.Reason, f.Detail
		}
	}
	return list
}

func printTargets(command *cobra.Command, targets []target, asJSON bool) error {
	if asJSON {
		return printJSON(command.OutOrStdout(), targets)
	}
	width := len("NAME")
	for _, t := range targets {
		width = max(width, len(t.Name))
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%-*s  STATE     PARKED\n", width, "NAME")
	for _, t := range targets {
		if t.Enabled {
			fmt.Fprintf(&text, "%-*s  enabled   %d\n", width, t.Name, t.Parked)
			continue
		}
		fmt.Fprintf(&text, "%-*s  disabled  %d  since %s: %s\n", width, t.Name, t.Parked, t.Disabled.Format(time.RFC3339), printable(t.Detail))
	}
	return printResult(command.OutOrStdout(), text.String())
}
