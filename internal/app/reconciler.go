package app

import (
	"context"

	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/executor"
	"github.com/deepimage-receiver/receiver/internal/handler"
	"github.com/deepimage-receiver/receiver/internal/reconcile"
	"github.com/deepimage-receiver/receiver/internal/verification"
)

// buildTrust makes the client of the vendor's API, if there is a key.
func (a *App) buildTrust(context.Context) (err error) {
	if !a.config.DeepImage.Enabled() {
		return nil
	}
	a.vendor, err = deepimage.New(a.config.DeepImage)
	if err != nil {
		return err
	}
	a.cleanups.addClose("vendor's API", a.vendor.Close)
	return nil
}

// buildLookout makes who looks for lost callbacks, if there is a key.
func (a *App) buildLookout() {
	if a.vendor == nil {
		return
	}
	a.lookout = reconcile.New(a.config.Reconcile, reconcile.Deps{
		Store: a.work.Jobs, Inbox: a.inbox, Vendor: a.vendor, Concurrency: a.config.DeepImage.Concurrency, Log: a.log,
	})
}

// Lookout is where jobs are registered whose callbacks are waited for; nil without a key of the vendor's API.
func (a *App) Lookout() *reconcile.Reconciler { return a.lookout }

// before are the steps that come before those of the handlers.
func (a *App) before() []executor.Step {
	if !a.config.Verifies() {
		return nil
	}
	return []executor.Step{{Name: verification.VerifyStep, Handler: verification.NewVerify(a.vendor), Limits: a.callLimits()}}
}

// after are the steps that come after those of the handlers, when all of them are done.
func (a *App) after() []executor.Step {
	if !a.config.DeleteAfterDone {
		return nil
	}
	return []executor.Step{{Name: verification.DeleteStep, Handler: verification.NewDelete(a.vendor), Limits: a.callLimits()}}
}

// callLimits are those of a step that is one call of the API: as many at once as the client makes.
func (a *App) callLimits() handler.Limits {
	return verification.Limits(a.config.DeepImage.Concurrency, a.config.DeepImage.Timeout)
}

// refresh is nil without a key.
func (a *App) refresh() handler.Refresh {
	if a.vendor == nil {
		return nil
	}
	return verification.Refresh(a.vendor)
}
