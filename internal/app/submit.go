package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deepimage-receiver/receiver/internal/admin"
	"github.com/deepimage-receiver/receiver/internal/deepimage"
	"github.com/deepimage-receiver/receiver/internal/event"
	"github.com/deepimage-receiver/receiver/internal/jobs"
	"github.com/deepimage-receiver/receiver/internal/problem"
	"github.com/deepimage-receiver/receiver/internal/submit"
)

// buildSubmitter makes who submits jobs. Without a key it submits none, and knows the tokens of former ones all the same.
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

// Possible says what the configuration allows.
func (b *backOffice) Possible() (asks, submits bool) {
	asks = b.app.vendor != nil
	return asks, asks && b.app.config.PublicURL != ""
}

// Submit hands a job to the vendor.
func (b *backOffice) Submit(ctx context.Context, request []byte, wait time.Duration) (admin.Job, error) {
	if b.app.vendor == nil {
		return admin.Job{}, admin.ErrNoKey
	}
	if b.app.config.PublicURL == "" {
		return admin.Job{}, admin.ErrNoPublicURL
	}
	if limit := b.app.maxRequest(); len(request) > limit {
		return admin.Job{}, &problem.Error{Code: problem.CodeTooLarge, Detail: fmt.Sprintf("A request may have at most %d bytes: its callback echoes "+
			"it, and must fit into RECEIVER_WEBHOOK_MAX_BODY_BYTES. Give it a URL of the image in place of the image.", limit)}
	}
	submitted, err := b.app.submitter.Submit(ctx, request, wait)
	if err != nil {
		return admin.Job{}, submissionFailure(submitted, err)
	}
	return jobsOf([]jobs.Job{submitted})[0], nil
}

// maxRequest is the length of a request whose echo still fits into a callback, also if the vendor escapes the slashes of base64.
func (a *App) maxRequest() int {
	const besides = 4 << 10 // the job, the address of the result, the webhook
	return min(deepimage.MaxRequestBytes, int(a.config.Webhook.MaxBodyBytes)*19/20) - besides
}

// submissionFailure gives the failure of a submission its meaning at the admin door.
func submissionFailure(expected jobs.Job, err error) error {
	if unstored, ok := errors.AsType[*submit.UnstoredError](err); ok {
		return &problem.Error{
			Code: problem.CodeUnknownOutcome, Err: err,
			Detail: "Deep Image has taken the job " + unstored.Job + ", and that could not be stored. Do not send it again: its callback is accepted.",
		}
	}
	failed, ok := errors.AsType[*deepimage.Error](err)
	if !ok {
		return problem.Unavailable("The submission could not be stored, and was not sent.", err)
	}
	meaning := &problem.Error{Code: problem.CodeVendor, Detail: admin.Sentence(failed.Text), RetryAfter: failed.After, Err: err}
	switch failed.Kind {
	case deepimage.KindSlots:
		meaning.Code = problem.CodeSlots
	case deepimage.KindCredits:
		meaning.Code = problem.CodeCredits
	case deepimage.KindRefused:
		meaning.Code = problem.CodeRefused
	case deepimage.KindUnavailable, deepimage.KindLimited, deepimage.KindCancelled:
		meaning.Code = problem.CodeUnavailable
	case deepimage.KindKey:
		meaning.Detail += " See RECEIVER_DEEPIMAGE_API_KEY."
	case deepimage.KindOutcome:
		meaning.Code = problem.CodeUnknownOutcome
		meaning.Detail += " It is not sent again. If its callback comes, it is accepted: see job " + expected.ID + "."
	}
	return meaning
}
