package app

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/reconcile"
	"github.com/deepimage-receiver/receiver/internal/submit"
	"github.com/deepimage-receiver/receiver/internal/verification"
)

// buildVendor makes the client of the vendor's API, if there is a key.
func (a *App) buildVendor(context.Context) (err error) {
	if !a.config.DeepImage.Enabled() {
		return nil
	}
	a.vendor, err = deepimage.New(a.config.DeepImage)
	if err != nil {
		return err
	}
	a.cleanups.addClose("vendor's API", a.vendor.Close)
	a.keyWatch = verification.NewKeyWatch(a.vendor, a.log)
	return nil
}

// warnings are what every page of the admin listener shows.
func (a *App) warnings() (list []admin.Warning) {
	if a.vendor != nil {
		if since, text := a.vendor.KeyRefused(); !since.IsZero() {
			const advice = ". Set RECEIVER_DEEPIMAGE_API_KEY to a valid key and restart the receiver."
			list = append(list, admin.Warning{Code: "auth", Detail: "No callback is verified: " + text + advice})
		}
	}
	return list
}

// buildReconciler makes what asks about tracked jobs, if there is a key.
func (a *App) buildReconciler() {
	if a.vendor == nil {
		return
	}
	a.reconciler = reconcile.New(a.config.Reconcile, reconcile.Deps{
		Store: a.work.Jobs, Inbox: a.inbox, Vendor: a.vendor, Concurrency: a.config.DeepImage.Concurrency, Log: a.log,
	})
}

// buildSubmitter makes what submits jobs. Without a key it submits none, but accepts the tokens of earlier ones.
func (a *App) buildSubmitter() {
	deps := submit.Deps{
		Store: a.work.Jobs, Webhook: a.config.PublicURL + event.WebhookPath + "/",
		After: a.config.Reconcile.After, Horizon: a.config.Reconcile.Horizon, Log: a.log,
	}
	if a.vendor != nil {
		deps.Vendor = a.vendor
	}
	a.submitter = submit.New(deps)
}

// before are the steps before those of the handlers.
func (a *App) before() []executor.Step {
	if !a.config.Verifies() {
		return nil
	}
	if a.verify == nil {
		a.verify = verification.NewVerify(a.vendor, a.isTracked, a.config.DeepImage.UnknownGrace)
	}
	return []executor.Step{{Name: verification.VerifyStep, Handler: a.verify, Limits: a.callLimits()}}
}

func (a *App) isTracked(ctx context.Context, job string) (bool, error) {
	return a.work.Jobs.IsTracked(ctx, job)
}

// after are the steps after those of the handlers.
func (a *App) after() []executor.Step {
	if !a.config.DeleteAfterDone {
		return nil
	}
	return []executor.Step{{Name: verification.DeleteStep, Handler: verification.NewDelete(a.vendor), Limits: a.callLimits()}}
}

// callLimits are the limits of a step that is one call of the API.
func (a *App) callLimits() handler.Limits {
	return verification.Limits(a.config.DeepImage.Concurrency, a.config.DeepImage.Timeout)
}

// refresh renews expired URLs; nil without a key.
func (a *App) refresh() handler.Refresh {
	if a.vendor == nil {
		return nil
	}
	return verification.Refresh(a.vendor)
}
